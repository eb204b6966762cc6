//! The plug's web server, by hand, since it has to misbehave byte by byte. What is answered is
//! decided by the device; here it only travels.
//!
//! A Tasmota serves one client at a time (esp8266/Arduino's server), answers in chunks and
//! closes; a Shelly serves several, with a length, and talks WebSocket on `/rpc`.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::websocket;
use crate::reply::{Answer, Manner, Response};
use crate::request::MAX_REQUEST;
use crate::{Family, Request};

/// For so long a client may keep the only place without a whole request (5 s in the core).
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let one_at_a_time = shared.look(|device| device.profile().family == Family::Tasmota);
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        if shared.look(|device| device.is_unreachable()) {
            reset(&stream);
            continue;
        }
        let client = serve_one(stream, Arc::clone(&shared));
        if one_at_a_time {
            client.await;
        } else {
            clients.spawn(client);
        }
    }
}

async fn serve_one(mut stream: TcpStream, shared: Arc<Shared>) {
    // Registered before the request is read: a restart from here on breaks it.
    let hang_up = shared.hang_up.notified();
    let upgrade = tokio::select! {
        upgrade = converse(&mut stream, &shared) => upgrade,
        () = hang_up => return reset(&stream),
    };
    if let Some(key) = upgrade {
        websocket::serve(stream, &key, &shared).await;
    }
}

/// The key of a WebSocket's handshake, if that is what was asked for.
async fn converse(stream: &mut TcpStream, shared: &Shared) -> Option<String> {
    // Packets go as they are written: the splits are the point.
    let _ = stream.set_nodelay(true);
    let request = timeout(PATIENCE, read(stream)).await.ok()??;
    let family = shared.look(|device| device.profile().family);
    if family == Family::ShellyGen2 && request.path() == "/rpc" && request.web_socket_key.is_some()
    {
        return request.web_socket_key;
    }
    let server = shared.look(|device| match family {
        Family::Tasmota => format!("Tasmota/{} (ESP8285N08)", device.profile().version.text()),
        Family::ShellyGen1 => "Mongoose/6.18".to_owned(),
        Family::ShellyGen2 => "ShellyHTTP/1.0.0".to_owned(),
    });
    let reply = shared.change(|device| device.handle(&request));
    if !reply.delay.is_zero() {
        sleep(reply.delay).await;
    }
    // Who has hung up gets no answer; that is all there is to it.
    let _ = match reply.answer {
        Answer::Nothing => Ok(()),
        Answer::Reset => {
            reset(stream);
            Ok(())
        }
        Answer::Silence => stream.read(&mut [0; 64]).await.map(|_| ()),
        Answer::Response(response) => {
            let chunked = family == Family::Tasmota;
            send(stream, &response, reply.manner, chunked, &server).await
        }
    };
    None
}

/// Reads a request; `None` if the other side hangs up or talks no HTTP.
pub(super) async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await.ok()?);
        if head.len() > MAX_REQUEST {
            return None;
        }
    }
    let (request, length) = Request::parse(&String::from_utf8(head).ok()?)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some(Request { body: String::from_utf8(body).ok()?, ..request })
}

pub(super) async fn send(
    stream: &mut TcpStream,
    response: &Response,
    manner: Manner,
    chunked: bool,
    server: &str,
) -> std::io::Result<()> {
    let Response { status, kind, headers, body } = response;
    let reason = reason(*status);
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nServer: {server}\r\nCache-Control: no-cache\r\n"
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let chunked = chunked || matches!(manner, Manner::Split | Manner::SplitAt(_));
    head += &if chunked {
        "Transfer-Encoding: chunked\r\n".to_owned()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    head += "Connection: close\r\n\r\n";
    let whole = if chunked { chunk(body.as_bytes()) + END } else { body.clone() };
    match manner {
        Manner::Whole => stream.write_all((head + &whole).as_bytes()).await?,
        Manner::Torn => {
            let half = head.len() + whole.len() / 2;
            stream.write_all(&(head + &whole).as_bytes()[..half]).await?;
            reset(stream);
            return Ok(());
        }
        Manner::Split => {
            let chunks = body.bytes().flat_map(|byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']);
            for byte in head.bytes().chain(chunks).chain(END.bytes()) {
                stream.write_all(&[byte]).await?;
            }
        }
        Manner::SplitAt(bytes) => {
            let (first, second) = body.as_bytes().split_at(bytes.min(body.len()));
            for part in [head.into_bytes(), chunk(first).into_bytes(), chunk(second).into_bytes()] {
                stream.write_all(&part).await?;
            }
            stream.write_all(END.as_bytes()).await?;
        }
    }
    stream.shutdown().await?;
    // Waits for the other side's end, so that closing resets nothing that is under way.
    let _ = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
    Ok(())
}

/// The last chunk.
const END: &str = "0\r\n\r\n";

/// One chunk; none at all for nothing, which would be the end.
fn chunk(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    }
}

/// From now on, closing the connection resets it.
fn reset(stream: &TcpStream) {
    // Fails only for a connection that is gone already.
    let _ = stream.set_zero_linger();
}
