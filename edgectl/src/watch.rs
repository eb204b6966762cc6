//! The watch: a live table on a terminal, else a line for each change.
//!
//! It only listens, as a guest of the broker; the nodes don't know of it.

mod board;
mod screen;
mod table;

use std::io::{self, Write as _};
use std::time::Duration;

use edge_protocol::id::NodeId;
use edgectl::control::{ControlPlane, Link, Message};
use edgectl::wall;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::board::Board;
use self::screen::Screen;
use crate::caller::Caller;
use crate::command::{Failure, IO_ERROR, Report, SOFTWARE, UNAVAILABLE};
use crate::errand::words;
use crate::instant;
use crate::interrupt::Interrupts;
use crate::picture::{News, address};
use crate::profile::Profile;
use crate::story;

/// A countdown moves so often, and so soon it is noticed that nobody reads any more.
const TICK: Duration = Duration::from_secs(1);
/// Changes are drawn together at most so often.
const FRAME: Duration = Duration::from_millis(100);
/// After so long without news, what the broker keeps has come.
const QUIET: Duration = Duration::from_millis(500);

/// How it is shown.
#[derive(Debug)]
enum View {
    /// A table, drawn again and again.
    Live(Screen),
    /// A line for each change, for a person or a machine.
    Lines { json: bool },
    /// Nothing until the end.
    Once,
}

/// Watches `nodes`, or all, until it is interrupted or nobody reads any more; with `once`, until
/// what the broker keeps was shown.
///
/// # Errors
/// [`Failure`]: no connection, or nowhere to write.
pub(crate) fn run(
    caller: &Caller,
    profile: &Profile,
    nodes: &[NodeId],
    once: bool,
) -> Result<Report, Failure> {
    let software = |error: io::Error| Failure::new(SOFTWARE, error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(software)?.block_on(async {
        let mut interrupts = Interrupts::new().map_err(software)?;
        tokio::select! {
            biased;
            // How a watch is meant to end.
            _ = interrupts.next() => Ok(silence()),
            done = Box::pin(watch(caller, profile, nodes, once)) => done,
        }
    })
}

/// Nothing more to tell.
fn silence() -> Report {
    Report { text: String::new(), json: Value::Null }
}

async fn watch(
    caller: &Caller,
    profile: &Profile,
    nodes: &[NodeId],
    once: bool,
) -> Result<Report, Failure> {
    let endpoint = &profile.endpoint;
    let mut control = ControlPlane::visit(endpoint, nodes).await?;
    let mut link = control.link();
    let mut board = Board::new(endpoint, nodes);
    let mut view = match (once, Screen::live(caller.json)) {
        (true, _) => View::Once,
        (false, Some(screen)) => View::Live(screen),
        (false, None) => View::Lines { json: caller.json },
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut quiet = Instant::now() + QUIET;
    let mut frame: Option<Instant> = None;
    loop {
        let draw_at = frame.unwrap_or_else(|| Instant::now() + TICK);
        let shown = tokio::select! {
            message = control.next() => {
                let Ok(message) = message else { return Err(cut_off(&link.borrow())) };
                quiet = Instant::now() + QUIET;
                frame = frame.or_else(|| Some(Instant::now() + FRAME));
                hear(&mut board, &view, &endpoint.root, &message)
            }
            changed = link.changed() => {
                // Its sender lives as long as the connection, whose end `next` tells.
                if changed.is_err() { continue }
                board.link = link.borrow_and_update().clone();
                frame = frame.or_else(|| Some(Instant::now()));
                tell_link(&view, &board.link)
            }
            () = sleep_until(draw_at), if frame.is_some() => {
                frame = None;
                draw(&mut view, &board)
            }
            _ = ticks.tick() => if screen::reader_gone() { Err(io::ErrorKind::BrokenPipe.into()) } else { draw(&mut view, &board) },
            () = sleep_until(quiet), if once => {
                control.close().await;
                return Ok(shown_once(&board));
            }
        };
        match shown {
            Ok(()) => {}
            // Who read has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(silence()),
            Err(error) => {
                let text = format!("can't write to standard output: {error}");
                return Err(Failure::new(IO_ERROR, text));
            }
        }
    }
}

fn cut_off(link: &Link) -> Failure {
    let text = match link {
        Link::TakenOver => words::taken_over(),
        Link::Up { .. } | Link::Lost(_) => "the connection to the broker has ended".to_owned(),
    };
    Failure::new(UNAVAILABLE, text)
}

fn hear(board: &mut Board, view: &View, root: &str, message: &Message) -> io::Result<()> {
    let Some((node, leaf)) = address(root, &message.topic) else { return Ok(()) };
    let now_ms = wall::now_ms();
    let news = board.take(&node, leaf, message);
    match view {
        View::Live(_) | View::Once => Ok(()),
        View::Lines { json: true } => {
            let said: Option<Value> = edge_protocol::codec::decode(&message.payload).ok();
            let leaf = if leaf == "events" { "event" } else { leaf };
            line(&json!({ "at_ms": now_ms, "node": node, leaf: said }).to_string())
        }
        View::Lines { json: false } => {
            let at = instant::said(now_ms, now_ms);
            let text = match &news {
                News::Status => board.presence(&node, now_ms),
                News::Event(event) => {
                    story::what(&serde_json::to_value(event).unwrap_or_default(), now_ms)
                }
                News::Strange(Some(strange)) => story::what(strange, now_ms),
                // After each event there is a new state; the event says what changed.
                News::State | News::Telemetry | News::Strange(None) => return Ok(()),
            };
            line(&format!("{at}  {node}  {text}"))
        }
    }
}

fn tell_link(view: &View, link: &Link) -> io::Result<()> {
    let (word, reason) = match link {
        Link::Up { .. } => ("up", None),
        Link::Lost(reason) => ("lost", Some(reason)),
        Link::TakenOver => ("taken_over", None),
    };
    let now_ms = wall::now_ms();
    match view {
        View::Live(_) | View::Once => Ok(()),
        View::Lines { json: true } => {
            line(&json!({ "at_ms": now_ms, "link": word, "reason": reason }).to_string())
        }
        View::Lines { json: false } => {
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            line(&format!("{}  broker  {word}{reason}", instant::said(now_ms, now_ms)))
        }
    }
}

fn draw(view: &mut View, board: &Board) -> io::Result<()> {
    match view {
        View::Live(screen) => screen.draw(&table::lines(board, wall::now_ms())),
        View::Lines { .. } | View::Once => Ok(()),
    }
}

fn shown_once(board: &Board) -> Report {
    let lines = table::lines(board, wall::now_ms());
    let text = lines.iter().map(screen::Line::plain).collect::<Vec<_>>().join("\n");
    Report { text, json: board.json() }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}
