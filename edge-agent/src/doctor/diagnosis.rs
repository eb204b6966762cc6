//! What an examination found: a line a check, for a person and for a machine.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look after it.
    Warning,
    /// It does not work, or power may stay on for it.
    Wrong,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was checked.
    pub check: String,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// The one thing to do, where something is to be done.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Of this program.
    pub version: &'static str,
    /// Which node, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When, as the clock read then: UTC, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether an agent runs, and was asked.
    pub agent_runs: bool,
    /// What was changed, a sentence each.
    pub changed: Vec<String>,
    /// The checks, in their order.
    pub checks: Vec<Line>,
}

impl Diagnosis {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.count(State::Wrong) == 0
    }

    /// How many checks came out so.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|line| line.state == state).count()
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a diagnosis has string keys only")
    }

    /// A table for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|line| line.check.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Line { check, state, found, remedy } in &self.checks {
            let mark = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Wrong => "WRONG",
            };
            // Writing to a string can't fail.
            let _ = writeln!(text, "{mark:<8} {check:<width$}  {found}");
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:<8} {:<width$}  do: {remedy}", "", "");
            }
        }
        for change in &self.changed {
            let _ = writeln!(text, "changed  {change}");
        }
        let (wrong, warnings) = (self.count(State::Wrong), self.count(State::Warning));
        let _ =
            write!(text, "{} checks: {wrong} wrong, {warnings} to look after", self.checks.len());
        text
    }
}

/// Collects lines.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    pub(super) fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.push(check.into(), State::Ok, found.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(check.into(), State::Warning, found.into(), Some(remedy.into()));
    }

    pub(super) fn wrong(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(check.into(), State::Wrong, found.into(), Some(remedy.into()));
    }

    /// What somebody else says, a broker or a plug, stays one line.
    fn push(&mut self, check: String, state: State, found: String, remedy: Option<String>) {
        let plain = |text: String| text.replace(|letter: char| letter.is_control(), " ");
        self.0.push(Line { check, state, found: plain(found), remedy: remedy.map(plain) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let mut lines = Lines::default();
        lines.ok("clock", "synced");
        lines.warning("certificate", "expires in 12 d", "renew it");
        lines.wrong("outlet plug-1", "it says\n\x1b[2Jno", "look at it");
        Diagnosis {
            version: "1.0.0",
            node: None,
            at_ms: 7,
            agent_runs: false,
            changed: vec!["plug-1: PowerOnState was 3 and is 0".to_owned()],
            checks: lines.0,
        }
    }

    #[test]
    fn a_line_tells_what_was_found_and_the_one_thing_to_do_and_nothing_can_break_it() {
        let expected = "ok       clock          synced
warning  certificate    expires in 12 d
                        do: renew it
WRONG    outlet plug-1  it says  [2Jno
                        do: look at it
changed  plug-1: PowerOnState was 3 and is 0
3 checks: 1 wrong, 1 to look after";
        assert_eq!(diagnosis().text(), expected);
    }

    #[test]
    fn what_is_wrong_fails_and_what_only_needs_looking_after_does_not() {
        let mut diagnosis = diagnosis();
        assert!(!diagnosis.passes());
        diagnosis.checks.pop();
        assert!(diagnosis.passes());
    }

    #[test]
    fn a_machine_reads_the_same() {
        let expected = concat!(
            r#"{"version":"1.0.0","at_ms":7,"agent_runs":false,"#,
            r#""changed":["plug-1: PowerOnState was 3 and is 0"],"checks":["#,
            r#"{"check":"clock","state":"ok","found":"synced"},"#,
            r#"{"check":"certificate","state":"warning","found":"expires in 12 d","do":"renew it"},"#,
            r#"{"check":"outlet plug-1","state":"wrong","found":"it says  [2Jno","do":"look at it"}]}"#,
        );
        assert_eq!(diagnosis().json(), expected);
    }
}
