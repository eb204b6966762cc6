//! `edgectl watch` on a terminal: a pseudo-terminal that remembers what it was sent.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plug_sim::Fault;
use tests::within;
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::{Shift, says};

const BEGIN: &str = "\u{1b}[?1049h";
const END: &str = "\u{1b}[?1049l";
const HOME: &str = "\u{1b}[H";

/// A watch on a terminal of this size.
struct Terminal {
    child: Child,
    sent: mpsc::UnboundedReceiver<Vec<u8>>,
    /// All that it was sent.
    text: String,
}

impl Terminal {
    fn open(shift: &Shift, columns: u16, rows: u16) -> Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None)?;
        let mut command = shift.operator.command("watch")?;
        command.stdout(Stdio::from(slave)).stderr(Stdio::piped());
        let child = command.spawn()?;
        // The child's end is the only one left: reading ends with it.
        drop(command);
        let (send, sent) = mpsc::unbounded_channel();
        let mut master = File::from(master);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // A terminal whose program has gone says so with an error.
            while let Ok(length @ 1..) = master.read(&mut bytes) {
                if send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, sent, text: String::new() })
    }

    /// The page that is shown, once `wanted` says yes to it.
    async fn shows(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        within(what, async {
            loop {
                if let Some(page) = self.page().filter(|page| wanted(page)) {
                    return Ok(page);
                }
                let bytes = self.sent.recv().await.context("the watch ended")?;
                self.text += &String::from_utf8_lossy(&bytes);
            }
        })
        .await
    }

    /// The last page that was drawn whole.
    fn page(&self) -> Option<String> {
        let (before, _) = self.text.rsplit_once("\u{1b}[J")?;
        let (_, page) = before.rsplit_once(HOME)?;
        Some(page.replace("\u{1b}[K", "").replace('\r', ""))
    }

    /// Ctrl-C; returns its exit code and all that it ever showed.
    async fn interrupt(mut self) -> Result<(Option<i32>, String)> {
        kill(Pid::from_raw(i32::try_from(self.child.id().context("it runs")?)?), Signal::SIGINT)?;
        let status = within("the watch ends", async { Ok(self.child.wait().await?) }).await?;
        let rest = async {
            while let Some(bytes) = self.sent.recv().await {
                self.text += &String::from_utf8_lossy(&bytes);
            }
            Ok(())
        };
        within("the terminal is closed", rest).await?;
        Ok((status.code(), self.text))
    }
}

#[tokio::test]
async fn a_terminal_shows_a_live_table_and_is_left_as_it_was() -> Result<()> {
    let shift = Shift::begin().await?;
    let mut terminal = Terminal::open(&shift, 120, 30)?;
    let free =
        ["1 node, 0 in use", "pi-0042  online since", "STATION", "pc-1", "free", "plug-1", "off"];
    terminal.shows("free stations", |page| says(page, &free)).await?;
    shift.operator.asks("session start pc-1 --for 1h --session s-1").await?;
    let used = ["1 in use", "pc-1", "s-1", "active", ":", "plug-1", "on"];
    let page = terminal.shows("a station in use", |page| says(page, &used)).await?;
    let left = countdown(&page).context("there is a countdown")?;
    let moved = |page: &str| countdown(page).is_some_and(|now| now != left);
    terminal.shows("the countdown moves by itself", moved).await?;
    shift.operator.asks("session end pc-1").await?;
    terminal.shows("the station is free again", |page| says(page, &["0 in use", "free"])).await?;
    let (code, text) = terminal.interrupt().await?;
    assert_eq!(code, Some(0), "that is how it ends");
    assert!(text.starts_with(BEGIN) && text.ends_with(END), "the page before comes back");
    assert!(text.contains("\u{1b}[?25l") && text.contains("\u{1b}[?25h"), "and the cursor");
    Ok(())
}

#[tokio::test]
async fn a_small_terminal_is_never_scrolled_and_says_what_does_not_fit() -> Result<()> {
    let shift = Shift::begin().await?;
    let mut terminal = Terminal::open(&shift, 30, 4)?;
    let page = terminal.shows("what fits", |page| page.contains("more lines")).await?;
    let lines: Vec<&str> = page.split('\n').collect();
    assert_eq!(lines.len(), 4, "{page}");
    assert!(lines[..3].iter().all(|line| line.chars().count() <= 30), "{page}");
    assert_eq!(terminal.interrupt().await?.0, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_fault_is_told_with_the_drivers_words_while_it_lasts() -> Result<()> {
    let shift = Shift::begin().await?;
    let mut terminal = Terminal::open(&shift, 160, 30)?;
    terminal.shows("no fault", |page| says(page, &["0 faults", "plug-1", "off"])).await?;
    shift.story.plug.set_fault(Fault::Unreachable);
    let told = ["1 fault", "FAULT  plug-1 unreachable since ", "): "];
    terminal.shows("the fault", |page| says(page, &told)).await?;
    shift.story.plug.clear_fault();
    terminal.shows("its end", |page| page.contains("0 faults")).await?;
    Ok(())
}

/// The time left of `pc-1`, as it is shown.
fn countdown(page: &str) -> Option<&str> {
    let row = page.lines().find(|line| line.trim_start().starts_with("pc-1"))?;
    row.split_whitespace().nth(3)
}
