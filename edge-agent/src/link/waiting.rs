//! The publishes that wait until the broker takes them, in their order. Pure.

use std::collections::VecDeque;
use std::mem::discriminant;

use super::Order;

/// The queue behind the window of unacknowledged packets.
///
/// A status, a state or a telemetry replaces the one that still waits: were they queued, a broker
/// that acknowledges ever so slowly, or a line slower than the news, would fill the memory.
/// Events are as many as the loop has out at a time.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    orders: VecDeque<Order>,
}

impl Waiting {
    /// Adds a publish.
    pub(super) fn push(&mut self, order: Order) {
        if !matches!(order, Order::Publish { .. }) {
            self.orders.retain(|older| discriminant(older) != discriminant(&order));
        }
        self.orders.push_back(order);
    }

    /// The next publish.
    pub(super) fn pop(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_repairs_itself_only_the_newest_waits() {
        let mut waiting = Waiting::default();
        for round in 0..100_u8 {
            for order in [Order::Status, Order::State, Order::Telemetry] {
                waiting.push(order(vec![round]));
            }
        }
        let newest = [Order::Status, Order::State, Order::Telemetry].map(|order| order(vec![99]));
        assert_eq!(waiting.orders, newest);
    }

    #[test]
    fn events_keep_their_order_and_none_goes() {
        let mut waiting = Waiting::default();
        let event = |seq| Order::Publish { connection: 1, seq, payload: vec![] };
        for seq in 1..=3 {
            waiting.push(Order::State(vec![]));
            waiting.push(event(seq));
        }
        let order = [event(1), event(2), Order::State(vec![]), event(3)];
        assert_eq!(std::iter::from_fn(|| waiting.pop()).collect::<Vec<_>>(), order);
    }
}
