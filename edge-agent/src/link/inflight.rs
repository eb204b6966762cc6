//! What was sent to the broker and not yet acknowledged, in the order it was sent. Pure.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Retained;
use crate::step::step;

/// A packet that the broker acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The one SUBSCRIBE of a connection.
    Subscription,
    /// The event of this `seq`.
    Event(u64),
    /// Status or state: the next one repairs it, so nobody waits for its acknowledgement.
    Retained(Retained),
    /// The offline status of an orderly stop.
    Farewell,
}

/// The window of unacknowledged packets of one connection.
#[derive(Debug)]
pub(super) struct Inflight {
    entries: VecDeque<Entry>,
    limit: usize,
    last_packet_id: u16,
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
    /// A window of `limit` packets: what the broker takes at once.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit, last_packet_id: 0, oldest_since: None }
    }

    /// Whether one more may be sent.
    ///
    /// The window counts from the oldest unacknowledged packet, holes included: as ids are given
    /// in turn, none of them can meet one that is still in use.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.limit
    }

    /// A packet is sent, under the packet id that this gives it.
    pub(super) fn submit(&mut self, what: Sent, now: Instant) -> u16 {
        // Through all of them, so that an acknowledgement that comes twice finds its id unused.
        let packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id = packet_id;
        self.entries.push_back(Entry { what, packet_id, acknowledged: false });
        self.oldest_since.get_or_insert(now);
        step!("packet.sent", packet_id, ?what);
        packet_id
    }

    /// The broker acknowledged this id: what it was, or none if nothing waits under it.
    pub(super) fn acknowledge(&mut self, packet_id: u16, now: Instant) -> Option<Sent> {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.packet_id == packet_id && !entry.acknowledged)?;
        entry.acknowledged = true;
        let what = entry.what;
        step!("packet.acknowledged", ?what);
        while self.entries.front().is_some_and(|oldest| oldest.acknowledged) {
            self.entries.pop_front();
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
        let sent = [Sent::Event(7), Sent::Retained(Retained::State), Sent::Event(8)];
        assert_eq!(sent.map(|what| inflight.submit(what, now)), [1, 2, 3]);
        assert_eq!(inflight.acknowledge(3, now), Some(Sent::Event(8)));
        assert_eq!(inflight.acknowledge(1, now), Some(Sent::Event(7)));
        assert_eq!(inflight.acknowledge(2, now), Some(Sent::Retained(Retained::State)));
        assert_eq!(inflight.oldest_since(), None);
    }

    #[test]
    fn an_acknowledgement_of_nothing_or_of_the_same_twice_is_of_nothing() {
        let now = Instant::now();
        let mut inflight = Inflight::new(8);
        assert_eq!(inflight.acknowledge(1, now), None, "it has not been sent yet");
        inflight.submit(Sent::Event(1), now);
        inflight.submit(Sent::Event(2), now);
        assert_eq!(inflight.acknowledge(2, now), Some(Sent::Event(2)));
        assert_eq!(inflight.acknowledge(2, now), None);
        assert_eq!(inflight.acknowledge(9, now), None);
    }

    #[test]
    fn no_packet_id_is_zero_and_none_is_given_again_before_all_others_were() {
        let now = Instant::now();
        let mut inflight = Inflight::new(1);
        for round in 0..2 {
            for expected in 1..=u16::MAX {
                assert!(inflight.has_room());
                assert_eq!(inflight.submit(Sent::Event(round), now), expected);
                assert_eq!(inflight.acknowledge(expected, now), Some(Sent::Event(round)));
            }
        }
    }

    #[test]
    fn the_window_opens_only_when_its_oldest_packet_is_acknowledged() {
        let now = Instant::now();
        let mut inflight = Inflight::new(2);
        for seq in [1, 2] {
            assert!(inflight.has_room());
            inflight.submit(Sent::Event(seq), now);
        }
        inflight.acknowledge(2, now);
        assert!(!inflight.has_room(), "1 is still on its way");
        inflight.acknowledge(1, now);
        assert!(inflight.has_room());
    }

    #[test]
    fn one_withheld_acknowledgement_ages_while_others_come_and_progress_renews_the_patience() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut inflight = Inflight::new(8);
        for seq in [1, 2, 3] {
            inflight.submit(Sent::Event(seq), at(0));
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
