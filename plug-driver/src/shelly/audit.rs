//! The settings that make a plug safe, in either generation.

use std::time::Duration;

use crate::{Finding, FindingState, LONGEST_LEASE, Rest};

/// What `auto_off` is set to: no lease is longer.
const BACKSTOP: Duration = LONGEST_LEASE;
/// An `auto_off` below this would cut sessions rather than catch what nobody else cuts.
const SHORTEST_BACKSTOP: Duration = Duration::from_hours(1);

/// One setting, as the plug tells it.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) setting: &'static str,
    /// `None`: the plug does not tell.
    pub(super) actual: Option<String>,
    pub(super) wanted: Wanted,
}

/// What a setting should bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This word for what it is when the mains return.
    AfterMains(&'static str),
    /// Off some hours after each on, whoever gave it.
    Backstop,
    /// Never off by a timer that an on alone arms.
    NeverOff,
    /// Never on by a timer.
    NeverOn,
    /// Never switched by a button or a wired switch.
    Detached,
    /// No switching by the hour.
    NoSchedule,
    /// No jobs by the hour, of any kind.
    NoJobs,
    /// A password.
    Login,
}

impl Check {
    pub(super) fn finding(self) -> Finding {
        let Self { setting, actual, wanted } = self;
        let good = actual.as_deref().is_some_and(|actual| wanted.is_met_by(actual));
        let state = match wanted {
            _ if good => FindingState::Good,
            // A password must not travel in a url; what a job does, only its owner knows.
            Wanted::Login | Wanted::NoJobs => FindingState::ByHand,
            Wanted::AfterMains(_)
            | Wanted::Backstop
            | Wanted::NeverOff
            | Wanted::NeverOn
            | Wanted::Detached
            | Wanted::NoSchedule => FindingState::Mendable,
        };
        Finding {
            setting: setting.to_owned(),
            wanted: wanted.told(),
            actual: actual.unwrap_or_else(|| "not told".to_owned()),
            why: wanted.why(),
            state,
        }
    }
}

/// The `auto_off` of what comes to `rest`.
pub(super) fn backstop(rest: Rest) -> Option<Duration> {
    match rest {
        Rest::Off => Some(BACKSTOP),
        Rest::On | Rest::Keep => None,
    }
}

impl Wanted {
    /// What is wanted of the `auto_off` of what comes to `rest`.
    pub(super) fn auto_off(rest: Rest) -> Self {
        if backstop(rest).is_some() { Self::Backstop } else { Self::NeverOff }
    }

    fn is_met_by(self, actual: &str) -> bool {
        match self {
            Self::AfterMains(word) => actual == word,
            Self::NeverOff | Self::NeverOn | Self::NoSchedule | Self::NoJobs => actual == "off",
            Self::Detached => actual == "detached",
            Self::Login => actual == "on",
            Self::Backstop => actual
                .strip_suffix(" s")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs)
                .is_some_and(|length| (SHORTEST_BACKSTOP..=BACKSTOP).contains(&length)),
        }
    }

    fn told(self) -> String {
        match self {
            Self::AfterMains(word) => word.to_owned(),
            Self::NeverOff | Self::NeverOn | Self::NoSchedule | Self::NoJobs => "off".to_owned(),
            Self::Detached => "detached".to_owned(),
            Self::Login => "on".to_owned(),
            Self::Backstop => told_length(BACKSTOP),
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::AfterMains("off") => "else it switches on by itself when the mains return",
            Self::AfterMains("on") => {
                "else it is off after the mains return until an agent is there"
            }
            Self::AfterMains(_) => "else it is not what it was when the mains return",
            Self::Backstop => {
                "else nothing cuts it that was switched on by somebody else, or lost its lease in a restart"
            }
            Self::NeverOff => "else it cuts by itself what should stay on",
            Self::NeverOn => "else it switches on by itself after each off",
            Self::Detached => "else whoever reaches the button switches for nothing",
            Self::NoSchedule => "else it switches by the hour, whatever was paid for",
            Self::NoJobs => "a job of its own may switch it, whatever was paid for",
            Self::Login => {
                "else everybody on the network can switch it: set a password on the plug's page and name it in password_file"
            }
        }
    }
}

/// A length as findings tell it; zero is none.
pub(super) fn told_length(length: Duration) -> String {
    if length.is_zero() { "off".to_owned() } else { format!("{} s", length.as_secs()) }
}
