//! Counts what passes through the loop.

use std::collections::{BTreeMap, VecDeque};

use edge_protocol::event::{Code, Event, Fault, What};
use edge_protocol::id::OutletId;

use super::histogram::Histogram;

/// From a millisecond, which a relay takes, to a minute, which is a broken promise.
const LATENESS_US: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 15_000_000, 60_000_000,
];
/// From a pin's microseconds to the patience of a driver.
const ANSWER_US: &[u64] = &[
    100, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// From a solid-state disk's tenth of a millisecond to an SD card that stalls for half a minute.
const FLUSH_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000, 30_000_000,
];

/// What was counted since the agent started. A copy of it is what `/metrics` tells.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    /// Of each type, every one from the start.
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) commands_accepted: u64,
    pub(super) commands_repeated: u64,
    pub(super) commands_rejected: BTreeMap<Code, u64>,
    /// From the off time of a session to its last outlet's confirmation.
    pub(super) off_lateness: Histogram,
    pub(super) clock_steps: u64,
    pub(super) last_step_ms: Option<i64>,
    pub(super) link: LinkMeter,
    pub(super) outlets: BTreeMap<OutletId, OutletMeter>,
    pub(super) store: StoreMeter,
}

/// The way to the broker.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkMeter {
    up: bool,
    pub(super) connects: u64,
    pub(super) failures: u64,
    pub(super) losses: u64,
}

/// One outlet.
#[derive(Debug, Clone)]
pub(super) struct OutletMeter {
    /// Orders that are not answered yet, by number: one or two.
    under_way: VecDeque<(u64, u64)>,
    /// From an order to its answer, whatever it was.
    pub(super) answers: Histogram,
    /// Answers that were errors.
    pub(super) failures: u64,
    /// How often each fault began, in the order of [`FAULTS`].
    pub(super) faults: [u64; FAULTS.len()],
}

/// The journal.
#[derive(Debug, Clone)]
pub(super) struct StoreMeter {
    /// Batches that are not durable yet.
    under_way: VecDeque<(u64, u64)>,
    /// From a batch's submission until it is durable.
    pub(super) flushes: Histogram,
    /// Keys and values handed in.
    pub(super) row_bytes: u64,
}

/// Every fault there is.
pub(super) const FAULTS: [Fault; 4] =
    [Fault::Unreachable, Fault::Refused, Fault::StuckOn, Fault::StuckOff];

impl Default for Meter {
    fn default() -> Self {
        Self {
            events: What::KINDS.into_iter().map(|kind| (kind, 0)).collect(),
            commands_accepted: 0,
            commands_repeated: 0,
            commands_rejected: BTreeMap::new(),
            off_lateness: Histogram::new(LATENESS_US),
            clock_steps: 0,
            last_step_ms: None,
            link: LinkMeter::default(),
            outlets: BTreeMap::new(),
            store: StoreMeter {
                under_way: VecDeque::new(),
                flushes: Histogram::new(FLUSH_US),
                row_bytes: 0,
            },
        }
    }
}

impl Meter {
    /// An event was told.
    pub(crate) fn told(&mut self, event: &Event) {
        *self.events.entry(event.what.kind()).or_default() += 1;
        if let What::CommandAccepted(answer) = &event.what {
            let count = match answer.repeat {
                true => &mut self.commands_repeated,
                false => &mut self.commands_accepted,
            };
            *count += 1;
        } else if let What::CommandRejected(answer) = &event.what {
            match answer.repeat {
                true => self.commands_repeated += 1,
                false => *self.commands_rejected.entry(answer.code).or_default() += 1,
            }
        } else if let What::SessionEnded(ended) = &event.what {
            self.off_lateness.observe(ended.late_ms.saturating_mul(1_000));
        } else if let What::NodeClock(clock) = &event.what {
            self.clock_steps += 1;
            self.last_step_ms = Some(clock.step_ms);
        } else if let What::OutletFault(fault) = &event.what {
            let kind = FAULTS.iter().position(|known| *known == fault.fault);
            let kind = kind.expect("every fault is known");
            self.outlet(&fault.outlet).faults[kind] += 1;
        }
    }

    /// A driver was given an order.
    pub(crate) fn ordered(&mut self, outlet: &OutletId, number: u64, at_us: u64) {
        self.outlet(outlet).under_way.push_back((number, at_us));
    }

    /// A driver answered one; what was ordered before it is never answered.
    pub(crate) fn answered(&mut self, outlet: &OutletId, number: u64, well: bool, at_us: u64) {
        let outlet = self.outlet(outlet);
        while let Some((ordered, since_us)) =
            outlet.under_way.pop_front_if(|order| order.0 <= number)
        {
            if ordered == number {
                outlet.answers.observe(at_us.saturating_sub(since_us));
            }
        }
        outlet.failures += u64::from(!well);
    }

    /// The broker was reached.
    pub(crate) fn connected(&mut self) {
        self.link.up = true;
        self.link.connects += 1;
    }

    /// It was lost, or an attempt to reach it failed.
    pub(crate) fn disconnected(&mut self) {
        let count = match std::mem::take(&mut self.link.up) {
            true => &mut self.link.losses,
            false => &mut self.link.failures,
        };
        *count += 1;
    }

    /// The journal was given a batch of so many bytes.
    pub(crate) fn submitted(&mut self, batch: u64, bytes: u64, at_us: u64) {
        self.store.under_way.push_back((batch, at_us));
        self.store.row_bytes += bytes;
    }

    /// Every batch up to this one is durable.
    pub(crate) fn stored(&mut self, through: u64, at_us: u64) {
        while let Some((_, since_us)) =
            self.store.under_way.pop_front_if(|batch| batch.0 <= through)
        {
            self.store.flushes.observe(at_us.saturating_sub(since_us));
        }
    }

    fn outlet(&mut self, id: &OutletId) -> &mut OutletMeter {
        if !self.outlets.contains_key(id) {
            let meter = OutletMeter {
                under_way: VecDeque::new(),
                answers: Histogram::new(ANSWER_US),
                failures: 0,
                faults: [0; FAULTS.len()],
            };
            self.outlets.insert(id.clone(), meter);
        }
        self.outlets.get_mut(id).expect("it was just put there")
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::event::{
        Clock, CommandAccepted, CommandRejected, NodeClock, OutletFault, Reason, SessionEnded,
    };

    use super::*;

    fn event(what: What) -> Event {
        Event {
            store: "9f3ac01b".to_owned(),
            seq: 1,
            at_ms: 1,
            clock: Clock::Synced,
            uptime_ms: 1,
            boot_id: "boot".to_owned(),
            cause: None,
            what,
        }
    }

    #[test]
    fn each_answer_counts_under_its_outcome_and_a_repeat_under_none_but_its_own() {
        let mut meter = Meter::default();
        let command = "c-1".parse().unwrap();
        for repeat in [false, true] {
            let accepted = CommandAccepted { command: "c-2".parse().unwrap(), repeat };
            meter.told(&event(What::CommandAccepted(accepted)));
        }
        for (code, repeat) in [(Code::Conflict, false), (Code::Conflict, true), (Code::Busy, false)]
        {
            let (command, message) = (Some(Clone::clone(&command)), String::new());
            let rejected = CommandRejected { command, code, message, repeat };
            meter.told(&event(What::CommandRejected(rejected)));
        }
        assert_eq!((meter.commands_accepted, meter.commands_repeated), (1, 2));
        assert_eq!(meter.commands_rejected, BTreeMap::from([(Code::Conflict, 1), (Code::Busy, 1)]));
        assert_eq!((meter.events["command.accepted"], meter.events["command.rejected"]), (2, 3));
        assert_eq!(meter.events.len(), What::KINDS.len());
    }

    #[test]
    fn a_session_counts_by_how_late_its_power_went() {
        let mut meter = Meter::default();
        for late_ms in [0, 3, 2_000] {
            meter.told(&event(What::SessionEnded(SessionEnded {
                session: "s-1".parse().unwrap(),
                station: "pc-1".parse().unwrap(),
                reason: Reason::Expired,
                powered_ms: 1,
                ended_at_ms: 1,
                late_ms,
                proof: None,
                energy_wh: None,
            })));
        }
        assert_eq!((meter.off_lateness.count(), meter.off_lateness.sum_us()), (3, 2_003_000));
    }

    #[test]
    fn an_answer_is_timed_from_its_own_order_and_an_overtaken_order_never() {
        let (mut meter, outlet) = (Meter::default(), "plug-1".parse().unwrap());
        meter.ordered(&outlet, 1, 1_000);
        meter.ordered(&outlet, 2, 5_000);
        meter.answered(&outlet, 2, true, 6_000);
        meter.answered(&outlet, 1, true, 7_000);
        meter.ordered(&outlet, 3, 8_000);
        meter.answered(&outlet, 3, false, 8_500);
        let of = &meter.outlets[&outlet];
        assert_eq!((of.answers.count(), of.answers.sum_us(), of.failures), (2, 1_500, 1));
        assert!(of.under_way.is_empty());
    }

    #[test]
    fn one_flush_may_store_many_batches() {
        let mut meter = Meter::default();
        for (batch, at_us) in [(1, 100), (2, 200), (3, 300)] {
            meter.submitted(batch, 10, at_us);
        }
        meter.stored(2, 1_200);
        assert_eq!((meter.store.flushes.count(), meter.store.flushes.sum_us()), (2, 2_100));
        assert_eq!((meter.store.under_way.len(), meter.store.row_bytes), (1, 30));
    }

    #[test]
    fn an_attempt_that_failed_is_no_connection_that_was_lost() {
        let mut meter = Meter::default();
        meter.disconnected();
        meter.connected();
        meter.disconnected();
        meter.disconnected();
        let link = &meter.link;
        assert_eq!((link.connects, link.failures, link.losses), (1, 2, 1));
    }

    #[test]
    fn faults_and_clock_steps_are_counted_as_they_are_told() {
        let mut meter = Meter::default();
        let outlet: OutletId = "plug-1".parse().unwrap();
        for fault in [Fault::StuckOn, Fault::StuckOn, Fault::Unreachable] {
            let (outlet, message) = (outlet.clone(), String::new());
            let fault = OutletFault { outlet, session: None, fault, message, since_ms: 1 };
            meter.told(&event(What::OutletFault(fault)));
        }
        meter.told(&event(What::NodeClock(NodeClock {
            step_ms: -5,
            sessions: vec![],
            off_for_ms: None,
        })));
        assert_eq!(meter.outlets[&outlet].faults, [1, 0, 2, 0]);
        assert_eq!((meter.clock_steps, meter.last_step_ms), (1, Some(-5)));
    }
}
