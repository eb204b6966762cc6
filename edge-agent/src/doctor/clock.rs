//! The wall clock: whether it can be trusted, and who says so.

use chrono::DateTime;

use super::diagnosis::Lines;
use crate::host::clock::{ClockSource, Witnesses, witnesses};
use crate::node::time::Now;

/// An instant as people read it.
pub(super) fn instant(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis);
    at.map_or_else(|| at_ms.to_string(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

pub(super) fn check(source: ClockSource, now: Now, lines: &mut Lines) {
    judge(source, &witnesses(), &instant(now.wall_ms), lines);
}

fn judge(source: ClockSource, witnesses: &Witnesses, reads: &str, lines: &mut Lines) {
    const CHECK: &str = "clock";
    let ntp = "timedatectl set-ntp true, and let the node reach a time server (UDP 123)";
    match source {
        ClockSource::Trusted => {
            lines.ok(CHECK, format!("{reads}, trusted by [clock] source"));
        }
        ClockSource::Untrusted => {
            let found = format!("{reads}, never trusted by [clock] source: schedules do not run");
            lines.warning(CHECK, found, "set source = \"auto\", unless that is meant");
        }
        ClockSource::Auto => match (&witnesses.kernel_error_us, witnesses.timesyncd) {
            (Ok(error_us), _) if witnesses.kernel_synced => {
                let error_ms = error_us / 1_000;
                lines
                    .ok(CHECK, format!("{reads}, synced: the kernel says to within {error_ms} ms"));
            }
            (_, true) => lines.ok(CHECK, format!("{reads}, synced by systemd-timesyncd")),
            (Ok(_), false) => {
                let found = format!(
                    "{reads}, not synced: schedules do not run, and commands that waited are refused"
                );
                lines.wrong(CHECK, found, ntp);
            }
            (Err(error), false) => {
                let found =
                    format!("{reads}, and the kernel does not say whether it is synced: {error}");
                lines.wrong(CHECK, found, ntp);
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::State;
    use super::*;

    fn judged(source: ClockSource, kernel: Result<u64, &str>, timesyncd: bool) -> (State, String) {
        let witnesses = Witnesses {
            kernel_synced: kernel.is_ok_and(|error_us| error_us < 16_000_000),
            kernel_error_us: kernel.map_err(ToOwned::to_owned),
            timesyncd,
        };
        let mut lines = Lines::default();
        judge(source, &witnesses, "now", &mut lines);
        (lines.0[0].state, lines.0[0].found.clone())
    }

    #[test]
    fn a_clock_is_synced_where_the_kernel_or_timesyncd_says_so_and_who_said_it_is_told() {
        let auto = |kernel, timesyncd| judged(ClockSource::Auto, kernel, timesyncd);
        assert_eq!(auto(Ok(7_000), false).1, "now, synced: the kernel says to within 7 ms");
        assert_eq!(auto(Ok(16_000_000), true).1, "now, synced by systemd-timesyncd");
        assert_eq!(auto(Err("EPERM"), true).0, State::Ok);
        assert_eq!(auto(Ok(16_000_000), false).0, State::Wrong);
        let (state, found) = auto(Err("EPERM"), false);
        assert!(state == State::Wrong && found.contains("EPERM"), "{found}");
    }

    #[test]
    fn what_the_configuration_says_of_the_clock_counts_before_all_witnesses() {
        assert_eq!(judged(ClockSource::Trusted, Ok(16_000_000), false).0, State::Ok);
        assert_eq!(judged(ClockSource::Untrusted, Ok(0), true).0, State::Warning);
    }

    #[test]
    fn an_instant_is_told_as_people_read_it() {
        assert_eq!(instant(1_763_690_000_000), "2025-11-21 01:53:20 UTC");
        assert_eq!(instant(u64::MAX), u64::MAX.to_string());
    }
}
