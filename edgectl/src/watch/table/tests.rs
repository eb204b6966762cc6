//! The table as a person sees it, without its colours.

use serde_json::{Value, json};

use super::*;
use crate::picture::leased;

const NOW_MS: u64 = 1_763_730_000_000;

fn board(status: &Value, state: &Value) -> Board {
    let picture = Picture {
        status: serde_json::from_value(status.clone()).unwrap(),
        state: serde_json::from_value(state.clone()).unwrap(),
        clock: Some(Clock::Unsynced),
        ..Picture::default()
    };
    Board {
        place: "edge/v1 at broker:8883".to_owned(),
        link: Link::Up { forgotten: false },
        nodes: [("pi-1".parse().unwrap(), picture)].into(),
    }
}

fn online() -> Value {
    json!({ "online": true, "accepting": true, "version": "1.0", "boot_id": "b", "since_ms": NOW_MS,
        "clock": "unsynced" })
}

fn state() -> Value {
    json!({
        "node": "pi-1", "at_ms": NOW_MS,
        "stations": [
            { "station": "pc-1", "outlets": ["plug-1", "relay-1"], "session": "s-1" },
            { "station": "pc-2", "outlets": ["plug-2"] },
        ],
        "outlets": [
            { "outlet": "modem", "on": true, "lease": "none",
                "hold": { "on": false, "until_ms": NOW_MS + 60_000 } },
            { "outlet": "plug-1", "on": true, "lease": "armed", "off_at_ms": NOW_MS + 5_415_000 },
            { "outlet": "plug-2", "lease": "none", "fault": "unreachable" },
            { "outlet": "relay-1", "on": true, "lease": "none" },
        ],
        "sessions": [
            { "session": "s-1", "station": "pc-1", "phase": "active", "seq": 4,
                "ends_at_ms": NOW_MS + 5_400_000, "remaining_ms": 1 },
            { "session": "s-2", "station": "pc-2", "phase": "booked", "seq": 5 },
        ],
        "queues": { "tasks_queued": 3, "tasks_running": 1, "outbox_events": 7, "outbox_bytes": 1,
            "last_seq": 4 },
    })
}

fn shown(board: &Board) -> Vec<String> {
    lines(board, NOW_MS).iter().map(Line::plain).collect()
}

#[test]
fn a_station_shows_its_countdown_and_each_outlet_its_lease() {
    let at = |ms: u64| instant::said(NOW_MS + ms, NOW_MS);
    let (now, ends, cuts, held) = (at(0), at(5_400_000), at(5_415_000), at(60_000));
    let expected = format!(
        "edge/v1 at broker:8883  {now}  1 node, 1 in use, 0 away, 1 fault

pi-1  online since {now}, clock not synced, tasks: 3 wait, 1 run, 7 events wait, edge-agent 1.0
  STATION  SESSION  PHASE   LEFT     ENDS      OUTLET   POWER                     CUTS ITSELF
  pc-1     s-1      active  1:30:00  {ends}  plug-1   on                        {cuts}
                                               relay-1  on                        no lease
  pc-2     -        free                       plug-2   ?
  pc-2     s-2      booked
                                               modem    on, held off to {held}  no lease
  FAULT  plug-2 unreachable"
    );
    assert_eq!(shown(&board(&online(), &state())).join("\n"), expected);
}

#[test]
fn a_node_that_is_away_is_told_first_and_its_countdown_goes_on() {
    let away = json!({ "online": false, "reason": "lost" });
    let shown = shown(&board(&away, &state()));
    assert!(shown[0].contains("1 away"), "{}", shown[0]);
    assert!(
        shown[2].starts_with("pi-1  offline (the broker lost it; it last told"),
        "{}",
        shown[2]
    );
    assert!(shown[4].contains("1:30:00"), "{}", shown[4]);
}

#[test]
fn a_fault_says_since_when_and_what_the_driver_said() {
    let mut board = board(&online(), &state());
    let picture = board.nodes.values_mut().next().unwrap();
    let fault = ("no answer\u{1b}[2J".to_owned(), NOW_MS - 90_000);
    picture.faults.insert("plug-2".parse().unwrap(), fault);
    let since = instant::said(NOW_MS - 90_000, NOW_MS);
    let expected =
        format!("  FAULT  plug-2 unreachable since {since} (1 min 30 s): no answer\\u{{1b}}[2J");
    assert_eq!(shown(&board).last().unwrap(), &expected);
}

#[test]
fn a_lost_broker_and_an_unseen_node_are_told() {
    let mut board = board(&online(), &state());
    board.link = Link::Lost("no route".to_owned());
    board.nodes.insert("pi-2".parse().unwrap(), Picture::default());
    let shown = shown(&board);
    assert!(shown[1].starts_with("NOT CONNECTED to the broker (no route)"), "{}", shown[1]);
    assert_eq!(shown.last().unwrap(), "pi-2  never seen");
}

#[test]
fn a_stale_lease_is_nothing_to_count_on() {
    let mut state = state();
    state["outlets"][1]["lease"] = json!("stale");
    let board = board(&online(), &state);
    assert!(shown(&board)[4].ends_with(", stale"));
    let picture = board.nodes.values().next().unwrap();
    assert_eq!(leased(picture.outlet(&"plug-1".parse().unwrap()).unwrap()), None);
}
