//! What must not leave the node: the words of its key and of its outlets' passwords, and whatever in a
//! configuration may be a secret, even where none belongs.

use std::fs;
use std::path::Path;

use crate::config::Sketch;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// A line of a key in PEM is 64 letters; what is shorter and no password says nothing.
const KEY_LINE: usize = 16;
/// Parts of the names of keys that no configuration of ours has, and somebody may have written.
const SUSPICIOUS: [&str; 8] =
    ["pass", "secret", "token", "psk", "private", "credential", "auth", "key"];
/// Names of files, which may be told: the secret is in the file.
const FILE_SUFFIX: &str = "_file";

/// The words of this node's secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those of the files that the configuration names.
    pub(super) fn of(sketch: &Sketch) -> Self {
        let mut words = Vec::new();
        for line in sketch.key_file.iter().flat_map(|file| lines(file)) {
            if line.len() >= KEY_LINE && !line.starts_with("-----") {
                words.push(line);
            }
        }
        for password in sketch.password_files.iter().flat_map(|file| lines(file)) {
            words.extend(guises(&password));
        }
        // The longest first: a shorter one may be a part of it.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.dedup();
        Self(words)
    }

    /// `text` without them.
    pub(super) fn taken_out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, word| text.replace(word, REDACTED))
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .filter(|it| !it.is_empty())
        .collect()
}

/// A password as it stands, as JSON writes it, and as a URL does.
fn guises(password: &str) -> Vec<String> {
    let json = serde_json::to_string(password).unwrap_or_default();
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let url = |byte: u8| {
        if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let mut guises = vec![
        password.to_owned(),
        json.trim_matches('"').to_owned(),
        password.bytes().map(url).collect(),
    ];
    guises.retain(|guise| !guise.is_empty());
    guises
}

/// A configuration without what may be a secret: values of keys that sound like one, and what stands
/// before the `@` of a URL.
pub(super) fn of_configuration(text: &str) -> String {
    let mut told = String::new();
    for line in text.lines() {
        told.push_str(&without_login(&without_value(line)));
        told.push('\n');
    }
    told
}

fn without_value(line: &str) -> String {
    let Some((key, _)) = line.split_once('=') else { return line.to_owned() };
    let name = key.trim().trim_start_matches('#').trim().trim_matches('"').to_ascii_lowercase();
    let suspicious = SUSPICIOUS.iter().any(|part| name.contains(part));
    if suspicious && !name.ends_with(FILE_SUFFIX) {
        return format!("{key}= \"{REDACTED}\"");
    }
    line.to_owned()
}

fn without_login(line: &str) -> String {
    let mut told = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        told.push_str(before);
        told.push_str("://");
        let end = after.find(['/', '"', '\'', ' ', ',']).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                told.push_str(REDACTED);
                told.push('@');
                told.push_str(host);
            }
            None => told.push_str(authority),
        }
        rest = behind;
    }
    told.push_str(rest);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_in_every_guise() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "p\"a ss/ö\n").unwrap();
        let sketch = Sketch { password_files: vec![file.path().into()], ..Sketch::default() };
        let secrets = Secrets::of(&sketch);
        let told =
            secrets.taken_out_of(r#"p"a ss/ö; {"x":"p\"a ss/ö"}; ?pw=p%22a%20ss%2F%C3%B6&x"#);
        assert_eq!(told, r#"[redacted]; {"x":"[redacted]"}; ?pw=[redacted]&x"#);
    }

    #[test]
    fn every_line_of_the_key_is_taken_out() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &pem).unwrap();
        let sketch = Sketch { key_file: Some(file.path().into()), ..Sketch::default() };
        let told = Secrets::of(&sketch).taken_out_of(&pem);
        for line in pem.lines().filter(|line| !line.starts_with('-')) {
            assert!(!told.contains(line), "{told}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_a_configuration_is_left_out_and_the_rest_is_not() {
        let text = "key_file = \"/k\"\n#password = \"old\"\npassword= 'x' # y\nurl = \"http://admin:pw@192.0.2.7/x\"\n\
                    [[outlet]]\nid = \"plug\"\napi_key = \"z\"\nurl = \"http://192.0.2.8\"\n";
        let expected = "key_file = \"/k\"\n#password = \"[redacted]\"\npassword= \"[redacted]\"\n\
                        url = \"http://[redacted]@192.0.2.7/x\"\n[[outlet]]\nid = \"plug\"\n\
                        api_key = \"[redacted]\"\nurl = \"http://192.0.2.8\"\n";
        assert_eq!(of_configuration(text), expected);
    }
}
