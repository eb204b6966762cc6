//! The stored rule that makes an off of a rule timer, and an off of a restart.
//!
//! `RuleTimer<n>` alone switches nothing: it is an event, and a rule says what follows. The rule
//! of relay 2 is
//!
//! ```text
//! ON Rules#Timer=2 DO Power2 0 ENDON ON Power2#Boot DO Power2 0 ENDON
//! ```
//!
//! Its second half closes a hole: a restart that was no power failure (a watchdog, an update)
//! brings the relay back on, and the timers that live in memory are gone by then.
//!
//! A plug stores three rules. Nobody's rule is changed: ours goes behind rules of ours for other
//! relays, or into an empty slot.

use super::reply::Words;

/// How many rules a plug stores.
pub(super) const SLOTS: u8 = 3;
/// How many rule timers a plug has.
pub(super) const TIMERS: u8 = 8;
/// How many relays a plug can have.
const LAST_RELAY: u8 = 32;

/// One stored rule, as `Rule<n>` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) enabled: bool,
    /// Whether each trigger fires a single time until it was false again: then a second timer
    /// would be an event without an effect.
    pub(super) once: bool,
    /// How many letters more there is room for.
    pub(super) free: u64,
    pub(super) text: String,
}

/// One `ON trigger DO command ENDON`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    trigger: String,
    command: String,
}

/// What the rule of a relay consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `Rules#Timer=n`: the end of the lease.
    Timer,
    /// `Power<n>#Boot`: off after each start.
    Boot,
}

/// Where the rule is, or where it can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is in this slot, enabled and not in once mode.
    Held(u8),
    /// It is in this slot of ours, which must be enabled or taken out of once mode.
    Asleep(u8),
    /// This slot is empty.
    Empty(u8),
    /// This slot holds rules of ours for others, and has room.
    Behind(u8),
    /// Every slot is somebody's, or somebody's rule has to do with our timer.
    Nowhere,
}

impl Part {
    /// The clause, as it is sent.
    fn text(self, relay: u8) -> String {
        match self {
            Self::Timer => format!("ON Rules#Timer={relay} DO Power{relay} 0 ENDON"),
            Self::Boot => format!("ON Power{relay}#Boot DO Power{relay} 0 ENDON"),
        }
    }

    fn clause(self, relay: u8) -> Clause {
        clauses(&self.text(relay)).remove(0)
    }
}

/// The rule for `relay` that consists of `parts`, as it is sent.
pub(super) fn text(parts: &[Part], relay: u8) -> String {
    parts.iter().map(|part| part.text(relay)).collect::<Vec<_>>().join(" ")
}

/// Where the `parts` of the rule for `relay` are among the `stored` rules (slot 1 first), or can
/// go.
pub(super) fn place(stored: &[Stored], parts: &[Part], relay: u8) -> Place {
    if parts.contains(&Part::Timer) && contested(stored, relay) {
        return Place::Nowhere;
    }
    // A blank in between.
    let length = u64::try_from(text(parts, relay).len() + 1).unwrap_or(u64::MAX);
    let slot = |fits: &dyn Fn(&Stored) -> bool| {
        (1..).zip(stored).find(|(_, rule)| fits(rule)).map(|(slot, _)| slot)
    };
    slot(&|rule| holds(rule, parts, relay))
        .map(Place::Held)
        .or_else(|| slot(&|rule| is_ours(rule) && says(rule, parts, relay)).map(Place::Asleep))
        .or_else(|| slot(&|rule| is_ours(rule) && rule.free > length).map(Place::Behind))
        .or_else(|| slot(&|rule| rule.text.trim().is_empty()).map(Place::Empty))
        .unwrap_or(Place::Nowhere)
}

/// Whether the `parts` of the rule for `relay` are in this one, and do what they say.
pub(super) fn holds(stored: &Stored, parts: &[Part], relay: u8) -> bool {
    stored.enabled && !stored.once && says(stored, parts, relay)
}

fn says(stored: &Stored, parts: &[Part], relay: u8) -> bool {
    let clauses = clauses(&stored.text);
    parts.iter().all(|part| clauses.contains(&part.clause(relay)))
}

/// Whether it switches `relay` off after each start.
pub(super) fn boots_off(stored: &Stored, relay: u8) -> bool {
    stored.enabled && says(stored, &[Part::Boot], relay)
}

/// What is left of a rule of ours without the off of `relay` after a start; `None`: it has none, or is
/// somebody's.
pub(super) fn without_boot(stored: &Stored, relay: u8) -> Option<String> {
    if !is_ours(stored) || !says(stored, &[Part::Boot], relay) {
        return None;
    }
    let left = (1..=LAST_RELAY)
        .flat_map(|it| [Part::Timer, Part::Boot].map(|part| (it, part)))
        .filter(|(it, part)| (*it, *part) != (relay, Part::Boot) && says(stored, &[*part], *it));
    Some(left.map(|(it, part)| part.text(it)).collect::<Vec<_>>().join(" "))
}

/// Whether a rule of somebody else may switch: enabled, and about power or timers.
pub(super) fn may_switch(stored: &Stored) -> bool {
    let text = stored.text.to_ascii_lowercase();
    let about = ["power", "pulsetime", "timer", "event"];
    stored.enabled && !is_ours(stored) && about.iter().any(|word| text.contains(word))
}

/// Whether nothing but our own rules is in it.
fn is_ours(stored: &Stored) -> bool {
    let clauses = clauses(&stored.text);
    let known = |clause: &Clause| {
        (1..=LAST_RELAY)
            .any(|relay| [Part::Timer, Part::Boot].iter().any(|part| part.clause(relay) == *clause))
    };
    !clauses.is_empty() && clauses.iter().all(known)
}

/// Whether somebody's rule sets our timer or waits for it.
fn contested(stored: &[Stored], relay: u8) -> bool {
    let own = Part::Timer.clause(relay);
    stored.iter().filter(|rule| !is_ours(rule)).any(|rule| {
        let waits = clauses(&rule.text).iter().any(|it| it.trigger == own.trigger && *it != own);
        let text = rule.text.to_ascii_lowercase();
        let sets = ["ruletimer0".to_owned(), format!("ruletimer{relay}"), "ruletimer ".to_owned()];
        waits || sets.iter().any(|command| text.contains(command))
    })
}

/// `ON … DO … ENDON`, one after the other, in lower case with single blanks.
fn clauses(text: &str) -> Vec<Clause> {
    let text = text.to_ascii_lowercase();
    let mut words = text.split_whitespace();
    let mut clauses = Vec::new();
    while let Some(word) = words.next() {
        if word != "on" {
            // Something we cannot read is nothing of ours.
            clauses.push(Clause { trigger: word.to_owned(), command: String::new() });
            continue;
        }
        let mut until = |end: &[&str]| {
            words.by_ref().take_while(|word| !end.contains(word)).collect::<Vec<_>>().join(" ")
        };
        let trigger = until(&["do"]);
        let command = until(&["endon", "break"]);
        clauses.push(Clause { trigger, command });
    }
    clauses
}

/// `Rule<n>` in both of its forms: `{"Rule1":"ON","Once":"OFF","Free":487,"Rules":"…"}`, and from
/// about 9.4 `{"Rule1":{"State":"ON","Once":"OFF","Free":469,"Rules":"…"}}`.
pub(super) fn stored_in(
    object: &serde_json::Map<String, serde_json::Value>,
    slot: u8,
    words: &Words,
) -> Option<Stored> {
    let named = object.get(&format!("Rule{slot}"))?;
    let (fields, state) = match named.as_object() {
        Some(fields) => (fields, fields.get("State")?),
        None => (object, named),
    };
    let word = |value: &serde_json::Value| words.read(value);
    Some(Stored {
        enabled: word(state)?,
        once: word(fields.get("Once")?)?,
        free: fields.get("Free").and_then(serde_json::Value::as_u64).unwrap_or(0),
        text: fields.get("Rules")?.as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Part; 2] = [Part::Timer, Part::Boot];
    const OURS: &str = "ON Rules#Timer=1 DO Power1 0 ENDON ON Power1#Boot DO Power1 0 ENDON";

    fn stored(text: &str) -> Stored {
        let free = 511_u64.saturating_sub(text.len() as u64);
        Stored { enabled: !text.is_empty(), once: false, free, text: text.to_owned() }
    }

    fn placed(texts: [&str; 3], relay: u8) -> Place {
        place(&texts.map(stored), &BOTH, relay)
    }

    #[test]
    fn the_rule_is_the_end_of_the_timer_and_the_off_of_a_restart() {
        assert_eq!(text(&BOTH, 1), OURS);
        assert_eq!(text(&[Part::Boot], 3), "ON Power3#Boot DO Power3 0 ENDON");
    }

    #[test]
    fn it_goes_where_it_is_else_behind_our_own_else_into_an_empty_slot() {
        let theirs = "ON System#Boot DO Delay 10 ENDON";
        assert_eq!(placed(["", "", ""], 1), Place::Empty(1));
        assert_eq!(placed([OURS, "", ""], 1), Place::Held(1));
        assert_eq!(placed([theirs, &OURS.to_lowercase(), ""], 1), Place::Held(2));
        assert_eq!(placed(["", OURS, ""], 2), Place::Behind(2));
        assert_eq!(placed([OURS, theirs, theirs], 2), Place::Behind(1));
        assert_eq!(placed([theirs, theirs, theirs], 1), Place::Nowhere);
    }

    #[test]
    fn it_never_shares_a_timer_with_somebody_elses_rule() {
        for theirs in [
            "ON Rules#Timer=1 DO Power2 1 ENDON",
            "ON Button1#State DO RuleTimer1 60 ENDON",
            "ON Button1#State DO RuleTimer0 0 ENDON",
        ] {
            assert_eq!(placed([theirs, "", ""], 1), Place::Nowhere, "{theirs}");
            assert_eq!(placed([theirs, OURS, ""], 1), Place::Nowhere, "{theirs}");
        }
        let other = "ON Rules#Timer=2 DO Dimmer 0 ENDON";
        assert_eq!(placed([other, "", ""], 1), Place::Empty(2));
    }

    #[test]
    fn one_that_sleeps_is_woken_only_if_it_is_ours_alone() {
        let asleep = Stored { enabled: false, ..stored(OURS) };
        let once = Stored { once: true, ..stored(OURS) };
        let theirs = Stored { enabled: false, ..stored(&format!("{OURS} ON X DO Power1 1 ENDON")) };
        let full = stored("ON System#Boot DO Delay 10 ENDON");
        assert_eq!(place(&[asleep], &BOTH, 1), Place::Asleep(1));
        assert_eq!(place(&[once], &BOTH, 1), Place::Asleep(1));
        assert_eq!(place(&[full.clone(), theirs, full], &BOTH, 1), Place::Nowhere);
    }

    #[test]
    fn our_off_after_a_start_is_taken_out_and_all_else_stays() {
        let both = stored(&format!("{OURS} {}", text(&BOTH, 2)));
        let left = "ON Rules#Timer=1 DO Power1 0 ENDON ON Rules#Timer=2 DO Power2 0 ENDON ON Power2#Boot DO Power2 0 ENDON";
        assert_eq!(without_boot(&both, 1).as_deref(), Some(left));
        assert_eq!(without_boot(&stored(&text(&[Part::Boot], 3)), 3).as_deref(), Some(""));
        assert_eq!(without_boot(&stored(OURS), 2), None);
        assert_eq!(without_boot(&stored(&format!("{OURS} ON X DO Power1 1 ENDON")), 1), None);
        assert!(boots_off(&both, 2) && !boots_off(&both, 3));
    }

    #[test]
    fn a_full_slot_of_ours_takes_no_more() {
        let ours = Stored { free: text(&BOTH, 2).len() as u64 + 1, ..stored(OURS) };
        let roomier = Stored { free: ours.free + 1, ..ours.clone() };
        assert_eq!(place(&[ours], &BOTH, 2), Place::Nowhere);
        assert_eq!(place(&[roomier], &BOTH, 2), Place::Behind(1));
    }

    #[test]
    fn somebody_elses_enabled_rule_about_power_is_told() {
        assert!(may_switch(&stored("ON Switch1#State DO POWER1 2 ENDON")));
        assert!(!may_switch(&stored("ON Wifi#Connected DO Publish a b ENDON")));
        assert!(!may_switch(&stored(OURS)));
        assert!(!may_switch(&Stored { enabled: false, ..stored("ON X DO Power1 1 ENDON") }));
    }

    #[test]
    fn a_stored_rule_is_read_in_both_of_its_forms() {
        let read = |body: &str| {
            let object: serde_json::Map<_, _> = serde_json::from_str(body).unwrap();
            stored_in(&object, 1, &Words::default())
        };
        let expected = Some(Stored { enabled: true, once: false, free: 487, text: "ON".into() });
        let old = r#"{"Rule1":"ON","Once":"OFF","StopOnError":"OFF","Free":487,"Rules":"ON"}"#;
        assert_eq!(read(old), expected);
        let new = r#"{"Rule1":{"State":"ON","Once":"OFF","Length":2,"Free":487,"Rules":"ON"}}"#;
        assert_eq!(read(new), expected);
        assert_eq!(read(r#"{"Rule1":{"State":"ON","Once":"OFF"}}"#), None);
        assert_eq!(read(r#"{"Rule2":"ON","Once":"OFF","Rules":""}"#), None);
    }
}
