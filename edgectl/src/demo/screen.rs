//! What a person sees: a line for each step, and, on a terminal, one live line below them. A
//! machine gets one JSON object for each step instead.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Trouble;

/// Often enough for a tenth of a second to be read.
const FRAME: Duration = Duration::from_millis(100);
/// How many characters the live line's bar has.
const BAR: usize = 24;
/// Back to the start of the live line, which is emptied and won't wrap on a narrow terminal.
const CLEAR: &str = "\r\x1b[2K\x1b[?7l";
/// Lines wrap again.
const WRAP: &str = "\x1b[?7h";

/// Who does or says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The control plane of whoever sells the time.
    Cafe,
    /// The agent.
    Node,
    /// The plug: what physically happened.
    Plug,
    /// The demo itself, which breaks things and mends them.
    Demo,
}

/// A step of the story.
#[derive(Debug)]
pub(crate) struct Step {
    /// What it is called, for a machine.
    pub(crate) name: &'static str,
    /// Who does or says it.
    pub(crate) who: Who,
    /// When, since the power was paid for.
    pub(crate) at: Duration,
    /// What happened, for a person.
    pub(crate) text: String,
    /// What happened, for a machine: an object.
    pub(crate) facts: Value,
}

/// What the live line shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    /// Whether the plug is on.
    pub(crate) on: bool,
    /// Whether the agent runs.
    pub(crate) node: bool,
    /// When the power was paid for.
    pub(crate) since: Instant,
    /// Until when it is paid for, as far as confirmed.
    pub(crate) until: Option<Instant>,
}

/// Where the story is told.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    paint: Paint,
    live: bool,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Screen {
    /// Standard output: a live line where it is a terminal, colours unless `NO_COLOR` is set.
    pub(crate) fn new(json: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = !json && io::stdout().is_terminal() && !dumb;
        Self { json, paint: if live { Paint::usual() } else { Paint(false) }, live }
    }

    /// How this screen is painted.
    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Says what is about to happen; nothing to a machine.
    pub(crate) fn title(&mut self, text: &str) -> Result<(), Trouble> {
        if self.json { Ok(()) } else { self.write(&format!("{text}\n")) }
    }

    /// Tells a step of the preparations.
    pub(crate) fn preparing(&mut self, name: &str, text: &str) -> Result<(), Trouble> {
        self.write(&if self.json {
            format!("{}\n", json!({ "step": name, "text": text }))
        } else {
            format!("  {}\n", self.paint.dim(text))
        })
    }

    /// Tells a machine what a person need not know.
    pub(crate) fn facts(&mut self, facts: &Value) -> Result<(), Trouble> {
        if self.json { self.write(&format!("{facts}\n")) } else { Ok(()) }
    }

    /// Tells a step.
    pub(crate) fn tell(&mut self, step: &Step) -> Result<(), Trouble> {
        self.write(&if self.json { step.json() } else { step.line(self.paint) })
    }

    /// Waits for `work`, with a sign of life.
    pub(crate) async fn busy<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let since = Instant::now();
        let paint = self.paint;
        let line = || paint.dim(&format!("  … {} s", since.elapsed().as_secs()));
        self.during(work, line).await
    }

    /// Waits for `work`, with `line` as the live line, drawn again and again.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        line: impl Fn() -> String,
    ) -> Result<T, Trouble> {
        let mut work = pin!(work);
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.draw("")?;
                    return Ok(done);
                }
                _ = frames.tick(), if self.live => self.draw(&line())?,
            }
        }
    }

    fn draw(&self, line: &str) -> Result<(), Trouble> {
        if self.live { self.write(&format!("{CLEAR}{line}{WRAP}")) } else { Ok(()) }
    }

    fn write(&self, text: &str) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Trouble::Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An interrupt comes in the middle of a live line; a terminal that is gone needs nothing.
        let _ = self.draw("");
    }
}

impl Step {
    fn line(&self, paint: Paint) -> String {
        let at = paint.dim(&format!("{:>7.1} s", self.at.as_secs_f64()));
        let who = paint.color(self.who.color(), &format!("{:<4}", self.who.name()));
        let text = match self.who {
            Who::Demo => paint.bold(&self.text),
            Who::Cafe | Who::Node | Who::Plug => self.text.clone(),
        };
        format!("{at}  {who}  {text}\n")
    }

    fn json(&self) -> String {
        let seconds = (self.at.as_secs_f64() * 1000.0).round() / 1000.0;
        let mut object = self.facts.clone();
        object["step"] = json!(self.name);
        object["seconds"] = json!(seconds);
        object["who"] = json!(self.who.name());
        object["text"] = json!(self.text);
        format!("{object}\n")
    }
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Cafe => "café",
            Self::Node => "node",
            Self::Plug => "plug",
            Self::Demo => "demo",
        }
    }

    /// The number of an ANSI foreground colour.
    fn color(self) -> u8 {
        match self {
            Self::Cafe => 36,
            Self::Node => 32,
            Self::Plug => 33,
            Self::Demo => 35,
        }
    }
}

impl Gauge {
    /// How it looks at `now`.
    pub(crate) fn line(&self, now: Instant, paint: Paint) -> String {
        let power =
            if self.on { paint.color(33, "● power on ") } else { paint.dim("○ power off") };
        let node = if self.node { paint.dim("node runs") } else { paint.color(31, "node is dead") };
        let Some(until) = self.until else { return format!("           {power}   {node}") };
        let left = until.saturating_duration_since(now);
        let whole = until.saturating_duration_since(self.since).as_secs_f64().max(0.001);
        let part = |index: usize| {
            let reached = (index as f64 + 0.5) / BAR as f64;
            reached < left.as_secs_f64() / whole
        };
        let filled = (0..BAR).filter(|index| part(*index)).count();
        let (rest, gone) = ("━".repeat(filled), "─".repeat(BAR - filled));
        let bar = format!("{}{}", paint.color(33, &rest), paint.dim(&gone));
        format!("           {power}  {bar}  {:>5.1} s left   {node}", left.as_secs_f64())
    }
}

impl Paint {
    /// Of a terminal: colours unless `NO_COLOR` is set.
    pub(crate) fn usual() -> Self {
        Self(env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// In the colour of this ANSI number.
    pub(crate) fn color(self, number: u8, text: &str) -> String {
        self.with(&number.to_string(), text)
    }

    /// In the background.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// To be seen first.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        let facts = json!({ "pid": 7 });
        let at = Duration::from_millis(9_040);
        Step { name: "killed", who: Who::Demo, at, text: "kills it".to_owned(), facts }
    }

    #[test]
    fn a_step_is_one_line_of_plain_words_or_one_json_object() {
        assert_eq!(step().line(Paint(false)), "    9.0 s  demo  kills it\n");
        let object: Value = serde_json::from_str(&step().json()).unwrap();
        let expected = json!({
            "step": "killed", "seconds": 9.04, "who": "demo", "text": "kills it", "pid": 7,
        });
        assert_eq!(object, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_gauge_shows_the_time_left_of_what_was_paid_for() {
        let since = Instant::now();
        let until = Some(since + Duration::from_secs(20));
        let gauge = Gauge { on: true, node: true, since, until };
        let line = gauge.line(since + Duration::from_secs(5), Paint(false));
        let bar = format!("{}{}", "━".repeat(18), "─".repeat(6));
        assert_eq!(line, format!("           ● power on   {bar}   15.0 s left   node runs"));
    }
}
