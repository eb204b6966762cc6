//! What was answered to which command, so that a repeated one has no second effect (contract, section 4).

use std::collections::{HashMap, VecDeque};

use edge_protocol::event::Code;
use edge_protocol::id::CommandId;
use serde::{Deserialize, Serialize};

use super::record::{self, Kind, Write};
use super::time::BootMs;

/// How long an id is remembered, in the node's running time.
const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;
/// How many are: about 25 MB.
const MAX_REMEMBERED: usize = 200_000;
/// What their reasons may occupy in memory; beyond it the oldest are given by their code alone.
const MAX_REASON_BYTES: usize = 8 * 1024 * 1024;
/// How many are forgotten along with one command: a week's end must not stall it.
const FORGOTTEN_AT_ONCE: usize = 64;
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
pub struct Rejection {
    /// The kind of reason.
    pub code: Code,
    /// The reason, for a person.
    pub message: Box<str>,
}

impl Rejection {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into().into() }
    }
}

/// An answer as it is stored; `at` counts the node's running time.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    at: u64,
    rejection: Option<Rejection>,
}

#[derive(Debug)]
struct Known {
    rejection: Option<Rejection>,
    repeated_at: Option<BootMs>,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    by_id: HashMap<Digest, Known>,
    /// Oldest first.
    ages: VecDeque<(u64, Digest)>,
    /// Those with a reason, oldest first.
    reasoned: VecDeque<Digest>,
    reason_bytes: usize,
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
        let Stored { at, rejection } = record::read(value)?;
        let digest = Digest::try_from(name).map_err(|_| record::Unreadable::Key)?;
        self.know(digest, at, rejection);
        Ok(())
    }

    /// Ends the recovery. Returns the running time of the youngest answer.
    pub(super) fn recovered(&mut self) -> u64 {
        self.ages.make_contiguous().sort_unstable();
        let reasoned = |digest: &Digest| self.by_id[digest].rejection.is_some();
        self.reasoned = self.ages.iter().map(|(_, digest)| *digest).filter(reasoned).collect();
        self.ages.back().map_or(0, |(at, _)| *at)
    }

    /// Whether `id` was answered before, and what to do about it.
    pub(super) fn repeat(&mut self, id: &CommandId, now: BootMs) -> Option<Repeat> {
        let known = self.by_id.get_mut(&digest(id))?;
        if known.repeated_at.is_some_and(|at| now - at < REPEAT_MS) {
            return Some(Repeat::Silence);
        }
        known.repeated_at = Some(now);
        Some(Repeat::Answer(match known.rejection.clone() {
            None => Ok(()),
            Some(Rejection { code, message }) if message.is_empty() => {
                Err(Rejection::new(code, "its first answer gave the reason"))
            }
            Some(rejection) => Err(rejection),
        }))
    }

    /// Whether there is room for one more answer, once what is old enough is forgotten.
    pub(super) fn make_room(&mut self, running_ms: u64) -> Result<Vec<Write>, Full> {
        let mut deletes = Vec::new();
        while let Some(&(at, digest)) = self.ages.front() {
            let young = running_ms.saturating_sub(at) < REMEMBERED_MS;
            if young || deletes.len() >= FORGOTTEN_AT_ONCE {
                break;
            }
            self.ages.pop_front();
            if let Some(Known { rejection: Some(rejection), .. }) = self.by_id.remove(&digest) {
                self.reason_bytes -= rejection.message.len();
                self.reasoned.pop_front_if(|oldest| *oldest == digest);
            }
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
        let digest = digest(id);
        let stored = Stored { at: running_ms, rejection };
        let write = record::put(Kind::Command, digest, &stored);
        self.know(digest, running_ms, stored.rejection);
        write
    }

    fn know(&mut self, digest: Digest, at: u64, rejection: Option<Rejection>) {
        if let Some(rejection) = &rejection {
            self.reasoned.push_back(digest);
            self.reason_bytes += rejection.message.len();
        }
        self.ages.push_back((at, digest));
        self.by_id.insert(digest, Known { rejection, repeated_at: None });
        while self.reason_bytes > MAX_REASON_BYTES
            && let Some(oldest) = self.reasoned.pop_front()
        {
            if let Some(Known { rejection: Some(rejection), .. }) = self.by_id.get_mut(&oldest) {
                self.reason_bytes -= rejection.message.len();
                rejection.message = Box::default();
            }
        }
    }
}

/// Every remembered id is younger than the time it must be remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[cfg(test)]
mod tests;
