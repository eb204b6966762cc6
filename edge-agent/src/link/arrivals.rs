//! The commands that arrived over one connection and wait for their acknowledgement. Pure.

use std::collections::BTreeMap;

use edge_protocol::limits::MAX_PACKET_BYTES;

use crate::step::step;

/// The Receive Maximum that the link announces: how many commands the broker sends ahead of their
/// acknowledgements.
pub(super) const RECEIVE_MAXIMUM: u16 = 32;
/// What may wait all the same, in commands and in bytes: mosquitto up to 2.0.11 answers each
/// acknowledgement with another Receive Maximum of commands, as many as it has
/// (eclipse-mosquitto/mosquitto#2301). In bytes it is what the Receive Maximum allows of the
/// largest packets.
const MAX_WAITING: usize = 8_192;
const MAX_WAITING_BYTES: usize = RECEIVE_MAXIMUM as usize * MAX_PACKET_BYTES as usize;

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
    /// The broker sends more than it was allowed to: leave it with the broker, unacknowledged.
    /// So are all that follow it, for they must not overtake it.
    LeftOut,
}

/// The unacknowledged commands of one connection.
#[derive(Debug)]
pub(super) struct Arrivals {
    connection: u64,
    next: u64,
    /// By arrival.
    waiting: BTreeMap<u64, Waiting>,
    /// What those occupy.
    bytes: usize,
    /// Something was left with the broker.
    left_out: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// None where the broker wants no acknowledgement (QoS 0).
    packet_id: Option<u16>,
    bytes: usize,
}

impl Arrivals {
    pub(super) fn new(connection: u64) -> Self {
        Self { connection, next: 0, waiting: BTreeMap::new(), bytes: 0, left_out: false }
    }

    /// A command of so many bytes came in, under a packet id if it wants an acknowledgement.
    pub(super) fn admit(&mut self, packet_id: Option<u16>, bytes: usize) -> Admission {
        if packet_id.is_none() && self.waiting.len() >= usize::from(RECEIVE_MAXIMUM) {
            return Admission::Dropped;
        }
        let full = self.waiting.len() >= MAX_WAITING || self.bytes + bytes > MAX_WAITING_BYTES;
        if self.left_out || full {
            self.left_out = true;
            return Admission::LeftOut;
        }
        let token = Token { connection: self.connection, arrival: self.next };
        self.waiting.insert(self.next, Waiting { packet_id, bytes });
        self.bytes += bytes;
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
        let Waiting { packet_id, bytes } = self.waiting.remove(&token.arrival)?;
        self.bytes -= bytes;
        step!("command.released");
        packet_id
    }

    /// Whether all that is left to take was left with the broker, which brings it again on a new
    /// connection and on no other.
    pub(super) fn are_over(&self) -> bool {
        self.left_out && self.waiting.is_empty()
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
        while arrivals.admit(None, 1) != Admission::Dropped {}
        for packet_id in 1..=RECEIVE_MAXIMUM {
            admitted(&mut arrivals, Some(packet_id));
        }
        assert_eq!(arrivals.admit(None, 1), Admission::Dropped);
        assert_eq!(arrivals.acknowledge(first), None, "QoS 0 has no acknowledgement");
    }

    #[test]
    fn what_a_broker_sends_beyond_all_measure_stays_with_it_in_its_order() {
        let mut arrivals = Arrivals::new(1);
        let mut tokens: Vec<Token> = vec![];
        while let Admission::Admitted(token) = arrivals.admit(Some(1), 1) {
            tokens.push(token);
        }
        assert_eq!(tokens.len(), MAX_WAITING);
        arrivals.acknowledge(tokens.remove(0));
        assert_eq!(arrivals.admit(Some(1), 1), Admission::LeftOut, "it would overtake one");
        for token in tokens {
            assert!(!arrivals.are_over());
            arrivals.acknowledge(token);
        }
        assert!(arrivals.are_over());
        assert!(!Arrivals::new(2).are_over(), "nothing came, nothing is left out");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let mut arrivals = Arrivals::new(1);
        let bytes = usize::try_from(MAX_PACKET_BYTES).unwrap();
        let admitted = (1..=100)
            .take_while(|id| matches!(arrivals.admit(Some(*id), bytes), Admission::Admitted(_)));
        assert_eq!(admitted.count(), usize::from(RECEIVE_MAXIMUM));
    }

    fn admitted(arrivals: &mut Arrivals, packet_id: Option<u16>) -> Token {
        match arrivals.admit(packet_id, 1) {
            Admission::Admitted(token) => token,
            other @ (Admission::Dropped | Admission::LeftOut) => panic!("{other:?}"),
        }
    }
}
