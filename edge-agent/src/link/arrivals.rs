//! The commands that arrived over one connection and wait for their acknowledgement. Pure.

use std::collections::BTreeMap;

use crate::step::step;

/// The Receive Maximum that the link announces: how many commands the broker sends ahead of their
/// acknowledgements. With 256 KiB a packet this bounds what a flood can pile up here to 8 MiB.
pub(super) const RECEIVE_MAXIMUM: u16 = 32;
/// A broker that sends this many has not read the Receive Maximum. Above it by as much again,
/// since what is sent without a packet id (QoS 0) counts too.
const MAX_WAITING: usize = 2 * RECEIVE_MAXIMUM as usize;

/// Names one arrival of a command, for its acknowledgement.
///
/// One of an earlier connection acknowledges nothing: packet ids begin anew with each, and the
/// broker sends those commands again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    connection: u64,
    arrival: u64,
}

/// What to do with a command that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Tell it.
    Admitted(Token),
    /// It was sent at most once, and too many wait: drop it.
    Dropped,
    /// The broker sends more than it was allowed to.
    Overrun,
}

/// The unacknowledged commands of one connection.
#[derive(Debug)]
pub(super) struct Arrivals {
    connection: u64,
    next: u64,
    /// Arrival → packet id; none where the broker wants no acknowledgement (QoS 0).
    waiting: BTreeMap<u64, Option<u16>>,
}

impl Arrivals {
    pub(super) fn new(connection: u64) -> Self {
        Self { connection, next: 0, waiting: BTreeMap::new() }
    }

    /// A command came in, under a packet id if it wants an acknowledgement.
    pub(super) fn admit(&mut self, packet_id: Option<u16>) -> Admission {
        if packet_id.is_none() && self.waiting.len() >= usize::from(RECEIVE_MAXIMUM) {
            return Admission::Dropped;
        }
        if self.waiting.len() >= MAX_WAITING {
            return Admission::Overrun;
        }
        let token = Token { connection: self.connection, arrival: self.next };
        self.waiting.insert(self.next, packet_id);
        step!("command.arrived");
        self.next += 1;
        Admission::Admitted(token)
    }

    /// The packet id to acknowledge; none for a token of an earlier connection, a second time, or
    /// a command that the broker has already forgotten.
    pub(super) fn acknowledge(&mut self, token: Token) -> Option<u16> {
        if token.connection != self.connection {
            return None;
        }
        step!("command.released");
        self.waiting.remove(&token.arrival).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_acknowledged_once_and_in_any_order() {
        let mut arrivals = Arrivals::new(3);
        let tokens = [10, 11, 12].map(|packet_id| admitted(&mut arrivals, Some(packet_id)));
        assert_eq!(arrivals.acknowledge(tokens[2]), Some(12));
        assert_eq!(arrivals.acknowledge(tokens[0]), Some(10));
        assert_eq!(arrivals.acknowledge(tokens[0]), None);
        assert_eq!(arrivals.acknowledge(tokens[1]), Some(11));
    }

    #[test]
    fn a_token_of_an_earlier_connection_acknowledges_nothing() {
        let old = admitted(&mut Arrivals::new(1), Some(1));
        let mut arrivals = Arrivals::new(2);
        let new = admitted(&mut arrivals, Some(1));
        assert_eq!(arrivals.acknowledge(old), None);
        assert_eq!(arrivals.acknowledge(new), Some(1));
    }

    #[test]
    fn a_flood_at_qos_0_is_dropped_before_it_crowds_out_what_must_arrive() {
        let mut arrivals = Arrivals::new(1);
        let first = admitted(&mut arrivals, None);
        while arrivals.admit(None) != Admission::Dropped {}
        for packet_id in 1..=RECEIVE_MAXIMUM {
            admitted(&mut arrivals, Some(packet_id));
        }
        assert_eq!(arrivals.admit(Some(99)), Admission::Overrun);
        assert_eq!(arrivals.acknowledge(first), None, "QoS 0 has no acknowledgement");
    }

    fn admitted(arrivals: &mut Arrivals, packet_id: Option<u16>) -> Token {
        match arrivals.admit(packet_id) {
            Admission::Admitted(token) => token,
            other @ (Admission::Dropped | Admission::Overrun) => panic!("{other:?}"),
        }
    }
}
