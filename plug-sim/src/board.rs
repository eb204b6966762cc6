//! What every plug is made of, whatever its firmware: relays with loads behind them, a meter,
//! a clock since power came, and flash that wears.

use std::time::Duration;

use crate::{By, time};

/// A relay that changed, by the plug's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When, since the plug was made.
    pub at: Duration,
    /// Which relay, from 1.
    pub relay: usize,
    /// What it became.
    pub on: bool,
    /// By whom.
    pub by: By,
}

/// One relay and the load behind it.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    /// What the firmware believes.
    pub(crate) on: bool,
    /// What the load draws while powered, in watts.
    pub(crate) load_w: f64,
    /// The contacts no longer open.
    pub(crate) welded: bool,
    /// What the meter has counted, in watt-hours.
    pub(crate) energy_wh: f64,
    /// Since when it is off, or was off last.
    off_since: Duration,
    counted: Duration,
}

/// How a firmware meters a relay that it believes to be open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenMeter {
    /// Whether it looks at all.
    pub(crate) looks: bool,
    /// For so long after the off the watts read 0 nevertheless.
    pub(crate) watts_after: Duration,
    /// For so long after the off the energy register stands still.
    pub(crate) energy_after: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Board {
    /// Since the plug was made.
    pub(crate) now: Duration,
    pub(crate) booted: Duration,
    pub(crate) boot_count: u32,
    pub(crate) relays: Vec<Relay>,
    pub(crate) open_meter: OpenMeter,
    /// How often the flash was written.
    pub(crate) flash_writes: u32,
    pub(crate) history: Vec<Change>,
    /// The true time when the plug was made, since the Unix epoch.
    pub(crate) made_at: Duration,
}

impl Board {
    /// All relays off, 60 W behind each.
    pub(crate) fn new(relays: usize, open_meter: OpenMeter, made_at: Duration) -> Self {
        let relay = Relay {
            on: false,
            load_w: 60.0,
            welded: false,
            energy_wh: 0.0,
            off_since: Duration::ZERO,
            counted: Duration::ZERO,
        };
        Self {
            now: Duration::ZERO,
            booted: Duration::ZERO,
            boot_count: 1,
            relays: vec![relay; relays.clamp(1, 8)],
            open_meter,
            flash_writes: 0,
            history: vec![],
            made_at,
        }
    }

    /// The true time, in milliseconds since the Unix epoch.
    pub(crate) fn wall_ms(&self, at: Duration) -> u64 {
        time::whole_ms(self.made_at.saturating_add(at))
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.now.saturating_sub(self.booted)
    }

    /// True if it changed.
    pub(crate) fn switch(&mut self, relay: usize, on: bool, by: By) -> bool {
        if self.relays[relay].on == on {
            return false;
        }
        self.count();
        self.relays[relay].on = on;
        if !on {
            self.relays[relay].off_since = self.now;
        }
        self.history.push(Change { at: self.now, relay: relay + 1, on, by });
        true
    }

    /// What the load draws, in watts, whatever the meter shows.
    pub(crate) fn drawn_w(&self, relay: usize) -> f64 {
        let relay = &self.relays[relay];
        if relay.on || relay.welded { relay.load_w } else { 0.0 }
    }

    /// What the meter shows, in watts.
    pub(crate) fn shown_w(&self, relay: usize) -> f64 {
        let OpenMeter { looks, watts_after, .. } = self.open_meter;
        let relay = &self.relays[relay];
        let sees = relay.on || looks && self.now >= relay.off_since + watts_after;
        if sees && (relay.on || relay.welded) { relay.load_w } else { 0.0 }
    }

    /// Counts the energy that has flowed since the last time, as far as the meter sees it.
    pub(crate) fn count(&mut self) {
        let (now, open) = (self.now, self.open_meter);
        for relay in &mut self.relays {
            let from = if relay.on {
                relay.counted
            } else if relay.welded && open.looks {
                relay.counted.max(relay.off_since + open.energy_after)
            } else {
                now
            };
            let hours = now.saturating_sub(from).as_secs_f64() / 3_600.0;
            relay.energy_wh += relay.load_w * hours;
            relay.counted = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_flows_while_on_and_behind_welded_contacts_once_the_meter_looks() {
        let shelly = OpenMeter {
            looks: true,
            watts_after: Duration::from_secs(45),
            energy_after: Duration::from_secs(80),
        };
        let mut board = Board::new(1, shelly, Duration::ZERO);
        let pass = |board: &mut Board, seconds| {
            board.now += Duration::from_secs(seconds);
            board.count();
            (board.shown_w(0), (board.relays[0].energy_wh * 60.0).round())
        };
        board.switch(0, true, By::Http);
        assert_eq!(pass(&mut board, 600), (60.0, 600.0));
        board.relays[0].welded = true;
        board.switch(0, false, By::Http);
        assert_eq!(pass(&mut board, 44), (0.0, 600.0));
        assert_eq!(pass(&mut board, 36), (60.0, 600.0));
        assert_eq!(pass(&mut board, 60), (60.0, 660.0));
        board.relays[0].welded = false;
        assert_eq!(pass(&mut board, 60), (0.0, 660.0));
    }
}
