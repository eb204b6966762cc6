//! What must hold of any reply, whoever sent it.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use super::lease::{Timer, remaining};
use super::login::Challenge;
use super::plug::Met;
use super::reply::{Reply, Status};
use super::{gen1, gen2};
use crate::error::Fault;
use crate::http::Response;
use crate::secret::Secret;

/// An excerpt with every character escaped, what was asked, and the words around them.
const LONGEST_ERROR: usize = 1_500;
const TARGET: &str = "/rpc/Shelly.GetStatus";
const PASSWORD: &str = "correct horse battery staple";

/// Two bytes name the relay and the status, the rest is what the plug said, and what it asked for
/// as a login: it is a state only where it has the key that says so, whatever else it has; no lease
/// is longer than its timer; what it is not is told in short; and nothing tells the password.
///
/// # Panics
/// Something of this does not hold.
pub fn shelly_reply(bytes: &[u8]) {
    let [relay, status, body @ ..] = bytes else { return };
    let relay = relay % 8;
    let status = match status % 6 {
        0..=2 => StatusCode::OK,
        3 => StatusCode::NOT_FOUND,
        4 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAUTHORIZED,
    };
    let text = String::from_utf8_lossy(body);
    asks_for_no_password(&text);
    let response = Response { status, challenge: None, server: None, body: body.to_vec() };
    match Reply::read(TARGET, response) {
        Ok(reply) => {
            assert_eq!(status, StatusCode::OK, "a yes with another status");
            says_no_more_than_its_keys(&reply, relay);
        }
        Err(fault) => assert_short(&fault),
    }
}

fn says_no_more_than_its_keys(reply: &Reply, relay: u8) {
    let first = gen1::status_of(reply, relay);
    let later = gen2::status_of(reply, relay);
    for status in [&first, &later].into_iter().flatten() {
        makes_sense(status);
    }
    assert_short(&reply.unexpected());
    if let Err(fault) = Met::told_by(reply) {
        assert_short(&fault);
    }
    for on in [true, false] {
        match gen1::obeyed(reply, on) {
            Ok(()) => assert!(gen1::obeyed(reply, !on).is_err(), "on and off at once"),
            Err(fault) => assert_short(&fault),
        }
    }
    let Some(object) = reply.object() else {
        assert!(first.is_none() && later.is_none(), "a state of nothing");
        return;
    };
    let mut without = object.clone();
    for key in ["relays", "ison", "was_on", "gen", "type", &format!("switch:{relay}")] {
        without.remove(key);
    }
    without.insert("ble".to_owned(), Value::from(27));
    let body = Value::Object(without).to_string();
    let Ok(without) = Reply::parse(TARGET, body.as_bytes()) else { return };
    assert!(gen1::status_of(&without, relay).is_none(), "a state of nothing");
    assert!(gen2::status_of(&without, relay).is_none(), "a state of nothing");
    assert!(gen1::obeyed(&without, true).is_err() && gen1::obeyed(&without, false).is_err());
    assert!(gen2::accepted(&without).is_err() && Met::told_by(&without).is_err());
}

fn makes_sense(status: &Status) {
    let countable = Duration::from_secs(u64::from(u32::MAX));
    assert!(status.uptime.is_none_or(|uptime| uptime <= countable));
    assert!(status.power_w.is_none_or(f64::is_finite));
    assert!(status.energy_wh.is_none_or(|energy| energy.is_finite() && energy >= 0.0));
    let rest = status.timer.and_then(|timer| remaining(timer, None));
    if let (Some(Timer::Started { length, .. }), Some(rest)) = (status.timer, rest) {
        assert!(rest <= length, "{rest:?} of {length:?}");
    }
}

fn asks_for_no_password(header: &str) {
    let Some(mut challenge) = Challenge::parse(header) else { return };
    let answer = challenge.answer(&Secret::new(PASSWORD.to_owned()), TARGET);
    let told = format!("{answer:?} {challenge:?}");
    assert!(!told.contains(PASSWORD) && !told.contains("response"), "{told}");
    assert!(!String::from_utf8_lossy(answer.as_bytes()).contains(PASSWORD));
}

fn assert_short(fault: &Fault) {
    let told = fault.to_string();
    assert!(told.chars().count() <= LONGEST_ERROR, "{told}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/shelly_reply");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() > 10, "{} inputs", files.len());
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    #[test]
    fn what_the_fuzzer_kept_of_replies_holds() {
        corpus().iter().for_each(|input| shelly_reply(input));
    }

    /// Without a fuzzer, and the same each time.
    #[test]
    fn a_hundred_thousand_spoilt_replies_hold() {
        let corpus = corpus();
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |most: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 32).unwrap() % most
        };
        for _ in 0..100_000 {
            let mut input = corpus[below(corpus.len())].clone();
            for _ in 0..=below(4) {
                let at = below(input.len() + 1);
                let length = below(12).min(input.len() - at);
                let piece =
                    [&b"null"[..], b"true", b"-1", b"1e999", b"{}", b"[", b"\"", b",", b"0"];
                match below(4) {
                    0 => drop(input.drain(at..at + length)),
                    1 => drop(input.splice(at..at + length, piece[below(9)].iter().copied())),
                    2 => {
                        let other = &corpus[below(corpus.len())];
                        let from = below(other.len() + 1);
                        drop(input.splice(at.., other[from..].iter().copied()));
                    }
                    _ => {
                        if let Some(byte) = input.get_mut(at) {
                            *byte ^= 1 << below(8);
                        }
                    }
                }
            }
            shelly_reply(&input);
        }
    }
}
