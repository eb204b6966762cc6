//! A queue that is held, since the broker refuses what we publish (contract, section 2).

use crate::node::time::BootMs;

/// How long after a refusal, doubling with each
const FIRST_MS: u64 = 1_000;
/// up to this.
const LONGEST_MS: u64 = 60_000;

/// Whether the broker refuses what we publish, and until when nothing is tried.
#[derive(Debug, Default)]
pub(super) struct Hold(Option<Refused>);

#[derive(Debug)]
struct Refused {
    code: u8,
    pause_ms: u64,
    /// When it is tried again; `None` while it is.
    until: Option<BootMs>,
}

impl Hold {
    /// Why the broker refuses, until it takes something.
    pub(super) fn code(&self) -> Option<u8> {
        self.0.as_ref().map(|refused| refused.code)
    }

    /// When the queue is tried again, while it is held.
    pub(super) fn until(&self) -> Option<BootMs> {
        self.0.as_ref().and_then(|refused| refused.until)
    }

    /// The broker refused something.
    pub(super) fn refused(&mut self, code: u8, now: BootMs) {
        let pause_ms = match &self.0 {
            // One of those that were out with the first.
            Some(Refused { until: Some(_), .. }) => return,
            Some(Refused { until: None, pause_ms, .. }) => (pause_ms * 2).min(LONGEST_MS),
            None => FIRST_MS,
        };
        self.0 = Some(Refused { code, pause_ms, until: Some(now + pause_ms) });
    }

    /// The broker took something: while the queue is tried again, that ends the trouble.
    pub(super) fn delivered(&mut self) {
        self.0.take_if(|refused| refused.until.is_none());
    }

    /// Whether the pause has just ended, so that everything is to be tried again.
    pub(super) fn is_over(&mut self, now: BootMs) -> bool {
        let refused = self.0.as_mut();
        refused.is_some_and(|refused| refused.until.take_if(|until| now >= *until).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_starts_over_once_something_is_taken() {
        let mut hold = Hold::default();
        let mut now = BootMs(0);
        for pause_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            hold.refused(0x97, now);
            hold.refused(0x87, now + 1);
            assert_eq!((hold.until(), hold.code()), (Some(now + pause_ms), Some(0x97)));
            assert!(!hold.is_over(now + (pause_ms - 1)));
            now = now + pause_ms;
            assert!(hold.is_over(now) && !hold.is_over(now));
            assert_eq!((hold.until(), hold.code()), (None, Some(0x97)));
        }
        hold.delivered();
        assert_eq!(hold.code(), None);
        hold.refused(0x97, now);
        hold.delivered();
        assert_eq!(hold.until(), Some(now + FIRST_MS), "that one was out before");
    }
}
