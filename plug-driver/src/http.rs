//! One request, one connection, over plain HTTP.
//!
//! A plug serves one client at a time from a few kilobytes of memory, so nothing is kept open,
//! every wait has a limit, and so has the reply. What is asked, and how a password travels, is
//! each family's own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, SERVER, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::Fault;
use crate::secret::Secret;
use crate::turn::Turns;

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) whole: Duration,
}

impl Patience {
    /// A plug on the same network that does not accept within 2 s is off, or busy for longer; it
    /// answers in 20 to 300 ms.
    pub(crate) const PLUG: Self =
        Self { connect: Duration::from_secs(2), whole: Duration::from_secs(3) };
}

/// The longest reply that is read; the longest of a plug has about 4 KiB.
pub(crate) const REPLY_LIMIT: usize = 64 * 1024;
/// How long the body of a refusal is waited for.
const EXPLANATION_LIMIT: Duration = Duration::from_millis(300);

/// Where a plug listens.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Host and port as in the url, for the `Host` header.
    authority: String,
    host: String,
    port: u16,
    /// A plug serves one client, and a plug of several relays is several outlets here.
    turns: Arc<Turns>,
}

/// Whether a request goes before those that wait for the same plug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// It does: an off.
    Yes,
    /// It waits like the others.
    No,
}

/// What a plug answered, whatever the status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// The `WWW-Authenticate` header, where there is one that is text.
    pub(crate) challenge: Option<String>,
    /// The `Server` header, likewise.
    pub(crate) server: Option<String>,
    /// Of a status other than 200 only what came soon.
    pub(crate) body: Vec<u8>,
}

impl Address {
    /// The plug at `url`, which is `http://host[:port]` and no more.
    pub(crate) fn new(url: &str) -> Result<Self, Fault> {
        let wrong = |remedy| Fault::Setting { setting: "url", value: url.to_owned(), remedy };
        if url.contains('@') {
            // Not repeated in the message: there is a password in it.
            let value = "http://…@…".to_owned();
            let remedy = "must hold no password; use username and password_file";
            return Err(Fault::Setting { setting: "url", value, remedy });
        }
        let uri: Uri = url.parse().map_err(|_| wrong("is no url; write http://host[:port]"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("must begin with http://, which is all that such a plug speaks"));
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
        let turns = Turns::of(&host, port);
        Ok(Self { authority: authority.to_string(), host, port, turns })
    }

    /// The turns at this plug.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Host and port as in the url.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A request for `target`, a path with its query.
    pub(crate) fn request(
        &self,
        target: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let mut request = Request::get(target)
            .header(HOST, &self.authority)
            .header(CONNECTION, "close")
            .body(Full::default())
            .map_err(|_| Fault::Setting {
                setting: "url",
                value: self.authority.clone(),
                remedy: "cannot be sent as a Host header",
            })?;
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Sends `request` when it is its turn and gives the answer, whatever its status.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        patience: Patience,
        hurry: Hurry,
    ) -> Result<Response, Fault> {
        // Who waits here has no clock of its own: each of those before it has one.
        let _turn = match hurry {
            Hurry::Yes => self.turns.take_first().await,
            Hurry::No => self.turns.take().await,
        };
        let exchange = async {
            let stream = timeout(patience.connect, self.connect())
                .await
                .map_err(|_| Fault::Slow { limit: patience.connect })??;
            exchange(stream, request).await
        };
        let limit = patience.whole;
        timeout(limit, exchange).await.unwrap_or(Err(Fault::Slow { limit }))
    }

    async fn connect(&self) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        stream
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| Fault::Unreachable { address: self.authority.clone(), source })
    }
}

impl Response {
    /// The body, if the status is 200.
    pub(crate) fn ok(self) -> Result<Vec<u8>, Fault> {
        match self.status {
            StatusCode::OK => Ok(self.body),
            StatusCode::UNAUTHORIZED => Err(Fault::Password),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Err(Fault::Busy { status: status.as_u16() })
            }
            status => Err(Fault::Status { status: status.as_u16() }),
        }
    }
}

/// Sends `request` over `stream` and reads the answer, driving the connection meanwhile.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Response, Fault> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Fault::Cut)?;
    let mut connection = std::pin::pin!(connection);
    let mut reply = std::pin::pin!(async {
        let response = sender.send_request(request).await.map_err(Fault::Cut)?;
        whole(response).await
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

async fn whole(response: hyper::Response<hyper::body::Incoming>) -> Result<Response, Fault> {
    let status = response.status();
    let header = |name| {
        let value: Option<&HeaderValue> = response.headers().get(name);
        value.and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (challenge, server) = (header(WWW_AUTHENTICATE), header(SERVER));
    let body = body_of(response.into_body());
    let body = match status {
        StatusCode::OK => body.await?,
        // The status says enough; a body that does not end must not hide it.
        _ => timeout(EXPLANATION_LIMIT, body).await.unwrap_or(Ok(Vec::new())).unwrap_or_default(),
    };
    Ok(Response { status, challenge, server, body })
}

async fn body_of(mut incoming: hyper::body::Incoming) -> Result<Vec<u8>, Fault> {
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
pub(crate) fn percent_encoded(text: &str) -> String {
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

/// `value` as a header that no log shows.
pub(crate) fn hidden(value: String) -> HeaderValue {
    // Only a user name could hold what no header may; then nothing is sent in its place.
    let mut value = HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The `Authorization` of HTTP Basic.
pub(crate) fn basic(username: &str, password: &Secret) -> HeaderValue {
    let pair = format!("{username}:{}", password.expose());
    hidden(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_perhaps_a_port() {
        for (url, host, port) in [
            ("http://192.0.2.50", "192.0.2.50", 80),
            ("http://plug-07.lan:8080/", "plug-07.lan", 8080),
            ("http://[2001:db8::7]:81", "2001:db8::7", 81),
        ] {
            let address = Address::new(url).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{url}");
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
            let fault = Address::new(url).unwrap_err();
            assert!(matches!(fault, Fault::Setting { setting: "url", .. }), "{url}: {fault}");
            assert!(!fault.to_string().contains("joker"), "{fault}");
        }
    }
}
