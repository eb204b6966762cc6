//! Explanations of what happened, each by a whole node.

use serde_json::{Value, json};

use crate::node::tests::world::World;

const HOUR: u64 = 3_600_000;

fn explained(world: &World, outlet: &str) -> Value {
    let boot = world.node().now.boot;
    let explanation = world.node().explain(&outlet.parse().unwrap(), boot).unwrap();
    serde_json::to_value(explanation).unwrap()
}

#[test]
fn a_session_a_hold_and_a_rest_each_say_who_decided_and_by_which_command() {
    let mut world = World::new();
    let at_rest = explained(&world, "plug-1");
    assert_eq!(at_rest["because"], json!({"what": "rest", "rest": "off"}));
    assert_eq!((&at_rest["on"], &at_rest["wanted"]), (&json!(false), &json!(false)));
    world.start("s1", "pc-1", HOUR);
    let on = explained(&world, "plug-1");
    let because = &on["because"];
    assert_eq!((&because["what"], &because["session"]), (&json!("session"), &json!("s1")));
    assert_eq!((&because["phase"], &because["command"]), (&json!("active"), &json!("c1")));
    let ends = world.last("session.started")["ends_at_ms"].clone();
    assert_eq!(because["off_at_ms"], ends);
    assert!(on["cuts_itself"]["at_ms"].as_u64() > ends.as_u64(), "the plug cuts it after that");
    assert_eq!(
        (&on["switched"]["by"], &on["switched"]["command"]),
        (&json!("session"), &json!("c1"))
    );
    assert_eq!(on["overruled"], json!([{"what": "rest", "rest": "off"}]));
    let off = json!({"outlet": "plug-1", "on": false, "for_ms": 60_000, "force": true});
    let command = world.accept("outlet.set", off);
    world.plug("plug-1").disturbed = true;
    world.run_for(1_000);
    let held = explained(&world, "plug-1");
    assert_eq!(held["because"]["what"], "hold");
    assert_eq!(
        (&held["because"]["command"], &held["because"]["by"]),
        (&json!(command), &json!("hold"))
    );
    assert_eq!(
        (&held["switched"]["on"], &held["switched"]["command"]),
        (&json!(false), &json!(command))
    );
    assert_eq!(held["overruled"][0]["session"], "s1");
}

#[test]
fn a_thumb_that_is_obeyed_and_a_fault_are_said() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.press("plug-1");
    world.run_for(5_000);
    let pressed = explained(&world, "plug-1");
    assert_eq!((&pressed["button"], &pressed["switched"]["by"]), (&json!(true), &json!("button")));
    assert_eq!((&pressed["on"], &pressed["wanted"]), (&json!(false), &json!(true)));
    world.conduct("plug-1", crate::node::tests::plug::Conduct::Deaf);
    world.run_for(20_000);
    assert_eq!(explained(&world, "plug-1")["fault"]["fault"], "unreachable");
}

#[test]
fn the_last_switch_outlives_the_agent() {
    let mut world = World::new();
    world.start("s1", "pc-1", 60_000);
    world.run_for_kind(HOUR, "session.ended");
    let before = explained(&world, "plug-1")["switched"].clone();
    assert_eq!((&before["on"], &before["session"]), (&json!(false), &json!("s1")));
    world.restart(60_000);
    assert_eq!(explained(&world, "plug-1")["switched"], before);
}

#[test]
fn there_is_nothing_to_explain_of_an_outlet_that_is_not_there() {
    let world = World::new();
    assert_eq!(world.node().explain(&"nothing".parse().unwrap(), world.node().now.boot), None);
}
