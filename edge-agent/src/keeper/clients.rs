//! Who asks the keeper: a request and an answer a connection, few at a time, none for long.

use std::io;
use std::time::Duration;

use plug_driver::Kind;
use plug_driver::keeper::{Answer, MAX_BYTES, Op, Request, VERSION};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many are listened to at a time; more wait for their turn in the socket's queue.
const MAX_CLIENTS: usize = 32;
/// A client that is slower is hung up on.
const PATIENCE: Duration = Duration::from_millis(500);

/// A request, and who waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    reply: oneshot::Sender<Answer>,
}

impl Asked {
    /// Answers it; who has gone away has had what was asked for all the same.
    pub(super) fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }
}

/// Everybody who has connected.
#[derive(Debug)]
pub(super) struct Clients {
    listener: UnixListener,
    connected: JoinSet<io::Result<()>>,
    ask: mpsc::Sender<Asked>,
    asked: mpsc::Receiver<Asked>,
}

impl Clients {
    pub(super) fn new(listener: UnixListener) -> Self {
        let (ask, asked) = mpsc::channel(MAX_CLIENTS);
        Self { listener, connected: JoinSet::new(), ask, asked }
    }

    /// The next request. Dropping the future loses none.
    pub(super) async fn asks(&mut self) -> Asked {
        loop {
            tokio::select! {
                biased;
                Some(asked) = self.asked.recv() => return asked,
                Some(_over) = self.connected.join_next() => {}
                accepted = self.listener.accept(), if self.connected.len() < MAX_CLIENTS => {
                    match accepted {
                        Ok((stream, _)) => {
                            self.connected.spawn(serve(stream, self.ask.clone()));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the keeper's socket can't be read");
                            tokio::time::sleep(PATIENCE).await;
                        }
                    }
                }
            }
        }
    }
}

async fn serve(stream: UnixStream, ask: mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(reader.take(most));
    let Ok(read) = timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await else {
        return Ok(());
    };
    read?;
    let reader = reader.into_inner().into_inner();
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if request.op == Op::On && has_gone(&reader) => return Ok(()),
        Ok(request) => {
            let (reply, answer) = oneshot::channel();
            if ask.send(Asked { request, reply }).await.is_err() {
                return Ok(());
            }
            let Ok(answer) = answer.await else { return Ok(()) };
            answer
        }
        Err(error) => Answer::Failed {
            v: VERSION,
            error: Kind::Refused,
            message: format!("that is no request: {error}"),
        },
    };
    let mut text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    text.push(b'\n');
    match timeout(PATIENCE, writer.write_all(&text)).await {
        Ok(written) => written,
        Err(_) => Ok(()),
    }
}

/// Whether the asker no longer waits. A keeper that was frozen finds requests whose askers have
/// long done something else: an off is as good late, an on is not.
fn has_gone(reader: &OwnedReadHalf) -> bool {
    matches!(reader.try_read(&mut [0]), Ok(0))
}
