//! Where a broker listens, as the configuration writes it.

use std::fmt;
use std::str::FromStr;

/// The port of MQTT over TLS.
const DEFAULT_PORT: u16 = 8883;

/// A broker's address: `mqtts://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an IP address, an IPv6 one without its brackets; the broker's certificate must bear it.
    pub host: String,
    /// The TCP port; 8883 unless named.
    pub port: u16,
}

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a broker: write mqtts://host or mqtts://host:port (always TLS, no path, no password)"
)]
pub struct InvalidEndpoint {
    text: String,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        parse(text).ok_or_else(|| InvalidEndpoint { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let address = text.strip_prefix("mqtts://")?;
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, port)
    } else {
        let (host, port) = address.split_at(address.find(':').unwrap_or(address.len()));
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if host.is_empty() || !host.bytes().all(legal) {
            return None;
        }
        (host, port)
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    Some(Endpoint { host: host.to_owned(), port })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "mqtts://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "mqtts://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_mqtts_with_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("mqtts://broker.example", "broker.example", 8883),
            ("mqtts://broker.example:18883", "broker.example", 18883),
            ("mqtts://192.0.2.7:1", "192.0.2.7", 1),
            ("mqtts://[2001:db8::7]", "2001:db8::7", 8883),
            ("mqtts://[::1]:65535", "::1", 65535),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{text}");
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
    }

    #[test]
    fn anything_else_is_refused_and_the_message_says_what_to_write() {
        for text in [
            "",
            "broker.example",
            "mqtt://broker.example",
            "mqtts://",
            "mqtts://:8883",
            "mqtts://broker.example:",
            "mqtts://broker.example:0",
            "mqtts://broker.example:65536",
            "mqtts://broker.example/path",
            "mqtts://user:secret@broker.example",
            "mqtts://2001:db8::7",
            "mqtts://[broker.example]",
            "mqtts://[::1",
            "mqtts://[::1]8883",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("mqtts://host:port"), "{text}: {error}");
        }
    }
}
