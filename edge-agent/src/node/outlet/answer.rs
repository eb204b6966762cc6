//! What an outlet makes of its driver's answers, and has to tell of them (contract, 5, 6.3, 6.9).

use edge_protocol::event::{By, Fault, Lease, Proof};

use super::meter::Verdict;
use super::{Failure, Known, Order, Outlet, POLL_MS, RETRY_MS, Reading, Register, UnderWay};
use crate::node::settings::Button;
use crate::node::time::BootMs;

/// So many reads in a row must fail before an outlet that needs nothing counts as unreachable.
const READS_BEFORE_FAULT: u32 = 2;

/// What an outlet has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) enum News {
    Changed {
        on: bool,
        by: By,
        proof: Proof,
    },
    /// What was told before is surer now.
    Proven {
        on: bool,
        by: By,
        proof: Proof,
    },
    Lease {
        lease: Lease,
        off_at: Option<BootMs>,
    },
    Fault(Trouble),
    Recovered(Trouble),
}

/// What is wrong with an outlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) struct Trouble {
    pub(in crate::node) fault: Fault,
    pub(in crate::node) message: String,
    pub(in crate::node) since: BootMs,
}

impl Trouble {
    /// Power flowed although it read off, by the word of an agent before this one.
    pub(in crate::node) fn stuck_before(since: BootMs) -> Self {
        let message = "power flowed although it read off, when it was last measured".to_owned();
        Self { fault: Fault::StuckOn, message, since }
    }
}

/// Plugs tell their uptime in whole seconds.
const UPTIME_GRAIN_MS: u64 = 1_000;

impl Outlet {
    /// Takes a driver's answer to order `number`; an answer to an overtaken order says nothing.
    pub(in crate::node) fn answered(
        &mut self,
        number: u64,
        result: Result<Reading, Failure>,
        now: BootMs,
    ) -> Vec<News> {
        let mut news = Vec::new();
        let Some(answered) = self.under_way.take_if(|under_way| under_way.number == number) else {
            return news;
        };
        match result {
            Ok(reading) => self.found(answered, reading, now, &mut news),
            Err(failure) => self.failed(answered, failure, now, &mut news),
        }
        news
    }

    /// Gives up an order that its driver has not answered in time: that is a failure as well.
    pub(in crate::node) fn overdue(&mut self, now: BootMs) -> Vec<News> {
        let mut news = Vec::new();
        if let Some(lost) = self.under_way.take_if(|under_way| now >= under_way.lost_at()) {
            let message = format!("no answer within {} s", (now - lost.since) / 1_000);
            let failure = Failure { fault: Fault::Unreachable, message };
            self.failed(lost, failure, now, &mut news);
        }
        news
    }

    fn found(&mut self, answered: UnderWay, reading: Reading, now: BootMs, news: &mut Vec<News>) {
        let previous =
            self.known.replace(Known { reading, asked_at: answered.since, answered_at: now });
        self.failed_reads = 0;
        let verdict = self.measured(reading, now);
        let before = previous.map(|known| known.reading.on).or(self.before);
        if before.is_some_and(|before| before != reading.on) {
            let by = self.switched_by(answered, previous, reading);
            let in_session = self.want.by() == Some(By::Session) && self.want.is_on();
            self.obeyed = by == By::Button && in_session && self.settings.button == Button::Obey;
            let (on, proof) = (reading.on, self.proof(now));
            self.life.cycles = self.life.cycles.saturating_add(u64::from(on));
            self.told_change = Some((on, by, proof));
            news.push(News::Changed { on, by, proof });
        }
        self.tell_rise(reading.on, now, news);
        self.before = Some(reading.on);
        self.obeyed &= !reading.on;
        let asked = match answered.order {
            Order::On { .. } => Some(true),
            Order::Off => Some(false),
            Order::Read | Order::ClearLease => None,
        };
        self.recover(reading, news);
        self.judge(verdict, news);
        self.tell_lease(now, false, news);
        if previous.is_some_and(|previous| previous.restarted_before(reading, answered.since)) {
            self.forget_trip();
        }
        if let Some(word) = self.trips(answered, before, reading, now) {
            let message = format!("it switched itself off: {word}");
            self.blame(Failure { fault: Fault::Refused, message }, now, news);
            self.failing = true;
            self.not_before = now + POLL_MS;
            return;
        }
        if asked.is_some_and(|asked| asked != reading.on) {
            let message = "it said yes and did not switch".to_owned();
            let failure = Failure { fault: Fault::StuckOn, message };
            return self.failed(answered, failure, now, news);
        }
        self.failing = false;
        let next = self.next_wish(now);
        let asked_for_this = std::mem::discriminant(&next)
            == std::mem::discriminant(&answered.order)
            && answered.want == self.want
            && answered.since >= self.wanted_since;
        self.not_before = match next {
            Order::Read => now + POLL_MS,
            // It will not do it sooner for being asked again at once.
            Order::On { .. } | Order::Off | Order::ClearLease if asked_for_this => {
                now.max(answered.since + RETRY_MS)
            }
            Order::On { .. } | Order::Off | Order::ClearLease => now,
        };
    }

    /// Takes in what the device measured.
    fn measured(&mut self, reading: Reading, now: BootMs) -> Option<Verdict> {
        self.life.found(reading.on, now);
        if let Some(mwh) = reading.energy_mwh {
            self.meter.register(Register { mwh, at: now, on: reading.on });
        }
        self.meter.sample(reading.on, reading.power_mw, &mut self.life, now)
    }

    /// Tells an off once more when its watts have come to prove it: what a bill may stand on. An on
    /// needs no such proof, and that its lease was confirmed is told as news of the lease.
    fn tell_rise(&mut self, on: bool, now: BootMs, news: &mut Vec<News>) {
        let Some((told_on, by, told)) = self.told_change else { return };
        let proof = self.proof(now);
        if !on && told_on == on && told < proof && proof == Proof::WattsConfirmed {
            self.told_change = Some((on, by, proof));
            news.push(News::Proven { on, by, proof });
        }
    }

    /// Tells what the watts say of the relay.
    fn judge(&mut self, verdict: Option<Verdict>, news: &mut Vec<News>) {
        match verdict {
            None => {}
            Some(Verdict::Stuck { since, power_mw }) => {
                let message = format!(
                    "{}.{} W still flow although it reads off: its contacts may be welded",
                    power_mw / 1_000,
                    power_mw % 1_000 / 100
                );
                let trouble = Trouble { fault: Fault::StuckOn, message, since };
                self.stuck = Some(trouble.clone());
                news.push(News::Fault(trouble));
            }
            Some(Verdict::Free { since }) => {
                let trouble = self.stuck.take().unwrap_or_else(|| Trouble::stuck_before(since));
                news.push(News::Recovered(trouble));
            }
        }
    }

    fn recover(&mut self, reading: Reading, news: &mut Vec<News>) {
        // Where a button is obeyed, nothing is asked of it that it could refuse.
        let met = self.obeyed || self.want.is_met_by(reading.on);
        let over = |trouble: &mut Trouble| match trouble.fault {
            Fault::Unreachable => true,
            Fault::Refused | Fault::StuckOn | Fault::StuckOff => met,
        };
        if let Some(trouble) = self.trouble.take_if(over) {
            news.push(News::Recovered(trouble));
        }
    }

    /// Who must have switched an outlet that is not what it was.
    fn switched_by(&self, answered: UnderWay, previous: Option<Known>, reading: Reading) -> By {
        let ours = match answered.order {
            Order::On { .. } => reading.on,
            Order::Off => !reading.on,
            Order::Read | Order::ClearLease => false,
        };
        let ran_out = previous
            .and_then(|previous| previous.reading.lease_off_at)
            .is_some_and(|off_at| !reading.on && answered.since + RETRY_MS >= off_at);
        let restarted =
            previous.is_some_and(|previous| previous.restarted_before(reading, answered.since));
        match self.want.by() {
            _ if ran_out => By::Lease,
            Some(by) if ours => by,
            _ if restarted || previous.is_none() || reading.tripped.is_some() => By::Unknown,
            _ => By::Button,
        }
    }

    /// How sure the last answer makes it.
    pub(in crate::node) fn proof(&self, now: BootMs) -> Proof {
        let leased = self.want.off_at().is_some() && self.settings.leases;
        let confirmed = leased && self.confirmed_leased(self.want.off_at(), now);
        let watts = self.on().is_some_and(|on| self.meter.proves(on));
        // Each rung stands on those below it.
        if leased && !confirmed && self.on() == Some(true) {
            Proof::ReadBack
        } else if watts {
            Proof::WattsConfirmed
        } else if confirmed {
            Proof::LeaseConfirmed
        } else {
            Proof::ReadBack
        }
    }

    fn failed(&mut self, order: UnderWay, failure: Failure, now: BootMs, news: &mut Vec<News>) {
        let switching = match order.order {
            Order::On { .. } | Order::Off => true,
            Order::Read | Order::ClearLease => false,
        };
        let fault = match failure.fault {
            Fault::StuckOn | Fault::StuckOff if self.want.is_on() => Fault::StuckOff,
            Fault::StuckOn | Fault::StuckOff => Fault::StuckOn,
            fault @ (Fault::Unreachable | Fault::Refused) => fault,
        };
        self.failing |= switching;
        if !switching {
            self.failed_reads += 1;
        }
        let counts = switching || self.failed_reads >= READS_BEFORE_FAULT;
        if counts {
            self.blame(Failure { fault, message: failure.message }, now, news);
        }
        self.tell_lease(now, matches!(order.order, Order::On { .. }), news);
        self.not_before = now.max(order.since + RETRY_MS);
    }

    /// Tells a fault, unless it is told already.
    fn blame(&mut self, failure: Failure, now: BootMs, news: &mut Vec<News>) {
        let Failure { fault, message } = failure;
        let known = self.trouble().is_some_and(|trouble| trouble.fault == fault)
            || (fault == Fault::StuckOn && self.stuck.is_some());
        if !known {
            let trouble = Trouble { fault, message, since: now };
            self.trouble = Some(trouble.clone());
            news.push(News::Fault(trouble));
        }
    }
}

impl Known {
    /// Whether the device restarted before `reading`, which was asked for at `asked_at`: it has been
    /// up for less than it would be had it stayed up since this.
    fn restarted_before(self, reading: Reading, asked_at: BootMs) -> bool {
        if let (Some(before), Some(starts)) = (self.reading.boot_count, reading.boot_count)
            && before != starts
        {
            return true;
        }
        let (Some(before), Some(uptime_ms)) = (self.reading.uptime_ms, reading.uptime_ms) else {
            return false;
        };
        // A device may tell any number.
        let stayed_up = before.saturating_add(asked_at - self.answered_at);
        uptime_ms < before || uptime_ms.saturating_add(UPTIME_GRAIN_MS) < stayed_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plug that was pulled twice within seconds was taken for one with a thumb on its button,
    /// and the customer lost the rest of the session.
    #[test]
    fn a_plug_restarted_if_it_is_younger_than_it_would_be_had_it_stayed_up() {
        let reading = |uptime_ms| Reading { on: true, uptime_ms, ..Reading::default() };
        let known = Known {
            reading: reading(Some(1_500)),
            asked_at: BootMs(10_000),
            answered_at: BootMs(10_000),
        };
        for (uptime_ms, restarted) in [(2_000, true), (2_499, true), (2_500, false), (3_500, false)]
        {
            let reading = reading(Some(uptime_ms));
            assert_eq!(known.restarted_before(reading, BootMs(12_000)), restarted, "{uptime_ms}");
        }
        assert!(!known.restarted_before(reading(None), BootMs(12_000)));
    }
}
