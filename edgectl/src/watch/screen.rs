//! A terminal on which lines are drawn in place, on a page of its own that goes when it ends.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

use crate::demo::screen::Paint;

/// A page of its own, no cursor, no wrapping.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Where the size is not told.
const USUAL: (usize, usize) = (80, 24);

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As usual.
    Plain,
    /// In the background.
    Dim,
    /// To be seen first.
    Bold,
    /// Powered.
    Lit,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
}

/// A line, in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Look, String)>);

impl Line {
    /// The line with one more part.
    pub(super) fn with(mut self, look: Look, text: impl Into<String>) -> Self {
        self.0.push((look, text.into()));
        self
    }

    /// Its words alone.
    pub(super) fn plain(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    /// What a terminal of so many columns is sent.
    fn painted(&self, columns: usize, paint: Paint) -> String {
        let mut left = columns;
        let mut painted = String::new();
        for (look, text) in &self.0 {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            painted += &match look {
                Look::Plain => text,
                Look::Dim => paint.dim(&text),
                Look::Bold => paint.bold(&text),
                Look::Lit => paint.color(33, &text),
                Look::Good => paint.color(32, &text),
                Look::Bad => paint.color(31, &text),
            };
        }
        painted
    }
}

/// A terminal that shows a live page. Dropped, it shows what it showed before.
#[derive(Debug)]
pub(super) struct Screen {
    paint: Paint,
}

impl Screen {
    /// Standard output, where it is a terminal that can, and a person reads.
    pub(super) fn live(json: bool) -> Option<Self> {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        if json || dumb || !io::stdout().is_terminal() {
            return None;
        }
        write(BEGIN).ok()?;
        Some(Self { paint: Paint::usual() })
    }

    /// Shows `lines` in place of what was shown; those that don't fit are counted.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (columns, rows) = size();
        let shown = if lines.len() <= rows { lines.len() } else { rows.saturating_sub(1) };
        let mut page: Vec<String> =
            lines[..shown].iter().map(|line| line.painted(columns, self.paint)).collect();
        if shown < lines.len() {
            let more = format!("… {} more lines: name fewer nodes", lines.len() - shown);
            page.push(self.paint.bold(&more));
        }
        // Overwritten line by line and only then emptied: nothing flickers.
        write(&format!("\x1b[H{}\x1b[K\x1b[J", page.join("\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = write(END);
    }
}

/// Whether nobody can read standard output any more.
pub(super) fn reader_gone() -> bool {
    let out = io::stdout();
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

fn size() -> (usize, usize) {
    let told = tcgetwinsize(io::stdout()).ok();
    let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    told.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(USUAL)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
