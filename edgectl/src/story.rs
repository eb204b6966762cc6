//! An event in a line, for a person.

use serde_json::Value;

use crate::instant;
use crate::plain::plain;
use crate::span::about;

/// When, its number, its type, and its body's fields; instants and spans as people say them.
pub(crate) fn line(event: &Value, now_ms: u64) -> String {
    let at = event["at_ms"].as_u64().map_or_else(String::new, |at| instant::said(at, now_ms));
    let seq = event["seq"].as_u64().unwrap_or_default();
    format!("{at}  #{seq} {}", what(event, now_ms))
}

/// Its type, and its body's fields.
pub(crate) fn what(event: &Value, now_ms: u64) -> String {
    let kind = plain(event["type"].as_str().unwrap_or("?"));
    let body = event["body"].as_object();
    let fields = body.into_iter().flatten().map(|(name, value)| field(name, value, now_ms));
    std::iter::once(kind).chain(fields).collect::<Vec<_>>().join(" ")
}

fn field(name: &str, value: &Value, now_ms: u64) -> String {
    let shown = match (value, value.as_u64()) {
        (_, Some(at)) if name.ends_with("_at_ms") || name == "since_ms" => {
            format!("{}={}", stem(name), instant::said(at, now_ms))
        }
        (_, Some(ms)) if name.ends_with("_ms") => format!("{}={}", stem(name), about(ms)),
        (Value::String(text), _) if text.contains(' ') => format!("{name}={text:?}"),
        (Value::String(text), _) => format!("{name}={text}"),
        (other, _) => format!("{name}={other}"),
    };
    plain(&shown)
}

fn stem(name: &str) -> &str {
    name.strip_suffix("_at_ms").or_else(|| name.strip_suffix("_ms")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_of_plain_words() {
        let event = json!({ "seq": 7, "at_ms": 1_763_730_000_000_u64, "type": "session.ended", "body": {
            "session": "s-1", "reason": "expired", "late_ms": 12, "powered_ms": 5_400_000,
            "message": "a b\u{1b}[2J\n", "ended_at_ms": 1_763_730_000_000_u64 } });
        let line = line(&event, 1_763_730_000_000);
        let at = instant::said(1_763_730_000_000, 1_763_730_000_000);
        assert!(line.starts_with(&format!("{at}  #7 session.ended ")), "{line}");
        for part in ["late=12 ms", "powered=1 h 30 min", "session=s-1", &format!("ended={at}")] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains(['\u{1b}', '\n']), "{line}");
    }
}
