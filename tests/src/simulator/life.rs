//! Dying, restarting, connecting, and what the control plane does about it.

use edge_agent::node::Input;

use super::process::News;
use super::queue::Happening;
use super::world::World;

impl World {
    /// The process is gone at once; systemd starts it again.
    pub(super) fn die(&mut self, how: &str, down_ms: u64) {
        let Some(process) = self.process.take() else { return };
        self.note(|| format!("the agent {how}"));
        if process.online {
            self.broker.broken = true;
        }
        let through = self.disk.crash();
        if self.checker.crashed(through) {
            // That somebody switched one on again may be lost with the rest.
            self.plugs.values_mut().for_each(|plug| plug.thumbed = true);
        }
        self.alive_since = None;
        for serial in self.sent.keys().copied().collect::<Vec<_>>() {
            if self.rng.bool() {
                self.sent.remove(&serial);
            }
        }
        let at = self.clocks.real + down_ms;
        self.queue.at(at, Happening::Start);
    }

    /// The board is without power: its relays fall open, and its clock starts anew.
    pub(super) fn lose_power(&mut self, plugs_too: bool) {
        let real = self.clocks.real;
        for plug in self.plugs.values_mut() {
            if !plug.leases {
                plug.switch(false, real);
                plug.meddled_at = real;
            } else if plugs_too {
                plug.restart(false, real);
            }
        }
        if !self.reboots {
            self.reboots = true;
            self.behind_ms = self.rng.bool().then(|| self.rng.u64(1_000..3_000_000_000));
        }
    }

    /// What the clocks will be when it starts again.
    pub(super) fn reboot_at_start(
        &mut self,
        down_ms: u64,
        behind_ms: Option<u64>,
        synced_after_ms: u64,
    ) {
        self.behind_ms = behind_ms;
        self.synced_after_ms = down_ms + synced_after_ms;
    }

    /// Begins an orderly stop.
    pub(super) fn stop(&mut self, down_ms: u64) {
        let ready = self
            .process
            .as_ref()
            .is_some_and(|process| !process.stopping && process.frozen_until <= self.clocks.real);
        if !ready {
            return;
        }
        self.step(Input::Stop);
        self.settle();
        if let Some(process) = self.process.as_mut() {
            process.stopping = true;
            self.stop_down_ms = down_ms;
            self.stop_by = self.clocks.real + 8_000;
            self.alive_since = None;
            self.queue.at(self.stop_by, Happening::Look);
        }
        self.end_in_order();
    }

    /// Ends an orderly stop once everything is on disk, or took too long.
    pub(super) fn end_in_order(&mut self) {
        let stopping = self.process.as_ref().is_some_and(|process| process.stopping);
        if stopping && (self.all_stored() || self.clocks.real >= self.stop_by) {
            self.ever_stopped = true;
            self.die("has stopped in order", self.stop_down_ms);
        }
    }

    pub(super) fn lose_link(&mut self, noticed_ms: u64) {
        self.broker.broken = true;
        if let Some(process) = self.process.as_ref().filter(|process| process.online) {
            let noticed = Happening::Noticed { run: process.run, connection: process.connection };
            self.queue.at(self.clocks.real + noticed_ms, noticed);
        }
    }

    pub(super) fn noticed(&mut self, connection: u64) -> bool {
        let Some(process) = self
            .process
            .as_mut()
            .filter(|process| process.online && process.connection == connection)
        else {
            return false;
        };
        process.online = false;
        process.news.push_back(News::Down);
        self.note(|| "the link is gone".to_owned());
        let at = self.clocks.real + self.rng.u64(500..30_000);
        self.queue.at(at, Happening::Connect { run: self.run });
        true
    }

    pub(super) fn connect(&mut self) -> bool {
        let real = self.clocks.real;
        if self.process.as_ref().is_none_or(|process| process.online || process.stopping) {
            return false;
        }
        if self.broker.away_until > real {
            self.queue.at(
                self.broker.away_until + self.rng.u64(0..60_000),
                Happening::Connect { run: self.run },
            );
            return false;
        }
        self.refuse_next = None;
        let session_present = self.broker.connect();
        if let Some(process) = self.process.as_mut() {
            process.online = true;
            process.connection = self.broker.connection;
            process.news.push_back(News::Up { session_present });
        }
        self.note(|| format!("the link is up, session_present {session_present}"));
        if !session_present {
            // It learns of it by `node.link`, a little later.
            self.queue.at(real + 3_000, Happening::Send);
        }
        self.deliver();
        true
    }

    /// The broker sends what it may.
    pub(super) fn deliver(&mut self) {
        let connection = self.broker.connection;
        for delivery in self.broker.deliver() {
            let at = self.broker.outward(self.clocks.real);
            self.queue.at(at, Happening::Command { connection, delivery });
        }
    }

    pub(super) fn command(&mut self, connection: u64, delivery: u64) -> bool {
        if !self.broker.carries(connection) {
            return false;
        }
        let Some(delivery) = self.broker.delivery(delivery) else { return false };
        self.note(|| {
            let text = match edge_protocol::codec::decode_command(&delivery.payload) {
                Ok(received) => format!("{} {:?}", received.id, received.command),
                Err(unreadable) => unreadable.message,
            };
            let end = text.char_indices().nth(260).map_or(text.len(), |(at, _)| at);
            format!("command {}", &text[..end])
        });
        let Some(process) = self.process.as_mut() else { return false };
        process.news.push_back(News::Command {
            delivery: delivery.number,
            payload: delivery.payload,
            retained: delivery.retained,
        });
        true
    }

    /// The control plane sends something new, and again what the broker lost before it was answered.
    pub(super) fn send(&mut self) {
        if self.broker.session {
            let lost = self.control.issued.iter_mut().filter(|(_, issued)| !issued.kept).take(20);
            for (name, issued) in lost {
                if self.checker.ledger.answers(name) == 0 {
                    self.broker.keep(issued.payload.clone(), issued.retained);
                }
                issued.kept = true;
            }
            if self.in_order {
                self.control.closing = Some(self.checker.model.sessions.keys().cloned().collect());
            }
            let last_seq = self.checker.ledger.last();
            let wall_ms = self.clocks.true_wall();
            for (payload, retained) in self.control.send(wall_ms, last_seq) {
                self.broker.keep(payload, retained);
            }
            self.deliver();
        }
        let pause_ms = if self.in_order { 60_000 } else { self.control.pause_ms() };
        self.queue.at(self.clocks.real + pause_ms, Happening::Send);
    }

    pub(super) fn at_rest(&self) -> bool {
        self.unrest().is_empty()
    }

    /// What has not come to rest.
    pub(super) fn unrest(&self) -> String {
        let mut open = self.checker.model.open(self.stepped);
        if !self.broker.idle() {
            open.push("commands wait at the broker".to_owned());
        }
        let last = self.checker.ledger.last();
        let taken = self.broker.taken.last_key_value().map_or(0, |(seq, _)| *seq);
        let refused = self.checker.ledger.was_refused(last);
        if taken < last && !refused {
            open.push(format!("{} events wait", last - taken));
        }
        if self.process.is_none() || !self.all_stored() {
            open.push("the process is at work".to_owned());
        }
        if let Some(process) = self.process.as_ref().filter(|_| !open.is_empty()) {
            open.push(process.at_work());
        }
        open.join(", ")
    }

    /// Every command that the broker kept was answered, once.
    pub(super) fn check_answers(&mut self) {
        let unanswered =
            self.control.issued.iter().filter(|(_, issued)| issued.kept && !issued.retained).find(
                |(name, _)| {
                    self.checker.ledger.answers(name) == 0 && !self.checker.ledger.busy(name)
                },
            );
        if let Some((name, _)) = unanswered {
            let sentence = format!("each command gets one answer: {name} got none");
            self.broke(sentence);
        }
    }
}
