//! What a relay on a pin does, with a pin of the test's own, and behind a keeper that says what
//! the test has it say.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

use super::line::{Level, Line};
use super::*;
use crate::Kind;

/// A pin that remembers how it was driven; `stuck` ones keep their level.
#[derive(Debug, Clone)]
struct Bench {
    level: Arc<Mutex<Level>>,
    driven: Arc<Mutex<Vec<Level>>>,
    stuck: bool,
}

fn line(active_low: bool) -> LineSettings {
    LineSettings { pin: 17, active_low, backend: Backend::Rppal }
}

impl Bench {
    fn outlet(level: Level, active_low: bool, stuck: bool) -> (Gpio, Self) {
        let level = Arc::new(Mutex::new(level));
        let bench = Self { level, driven: Arc::default(), stuck };
        let relay = Relay::on_line(line(active_low), Box::new(bench.clone()));
        (Gpio { name: "GPIO 17".to_owned(), hand: Hand::Own(relay) }, bench)
    }
}

impl Line for Bench {
    fn level(&mut self) -> Result<Level, Fault> {
        Ok(*self.level.lock().unwrap())
    }

    fn drive(&mut self, level: Level) -> Result<(), Fault> {
        self.driven.lock().unwrap().push(level);
        if !self.stuck {
            *self.level.lock().unwrap() = level;
        }
        Ok(())
    }
}

#[test]
fn a_relay_is_on_at_the_level_that_its_board_wants() {
    for (on, active_low, level) in [
        (true, false, Level::High),
        (false, false, Level::Low),
        (true, true, Level::Low),
        (false, true, Level::High),
    ] {
        assert_eq!(line(active_low).level_of(on), level);
    }
}

#[tokio::test]
async fn reading_a_pin_drives_nothing() {
    for (level, active_low, on) in
        [(Level::High, false, true), (Level::Low, true, true), (Level::Low, false, false)]
    {
        let (mut outlet, bench) = Bench::outlet(level, active_low, false);
        assert_eq!(outlet.read().await.unwrap().on, on);
        assert_eq!(outlet.clear_lease().await.unwrap().lease, LeaseReading::Unsupported);
        assert!(bench.driven.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_outlet_found_on_is_driven_on_at_once_without_an_off_between() {
    let (mut outlet, bench) = Bench::outlet(Level::Low, true, false);
    assert!(outlet.on(None).await.unwrap().on);
    assert!(!outlet.off().await.unwrap().on);
    assert_eq!(*bench.driven.lock().unwrap(), [Level::Low, Level::High]);
}

#[tokio::test]
async fn a_pin_that_does_not_follow_is_a_contradiction() {
    let (mut outlet, _) = Bench::outlet(Level::High, false, true);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Contradicted);
    assert!(outlet.on(None).await.unwrap().on);
}

#[tokio::test]
async fn a_pin_is_never_switched_on_under_a_lease() {
    let (mut outlet, bench) = Bench::outlet(Level::Low, false, false);
    assert_eq!(outlet.capabilities().lease, None);
    let error = outlet.on(Some(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(bench.driven.lock().unwrap().is_empty());
}

#[tokio::test]
async fn off_a_raspberry_pi_the_error_says_so_and_what_to_do() {
    if ::rppal::system::DeviceInfo::new().is_ok() {
        return; // A Raspberry Pi: its pins are none of a test's business.
    }
    let mut outlet = Gpio::new(GpioSettings { line: line(true), keeper: None }).unwrap();
    let error = outlet.read().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Broken);
    assert_eq!(error.to_string(), "GPIO 17 could not be read");
    let seen = error.fault().to_string();
    assert!(seen.contains("driver gpio") && seen.contains("Raspberry Pi"), "{seen}");
    assert!(seen.contains("cdev") && seen.contains("simulated"), "{seen}");
    assert_eq!(outlet.on(None).await.unwrap_err().kind(), Kind::Broken);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Broken);
}

/// An outlet behind a keeper that gives each request the next of the test's answers, and the
/// folder of its line.
struct Keeping {
    outlet: Gpio,
    room: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Keeping {
    /// With no answers nobody listens; an empty one hangs up.
    fn answers(answers: &'static [&'static str]) -> Self {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("keeper.sock");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        if !answers.is_empty() {
            let listener = UnixListener::bind(&socket).unwrap();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                for answer in answers {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut line = String::new();
                    BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
                    heard.lock().unwrap().push(line);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
        let backend = Backend::Files { folder: room.path().to_owned() };
        let line = LineSettings { pin: 4, active_low: false, backend };
        let boot_ms = BootMs(|| 1_000);
        let keeper = KeeperSettings { socket, boot_id: "b".to_owned(), boot_ms };
        let outlet = Gpio::new(GpioSettings { line, keeper: Some(keeper) }).unwrap();
        Self { outlet, room, heard }
    }

    fn level(&self) -> Option<String> {
        std::fs::read_to_string(self.room.path().join("gpio4")).ok()
    }
}

#[tokio::test]
async fn behind_a_keeper_a_pin_holds_a_lease_until_an_instant_on_the_boot_clock() {
    let mut kept = Keeping::answers(&["{\"v\":1,\"on\":true,\"off_at_ms\":61000}\n"]);
    assert!(kept.outlet.capabilities().lease.is_some());
    let reading = kept.outlet.on(Some(Duration::from_secs(60))).await.unwrap();
    let rest = LeaseReading::Remaining(Duration::from_secs(60));
    assert_eq!((reading.on, reading.lease), (true, rest));
    let heard = kept.heard.lock().unwrap().pop().unwrap();
    assert!(heard.contains("\"off_at_ms\":61000,\"boot_id\":\"b\""), "{heard}");
    assert_eq!(kept.level(), None, "it is the keeper who drives");
}

#[tokio::test]
async fn what_a_keeper_refuses_is_told_in_its_words() {
    let mut kept =
        Keeping::answers(&["{\"v\":1,\"error\":\"refused\",\"message\":\"line busy\"}\n"]);
    let error = kept.outlet.on(None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.fault().to_string().contains("line busy"));
}

#[tokio::test]
async fn a_keeper_that_says_yes_and_reads_otherwise_contradicts_itself() {
    let mut kept = Keeping::answers(&["{\"v\":1,\"on\":true}\n"]);
    assert_eq!(kept.outlet.off().await.unwrap_err().kind(), Kind::Contradicted);
}

#[tokio::test]
async fn a_keeper_of_another_version_is_refused() {
    for answer in [&["{\"v\":2,\"on\":true}\n"][..], &["hello\n"]] {
        let mut kept = Keeping::answers(answer);
        assert_eq!(kept.outlet.read().await.unwrap_err().kind(), Kind::Refused);
    }
}

#[tokio::test]
async fn a_keeper_that_does_not_answer_is_unreachable_and_the_error_says_what_to_do() {
    for nobody in [&[][..], &[""]] {
        let mut kept = Keeping::answers(nobody);
        let error = kept.outlet.on(Some(Duration::from_secs(60))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient);
        let seen = error.fault().to_string();
        assert!(seen.contains("edge-agent-keeper") && seen.contains("[keeper]"), "{seen}");
        assert_eq!(kept.level(), None, "an on goes through the keeper or not at all");
    }
}

#[tokio::test]
async fn an_off_that_no_keeper_takes_is_driven_by_the_agent_itself() {
    for nobody in [&[][..], &[""]] {
        let mut kept = Keeping::answers(nobody);
        std::fs::write(kept.room.path().join("gpio4"), "1").unwrap();
        let reading = kept.outlet.off().await.unwrap();
        assert_eq!((reading.on, reading.lease), (false, LeaseReading::None));
        assert_eq!(kept.level().as_deref(), Some("0"));
    }
}
