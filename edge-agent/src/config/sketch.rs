//! What can be made out of a configuration that may be wrong: where things are. For whoever asks the
//! running agent, and for whoever examines a node that is ill.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{ConfigError, check, line_of};
use crate::venue::Place;

/// Where things are, as far as the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The control socket.
    pub socket: PathBuf,
    /// Where the store is.
    pub data_dir: PathBuf,
    /// The key of the node's certificate.
    pub key_file: Option<PathBuf>,
    /// The passwords of the outlets and of their broker.
    pub password_files: Vec<PathBuf>,
    /// The outlets' ids, as written.
    pub outlets: Vec<String>,
    /// The broker of the plugs, where there is one.
    pub plugs: Option<Place>,
}

impl Default for Sketch {
    /// Where things are unless a configuration says otherwise.
    fn default() -> Self {
        Self {
            socket: check::SOCKET.into(),
            data_dir: check::DATA_DIR.into(),
            key_file: None,
            password_files: Vec::new(),
            outlets: Vec::new(),
            plugs: None,
        }
    }
}

impl Sketch {
    /// Reads as much as this of the configuration at `path`, right or wrong in everything else.
    ///
    /// # Errors
    /// It can't be read, or is no TOML.
    pub fn of(path: &Path) -> Result<Self, ConfigError> {
        let error = |line, reason| ConfigError { file: path.to_owned(), line, reason };
        let text = fs::read_to_string(path)
            .map_err(|unreadable| error(None, format!("can't be read: {unreadable}")))?;
        let table: Table = toml::from_str(&text).map_err(|wrong: toml::de::Error| {
            let line = wrong.span().map(|span| line_of(&text, span.start));
            error(line, wrong.message().to_owned())
        })?;
        let default = Self::default();
        let in_outlets = |key: &str| {
            let outlets = table.get("outlet").and_then(Value::as_array).into_iter().flatten();
            let found = outlets.filter_map(|outlet| outlet.get(key)?.as_str().map(str::to_owned));
            found.collect::<Vec<String>>()
        };
        let mut password_files: Vec<PathBuf> =
            in_outlets("password_file").into_iter().map(PathBuf::from).collect();
        password_files.extend(path_in(&table, "plugs", "password_file"));
        Ok(Self {
            socket: path_in(&table, "local", "socket").unwrap_or(default.socket),
            data_dir: path_in(&table, "node", "data_dir").unwrap_or(default.data_dir),
            key_file: path_in(&table, "broker", "key_file"),
            password_files,
            outlets: in_outlets("id"),
            plugs: plugs_in(&table),
        })
    }
}

fn plugs_in(table: &Table) -> Option<Place> {
    let plugs = table.get("plugs")?;
    let place = Place::parse(plugs.get("mqtt")?.as_str()?).ok()?;
    let username = plugs.get("username").and_then(Value::as_str).map(str::to_owned);
    Some(Place { username, password_file: path_in(table, "plugs", "password_file"), ..place })
}

fn path_in(table: &Table, name: &str, key: &str) -> Option<PathBuf> {
    table.get(name)?.get(key)?.as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_still_says_where_things_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "nonsense = 1\n[local]\nsocket = \"/s\"\n[broker]\nkey_file = \"/k\"\n\
                    [[outlet]]\nid = \"a\"\npassword_file = \"/p\"\n[[outlet]]\nid = 7\n\
                    [plugs]\nmqtt = \"mqtt://broker\"\nusername = \"u\"\npassword_file = \"/q\"\n";
        fs::write(file.path(), text).unwrap();
        let sketch = Sketch::of(file.path()).unwrap();
        let expected = Sketch {
            socket: "/s".into(),
            data_dir: "/var/lib/edge-agent".into(),
            key_file: Some("/k".into()),
            password_files: vec!["/p".into(), "/q".into()],
            outlets: vec!["a".to_owned()],
            plugs: Some(Place {
                host: "broker".to_owned(),
                port: 1883,
                username: Some("u".to_owned()),
                password_file: Some("/q".into()),
            }),
        };
        assert_eq!(sketch, expected);
        fs::write(file.path(), "[local]\nsocket = \n").unwrap();
        let error = Sketch::of(file.path()).unwrap_err();
        assert_eq!(error.line, Some(2), "{error}");
        assert!(Sketch::of(Path::new("/no/such")).unwrap_err().reason.starts_with("can't be read"));
    }
}
