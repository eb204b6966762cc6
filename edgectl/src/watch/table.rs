//! The table: a head, and for each node its stations, outlets and faults. No I/O.

use edge_protocol::event::{Clock, Lease};
use edge_protocol::id::StationId;
use edge_protocol::presence::{HoldState, OutletState, SessionState, State, Status};
use edgectl::control::Link;

use super::board::Board;
use super::screen::{Line, Look};
use crate::instant;
use crate::picture::Picture;
use crate::plain::plain;
use crate::span::{about, countdown};

const HEADS: [&str; 8] =
    ["STATION", "SESSION", "PHASE", "LEFT", "ENDS", "OUTLET", "POWER", "CUTS ITSELF"];

/// A row of the table, a cell a head.
type Row = [(Look, String); 8];

/// The whole table, as it is at `now_ms`.
pub(super) fn lines(board: &Board, now_ms: u64) -> Vec<Line> {
    let mut lines = vec![head(board, now_ms)];
    if let Link::Lost(reason) = &board.link {
        let text = format!("NOT CONNECTED to the broker ({reason}): this is what was last heard");
        lines.push(Line::default().with(Look::Bad, text));
    }
    let rows: Vec<(_, Vec<Row>)> =
        board.nodes.iter().map(|(id, picture)| ((id, picture), rows(picture, now_ms))).collect();
    let all = rows.iter().flat_map(|(_, rows)| rows);
    let width = |column: usize| {
        let cells = all.clone().map(|row| row[column].1.chars().count());
        cells.chain([HEADS[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    for ((id, picture), rows) in &rows {
        lines.push(Line::default());
        lines.push(about_node(id.as_str(), picture, board.presence(id, now_ms)));
        if !rows.is_empty() {
            let heads = HEADS.map(|head| (Look::Dim, head.to_owned()));
            lines.push(laid_out(&heads, &widths));
            lines.extend(rows.iter().map(|row| laid_out(row, &widths)));
        }
        lines.extend(faults(picture, now_ms));
    }
    lines
}

fn head(board: &Board, now_ms: u64) -> Line {
    let pictures = || board.nodes.values();
    let states = || pictures().filter_map(|picture| picture.state.as_ref());
    let away = pictures().filter(|picture| !picture.online()).count();
    let live = states().flat_map(|state| &state.stations).filter(|s| s.session.is_some()).count();
    let faults = states().flat_map(|state| &state.outlets).filter(|o| o.fault.is_some()).count();
    let look = |bad: usize| if bad > 0 { Look::Bad } else { Look::Dim };
    Line::default()
        .with(Look::Bold, board.place.clone())
        .with(Look::Dim, format!("  {}  ", instant::said(now_ms, now_ms)))
        .with(Look::Plain, format!("{}, {live} in use, ", counted(board.nodes.len(), "node")))
        .with(look(away), format!("{away} away"))
        .with(Look::Plain, ", ")
        .with(look(faults), counted(faults, "fault"))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn about_node(id: &str, picture: &Picture, presence: String) -> Line {
    let look = if picture.online() { Look::Good } else { Look::Bad };
    let mut line =
        Line::default().with(Look::Bold, id).with(Look::Plain, "  ").with(look, presence);
    if picture.clock == Some(Clock::Unsynced) {
        line = line.with(Look::Bad, ", clock not synced");
    }
    if let Some(state) = &picture.state {
        let queues = state.queues;
        if queues.tasks_queued + queues.tasks_running > 0 {
            let (waiting, running) = (queues.tasks_queued, queues.tasks_running);
            line = line.with(Look::Plain, format!(", tasks: {waiting} wait, {running} run"));
        }
        if queues.outbox_events > 0 {
            line = line.with(Look::Plain, format!(", {} events wait", queues.outbox_events));
        }
    }
    if let Some(cpu_c) = picture.telemetry.as_ref().and_then(|telemetry| telemetry.cpu_c) {
        line = line.with(Look::Dim, format!(", {cpu_c:.0} °C"));
    }
    if let Some(Status::Online(online)) = &picture.status {
        line = line.with(Look::Dim, format!(", edge-agent {}", plain(&online.version)));
    }
    line
}

fn rows(picture: &Picture, now_ms: u64) -> Vec<Row> {
    let Some(state) = &picture.state else { return Vec::new() };
    let mut rows = Vec::new();
    for station in &state.stations {
        let live = state.sessions.iter().find(|s| Some(&s.session) == station.session.as_ref());
        let mut left = session_cells(&station.station, live, now_ms);
        for outlet in picture.outlets_of(&station.station) {
            rows.push(row(std::mem::replace(&mut left, none()), outlet_cells(outlet, now_ms)));
        }
        for session in booked(state, &station.station) {
            rows.push(row(session_cells(&station.station, Some(session), now_ms), none()));
        }
    }
    let stationed = |o: &&OutletState| state.stations.iter().any(|s| s.outlets.contains(&o.outlet));
    let loose = state.outlets.iter().filter(|outlet| !stationed(outlet));
    rows.extend(loose.map(|outlet| row(none(), outlet_cells(outlet, now_ms))));
    rows
}

fn booked<'a>(state: &'a State, station: &StationId) -> impl Iterator<Item = &'a SessionState> {
    let station = station.clone();
    state.sessions.iter().filter(move |s| s.station == station && s.phase == "booked")
}

fn none<const N: usize>() -> [(Look, String); N] {
    std::array::from_fn(|_| (Look::Plain, String::new()))
}

fn row(session: [(Look, String); 5], outlet: [(Look, String); 3]) -> Row {
    let mut cells = session.into_iter().chain(outlet);
    std::array::from_fn(|_| cells.next().unwrap_or((Look::Plain, String::new())))
}

fn session_cells(
    station: &StationId,
    session: Option<&SessionState>,
    now_ms: u64,
) -> [(Look, String); 5] {
    let station = (Look::Bold, station.to_string());
    let Some(session) = session else {
        let [_, rest @ ..] = none::<5>();
        let [_, left, ends, _] = rest;
        return [station, (Look::Dim, "-".to_owned()), (Look::Dim, "free".to_owned()), left, ends];
    };
    let phase = plain(&session.phase);
    let rest = match (phase.as_str(), session.ends_at_ms, session.remaining_ms) {
        // Offline, too, the node counts on: so its end is what counts here.
        ("active", Some(ends), _) => Some(ends.saturating_sub(now_ms)),
        (_, _, rest) => rest,
    };
    let look = match phase.as_str() {
        "active" => Look::Good,
        "booked" => Look::Dim,
        _ => Look::Lit,
    };
    let ends = session.ends_at_ms.map_or_else(String::new, |ends| instant::said(ends, now_ms));
    [
        station,
        (Look::Plain, session.session.to_string()),
        (look, phase),
        (Look::Bold, rest.map_or_else(String::new, countdown)),
        (Look::Plain, ends),
    ]
}

fn outlet_cells(outlet: &OutletState, now_ms: u64) -> [(Look, String); 3] {
    let (look, power) = match outlet.on {
        Some(true) => (Look::Lit, "on"),
        Some(false) => (Look::Dim, "off"),
        None => (Look::Bad, "?"),
    };
    let held = outlet.hold.as_ref().map_or_else(String::new, |HoldState { on, until_ms }| {
        let until =
            until_ms.map_or_else(String::new, |at| format!(" to {}", instant::said(at, now_ms)));
        format!(", held {}{until}", if *on { "on" } else { "off" })
    });
    let cuts = match (outlet.lease, outlet.off_at_ms) {
        (Lease::Armed, Some(at)) => (Look::Plain, instant::said(at, now_ms)),
        (Lease::Stale, Some(at)) => (Look::Bad, format!("{}, stale", instant::said(at, now_ms))),
        (Lease::Armed | Lease::Stale, None) => (Look::Bad, "stale".to_owned()),
        (Lease::None, _) if outlet.on == Some(true) => (Look::Dim, "no lease".to_owned()),
        (Lease::None, _) => (Look::Dim, String::new()),
    };
    [(Look::Plain, outlet.outlet.to_string()), (look, format!("{power}{held}")), cuts]
}

fn faults(picture: &Picture, now_ms: u64) -> Vec<Line> {
    let outlets = picture.state.as_ref().map_or(&[][..], |state| &state.outlets);
    let faulty = outlets.iter().filter_map(|outlet| outlet.fault.map(|fault| (outlet, fault)));
    faulty
        .map(|(outlet, fault)| {
            let kind = serde_json::to_value(fault).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default().replace('_', " ");
            // Told by an event only; who came later knows that there is one.
            let more = picture.faults.get(&outlet.outlet).map_or_else(String::new, |(said, at)| {
                let length = about(now_ms.saturating_sub(*at));
                format!(" since {} ({length}): {}", instant::said(*at, now_ms), plain(said))
            });
            Line::default().with(Look::Bad, format!("  FAULT  {} {kind}{more}", outlet.outlet))
        })
        .collect()
}

fn laid_out(row: &Row, widths: &[usize]) -> Line {
    let cells = row.iter().zip(widths);
    cells.fold(Line::default().with(Look::Plain, "  "), |line, ((look, text), width)| {
        let blank = width - text.chars().count() + 2;
        line.with(*look, text.clone()).with(Look::Plain, " ".repeat(blank))
    })
}

#[cfg(test)]
mod tests;
