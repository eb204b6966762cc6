//! Reading one HTTP/1.1 request: as much as a plug makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

/// A plug has little memory; so much of a request is more than it reads.
const MAX_REQUEST: usize = 8_192;

/// What a request asks for.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Without the query.
    pub(super) path: String,
    /// Of the query, then of a form in the body.
    arguments: Vec<(String, String)>,
    /// User and password by HTTP Basic.
    basic: Option<(String, String)>,
}

impl Request {
    /// Reads a request; `None` if the other side hangs up or talks no HTTP.
    pub(super) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            let byte = reader.read_u8().await.ok()?;
            head.push(byte);
            if head.len() > MAX_REQUEST {
                return None;
            }
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let target = lines.next()?.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self { path: path.to_owned(), ..Self::default() };
        request.arguments = form(query);
        let mut length = 0;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok().filter(|length| *length <= MAX_REQUEST)?;
            } else if name.eq_ignore_ascii_case("authorization") {
                request.basic = basic(value);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.ok()?;
        request.arguments.extend(form(&String::from_utf8(body).ok()?));
        Some(request)
    }

    /// The first argument of this name.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        let (_, value) = self.arguments.iter().find(|(argument, _)| argument == name)?;
        Some(value)
    }

    /// Whether it shows this password, by HTTP Basic or as arguments; the user is `admin`.
    pub(super) fn shows(&self, password: &str) -> bool {
        let basic = self.basic.as_ref().map(|(user, word)| (user.as_str(), word.as_str()));
        let named = self.argument("user").zip(self.argument("password"));
        [basic, named].contains(&Some(("admin", password)))
    }
}

fn basic(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Percent-decodes; what is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let escape = || std::str::from_utf8(tail.get(..2)?).ok();
        match (byte, escape().and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        assert_eq!(decode("Power1%20ON%3b+x"), "Power1 ON; x");
        assert_eq!(decode("100%25 %zz %2"), "100% %zz %2");
    }
}
