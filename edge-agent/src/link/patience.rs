//! How long one connection's peer may keep us waiting, and for what. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What is due when nothing happens until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The broker's CONNACK.
    Welcome,
    /// A ping of ours.
    Ping,
    /// The answer to the last one.
    Pong,
    /// The acknowledgement of the oldest packet, for so long.
    Acknowledgement(Duration),
    /// The first byte of what waits to be sent, for so long.
    Movement(Duration),
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Patience {
    keep_alive: Duration,
    acknowledgement: Duration,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Unwelcomed { by: Instant },
    Welcomed { ping_at: Instant, pinged: bool },
}

impl Patience {
    /// Of a connection on which the broker's welcome is due at `welcome_by`.
    pub(super) fn new(
        welcome_by: Instant,
        keep_alive: Duration,
        acknowledgement: Duration,
    ) -> Self {
        Self { keep_alive, acknowledgement, stage: Stage::Unwelcomed { by: welcome_by } }
    }

    /// The welcome came, and with it the final keep-alive.
    pub(super) fn welcomed(&mut self, keep_alive: Duration, now: Instant) {
        self.keep_alive = keep_alive;
        self.stage = Stage::Welcomed { ping_at: now + keep_alive, pinged: false };
    }

    /// A ping was sent. The next is due one keep-alive later, whatever else goes over the line:
    /// what comes from the broker is no sign that it hears us.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.stage = Stage::Welcomed { ping_at: now + self.keep_alive, pinged: true };
    }

    /// The ping was answered.
    pub(super) fn answered(&mut self) {
        if let Stage::Welcomed { pinged, .. } = &mut self.stage {
            *pinged = false;
        }
    }

    /// What is due next, and when, with the oldest packet unacknowledged and the backlog unmoved
    /// since then.
    pub(super) fn next(
        &self,
        owed_since: Option<Instant>,
        stuck_since: Option<Instant>,
    ) -> (Instant, Due) {
        let heart = match self.stage {
            Stage::Unwelcomed { by } => return (by, Due::Welcome),
            Stage::Welcomed { ping_at, pinged: false } => (ping_at, Due::Ping),
            Stage::Welcomed { ping_at, pinged: true } => (ping_at, Due::Pong),
        };
        let late = self.acknowledgement;
        let owed = owed_since.map(|since| (since + late, Due::Acknowledgement(late)));
        let still = self.keep_alive * 3 / 2;
        let stuck = stuck_since.map(|since| (since + still, Due::Movement(still)));
        let others = [owed, stuck].into_iter().flatten();
        others.fold(heart, |first, other| if other.0 < first.0 { other } else { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(30);
    const LATE: Duration = Duration::from_secs(20);

    #[test]
    fn until_the_welcome_nothing_else_is_due() {
        let now = Instant::now();
        let patience = Patience::new(now + LATE, KEEP_ALIVE, LATE);
        assert_eq!(patience.next(Some(now), Some(now)), (now + LATE, Due::Welcome));
    }

    #[test]
    fn a_ping_unanswered_for_one_keep_alive_is_the_end_whatever_else_comes() {
        let now = Instant::now();
        let mut patience = welcomed(now);
        assert_eq!(patience.next(None, None), (now + KEEP_ALIVE, Due::Ping));
        patience.pinged(now + KEEP_ALIVE);
        assert_eq!(patience.next(None, None), (now + 2 * KEEP_ALIVE, Due::Pong));
        patience.answered();
        assert_eq!(patience.next(None, None), (now + 2 * KEEP_ALIVE, Due::Ping));
    }

    #[test]
    fn what_is_due_first_is_waited_for() {
        let now = Instant::now();
        let patience = welcomed(now);
        let owed = (now + LATE, Due::Acknowledgement(LATE));
        assert_eq!(patience.next(Some(now), Some(now)), owed);
        let stuck_since = now - KEEP_ALIVE;
        let still = KEEP_ALIVE * 3 / 2;
        let stuck = (stuck_since + still, Due::Movement(still));
        assert_eq!(patience.next(Some(now), Some(stuck_since)), stuck);
    }

    fn welcomed(now: Instant) -> Patience {
        let mut patience = Patience::new(now + LATE, Duration::from_secs(99), LATE);
        patience.welcomed(KEEP_ALIVE, now);
        patience
    }
}
