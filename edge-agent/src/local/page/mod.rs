//! The page, `/status.json`, `/metrics` and `/healthz` on `[local] listen`: read only, on loopback.
//!
//! Whoever may open a socket on this machine may look; nobody else, and no web page that a browser
//! here has open ([`host`]). However slow, many or rude those who look are, they cost the loop no
//! more than two snapshots a second for each kind of text: connections are few and short, a request's
//! head is small, and what is read was written elsewhere. Nobody looking costs nothing at all.

mod document;
mod host;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::source::Source;

/// Connections at once; whoever comes then waits in the kernel's queue. Each costs some 20 KB.
const MAX_CONNECTIONS: usize = 16;
/// A request's head has come by then, or never will.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// From the first byte to the last: who reads more slowly does not read.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(10);
/// A request's head is at most this large: hyper's least. A browser's is a tenth of it.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Pause after the system refused a connection, for want of descriptors perhaps.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Opens the page at `address` and serves it from now on. An address that is taken is logged and
/// costs the page alone: no page is worth a session's off.
pub(crate) async fn open(address: SocketAddr, source: Arc<Source>) {
    let opened = TcpListener::bind(address).await;
    match opened.and_then(|listener| Ok((listener.local_addr()?, listener))) {
        Ok((address, listener)) => {
            tracing::info!("the page is at http://{address}");
            tokio::spawn(serve(listener, source));
        }
        Err(error) => {
            tracing::error!(%address, %error, "the page can't be opened; set another [local] listen");
        }
    }
}

/// Answers everybody who comes, so many at a time.
async fn serve(listener: TcpListener, source: Arc<Source>) {
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let seat = Arc::clone(&seats).acquire_owned().await.expect("nobody closes the seats");
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    let _ = timeout(CONNECTION_PATIENCE, converse(stream, &source)).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the page can't take a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// One request, one answer. A client that misbehaves is hung up on, which is all there is to say.
async fn converse(stream: TcpStream, source: &Source) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, source).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "somebody who looked at the page went away");
    }
}

async fn answer(request: &Request<Incoming>, source: &Source) -> Response<Full<Bytes>> {
    if !host::is_local(request) {
        let text = "ask for this page as localhost or by its address\n";
        return respond(StatusCode::MISDIRECTED_REQUEST, TEXT, text);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this page is read only\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let (kind, text) = match request.uri().path() {
        "/" => return document::page(respond(StatusCode::OK, document::HTML, document::PAGE)),
        "/status.json" => (JSON, source.status().await),
        "/metrics" => (METRICS, source.metrics().await),
        "/healthz" => (TEXT, source.status().await.map(|_| Bytes::from_static(b"ok\n"))),
        _ => {
            return respond(
                StatusCode::NOT_FOUND,
                TEXT,
                "there is /, /status.json, /metrics and /healthz\n",
            );
        }
    };
    match text {
        Some(text) => respond(StatusCode::OK, kind, text),
        None => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the agent does not answer\n"),
    }
}

/// An answer that no cache keeps, no other site embeds and no browser takes for another kind.
fn respond(
    status: StatusCode,
    kind: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}
