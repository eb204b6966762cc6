//! A host and a port out of a URL that names nothing else.

use std::fmt;
use std::net::Ipv6Addr;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl Endpoint {
    /// Reads `SCHEME://HOST[:PORT]`; the error says what is wrong with `url`.
    pub(crate) fn parse(url: &str, scheme: &str, default_port: u16) -> Result<Self, String> {
        if url.contains('@') {
            // Not repeated: there may be a password in it.
            return Err(format!("must be {scheme}://HOST[:PORT], without a user name or password"));
        }
        let wanted = format!("{url:?} must be {scheme}://HOST or {scheme}://HOST:PORT");
        let Some((_, rest)) = url.split_once("://").filter(|(found, _)| *found == scheme) else {
            return Err(wanted);
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest).ok_or(wanted.as_str())?;
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                format!("{url:?} names the port {digits:?}, which must be 1 to 65535")
            })?,
            None => default_port,
        };
        if is_host(host) { Ok(Self { host: host.to_owned(), port }) } else { Err(wanted) }
    }
}

/// As in a URL: an IPv6 address in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn split_port(rest: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, behind) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match behind {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    Some(match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    })
}

/// The longest name that DNS carries is 253 bytes.
fn is_host(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = (1..=253).contains(&host.len()) && host.bytes().all(legal);
    name || host.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_its_port_or_the_default_one() {
        for (url, host, port, shown) in [
            ("mqtts://broker.example", "broker.example", 8883, "broker.example:8883"),
            ("mqtts://192.0.2.1:1/", "192.0.2.1", 1, "192.0.2.1:1"),
            ("mqtts://[2001:db8::1]", "2001:db8::1", 8883, "[2001:db8::1]:8883"),
            ("mqtts://[::1]:443", "::1", 443, "[::1]:443"),
        ] {
            let endpoint = Endpoint::parse(url, "mqtts", 8883).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port));
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn what_names_more_or_less_than_a_host_and_a_port_is_refused() {
        for url in [
            "",
            "broker.example",
            "mqtt://broker.example",
            "mqtts://",
            "mqtts://:8883",
            "mqtts://broker:0",
            "mqtts://broker:65536",
            "mqtts://broker:",
            "mqtts://broker/path",
            "mqtts://user@broker",
            "mqtts://broker?x",
            "mqtts://bro ker",
            "mqtts://2001:db8::1",
            "mqtts://[2001:db8::1",
            "mqtts://[broker]:1",
            "mqtts://[::1]8883",
        ] {
            assert!(Endpoint::parse(url, "mqtts", 8883).is_err(), "{url}");
        }
    }
}
