//! One request at a time to each plug, whoever of us asks.
//!
//! A plug serves one client, and a plug of several relays is several outlets here. They take
//! turns request by request; an off goes before whatever else waits. What takes several requests
//! that nobody may come between, as writing into a rule that two relays share, is done alone, and
//! an off goes between nevertheless.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore, SemaphorePermit, watch};

/// The plugs that somebody has a [`Turns`] of, by host and port.
static PLUGS: Mutex<BTreeMap<(String, u16), Weak<Turns>>> = Mutex::new(BTreeMap::new());

/// The turns of one plug.
#[derive(Debug)]
pub(crate) struct Turns {
    seat: Semaphore,
    /// How many offs wait.
    hurry: watch::Sender<usize>,
    alone: Arc<AsyncMutex<()>>,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _seat: SemaphorePermit<'a>,
}

impl Turns {
    /// Those of the plug at this address, shared with everybody who asks for the same.
    pub(crate) fn of(host: &str, port: u16) -> Arc<Self> {
        let address = (host.to_owned(), port);
        // Nothing is ever half done in here.
        let mut plugs = PLUGS.lock().unwrap_or_else(PoisonError::into_inner);
        plugs.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = plugs.get(&address).and_then(Weak::upgrade) {
            return turns;
        }
        let (hurry, alone) = (watch::channel(0).0, Arc::default());
        let turns = Arc::new(Self { seat: Semaphore::new(1), hurry, alone });
        plugs.insert(address, Arc::downgrade(&turns));
        turns
    }

    /// Waits for a turn. One that waits can be dropped.
    pub(crate) async fn take(&self) -> Turn<'_> {
        let mut hurry = self.hurry.subscribe();
        loop {
            // Its sender lives in `self`.
            let _ = hurry.wait_for(|offs| *offs == 0).await;
            let turn = self.seat().await;
            if *hurry.borrow() == 0 {
                return turn;
            }
        }
    }

    /// Waits for a turn before everybody who waits by [`Self::take`].
    pub(crate) async fn take_first(&self) -> Turn<'_> {
        let _waiting = Waiting::new(&self.hurry);
        self.seat().await
    }

    /// Waits until nobody else does what must be done alone, and keeps them from it.
    pub(crate) async fn alone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.alone).lock_owned().await
    }

    async fn seat(&self) -> Turn<'_> {
        Turn { _seat: self.seat.acquire().await.expect("the semaphore is never closed") }
    }
}

/// Somebody in a hurry.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(hurry: &'a watch::Sender<usize>) -> Self {
        hurry.send_modify(|offs| *offs += 1);
        Self(hurry)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|offs| *offs -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_off_goes_before_what_waits_and_nothing_goes_at_the_same_time() {
        let turns = Turns::of("192.0.2.50", 80);
        let held = turns.take().await;
        let (order, mut taken) = mpsc::unbounded_channel();
        for name in ["poll 1", "poll 2", "off"] {
            let (turns, order) = (Turns::of("192.0.2.50", 80), order.clone());
            tokio::spawn(async move {
                let _turn = match name {
                    "off" => turns.take_first().await,
                    _ => turns.take().await,
                };
                order.send(name).unwrap();
                tokio::task::yield_now().await;
            });
            tokio::task::yield_now().await;
        }
        assert!(taken.try_recv().is_err());
        let other = Turns::of("192.0.2.51", 80);
        drop(other.take().await);
        drop(held);
        let mut names = [""; 3];
        for name in &mut names {
            *name = taken.recv().await.unwrap();
        }
        assert_eq!(names[0], "off");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_hinders_nobody() {
        let turns = Turns::of("192.0.2.52", 80);
        let held = turns.take().await;
        let gone = tokio::time::timeout(std::time::Duration::from_millis(1), turns.take_first());
        assert!(gone.await.is_err());
        drop(held);
        drop(turns.take().await);
    }
}
