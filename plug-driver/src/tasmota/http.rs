//! One command, one request, one connection.
//!
//! A plug serves one client at a time from a few kilobytes of memory, so nothing is kept open,
//! every wait has a limit, and so has the reply. A password is never a part of the url, which ends
//! up in logs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::turn::Turns;
use crate::error::Fault;
use crate::secret::Secret;

/// A plug on the same network that does not accept by then is off, or busy for longer.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For a whole request. Plugs answer in 20 to 300 ms.
const REQUEST_LIMIT: Duration = Duration::from_secs(3);
/// The longest reply that is read; `Status 0`, the longest of all, has about 4 KiB.
const REPLY_LIMIT: usize = 64 * 1024;

/// Where a plug listens and what it asks for.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Host and port as in the url, for the `Host` header.
    authority: String,
    host: String,
    port: u16,
    username: String,
    password: Option<Secret>,
    turns: Arc<Turns>,
}

/// How the password travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// In a header (HTTP Basic), which firmware reads from 9.3 on (arendst/Tasmota#10451).
    Header,
    /// In a form, which firmware before that reads like a part of the url.
    Form,
    /// Not at all.
    None,
}

impl Login {
    /// The one to try when this one was refused.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Header => Self::Form,
            Self::Form | Self::None => Self::Header,
        }
    }
}

/// Whether a command goes before those that wait for the same plug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurry {
    /// It does: an off.
    Yes,
    /// It waits like the others.
    No,
}

impl Endpoint {
    /// The plug at `url`, which is `http://host[:port]` and no more.
    pub(super) fn new(
        url: &str,
        username: String,
        password: Option<Secret>,
    ) -> Result<Self, Fault> {
        let wrong = |remedy| Fault::Setting { setting: "url", value: url.to_owned(), remedy };
        if url.contains('@') {
            // Not repeated in the message: there is a password in it.
            let value = "http://…@…".to_owned();
            let remedy = "must hold no password; use username and password_file";
            return Err(Fault::Setting { setting: "url", value, remedy });
        }
        let uri: Uri = url.parse().map_err(|_| wrong("is no url; write http://host[:port]"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("must begin with http://, which is all that a Tasmota plug speaks"));
        }
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('#');
        let authority = uri.authority().filter(|authority| bare && !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("must be http://host[:port] and no more"))?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") | None => 80,
            Some(rest) => rest
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .ok_or_else(|| wrong("has a port that is no number up to 65535"))?,
        };
        // An IPv6 address wears brackets in a url and none elsewhere.
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        Ok(Self {
            authority: authority.to_string(),
            turns: Turns::of(&host, port),
            host,
            port,
            username,
            password,
        })
    }

    /// The turns at this plug.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Whether there is a password to send.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sends `command` when it is its turn and gives the body of a reply with status 200.
    pub(super) async fn send(
        &self,
        command: &str,
        login: Login,
        hurry: Hurry,
    ) -> Result<Vec<u8>, Fault> {
        let request = self.request(command, login)?;
        // Who waits here has no clock of its own: each of those before it has one.
        let _turn = match hurry {
            Hurry::Yes => self.turns.take_first().await,
            Hurry::No => self.turns.take().await,
        };
        let exchange = async {
            let stream = timeout(CONNECT_LIMIT, self.connect())
                .await
                .map_err(|_| Fault::Slow { limit: CONNECT_LIMIT })??;
            exchange(stream, request).await
        };
        let reply = timeout(REQUEST_LIMIT, exchange)
            .await
            .unwrap_or(Err(Fault::Slow { limit: REQUEST_LIMIT }));
        match &reply {
            Ok(body) => tracing::trace!(plug = self.authority, command, bytes = body.len()),
            Err(fault) => tracing::debug!(plug = self.authority, command, %fault),
        }
        reply
    }

    async fn connect(&self) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        stream
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| Fault::Unreachable { address: self.authority.clone(), source })
    }

    fn request(&self, command: &str, login: Login) -> Result<Request<Full<Bytes>>, Fault> {
        let target = format!("/cm?cmnd={}", percent_encoded(command));
        let request =
            Request::get(target).header(HOST, &self.authority).header(CONNECTION, "close");
        let mut request = request.body(Full::default()).map_err(|_| Fault::Setting {
            setting: "url",
            value: self.authority.clone(),
            remedy: "cannot be sent as a Host header",
        })?;
        let Some(password) = self.password.as_ref().map(Secret::expose) else {
            return Ok(request);
        };
        match login {
            Login::None => {}
            Login::Form => {
                let (user, password) = (percent_encoded(&self.username), percent_encoded(password));
                *request.method_mut() = Method::POST;
                *request.body_mut() = format!("user={user}&password={password}").into();
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(CONTENT_TYPE, form);
            }
            Login::Header => {
                let pair = STANDARD.encode(format!("{}:{password}", self.username));
                let value = HeaderValue::try_from(format!("Basic {pair}"));
                let mut value = value.expect("base64 is ASCII");
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
        }
        Ok(request)
    }
}

/// Sends `request` over `stream` and reads the reply, driving the connection meanwhile.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Vec<u8>, Fault> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Fault::Cut)?;
    let mut connection = std::pin::pin!(connection);
    let mut reply = std::pin::pin!(async {
        let response = sender.send_request(request).await.map_err(Fault::Cut)?;
        body_of(response).await
    });
    let mut open = true;
    loop {
        tokio::select! {
            reply = &mut reply => return reply,
            // Its error reaches `reply` as well; its end leaves the rest of the body to read.
            _ = &mut connection, if open => open = false,
        }
    }
}

async fn body_of(response: hyper::Response<hyper::body::Incoming>) -> Result<Vec<u8>, Fault> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(Fault::Password),
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            return Err(Fault::Busy { status: status.as_u16() });
        }
        status => return Err(Fault::Status { status: status.as_u16() }),
    }
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        // Trailers are of no interest.
        let Ok(data) = frame.map_err(Fault::Cut)?.into_data() else { continue };
        if body.len() + data.len() > REPLY_LIMIT {
            return Err(Fault::TooLong { limit: REPLY_LIMIT });
        }
        body.extend_from_slice(&data);
    }
    Ok(body)
}

/// `text` for a query: everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, Fault> {
        Endpoint::new(url, "admin".to_owned(), Some(Secret::new("jo&ker".to_owned())))
    }

    #[test]
    fn a_url_is_a_host_and_perhaps_a_port() {
        for (url, host, port) in [
            ("http://192.0.2.50", "192.0.2.50", 80),
            ("http://plug-07.lan:8080/", "plug-07.lan", 8080),
            ("http://[2001:db8::7]:81", "2001:db8::7", 81),
        ] {
            let endpoint = endpoint(url).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{url}");
        }
    }

    #[test]
    fn any_other_url_is_refused_without_repeating_a_password() {
        for url in [
            "",
            "192.0.2.50",
            "https://192.0.2.50",
            "http://",
            "http://192.0.2.50/cm",
            "http://192.0.2.50?cmnd=Power",
            "http://192.0.2.50#1",
            "http://192.0.2.50:99999",
            "http://admin:joker@192.0.2.50",
        ] {
            let fault = endpoint(url).unwrap_err();
            assert!(matches!(fault, Fault::Setting { setting: "url", .. }), "{url}: {fault}");
            assert!(!fault.to_string().contains("joker"), "{fault}");
        }
    }

    #[test]
    fn the_password_is_in_the_header_or_in_a_form_and_never_in_the_url() {
        let endpoint = endpoint("http://192.0.2.50").unwrap();
        let header = endpoint.request("Power1 ON", Login::Header).unwrap();
        assert_eq!(header.headers()[AUTHORIZATION], "Basic YWRtaW46am8ma2Vy");
        assert_eq!(header.headers()[CONNECTION], "close");
        let form = endpoint.request("Power1 ON", Login::Form).unwrap();
        assert_eq!(form.method(), Method::POST);
        let expected = Full::<Bytes>::from("user=admin&password=jo%26ker");
        assert_eq!(format!("{:?}", form.body()), format!("{expected:?}"));
        let none = endpoint.request("Power1 ON", Login::None).unwrap();
        for request in [&header, &form, &none] {
            assert_eq!(request.uri(), "/cm?cmnd=Power1%20ON");
            let in_header = request.headers().contains_key(AUTHORIZATION);
            assert_eq!(in_header, request.headers() == header.headers());
        }
        assert!(!format!("{endpoint:?} {:?}", header.headers()).contains("ker"));
    }
}
