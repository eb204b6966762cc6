//! What was handed to the broker and not yet acknowledged, in the order it was handed over. Pure.
//!
//! rumqttc numbers packets itself and tells the number once a packet goes out. It sends in the
//! order of submission, so the first entry without a number is the one that went out.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::step::step;

/// A packet that the broker acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The one SUBSCRIBE of a connection.
    Subscription,
    /// The event of this `seq`.
    Event(u64),
    /// Status or state: the next one repairs it, so nobody waits for its acknowledgement.
    Retained,
    /// The offline status of an orderly stop.
    Farewell,
}

/// The window of unacknowledged packets of one connection.
#[derive(Debug)]
pub(super) struct Inflight {
    entries: VecDeque<Entry>,
    /// How many of `entries` have gone out and so have a packet id.
    sent: usize,
    limit: usize,
    /// Since when the oldest entry is the oldest.
    oldest_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    what: Sent,
    packet_id: u16,
    acknowledged: bool,
}

impl Inflight {
    /// A window of `limit` packets: what the broker takes at once, at most the packet ids in use.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), sent: 0, limit, oldest_since: None }
    }

    /// Whether one more may be submitted.
    ///
    /// The window counts from the oldest unacknowledged packet, holes included: rumqttc hands out
    /// the ids 1 to `limit` in turn, so that one more could meet an id that is still in use.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.limit
    }

    /// A packet was handed to rumqttc.
    pub(super) fn submit(&mut self, what: Sent, now: Instant) {
        self.entries.push_back(Entry { what, packet_id: 0, acknowledged: false });
        self.oldest_since.get_or_insert(now);
        step!("packet.handed", ?what);
    }

    /// rumqttc sent the next packet, under this id.
    pub(super) fn went_out(&mut self, packet_id: u16) {
        if let Some(entry) = self.entries.get_mut(self.sent) {
            entry.packet_id = packet_id;
            self.sent += 1;
            step!("packet.sent", packet_id);
        }
    }

    /// The broker acknowledged this id: what it was, or none if nothing waits under it.
    pub(super) fn acknowledge(&mut self, packet_id: u16, now: Instant) -> Option<Sent> {
        let entry = self
            .entries
            .iter_mut()
            .take(self.sent)
            .find(|entry| entry.packet_id == packet_id && !entry.acknowledged)?;
        entry.acknowledged = true;
        let what = entry.what;
        step!("packet.acknowledged", ?what);
        while self.entries.front().is_some_and(|oldest| oldest.acknowledged) {
            self.entries.pop_front();
            self.sent -= 1;
            self.oldest_since = (!self.entries.is_empty()).then_some(now);
        }
        Some(what)
    }

    /// Since when the broker owes the acknowledgement of the oldest packet; none when it owes none.
    ///
    /// Counted from when it became the oldest, not from its submission: a slow line that moves is
    /// not a broker that holds back, and one acknowledgement withheld is, however many others come.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        self.oldest_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn acknowledgements_find_their_event_whatever_came_between() {
        let now = Instant::now();
        let mut inflight = Inflight::new(8);
        inflight.submit(Sent::Event(7), now);
        inflight.submit(Sent::Retained, now);
        inflight.submit(Sent::Event(8), now);
        for packet_id in [2, 3, 4] {
            inflight.went_out(packet_id);
        }
        assert_eq!(inflight.acknowledge(4, now), Some(Sent::Event(8)));
        assert_eq!(inflight.acknowledge(2, now), Some(Sent::Event(7)));
        assert_eq!(inflight.acknowledge(3, now), Some(Sent::Retained));
        assert_eq!(inflight.oldest_since(), None);
    }

    #[test]
    fn an_acknowledgement_of_nothing_or_of_the_same_twice_is_of_nothing() {
        let now = Instant::now();
        let mut inflight = Inflight::new(8);
        inflight.submit(Sent::Event(1), now);
        assert_eq!(inflight.acknowledge(0, now), None, "it has not gone out yet");
        inflight.went_out(1);
        inflight.submit(Sent::Event(2), now);
        inflight.went_out(2);
        assert_eq!(inflight.acknowledge(2, now), Some(Sent::Event(2)));
        assert_eq!(inflight.acknowledge(2, now), None);
        assert_eq!(inflight.acknowledge(9, now), None);
    }

    #[test]
    fn the_window_opens_only_when_its_oldest_packet_is_acknowledged() {
        let now = Instant::now();
        let mut inflight = Inflight::new(2);
        for (seq, packet_id) in [(1, 1), (2, 2)] {
            assert!(inflight.has_room());
            inflight.submit(Sent::Event(seq), now);
            inflight.went_out(packet_id);
        }
        inflight.acknowledge(2, now);
        assert!(!inflight.has_room(), "id 1 is still in use and comes next");
        inflight.acknowledge(1, now);
        assert!(inflight.has_room());
    }

    #[test]
    fn one_withheld_acknowledgement_ages_while_others_come_and_progress_renews_the_patience() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut inflight = Inflight::new(8);
        for (seq, packet_id) in [(1, 1), (2, 2), (3, 3)] {
            inflight.submit(Sent::Event(seq), at(0));
            inflight.went_out(packet_id);
        }
        inflight.acknowledge(1, at(10));
        assert_eq!(inflight.oldest_since(), Some(at(10)));
        inflight.acknowledge(3, at(20));
        assert_eq!(inflight.oldest_since(), Some(at(10)), "2 is withheld");
        inflight.acknowledge(2, at(30));
        assert_eq!(inflight.oldest_since(), None);
        inflight.submit(Sent::Event(4), at(40));
        assert_eq!(inflight.oldest_since(), Some(at(40)));
    }
}
