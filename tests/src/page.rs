//! Somebody who looks at a node's page, over plain HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use edgectl::lab::site::Site;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::within;

/// Where a page is.
#[derive(Debug, Clone)]
pub struct Look {
    address: SocketAddr,
}

impl Look {
    /// The page of a site's agent, which was started just now, and for the first time: its log tells
    /// where, a moment after it is ready, since a thread of its own writes it.
    ///
    /// # Errors
    /// It has none.
    pub async fn at(site: &Site) -> Result<Self> {
        let log = within("the log tells that the agent runs", async {
            loop {
                let log = std::fs::read_to_string(site.folder().join("agent.log"))?;
                if log.contains(": running node=") {
                    return Ok(log);
                }
                tokio::task::yield_now().await;
            }
        });
        let log = log.await?;
        let told = log.rsplit_once("the page is at http://").context("no page")?.1;
        let address = told.split_whitespace().next().context("an address")?.parse()?;
        Ok(Self { address })
    }

    /// The page at `address`.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is at `path`, which must be there.
    ///
    /// # Errors
    /// It is not.
    pub async fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        // Of that version, so that the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
        ensure!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "{path}: {head}");
        Ok(body.to_owned())
    }

    /// The first `/status.json` for which `wanted` says yes.
    ///
    /// # Errors
    /// It does not come.
    pub async fn report(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        within("a report", async {
            loop {
                let report = serde_json::from_str(&self.get("/status.json").await?)?;
                if wanted(&report) {
                    return Ok(report);
                }
            }
        })
        .await
    }

    /// The first `/metrics` that hold this line.
    ///
    /// # Errors
    /// They do not come.
    pub async fn metrics(&self, line: &str) -> Result<String> {
        within(line, async {
            loop {
                let metrics = self.get("/metrics").await?;
                if metrics.lines().any(|told| told == line) {
                    return Ok(metrics);
                }
            }
        })
        .await
    }

    /// So many who begin to ask and never finish, or ask and never read.
    ///
    /// # Errors
    /// They can't connect.
    pub async fn rude(&self, count: usize) -> Result<Vec<TcpStream>> {
        let mut streams = Vec::new();
        for number in 0..count {
            let mut stream = TcpStream::connect(self.address).await?;
            let ending = if number % 2 == 0 { "" } else { "\r\n\r\n" };
            let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost{ending}");
            stream.write_all(request.as_bytes()).await?;
            streams.push(stream);
        }
        Ok(streams)
    }
}

/// Many who look again and again, on a thread of their own, so that they delay nobody in the story.
/// Dropped, they go.
#[derive(Debug)]
pub struct Crowd {
    go: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// So many, each at the page, its status and its metrics in turn.
    #[must_use]
    pub fn gather(look: &Look, count: usize) -> Self {
        let (look, go) = (look.clone(), Arc::new(AtomicBool::new(false)));
        let gone = Arc::clone(&go);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for the crowd").block_on(async {
                let mut lookers = tokio::task::JoinSet::new();
                for looker in 0..count {
                    let (look, gone) = (look.clone(), Arc::clone(&gone));
                    lookers.spawn(async move {
                        for path in ["/", "/status.json", "/metrics"].iter().cycle().skip(looker) {
                            // Who is hung up on comes again.
                            let _ = look.get(path).await;
                            if gone.load(Ordering::Relaxed) {
                                return;
                            }
                        }
                    });
                }
                lookers.join_all().await;
            });
        });
        Self { go, thread: Some(thread) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.go.store(true, Ordering::Relaxed);
        // A crowd that panicked has nothing more to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Where a program is installed, if it is.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
