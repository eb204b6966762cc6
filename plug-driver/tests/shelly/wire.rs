//! How a scripted plug's replies travel, and a digest as a plug checks it.

use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::scripted::Device;

/// How a reply travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// In chunks of so many bytes, each written alone.
    Chunks(usize),
    /// This status and body instead of the true ones; the request has no effect.
    Instead(u16, String),
    /// The request takes effect and the connection closes without a byte.
    ObeyAndClose,
    /// The request takes effect and the connection is reset within the body.
    ResetInBody,
    /// Nothing comes, and the connection stays open.
    Stall,
    /// Bytes that are no HTTP.
    Noise,
}

/// A plug's answer: status, what it asks for as a login, body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, challenge: None, body: body.into() }
    }
}

/// Serves `device`, one connection after the other as plugs do.
pub(crate) async fn serve(listener: TcpListener, device: Arc<Mutex<Device>>) {
    let mut stalled = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        if !serve_one(&mut stream, &device).await {
            stalled.push(stream);
        }
    }
}

/// `false`: the stream is to be kept open without an answer.
async fn serve_one(stream: &mut TcpStream, device: &Mutex<Device>) -> bool {
    let Some(request) = request(stream).await else { return true };
    let target = request.split(' ').nth(1).unwrap().to_owned();
    assert!(request.starts_with("GET "), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{request}");
    let authorization = request
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("authorization: "))
        .map(|line| line["authorization: ".len()..].to_owned());
    let (wire, answer) = {
        let mut device = device.lock().unwrap();
        let wire = device.wire_of(&target);
        let answer = match &wire {
            Wire::Instead(status, body) => {
                device.log(&target, authorization.as_deref());
                Answer::new(*status, body.clone())
            }
            Wire::Stall | Wire::Noise => {
                device.log(&target, authorization.as_deref());
                Answer::new(200, "")
            }
            Wire::Chunks(_) | Wire::ObeyAndClose | Wire::ResetInBody => {
                device.answer(&target, authorization.as_deref())
            }
        };
        (wire, answer)
    };
    let size = match wire {
        Wire::Chunks(size) => size,
        Wire::Instead(..) => usize::MAX,
        Wire::ObeyAndClose => return true,
        Wire::Stall => return false,
        Wire::Noise => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            return true;
        }
        Wire::ResetInBody => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.body.len());
            let half = &answer.body[..answer.body.len() / 2];
            let _ = stream.write_all(format!("{head}{half}").as_bytes()).await;
            let _ = stream.set_zero_linger();
            return true;
        }
    };
    let challenge = answer.challenge.map(|asked| format!("WWW-Authenticate: {asked}\r\n"));
    let mut pieces = vec![format!(
        "HTTP/1.1 {} X\r\nServer: ShellyHTTP/1.0.0\r\n{}Transfer-Encoding: chunked\r\n\r\n",
        answer.status,
        challenge.unwrap_or_default()
    )];
    for chunk in answer.body.as_bytes().chunks(size) {
        pieces.push(format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()));
    }
    pieces.push("0\r\n\r\n".to_owned());
    for piece in pieces {
        // A client that has read enough closes first.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    true
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// What a plug checks of a digest: the nonce, its count, and whether the password was right.
pub(crate) struct Digest {
    pub(crate) nonce: String,
    pub(crate) count: u32,
    pub(crate) right: bool,
}

impl Digest {
    pub(crate) fn of(authorization: &str, target: &str, realm: &str, password: &str) -> Self {
        let parameters = authorization.strip_prefix("Digest ").unwrap();
        let value = |name: &str| {
            let found = parameters.split(", ").find_map(|one| one.strip_prefix(name));
            let found = found.unwrap_or_else(|| panic!("no {name} in {authorization}"));
            found.strip_prefix('=').unwrap().trim_matches('"').to_owned()
        };
        assert_eq!(value("uri"), target);
        assert_eq!((value("username").as_str(), value("algorithm").as_str()), ("admin", "SHA-256"));
        let (nonce, nc, cnonce) = (value("nonce"), value("nc"), value("cnonce"));
        let who = sha_256(&format!("admin:{realm}:{password}"));
        let what = sha_256(&format!("GET:{target}"));
        let expected = sha_256(&format!("{who}:{nonce}:{nc}:{cnonce}:auth:{what}"));
        assert_eq!(nc.len(), 8, "{nc}");
        let count = u32::from_str_radix(&nc, 16).unwrap();
        Self { nonce, count, right: value("response") == expected && value("realm") == realm }
    }
}

fn sha_256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text out of a query.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%' {
            let code = str::from_utf8(&behind[..2]).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}
