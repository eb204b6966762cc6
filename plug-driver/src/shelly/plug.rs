//! One relay of one plug, whichever its generation.

use std::time::Duration;

use super::audit::{Check, Wanted};
use super::door::Door;
use super::reply::{Reply, Status, number, text, truth};
use super::{Turn, gen1, gen2};
use crate::error::Fault;
use crate::http::Hurry;
use crate::{Finding, Rest};

#[derive(Debug)]
pub(super) struct Plug {
    door: Door,
    /// From 0, as plugs count.
    relay: u8,
    rest: Rest,
    /// Who answered last time.
    met: Option<Met>,
    /// It may be another by now: something went wrong, or it was restarted.
    in_doubt: bool,
    /// The standing `auto_off`, once asked for; `Some(None)`: it has none.
    auto_off: Option<Option<Duration>>,
}

/// What `/shelly` tells, to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) generation: Generation,
    /// Whether it asks for a password.
    pub(super) login: bool,
}

/// How a plug is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    First,
    /// The second, third, fourth: all alike here.
    Later,
}

impl Met {
    /// Out of the reply of `/shelly`.
    pub(super) fn told_by(reply: &Reply) -> Result<Self, Fault> {
        let told = reply.object().ok_or_else(|| reply.unexpected())?;
        match number(told, "gen") {
            Some(generation) if generation >= 2.0 => {
                let login = truth(told, "auth_en").unwrap_or_default();
                Ok(Self { generation: Generation::Later, login })
            }
            None if text(told, "type").is_some() => {
                let login = truth(told, "auth").unwrap_or_default();
                Ok(Self { generation: Generation::First, login })
            }
            Some(_) | None => Err(reply.unexpected()),
        }
    }
}

impl Plug {
    /// `relay` counts from 0.
    pub(super) fn new(door: Door, relay: u8) -> Self {
        Self { door, relay, rest: Rest::default(), met: None, in_doubt: false, auto_off: None }
    }

    pub(super) fn rests(&mut self, rest: Rest) {
        self.rest = rest;
    }

    /// Makes sure of whom it speaks to before the next order that is not an off.
    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Starts anew, as with a plug that answered like no such plug.
    pub(super) fn forget(&mut self) {
        (self.met, self.auto_off) = (None, None);
    }

    /// Asks who it is, if that is not known or in doubt; whether it is another than before.
    pub(super) async fn meet(&mut self) -> Result<bool, Fault> {
        if self.met.is_some() && !self.in_doubt {
            return Ok(false);
        }
        let met = Met::told_by(&self.door.ask_openly("/shelly", Hurry::No).await?)?;
        let before = self.met.replace(met);
        (self.in_doubt, self.auto_off) = (false, None);
        Ok(before.is_some_and(|before| before.generation != met.generation))
    }

    /// The generation, asked for only if nothing is known: an off has no time for doubts.
    async fn generation(&mut self, hurry: Hurry) -> Result<Generation, Fault> {
        if let Some(met) = self.met {
            return Ok(met.generation);
        }
        let met = Met::told_by(&self.door.ask_openly("/shelly", hurry).await?)?;
        self.met = Some(met);
        Ok(met.generation)
    }

    pub(super) async fn switch(&mut self, turn: Turn) -> Result<(), Fault> {
        match self.generation(turn.hurry()).await? {
            Generation::First => gen1::switch(&self.door, self.relay, turn).await,
            Generation::Later => gen2::switch(&mut self.door, self.relay, turn).await,
        }
    }

    pub(super) async fn status(&mut self) -> Result<Status, Fault> {
        match self.generation(Hurry::No).await? {
            Generation::First => gen1::status(&self.door, self.relay).await,
            Generation::Later => gen2::status(&mut self.door, self.relay).await,
        }
    }

    /// After how long each on is followed by an off by itself, whoever gave it. Asked once.
    pub(super) async fn auto_off(&mut self) -> Result<Option<Duration>, Fault> {
        if let Some(known) = self.auto_off {
            return Ok(known);
        }
        let told = match self.generation(Hurry::No).await? {
            Generation::First => gen1::auto_off(&self.door, self.relay).await?,
            Generation::Later => gen2::auto_off(&mut self.door, self.relay).await?,
        };
        self.auto_off = Some(told);
        Ok(told)
    }

    /// Sets that, and reads it back. The plug writes its flash.
    pub(super) async fn set_auto_off(&mut self, length: Option<Duration>) -> Result<(), Fault> {
        self.auto_off = None;
        match self.generation(Hurry::No).await? {
            Generation::First => gen1::set_auto_off(&self.door, self.relay, length).await?,
            Generation::Later => gen2::set_auto_off(&mut self.door, self.relay, length).await?,
        }
        let told = self.auto_off().await?;
        if told == length {
            return Ok(());
        }
        let word = |length: Option<Duration>| match length {
            Some(length) => format!("auto_off after {length:?}"),
            None => "no auto_off".to_owned(),
        };
        Err(Fault::Contradicted { expected: word(length), found: word(told) })
    }

    pub(super) async fn audit(&mut self) -> Result<Vec<Finding>, Fault> {
        // The login may have been set since.
        self.doubt();
        self.meet().await?;
        let mut findings = match self.generation(Hurry::No).await? {
            Generation::First => gen1::audit(&self.door, self.relay, self.rest).await?,
            Generation::Later => gen2::audit(&mut self.door, self.relay, self.rest).await?,
        };
        let login = self.met.is_some_and(|met| met.login);
        let actual = Some(if login { "on" } else { "off" }.to_owned());
        findings.push(Check { setting: "login", actual, wanted: Wanted::Login }.finding());
        Ok(findings)
    }

    pub(super) async fn mend(&mut self, setting: &str) -> Result<(), Fault> {
        self.auto_off = None;
        match self.generation(Hurry::No).await? {
            Generation::First => gen1::mend(&self.door, self.relay, self.rest, setting).await,
            Generation::Later => gen2::mend(&mut self.door, self.relay, self.rest, setting).await,
        }
    }
}
