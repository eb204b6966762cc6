//! What becomes of power if nobody comes back: leases, in words and for machines.

use edge_protocol::event::{Fault, OutletFault};
use edge_protocol::presence::OutletState;
use serde_json::{Value, json};

use crate::instant;
use crate::picture::leased;
use crate::plain::plain;

/// What cuts the power of some outlets that are on if the node dies.
pub(crate) fn if_the_node_dies(outlets: &[&OutletState], now_ms: u64) -> String {
    let at = |ms| instant::said(ms, now_ms);
    let leases: Vec<(String, Option<u64>)> =
        outlets.iter().map(|outlet| (outlet.outlet.to_string(), leased(outlet))).collect();
    let bare: Vec<&str> =
        leases.iter().filter(|(_, off)| off.is_none()).map(|(id, _)| id.as_str()).collect();
    let latest = leases.iter().filter_map(|(_, off)| *off).max();
    match (latest, leases.len(), bare.as_slice()) {
        (None, ..) => "no plug holds a lease: if the node dies, it stays on".to_owned(),
        (Some(off), 1, _) => format!("the plug cuts it by itself at {} if the node dies", at(off)),
        (Some(off), _, []) => {
            format!("the plugs cut it by themselves by {} if the node dies", at(off))
        }
        (Some(off), _, bare) => format!(
            "if the node dies, the plugs cut it by themselves by {}, but {} holds no lease and stays on",
            at(off),
            bare.join(" and ")
        ),
    }
}

/// Some outlets for a machine, as the state shows them.
pub(crate) fn facts(outlets: &[&OutletState]) -> Value {
    json!({ "outlets": outlets })
}

/// An outlet does not do what it should, and what the node does about it.
pub(crate) fn trouble(fault: &OutletFault) -> String {
    let kind = named(fault.fault);
    format!("{} is {kind}: {}; the node goes on trying", fault.outlet, plain(&fault.message))
}

/// Which of some outlets had a fault already.
pub(crate) fn troubles(outlets: &[&OutletState]) -> Option<String> {
    let faulty = outlets.iter().filter_map(|outlet| {
        outlet.fault.map(|fault| format!("{} is {} already", outlet.outlet, named(fault)))
    });
    let faulty: Vec<String> = faulty.collect();
    (!faulty.is_empty()).then(|| format!("{}; the node goes on trying", faulty.join(", ")))
}

fn named(fault: Fault) -> String {
    let kind = serde_json::to_value(fault).unwrap_or_default();
    kind.as_str().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use edge_protocol::event::Lease;

    use super::*;

    fn outlet(id: &str, off_at_ms: Option<u64>) -> OutletState {
        OutletState {
            outlet: id.parse().unwrap(),
            on: Some(true),
            lease: if off_at_ms.is_some() { Lease::Armed } else { Lease::None },
            off_at_ms,
            hold: None,
            fault: None,
            worn_percent: None,
        }
    }

    #[test]
    fn every_mixture_of_leases_says_what_stays_on() {
        const T: u64 = 1_763_730_000_000;
        let (a, b, bare) = (outlet("a", Some(T)), outlet("b", Some(T + 5_000)), outlet("c", None));
        let said = |outlets: &[&OutletState]| if_the_node_dies(outlets, T);
        let at = |ms| instant::said(ms, T);
        assert_eq!(
            said(&[&a]),
            format!("the plug cuts it by itself at {} if the node dies", at(T))
        );
        assert_eq!(
            said(&[&a, &b]),
            format!("the plugs cut it by themselves by {} if the node dies", at(T + 5_000))
        );
        assert_eq!(said(&[&bare]), "no plug holds a lease: if the node dies, it stays on");
        assert!(said(&[&a, &bare]).ends_with("but c holds no lease and stays on"));
        let stale = OutletState { lease: Lease::Stale, ..outlet("a", Some(T)) };
        assert!(said(&[&stale]).starts_with("no plug"), "a stale lease is none to count on");
    }
}
