//! Asks the loop for a moment of itself, adds the machine's figures, and writes it down: the one
//! source of the socket, the page and `/metrics`.
//!
//! However many look, the loop is asked twice a second at most for each kind of text; and only
//! while somebody looks. Figures are read and texts written on a thread of the pool, never on the
//! loop's.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::id::OutletId;
use hyper::body::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::{Question, Refused, RefusedCode, Report, Snapshot};
use crate::drivers::{Errand, Told};
use crate::host::figures::{Figures, Machine};
use crate::metrics;
use crate::node::LocalOrder;
use crate::node::explain::Explanation;

/// How old a text may be that is handed out again.
const FRESH: Duration = Duration::from_millis(500);
/// A loop that has not answered by then hangs, and whoever looks should learn of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A disk that has not taken an order by then stalls, and whoever waits should learn of it.
const STORED_PATIENCE: Duration = Duration::from_secs(10);
/// How often an errand is tried that orders take the place of: each such order is news of its own.
const ERRAND_TRIES: usize = 5;

/// A file system that hangs takes its figures with it, and nothing else.
const FIGURES_PATIENCE: Duration = Duration::from_secs(1);

/// Where to ask.
#[derive(Debug)]
pub(crate) struct Source {
    questions: mpsc::Sender<Question>,
    machine: Machine,
    /// The reading before: processors are busy since then.
    before: Arc<Mutex<Option<Figures>>>,
    status: Mutex<Option<Kept>>,
    metrics: Mutex<Option<Kept>>,
}

/// A text, and when it was written.
#[derive(Debug, Clone)]
struct Kept {
    text: Bytes,
    at: Instant,
}

impl Source {
    pub(crate) fn new(questions: mpsc::Sender<Question>, machine: Machine) -> Self {
        Self {
            questions,
            machine,
            before: Arc::default(),
            status: Mutex::default(),
            metrics: Mutex::default(),
        }
    }

    /// The [`Report`] as JSON, of this moment. `None` where the loop does not answer.
    pub(crate) async fn report(&self) -> Option<Bytes> {
        self.written(status_text).await
    }

    /// The same, at most half a second old.
    pub(crate) async fn status(&self) -> Option<Bytes> {
        self.kept(&self.status, status_text).await
    }

    /// The metrics in Prometheus's format, at most half a second old.
    pub(crate) async fn metrics(&self) -> Option<Bytes> {
        self.kept(&self.metrics, metrics_text).await
    }

    /// Has the node obey a field tech's order, and waits until that is on disk.
    pub(crate) async fn order(&self, order: LocalOrder) -> Result<(), Refused> {
        let (answer, answered) = oneshot::channel();
        self.ask(Question::Order(order, answer)).await?;
        match timeout(STORED_PATIENCE, answered).await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                let reason = "it is ordered, but the disk does not take it: it is lost if the agent \
                              restarts before that";
                Err(Refused::new(RefusedCode::Busy, reason))
            }
        }
    }

    /// Why an outlet is as it is.
    pub(crate) async fn explain(&self, outlet: OutletId) -> Result<Explanation, Refused> {
        let (answer, answered) = oneshot::channel();
        let unknown = format!("this node has no outlet {outlet}");
        self.ask(Question::Explain(outlet, answer)).await?;
        let explanation = timeout(PATIENCE, answered).await.ok().and_then(Result::ok);
        let explanation = explanation.ok_or_else(gone)?;
        explanation.map(|it| *it).ok_or_else(|| Refused::new(RefusedCode::UnknownOutlet, unknown))
    }

    /// Has an outlet's own task do something, again where an order to the outlet took its place.
    pub(crate) async fn errand<T>(
        &self,
        outlet: &OutletId,
        errand: impl Fn(Told<T>) -> Errand,
    ) -> Result<T, Refused> {
        for _ in 0..ERRAND_TRIES {
            let (told, answered) = oneshot::channel();
            let (taken, is_taken) = oneshot::channel();
            let (outlet, errand) = (outlet.clone(), errand(told));
            self.ask(Question::Errand { outlet, errand, taken }).await?;
            is_taken.await.map_err(|_| gone())??;
            match answered.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => {
                    return Err(Refused::new(RefusedCode::Device, crate::chain(&error)));
                }
                // An order took its place.
                Err(_) => {}
            }
        }
        let reason = format!("{outlet} is being switched again and again: try later");
        Err(Refused::new(RefusedCode::Busy, reason))
    }

    async fn ask(&self, question: Question) -> Result<(), Refused> {
        match timeout(PATIENCE, self.questions.send(question)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(gone()),
        }
    }

    /// Whoever comes while a text is being written waits for that one.
    async fn kept(&self, kept: &Mutex<Option<Kept>>, write: Write) -> Option<Bytes> {
        let mut kept = kept.lock().await;
        if let Some(fresh) = kept.as_ref().filter(|kept| kept.at.elapsed() < FRESH) {
            return Some(fresh.text.clone());
        }
        let text = self.written(write).await?;
        Some(kept.insert(Kept { text, at: Instant::now() }).text.clone())
    }

    async fn written(&self, write: Write) -> Option<Bytes> {
        let snapshot = timeout(PATIENCE, self.asked()).await.ok()??;
        let (figures, before) = timeout(FIGURES_PATIENCE, self.figures()).await.unwrap_or_default();
        let text = tokio::task::spawn_blocking(move || write(snapshot, &figures, before.as_ref()));
        text.await.ok().map(Bytes::from)
    }

    /// The machine's figures, and those of the reading before. One reading at a time: one that hangs
    /// keeps its thread, and nobody takes another.
    async fn figures(&self) -> (Figures, Option<Figures>) {
        let machine = self.machine.clone();
        let mut before = Arc::clone(&self.before).lock_owned().await;
        let read = tokio::task::spawn_blocking(move || {
            let figures = machine.read();
            let before = before.replace(figures.clone());
            (figures, before)
        });
        read.await.unwrap_or_default()
    }

    async fn asked(&self) -> Option<Snapshot> {
        let (question, answer) = oneshot::channel();
        self.questions.send(Question::Look(question)).await.ok()?;
        answer.await.ok()
    }
}

fn gone() -> Refused {
    Refused::new(RefusedCode::Busy, "the agent's loop does not answer: is it stopping?")
}

type Write = fn(Snapshot, &Figures, Option<&Figures>) -> Vec<u8>;

fn status_text(snapshot: Snapshot, figures: &Figures, before: Option<&Figures>) -> Vec<u8> {
    let host = Some(figures.telemetry(snapshot.now, before));
    let report = Report { host, ..snapshot.report };
    serde_json::to_vec(&report).expect("a report has string keys only")
}

fn metrics_text(snapshot: Snapshot, figures: &Figures, _: Option<&Figures>) -> Vec<u8> {
    let Snapshot { now, report, meter, store } = snapshot;
    let reading = metrics::Reading { now, report: &report, meter: &meter, store, figures };
    metrics::text(&reading).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::local::fixture;

    #[tokio::test]
    async fn figures_that_hang_are_left_out_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        // Reading it waits for a writer.
        let hanging = root.path().join("proc/meminfo");
        mkfifo(&hanging, Mode::S_IRWXU).unwrap();
        let (ask, mut questions) = mpsc::channel::<Question>(8);
        tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                let Question::Look(answer) = question else { panic!("nobody orders") };
                let _ = answer.send(fixture::snapshot());
            }
        });
        let machine = Machine::rooted(root.path(), root.path());
        let source = Source::new(ask, machine);
        for _ in 0..2 {
            let report: Report = serde_json::from_slice(&source.report().await.unwrap()).unwrap();
            assert_eq!(report.state, fixture::report().state);
            assert_eq!(report.host.unwrap().memory_bytes, None);
        }
        // One reading hangs, whoever came after it; it must not outlive the test.
        File::options().write(true).open(&hanging).unwrap();
        assert!(source.before.lock().await.is_some());
    }
}
