//! The only reader of clocks: everybody else takes a [`Now`].
//!
//! A Raspberry Pi has no battery behind its clock, so the wall clock is a lower bound until
//! something sets it (contract, section 6.6). It must never set or steer a clock.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use rtime_clock::adjtime::{Timex, adjtimex};
use serde::Deserialize;

use crate::node::time::{BootMs, Now};

/// No wall clock is before this: when the agent was released, or built, whichever is later.
///
/// `SOURCE_DATE_EPOCH` (seconds) names the build's date, so that a build can be repeated bit by bit.
pub const BUILT_AT_MS: u64 = {
    const RELEASED_AT_MS: u64 = 1_793_491_200_000; // 2026-11-01
    let built_at_ms = match option_env!("SOURCE_DATE_EPOCH") {
        Some(seconds) => match u64::from_str_radix(seconds, 10) {
            Ok(seconds) => seconds * 1000,
            Err(_) => panic!("SOURCE_DATE_EPOCH must be seconds since the Unix epoch"),
        },
        None => RELEASED_AT_MS,
    };
    if built_at_ms > RELEASED_AT_MS { built_at_ms } else { RELEASED_AT_MS }
};

/// Made by systemd-timesyncd when it has set the clock; `/run` forgets it with the boot.
const TIMESYNCD_FLAG: &str = "/run/systemd/timesync/synchronized";

/// How often an unsynced clock is looked at again: each look is a system call or two.
const LOOK_EVERY_MS: u64 = 1_000;

/// Two clocks that were read within so long were read together; whoever is interrupted in between
/// looks again,
const CLOSE_NS: u64 = 20_000;
/// but not for ever.
const MOST_LOOKS: u32 = 3;

const NS_A_MS: u64 = 1_000_000;

/// Where the kernel's estimate of the clock's error stops growing when nobody disciplines the clock.
///
/// The estimate tells more than the flag STA_UNSYNC, which chronyd leaves set unless it also keeps
/// the hardware clock; systemd-timedated judges in the same way.
const UNDISCIPLINED_ERROR_US: i128 = 16_000_000;

/// Who answers for the wall clock: `[clock] source`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockSource {
    /// The kernel or systemd-timesyncd says when it is synced.
    #[default]
    Auto,
    /// It is always right: a battery-backed clock.
    Trusted,
    /// It is never right.
    Untrusted,
}

/// Reads the clocks of this machine.
#[derive(Debug)]
pub struct Clock {
    sync: Mutex<Sync>,
    started: BootMs,
}

impl Clock {
    /// The clocks of this machine, the wall clock judged by `source`.
    #[must_use]
    pub fn new(source: ClockSource) -> Self {
        if source == ClockSource::Auto
            && let Err(error) = ask_kernel()
        {
            tracing::warn!(%error, "the kernel may not be asked whether the clock is synced");
        }
        Self { sync: Mutex::new(Sync::new(source)), started: boot_now() }
    }

    /// What the clocks read. Once `synced`, synced for as long as this value lives.
    #[must_use]
    pub fn now(&self) -> Now {
        let (boot, wall_ms) = read_both(nanoseconds);
        let synced = self.sync.lock().unwrap_or_else(PoisonError::into_inner).at(boot, set_by_now);
        let wall_ms = not_before_the_build(wall_ms, boot - self.started);
        Now { boot, wall_ms, synced }
    }

    /// Microseconds on the boot clock: for measuring how long something took, never for a deadline.
    #[must_use]
    pub fn boot_us(&self) -> u64 {
        nanoseconds(ClockId::CLOCK_BOOTTIME) / 1_000
    }
}

/// CLOCK_BOOTTIME in milliseconds, for those that need no other clock.
#[must_use]
pub fn boot_ms() -> u64 {
    nanoseconds(ClockId::CLOCK_BOOTTIME) / NS_A_MS
}

/// A wall clock, `running_ms` after the agent started. One that is set to before the build must go
/// on as time does: standing still it would look as if it were stepped back again and again.
fn not_before_the_build(wall_ms: u64, running_ms: u64) -> u64 {
    wall_ms.max(BUILT_AT_MS + running_ms)
}

/// Who says what of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnesses {
    /// By how much the kernel says it may be wrong, in microseconds; or why it does not say.
    pub kernel_error_us: Result<u64, String>,
    /// Whether the kernel counts that as synced.
    pub kernel_synced: bool,
    /// Whether systemd-timesyncd has set it in this boot.
    pub timesyncd: bool,
}

/// Asks them.
#[must_use]
pub fn witnesses() -> Witnesses {
    let error_us = ask_kernel();
    Witnesses {
        kernel_synced: error_us.as_ref().is_ok_and(|error_us| *error_us < UNDISCIPLINED_ERROR_US),
        kernel_error_us: error_us
            .map(|error_us| u64::try_from(error_us).unwrap_or(0))
            .map_err(|error| error.to_string()),
        timesyncd: Path::new(TIMESYNCD_FLAG).exists(),
    }
}

/// The kernel's id of this boot.
///
/// # Errors
/// The proc file system is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

/// Whether the wall clock can be trusted yet, and when to ask again.
#[derive(Debug)]
enum Sync {
    /// For good, or for this boot.
    Known(bool),
    /// Not yet; not asked again before `ask_at`.
    Waiting { ask_at: BootMs },
}

impl Sync {
    fn new(source: ClockSource) -> Self {
        match source {
            ClockSource::Auto => Self::Waiting { ask_at: BootMs(0) },
            ClockSource::Trusted => Self::Known(true),
            ClockSource::Untrusted => Self::Known(false),
        }
    }

    fn at(&mut self, boot: BootMs, is_set: impl FnOnce() -> bool) -> bool {
        match self {
            Self::Known(synced) => *synced,
            Self::Waiting { ask_at } if boot < *ask_at => false,
            Self::Waiting { .. } if is_set() => {
                *self = Self::Known(true);
                true
            }
            Self::Waiting { ask_at } => {
                *ask_at = boot + LOOK_EVERY_MS;
                false
            }
        }
    }
}

fn set_by_now() -> bool {
    kernel_says_synced() || Path::new(TIMESYNCD_FLAG).exists()
}

/// False also where a sandbox forbids the question.
fn kernel_says_synced() -> bool {
    ask_kernel().is_ok_and(|error_us| error_us < UNDISCIPLINED_ERROR_US)
}

/// By how much the wall clock may be wrong, in microseconds.
fn ask_kernel() -> io::Result<i128> {
    // No mode is set, so nothing is.
    let mut timex = Timex::default();
    adjtimex(&mut timex)?;
    Ok(i128::from(timex.0.maxerror))
}

fn boot_now() -> BootMs {
    BootMs::from(boot_ms())
}

/// The boot clock's millisecond, and what the wall clock showed as that began, in milliseconds. So, as
/// long as nobody sets the wall clock, an instant of the boot clock has the same name whenever it is
/// named, but for what passes between two looks; and none that is later than the wall clock shows
/// then. Each rounded by itself, power would seem to be cut a millisecond early now and then.
fn read_both(ns: impl Fn(ClockId) -> u64) -> (BootMs, u64) {
    let mut closest = (u64::MAX, 0, 0);
    for _ in 0..MOST_LOOKS {
        let before = ns(ClockId::CLOCK_BOOTTIME);
        let wall = ns(ClockId::CLOCK_REALTIME);
        // Read after it, so that what passes in between can only make the name earlier.
        let boot = ns(ClockId::CLOCK_BOOTTIME);
        closest = closest.min((boot.saturating_sub(before), boot, wall));
        if closest.0 <= CLOSE_NS {
            break;
        }
    }
    let (_, boot, wall) = closest;
    (BootMs::from(boot / NS_A_MS), wall.saturating_sub(boot % NS_A_MS) / NS_A_MS)
}

/// Nanoseconds; 0 for a clock set before its epoch. They last until 2554.
fn nanoseconds(clock: ClockId) -> u64 {
    let time: TimeSpec = clock_gettime(clock).expect("Linux has this clock");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_wall_clock_of_1970_goes_on_from_the_build_as_time_does() {
        for running_ms in [0, 1, 3_600_000] {
            assert_eq!(not_before_the_build(running_ms, running_ms), BUILT_AT_MS + running_ms);
        }
        assert_eq!(not_before_the_build(BUILT_AT_MS + 5, 4), BUILT_AT_MS + 5);
    }

    /// Clocks that are `apart_ns` from each other, and move on by `step_ns` with each look.
    fn clocks(start_ns: u64, apart_ns: u64, step_ns: u64) -> impl Fn(ClockId) -> u64 {
        let boot_ns = Cell::new(start_ns);
        move |clock| {
            boot_ns.set(boot_ns.get() + step_ns);
            boot_ns.get() + if clock == ClockId::CLOCK_REALTIME { apart_ns } else { 0 }
        }
    }

    /// How the instant 9 s after the boot is named, at which the wall clock shows 1,795,000,009,000.
    fn name_of_9_s(start_ns: u64, into_a_ms_ns: u64, step_ns: u64) -> u64 {
        let apart_ns = 1_795_000_000_000 * NS_A_MS + into_a_ms_ns;
        let (boot, wall_ms) = read_both(clocks(start_ns, apart_ns, step_ns));
        Now { boot, wall_ms, synced: true }.wall_at(BootMs(9_000))
    }

    #[test]
    fn an_instant_of_the_boot_clock_has_one_name_in_whatever_part_of_a_millisecond_it_is_named() {
        for into_a_ms_ns in [0, 1, 500_000, 999_999] {
            for start_ns in (7_000 * NS_A_MS..7_002 * NS_A_MS).step_by(997) {
                assert_eq!(name_of_9_s(start_ns, into_a_ms_ns, 0), 1_795_000_009_000);
            }
        }
    }

    #[test]
    fn time_that_passes_between_two_looks_makes_no_name_later() {
        for step_ns in [1, 20_000, 700_000, 5_000_000] {
            for start_ns in (7_000 * NS_A_MS..7_001 * NS_A_MS).step_by(997) {
                let name = name_of_9_s(start_ns, 999_999, step_ns);
                let late_ms = 1_795_000_009_000_u64.checked_sub(name).expect("it is not later");
                assert!(
                    late_ms <= step_ns.div_ceil(NS_A_MS),
                    "{late_ms} ms at {step_ns} ns a look"
                );
            }
        }
    }

    #[test]
    fn of_two_clocks_that_were_not_read_together_the_closest_look_counts() {
        let looks = Cell::new(0);
        let interrupted_once = |clock| {
            looks.set(looks.get() + 1);
            // A long interruption before the wall clock is read first.
            let boot_ns = if looks.get() < 2 { 7_000 * NS_A_MS } else { 7_250 * NS_A_MS };
            let apart_ns = 1_795_000_000_000 * NS_A_MS;
            boot_ns + if clock == ClockId::CLOCK_REALTIME { apart_ns } else { 0 }
        };
        assert_eq!(read_both(interrupted_once), (BootMs(7_250), 1_795_000_007_250));
        assert_eq!(looks.get(), 6, "it looked twice");
    }

    #[test]
    fn a_trusted_clock_is_synced_and_an_untrusted_one_never_is() {
        assert!(Clock::new(ClockSource::Trusted).now().synced);
        assert!(!Clock::new(ClockSource::Untrusted).now().synced);
    }

    #[test]
    fn once_synced_the_clock_is_synced_until_the_reboot() {
        let mut sync = Sync::new(ClockSource::Auto);
        assert!(!sync.at(BootMs(0), || false));
        assert!(sync.at(BootMs::from(LOOK_EVERY_MS), || true));
        assert!(sync.at(BootMs::from(LOOK_EVERY_MS * 2), || false));
    }

    #[test]
    fn an_unsynced_clock_is_looked_at_once_a_second_at_most() {
        let mut sync = Sync::new(ClockSource::Auto);
        let mut looks = 0;
        for boot in (0..10_000).step_by(100).map(BootMs) {
            sync.at(boot, || {
                looks += 1;
                false
            });
        }
        assert_eq!(looks, 10);
    }

    #[test]
    fn the_wall_clock_is_never_below_the_builds_date_and_boot_time_never_falls() {
        let clock = Clock::new(ClockSource::Auto);
        let (first, second) = (clock.now(), clock.now());
        assert!(first.wall_ms >= BUILT_AT_MS);
        assert!(second.boot >= first.boot && first.boot > BootMs(0));
    }

    #[test]
    fn the_kernels_word_is_the_one_that_its_own_tools_print() {
        // A question that the kernel answers must not fail for want of a right: it sets nothing.
        let mut timex = Timex::default();
        assert_eq!(timex.0.modes, 0);
        adjtimex(&mut timex).unwrap();
        let undisciplined = i128::from(timex.0.maxerror) >= UNDISCIPLINED_ERROR_US;
        assert_eq!(kernel_says_synced(), !undisciplined);
    }

    #[test]
    fn a_boot_has_an_id() {
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
