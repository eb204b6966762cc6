//! What the answer to a command looks like, and which of what is heard it is.

use serde_json::{Map, Value};

/// The parts of a `Status 0` that the driver reads; each is a message of its own, in no promised order.
const PARTS: [&str; 5] = ["status", "statusprm", "statusfwr", "statussns", "statussts"];
/// Which part `Status <n>` gives.
const STATUS: [(&str, &str); 12] = [
    ("", "status"),
    ("1", "statusprm"),
    ("2", "statusfwr"),
    ("3", "statuslog"),
    ("4", "statusmem"),
    ("5", "statusnet"),
    ("6", "statusmqt"),
    ("7", "statustim"),
    ("8", "statussns"),
    ("9", "statuspth"),
    ("10", "statussns"),
    ("11", "statussts"),
];

/// A command that was asked, or will be.
#[derive(Debug)]
pub(super) struct Question {
    name: String,
    payload: String,
    /// The keys of its answer, in lower case.
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    /// One message that has one of these.
    Any(Vec<String>),
    /// Messages that have all of these together.
    All(&'static [&'static str]),
}

impl Question {
    /// The question that `command` is: `Name argument`, as at the plug's console.
    pub(super) fn of(command: &str) -> Self {
        let (name, payload) = command.split_once(' ').unwrap_or((command, ""));
        let wanted = wanted(&name.to_ascii_lowercase(), payload);
        Self { name: name.to_owned(), payload: payload.to_owned(), wanted }
    }

    /// The last level of its topic.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its payload.
    pub(super) fn payload(&self) -> &str {
        &self.payload
    }

    /// Whether it switches: then its answer is confirmed by a reading, and it is as well repeated.
    pub(super) fn switches(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        !self.payload.is_empty() && matches!(base(&name), "power" | "timedpower")
    }

    /// The keys that an answer to it may have.
    pub(super) fn keys(&self) -> Vec<String> {
        match &self.wanted {
            Wanted::Any(keys) => keys.clone(),
            Wanted::All(keys) => keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }
}

fn wanted(name: &str, payload: &str) -> Wanted {
    let index = &name[base(name).len()..];
    Wanted::Any(match base(name) {
        "status" if payload == "0" => return Wanted::All(&PARTS),
        "status" => {
            let part = STATUS.iter().find(|(number, _)| *number == payload);
            vec![part.map_or("status", |(_, part)| part).to_owned()]
        }
        "power" => power(index),
        // Setting it answers as `Power` does; without a number it lists, with one alone it clears.
        "timedpower" if !payload.is_empty() => power(index),
        "ruletimer" => vec!["t1".to_owned()],
        base if base == name => vec![name.to_owned()],
        base => vec![name.to_owned(), base.to_owned()],
    })
}

/// A plug with one relay says `POWER`.
fn power(index: &str) -> Vec<String> {
    let named = format!("power{index}");
    if index == "1" { vec![named, "power".to_owned()] } else { vec![named] }
}

/// A name without its number.
fn base(name: &str) -> &str {
    name.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// Puts the answer to one question together.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    question: &'a Question,
    parts: Map<String, Value>,
    /// An answer that said otherwise than expected.
    contradiction: Option<Vec<u8>>,
}

impl<'a> Gathering<'a> {
    pub(super) fn of(question: &'a Question) -> Self {
        Self { question, parts: Map::new(), contradiction: None }
    }

    /// The answer, if `payload` is it or completes it.
    pub(super) fn take(
        &mut self,
        payload: &[u8],
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Option<Vec<u8>> {
        // A bare word, such as `ON`, is said beside each RESULT. A network's name may hold any bytes.
        let text = String::from_utf8_lossy(payload);
        let Ok(Value::Object(object)) = serde_json::from_str(&text) else { return None };
        if self.is_refusal(&object) {
            return Some(payload.to_vec());
        }
        let has = |wanted: &str| object.keys().any(|key| key.eq_ignore_ascii_case(wanted));
        match &self.question.wanted {
            Wanted::Any(keys) if !keys.iter().any(|key| has(key)) => None,
            Wanted::Any(_) if agrees(payload) => Some(payload.to_vec()),
            Wanted::Any(_) => {
                self.contradiction = Some(payload.to_vec());
                None
            }
            Wanted::All(keys) => {
                let ours = |key: &String| keys.iter().any(|part| key.eq_ignore_ascii_case(part));
                self.parts.extend(object.into_iter().filter(|(key, _)| ours(key)));
                (self.parts.len() == keys.len()).then(|| self.whole())
            }
        }
    }

    /// Whether an answer was heard that does not agree.
    pub(super) fn contradicts(&self) -> bool {
        self.contradiction.is_some()
    }

    /// What there is when no more is waited for.
    pub(super) fn rest(mut self) -> Option<Vec<u8>> {
        let some = (!self.parts.is_empty()).then(|| self.whole());
        self.contradiction.take().or(some)
    }

    fn whole(&self) -> Vec<u8> {
        Value::Object(self.parts.clone()).to_string().into_bytes()
    }

    /// `{"Command":"Unknown"}` or `"Error"`; newer firmware adds as `Input` what it was sent.
    fn is_refusal(&self, object: &Map<String, Value>) -> bool {
        let refused = matches!(object.get("Command"), Some(Value::String(word)) if word == "Unknown" || word == "Error");
        let others = object.get("Input").and_then(Value::as_str).is_some_and(|input| {
            let command = input.split_whitespace().next().unwrap_or_default();
            !base(command).eq_ignore_ascii_case(base(&self.question.name))
        });
        refused && !others
    }
}
