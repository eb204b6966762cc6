//! What an operator wrote in `agent.toml` (contract, section 8), parsed into types and checked as a whole.
//!
//! What comes out can be run as it is: the paths, ranges and names were checked, and a mistake is
//! told by file, line and reason. It must never print a secret, and never reach the network.

mod check;
mod driver;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod guarded;
mod identity;
mod named;
mod outlets;
mod pins;
mod sketch;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_protocol::codec::Encoding;
use edge_protocol::id::{GroupId, NodeId, OutletId, StationId};

use crate::endpoint::Endpoint;
use crate::host::clock::{Clock, ClockSource};
use crate::node::settings::{Button, Rest};

pub use driver::Driver;
pub(crate) use driver::password;
pub use sketch::Sketch;

/// Where the configuration is unless the command line names another place.
pub const DEFAULT_PATH: &str = "/etc/edge-agent/agent.toml";

/// Reads the configuration at `path` and all that it names: the certificates, the password files.
///
/// # Errors
/// The first thing that is wrong, by file, line and reason.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        file: path.to_owned(),
        line: None,
        reason: format!("can't be read: {error}"),
    })?;
    // A lower bound is enough: what has expired by then has expired.
    let wall_ms = Clock::new(ClockSource::Untrusted).now().wall_ms;
    check::check(&text, wall_ms).map_err(|flaw| flaw.told(path, &text))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node; the common name of its certificate.
    pub node: NodeId,
    /// The groups whose commands it takes.
    pub groups: Vec<GroupId>,
    /// Where the store is.
    pub data_dir: PathBuf,
    /// The way to the control plane.
    pub broker: Broker,
    /// When the node's certificate expires, UTC.
    pub certificate_expires_at_ms: u64,
    /// Who answers for the wall clock.
    pub clock: ClockSource,
    /// What a session gets that asks for nothing else.
    pub sessions: SessionDefaults,
    /// The outbox's bound.
    pub outbox_max_bytes: u64,
    /// The queue of tasks and what runs them.
    pub tasks: Tasks,
    /// Where the page and `/metrics` are, on loopback; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The socket of `status` and of local switching.
    pub socket: PathBuf,
    /// The socket of the keeper of GPIO lines; `None`: there is none.
    pub keeper: Option<PathBuf>,
    /// The outlets, in the file's order; their ids differ.
    pub outlets: Vec<OutletConfig>,
    /// The stations, in the file's order; their ids differ.
    pub stations: Vec<StationConfig>,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub hash: String,
    /// What is no error, yet an operator should hear: one sentence each.
    pub warnings: Vec<String>,
}

/// The way to the control plane. The certificates are paths, so that a renewed one counts at the next connect.
#[derive(Debug, Clone)]
pub struct Broker {
    /// At least one; tried in order.
    pub endpoints: Vec<Endpoint>,
    /// PEM: who may have signed the broker's certificate.
    pub ca_file: PathBuf,
    /// PEM: the node's certificate, then those between it and the CA.
    pub cert_file: PathBuf,
    /// PEM: the key of the node's certificate.
    pub key_file: PathBuf,
    /// How the node writes.
    pub encoding: Encoding,
    /// What every topic starts with, without a slash at either end.
    pub topic_root: String,
    /// MQTT's keep alive: 5 s to 18 h.
    pub keep_alive: Duration,
    /// The first pause before another try; not above `reconnect_max`.
    pub reconnect_min: Duration,
    /// The longest pause before another try.
    pub reconnect_max: Duration,
}

/// What a session gets that asks for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDefaults {
    /// When to warn before the deadline, the earliest first.
    pub warn_before_ms: Vec<u64>,
    /// From the deadline to the off time.
    pub grace_ms: u64,
    /// The least time between two ons of one circuit.
    pub stagger_ms: u64,
}

/// The queue of tasks and what runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tasks {
    /// How many run at once: 1 to 64.
    pub concurrency: usize,
    /// How many may wait.
    pub max_queued: usize,
    /// How large those that wait may be together.
    pub max_bytes: u64,
    /// The executables that `script` tasks may name.
    pub scripts_dir: PathBuf,
}

/// One outlet.
#[derive(Debug, Clone)]
pub struct OutletConfig {
    /// Which outlet.
    pub id: OutletId,
    /// What switches it.
    pub driver: Driver,
    /// What it is when nothing covers it.
    pub rest: Rest,
    /// What its button means within a session.
    pub button: Button,
    /// Within the grace the cut comes as soon as the load draws less than this, in milliwatts.
    pub cut_below_mw: Option<u64>,
    /// How long it stays off at least.
    pub min_off_ms: Option<u64>,
    /// The circuit whose breaker its inrush loads; `None`: the node's one.
    pub circuit: Option<String>,
    /// How often its relay may close, where its data sheet says.
    pub rated_cycles: Option<u64>,
}

/// What a customer uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationConfig {
    /// Which station.
    pub id: StationId,
    /// At least one, each configured, in no other station; on in this order, off in reverse.
    pub outlets: Vec<OutletId>,
}

/// A configuration that can't be run. Prints as `FILE:LINE: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The configuration.
    pub file: PathBuf,
    /// Where in it, from 1, if it is at any one place.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// A [`ConfigError`] before its file and line are known.
#[derive(Debug)]
struct Flaw {
    at: Option<Range<usize>>,
    reason: String,
}

impl Flaw {
    /// As an operator reads it, `text` being what stands in `file`.
    fn told(self, file: &Path, text: &str) -> ConfigError {
        let line = self.at.map(|span| line_of(text, span.start));
        ConfigError { file: file.to_owned(), line, reason: self.reason }
    }

    /// What is wrong with the value there.
    fn at<T>(value: &toml::Spanned<T>, reason: impl Into<String>) -> Self {
        Self { at: Some(value.span()), reason: reason.into() }
    }
}
