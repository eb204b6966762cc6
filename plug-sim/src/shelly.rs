//! A Shelly: outputs with one timer each, of both generations.
//!
//! What the generations share is here: switching, the flip-back timer, auto-off, what a restart
//! keeps, protection. [`gen1`] and [`gen2`] are how it is asked. Sources: the vendor's API
//! documentation and field reports, named where they count. Not documented, and so assumed here:
//! a restart loses the timer (with auto-off, a relay that comes back on starts it anew); a warm
//! restart leaves the relay as it is and only a cold one obeys `initial_state`; a `Switch.Set`
//! without `toggle_after` takes the running timer away.

mod coiot;
mod gen1;
mod gen2;
mod gen2_status;
mod logins;

use std::time::Duration;

use serde_json::{Value, json};

use crate::board::{Board, OpenMeter};
use crate::reply::{Answer, Response};
use crate::request::escape;
use crate::{By, Family, PlugClock, Profile, Request, Restart};
use logins::Logins;

/// An unmended weld reads 0 W for so long after the off, and its register stands still for so
/// long (notDIRK/shelly-cloud-diy-ha#34: 85.2 W at `output:false`).
const WELDED: OpenMeter = OpenMeter {
    looks: true,
    watts_after: Duration::from_secs(45),
    energy_after: Duration::from_secs(80),
};
/// A load above it switches the output off, in watts (a Plug S).
const POWER_LIMIT_W: f64 = 2_500.0;

/// What an output becomes when the mains return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initial {
    Off,
    On,
    Last,
    /// As its input: nothing is connected, so off.
    Input,
}

/// A timer that flips the output back.
#[derive(Debug, Clone, Copy)]
struct Flip {
    started: Duration,
    length: Duration,
    /// What the output becomes.
    on: bool,
}

/// One output, its settings and its timer.
#[derive(Debug, Clone)]
struct Output {
    name: Option<String>,
    initial: Initial,
    auto_on: bool,
    auto_on_delay_s: f64,
    auto_off: bool,
    auto_off_delay_s: f64,
    power_limit_w: f64,
    flip: Option<Flip>,
    source: &'static str,
    /// What is wrong with it; while something is, it can't be switched on.
    errors: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Shelly {
    pub(crate) profile: Profile,
    pub(crate) board: Board,
    pub(crate) clock: PlugClock,
    pub(crate) logins: Logins,
    name: Option<String>,
    outputs: Vec<Output>,
    /// Counts changes of the settings.
    revision: u32,
    /// A restart that was asked for and answered.
    restart_at: Option<Duration>,
}

impl Flip {
    fn at(self) -> Duration {
        self.started + self.length
    }
}

impl Shelly {
    pub(crate) fn new(profile: Profile, made_at: Duration) -> Self {
        let board = Board::new(profile.relays, WELDED, made_at);
        let output = Output {
            name: None,
            initial: Initial::Off,
            auto_on: false,
            auto_on_delay_s: 60.0,
            auto_off: false,
            auto_off_delay_s: 60.0,
            power_limit_w: POWER_LIMIT_W,
            flip: None,
            source: "init",
            errors: vec![],
        };
        Self {
            outputs: vec![output; board.relays.len()],
            board,
            clock: PlugClock::Off(0),
            logins: Logins::new(profile.version),
            name: None,
            revision: 1,
            restart_at: None,
            profile,
        }
    }

    pub(crate) fn obey_request(&mut self, request: &Request) -> Answer {
        match self.profile.family {
            Family::ShellyGen2 => self.obey_gen2(request),
            Family::ShellyGen1 | Family::Tasmota => self.obey_gen1(request),
        }
    }

    pub(crate) fn console(&mut self, command: &str) -> String {
        let (method, params) = command.split_once(' ').unwrap_or((command, "null"));
        if self.profile.family == Family::ShellyGen2 {
            let params = serde_json::from_str(params).unwrap_or(Value::Null);
            return match self.call(method, &params) {
                Ok(result) => result.to_string(),
                Err(refusal) => refusal.to_string(),
            };
        }
        match self.serve_gen1(&Request::get(command)) {
            Answer::Response(response) => response.body,
            Answer::Nothing | Answer::Reset | Answer::Silence => String::new(),
        }
    }

    pub(crate) fn set_setting(&mut self, name: &str, value: &Value, text: &str) -> String {
        if self.profile.family == Family::ShellyGen2 {
            let params = json!({ "id": 0, "config": { name: value } });
            return self.console(&format!("Switch.SetConfig {params}"));
        }
        self.console(&format!("/settings/relay/0?{name}={}", escape(text)))
    }

    pub(crate) fn wrong_password(&mut self) -> Answer {
        match self.profile.family {
            Family::ShellyGen2 => self.challenge(),
            Family::ShellyGen1 | Family::Tasmota => self.unauthorized(),
        }
    }

    /// An answer of the method's kind with nothing in it.
    pub(crate) fn with_null(&self, request: &Request, answer: Answer) -> Answer {
        let Answer::Response(response) = answer else { return answer };
        let mut frame: Value = serde_json::from_str(&response.body).unwrap_or(Value::Null);
        if request.path() == "/rpc" && frame.get("result").is_some() {
            frame["result"] = Value::Null;
        } else {
            frame = Value::Null;
        }
        Response { body: frame.to_string(), ..response }.into()
    }

    /// Switches, and starts the timer that flips it back: this one, else auto-off or auto-on.
    fn set(&mut self, relay: usize, on: bool, flip_after: Option<Duration>, by: By) {
        let now = self.board.now;
        let output = &mut self.outputs[relay];
        if on && !output.errors.is_empty() {
            return;
        }
        output.source = source(by, self.profile.family);
        let auto = match on {
            true if output.auto_off => Some(output.auto_off_delay_s),
            false if output.auto_on => Some(output.auto_on_delay_s),
            true | false => None,
        };
        let auto = auto.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let length = flip_after.or(auto);
        output.flip = length.map(|length| Flip { started: now, length, on: !on });
        self.board.switch(relay, on, by);
        self.protect(relay);
    }

    /// Too much load switches it off by itself.
    pub(crate) fn protect(&mut self, relay: usize) {
        if self.board.shown_w(relay) > self.outputs[relay].power_limit_w {
            self.set_error(relay, Some("overpower"));
        }
    }

    pub(crate) fn set_error(&mut self, relay: usize, error: Option<&str>) {
        self.outputs[relay].errors = error.map(str::to_owned).into_iter().collect();
        if error.is_some() {
            self.outputs[relay].flip = None;
            self.outputs[relay].source = source(By::Protection, self.profile.family);
            self.board.switch(relay, false, By::Protection);
        }
    }

    pub(crate) fn press_button(&mut self, relay: usize) {
        self.set(relay, !self.board.relays[relay].on, None, By::Button);
    }

    pub(crate) fn restart(&mut self, kind: Restart) {
        self.board.booted = self.board.now;
        self.board.boot_count += 1;
        self.restart_at = None;
        self.logins.forget();
        for relay in 0..self.outputs.len() {
            let saved = self.board.relays[relay].on;
            let on = match (kind, self.outputs[relay].initial) {
                (Restart::Warm, _) | (Restart::Cold, Initial::Last) => saved,
                (Restart::Cold, Initial::On) => true,
                (Restart::Cold, Initial::Off | Initial::Input) => false,
            };
            self.outputs[relay].errors.clear();
            self.set(relay, on, None, By::Restart);
        }
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        let flips = self.outputs.iter().filter_map(|output| output.flip.map(Flip::at));
        flips.chain(self.restart_at).min()
    }

    /// Does one thing that is due now.
    pub(crate) fn act(&mut self) {
        let now = self.board.now;
        if self.restart_at.is_some_and(|at| at <= now) {
            return self.restart(Restart::Warm);
        }
        for relay in 0..self.outputs.len() {
            if let Some(flip) = self.outputs[relay].flip.filter(|flip| flip.at() <= now) {
                self.outputs[relay].flip = None;
                return self.set(relay, flip.on, None, By::Timer);
            }
        }
    }

    pub(crate) fn lease_remaining(&self, relay: usize) -> Option<Duration> {
        let flip = self.outputs[relay].flip.filter(|flip| !flip.on)?;
        Some(flip.at().saturating_sub(self.board.now))
    }

    /// What its clock says of an instant, in seconds since the Unix epoch; since its start where
    /// the clock was never set.
    fn clock_at(&self, at: Duration) -> f64 {
        match self.clock {
            PlugClock::Off(seconds) => {
                let wall_ms = self.board.wall_ms(at);
                let ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
                let ms = ms.saturating_add(seconds.saturating_mul(1_000)).max(0);
                Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
            }
            PlugClock::Unset => at.saturating_sub(self.board.booted).as_secs_f64(),
        }
    }

    /// The seconds of its clock, `None` where it was never set.
    fn unix_s(&self) -> Option<u64> {
        let seconds =
            Duration::try_from_secs_f64(self.clock_at(self.board.now)).unwrap_or_default();
        (self.clock != PlugClock::Unset).then_some(seconds.as_secs())
    }

    /// One more write to flash.
    fn saved(&mut self) {
        self.board.flash_writes += 1;
        self.revision += 1;
    }
}

/// Who switched, in the words of the generation.
fn source(by: By, family: Family) -> &'static str {
    let first = family == Family::ShellyGen1;
    match by {
        By::Http if first => "http",
        By::Http => "HTTP_in",
        By::Mqtt => "mqtt",
        By::WebSocket => "WS_in",
        By::Timer => "timer",
        By::Rule => "script",
        By::Button if first => "input",
        By::Button => "button",
        By::Restart => "init",
        By::Protection if first => "overpower",
        By::Protection => "limit_power",
    }
}
