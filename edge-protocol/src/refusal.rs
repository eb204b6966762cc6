//! Why a message is not taken, in words that are safe to keep and to show.

use crate::event::Code;
use crate::limits::MAX_REASON_BYTES;

/// A message that can't be read at all: it can't be named, so its answer can't either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// [`Code::TooLarge`] or [`Code::Malformed`]; on the control plane's side also
    /// [`Code::Invalid`], for a message of another shape than expected.
    pub code: Code,
    /// What is wrong; at most [`MAX_REASON_BYTES`], without control characters.
    pub message: String,
}

/// Why a command that could be named is refused by its form alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// [`Code::Unsupported`] or [`Code::Invalid`].
    pub code: Code,
    /// What is wrong; names the field. At most [`MAX_REASON_BYTES`], without control characters.
    pub message: String,
}

impl Unreadable {
    pub(crate) fn new(code: Code, message: &str) -> Self {
        Self { code, message: presentable(message) }
    }
}

impl Refusal {
    pub(crate) fn unsupported(message: &str) -> Self {
        Self { code: Code::Unsupported, message: presentable(message) }
    }

    /// `path` is the field, from the message's root on.
    pub(crate) fn invalid(path: &str, problem: &str) -> Self {
        Self { code: Code::Invalid, message: presentable(&format!("{path}: {problem}")) }
    }
}

/// A reason quotes what a stranger sent, and ends up in an event, a log and a terminal: so it is
/// cut to a length that fits an event, and what a terminal would obey is escaped.
fn presentable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_REASON_BYTES));
    for character in text.chars() {
        let escaped = if character.is_control() {
            character.escape_default().to_string()
        } else {
            character.to_string()
        };
        if safe.len() + escaped.len() + '…'.len_utf8() > MAX_REASON_BYTES {
            safe.push('…');
            break;
        }
        safe.push_str(&escaped);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_short_whatever_it_quotes() {
        let short = presentable(&"ä".repeat(MAX_REASON_BYTES));
        assert!(short.len() <= MAX_REASON_BYTES);
        assert!(short.ends_with('…'));
        assert_eq!(presentable("body.label: too long"), "body.label: too long");
    }

    #[test]
    fn a_reason_gives_a_terminal_nothing_to_obey() {
        assert_eq!(presentable("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
    }
}
