//! How a plug is let know who asks, and what happens where it does not believe it.

use std::time::Duration;

use crate::scripted::ScriptedPlug;
use crate::wire::Wire;
use plug_driver::{Kind, Outlet as _};

const LEASE: Duration = Duration::from_secs(90);

async fn locked(generation: u8) -> ScriptedPlug {
    let plug = ScriptedPlug::start(generation, 1).await;
    plug.device().password = Some("joker");
    plug
}

#[tokio::test]
async fn the_first_generation_gets_the_password_by_basic_and_only_with_a_user_name() {
    let plug = locked(1).await;
    let mut outlet = plug.outlet_with(1, Some("admin"), Some("joker"));
    assert!(outlet.on(Some(LEASE)).await.unwrap().on);
    plug.logins();
    let mut outlet = plug.outlet_with(1, None, Some("joker"));
    let error = outlet.on(Some(LEASE)).await.unwrap_err();
    assert!(error.fault().to_string().contains("username"), "{}", error.fault());
    assert_eq!(plug.logins(), [""], "nothing but /shelly was asked for");
}

#[tokio::test]
async fn later_generations_are_answered_by_digest_and_never_told_the_password() {
    for generation in [2, 3, 4] {
        let plug = locked(generation).await;
        let mut outlet = plug.outlet_with(1, Some("somebody"), Some("joker"));
        assert!(outlet.on(Some(LEASE)).await.unwrap().on);
        assert!(!outlet.off().await.unwrap().on);
        let logins = plug.logins();
        assert!(logins.iter().all(|it| it.is_empty() || it.starts_with("Digest ")), "{logins:?}");
        // One question without an answer for the challenge, then one nonce for all.
        let counts: Vec<_> =
            logins.iter().filter_map(|it| Some(it.split_once("nc=")?.1[..8].to_owned())).collect();
        assert_eq!(
            counts,
            ["00000001", "00000002", "00000003", "00000004", "00000005", "00000006"]
        );
        assert_eq!(plug.device().issued, 1);
    }
}

#[tokio::test]
async fn firmware_that_takes_each_nonce_once_is_answered_with_the_next() {
    let plug = locked(2).await;
    plug.device().single_use = true;
    let mut outlet = plug.outlet_with(1, None, Some("joker"));
    for _ in 0..3 {
        assert!(outlet.on(Some(LEASE)).await.unwrap().on);
        assert!(!outlet.off().await.unwrap().on);
    }
}

/// Firmware 2.0.0 forgets a nonce after an hour, 30,000 answers, or when 32 others have logged in;
/// clients that repeat a dead one are answered 429 for as long as they do.
#[tokio::test]
async fn a_nonce_that_has_died_is_dropped_and_a_new_challenge_taken() {
    for throttles in [false, true] {
        let plug = locked(2).await;
        plug.device().throttles_dead_nonces = throttles;
        let mut outlet = plug.outlet_with(1, None, Some("joker"));
        outlet.on(Some(LEASE)).await.unwrap();
        for _ in 0..3 {
            plug.device().nonces.clear();
            plug.logins();
            assert!(!outlet.off().await.unwrap().on, "{throttles}");
            let logins = plug.logins();
            // Dead; where that is 429, without any; the new one; the read-back.
            assert_eq!(logins.len(), if throttles { 4 } else { 3 }, "{logins:?}");
            assert_eq!(logins.iter().filter(|it| it.is_empty()).count(), usize::from(throttles));
        }
    }
}

#[tokio::test]
async fn a_plug_that_answers_429_to_everybody_is_busy_and_not_hammered() {
    let plug = locked(2).await;
    let mut outlet = plug.outlet_with(1, None, Some("joker"));
    outlet.on(Some(LEASE)).await.unwrap();
    plug.wire("/rpc", Wire::Instead(429, String::new()));
    plug.targets();
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(plug.targets().len(), 2, "once with its nonce, once without");
    plug.device().wire.clear();
    assert!(!outlet.off().await.unwrap().on);
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_told_by_nobody() {
    for generation in [1, 2, 3] {
        for password in [None, Some("jester")] {
            let plug = locked(generation).await;
            plug.device().relays[0].on = true;
            let mut outlet = plug.outlet_with(1, Some("admin"), password);
            plug.targets();
            let error = outlet.off().await.unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{generation}");
            let told = format!("{error} {error:?} {outlet:?} {}", error.fault());
            assert!(!told.contains("jester") && !told.contains("response"), "{told}");
            assert!(error.fault().to_string().contains("password"), "{}", error.fault());
            let sent = plug.logins().iter().filter(|login| !login.is_empty()).count();
            assert_eq!(sent, usize::from(password.is_some()), "{generation}");
            assert!(plug.device().relays[0].on);
        }
    }
}

#[tokio::test]
async fn a_password_is_never_in_a_url() {
    for generation in [1, 2] {
        let plug = locked(generation).await;
        let mut outlet = plug.outlet_with(1, Some("admin"), Some("joker"));
        outlet.on(Some(LEASE)).await.unwrap();
        outlet.clear_lease().await.unwrap();
        outlet.audit().await.unwrap();
        outlet.off().await.unwrap();
        let targets = plug.targets();
        assert!(targets.iter().all(|target| !target.contains("joker")), "{targets:?}");
    }
}

#[tokio::test]
async fn a_plug_with_a_password_that_is_not_asked_for_is_spoken_to_without() {
    let plug = ScriptedPlug::start(2, 1).await;
    let mut outlet = plug.outlet_with(1, None, Some("joker"));
    assert!(outlet.on(Some(LEASE)).await.unwrap().on);
    assert!(plug.logins().iter().all(String::is_empty));
}

#[tokio::test]
async fn another_kind_of_login_is_refused_as_such() {
    let plug = ScriptedPlug::start(2, 1).await;
    plug.wire("/rpc", Wire::Instead(401, String::new()));
    let error = plug.outlet_with(1, None, Some("joker")).read().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.fault().to_string().contains("Digest"), "{}", error.fault());
}

/// A challenge that a failed operation had left behind had died when it was answered, and that was
/// taken for a wrong password.
#[tokio::test]
async fn a_challenge_from_before_that_died_is_no_wrong_password() {
    let plug = locked(2).await;
    let mut outlet = plug.outlet_with(1, None, Some("joker"));
    outlet.on(Some(LEASE)).await.unwrap();
    // The answer is lost, and the nonce behind it too.
    plug.device().nonces.clear();
    plug.wire("/rpc/Switch.Set", Wire::Stall);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Transient);
    plug.device().wire.clear();
    for _ in 0..2 {
        plug.device().nonces.clear();
        plug.device().single_use = true;
        assert!(!outlet.off().await.unwrap().on);
    }
}
