//! Reads the machine's figures beside the loop: a file system that hangs must not delay an off.

use edge_protocol::codec::{Encoding, encode};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::host::figures::{Figures, Machine};
use crate::node::time::Now;

/// Starts who answers each instant with the figures read then, encoded as telemetry. It ends when
/// nobody asks any more.
pub(super) fn spawn(machine: Machine, encoding: Encoding) -> (Sender<Now>, Receiver<Vec<u8>>) {
    let (ask, mut asked) = channel::<Now>(1);
    let (tell, told) = channel(1);
    tokio::spawn(async move {
        let mut before: Option<Figures> = None;
        while let Some(now) = asked.recv().await {
            let machine = machine.clone();
            let Ok(figures) = tokio::task::spawn_blocking(move || machine.read()).await else {
                tracing::warn!("the machine's figures can't be read");
                continue;
            };
            let telemetry = figures.telemetry(now, before.as_ref());
            before = Some(figures);
            if tell.send(encode(encoding, &telemetry)).await.is_err() {
                return;
            }
        }
    });
    (ask, told)
}
