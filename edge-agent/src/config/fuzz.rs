//! What must hold of any configuration, whoever wrote it.

use std::collections::BTreeSet;
use std::path::Path;

use super::check::check_as;
use super::identity::Identity;
use super::{Config, Flaw};
use crate::node::settings::Rest;
use crate::venue::Venue;

/// What would be the file: it is refused by a reason and a line that is there, or it can be run.
/// The certificates are somebody else's affair.
///
/// # Panics
/// Something of this does not hold.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let node = "pi-0042".parse().expect("a legal id");
    let identity = |_: &_| Ok(Identity { node, expires_at_ms: 0 });
    match check_as(text, 0, identity) {
        Ok(config) => can_be_run(&config),
        Err(flaw) => is_told(flaw, text),
    }
}

fn is_told(flaw: Flaw, text: &str) {
    let told = flaw.told(Path::new("agent.toml"), text);
    assert!(!told.reason.is_empty());
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let missing = told.reason.starts_with("missing field");
    match told.line {
        Some(line) => assert!((1..=lines).contains(&line), "{told} of {lines} lines"),
        // Of a whole table that is not there, no line can be named.
        None => assert!(missing, "{told} names no line"),
    }
}

fn can_be_run(config: &Config) {
    let broker = &config.broker;
    assert!(!broker.endpoints.is_empty());
    assert!(broker.endpoints.iter().all(|endpoint| endpoint.port > 0));
    assert!(broker.reconnect_min <= broker.reconnect_max);
    assert!(!broker.topic_root.is_empty() && !broker.topic_root.contains(['+', '#', '\0']));
    assert!(config.sessions.warn_before_ms.is_sorted_by(|one, other| one > other));
    assert!(config.tasks.concurrency > 0 && config.tasks.max_queued > 0);
    let mut ids = BTreeSet::new();
    for outlet in &config.outlets {
        assert!(ids.insert(&outlet.id), "{} twice", outlet.id);
        // What the configuration lets pass must not be refused at the start.
        let device = outlet.driver.device(outlet.rest, &mut Venue::default());
        assert!(device.is_ok(), "{outlet:?}: {}", crate::chain(&device.expect_err("it is none")));
        let definition = outlet.driver.definition();
        assert_eq!(super::Driver::defined(&definition), Some(outlet.driver.clone()));
    }
    let mut taken = BTreeSet::new();
    for station in &config.stations {
        assert!(!station.outlets.is_empty());
        for id in &station.outlets {
            let outlet = config.outlets.iter().find(|outlet| outlet.id == *id);
            assert!(outlet.is_some_and(|outlet| outlet.rest == Rest::Off), "{id}");
            assert!(taken.insert(id), "{id} in two stations");
        }
    }
}
