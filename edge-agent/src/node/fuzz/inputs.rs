//! What happens to a node, one deed after the other.

mod command;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_protocol::codec::decode_command;
use edge_protocol::command::OutletSet;
use edge_protocol::event::{Code, Event, Fault, What};
use edge_protocol::limits::MAX_MESSAGE_BYTES;
use serde_json::json;

use super::{SETTLED_MS, assert_at_rest, assert_waits};
use crate::node::record::{Kind, Write};
use crate::node::time::{BootMs, Now};
use crate::node::trial::{Batch, Trial, failed, succeeded};
use crate::node::{Act, Asker, Disk, Failure, Input, LocalOrder, Reading, ScriptOutcome};

/// A longer life is no better than this one and takes longer to try.
const MOST_DEEDS: usize = 80;
const OUTLETS: [&str; 3] = ["plug-1", "plug-2", "camera"];

/// Each deed is a byte or more: a command good or bad, a link that comes and goes, a plug that is
/// deaf or lies, a thumb, a technician, a script that ends, a disk that fills, time, clock steps, and starts.
/// Whatever it is: numbers rise by one, each command gets one answer before it is acknowledged,
/// nothing is published that is not on disk, nothing wakes without a reason, and in the end
/// every session ends and every outlet is at rest.
///
/// # Panics
/// Something of this does not hold.
pub fn inputs(bytes: &[u8]) {
    let mut deeds = Deeds(bytes);
    let mut play = Play::new();
    for _ in 0..MOST_DEEDS {
        let Some(deed) = deeds.next() else { break };
        play.perform(deed, &mut deeds);
        assert_waits(&play.trial);
    }
    play.come_to_rest();
}

/// What the fuzzer's bytes choose.
struct Deeds<'a>(&'a [u8]);

impl Deeds<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next byte; 0 where there is none.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }
}

/// A node, and what it has said and done so far.
struct Play {
    trial: Trial,
    /// The payload of each message, by its token.
    messages: BTreeMap<u64, Vec<u8>>,
    acknowledged: BTreeSet<u64>,
    answered: BTreeSet<String>,
    last_seq: u64,
    /// Out and not acknowledged.
    out: VecDeque<u64>,
    boots: u32,
    asker: Asker,
}

impl Play {
    fn new() -> Self {
        let trial = Trial::new();
        let last_seq = trial.node.state().queues.last_seq;
        Self {
            trial,
            messages: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            answered: BTreeSet::new(),
            last_seq,
            out: VecDeque::new(),
            boots: 1,
            asker: 0,
        }
    }

    fn perform(&mut self, deed: u8, deeds: &mut Deeds<'_>) {
        match deed % 23 {
            0..=4 => {
                let payload = command::any(deeds, &self.trial);
                self.message(payload, false);
            }
            5 => {
                let last = self.messages.last_key_value().map(|(_, payload)| payload.clone());
                self.message(last.unwrap_or_default(), deeds.byte() == 7);
            }
            6 => {
                let length = usize::from(deeds.byte() % 16).min(deeds.0.len());
                let (garbage, rest) = deeds.0.split_at(length);
                deeds.0 = rest;
                self.message(garbage.to_vec(), false);
            }
            7 => self.step(Input::Up { session_present: deeds.flag() }),
            8 => {
                self.out.clear();
                self.step(Input::Down);
            }
            9 | 10 => {
                for _ in 0..=deeds.byte() % 32 {
                    let Some(seq) = self.out.pop_front() else { break };
                    self.trial.step(Input::Delivered { seq });
                }
                self.run();
            }
            11 => {
                let Some(seq) = self.out.pop_front() else { return };
                let code = deeds.one_of(&[0x80, 0x87, 0x95, 0x97, 0x99]);
                self.step(Input::Refused { seq, code });
            }
            12 => {
                self.trial.deaf = deeds.flag();
                self.run();
            }
            13 => self.outlet(deeds),
            14 => self.script(deeds),
            15 => self.step(Input::Disk(deeds.one_of(&[Disk::Ok, Disk::Low, Disk::Failing]))),
            16 | 17 => {
                let ms = deeds.one_of(&[1, 199, 200, 1_000, 2_000, 5_000, 30_000, 60_000]);
                let batch = self.trial.pass(ms);
                self.take(&batch);
            }
            18 => self.clocks(deeds),
            19 => {
                self.out.clear();
                let batch = self.trial.restart();
                self.take(&batch);
            }
            20 => {
                self.out.clear();
                self.trial.step(Input::Stop);
                let batch = self.trial.settle();
                self.take(&batch);
                let batch = self.trial.restart();
                self.take(&batch);
            }
            21 => self.local(deeds),
            _ => self.reboot(deeds),
        }
    }

    fn step(&mut self, input: Input) {
        self.trial.step(input);
        self.run();
    }

    fn run(&mut self) {
        let batch = self.trial.run();
        self.take(&batch);
    }

    fn message(&mut self, payload: Vec<u8>, retained: bool) {
        let token = self.trial.arrive(payload.clone(), retained);
        self.messages.insert(token, payload);
        self.run();
    }

    /// A thumb, or an answer that no honest driver gives.
    fn outlet(&mut self, deeds: &mut Deeds<'_>) {
        let name = deeds.one_of(&OUTLETS);
        if deeds.flag() {
            if !self.trial.lit.remove(name) {
                self.trial.lit.insert(name.to_owned());
            }
            return self.run();
        }
        let Some((outlet, number, _)) = self.trial.withheld.pop() else { return };
        let boot = self.trial.now.boot;
        let instants =
            [None, Some(boot), Some(boot + 60_000), Some(BootMs(0)), Some(BootMs(i64::MAX))];
        let uptimes = [None, Some(0), Some(60_000), Some(u64::MAX)];
        let faults = [Fault::Unreachable, Fault::Refused, Fault::StuckOn, Fault::StuckOff];
        let result = if deeds.flag() {
            let (lease_off_at, uptime_ms) = (deeds.one_of(&instants), deeds.one_of(&uptimes));
            // A device may tell any number.
            let (boot_count, power_mw, energy_mwh) = (uptime_ms, uptime_ms, uptime_ms);
            let on = deeds.flag();
            let tripped = uptime_ms.filter(|_| !on).map(|_| "overpower");
            Ok(Reading { on, lease_off_at, uptime_ms, boot_count, power_mw, energy_mwh, tripped })
        } else {
            Err(Failure { fault: deeds.one_of(&faults), message: "so it says".to_owned() })
        };
        self.step(Input::Outlet { outlet, number, result });
    }

    /// Somebody at the machine itself, who gets one answer.
    fn local(&mut self, deeds: &mut Deeds<'_>) {
        let outlet = deeds.one_of(&["plug-1", "plug-2", "camera", "nowhere"]);
        let outlet = outlet.parse().expect("each is an id");
        let order = if deeds.flag() {
            LocalOrder::Release(outlet)
        } else {
            let (on, force) = (deeds.flag(), deeds.flag());
            let for_ms = deeds.one_of(&[None, Some(0), Some(1_000), Some(60_000), Some(u64::MAX)]);
            LocalOrder::Set(OutletSet { outlet, on, for_ms, force })
        };
        self.asker += 1;
        let asker = self.asker;
        self.trial.step(Input::Local { asker, order });
        let batch = self.trial.run();
        let answers = batch.acts.iter().filter(|act| matches!(act, Act::Answer { .. })).count();
        assert_eq!(answers, 1, "who asks at the machine gets one answer");
        self.take(&batch);
    }

    fn script(&mut self, deeds: &mut Deeds<'_>) {
        if deeds.flag() {
            let names = ["reboot.sh", "other.sh"][..usize::from(deeds.byte() % 3)].to_vec();
            self.trial.scripts(&names);
            return self.run();
        }
        let task = command::TASKS[usize::from(deeds.byte()) % command::TASKS.len()];
        let outcome = deeds.one_of(&[
            succeeded(),
            failed("exit 1"),
            ScriptOutcome::Failed { error: "exit 64".to_owned(), for_good: true },
            ScriptOutcome::Stopped,
        ]);
        let batch = self.trial.script(task, u32::from(deeds.byte() % 4), outcome);
        self.take(&batch);
    }

    /// A step of the wall clock, a clock that becomes synced, a suspend.
    fn clocks(&mut self, deeds: &mut Deeds<'_>) {
        let Now { boot, wall_ms, synced } = self.trial.now;
        let step = deeds.one_of(&[
            -31_536_000_000,
            -3_600_000,
            -1_500,
            1_500,
            3_600_000,
            31_536_000_000_i64,
        ]);
        let asleep = deeds.one_of(&[0, 0, 60_000, 3_600_000]);
        self.trial.now = Now {
            boot: boot + asleep,
            wall_ms: wall_ms.saturating_add_signed(step) + asleep,
            synced: synced || deeds.flag(),
        };
        self.run();
    }

    fn reboot(&mut self, deeds: &mut Deeds<'_>) {
        self.boots += 1;
        self.out.clear();
        self.trial.settings.boot_id = format!("boot-{}", self.boots);
        let away = deeds.one_of(&[10_000, 60_000, 3_600_000]);
        let (wall_ms, synced) = (self.trial.now.wall_ms + away, deeds.flag());
        self.trial.now = Now { boot: BootMs(8_000), wall_ms, synced };
        if deeds.flag() {
            self.trial.lit.clear();
        }
        let batch = self.trial.restart();
        self.take(&batch);
    }

    fn take(&mut self, batch: &Batch) {
        for event in &batch.events {
            if event.seq <= self.last_seq {
                assert_eq!(event.what.kind(), "node.dropped", "{} is another now", event.seq);
            } else {
                self.last_seq += 1;
                assert_eq!(event.seq, self.last_seq, "numbers rise by one");
            }
            self.answer(event);
        }
        for write in &batch.writes {
            if let Write::Put { key, value } = write {
                assert!(value.len() <= 2 * MAX_MESSAGE_BYTES, "{}", key.escape_ascii());
            }
        }
        for act in &batch.acts {
            if let Act::Acknowledge(token) = act {
                self.is_answered(*token);
            }
            if let Act::Publish { seq, payload } = act {
                assert!(payload.len() <= MAX_MESSAGE_BYTES, "{seq}");
                let on_disk = self.trial.disk.get(&Kind::Event.key(seq.to_be_bytes()));
                assert!(on_disk.is_none_or(|row| row == payload), "{seq} is not what is on disk");
                self.out.push_back(*seq);
            }
        }
    }

    fn answer(&mut self, event: &Event) {
        let command = if let What::CommandAccepted(accepted) = &event.what {
            Some(&accepted.command).filter(|_| !accepted.repeat)
        } else if let What::CommandRejected(rejected) = &event.what {
            // One that was busy may come again, and is another then.
            let lasting = !rejected.repeat && rejected.code != Code::Busy;
            rejected.command.as_ref().filter(|_| lasting)
        } else {
            None
        };
        let Some(command) = command else { return };
        assert!(self.answered.insert(command.to_string()), "{command} is answered twice");
    }

    fn is_answered(&mut self, token: u64) {
        assert!(self.acknowledged.insert(token), "{token} is acknowledged twice");
        let Ok(received) = decode_command(&self.messages[&token]) else { return };
        // One that was busy is answered and not remembered: then it must not be here.
        let known = self.answered.contains(received.id.as_str());
        let busy = received.command.is_ok_and(|command| command.request.kind() == "task.submit");
        assert!(known || busy, "{} is acknowledged and has no answer", received.id);
    }

    /// In the end everything obeys.
    fn come_to_rest(&mut self) {
        self.trial.deaf = false;
        self.step(Input::Disk(Disk::Ok));
        for outlet in OUTLETS {
            let id = format!("release-{outlet}");
            self.trial.send_as(&id, "outlet.release", json!({"outlet": outlet}));
        }
        let sessions: Vec<_> = self.trial.node.sessions.keys().cloned().collect();
        for session in sessions {
            let id = format!("end-{session}");
            let body = json!({"session": session, "immediate": true});
            self.trial.send_as(&id, "session.end", body);
        }
        self.trial.pass(SETTLED_MS);
        assert_at_rest(&self.trial);
        assert!(self.trial.node.sessions.is_empty(), "{:?}", self.trial.node.sessions);
        assert!(self.trial.node.falls.is_empty(), "{:?}", self.trial.node.falls);
        let batch = self.trial.restart();
        assert!(!batch.kinds().contains(&"node.store"), "{:?}", batch.events);
    }
}
