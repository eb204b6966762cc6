//! `edge-agent run`, but it dies where a test says: at the n-th passing of a named point.
//!
//! The points are the agent's own, told under the target `edge_agent::step`; the agent itself is
//! the one that is shipped. Two words in the environment, both optional:
//!
//! | variable | value |
//! |---|---|
//! | `FRAGILE_AGENT_DIES_AT` | a point and which passing of it: `batch.synced@3` |
//! | `FRAGILE_AGENT_PASSES` | a file to which the name of each point passed is appended, a line each |

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

fn main() -> Result<()> {
    let config: PathBuf = env::args_os().next_back().context("--config FILE")?.into();
    let points = Targets::new().with_target("edge_agent::step", Level::TRACE);
    let few = Targets::new().with_default(Level::INFO).with_target("sled", Level::WARN);
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(log.with_filter(few))
        .with(Fragile::from_environment()?.with_filter(points))
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(edge_agent::agent::run(edge_agent::config::load(&config)?))?)
}

/// Listens to the points.
struct Fragile {
    dies_at: Option<(String, AtomicU64)>,
    passes: Option<File>,
}

impl Fragile {
    fn from_environment() -> Result<Self> {
        let dies_at = match env::var("FRAGILE_AGENT_DIES_AT") {
            Ok(point) => {
                let (name, passing) = point.split_once('@').context("a point is name@n")?;
                Some((name.to_owned(), AtomicU64::new(passing.parse()?)))
            }
            Err(_) => None,
        };
        let passes = match env::var_os("FRAGILE_AGENT_PASSES") {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        Ok(Self { dies_at, passes })
    }
}

impl<S: Subscriber> Layer<S> for Fragile {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let name = event.metadata().name();
        if let Some(mut passes) = self.passes.as_ref() {
            // One write, so that lines of two threads don't mix.
            passes.write_all(format!("{name}\n").as_bytes()).expect("passes can be noted");
        }
        if let Some((point, left)) = &self.dies_at
            && point == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
        }
    }
}
