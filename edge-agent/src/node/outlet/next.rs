//! The next order that brings an outlet closest to where it should be.

use super::{Order, Outlet, POLL_MS, UnderWay, Wait, Want, lease};
use crate::node::time::BootMs;

impl Outlet {
    /// The next order, where one is due. It takes the place of one under way.
    pub(in crate::node) fn drive(&mut self, now: BootMs) -> Option<(u64, Order)> {
        let order = self.next_order(now)?;
        let number = self.next_number;
        self.next_number += 1;
        if matches!(order, Order::On { .. }) {
            self.on_sent();
        }
        self.under_way = Some(UnderWay { number, order, since: now, want: self.want });
        Some((number, order))
    }

    fn next_order(&self, now: BootMs) -> Option<Order> {
        match self.under_way.map(|under_way| under_way.order) {
            Some(Order::Off) => None,
            Some(Order::On { .. } | Order::Read | Order::ClearLease) => {
                (self.want.is_off() && !self.confirmed_off()).then_some(Order::Off)
            }
            None if now < self.not_before => None,
            None => match self.next_wish(now) {
                // What has to stay off is watched meanwhile. What waits for its turn is not: a plug
                // that doesn't answer would be asked whenever its turn comes.
                Order::On { .. } if let Some(held) = self.held_back() => match held.wait {
                    Wait::MinOff => (now >= self.read_at()).then_some(Order::Read),
                    Wait::Stagger => None,
                },
                wish @ (Order::On { .. } | Order::Off | Order::ClearLease | Order::Read) => {
                    Some(wish)
                }
            },
        }
    }

    /// When it is to be read again, though it needs nothing.
    fn read_at(&self) -> BootMs {
        self.known.map_or(self.not_before, |known| known.asked_at + POLL_MS)
    }

    /// What brings it closest to where it should be; a read where it is there.
    pub(super) fn next_wish(&self, now: BootMs) -> Order {
        match self.want {
            Want::Off(_) if !self.confirmed_off() => Order::Off,
            // Since when it is off decides when it may go on.
            Want::On(..) if self.known.is_none() && self.settings.min_off_ms.is_some() => {
                Order::Read
            }
            Want::On(..) if self.ask_first && self.known.is_none() && self.next_number == 1 => {
                Order::Read
            }
            Want::On(_, off) => {
                let there = self.stays_off(now) || self.confirmed_leased(off, now);
                if there || self.want.is_past(now) {
                    return Order::Read;
                }
                let off = off.filter(|_| self.settings.leases);
                Order::On { off_by: off.map(|off| lease::lease_for(off, now)) }
            }
            Want::Off(_) | Want::Nothing if self.known.is_some() && !self.lease_is_wanted(now) => {
                Order::ClearLease
            }
            Want::Off(_) | Want::Nothing => Order::Read,
        }
    }

    /// When it will next have an order or something to tell, at the latest.
    pub(in crate::node) fn wake_at(&self) -> BootMs {
        match (self.under_way, self.held_back()) {
            (Some(under_way), _) => under_way.lost_at(),
            (None, Some(held)) => {
                let next = match held.wait {
                    Wait::MinOff => held.until.min(self.read_at()),
                    Wait::Stagger => held.until,
                };
                next.max(self.not_before)
            }
            (None, None) => self.not_before,
        }
    }
}
