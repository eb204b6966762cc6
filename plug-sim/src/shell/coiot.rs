//! A Shelly's `CoIoT` socket: questions by unicast, answered at once.

use std::sync::Arc;

use tokio::net::UdpSocket;

use super::Shared;

/// Longer questions are cut off; all that we know are short.
const QUESTION: usize = 1_024;

pub(super) async fn serve(socket: UdpSocket, shared: Arc<Shared>) {
    let mut packet = [0; QUESTION];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        if let Some(reply) = shared.look(|device| device.coiot(&packet[..length])) {
            // Who is gone gets no answer.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}
