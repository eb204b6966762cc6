//! `edge-agent doctor`: what is wrong with this node, and the one thing to do about each (contract,
//! section 9).
//!
//! It disturbs nothing. While an agent runs, what only one can do at a time is asked of it: the link
//! to the broker, which two would take from each other, and the outlets, whose plugs serve one client
//! at a time. Without an agent the doctor does both itself, and leaves the broker's session as it was.
//! It switches nothing, publishes nothing but telemetry, and writes to a plug only where it was told
//! to mend and something differs. `docs/doctor.md` lists what it can say.

mod agent;
mod broker;
pub mod bundle;
mod clock;
mod diagnosis;
mod host;
mod identity;
mod outlets;
mod store;

use std::path::Path;

use crate::config::{self, Config, Sketch};
use crate::host::clock::{Clock, ClockSource};
use crate::local::Report;

use self::agent::Presence;
use self::diagnosis::Lines;
pub use self::diagnosis::{Diagnosis, Line, State};

/// An examination, and what it was made of.
#[derive(Debug)]
pub struct Examination {
    /// What was found.
    pub diagnosis: Diagnosis,
    /// Where things are, as far as the configuration says.
    pub sketch: Sketch,
    /// What the running agent says of itself, where one runs.
    pub report: Option<Report>,
}

/// Examines the node whose configuration is at `path`; mends what can be mended where `fix` says so.
pub async fn examine(path: &Path, fix: bool) -> Examination {
    let mut lines = Lines::default();
    let mut changed = Vec::new();
    let config = configuration(path, &mut lines);
    let sketch = Sketch::of(path).unwrap_or_default();
    let presence = Presence::of(&sketch).await;
    agent::check(&presence, config.as_ref(), &mut lines);
    let source = config.as_ref().map_or(ClockSource::Auto, |config| config.clock);
    let now = Clock::new(source).now();
    clock::check(source, now, &mut lines);
    if let Some(config) = &config {
        identity::check(config, &sketch, now.wall_ms, &mut lines);
        broker::check(config, &presence, now, &mut lines).await;
    }
    store::check(&sketch, &presence, &mut lines);
    if let Some(config) = &config {
        host::check(config, &mut lines);
        outlets::check(config, &presence, fix, &mut lines, &mut changed).await;
    }
    let report = presence.into_report();
    let named = config.map(|config| config.node.to_string());
    let diagnosis = Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        node: named.or_else(|| report.as_ref().map(|report| report.state.node.to_string())),
        at_ms: now.wall_ms,
        agent_runs: report.is_some(),
        changed,
        checks: lines.0,
    };
    Examination { diagnosis, sketch, report }
}

fn configuration(path: &Path, lines: &mut Lines) -> Option<Config> {
    match config::load(path) {
        Ok(config) => {
            let (outlets, stations) = (config.outlets.len(), config.stations.len());
            let found = format!("{}: outlets {outlets}, stations {stations}", path.display());
            lines.ok("configuration", found);
            Some(config)
        }
        Err(error) => {
            let remedy = "correct it; what hangs on it is checked after that";
            lines.wrong("configuration", error.to_string(), remedy);
            None
        }
    }
}
