//! Who a request believes to talk to.
//!
//! A web page that a browser on this machine has open may give its own name this machine's address
//! (DNS rebinding), and the browser then lets it read what we answer. It can't help sending that
//! name as `Host`, so names that are not this machine's are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::HOST;

/// Whether the request is for `localhost` or an address of the loopback, on whatever port: a tunnel
/// may begin on another. One without a name is for nobody.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    let mut names = request.headers().get_all(HOST).iter();
    let (Some(name), None) = (names.next(), names.next()) else { return false };
    let named = name.to_str().is_ok_and(is_local_name);
    // A whole URI names a host as well.
    named && request.uri().authority().is_none_or(|authority| is_local_name(authority.as_str()))
}

/// `HOST` or `HOST:PORT`; an IPv6 address in brackets.
fn is_local_name(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) | None => authority,
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address: Option<IpAddr> = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(hosts: &[&str], uri: &str) -> Request<()> {
        let builder = Request::builder().uri(uri);
        hosts.iter().fold(builder, |builder, host| builder.header(HOST, *host)).body(()).unwrap()
    }

    #[test]
    fn this_machine_is_known_by_its_names_on_any_port() {
        for host in
            ["localhost", "LOCALHOST:9780", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:9780"]
        {
            assert!(is_local(&request(&[host], "/")), "{host}");
        }
    }

    #[test]
    fn another_name_is_refused_wherever_it_stands() {
        for host in [
            "",
            "evil.example",
            "evil.example:9780",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "localhost:9780@evil.example",
            "localhost:",
            "[::1",
            "[::1]9780",
            "::1",
            "192.0.2.1",
            "0.0.0.0:9780",
            "local host",
        ] {
            assert!(!is_local(&request(&[host], "/")), "{host}");
        }
        assert!(!is_local(&request(&["localhost"], "http://evil.example/")));
        assert!(!is_local(&request(&["localhost", "evil.example"], "/")));
        assert!(!is_local(&request(&["localhost", "localhost"], "/")), "which of them?");
        assert!(!is_local(&request(&[], "/")));
    }
}
