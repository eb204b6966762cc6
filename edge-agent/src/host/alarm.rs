//! One timer on the boot clock, so that neither suspend nor a clock step delays a deadline, and
//! nothing polls for one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use crate::node::time::BootMs;

/// Rings once at the instant that it was last set to.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<Timer>,
}

impl Alarm {
    /// An alarm that is set to nothing. Belongs to the tokio runtime that it is made on.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, which is forbidden here; what it asks for holds: \
                  a Timer owns its descriptor and names no other"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?);
        Ok(Self { timer: AsyncFd::new(timer)? })
    }

    /// Forgets what it was set to, rung or not, and rings at `at`: at once where that has passed,
    /// never for `None`.
    pub fn set(&self, at: Option<BootMs>) {
        let timer = &self.timer.get_ref().0;
        let outcome = match at {
            Some(at) => {
                timer.set(Expiration::OneShot(time_spec(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => timer.unset(),
        };
        outcome.expect("the kernel takes every time that is in range from a timer of ours");
    }

    /// Waits until the instant it is set to; a later [`set`](Self::set) counts while waiting, too.
    ///
    /// Dropping the future loses no ring.
    pub async fn rings(&self) {
        // A timer that is due again and again never waits, and whoever listens first to it would
        // keep everybody else from running.
        tokio::task::consume_budget().await;
        loop {
            let mut ready = self.timer.readable().await.expect("the runtime outlives its alarms");
            let mut expirations = [0; 8];
            let taken =
                ready.try_io(|timer| Ok(nix::unistd::read(&timer.get_ref().0, &mut expirations)?));
            match taken {
                Ok(read) => {
                    read.expect("a timer of ours is readable");
                    return;
                }
                // Set anew between its ring and this look.
                Err(_would_block) => {}
            }
        }
    }
}

/// Zero would disarm the timer, so the first instant of the boot is its first nanosecond.
const FIRST: Duration = Duration::from_nanos(1);
/// 68 years: what 32 bits of a small machine count.
const LAST: Duration = Duration::from_secs(0x7fff_ffff);

fn time_spec(at: BootMs) -> TimeSpec {
    TimeSpec::from_duration(Duration::from_millis(at.0).clamp(FIRST, LAST))
}

/// Lends tokio the descriptor.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::{Clock, ClockSource};

    fn boot_now() -> BootMs {
        Clock::new(ClockSource::Untrusted).now().boot
    }

    #[tokio::test]
    async fn an_alarm_rings_at_its_instant_on_the_boot_clock_and_never_before() {
        let alarm = Alarm::new().unwrap();
        let at = boot_now() + 20;
        alarm.set(Some(at));
        alarm.rings().await;
        assert!(boot_now() >= at);
    }

    #[tokio::test]
    async fn an_instant_that_has_passed_rings_at_once() {
        let alarm = Alarm::new().unwrap();
        for past in [BootMs(0), BootMs(1), boot_now()] {
            alarm.set(Some(past));
            alarm.rings().await;
        }
    }

    #[tokio::test]
    async fn only_the_instant_set_last_rings_and_only_once() {
        let (alarm, later) = (Alarm::new().unwrap(), Alarm::new().unwrap());
        alarm.set(Some(BootMs(1)));
        alarm.rings().await;
        alarm.set(Some(boot_now() + 5));
        alarm.set(Some(BootMs(u64::MAX)));
        later.set(Some(boot_now() + 30));
        tokio::select! {
            biased;
            () = alarm.rings() => panic!("rang for an instant that it no longer is set to"),
            () = later.rings() => {}
        }
        alarm.set(Some(BootMs(1)));
        alarm.set(None);
        later.set(Some(boot_now() + 5));
        tokio::select! {
            biased;
            () = alarm.rings() => panic!("rang though it was set to nothing"),
            () = later.rings() => {}
        }
    }

    #[tokio::test]
    async fn an_alarm_that_is_always_due_leaves_the_others_their_turn() {
        // An outlet that did not obey kept a time in the past as the next one: the loop rang,
        // settled and rang again, and no driver ever got to run.
        let alarm = Alarm::new().unwrap();
        let other = tokio::spawn(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        // A timeout would not get its turn either: so the rings are counted.
        let mut rings = 0;
        while !other.is_finished() && rings < 10_000 {
            alarm.set(Some(BootMs(1)));
            alarm.rings().await;
            rings += 1;
        }
        assert!(other.is_finished());
    }

    #[tokio::test]
    async fn setting_it_wakes_who_already_waits() {
        let alarm = Alarm::new().unwrap();
        let ((), ()) = tokio::join!(alarm.rings(), async { alarm.set(Some(BootMs(1))) });
    }

    #[tokio::test]
    async fn a_ring_that_nobody_waited_for_is_kept() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(BootMs(1)));
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            () = alarm.rings() => {}
        }
        alarm.rings().await;
    }
}
