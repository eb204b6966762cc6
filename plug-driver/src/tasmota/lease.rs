//! The three timers of a plug that can hold a lease, and their arithmetic.
//!
//! `TimedPower<n> <ms>` (firmware 13.4 and later) is on now and off after it, kept in RAM; it
//! survives an off. `RuleTimer<n> <s>` (builds with rules) is an event that a stored rule makes an
//! off of; it is in RAM and survives an off too, and it is lost if the rules are off or at work
//! when it ends. `PulseTime<n> <code>` (every firmware) is armed by each on, kept in flash, and
//! cancelled by an off.

use std::time::Duration;

use tokio::time::Instant;

use crate::LONGEST_LEASE;

/// `TimedPower` counts in these.
pub(super) const TIMED_POWER_STEP: Duration = Duration::from_millis(50);
/// `RuleTimer` counts in these.
pub(super) const RULE_TIMER_STEP: Duration = Duration::from_secs(1);
/// `PulseTime` counts in these from 12 s on, and more finely below.
pub(super) const PULSE_TIME_STEP: Duration = Duration::from_secs(1);
/// Shorter leases serve nobody, and `TimedPower<n> 0` would be a pulse of 50 ms.
const SHORTEST: Duration = Duration::from_secs(1);
/// How far a timer that was read back may be from the wanted one: a plug counts in steps of up
/// to a second, and truncates.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A lease that was asked for. What comes before it is armed takes time, and a plug that is met for
/// the first time is asked a good deal: a lease armed in full after that would end too late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    begun: Instant,
    lease: Duration,
}

impl Term {
    pub(super) fn from_now(lease: Duration) -> Self {
        Self { begun: Instant::now(), lease }
    }

    /// What is left of it, up to a second more.
    pub(super) fn left(&self) -> Duration {
        self.lease.saturating_sub(Duration::from_secs(self.begun.elapsed().as_secs()))
    }
}

/// `lease` within what every plug can hold.
pub(super) fn within_range(lease: Duration) -> Duration {
    lease.clamp(SHORTEST, LONGEST_LEASE)
}

/// Milliseconds for `TimedPower`: never less than `lease`.
pub(super) fn timed_power(lease: Duration) -> u64 {
    let step = TIMED_POWER_STEP.as_millis();
    let steps = within_range(lease).as_nanos().div_ceil(TIMED_POWER_STEP.as_nanos());
    u64::try_from(steps * step).expect("18 h are 64.8 million milliseconds")
}

/// Seconds for `RuleTimer`: never less than `lease`.
pub(super) fn rule_timer(lease: Duration) -> u64 {
    let seconds = within_range(lease).as_nanos().div_ceil(RULE_TIMER_STEP.as_nanos());
    u64::try_from(seconds).expect("18 h are 64,800 s")
}

/// The code for `PulseTime`: never less than `lease`.
pub(super) fn pulse_time(lease: Duration) -> u16 {
    let lease = within_range(lease).as_nanos();
    let tenths = lease.div_ceil(Duration::from_millis(100).as_nanos());
    let code = if tenths <= 111 {
        tenths
    } else {
        lease.div_ceil(Duration::from_secs(1).as_nanos()) + 100
    };
    u16::try_from(code).expect("18 h are code 64,900")
}

/// How long the timer with `code` runs; zero: there is none.
pub(super) fn pulse_length(code: u16) -> Duration {
    match code {
        0..=111 => Duration::from_millis(100) * u32::from(code),
        112.. => Duration::from_secs(u64::from(code) - 100),
    }
}

/// Whether a timer set to `wanted` may show `remaining`, `elapsed` after the command was sent.
/// The plug got it at an unknown moment in between.
pub(super) fn agrees(wanted: Duration, elapsed: Duration, remaining: Duration) -> bool {
    remaining + elapsed + TOLERANCE >= wanted && remaining <= wanted + TOLERANCE
}

/// What a plug tells of its timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timers {
    /// The plug has `TimedPower`; these run, of all relays.
    TimedPower(Vec<TimedCommand>),
    /// The plug has `RuleTimer`, and a rule of ours or room for one; this is left of our relay's.
    RuleTimer(Option<Duration>),
    /// The plug has `PulseTime` only; this is our relay's.
    PulseTime(PulseTime),
    /// The plug has neither (a minimal firmware), or none for a relay of this number.
    Absent,
}

/// A command that a plug will give itself: `Power<relay> <action>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedCommand {
    pub(super) remaining: Duration,
    /// From 1; 0 is all relays.
    pub(super) relay: u8,
    /// 0 off, 1 on, 2 toggle, 3 blink, 4 end of blinking.
    pub(super) action: u8,
}

impl TimedCommand {
    /// Whether it will do something to `relay`.
    pub(super) fn touches(&self, relay: u8) -> bool {
        self.relay == relay || self.relay == 0
    }

    /// Whether it is the one that a lease of `relay` consists of.
    fn is_lease_of(&self, relay: u8) -> bool {
        self.relay == relay && self.action == 0
    }

    /// Whether clearing the timers of `relay` takes this one of another relay along: plugs
    /// compare only as many letters as `Power<relay>` has.
    pub(super) fn shares_prefix_with(&self, relay: u8) -> bool {
        self.relay != relay && self.relay.to_string().starts_with(&relay.to_string())
    }
}

/// One `PulseTime` timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PulseTime {
    /// What each on arms, as a code; 0: nothing.
    pub(super) set: u16,
    /// What is left, as a code; 0: it does not run.
    pub(super) remaining: u16,
}

impl Timers {
    /// When `relay` will be switched off, if it will.
    pub(super) fn remaining(&self, relay: u8) -> Option<Duration> {
        match self {
            Self::TimedPower(commands) => commands
                .iter()
                .filter(|command| command.touches(relay) && command.action == 0)
                .map(|command| command.remaining)
                .min(),
            Self::RuleTimer(remaining) => *remaining,
            Self::PulseTime(timer) => (timer.remaining > 0).then(|| pulse_length(timer.remaining)),
            Self::Absent => None,
        }
    }

    /// Whether the lease of `relay` that was `wanted`, and nothing else, runs for it.
    pub(super) fn hold(&self, relay: u8, wanted: Duration, elapsed: Duration) -> bool {
        let alone = match self {
            Self::TimedPower(commands) => {
                let mut ours = commands.iter().filter(|command| command.touches(relay));
                ours.next().is_some_and(|only| only.is_lease_of(relay)) && ours.next().is_none()
            }
            Self::PulseTime(timer) => pulse_length(timer.set) == wanted,
            Self::RuleTimer(_) => true,
            Self::Absent => false,
        };
        let remaining = self.remaining(relay);
        alone && remaining.is_some_and(|remaining| agrees(wanted, elapsed, remaining))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    fn off_after(seconds: u64, relay: u8) -> TimedCommand {
        TimedCommand { remaining: Duration::from_secs(seconds), relay, action: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_questions_before_took_is_taken_off_the_lease() {
        let term = Term::from_now(Duration::from_secs(90));
        assert_eq!(term.left(), Duration::from_secs(90));
        advance(Duration::from_millis(2_900)).await;
        assert_eq!(term.left(), Duration::from_secs(88));
        advance(Duration::from_secs(100)).await;
        assert_eq!(term.left(), Duration::ZERO);
    }

    #[test]
    fn pulse_time_is_tenths_up_to_11_1_s_and_then_seconds_plus_100() {
        for (lease_ms, code) in [
            (0, 10),
            (1_000, 10),
            (1_001, 11),
            (11_100, 111),
            (11_101, 112),
            (12_000, 112),
            (12_001, 113),
            (300_000, 400),
            (64_800_000, 64_900),
            (90_000_000, 64_900),
        ] {
            assert_eq!(pulse_time(Duration::from_millis(lease_ms)), code, "{lease_ms} ms");
        }
    }

    #[test]
    fn timed_power_is_in_steps_of_50_ms_and_never_a_pulse() {
        for (lease_ms, armed_ms) in
            [(0, 1_000), (999, 1_000), (1_001, 1_050), (60_000, 60_000), (90_000_000, 64_800_000)]
        {
            assert_eq!(timed_power(Duration::from_millis(lease_ms)), armed_ms, "{lease_ms} ms");
        }
    }

    proptest! {
        #[test]
        fn no_rounding_cuts_a_lease_short(nanos in 1_000_000_000_u64..=64_800_000_000_000) {
            let lease = Duration::from_nanos(nanos);
            let timed = Duration::from_millis(timed_power(lease));
            prop_assert!(timed >= lease && timed < lease + TIMED_POWER_STEP);
            let pulse = pulse_length(pulse_time(lease));
            prop_assert!(pulse >= lease && pulse < lease + PULSE_TIME_STEP);
            let rule = Duration::from_secs(rule_timer(lease));
            prop_assert!(rule >= lease && rule < lease + RULE_TIMER_STEP);
        }
    }

    #[test]
    fn a_lease_holds_only_alone_and_near_what_was_wanted() {
        let wanted = Duration::from_secs(60);
        let elapsed = Duration::from_secs(1);
        let holds = |commands: &[TimedCommand]| {
            Timers::TimedPower(commands.to_vec()).hold(1, wanted, elapsed)
        };
        assert!(holds(&[off_after(59, 1)]));
        assert!(holds(&[off_after(59, 1), off_after(5, 2), off_after(5, 10)]));
        assert!(!holds(&[]));
        assert!(!holds(&[off_after(56, 1)]));
        assert!(!holds(&[off_after(63, 1)]));
        assert!(!holds(&[off_after(59, 2)]));
        assert!(!holds(&[off_after(59, 1), off_after(59, 1)]));
        assert!(!holds(&[off_after(59, 1), off_after(5, 0)]));
        assert!(!holds(&[TimedCommand { action: 1, ..off_after(59, 1) }]));
    }

    #[test]
    fn clearing_relay_1_would_clear_10_to_19_as_well() {
        assert!(off_after(5, 10).shares_prefix_with(1));
        assert!(off_after(5, 19).shares_prefix_with(1));
        for (other, relay) in [(1, 1), (2, 1), (20, 1), (1, 10), (10, 0)] {
            assert!(!off_after(5, other).shares_prefix_with(relay), "{other} and {relay}");
        }
    }
}
