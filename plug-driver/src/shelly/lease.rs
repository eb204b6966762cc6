//! The timer that holds a lease, and whose clock tells what is left of it.
//!
//! A plug of the first generation counts down and tells what is left. A later one tells when the
//! timer started and how long it is, by a wall clock that is wrong until it has reached a time
//! server, and then jumps. So a lease that we armed counts on our own clock from the moment it was
//! sent, for as long as the plug tells of the same timer; only one that we met is reckoned by the
//! plug's clock, where that makes sense.

use std::time::Duration;

use tokio::time::Instant;

use crate::LONGEST_LEASE;

/// Plugs are told whole seconds.
pub(super) const STEP: Duration = Duration::from_secs(1);
/// Shorter leases serve nobody.
const SHORTEST: Duration = Duration::from_secs(1);
/// How far a timer that was read back may be from the wanted one: a plug counts in seconds.
const TOLERANCE: Duration = Duration::from_secs(2);
/// How far two tellings of one start may be apart: the plug repeats a number that it keeps.
const SAME_START: f64 = 0.000_1;
/// What a plug's clock may be wrong by within one reply: it tells whole seconds.
const GRAIN: f64 = 1.0;

/// `lease` within what a plug is given: whole seconds, never less than `lease`.
pub(super) fn seconds_for(lease: Duration) -> u64 {
    let lease = lease.clamp(SHORTEST, LONGEST_LEASE);
    lease.as_secs() + u64::from(lease.subsec_nanos() > 0)
}

/// A timer that runs in a plug.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timer {
    /// The plug tells what is left.
    CountsDown(Duration),
    /// The plug tells how long it is, and the rest by its own clock.
    Started {
        length: Duration,
        /// On the plug's clock, in seconds: the name of this timer, whatever that clock shows.
        at: Option<f64>,
        /// What is left by the plug's clock, where that makes sense.
        by_its_clock: Option<Duration>,
    },
}

impl Timer {
    /// A timer of `length` that started `at`, told by a plug whose clock shows `now` and that has
    /// been up for `uptime`, all in seconds.
    pub(super) fn started(
        length: Duration,
        at: Option<f64>,
        now: Option<f64>,
        uptime: Option<Duration>,
    ) -> Self {
        let gone = match (at, now) {
            (Some(at), Some(now)) => Some(now - at),
            (_, None) | (None, _) => None,
        };
        // A timer does not outlive a restart, nor its own end; where it seems to, the clock was set
        // in between.
        let most = uptime.map_or(length, |uptime| uptime.min(length)).as_secs_f64() + GRAIN;
        let gone = gone.filter(|gone| (-GRAIN..=most).contains(gone)).map(|gone| gone.max(0.0));
        let by_its_clock = gone
            .and_then(|gone| Duration::try_from_secs_f64(gone).ok())
            .map(|gone| length.saturating_sub(gone));
        Self::Started { length, at, by_its_clock }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Started { length, at: Some(at), .. },
                Self::Started { length: other_length, at: Some(other_at), .. },
            ) => length == other_length && (at - other_at).abs() < SAME_START,
            (Self::Started { .. } | Self::CountsDown(_), _) => false,
        }
    }
}

/// A lease that was armed and read back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Armed {
    timer: Timer,
    sent: Instant,
}

/// The timer that runs after `wanted` was sent at `sent`, if it is that one: not one that ran
/// `before`, nor one of another length.
pub(super) fn confirmed(
    wanted: Duration,
    sent: Instant,
    before: Option<Timer>,
    timer: Option<Timer>,
) -> Option<Armed> {
    let timer = timer?;
    let ours = match timer {
        Timer::CountsDown(remaining) => {
            remaining + sent.elapsed() + TOLERANCE >= wanted && remaining <= wanted + TOLERANCE
        }
        Timer::Started { length, .. } => {
            length.abs_diff(wanted) < STEP && !before.is_some_and(|before| before.is(&timer))
        }
    };
    ours.then_some(Armed { timer, sent })
}

/// What is left of `timer`; `None` where neither clock tells.
pub(super) fn remaining(timer: Timer, armed: Option<Armed>) -> Option<Duration> {
    match timer {
        Timer::CountsDown(remaining) => Some(remaining),
        Timer::Started { length, by_its_clock, .. } => match armed {
            Some(armed) if armed.timer.is(&timer) => {
                Some(length.saturating_sub(armed.sent.elapsed()))
            }
            Some(_) | None => by_its_clock,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn told(at: f64, now: f64, uptime_s: u64) -> Option<Duration> {
        let uptime = Some(Duration::from_secs(uptime_s));
        remaining(Timer::started(MINUTE, Some(at), Some(now), uptime), None)
    }

    #[test]
    fn a_lease_is_whole_seconds_and_never_less_than_wanted() {
        for (lease_ms, seconds) in
            [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60), (99 * 3_600_000, 64_800)]
        {
            assert_eq!(seconds_for(Duration::from_millis(lease_ms)), seconds, "{lease_ms}");
        }
    }

    #[test]
    fn a_timer_that_was_met_is_reckoned_by_the_plugs_clock_where_that_makes_sense() {
        assert_eq!(told(1_000.0, 1_020.0, 500), Some(Duration::from_secs(40)));
        assert_eq!(told(1_000.9, 1_000.0, 500), Some(MINUTE), "it tells whole seconds");
        for (at, now, uptime_s, why) in [
            (1_000.0, 1_700_000_000.0, 500, "it was set by a time server meanwhile"),
            (1_000.0, 900.0, 500, "it was set back"),
            (1_000.0, 1_030.0, 9, "it started before the plug did"),
        ] {
            assert_eq!(told(at, now, uptime_s), None, "{why}");
        }
        assert_eq!(remaining(Timer::started(MINUTE, None, Some(1.0), None), None), None);
        assert_eq!(remaining(Timer::started(MINUTE, Some(1.0), None, None), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_armed_counts_on_our_clock_whatever_the_plugs_shows() {
        let sent = Instant::now();
        let timer = Timer::started(MINUTE, Some(5.0), Some(5.0), None);
        let armed = confirmed(MINUTE, sent, None, Some(timer));
        assert!(armed.is_some());
        tokio::time::advance(Duration::from_secs(20)).await;
        let jumped = Timer::started(MINUTE, Some(5.0), Some(1_700_000_000.0), None);
        assert_eq!(remaining(jumped, armed), Some(Duration::from_secs(40)));
        let another = Timer::started(MINUTE, Some(9.0), Some(19.0), None);
        assert_eq!(remaining(another, armed), Some(Duration::from_secs(50)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_ran_before_or_has_another_length_is_not_the_one_that_was_sent() {
        let sent = Instant::now();
        let timer = Timer::started(MINUTE, Some(5.0), Some(5.0), None);
        assert!(confirmed(MINUTE, sent, Some(timer), Some(timer)).is_none());
        assert!(confirmed(MINUTE * 2, sent, None, Some(timer)).is_none());
        assert!(confirmed(MINUTE, sent, None, None).is_none());
        for (remaining_s, ours) in [(57, false), (58, true), (62, true), (63, false)] {
            let timer = Timer::CountsDown(Duration::from_secs(remaining_s));
            assert_eq!(confirmed(MINUTE, sent, None, Some(timer)).is_some(), ours, "{remaining_s}");
        }
    }
}
