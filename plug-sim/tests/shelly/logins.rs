//! Digests: a challenge for each request before firmware 2.0.0; from then on nonces are reused,
//! and a dead one is answered 429 for ever.

use plug_sim::{Answer, Response};
use ring::digest::{SHA256, digest};

use super::*;

const TARGET: &str = "/rpc/Switch.Set?id=0&on=true";

fn protected(profile: Profile) -> Device {
    Device::new(Profile { password: Some("word".to_owned()), ..profile })
}

fn hex(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The nonce of the challenge that an unauthenticated request gets.
fn challenged(plug: &mut Device) -> String {
    let Answer::Response(Response { status: 401, headers, .. }) =
        plug.handle(&Request::get(TARGET)).answer
    else {
        panic!("a challenge");
    };
    let (name, challenge) = headers.into_iter().next().expect("a header");
    assert_eq!(name, "WWW-Authenticate");
    assert!(
        challenge.starts_with("Digest ") && challenge.contains("algorithm=SHA-256"),
        "{challenge}"
    );
    let (_, nonce) = challenge.split_once("nonce=\"").expect("a nonce");
    nonce.split('"').next().expect("its end").to_owned()
}

fn login(plug: &mut Device, nonce: &str, count: u32, password: &str) -> u16 {
    let realm = "shellyplusplugs-02a0b1c2d3e4";
    let (first, second) =
        (hex(&format!("admin:{realm}:{password}")), hex(&format!("GET:{TARGET}")));
    let response = hex(&format!("{first}:{nonce}:{count:08x}:mine:auth:{second}"));
    let header = format!(
        "Digest username=\"admin\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{TARGET}\", \
         response=\"{response}\", algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce=\"mine\""
    );
    let reply = plug.handle(&Request::get(TARGET).with_authorization(&header));
    reply.response().expect("an answer").0
}

#[test]
fn the_identity_is_free_and_all_else_is_challenged() {
    for profile in [Profile::shelly_gen2_1_7(), Profile::shelly_gen2_2_0()] {
        let mut plug = protected(profile);
        assert_eq!(get(&mut plug, "/shelly").1["auth_en"], true);
        assert_eq!(get(&mut plug, "/rpc/Shelly.GetDeviceInfo").0, 200);
        let nonce = challenged(&mut plug);
        assert_eq!(login(&mut plug, &nonce, 1, "worD"), 401);
        assert!(!plug.is_on(1));
        let nonce = challenged(&mut plug);
        assert_eq!(login(&mut plug, &nonce, 1, "word"), 200);
        assert!(plug.is_on(1));
    }
}

#[test]
fn before_2_0_0_each_request_needs_a_challenge_of_its_own() {
    let mut plug = protected(Profile::shelly_gen2_1_7());
    let nonce = challenged(&mut plug);
    assert_eq!(
        [login(&mut plug, &nonce, 1, "word"), login(&mut plug, &nonce, 2, "word")],
        [200, 401]
    );
}

#[test]
fn from_2_0_0_on_a_dead_nonce_is_answered_429_until_a_request_comes_without_one() {
    let mut plug = protected(Profile::shelly_gen2_2_0());
    let nonce = challenged(&mut plug);
    assert_eq!(
        [login(&mut plug, &nonce, 1, "word"), login(&mut plug, &nonce, 2, "word")],
        [200, 200]
    );
    plug.advance(seconds(3_600));
    for count in 3..10 {
        assert_eq!(login(&mut plug, &nonce, count, "word"), 429);
    }
    let nonce = challenged(&mut plug);
    assert_eq!(login(&mut plug, &nonce, 1, "word"), 200);
    plug.forget_logins();
    assert_eq!(login(&mut plug, &nonce, 2, "word"), 429);
    let nonce = challenged(&mut plug);
    (0..32).for_each(|_| drop(challenged(&mut plug)));
    assert_eq!(login(&mut plug, &nonce, 1, "word"), 429, "others pushed it out");
}

#[test]
fn a_digest_for_another_target_is_worth_nothing() {
    let mut plug = protected(Profile::shelly_gen2_2_0());
    let nonce = challenged(&mut plug);
    let header = format!(
        "Digest username=\"admin\", realm=\"x\", nonce=\"{nonce}\", uri=\"/\", nc=00000001"
    );
    let reply = plug.handle(&Request::get(TARGET).with_authorization(&header));
    assert_eq!(reply.response().unwrap().0, 401);
}
