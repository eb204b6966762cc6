//! How long to wait before the next attempt to connect. Pure: the randomness is handed in.

use std::time::Duration;

/// A link that worked this long has earned a quick reconnect. Below it the waiting goes on growing,
/// so a broker that accepts and closes is backed off from like one that refuses.
const WORKED: Duration = Duration::from_secs(60);

/// The bounds of the time between attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The first wait is at most this, and no wait is shorter than its half.
    pub min: Duration,
    /// No wait is longer.
    pub max: Duration,
}

/// Full jitter under a ceiling that doubles from `min` to `max`.
#[derive(Debug)]
pub(crate) struct Backoff {
    bounds: Reconnect,
    ceiling: Duration,
    /// Attempts since the last link that worked.
    failures: usize,
    generator: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(bounds: Reconnect, generator: fastrand::Rng) -> Self {
        Self { bounds, ceiling: bounds.min, failures: 0, generator }
    }

    /// Which of `endpoints` is next: each in order, the first again after a link that worked.
    /// 0 where there is none.
    pub(super) fn turn(&self, endpoints: usize) -> usize {
        self.failures.checked_rem(endpoints).unwrap_or(0)
    }

    /// The wait after a connection that worked for `worked`: zero where it never came up.
    ///
    /// After a takeover it starts near the maximum: two agents with one identity would otherwise
    /// throw each other out as fast as they can connect.
    pub(crate) fn after(&mut self, worked: Duration, session_taken_over: bool) -> Duration {
        if worked >= WORKED {
            self.ceiling = self.bounds.min;
            self.failures = 0;
        } else {
            self.failures = self.failures.wrapping_add(1);
        }
        let shortest = if session_taken_over {
            self.ceiling = self.bounds.max;
            self.bounds.max / 2
        } else {
            // Not from zero: a row of small draws must not become a spin.
            self.bounds.min / 2
        };
        let spread = self.ceiling.saturating_sub(shortest);
        let wait = shortest + spread.mul_f64(self.generator.f64());
        self.ceiling = self.ceiling.saturating_mul(2).min(self.bounds.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn the_wait_is_drawn_below_a_ceiling_that_doubles_up_to_the_maximum() {
        let mut longest = [Duration::ZERO; 10];
        for seed in 0..500 {
            let mut backoff = backoff(seed);
            for (step, longest) in longest.iter_mut().enumerate() {
                let wait = backoff.after(Duration::ZERO, false);
                let ceiling = MAX.min(MIN * (1 << step));
                assert!(MIN / 2 <= wait && wait <= ceiling, "step {step}: {wait:?}");
                *longest = wait.max(*longest);
            }
        }
        // Jitter is full: the draws reach close to each ceiling.
        assert!(longest[0] > MIN.mul_f64(0.95), "{longest:?}");
        assert!(longest[9] > MAX.mul_f64(0.95), "{longest:?}");
    }

    #[test]
    fn only_a_link_that_worked_for_60_s_starts_the_waiting_over() {
        let mut backoff = backoff(1);
        for _ in 0..10 {
            backoff.after(WORKED - Duration::from_millis(1), false);
        }
        assert_eq!(backoff.ceiling, MAX);
        assert!(backoff.after(WORKED, false) <= MIN);
    }

    #[test]
    fn a_broker_that_accepts_and_closes_is_not_called_more_often_than_the_backoff_allows() {
        for seed in 0..200 {
            let mut backoff = backoff(seed);
            let mut waited = Duration::ZERO;
            let attempts = (0..).take_while(|_| {
                waited += backoff.after(Duration::from_secs(1), false);
                waited < Duration::from_secs(60)
            });
            // Seven steps reach the maximum; from there a minute holds few more.
            assert!(attempts.count() < 25, "seed {seed}");
        }
    }

    #[test]
    fn after_a_takeover_the_first_wait_is_near_the_maximum() {
        for worked in [Duration::ZERO, WORKED] {
            for seed in 0..200 {
                assert!(backoff(seed).after(worked, true) >= MAX / 2);
            }
        }
    }

    #[test]
    fn endpoints_take_turns_and_a_link_that_worked_returns_to_the_first() {
        let mut backoff = backoff(1);
        let mut turns = vec![];
        for _ in 0..4 {
            turns.push(backoff.turn(3));
            backoff.after(Duration::ZERO, false);
        }
        assert_eq!(turns, [0, 1, 2, 0]);
        backoff.after(WORKED, false);
        assert_eq!(backoff.turn(3), 0);
    }

    #[test]
    fn a_maximum_below_the_minimum_is_no_trap() {
        let bounds = Reconnect { min: MAX, max: MIN };
        let mut backoff = Backoff::new(bounds, fastrand::Rng::with_seed(1));
        for _ in 0..5 {
            assert!(backoff.after(Duration::ZERO, false) >= MIN);
        }
    }

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Reconnect { min: MIN, max: MAX }, fastrand::Rng::with_seed(seed))
    }
}
