//! One HTTP/1.1 request: as much as a plug makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A plug has little memory; so much of a request is more than it reads.
pub(crate) const MAX_REQUEST: usize = 8_192;

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The key of a WebSocket's handshake.
    pub web_socket_key: Option<String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// `GET target`, as in `/cm?cmnd=Power%20ON`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self { method: "GET".to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// `POST target` with a body.
    #[must_use]
    pub fn post(target: &str, body: &str) -> Self {
        let body = body.to_owned();
        Self { method: "POST".to_owned(), target: target.to_owned(), body, ..Self::default() }
    }

    /// The same with credentials by HTTP Basic.
    #[must_use]
    pub fn with_basic(self, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.with_authorization(&format!("Basic {credentials}"))
    }

    /// The same with this `Authorization` header.
    #[must_use]
    pub fn with_authorization(self, value: &str) -> Self {
        Self { authorization: Some(value.to_owned()), ..self }
    }

    /// Reads a head, and tells how long the body is; `None` if it is no HTTP or too long.
    pub(crate) fn parse(head: &str) -> Option<(Self, usize)> {
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let method = words.next()?.to_owned();
        let target = words.next()?.to_owned();
        let mut request = Self { method, target, ..Self::default() };
        let mut length = 0;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok().filter(|length| *length <= MAX_REQUEST)?;
            } else if name.eq_ignore_ascii_case("authorization") {
                request.authorization = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("sec-websocket-key") {
                request.web_socket_key = Some(value.to_owned());
            }
        }
        Some((request, length))
    }

    /// Without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The first argument of this name: of the query, then of a form in the body.
    pub(crate) fn argument(&self, name: &str) -> Option<String> {
        let all = self.query().into_iter().chain(form(&self.body));
        all.into_iter().find(|(argument, _)| argument == name).map(|(_, value)| value)
    }

    /// The query's arguments, decoded.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        self.target.split_once('?').map_or_else(Vec::new, |(_, query)| form(query))
    }

    /// User and password by HTTP Basic.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let encoded = self.authorization.as_ref()?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Percent-encodes whatever is neither letter nor figure.
pub(crate) fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
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
        assert_eq!(decode(&escape("a b&c=ü%")), "a b&c=ü%");
        assert_eq!(decode("100%25 %zz %2"), "100% %zz %2");
    }
}
