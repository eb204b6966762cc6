//! The profile: where an operator's broker is, and what to show and verify there.
//!
//! A small TOML file, `~/.config/edgectl/profile.toml` unless another is named; paths in it are
//! relative to it. Keys are read when they are needed and never printed.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use edge_protocol::id::NodeId;
use edge_protocol::topic::DEFAULT_ROOT;
use edgectl::ca::{CONTROL_PLANE, Issued};
use edgectl::control::{ConnectError, Endpoint};
use serde::{Deserialize, Serialize};
use x509_parser::pem::parse_x509_pem;

/// The port of MQTT over TLS.
const DEFAULT_PORT: u16 = 8_883;
const SCHEME: &str = "mqtts://";

/// The file, as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// `mqtts://HOST` or `mqtts://HOST:PORT`.
    pub(crate) broker: String,
    /// The certificate of the authority that signed the broker's.
    pub(crate) ca: PathBuf,
    /// The operator's certificate.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// The root of every topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topic_root: Option<String>,
    /// The node that a command is for where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<NodeId>,
}

/// A profile whose files were read and fit each other.
#[derive(Debug)]
pub(crate) struct Profile {
    /// Where it was read.
    pub(crate) path: PathBuf,
    /// The broker, and what to show and verify there.
    pub(crate) endpoint: Endpoint,
    /// The node that a command is for where it names none.
    pub(crate) node: Option<NodeId>,
    /// The common name in the operator's certificate.
    pub(crate) name: String,
    /// When that certificate expires, UTC.
    pub(crate) expires_at_ms: u64,
}

/// Why there is no profile to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Neither a home nor a folder for configurations.
    #[error("neither HOME nor XDG_CONFIG_HOME is set: name the profile with --profile FILE")]
    NoHome,
    /// Nothing is there.
    #[error(
        "there is no profile at {}: make it with `edgectl profile write --broker mqtts://HOST --ca ca.pem --cert operator-NAME.pem --key operator-NAME.key`",
        .0.display()
    )]
    Missing(PathBuf),
    /// A file can't be read.
    #[error("{}: can't read the {what} {}: {source}", profile.display(), path.display())]
    Read {
        /// The profile that names it.
        profile: PathBuf,
        /// What it is.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says makes no sense.
    #[error("{}: {reason}", path.display())]
    Bad {
        /// The profile.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Where the profile is: as named, else by `EDGECTL_PROFILE`, else in the user's configuration.
///
/// # Errors
/// [`Error::NoHome`].
pub(crate) fn place(named: Option<&Path>) -> Result<PathBuf, Error> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || {
        // Not absolute means not set, says the XDG specification.
        let xdg = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        xdg.or_else(|| set("HOME").map(|home| home.join(".config")))
    };
    let usual = || folder().map(|folder| folder.join("edgectl/profile.toml"));
    let named = named.map(Path::to_owned).or_else(|| set("EDGECTL_PROFILE"));
    named.or_else(usual).ok_or(Error::NoHome)
}

impl Profile {
    /// Reads the profile at `path` and the files that it names.
    ///
    /// # Errors
    /// [`Error`], naming the file.
    pub(crate) fn load(path: PathBuf) -> Result<Self, Error> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(path));
            }
            Err(source) => {
                return Err(Error::Read { profile: path.clone(), what: "profile", path, source });
            }
        };
        let bad = |reason: String| Error::Bad { path: path.clone(), reason };
        let file: File = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let (host, port) = address(&file.broker).map_err(bad)?;
        let root = file.topic_root.clone().unwrap_or_else(|| DEFAULT_ROOT.to_owned());
        if root.is_empty() || root.contains(['+', '#', '\0']) || root.starts_with('$') {
            return Err(bad(format!("topic_root {root:?} must be a topic without wildcards")));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let read = |what, named: &Path| {
            let named = folder.join(named);
            fs::read_to_string(&named).map_err(|source| Error::Read {
                profile: path.clone(),
                what,
                path: named,
                source,
            })
        };
        let ca_pem = read("authority's certificate (ca)", &file.ca)?;
        let cert_pem = read("certificate (cert)", &file.cert)?;
        let key_pem = read("key (key)", &file.key)?;
        let (name, expires_at_ms) = subject(&cert_pem)
            .map_err(|reason| bad(format!("cert, {}: {reason}", file.cert.display())))?;
        if name == CONTROL_PLANE {
            return Err(bad(format!(
                "cert is the control plane's own certificate: a broker that gives each certificate one client id would cut it off; make one for yourself with `edgectl ca sign --operator NAME`, not {name}"
            )));
        }
        let identity = Issued { cert_pem, key_pem, not_after_ms: expires_at_ms };
        let endpoint = Endpoint { host, port, ca_pem, identity, root };
        if let Err(error) = endpoint.tls() {
            let reason = match error {
                ConnectError::Certificates { reason } => reason,
                ConnectError::Refused { .. }
                | ConnectError::TakenOver { .. }
                | ConnectError::Distrusted { .. } => error.to_string(),
            };
            return Err(bad(format!("ca, cert and key don't work together: {reason}")));
        }
        Ok(Self { path, endpoint, node: file.node, name, expires_at_ms })
    }
}

/// The host and port that `mqtts://HOST[:PORT]` names.
pub(crate) fn address(broker: &str) -> Result<(String, u16), String> {
    let wrong = || format!("broker {broker:?} must be mqtts://HOST or mqtts://HOST:PORT");
    let rest = broker.strip_prefix(SCHEME).ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']').ok_or_else(wrong)?;
            let port = if port.is_empty() {
                None
            } else {
                port.strip_prefix(':').map(Some).ok_or_else(wrong)?
            };
            (host, port)
        }
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None => DEFAULT_PORT,
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(legal) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// The common name in a certificate, and when it expires.
fn subject(cert_pem: &str) -> Result<(String, u64), String> {
    let (_, pem) = parse_x509_pem(cert_pem.as_bytes()).map_err(|_| "it is no PEM".to_owned())?;
    let cert = pem.parse_x509().map_err(|_| "it is no certificate".to_owned())?;
    let name = cert.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let name = name.ok_or("it has no common name")?.to_owned();
    let seconds = u64::try_from(cert.validity().not_after.timestamp()).unwrap_or(0);
    Ok((name, seconds.saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_perhaps_a_port() {
        let right = [
            ("mqtts://broker.example", ("broker.example", 8_883)),
            ("mqtts://broker.example:8884/", ("broker.example", 8_884)),
            ("mqtts://192.0.2.1:1", ("192.0.2.1", 1)),
            ("mqtts://[2001:db8::1]:8884", ("2001:db8::1", 8_884)),
            ("mqtts://[::1]", ("::1", 8_883)),
        ];
        for (text, (host, port)) in right {
            assert_eq!(address(text), Ok((host.to_owned(), port)), "{text}");
        }
        let wrong = [
            "",
            "broker.example",
            "mqtt://broker.example",
            "mqtts://",
            "mqtts://a:0",
            "mqtts://a:b",
            "mqtts://a:70000",
            "mqtts://[::1",
            "mqtts://[::1]8883",
            "mqtts://a/b",
            "mqtts://a b",
        ];
        for text in wrong {
            assert!(address(text).unwrap_err().contains("mqtts://HOST"), "{text}");
        }
    }

    #[test]
    fn a_profile_that_is_not_there_says_how_to_make_one() {
        let missing = Profile::load("/no/such/profile.toml".into()).unwrap_err().to_string();
        assert!(missing.contains("/no/such/profile.toml"), "{missing}");
        assert!(missing.contains("edgectl profile write --broker"), "{missing}");
    }
}
