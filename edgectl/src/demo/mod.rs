//! The demo: a paid session on one plug, told to a person, with everything real that can be.
//!
//! [`tools`] gets the programs that it needs, [`script`] plays the session and looks whether
//! each step is true, [`screen`] shows it, [`summary`] says what it came to. Real are the agent, a broker with mutual TLS, the
//! certificates and the HTTP to the plug; played are the plug, the control plane and whoever
//! kills the agent. Whatever it starts or writes goes when [`script::play`] returns or is dropped.

pub(crate) mod screen;
pub(crate) mod script;
pub(crate) mod summary;
pub(crate) mod tools;

use std::io;
use std::path::Path;
use std::time::Duration;

use edgectl::lab::agent::AgentError;
use edgectl::lab::mosquitto::InstallError;
use edgectl::lab::site::SiteError;

/// When what happens, counted from the moment that the power is paid for. All of it scales with
/// the length of the session, so that a short one is told whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// What is paid for in all.
    pub(crate) total: Duration,
    /// What is paid for at first.
    pub(crate) bought: Duration,
    /// What is paid for later.
    pub(crate) more: Duration,
    /// How long before the end the customer is warned.
    pub(crate) warn_before: Duration,
    /// When more is paid for: between the first warning and the end of what was bought.
    pub(crate) extend_at: Duration,
    /// When the agent is killed.
    pub(crate) kill_at: Duration,
    /// When it is started again: before the second warning.
    pub(crate) start_again_at: Duration,
}

impl Plan {
    /// A session of so many seconds in all.
    pub(crate) fn of(seconds: u64) -> Self {
        let part = |percent: u64| Duration::from_millis(seconds * 10 * percent);
        // As long as the service manager of a node waits, or a little longer to be seen.
        let dead = part(10).min(Duration::from_secs(5));
        Self {
            total: part(100),
            bought: part(60),
            more: part(40),
            warn_before: part(35),
            extend_at: part(30),
            kill_at: part(45),
            start_again_at: part(45) + dead,
        }
    }
}

/// Why the demo ends before its end, or without having shown what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The agent could not be built.
    #[error("can't build edge-agent:\n{0}")]
    Build(String),
    /// The agent is not there.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// There is no broker to be had.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The surroundings of the node could not be made.
    #[error("can't set the café up: {0}")]
    Site(#[from] SiteError),
    /// The plug's port or a file.
    #[error("can't set the café up: {0}")]
    Files(#[source] io::Error),
    /// A step was not seen to be true.
    #[error("{what}\n{log}")]
    NotTrue {
        /// What was seen instead.
        what: String,
        /// The end of the agent's log.
        log: String,
    },
    /// Nobody reads any more.
    #[error("can't write to standard output: {0}")]
    Screen(#[source] io::Error),
}

impl Trouble {
    /// A step that was not seen to be true, with the end of the log in `folder`.
    pub(crate) fn not_true(what: String, folder: &Path) -> Self {
        /// Enough to see a start and what went wrong after it.
        const LINES: usize = 20;
        let log = std::fs::read_to_string(folder.join("agent.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        let log = format!("the log of edge-agent ends:\n  {end}");
        Self::NotTrue { what, log }
    }
}

/// A duration of some minutes at most, in milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("it is minutes")
}

/// A duration as people say it: `12 s`, `4.5 s`, `7 ms`.
pub(crate) fn said(duration: Duration) -> String {
    let ms = duration.as_millis();
    match (ms / 1000, ms % 1000) {
        (0, ms) if ms > 0 => format!("{ms} ms"),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, rest) => {
            let decimals = format!("{rest:03}");
            format!("{seconds}.{} s", decimals.trim_end_matches('0'))
        }
    }
}

/// To the nearest tenth of a second, as precise as the story's lines.
pub(crate) fn tenths(duration: Duration) -> Duration {
    Duration::from_millis((ms(duration) + 50) / 100 * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_tells_the_whole_story_in_its_order() {
        for plan in (10..=300).map(Plan::of) {
            let first_warning = plan.bought - plan.warn_before;
            let second_warning = plan.total - plan.warn_before;
            let order = [
                first_warning,
                plan.extend_at,
                plan.kill_at,
                plan.start_again_at,
                second_warning,
                plan.total,
            ];
            assert!(order.is_sorted() && plan.extend_at < plan.bought, "{plan:?}");
            assert_eq!(plan.bought + plan.more, plan.total);
            assert!(plan.start_again_at - plan.kill_at >= Duration::from_secs(1));
        }
    }

    #[test]
    fn durations_are_told_as_people_say_them() {
        let told = [12_000, 4_500, 7, 0, 20_031].map(|ms| said(Duration::from_millis(ms)));
        assert_eq!(told, ["12 s", "4.5 s", "7 ms", "0 s", "20.031 s"]);
    }
}
