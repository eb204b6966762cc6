//! Who comes to the socket, over a real one, in front of a loop that only answers.

use std::os::unix::fs::MetadataExt;

use edge_protocol::event::Code;
use plug_driver::{AnyOutlet, Behaviour};
use tokio::sync::mpsc;

use super::*;
use crate::audit::Audited;
use crate::host::figures::Machine;
use crate::local::{AskError, Question, Report, ask, fixture};
use crate::node::Rejection;

/// A socket over a loop with the simulated outlet `plug-1`, which a session owns.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (questions, asked) = mpsc::channel(8);
        let source = Arc::new(Source::new(questions, Machine::of(folder.path())));
        let bench = Self { folder };
        tokio::spawn(serve(listen(&bench.socket()).unwrap(), source));
        tokio::spawn(a_loop(asked));
        bench
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("made/control.sock")
    }

    /// Sends `request` as it stands and returns all that comes back.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

async fn a_loop(mut asked: mpsc::Receiver<Question>) {
    let mut outlet = AnyOutlet::simulated(Behaviour::default());
    while let Some(question) = asked.recv().await {
        match question {
            Question::Look(answer) => drop(answer.send(fixture::snapshot())),
            Question::Order(LocalOrder::Release(_), answer) => drop(answer.send(Ok(()))),
            Question::Order(LocalOrder::Set(_), answer) => {
                let rejection = Rejection::new(Code::Conflict, "session s-1 owns plug-1");
                drop(answer.send(Err(rejection)));
            }
            Question::Explain(_, answer) => drop(answer.send(None)),
            Question::Errand { errand, taken, .. } => {
                let _ = taken.send(Ok(()));
                errand.run(&mut outlet).await;
            }
        }
    }
}

fn plug() -> OutletId {
    "plug-1".parse().unwrap()
}

#[tokio::test]
async fn whoever_asks_is_answered_with_what_they_asked_for() {
    let bench = Bench::open();
    let socket = bench.socket();
    let report: Report = ask(&socket, &Ask::Status {}).await.unwrap();
    assert_eq!(report.state, fixture::report().state);
    let done: Done = ask(&socket, &Ask::Release { outlet: plug() }).await.unwrap();
    assert!(done.done);
    let read: ReadBack = ask(&socket, &Ask::Read { outlet: plug() }).await.unwrap();
    assert!(!read.on);
    let audited: Audited = ask(&socket, &Ask::Audit { outlet: plug() }).await.unwrap();
    assert!(audited.lease_max_ms.is_some());
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_reason() {
    let bench = Bench::open();
    let set = Ask::Set { outlet: plug(), on: true, for_ms: Some(1), force: false };
    let error = ask::<Done>(&bench.socket(), &set).await.unwrap_err();
    let AskError::Refused(refused) = error else { panic!("{error}") };
    assert_eq!(refused, Refused::new(RefusedCode::Conflict, "session s-1 owns plug-1"));
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_what_would_be_and_nothing_hangs() {
    let bench = Bench::open();
    for (request, words) in [
        (&b"dance\n"[..], "malformed"),
        (b"{\"v\":2,\"ask\":\"status\"}\n", "unsupported"),
        (&[b'x'; 1_024], "malformed"),
        (b"\xff\xfe\n", "malformed"),
    ] {
        let answer = bench.exchange(request).await;
        assert!(answer.contains(words), "{answer}");
    }
    let old = bench.exchange(b"status\n").await;
    assert!(serde_json::from_str::<Report>(&old).is_ok(), "{old}");
}

#[tokio::test]
async fn more_clients_than_there_are_seats_for_are_told_to_come_later() {
    let bench = Bench::open();
    let mut silent = Vec::new();
    for _ in 0..MAX_CLIENTS {
        silent.push(UnixStream::connect(bench.socket()).await.unwrap());
    }
    let answer = bench.exchange(b"").await;
    assert!(answer.contains("busy"), "{answer}");
    drop(silent);
}

#[tokio::test]
async fn only_the_agents_user_and_group_may_open_the_socket() {
    let bench = Bench::open();
    let mode = fs::metadata(bench.socket()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error =
        ask::<Report>(&bench.folder.path().join("none"), &Ask::Status {}).await.unwrap_err();
    assert!(matches!(error, AskError::NotRunning { .. }), "{error}");
}
