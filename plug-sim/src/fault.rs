//! What can go wrong between a plug and its owner.

use std::time::Duration;

/// How requests are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Connections are reset as soon as they are made.
    Unreachable,
    /// Takes connections, does nothing and never answers, until the other side gives up.
    Silent,
    /// Obeys at once and answers this late; meanwhile nobody else is served.
    Stall(Duration),
    /// Obeys, and resets the connection in the middle of the answer's body.
    ResetMidBody,
    /// Obeys, and closes the connection without a byte.
    ObeysButReplyLost,
    /// Does nothing, and closes the connection without a byte (`SetOption128 0`).
    EmptyReply,
    /// Does nothing, and answers 200 with an HTML page (`Webserver 1`).
    Html,
    /// Answers as if it had obeyed; nothing happens. Queries are answered truly.
    Lies,
    /// Does nothing, and answers 200 with this body.
    Refuses(String),
    /// Obeys, and sends the answer in chunks and packets of one byte each.
    ChunkedSplits,
    /// Obeys, and splits the answer's body into two chunks and packets after so many bytes.
    SplitAt(usize),
    /// Does nothing, and answers as if the password were wrong.
    WrongPassword,
    /// Shelly: obeys, and answers `null` where the result should be.
    NullResult,
    /// Shelly's second generation: does nothing, no method is known: 404, as while it starts.
    NoHandler,
}

impl Fault {
    /// By the name that the control interface gives it; `argument` is milliseconds, bytes or a
    /// body, for those that have one.
    ///
    /// # Errors
    /// There is none of that name, or its argument is missing.
    pub fn from_name(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let number = || {
            let number = argument.and_then(|argument| argument.parse().ok());
            number.ok_or_else(|| format!("{name} needs a number as its argument"))
        };
        Ok(match name {
            "unreachable" => Self::Unreachable,
            "silent" => Self::Silent,
            "stall" => Self::Stall(Duration::from_millis(number()?)),
            "reset_mid_body" => Self::ResetMidBody,
            "obeys_but_reply_lost" => Self::ObeysButReplyLost,
            "empty_reply" => Self::EmptyReply,
            "html" => Self::Html,
            "lies" => Self::Lies,
            "refuses" => {
                let body =
                    argument.ok_or("refuses needs the body of its answer as its argument")?;
                Self::Refuses(body.to_owned())
            }
            "chunked_splits" => Self::ChunkedSplits,
            "split_at" => Self::SplitAt(usize::try_from(number()?).unwrap_or(usize::MAX)),
            "wrong_password" => Self::WrongPassword,
            "null_result" => Self::NullResult,
            "no_handler" => Self::NoHandler,
            _ => {
                return Err(format!(
                    "there is no fault {name}; there are {}",
                    Self::NAMES.join(", ")
                ));
            }
        })
    }

    /// Every name that [`Fault::from_name`] reads.
    pub const NAMES: [&str; 14] = [
        "unreachable",
        "silent",
        "stall",
        "reset_mid_body",
        "obeys_but_reply_lost",
        "empty_reply",
        "html",
        "lies",
        "refuses",
        "chunked_splits",
        "split_at",
        "wrong_password",
        "null_result",
        "no_handler",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_fault_is_read() {
        for name in Fault::NAMES {
            assert!(Fault::from_name(name, Some("7")).is_ok(), "{name}");
        }
        let four_seconds = Fault::from_name("stall", Some("4000"));
        assert_eq!(four_seconds, Ok(Fault::Stall(Duration::from_secs(4))));
        assert!(Fault::from_name("stall", None).is_err() && Fault::from_name("joy", None).is_err());
    }
}
