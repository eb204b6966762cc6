//! What was answered to which command, so that a repeated one has no second effect (contract, section 4).

use std::collections::{HashMap, VecDeque};

use edge_protocol::event::Code;
use edge_protocol::id::CommandId;
use serde::{Deserialize, Serialize};

use super::record::{self, Kind, Write};
use super::time::BootMs;

/// How long an id is remembered, in the node's running time.
const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;
/// How many are: about 20 MB.
const MAX_REMEMBERED: usize = 200_000;
/// How often a repeated command is answered again.
const REPEAT_MS: u64 = 60_000;

/// An id by its SHA-256, cut to 128 bits: of one size in memory and on disk.
type Digest = [u8; 16];

fn digest(id: &CommandId) -> Digest {
    let whole = ring::digest::digest(&ring::digest::SHA256, id.as_str().as_bytes());
    let mut cut = [0; 16];
    cut.copy_from_slice(&whole.as_ref()[..16]);
    cut
}

/// Why a command has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejection {
    pub(super) code: Code,
    pub(super) message: Box<str>,
}

impl Rejection {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into().into() }
    }
}

/// An answer as it is stored; `at` counts the node's running time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    at: u64,
    rejection: Option<Rejection>,
    #[serde(skip)]
    repeated_at: Option<BootMs>,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    by_id: HashMap<Digest, Remembered>,
    /// Oldest first.
    ages: VecDeque<(u64, Digest)>,
}

/// What to do with a command that was answered before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Answer it again.
    Answer(Result<(), Rejection>),
    /// It was answered again within the last minute.
    Silence,
}

impl Answers {
    /// Takes a stored answer; [`Self::recovered`] follows once all are in.
    pub(super) fn recover(&mut self, name: &[u8], value: &[u8]) -> Result<(), record::Unreadable> {
        let remembered: Remembered = record::read(value)?;
        let digest = Digest::try_from(name).map_err(|_| record::Unreadable::Version(None))?;
        self.ages.push_back((remembered.at, digest));
        self.by_id.insert(digest, remembered);
        Ok(())
    }

    /// Ends the recovery. Returns the running time of the youngest answer.
    pub(super) fn recovered(&mut self) -> u64 {
        self.ages.make_contiguous().sort_unstable();
        self.ages.back().map_or(0, |(at, _)| *at)
    }

    /// Whether `id` was answered before, and what to do about it.
    pub(super) fn repeat(&mut self, id: &CommandId, now: BootMs) -> Option<Repeat> {
        let known = self.by_id.get_mut(&digest(id))?;
        if known.repeated_at.is_some_and(|at| now - at < REPEAT_MS) {
            return Some(Repeat::Silence);
        }
        known.repeated_at = Some(now);
        Some(Repeat::Answer(known.rejection.clone().map_or(Ok(()), Err)))
    }

    /// Whether there is room for one more answer, once what is old enough is forgotten.
    pub(super) fn make_room(&mut self, running_ms: u64) -> Result<Vec<Write>, Full> {
        let mut deletes = Vec::new();
        while let Some(&(at, digest)) = self.ages.front() {
            if running_ms.saturating_sub(at) < REMEMBERED_MS {
                break;
            }
            self.ages.pop_front();
            self.by_id.remove(&digest);
            deletes.push(record::delete(Kind::Command, digest));
        }
        if self.ages.len() < MAX_REMEMBERED { Ok(deletes) } else { Err(Full) }
    }

    pub(super) fn remember(
        &mut self,
        id: &CommandId,
        rejection: Option<Rejection>,
        running_ms: u64,
    ) -> Write {
        let remembered = Remembered { at: running_ms, rejection, repeated_at: None };
        let digest = digest(id);
        let write = record::put(Kind::Command, digest, &remembered);
        self.ages.push_back((running_ms, digest));
        self.by_id.insert(digest, remembered);
        write
    }
}

/// Every remembered id is younger than the time it must be remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CommandId {
        text.parse().unwrap()
    }

    #[test]
    fn a_repeated_command_is_answered_as_before_at_most_once_a_minute() {
        let mut answers = Answers::default();
        let no = Rejection::new(Code::Conflict, "busy");
        answers.remember(&id("a"), Some(no.clone()), 0);
        assert_eq!(answers.repeat(&id("b"), BootMs(0)), None);
        assert_eq!(answers.repeat(&id("a"), BootMs(0)), Some(Repeat::Answer(Err(no.clone()))));
        assert_eq!(answers.repeat(&id("a"), BootMs(59_999)), Some(Repeat::Silence));
        assert_eq!(answers.repeat(&id("a"), BootMs(60_000)), Some(Repeat::Answer(Err(no))));
    }

    #[test]
    fn an_id_is_remembered_for_seven_days_of_running_time() {
        let mut answers = Answers::default();
        answers.remember(&id("a"), None, 1_000);
        assert_eq!(answers.make_room(1_000 + REMEMBERED_MS - 1).unwrap(), vec![]);
        assert!(answers.repeat(&id("a"), BootMs(0)).is_some());
        assert_eq!(answers.make_room(1_000 + REMEMBERED_MS).unwrap().len(), 1);
        assert_eq!(answers.repeat(&id("a"), BootMs(0)), None);
    }

    #[test]
    fn two_hundred_thousand_ids_are_remembered_and_no_more_are_taken() {
        let mut answers = Answers::default();
        for number in 0..MAX_REMEMBERED {
            answers.remember(&id(&format!("c{number}")), None, 5);
        }
        assert_eq!(answers.make_room(6), Err(Full));
        assert!(answers.make_room(5 + REMEMBERED_MS).is_ok());
    }
}
