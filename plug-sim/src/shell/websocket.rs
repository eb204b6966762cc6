//! A Shelly's frames over WebSocket, and what it tells there without being asked.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Shared;
use crate::Device;

/// Until either side hangs up or the plug restarts.
pub(super) async fn serve(mut stream: TcpStream, key: &str, shared: &Shared) {
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let mut changes = shared.changes.subscribe();
    let (mut known, boots) = shared.look(|device| (outputs(device), device.boot_count()));
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                let Ok(text) = message.into_text() else { return };
                if text.is_empty() {
                    continue;
                }
                let answer = shared.change(|device| device.frame(text.as_str()));
                let Some(answer) = answer else { continue };
                if socket.send(Message::text(answer)).await.is_err() {
                    return;
                }
            }
            changed = changes.changed() => if changed.is_err() { return },
        }
        let (now, notices, same_boot) = shared.look(|device| {
            let now = outputs(device);
            let changed = now.iter().zip(&known).zip(1..).filter(|((now, known), _)| now != known);
            let notices: Vec<String> =
                changed.filter_map(|(_, relay)| device.notice(relay)).collect();
            (now, notices, device.boot_count() == boots)
        });
        if !same_boot {
            return;
        }
        known = now;
        for notice in notices {
            if socket.send(Message::text(notice)).await.is_err() {
                return;
            }
        }
    }
}

fn outputs(device: &Device) -> Vec<bool> {
    device.board().relays.iter().map(|relay| relay.on).collect()
}
