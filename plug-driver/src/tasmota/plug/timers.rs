//! The timers of a plug, and the stored rule that one of them needs.

use super::{LeaseTimer, Plug, limits};
use crate::error::Fault;
use crate::tasmota::firmware::Version;
use crate::tasmota::lease::{PULSE_TIME_STEP, RULE_TIMER_STEP, TIMED_POWER_STEP, Timers};
use crate::tasmota::rule::{self, Part, Place, Stored};

impl Plug {
    /// Which timer the plug has, asked once.
    pub(in crate::tasmota) async fn timer(&mut self) -> Result<LeaseTimer, Fault> {
        match self.found.timer {
            Some(timer) => Ok(timer),
            None => Ok(match self.timers().await? {
                Timers::TimedPower(_) => LeaseTimer::TimedPower,
                Timers::RuleTimer(_) => LeaseTimer::RuleTimer,
                Timers::PulseTime(_) => LeaseTimer::PulseTime,
                Timers::Absent => LeaseTimer::Absent,
            }),
        }
    }

    /// Takes the lease into `PulseTime` from now on, until the plug is met anew.
    pub(in crate::tasmota) fn distrust_rule_timer(&mut self) {
        self.settle(LeaseTimer::PulseTime);
    }

    /// The plug's timers: those of the kind that holds its leases.
    pub(in crate::tasmota) async fn timers(&mut self) -> Result<Timers, Fault> {
        let timers = match self.found.timer {
            Some(LeaseTimer::TimedPower) => {
                Timers::TimedPower(self.ask("TimedPower").await?.timed_power()?)
            }
            Some(LeaseTimer::RuleTimer) => {
                Timers::RuleTimer(self.ask("RuleTimer").await?.rule_timer(self.relay)?)
            }
            Some(LeaseTimer::PulseTime) => self.pulse_time().await?,
            Some(LeaseTimer::Absent) => Timers::Absent,
            None => self.find_timers().await?,
        };
        self.settle(match timers {
            Timers::TimedPower(_) => LeaseTimer::TimedPower,
            Timers::RuleTimer(_) => LeaseTimer::RuleTimer,
            Timers::PulseTime(_) => LeaseTimer::PulseTime,
            Timers::Absent => LeaseTimer::Absent,
        });
        Ok(timers)
    }

    fn settle(&mut self, timer: LeaseTimer) {
        self.found.timer = Some(timer);
        self.capabilities.lease = match timer {
            LeaseTimer::TimedPower => limits(TIMED_POWER_STEP),
            LeaseTimer::RuleTimer => limits(RULE_TIMER_STEP),
            LeaseTimer::PulseTime => limits(PULSE_TIME_STEP),
            LeaseTimer::Absent => None,
        };
    }

    /// The best timer that the firmware is known to have and that answers.
    async fn find_timers(&mut self) -> Result<Timers, Fault> {
        if self.found.particulars.is_none() {
            self.whole().await?;
        }
        let version = self.found.particulars.and_then(|it| it.version);
        if version.is_none_or(|version| version >= Version::TIMED_POWER) {
            // Without a number it lists; with one it would clear.
            let reply = self.ask("TimedPower").await?;
            if !reply.is_unknown_command() {
                return Ok(Timers::TimedPower(reply.timed_power()?));
            }
        }
        if version.is_some_and(|version| version >= Version::RULE_TIMER)
            && self.relay <= rule::TIMERS
        {
            let reply = self.ask("RuleTimer").await?;
            if !reply.is_unknown_command() && self.rule_place(self.lease_rule()).await?.is_some() {
                return Ok(Timers::RuleTimer(reply.rule_timer(self.relay)?));
            }
        }
        let shared = version.is_some_and(|version| version < Version::PULSE_TIME_OF_ITS_OWN);
        if shared && self.relay > 8 {
            return Ok(Timers::Absent);
        }
        self.pulse_time().await
    }

    /// Clears the running `TimedPower` timers of `relay`, our own or 0.
    pub(in crate::tasmota) async fn clear_timed_power(&mut self, relay: u8) -> Result<(), Fault> {
        self.ask(&format!("TimedPower{relay}")).await?.timed_power_cleared(relay)
    }

    /// Starts our rule timer, or stops it with 0. In memory only.
    pub(in crate::tasmota) async fn set_rule_timer(&mut self, seconds: u64) -> Result<(), Fault> {
        let reply = self.ask(&format!("RuleTimer{} {seconds}", self.relay)).await?;
        let running = reply.rule_timer(self.relay)?;
        if running.is_some() == (seconds > 0) { Ok(()) } else { Err(reply.unexpected()) }
    }

    /// Whether the rule that a lease by rule timer needs is there and awake. Writes the plug's
    /// flash only if it is not; false: there is no room for it.
    pub(in crate::tasmota) async fn hold_lease_rule(&mut self) -> Result<bool, Fault> {
        if let Some(slot) = self.found.lease_slot {
            let stored = self.stored_rule(slot).await?;
            if rule::holds(&stored, self.lease_rule(), self.relay) {
                return Ok(true);
            }
        }
        match self.hold_rule(self.lease_rule()).await {
            // It was not stored as it was sent: no rule to hang a lease on.
            Err(Fault::Contradicted { .. }) => Ok(false),
            held => held,
        }
    }

    /// As [`Self::hold_lease_rule`], for a rule of these parts.
    pub(in crate::tasmota) async fn hold_rule(&mut self, parts: &[Part]) -> Result<bool, Fault> {
        // Two relays that find the same slot empty would write over each other.
        let _alone = self.wire.turns().alone().await;
        let text = rule::text(parts, self.relay);
        let slot = match self.rule_place(parts).await? {
            Some(Place::Held(_)) => return Ok(true),
            Some(Place::Asleep(slot)) => slot,
            Some(Place::Empty(slot)) => {
                self.ask(&format!("Rule{slot} {text}")).await?;
                slot
            }
            Some(Place::Behind(slot)) => {
                self.ask(&format!("Rule{slot} + {text}")).await?;
                slot
            }
            Some(Place::Nowhere) | None => return Ok(false),
        };
        let stored = self.stored_rule(slot).await?;
        if stored.once {
            self.ask(&format!("Rule{slot} 4")).await?;
        }
        if !stored.enabled {
            self.ask(&format!("Rule{slot} 1")).await?;
        }
        match self.rule_place(parts).await? {
            Some(Place::Held(_)) => Ok(true),
            place => Err(Fault::Contradicted {
                expected: format!("Rule{slot} {text}"),
                found: format!("{place:?}"),
            }),
        }
    }

    /// Takes the off after a restart out of the rules of ours that have it.
    pub(in crate::tasmota) async fn drop_boot_rule(&mut self) -> Result<(), Fault> {
        let _alone = self.wire.turns().alone().await;
        let Some(stored) = self.stored_rules().await? else { return Ok(()) };
        for (slot, rule) in (1_u8..).zip(&stored) {
            let Some(text) = rule::without_boot(rule, self.relay) else { continue };
            // A lone quotation mark empties it.
            let text = if text.is_empty() { "\"".to_owned() } else { text };
            self.ask(&format!("Rule{slot} {text}")).await?;
        }
        let left = self.stored_rules().await?.unwrap_or_default();
        if left.iter().any(|rule| rule::boots_off(rule, self.relay)) {
            let expected = format!("no rule with Power{}#Boot", self.relay);
            return Err(Fault::Contradicted { expected, found: "one".to_owned() });
        }
        Ok(())
    }

    /// Where the rule of these parts is or can go; `None`: nowhere, or the build has no rules.
    pub(in crate::tasmota) async fn rule_place(
        &mut self,
        parts: &[Part],
    ) -> Result<Option<Place>, Fault> {
        let Some(stored) = self.stored_rules().await? else { return Ok(None) };
        let place = rule::place(&stored, parts, self.relay);
        if let (Place::Held(slot), true) = (place, parts.contains(&Part::Timer)) {
            self.found.lease_slot = Some(slot);
        }
        Ok(Some(place).filter(|place| *place != Place::Nowhere))
    }

    /// Every stored rule, slot 1 first; `None`: the build has no rules.
    pub(in crate::tasmota) async fn stored_rules(&mut self) -> Result<Option<Vec<Stored>>, Fault> {
        let mut rules = Vec::with_capacity(usize::from(rule::SLOTS));
        for slot in 1..=rule::SLOTS {
            let reply = self.ask(&format!("Rule{slot}")).await?;
            if reply.is_unknown_command() {
                return Ok(None);
            }
            rules.push(reply.stored_rule(slot, &self.words())?);
        }
        Ok(Some(rules))
    }

    async fn stored_rule(&mut self, slot: u8) -> Result<Stored, Fault> {
        self.ask(&format!("Rule{slot}")).await?.stored_rule(slot, &self.words())
    }

    async fn pulse_time(&mut self) -> Result<Timers, Fault> {
        let reply = self.ask(&format!("PulseTime{}", self.relay)).await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(Timers::Absent);
        }
        let timer = reply.pulse_time(self.relay)?;
        self.found.pulse_time = Some(timer.set);
        Ok(Timers::PulseTime(timer))
    }

    /// What `PulseTime` arms with each on, as a code; 0: nothing. Asked once.
    pub(in crate::tasmota) async fn standing_pulse_time(&mut self) -> Result<u16, Fault> {
        if let Some(code) = self.found.pulse_time {
            return Ok(code);
        }
        let code = match self.pulse_time().await? {
            Timers::PulseTime(timer) => timer.set,
            Timers::TimedPower(_) | Timers::RuleTimer(_) | Timers::Absent => 0,
        };
        self.found.pulse_time = Some(code);
        Ok(code)
    }

    /// Sets what `PulseTime` arms, now and with each on. The plug writes its flash if that is a
    /// change.
    pub(in crate::tasmota) async fn set_pulse_time(&mut self, code: u16) -> Result<(), Fault> {
        let reply = self.ask(&format!("PulseTime{} {code}", self.relay)).await?;
        if reply.pulse_time(self.relay)?.set != code {
            return Err(reply.unexpected());
        }
        self.found.pulse_time = Some(code);
        Ok(())
    }
}
