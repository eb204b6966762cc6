//! The part of Tasmota's rules that leases and the boot-off need: `ON trigger DO commands
//! ENDON`, with the triggers `Rules#Timer=n`, `Power<n>#Boot` and `System#Boot`.
//!
//! Source: arendst/Tasmota `xdrv_10_rules`. Setting a rule's text does not enable it, and an
//! enabled rule in Once mode fires once only.

/// One of the three stored rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    pub(super) text: String,
    pub(super) enabled: bool,
    pub(super) once: bool,
    /// What has fired in Once mode.
    fired: Vec<String>,
}

impl Rule {
    /// Sets the text, or appends to it where `text` begins with `+`; `"` alone clears it.
    pub(super) fn set(&mut self, text: &str) {
        if let Some(more) = text.strip_prefix('+') {
            self.text = format!("{} {}", self.text, more.trim());
        } else if text == "\"" {
            self.text.clear();
        } else {
            text.clone_into(&mut self.text);
        }
        self.fired.clear();
    }

    /// The commands that `event` (lower case, as `rules#timer=1`) runs now.
    pub(super) fn fire(&mut self, event: &str) -> Vec<String> {
        if !self.enabled || (self.once && self.fired.iter().any(|fired| fired == event)) {
            return vec![];
        }
        let commands = self.commands(event);
        if self.once && !commands.is_empty() {
            self.fired.push(event.to_owned());
        }
        commands
    }

    /// The commands behind `event`, whether or not the rule may fire.
    pub(super) fn commands(&self, event: &str) -> Vec<String> {
        clauses(&self.text)
            .into_iter()
            .filter(|(trigger, _)| trigger.eq_ignore_ascii_case(event))
            .map(|(_, command)| command)
            .collect()
    }
}

/// `(trigger, command)` of each `ON … DO … ENDON`.
fn clauses(text: &str) -> Vec<(String, String)> {
    let mut clauses = vec![];
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if !word.eq_ignore_ascii_case("on") {
            continue;
        }
        let trigger = words.by_ref().take_while(|word| !word.eq_ignore_ascii_case("do"));
        let trigger = trigger.collect::<Vec<_>>().join(" ");
        let end = |word: &str| ["endon", "break"].iter().any(|end| word.eq_ignore_ascii_case(end));
        let command = words.by_ref().take_while(|word| !end(word)).collect::<Vec<_>>().join(" ");
        clauses.push((trigger, command));
    }
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enabled_rule_fires_and_in_once_mode_only_once() {
        let mut rule = Rule::default();
        rule.set(
            "ON Rules#Timer=1 DO Power1 0 ENDON on Power1#Boot do Backlog Power1 0; Power2 0 endon",
        );
        assert!(rule.fire("rules#timer=1").is_empty());
        rule.enabled = true;
        assert_eq!(rule.fire("rules#timer=1"), ["Power1 0"]);
        assert_eq!(rule.fire("rules#timer=1"), ["Power1 0"]);
        assert_eq!(rule.fire("power1#boot"), ["Backlog Power1 0; Power2 0"]);
        assert!(rule.fire("rules#timer=2").is_empty());
        rule.once = true;
        assert_eq!(rule.fire("rules#timer=1").len(), 1);
        assert!(rule.fire("rules#timer=1").is_empty());
    }
}
