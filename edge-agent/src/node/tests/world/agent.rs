//! What becomes of the agent and its machine.

use super::World;
use crate::node::record::Kind;
use crate::node::tests::plug::Plug;
use crate::node::{Found, Input, Node};

impl World {
    /// Starts the agent from what is on disk.
    pub(in crate::node) fn wake(&mut self) {
        let mut found = Found::default();
        for (key, value) in &self.disk {
            match Kind::of(key) {
                Some((Kind::Event, seq)) => {
                    let seq = u64::from_be_bytes(seq.try_into().unwrap());
                    found.events.push((seq, u32::try_from(value.len()).unwrap()));
                }
                _ => found.rows.push((key.clone(), value.clone())),
            }
        }
        let mut node = Node::recover(self.settings.clone(), found, self.now());
        for (id, _) in node.outlets() {
            let time = self.time;
            self.plugs.entry(id.to_string()).or_insert_with(|| Plug::new(true, time));
        }
        if self.up {
            node.step(self.now(), Input::Up { session_present: true });
        }
        self.node = Some(node);
        self.woken = self.time;
        self.settle();
    }

    /// The agent dies: nothing of it is left but its disk.
    pub(in crate::node) fn kill(&mut self) {
        self.node = None;
        for plug in self.plugs.values_mut() {
            plug.under_way = None;
        }
    }

    /// The agent dies and starts again `after_ms` later, in the same boot.
    pub(in crate::node) fn restart(&mut self, after_ms: u64) {
        self.kill();
        self.run_for(after_ms);
        self.wake();
    }

    /// The whole machine is away for `away_ms`. Its wall clock then shows `behind_ms` too little,
    /// and is unsynced if that is not 0. A relay without a plug around it falls open.
    pub(in crate::node) fn reboot(&mut self, away_ms: u64, behind_ms: u64) {
        self.kill();
        let time = self.time;
        for plug in self.plugs.values_mut().filter(|plug| !plug.leases) {
            plug.restart(time);
        }
        self.run_for(away_ms);
        self.boot_at = self.time;
        self.settings.boot_id = format!("boot-at-{}", self.time);
        self.wall_ahead -= behind_ms;
        self.synced = behind_ms == 0;
        self.run_for(20_000);
        self.wake();
    }

    /// The same, but the mains are away, so that no plug stays up.
    pub(in crate::node) fn blackout(&mut self, away_ms: u64, behind_ms: u64) {
        self.kill();
        self.run_for(away_ms);
        let time = self.time;
        self.plugs.values_mut().for_each(|plug| plug.restart(time));
        self.reboot(0, behind_ms);
    }

    /// The agent stops in order.
    pub(in crate::node) fn stop(&mut self) {
        self.step(Input::Stop);
        self.kill();
    }

    pub(in crate::node) fn link(&mut self, up: bool) {
        self.up = up;
        self.step(if up { Input::Up { session_present: true } } else { Input::Down });
    }
}
