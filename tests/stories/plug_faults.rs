//! Plugs that are gone, slow, deaf, lying or locked: at the start, where the customer is told,
//! and at the end, where nobody gives up and no neighbour waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use edge_protocol::event::{Code, Event, Fault as Told, Lease, Reason, What};
use plug_sim::{FakePlug, Fault};
use tests::ask::{abandon, end, extend, start_on};
use tests::plug::{goes_off, until};
use tests::row::Row;
use tests::time;

/// The slowest that an off may be tried again.
const SLOWEST_RETRY_MS: u64 = 2_000;
/// What a loaded machine adds to that.
const SLACK_MS: u64 = 700;

fn locked() -> Fault {
    // What a relay under `PowerLock` answers to an ON or OFF: the state that it keeps.
    Fault::Refuses(r#"{"Command":"Error"}"#.to_owned())
}

fn session(number: usize) -> String {
    format!("s-{number}")
}

/// The number of the plug, station or session that an event is about.
fn number(id: &str) -> usize {
    id.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("ids end with a number")
}

#[tokio::test]
async fn a_station_that_can_not_be_powered_fails_after_30_s_and_holds_up_no_other() -> Result<()> {
    let faults = [
        None,
        Some((Fault::Unreachable, Told::Unreachable)),
        Some((Fault::Silent, Told::Unreachable)),
        Some((Fault::Stall(Duration::from_secs(4)), Told::Unreachable)),
        Some((Fault::EmptyReply, Told::Unreachable)),
        Some((Fault::WrongPassword, Told::Refused)),
        Some((Fault::Html, Told::Refused)),
        Some((locked(), Told::Refused)),
        Some((Fault::Lies, Told::StuckOff)),
    ];
    let mut row = Row::new(faults.len()).await?;
    let _agent = row.story.agent().await?;
    let mut sent = BTreeMap::new();
    for (number, fault) in (1..).zip(&faults) {
        if let Some((fault, _)) = fault {
            row.plug(number).set_fault(fault.clone());
        }
        row.story.send(start_on(&format!("pc-{number}"), &session(number), 1_000)).await?;
        sent.insert(number, time::now_ms());
    }
    let mut told = BTreeMap::new();
    let mut failed = BTreeSet::new();
    while failed.len() + 1 < faults.len() {
        let event = row.story.event("eight failed starts", |event| Some(event.clone())).await?;
        match event.what {
            What::OutletFault(fault) => {
                told.entry(number(fault.outlet.as_str())).or_insert(fault.fault);
            }
            What::SessionFailed(problem) => {
                let number = number(problem.session.as_str());
                let after_ms = event.at_ms - sent[&number];
                // From the moment its on could be sent: the ons of eight stations are 300 ms apart.
                assert!((29_000..=34_000).contains(&after_ms), "{number}: {after_ms} ms");
                assert_eq!(problem.code, Code::Unpowered);
                let plug = format!("plug-{number}: ");
                assert!(problem.message.contains(&plug), "{}", problem.message);
                failed.insert(number);
            }
            What::SessionEnded(ended) => {
                assert_eq!(number(ended.session.as_str()), 1, "only one could be powered");
                let after_ms = event.at_ms - sent[&1];
                assert!(after_ms <= 3_000, "held up: {after_ms} ms");
            }
            _ => {}
        }
    }
    let expected: BTreeMap<usize, Told> = (1..)
        .zip(&faults)
        .filter_map(|(number, fault)| Some((number, fault.as_ref()?.1)))
        .collect();
    assert_eq!(told, expected);
    // Off is pursued as at an end: whoever is reached again goes off, and stays off.
    for (_, plug) in row.plugs() {
        plug.clear_fault();
        goes_off(plug).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_outlet_that_does_not_go_off_is_a_fault_at_once_and_pursued_without_end() -> Result<()> {
    let faults = [
        None,
        Some((Fault::Unreachable, Told::Unreachable)),
        Some((Fault::Silent, Told::Unreachable)),
        Some((Fault::EmptyReply, Told::Unreachable)),
        Some((Fault::WrongPassword, Told::Refused)),
        Some((Fault::Html, Told::Refused)),
        Some((locked(), Told::Refused)),
        Some((Fault::Lies, Told::StuckOn)),
    ];
    let mut row = Row::new(faults.len()).await?;
    let _agent = row.story.agent().await?;
    for number in 1..=faults.len() {
        row.story.send(start_on(&format!("pc-{number}"), &session(number), 60_000)).await?;
        row.story.told("session.started").await?;
    }
    let mut ended_at_ms = BTreeMap::new();
    for (number, fault) in (1..).zip(&faults) {
        if let Some((fault, _)) = fault {
            row.plug(number).set_fault(fault.clone());
        }
        row.story.send(end(&session(number))).await?;
        ended_at_ms.insert(number, time::now_ms());
    }
    let mut told: BTreeMap<usize, Told> = BTreeMap::new();
    let mut well = false;
    while told.len() + 1 < faults.len() || !well {
        let event = row.story.event("seven faults", |event| Some(event.clone())).await?;
        match event.what {
            What::OutletFault(fault) => {
                let number = number(fault.outlet.as_str());
                let after_ms = event.at_ms.saturating_sub(ended_at_ms[&number]);
                // Only silence takes longer to be known for what it is.
                assert!(after_ms <= SLOWEST_RETRY_MS + SLACK_MS, "{number}: {after_ms} ms");
                told.insert(number, fault.fault);
            }
            What::SessionEnded(ended) => {
                assert_eq!(number(ended.session.as_str()), 1, "only one went off");
                assert!(ended.late_ms <= 1_000, "held up: {} ms", ended.late_ms);
                well = true;
            }
            _ => {}
        }
    }
    let expected: BTreeMap<usize, Told> = (1..)
        .zip(&faults)
        .filter_map(|(number, fault)| Some((number, fault.as_ref()?.1)))
        .collect();
    assert_eq!(told, expected);
    // Whoever hears at all hears it again and again.
    let silent = row.plug(3);
    let asked = silent.requests().len();
    let more = |plug: &FakePlug| plug.requests().len() >= asked + 3;
    until(silent, "three tries more", more).await?;
    for (number, plug) in row.plugs().skip(2) {
        let times: Vec<u64> = plug.requests().iter().map(|asked| asked.at_ms).collect();
        let off = |at_ms: &&u64| **at_ms >= ended_at_ms[&number];
        let times: Vec<u64> = times.iter().filter(off).copied().collect();
        let slowest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        let limit = SLOWEST_RETRY_MS + SLACK_MS;
        assert!(slowest.is_some_and(|ms| ms <= limit), "plug-{number}: {slowest:?} ms");
    }
    for number in 2..=faults.len() {
        row.plug(number).clear_fault();
        goes_off(row.plug(number)).await?;
        let ended = row.story.event("session.ended", ended).await?;
        assert_eq!(ended.session.as_str(), session(number));
        let late_ms = ended.ended_at_ms - ended_at_ms[&number];
        assert!(ended.late_ms.abs_diff(late_ms) <= 500, "{} of {late_ms} ms", ended.late_ms);
    }
    Ok(())
}

fn ended(event: &Event) -> Option<edge_protocol::event::SessionEnded> {
    match &event.what {
        What::SessionEnded(ended) => Some(ended.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_slow_plug_is_powered_and_cut_for_all_that() -> Result<()> {
    let mut row = Row::new(2).await?;
    let _agent = row.story.agent().await?;
    row.plug(1).set_fault(Fault::Stall(Duration::from_millis(1_500)));
    row.story.send(start_on("pc-1", "s-1", 1_000)).await?;
    row.story.told("session.started").await?;
    let ended = row.story.event("session.ended", ended).await?;
    assert!(!row.plug(1).is_on(1));
    assert!(ended.late_ms <= 10_000, "late by {} ms", ended.late_ms);
    Ok(())
}

#[tokio::test]
async fn abandon_ends_a_session_whose_plug_is_gone_and_its_off_is_pursued() -> Result<()> {
    let mut row = Row::new(1).await?;
    let _agent = row.story.agent().await?;
    row.story.send(start_on("pc-1", "s-1", 60_000)).await?;
    row.story.told("session.started").await?;
    row.plug(1).set_fault(Fault::Unreachable);
    row.story.send(end("s-1")).await?;
    row.story.told("outlet.fault").await?;
    row.story.send(abandon("s-1")).await?;
    let ended = row.story.event("session.ended", ended).await?;
    assert_eq!((ended.reason, ended.proof), (Reason::Abandoned, None));
    assert!(row.plug(1).is_on(1));
    row.plug(1).clear_fault();
    goes_off(row.plug(1)).await?;
    row.story.told("outlet.recovered").await?;
    Ok(())
}

#[tokio::test]
async fn an_extension_whose_lease_can_not_be_moved_is_told_as_stale() -> Result<()> {
    let mut row = Row::new(1).await?;
    let _agent = row.story.agent().await?;
    row.story.send(start_on("pc-1", "s-1", 60_000)).await?;
    row.story.told("session.started").await?;
    row.plug(1).set_fault(Fault::Unreachable);
    let command = row.story.send(extend("s-1", 120_000)).await?;
    assert_eq!(row.story.answer(&command).await?, Ok(()));
    let lease = |event: &Event| match &event.what {
        What::OutletLease(lease) => Some(lease.lease),
        _ => None,
    };
    assert_eq!(row.story.event("outlet.lease", lease).await?, Lease::Stale);
    row.plug(1).clear_fault();
    assert_eq!(row.story.event("outlet.lease", lease).await?, Lease::Armed);
    let rest = row.plug(1).lease_remaining(1);
    assert!(rest.is_some_and(|rest| rest > Duration::from_secs(170)), "{rest:?}");
    row.story.send(end("s-1")).await?;
    row.story.told("session.ended").await?;
    Ok(())
}
