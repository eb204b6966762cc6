//! What must hold of any reply, whoever sent it.

use super::*;
use crate::tasmota::lease::{Timers, pulse_length};

/// An excerpt with every character escaped, what was asked, and the words around them.
const LONGEST_ERROR: usize = 10 * EXCERPT_CHARACTERS + 200;

/// One byte names the relay, the rest is what the plug said: it is a yes only where it has the
/// key that says so, whatever else it has; and what it is not is told in short.
///
/// # Panics
/// Something of this does not hold.
pub fn tasmota_reply(bytes: &[u8]) {
    let Some((&relay, body)) = bytes.split_first() else { return };
    let relay = relay % 32 + 1;
    match Reply::parse("Power1 ON", body) {
        Ok(reply) => {
            says_no_more_than_its_keys(reply, relay);
        }
        Err(fault) => assert_short(&fault),
    }
}

fn says_no_more_than_its_keys(mut reply: Reply, relay: u8) {
    let words = Words::default();
    let yes = reply.power(relay, &words);
    let state = reply.state(relay, &words);
    let timed = reply.timed_power().map(Timers::TimedPower);
    let ruled = reply.rule_timer(relay).map(Timers::RuleTimer);
    let pulse = reply.pulse_time(relay).map(Timers::PulseTime);
    for timers in [&timed, &ruled, &pulse].into_iter().flatten() {
        is_a_lease_only_of_its_own(timers, relay);
    }
    let uptime = state.as_ref().ok().and_then(|state| state.uptime);
    assert!(uptime.is_none_or(|uptime| uptime.as_secs() <= u64::from(u32::MAX)), "{uptime:?}");
    for relays in 0..3 {
        let load = reply.load(relay, relays);
        assert!(load.and_then(|load| load.power_w).is_none_or(f64::is_finite));
        let energy_wh = load.and_then(|load| load.energy_wh);
        assert!(energy_wh.is_none_or(|wh| wh.is_finite() && wh >= 0.0), "{energy_wh:?}");
    }
    let stored = (1..=rule::SLOTS).map_while(|slot| reply.stored_rule(slot, &words).ok());
    is_nobody_elses(&stored.collect::<Vec<_>>(), relay);
    assert_short(&reply.unexpected());

    reply.object.insert("Heap".to_owned(), Value::from(27));
    assert_eq!(reply.power(relay, &words).ok(), yes.as_ref().ok().copied(), "for a key beside it");
    let faults = [yes.err(), state.err(), timed.err(), ruled.err(), pulse.err()];
    faults.iter().flatten().for_each(assert_short);
    for key in ["POWER", "PulseTime", "T", "Rule"] {
        reply.object.remove(key);
        reply.object.remove(&format!("{key}{relay}"));
    }
    for key in ["StatusSTS", "TimedPower"] {
        reply.object.remove(key);
    }
    assert!(reply.power(relay, &words).is_err(), "a yes of nothing");
    assert!(reply.state(relay, &words).is_err(), "a state of nothing");
    assert!(reply.timed_power().is_err() && reply.pulse_time(relay).is_err(), "a lease of nothing");
    assert!(reply.rule_timer(relay).is_err(), "a rule timer of nothing");
}

/// A slot that is written over is empty, and one that is added to is ours.
fn is_nobody_elses(stored: &[Stored], relay: u8) {
    let parts = [rule::Part::Timer, rule::Part::Boot];
    let text = |slot: u8| &stored[usize::from(slot) - 1].text;
    match rule::place(stored, &parts, relay) {
        rule::Place::Empty(slot) => assert!(text(slot).trim().is_empty(), "{stored:?}"),
        rule::Place::Behind(slot) | rule::Place::Asleep(slot) => {
            assert!(!rule::may_switch(&Stored {
                enabled: true,
                ..stored[usize::from(slot) - 1].clone()
            }));
        }
        rule::Place::Held(slot) => {
            let held = text(slot).to_ascii_lowercase();
            assert!(held.contains(&format!("rules#timer={relay}")), "{held}");
        }
        rule::Place::Nowhere => {}
    }
}

fn is_a_lease_only_of_its_own(timers: &Timers, relay: u8) {
    let Some(remaining) = timers.remaining(relay) else { return };
    assert!(!timers.hold(relay, remaining + Duration::from_secs(60), Duration::ZERO), "too short");
    if let Timers::PulseTime(timer) = timers {
        assert_eq!(remaining, pulse_length(timer.remaining));
    }
    if timers.hold(relay, remaining, Duration::ZERO)
        && let Timers::TimedPower(commands) = timers
    {
        let touching = commands.iter().filter(|command| command.touches(relay)).count();
        assert_eq!(touching, 1, "another timer cuts it too");
    }
}

fn assert_short(fault: &Fault) {
    let told = fault.to_string();
    assert!(told.chars().count() <= LONGEST_ERROR, "{told}");
}

#[test]
fn what_the_fuzzer_kept_of_replies_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/tasmota_reply");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() > 10, "{} inputs", files.len());
    files.iter().for_each(|file| tasmota_reply(&std::fs::read(file.path()).unwrap()));
}
