//! A plug without sockets and without a clock of its own: requests in, replies out, and time
//! passes when it is told to.

mod links;
mod meet;

use std::time::Duration;

use serde_json::Value;

use crate::board::{Board, Change};
use crate::shelly::Shelly;
use crate::tasmota::Tasmota;
use crate::{By, Family, Fault, Profile, Restart};

/// A request that reached the plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Tasmota: the command as it was sent, decoded; empty if there was none. Shelly: the
    /// target, or method and parameters.
    pub command: String,
}

/// What the time of a Shelly's clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlugClock {
    /// Off by so many seconds.
    Off(i64),
    /// Never set: it tells none, and counts since it started.
    Unset,
}

/// A plug in virtual time.
///
/// ```
/// use std::time::Duration;
/// use plug_sim::{Device, Profile, Request};
///
/// let mut plug = Device::new(Profile::tasmota_13_4());
/// let reply = plug.handle(&Request::get("/cm?cmnd=TimedPower1%2060000"));
/// assert_eq!(reply.response(), Some((200, r#"{"POWER":"ON"}"#)));
/// plug.advance(Duration::from_secs(60));
/// assert!(!plug.is_on(1));
/// ```
#[derive(Debug, Clone)]
pub struct Device {
    kind: Kind,
    asked: Vec<Asked>,
    /// The fault and for how many more requests, `None` for all.
    fault: Option<(Fault, Option<u32>)>,
}

#[derive(Debug, Clone)]
enum Kind {
    Tasmota(Box<Tasmota>),
    Shelly(Box<Shelly>),
}

impl Device {
    /// A plug whose relays are off, made at the start of the Unix epoch.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self::made_at(profile, Duration::ZERO)
    }

    /// The same, made so long after the start of the Unix epoch.
    #[must_use]
    pub fn made_at(profile: Profile, made_at: Duration) -> Self {
        let kind = match profile.family {
            Family::Tasmota => Kind::Tasmota(Box::new(Tasmota::new(profile, made_at))),
            Family::ShellyGen1 | Family::ShellyGen2 => {
                Kind::Shelly(Box::new(Shelly::new(profile, made_at)))
            }
        };
        Self { kind, asked: vec![], fault: None }
    }

    /// Lets so much time pass; all that was due meanwhile happened at its instant.
    pub fn advance(&mut self, by: Duration) {
        self.advance_to(self.now() + by);
    }

    /// Lets time pass until `now`, counted since the plug was made; never back.
    pub fn advance_to(&mut self, now: Duration) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.board_mut().now = due.max(self.now());
            match &mut self.kind {
                Kind::Tasmota(plug) => plug.act(),
                Kind::Shelly(plug) => plug.act(),
            }
        }
        self.board_mut().now = now.max(self.now());
        self.board_mut().count();
    }

    /// How long ago it was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.board().now
    }

    /// When it will next do something by itself, counted since it was made.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Tasmota(plug) => plug.next_due(),
            Kind::Shelly(plug) => plug.next_due(),
        }
    }

    /// What it pretends to be, with the password that it asks for now.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        match &self.kind {
            Kind::Tasmota(plug) => &plug.profile,
            Kind::Shelly(plug) => &plug.profile,
        }
    }

    /// Whether the relay (from 1) is on, by what the plug believes. False for one it lacks.
    #[must_use]
    pub fn is_on(&self, relay: usize) -> bool {
        self.index(relay).is_some_and(|relay| self.board().relays[relay].on)
    }

    /// How long until the plug by itself switches the relay (from 1) off, by whichever of its
    /// timers is first; `None` if none would. Counts while the relay is off, too.
    #[must_use]
    pub fn lease_remaining(&self, relay: usize) -> Option<Duration> {
        let relay = self.index(relay)?;
        match &self.kind {
            Kind::Tasmota(plug) => plug.lease_remaining(relay),
            Kind::Shelly(plug) => plug.lease_remaining(relay),
        }
    }

    /// Every change of a relay since it was made, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Change] {
        &self.board().history
    }

    /// Every request that reached the plug, oldest first; those that a fault broke, too, but
    /// for [`Fault::Unreachable`].
    #[must_use]
    pub fn requests(&self) -> &[Asked] {
        &self.asked
    }

    /// How often the flash was written, as far as we imitate it: settings, and power states
    /// where they are saved. The real ones are gathered, so this is the most it can be.
    #[must_use]
    pub fn flash_writes(&self) -> u32 {
        self.board().flash_writes
    }

    /// How often it has started.
    #[must_use]
    pub fn boot_count(&self) -> u32 {
        self.board().boot_count
    }

    /// How long it has been running.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.board().uptime()
    }

    /// What the load on a relay (from 1) draws now, in watts, whatever the meter shows.
    #[must_use]
    pub fn drawn_w(&self, relay: usize) -> f64 {
        self.index(relay).map_or(0.0, |relay| self.board().drawn_w(relay))
    }

    /// What the register of a relay (from 1) has counted, in watt-hours.
    #[must_use]
    pub fn energy_wh(&self, relay: usize) -> f64 {
        self.index(relay).map_or(0.0, |relay| self.board().relays[relay].energy_wh)
    }

    /// Sets what the load on a relay (from 1) draws while powered, in watts: 60 at the start.
    pub fn set_power_w(&mut self, relay: usize, power_w: f64) {
        let Some(relay) = self.index(relay) else { return };
        self.board_mut().count();
        self.board_mut().relays[relay].load_w = power_w;
        if let Kind::Shelly(plug) = &mut self.kind {
            plug.protect(relay);
        }
    }

    /// Welds the contacts of a relay (from 1), or frees them: welded, the load draws power
    /// whatever the plug believes. A Tasmota's meter tells only with `SetOption21` on; a
    /// Shelly's shows 0 W for 45 s and counts no energy for 80 s
    /// (notDIRK/shelly-cloud-diy-ha#34).
    pub fn set_welded(&mut self, relay: usize, welded: bool) {
        let Some(relay) = self.index(relay) else { return };
        self.board_mut().count();
        self.board_mut().relays[relay].welded = welded;
    }

    /// A thumb on the button of a relay (from 1).
    pub fn press_button(&mut self, relay: usize) {
        let Some(relay) = self.index(relay) else { return };
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.press_button(relay),
            Kind::Shelly(plug) => plug.press_button(relay),
        }
    }

    /// Restarts it at once.
    pub fn restart(&mut self, kind: Restart) {
        self.board_mut().count();
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.restart(kind),
            Kind::Shelly(plug) => plug.restart(kind),
        }
    }

    /// Runs a command as if typed at the plug's console and gives the answer: to set a plug up
    /// without HTTP. A Shelly takes a target, as `/settings/relay/0?auto_off=60`, or on its
    /// second generation `Switch.SetConfig {"id":0,…}`, and asks for no password here. Not
    /// counted as a request.
    pub fn console(&mut self, command: &str) -> String {
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.execute(command, By::Http),
            Kind::Shelly(plug) => plug.console(command),
        }
    }

    /// Sets what the plug calls so, and gives its answer. Tasmota: `PowerOnState`, `Rule1`. Shelly:
    /// a setting of the first relay, `auto_off`, `initial_state`.
    pub fn set_setting(&mut self, name: &str, value: &Value) -> String {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.execute(&format!("{name} {text}"), By::Http),
            Kind::Shelly(plug) => plug.set_setting(name, value, &text),
        }
    }

    /// Tasmota: keeps the rule engine busy: a rule timer that ends meanwhile is lost for good.
    pub fn set_rules_busy(&mut self, busy: bool) {
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.rules_busy = busy,
            Kind::Shelly(_) => {}
        }
    }

    /// Shelly: something is wrong on a relay (from 1), as `overpower` or `overtemp`: it goes off
    /// and stays so until that is over (`None`).
    pub fn set_error(&mut self, relay: usize, error: Option<&str>) {
        let relay = self.index(relay);
        match (&mut self.kind, relay) {
            (Kind::Shelly(plug), Some(relay)) => plug.set_error(relay, error),
            (Kind::Shelly(_), None) | (Kind::Tasmota(_), _) => {}
        }
    }

    /// Shelly: what its clock says.
    pub fn set_clock(&mut self, clock: PlugClock) {
        match &mut self.kind {
            Kind::Shelly(plug) => plug.clock = clock,
            Kind::Tasmota(_) => {}
        }
    }

    /// Shelly's second generation: forgets every login, as when others push them out.
    pub fn forget_logins(&mut self) {
        match &mut self.kind {
            Kind::Shelly(plug) => plug.logins.forget(),
            Kind::Tasmota(_) => {}
        }
    }

    /// From now on every request meets this fault.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = Some((fault, None));
    }

    /// The next `requests` requests meet this fault.
    pub fn set_fault_for(&mut self, fault: Fault, requests: u32) {
        self.fault = Some((fault, Some(requests)));
    }

    /// From now on all is well.
    pub fn clear_fault(&mut self) {
        self.fault = None;
    }

    /// The fault that every request meets, or the next ones.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref().filter(|(_, left)| *left != Some(0)).map(|(fault, _)| fault)
    }

    fn index(&self, relay: usize) -> Option<usize> {
        relay.checked_sub(1).filter(|relay| *relay < self.board().relays.len())
    }

    pub(crate) fn board(&self) -> &Board {
        match &self.kind {
            Kind::Tasmota(plug) => &plug.board,
            Kind::Shelly(plug) => &plug.board,
        }
    }

    fn board_mut(&mut self) -> &mut Board {
        match &mut self.kind {
            Kind::Tasmota(plug) => &mut plug.board,
            Kind::Shelly(plug) => &mut plug.board,
        }
    }
}
