//! Switching: `Power<n>`, `Power0`, interlock, lock, button.
//!
//! Source: arendst/Tasmota `support_tasmota.ino` (`ExecuteCommandPower`, `SetAllPower`).

use super::{Action, Tasmota};
use crate::By;

impl Tasmota {
    /// `Power<n>`: `relay` counts from 0.
    pub(super) fn power(&mut self, relay: usize, action: Action, by: By) {
        // A locked relay makes "show state" of everything, the off of a timer included.
        let action = if self.power_lock >> relay & 1 == 1 { Action::Query } else { action };
        if action != Action::Query || self.profile.version.query_cancels_pulse_time() {
            self.pulses[relay].at = None;
        }
        let on = match action {
            Action::Off => Some(false),
            Action::On => Some(true),
            Action::Toggle => Some(!self.board.relays[relay].on),
            Action::Query => None,
        };
        if let Some(on) = on {
            self.obey(relay, on, by);
        }
        self.publish_power(relay);
    }

    fn obey(&mut self, relay: usize, on: bool, by: By) {
        if on && self.interlock {
            for other in (0..self.board.relays.len()).filter(|other| *other != relay) {
                self.pulses[other].at = None;
                if self.switch(other, false, by) {
                    self.publish_power(other);
                }
            }
        }
        self.switch(relay, on, by);
        if on {
            self.arm_pulse(relay);
        }
    }

    /// `Power0`: arms and cancels no pulse timer, whatever its comment says (`SetAllPower`).
    pub(super) fn power_all(&mut self, action: Action, by: By) {
        for relay in 0..self.board.relays.len() {
            let on = match action {
                Action::Off => Some(false),
                Action::On => Some(true),
                Action::Toggle => Some(!self.board.relays[relay].on),
                Action::Query => None,
            };
            if let Some(on) = on.filter(|_| self.power_lock >> relay & 1 == 0) {
                self.switch(relay, on, by);
            }
            self.publish_power(relay);
        }
    }

    pub(crate) fn press_button(&mut self, relay: usize) {
        // SetOption73 takes the button off the relay.
        if self.option(73) == 0 {
            self.power(relay, Action::Toggle, By::Button);
        }
    }

    /// True if it changed. Saved in flash while `SetOption0` is on.
    pub(super) fn switch(&mut self, relay: usize, on: bool, by: By) -> bool {
        let changed = self.board.switch(relay, on, by);
        if changed && self.option(0) == 1 {
            self.board.flash_writes += 1;
        }
        changed
    }

    pub(super) fn fire(&mut self, event: &str, by: By) {
        if self.rules_busy || !self.profile.rules {
            return;
        }
        let commands: Vec<String> =
            self.rules.iter_mut().flat_map(|rule| rule.fire(event)).collect();
        for command in commands {
            self.execute(&command, by);
        }
    }
}
