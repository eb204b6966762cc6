//! A tick each second on the wall clock, while somebody wants one.
//!
//! The [alarm](super::alarm) counts on the boot clock, so it doesn't notice that somebody sets the
//! wall clock. This does, by tokio-cron-scheduler, which compares the wall clock with its jobs twice
//! a second. A tick says "look now" and nothing else: who listens decides what is due, and a tick
//! too many, too late or lost harms nothing. What is known to go wrong is guarded against here:
//!
//! - A clock that is set back leaves it silent until the old time comes again: a ticker that has
//!   been silent for some seconds is wound up anew.
//! - Its tasks never end, even after its shutdown: so there is one scheduler for the process, and
//!   only the loop that wakes up is ended and started again.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::node::time::BootMs;

const EACH_SECOND: &str = "* * * * * *";
/// A second between two ticks, half a one until the scheduler looks, and patience.
const SILENCE_MS: u64 = 5_000;
/// There is one job, of which a few messages are under way at a time.
const CHANNEL_SIZE: usize = 32;

/// Ticks each second while it is wanted.
#[derive(Debug)]
pub struct Ticker {
    wish: watch::Sender<Wish>,
    ticks: Arc<Notify>,
    /// While it is wanted: when it last ticked, or was wound up.
    heard: Option<BootMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Still,
    /// Wound up for so many times.
    Wound(u64),
}

impl Ticker {
    /// A ticker that is still, and costs nothing. Belongs to the tokio runtime that it is made on.
    #[must_use]
    pub fn new() -> Self {
        let (wish, wishes) = watch::channel(Wish::Still);
        let ticks = Arc::new(Notify::new());
        tokio::spawn(keep(wishes, Arc::clone(&ticks)));
        Self { wish, ticks, heard: None }
    }

    /// Has it tick from now on, or be still. Winds it up anew if it should tick and has not.
    pub fn set(&mut self, wanted: bool, now: BootMs) {
        let silent = self.heard.is_none_or(|heard| now - heard >= SILENCE_MS);
        if wanted && silent {
            self.wind(now);
        } else if !wanted && self.heard.take().is_some() {
            self.wish.send_replace(Wish::Still);
        }
    }

    /// While it ticks: when [`Self::set`] is to be called again at the latest.
    #[must_use]
    pub fn overdue_at(&self) -> Option<BootMs> {
        self.heard.map(|heard| heard + SILENCE_MS)
    }

    /// Waits for a tick. Tell [`Self::heard`] of it. Dropping the future loses none.
    pub async fn ticks(&self) {
        self.ticks.notified().await;
    }

    /// A tick came.
    pub fn heard(&mut self, now: BootMs) {
        self.heard = self.heard.map(|_| now);
    }

    fn wind(&mut self, now: BootMs) {
        self.heard = Some(now);
        self.wish.send_modify(|wish| {
            *wish = match *wish {
                Wish::Still => Wish::Wound(1),
                Wish::Wound(times) => Wish::Wound(times + 1),
            };
        });
    }
}

impl Default for Ticker {
    fn default() -> Self {
        Self::new()
    }
}

/// Follows the wishes until nobody can have one any more.
async fn keep(mut wishes: watch::Receiver<Wish>, ticks: Arc<Notify>) {
    let mut works: Option<Works> = None;
    while wishes.changed().await.is_ok() {
        let wish = *wishes.borrow_and_update();
        let followed = async {
            match (wish, &mut works) {
                (Wish::Still, None) => Ok(()),
                (Wish::Still, Some(works)) => works.scheduler.shutdown().await,
                (Wish::Wound(_), Some(works)) => works.wind(&ticks).await,
                (Wish::Wound(_), none @ None) => {
                    none.insert(Works::new().await?).wind(&ticks).await
                }
            }
        };
        if let Err(error) = followed.await {
            // It stays silent, and so is wound up again.
            tracing::warn!(%error, ?wish, "the ticker does not follow");
        }
    }
}

struct Works {
    scheduler: JobScheduler,
    job: Option<Job>,
    wound: bool,
}

impl Works {
    async fn new() -> Result<Self, JobSchedulerError> {
        let mut scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await?;
        scheduler.init().await?;
        Ok(Self { scheduler, job: None, wound: false })
    }

    /// Has it tick from now on, whatever it did before.
    async fn wind(&mut self, ticks: &Arc<Notify>) -> Result<(), JobSchedulerError> {
        let again = std::mem::replace(&mut self.wound, true);
        if again {
            self.scheduler.shutdown().await?;
        }
        if let Some(job) = self.job.take() {
            self.scheduler.remove(&job.guid()).await?;
        }
        let ticks = Arc::clone(ticks);
        let job = Job::new_async(EACH_SECOND, move |_, _| {
            let ticks = Arc::clone(&ticks);
            Box::pin(async move { ticks.notify_one() })
        })?;
        self.scheduler.add(job.clone()).await?;
        self.job = Some(job);
        if again {
            // A loop that was ended can't be started again; a new one takes its place.
            let mut waking = self.scheduler.scheduler.write().await;
            *waking = Default::default();
            waking.init(&self.scheduler.context).await;
        }
        self.scheduler.start().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;
    use tokio::time::timeout;

    use super::*;

    /// Nothing here takes longer, on a busy machine either.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn until(what: &str, done: impl Fn() -> bool) {
        let waited = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}"));
    }

    #[tokio::test]
    async fn it_ticks_again_and_again_once_it_is_wanted() {
        let mut ticker = Ticker::new();
        ticker.set(true, BootMs(0));
        for _ in 0..2 {
            timeout(PATIENCE, ticker.ticks()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn wound_up_anew_it_ticks_again() {
        let mut ticker = Ticker::new();
        for now in [0, SILENCE_MS, 2 * SILENCE_MS] {
            ticker.set(true, BootMs::from(now));
            timeout(PATIENCE, ticker.ticks()).await.unwrap();
        }
        ticker.set(false, BootMs(0));
        ticker.set(true, BootMs(0));
        timeout(PATIENCE, ticker.ticks()).await.unwrap();
    }

    #[tokio::test]
    async fn while_it_is_still_nothing_wakes_up_and_however_often_it_is_wound_nothing_is_left_behind()
     {
        let alive = || Handle::current().metrics().num_alive_tasks();
        let mut ticker = Ticker::new();
        let before = alive();
        ticker.set(true, BootMs(0));
        timeout(PATIENCE, ticker.ticks()).await.unwrap();
        let ticking = alive();
        ticker.set(false, BootMs(0));
        until("its loop has ended", || alive() < ticking).await;
        let still = alive();
        assert!(still > before);
        for _ in 0..5 {
            ticker.set(true, BootMs(0));
            timeout(PATIENCE, ticker.ticks()).await.unwrap();
            ticker.set(false, BootMs(0));
            tokio::task::yield_now().await;
        }
        until("no task is left behind", || alive() <= still).await;
    }

    #[tokio::test]
    async fn only_silence_has_it_wound_up_anew() {
        let mut ticker = Ticker::new();
        assert_eq!(ticker.overdue_at(), None);
        let at = |ms: u64| BootMs::from(ms);
        ticker.set(true, at(100));
        assert_eq!(ticker.overdue_at(), Some(at(100 + SILENCE_MS)));
        for (now, heard, wound) in [
            (100 + SILENCE_MS - 1, true, 1),
            (100 + 2 * SILENCE_MS - 2, false, 1),
            (100 + 2 * SILENCE_MS - 1, false, 2),
            (100 + 2 * SILENCE_MS, false, 2),
        ] {
            ticker.set(true, at(now));
            if heard {
                ticker.heard(at(now));
            }
            assert_eq!(*ticker.wish.borrow(), Wish::Wound(wound), "{now}");
        }
        ticker.set(false, at(0));
        assert_eq!((ticker.overdue_at(), *ticker.wish.borrow()), (None, Wish::Still));
        ticker.heard(at(1));
        assert_eq!(ticker.overdue_at(), None, "a tick that was under way winds up nothing");
    }
}
