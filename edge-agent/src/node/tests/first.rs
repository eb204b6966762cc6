//! One session from its start to its end: the story that all others vary.

use super::world::World;

#[test]
fn a_session_powers_its_station_in_order_warns_and_ends_with_every_outlet_read_back_off() {
    let mut world = World::new();
    world.start("s1", "bay", 600_000);
    world.run_for(700_000);
    let told: Vec<String> = world.take().iter().map(short).collect();
    assert_eq!(
        told,
        [
            "command.accepted",
            "outlet.changed relay-1 on",
            "outlet.changed plug-3 on",
            "outlet.lease plug-3 armed",
            "outlet.changed plug-4 on",
            "outlet.lease plug-4 armed",
            "outlet.lease plug-3 armed",
            "outlet.lease plug-4 armed",
            "session.started",
            "session.warning",
            "session.warning",
            "session.ending",
            "outlet.changed plug-4 off",
            "outlet.lease plug-4 none",
            "outlet.changed plug-3 off",
            "outlet.lease plug-3 none",
            "outlet.changed relay-1 off",
            "session.ended",
        ]
    );
}

/// An event in a few words.
fn short(event: &serde_json::Value) -> String {
    let body = &event["body"];
    let on = body["on"].as_bool().map(|on| if on { "on" } else { "off" });
    let words = [event["type"].as_str(), body["outlet"].as_str(), on, body["lease"].as_str()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
