//! Deliberate bugs, each at a seam between the node and the world: what a careless store, loop,
//! driver or clock would do, or what a careless node would make of a command. They prove that the
//! checker sees; the node that is shipped has no switch for any of them.

use edge_agent::node::{Act, Found};
use edge_protocol::codec::{Encoding, decode_command, encode};
use edge_protocol::command::{Extension, Request};

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A command is acknowledged before its answer is written.
    AcknowledgedEarly,
    /// Who asks at the machine itself is answered before it is written.
    AnsweredEarly,
    /// An event goes out before it is written.
    PublishedEarly,
    /// A crash loses the last batch that was flushed: a missing fsync.
    FlushesForgotten,
    /// Orders wait for the disk, offs among them.
    OffsBehindFlushes,
    /// The node is given the wall clock for the boot clock.
    WallClockDeadlines,
    /// An unsynced clock is trusted.
    UnsyncedTrusted,
    /// A lease that is there is confirmed anew and never moved.
    LeasesNotRenewed,
    /// Leases are confirmed and never kept.
    LeasesIgnored,
    /// Leases cut the power a minute before they say so.
    LeasesCutEarly,
    /// Leases are said to be cleared, and are not.
    LeasesKept,
    /// Some offs are confirmed and don't happen.
    OffsForgotten,
    /// A crash loses what was answered to commands, and so who had been answered.
    AnswersForgotten,
    /// Some commands are acknowledged and never looked at.
    CommandsSwallowed,
    /// A start loses a session.
    SessionsForgotten,
    /// A start loses a hold.
    HoldsForgotten,
    /// A start loses a task.
    TasksForgotten,
    /// A start loses the last few events, so that their numbers are given again.
    SeqsReused,
    /// The disk drops an event now and then.
    EventsLost,
    /// An event goes out with other bytes than it was written with.
    EventsChanged,
    /// A script starts before its attempt is counted on disk.
    AttemptsUncounted,
    /// A task is retried once more than it may be.
    RetriesBeyond,
    /// What failed for good is tried again.
    HopelessRetried,
    /// Each warning is sent twice.
    WarningsTwice,
    /// Extensions add a second of their own.
    ExtensionsInexact,
    /// The grace is forgotten.
    GraceForgotten,
    /// Offs wait for the stagger, as ons do.
    OffsPaced,
    /// A meter that once showed power behind an open relay shows it for ever.
    StuckForEver,
    /// A driver takes a meter that shows nothing for one that shows 0 W.
    WattsOfNothing,
    /// A start loses how often relays have closed.
    LivesForgotten,
    /// A driver does not say that a device has switched itself off.
    TripsUntold,
}

impl Sabotage {
    /// Each with the sentences by which it is recognised: any of them.
    pub const ALL: [(Self, &[&str]); 31] = [
        (Self::AcknowledgedEarly, &["a command is acknowledged once its answer is on disk"]),
        (Self::AnsweredEarly, &["who asks at the machine is answered once it is on disk"]),
        (Self::PublishedEarly, &["an event is published once it is on disk"]),
        (Self::FlushesForgotten, &["`seq` rises by one"]),
        (Self::OffsBehindFlushes, &["P1, power is cut on time"]),
        (Self::WallClockDeadlines, &["P1, power is cut on time", "P2, nobody is cut early"]),
        (Self::UnsyncedTrusted, &["nobody is cut early", "P1, power is cut on time"]),
        (Self::LeasesNotRenewed, &["a lease never cuts before the off time"]),
        (Self::LeasesIgnored, &["P1, power is cut at most 15 s after the off time by the lease"]),
        (Self::LeasesCutEarly, &["a lease never cuts before the off time"]),
        (Self::LeasesKept, &["a lease is cleared within 2 s of the end"]),
        (Self::OffsForgotten, &["P1, power is cut on time"]),
        (Self::AnswersForgotten, &["each command gets one answer"]),
        (Self::CommandsSwallowed, &["a command is acknowledged once its answer is on disk"]),
        (Self::SessionsForgotten, &["nothing accepted is lost"]),
        (Self::HoldsForgotten, &["nothing accepted is lost"]),
        (Self::TasksForgotten, &["nothing accepted is lost"]),
        (Self::SeqsReused, &["`seq` rises by one"]),
        (Self::EventsLost, &["nothing that has a `seq` is dropped"]),
        (Self::EventsChanged, &["an event is published unchanged"]),
        (Self::AttemptsUncounted, &["the attempt count is durable before an attempt starts"]),
        (Self::RetriesBeyond, &["`max_retries` allows"]),
        (Self::HopelessRetried, &["64 and 65 fail for good"]),
        (Self::WarningsTwice, &["a warning is sent once"]),
        (Self::ExtensionsInexact, &["an extension moves the deadline by exactly that much"]),
        (Self::GraceForgotten, &["the off time is the deadline plus the grace"]),
        (Self::OffsPaced, &["P1, power is cut on time"]),
        (
            Self::StuckForEver,
            &["300 s without power clear `stuck_on`", "`stuck_on` is power that flows"],
        ),
        (Self::WattsOfNothing, &["a proof by watts needs watts"]),
        (Self::LivesForgotten, &["a relay's cycles are counted for its life"]),
        (Self::TripsUntold, &["P2, nobody is cut early"]),
    ];
}

fn forget(kind: &'static [u8], found: &mut Found) {
    if let Some(row) = found.rows.iter().position(|(key, _)| key.starts_with(kind)) {
        found.rows.remove(row);
    }
}

/// What a start is given of what is on disk.
pub(super) fn found(sabotage: Option<Sabotage>, found: &mut Found) {
    let row_of = |kind: &'static [u8]| move |(key, _): &(Vec<u8>, Vec<u8>)| key.starts_with(kind);
    match sabotage {
        Some(Sabotage::AnswersForgotten) => {
            let answer = row_of(b"command/");
            found.rows.retain(|row| !answer(row));
        }
        Some(Sabotage::LivesForgotten) => {
            let life = row_of(b"life/");
            found.rows.retain(|row| !life(row));
        }
        Some(Sabotage::SessionsForgotten) => forget(b"session/", found),
        Some(Sabotage::HoldsForgotten) => forget(b"hold/", found),
        Some(Sabotage::TasksForgotten) => forget(b"task/", found),
        Some(Sabotage::SeqsReused) => {
            let marks = row_of(b"node/outbox");
            found.rows.retain(|row| !marks(row));
            found.events.truncate(found.events.len().saturating_sub(3));
        }
        _ => {}
    }
}

/// What a loop does before its writes are on disk.
pub(super) fn hasty(sabotage: Option<Sabotage>, acts: &mut Vec<Act>) -> Vec<Act> {
    let hasty = |act: &mut Act| match sabotage {
        Some(Sabotage::AcknowledgedEarly) => matches!(act, Act::Acknowledge(_)),
        Some(Sabotage::AnsweredEarly) => matches!(act, Act::Answer { .. }),
        Some(Sabotage::PublishedEarly) => matches!(act, Act::Publish { .. }),
        Some(Sabotage::AttemptsUncounted) => matches!(act, Act::Run { .. }),
        _ => false,
    };
    acts.extract_if(.., hasty).collect()
}

/// What the node is given of a command.
pub(super) fn command(sabotage: Option<Sabotage>, payload: Vec<u8>) -> Vec<u8> {
    let mangles = matches!(
        sabotage,
        Some(
            Sabotage::RetriesBeyond
                | Sabotage::WarningsTwice
                | Sabotage::ExtensionsInexact
                | Sabotage::GraceForgotten
        )
    );
    if !mangles {
        return payload;
    }
    let command = decode_command(&payload).ok().and_then(|received| received.command.ok());
    let Some(mut command) = command else { return payload };
    match (sabotage, &mut command.request) {
        (Some(Sabotage::RetriesBeyond), Request::TaskSubmit(submit)) => submit.max_retries += 1,
        (Some(Sabotage::WarningsTwice), Request::SessionStart(start)) => {
            let asked = start.warn_before_ms.take().unwrap_or_else(|| vec![300_000, 60_000]);
            start.warn_before_ms = Some(asked.into_iter().flat_map(|ms| [ms, ms - 1]).collect());
        }
        (Some(Sabotage::ExtensionsInexact), Request::SessionExtend(extend)) => {
            if let Extension::By(ms) = &mut extend.to {
                *ms += 1_000;
            }
        }
        (Some(Sabotage::GraceForgotten), Request::SessionStart(start)) => start.grace_ms = Some(0),
        _ => {}
    }
    encode(Encoding::Cbor, &command)
}
