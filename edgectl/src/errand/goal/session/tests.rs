//! Each command's sentence, and that nothing else is taken for its effect.

use edge_protocol::id::NodeId;
use serde_json::Value;

use super::*;
use crate::command::FAILED;
use crate::picture::Picture;

const NOW_MS: u64 = 1_763_730_000_000;
const ENDS_MS: u64 = NOW_MS + 5_400_000;

struct Desk {
    node: NodeId,
    picture: Picture,
    goal: SessionGoal,
}

/// A node whose session `s-1` on `pc-1` is in `phase`, its plug on or off, and somebody who wants
/// `wanted` of it.
fn desk(wanted: Wanted, phase: &str, on: bool) -> Desk {
    let state = json!({
        "node": "pi-1", "at_ms": NOW_MS,
        "stations": [
            { "station": "pc-1", "outlets": ["plug-1"], "session": "s-1" },
            { "station": "pc-2", "outlets": ["plug-2"] },
        ],
        "outlets": [
            { "outlet": "plug-1", "on": on, "lease": "armed", "off_at_ms": ENDS_MS + 15_000 },
            { "outlet": "plug-2", "on": true, "lease": "none" },
        ],
        "sessions": [{ "session": "s-1", "station": "pc-1", "phase": phase, "seq": 4,
            "ends_at_ms": ENDS_MS, "remaining_ms": 2_400_000 }],
        "queues": { "tasks_queued": 0, "tasks_running": 0, "outbox_events": 0, "outbox_bytes": 0,
            "last_seq": 4 },
    });
    let picture = Picture { state: serde_json::from_value(state).unwrap(), ..Picture::default() };
    let goal = SessionGoal::new("s-1".parse().unwrap(), Some("pc-1".parse().unwrap()), wanted);
    Desk { node: "pi-1".parse().unwrap(), picture, goal }
}

impl Desk {
    fn hears(&mut self, kind: &str, ours: bool, more: &Value) -> Step {
        let mut body = json!({ "session": "s-1", "station": "pc-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({ "store": "a", "seq": 9, "type": kind, "at_ms": 1, "clock": "synced",
            "uptime_ms": 1, "boot_id": "b", "body": body });
        let event = serde_json::from_value(event).unwrap();
        let scene = Scene { node: &self.node, picture: &self.picture, now_ms: NOW_MS };
        self.goal.event(&event, ours, &scene)
    }

    fn sees_the_state(&mut self) -> Step {
        let scene = Scene { node: &self.node, picture: &self.picture, now_ms: NOW_MS };
        self.goal.state(&scene)
    }
}

fn text(step: Step) -> String {
    match step {
        Step::Done { text, .. } => text,
        Step::Wait
        | Step::Note(_)
        | Step::Until { .. }
        | Step::Unless { .. }
        | Step::Failed { .. } => panic!("it is not done: {step:?}"),
    }
}

fn refusal(step: Step) -> String {
    let Step::Failed { code, text } = step else { panic!("it has not failed: {step:?}") };
    assert_eq!(code, FAILED);
    text
}

fn at(ms: u64) -> String {
    instant::said(ms, NOW_MS)
}

#[test]
fn a_started_session_says_until_when_and_what_if_the_node_dies() {
    let started = json!({ "started_at_ms": NOW_MS, "ends_at_ms": ENDS_MS });
    let told =
        text(desk(Wanted::Started, "starting", true).hears("session.started", true, &started));
    let expected = format!(
        "pc-1 is on until {} (1 h 30 min); the plug cuts it by itself at {} if the node dies",
        at(ENDS_MS),
        at(ENDS_MS + 15_000)
    );
    assert_eq!(told, expected);
}

#[test]
fn a_session_that_could_not_be_powered_is_a_failure() {
    let problem = json!({ "code": "unpowered", "message": "not powered within 30 s: deaf" });
    let told =
        refusal(desk(Wanted::Started, "starting", false).hears("session.failed", true, &problem));
    assert_eq!(told, "pc-1 could not be powered: not powered within 30 s: deaf");
    let refused = desk(Wanted::Resumed, "paused", false).hears("session.refused", true, &problem);
    assert!(refusal(refused).ends_with("the session is as before"));
    let another = desk(Wanted::Resumed, "paused", false).hears("session.refused", false, &problem);
    assert_eq!(another, Step::Wait, "another command's refusal");
}

#[test]
fn an_extension_is_told_by_its_own_event_and_no_other() {
    let extended = json!({ "ends_at_ms": ENDS_MS });
    let mut desk = desk(Wanted::Moved, "active", true);
    assert_eq!(desk.hears("session.extended", false, &extended), Step::Wait);
    assert!(text(desk.hears("session.extended", true, &extended)).starts_with("pc-1 is on until"));
}

#[test]
fn a_paused_session_that_is_extended_says_what_it_keeps() {
    let mut desk = desk(Wanted::Moved, "paused", false);
    assert_eq!(desk.sees_the_state(), Step::Wait, "nothing was told yet");
    assert_eq!(desk.hears("session.extended", true, &json!({})), Step::Wait);
    assert_eq!(text(desk.sees_the_state()), "s-1 is moved: it is paused and keeps 40 min");
}

#[test]
fn a_session_that_may_not_be_running_yet_is_not_told_to_be_on() {
    let extended = json!({ "ends_at_ms": ENDS_MS });
    for phase in ["booked", "starting"] {
        let mut desk = desk(Wanted::Moved, phase, false);
        assert_eq!(desk.hears("session.extended", true, &extended), Step::Wait, "{phase}");
        let told = text(desk.sees_the_state());
        assert_eq!(told, format!("s-1 is moved: it is {phase} and ends at {}", at(ENDS_MS)));
    }
    // The state may be a second behind, and know nothing of the session yet.
    let mut unknown = desk(Wanted::Moved, "booked", false);
    unknown.picture.state.as_mut().unwrap().sessions.clear();
    assert_eq!(unknown.hears("session.extended", true, &extended), Step::Wait);
}

#[test]
fn a_pause_is_done_when_the_power_is_off_and_not_before() {
    let mut lit = desk(Wanted::Paused, "paused", true);
    assert_eq!(
        lit.hears("session.paused", true, &json!({ "remaining_ms": 2_400_000 })),
        Step::Wait
    );
    assert_eq!(lit.sees_the_state(), Step::Wait);
    let mut dark = desk(Wanted::Paused, "paused", false);
    assert_eq!(text(dark.sees_the_state()), "pc-1 is off; 40 min are kept");
}

#[test]
fn a_pause_or_resume_that_changes_nothing_is_told_by_the_state() {
    assert_eq!(desk(Wanted::Resumed, "paused", false).sees_the_state(), Step::Wait);
    let told = text(desk(Wanted::Resumed, "active", true).sees_the_state());
    assert!(told.starts_with("pc-1 is on until"), "{told}");
}

#[test]
fn an_end_with_grace_is_waited_for_as_long_as_the_grace_lasts() {
    let ending = json!({ "reason": "ended", "off_at_ms": NOW_MS + 300_000 });
    let mut desk = desk(Wanted::Ended, "active", true);
    let Step::Until { at_ms, note } = desk.hears("session.ending", true, &ending) else {
        panic!("there is a grace")
    };
    assert_eq!(at_ms, NOW_MS + 300_000);
    assert!(note.contains("--immediate"), "{note}");
    let now = json!({ "reason": "ended", "off_at_ms": NOW_MS });
    assert_eq!(desk.hears("session.ending", true, &now), Step::Wait);
    let ended = json!({ "reason": "ended", "powered_ms": 3_600_000, "ended_at_ms": NOW_MS,
        "late_ms": 120, "proof": "read_back" });
    let told = text(desk.hears("session.ended", true, &ended));
    assert_eq!(told, "pc-1 is off, read back 120 ms after the off time; s-1 ran for 1 h");
}

#[test]
fn an_abandoned_session_says_that_the_power_may_flow_on() {
    let ended =
        json!({ "reason": "abandoned", "powered_ms": 1_000, "ended_at_ms": NOW_MS, "late_ms": 9 });
    let told = text(desk(Wanted::Ended, "ending", true).hears("session.ended", true, &ended));
    assert!(told.contains("is not confirmed off"), "{told}");
}

#[test]
fn a_session_that_ends_or_goes_on_against_the_wish_is_a_failure() {
    let ended = json!({ "reason": "expired", "powered_ms": 1_000, "ended_at_ms": NOW_MS, "late_ms": 9,
        "proof": "read_back" });
    let told = refusal(desk(Wanted::Moved, "active", true).hears("session.ended", false, &ended));
    assert!(told.starts_with("it is over"), "{told}");
    let extended = json!({ "ends_at_ms": ENDS_MS });
    let told =
        refusal(desk(Wanted::Ended, "ending", true).hears("session.extended", false, &extended));
    assert_eq!(told, "s-1 was extended meanwhile and goes on");
}

#[test]
fn a_transfer_tells_of_the_new_station_and_its_leases() {
    let body = json!({ "station": "pc-2", "from": "pc-1", "ends_at_ms": ENDS_MS });
    let wanted = Wanted::At("pc-2".parse().unwrap());
    let told = text(desk(wanted.clone(), "active", true).hears("session.transferred", true, &body));
    let expected = format!(
        "pc-2 is on until {} (1 h 30 min); no plug holds a lease: if the node dies, it stays on; pc-1 goes off",
        at(ENDS_MS)
    );
    assert_eq!(told, expected);
    let paused = json!({ "station": "pc-2", "from": "pc-1" });
    let told = text(desk(wanted, "paused", false).hears("session.transferred", true, &paused));
    assert_eq!(told, "s-1 is on pc-2 now, no more on pc-1");
}

#[test]
fn a_fault_of_its_plug_is_told_and_another_plugs_is_not() {
    let fault = |outlet: &str| json!({ "session": null, "outlet": outlet, "fault": "unreachable", "message": "deaf", "since_ms": 1 });
    let mut desk = desk(Wanted::Paused, "paused", true);
    let told = desk.hears("outlet.fault", false, &fault("plug-1"));
    assert_eq!(told, Step::Note("plug-1 is unreachable: deaf; the node goes on trying".to_owned()));
    assert_eq!(desk.hears("outlet.fault", false, &fault("plug-2")), Step::Wait);
}

#[test]
fn an_effect_whose_event_was_lost_is_told_by_the_state_a_moment_later() {
    let unless = |step: Step| match step {
        Step::Unless { done, .. } => text(*done),
        Step::Wait
        | Step::Note(_)
        | Step::Until { .. }
        | Step::Done { .. }
        | Step::Failed { .. } => panic!("it is not to be told like that: {step:?}"),
    };
    let told = unless(desk(Wanted::Started, "active", true).sees_the_state());
    assert!(told.starts_with("pc-1 is on until"), "{told}");
    assert_eq!(desk(Wanted::Started, "starting", true).sees_the_state(), Step::Wait);
    let here = Wanted::At("pc-1".parse().unwrap());
    assert!(unless(desk(here, "active", true).sees_the_state()).starts_with("pc-1 is on until"));
    let there = Wanted::At("pc-2".parse().unwrap());
    assert_eq!(desk(there, "active", true).sees_the_state(), Step::Wait);
    let mut over = desk(Wanted::Ended, "ending", true);
    assert_eq!(over.sees_the_state(), Step::Wait);
    over.picture.state.as_mut().unwrap().sessions.clear();
    assert_eq!(unless(over.sees_the_state()), "s-1 is over");
}
