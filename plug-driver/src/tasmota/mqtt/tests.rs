use plug_sim::{Device, Profile};

use super::*;
use crate::tasmota::plug::Plug;
use crate::tasmota::wire::Wire;
use crate::{AnyOutlet, FindingState, Kind, LeaseReading, Outlet as _};

/// A plug's end of a connection, played by hand.
struct Bench {
    plug: MqttPlug,
    line: watch::Sender<Line>,
    asked: mpsc::Receiver<Message>,
}

fn topics() -> PlugTopics {
    PlugTopics::new("tasmota_C2D3E4", PlugTopics::DEFAULT_FULL).unwrap()
}

fn bench(host: &str) -> Bench {
    let (put, asked) = mpsc::channel(8);
    let (line, seen) = watch::channel(Line::Up(put));
    Bench { plug: MqttPlug::new(host, topics(), seen), line, asked }
}

impl Bench {
    /// Asks, and plays what the plug says then.
    async fn ask(&mut self, command: &str, said: &[(&str, &str)]) -> Result<String, Fault> {
        self.ask_in(command, Hurry::No, said, &|_| true).await
    }

    async fn ask_in(
        &mut self,
        command: &str,
        hurry: Hurry,
        said: &[(&str, &str)],
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<String, Fault> {
        let plug = self.plug.clone();
        let play = async {
            self.asked.recv().await.unwrap();
            for (topic, payload) in said {
                self.plug.hear(topic, payload.as_bytes(), false);
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = plug.ask(command, hurry, agrees) => {
                answer.map(|answer| String::from_utf8(answer).unwrap())
            }
            () = play => unreachable!(),
        }
    }
}

const RESULT: &str = "stat/tasmota_C2D3E4/RESULT";
const WILL: &str = "tele/tasmota_C2D3E4/LWT";

fn status(part: &str) -> String {
    format!("stat/tasmota_C2D3E4/STATUS{part}")
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_told_by_its_key_whatever_else_is_said_meanwhile() {
    let mut bench = bench("192.0.2.1:1");
    let said = [
        (RESULT, r#"{"PulseTime1":{"Set":0,"Remaining":0}}"#),
        ("stat/tasmota_C2D3E4/POWER1", "ON"),
        ("stat/tasmota_C2D3E4/POWER2", r#"{"POWER2":"OFF"}"#),
        ("tele/tasmota_C2D3E4/STATE", r#"{"POWER1":"ON"}"#),
        ("stat/another/RESULT", r#"{"POWER1":"ON"}"#),
        ("stat/tasmota_C2D3E4/RESULT/x", r#"{"POWER1":"ON"}"#),
        (RESULT, r#"["POWER1"]"#),
        (RESULT, r#"{"Command":"Unknown","Input":"DANCE 1"}"#),
        (RESULT, r#"{"POWER1":"OFF"}"#),
    ];
    assert_eq!(bench.ask("Power1 OFF", &said).await.unwrap(), r#"{"POWER1":"OFF"}"#);
    for (command, answer) in [
        ("TimedPower1 60000", r#"{"POWER":"ON"}"#),
        ("TimedPower", r#"{"TimedPower":"Empty"}"#),
        ("TimedPower1", r#"{"TimedPower1":"Done"}"#),
        ("RuleTimer2 7", r#"{"T1":0,"T2":7}"#),
        ("PulseTime2", r#"{"PulseTime":{"Set":[0,0],"Remaining":[0,0]}}"#),
        ("Rule1 + ON x DO y ENDON", r#"{"Rule1":{"State":"ON"}}"#),
        ("SetOption21", r#"{"SetOption21":"ON"}"#),
        ("Status 11", r#"{"StatusSTS":{"POWER":"ON"}}"#),
        ("Status", r#"{"Status":{"Power":0}}"#),
        ("TimedPower", r#"{"Command":"Unknown"}"#),
        ("PowerLock1", r#"{"Command":"Unknown","Input":"POWERLOCK"}"#),
    ] {
        let said = [(RESULT, r#"{"Dimmer":7}"#), (RESULT, answer)];
        assert_eq!(bench.ask(command, &said).await.unwrap(), answer, "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_is_its_topic_and_its_argument_the_payload() {
    let mut bench = bench("192.0.2.2:1");
    for (command, topic, payload) in [
        ("Power1 OFF", "cmnd/tasmota_C2D3E4/Power1", "OFF"),
        ("TimedPower", "cmnd/tasmota_C2D3E4/TimedPower", ""),
        ("Rule1 + ON x DO y", "cmnd/tasmota_C2D3E4/Rule1", "+ ON x DO y"),
    ] {
        let plug = bench.plug.clone();
        let asking = plug.ask(command, Hurry::No, &|_| true);
        let sent = tokio::select! {
            _ = asking => panic!("nobody answered"),
            sent = bench.asked.recv() => sent.unwrap(),
        };
        let expected = Message { topic: topic.to_owned(), payload: payload.to_owned() };
        assert_eq!(sent, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_status_come_in_any_order_and_what_came_of_them_is_given_in_the_end() {
    let mut bench = bench("192.0.2.3:1");
    let parts = ["StatusSTS", "StatusFWR", "StatusSNS", "Status", "StatusNET", "StatusPRM"];
    let parts: Vec<(String, String)> =
        parts.iter().map(|part| (status(""), format!(r#"{{"{part}":{{"is":1}}}}"#))).collect();
    let said: Vec<(&str, &str)> =
        parts.iter().map(|(topic, part)| (topic.as_str(), part.as_str())).collect();
    let whole = bench.ask("Status 0", &said).await.unwrap();
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let keys: Vec<&String> = whole.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["Status", "StatusFWR", "StatusPRM", "StatusSNS", "StatusSTS"]);
    let some = bench.ask("Status 0", &said[..2]).await.unwrap();
    assert!(some.contains("StatusFWR") && !some.contains("StatusSNS"), "{some}");
}

#[tokio::test(start_paused = true)]
async fn a_plug_that_is_offline_is_unreachable_at_once_and_an_off_is_tried_all_the_same() {
    let mut bench = bench("192.0.2.4:1");
    bench.plug.hear(WILL, b"Offline", true);
    let asked = Instant::now();
    let fault = bench.ask("Status 11", &[]).await.unwrap_err();
    assert_eq!((fault.kind(), asked.elapsed()), (Kind::Transient, Duration::ZERO));
    assert!(fault.to_string().contains("offline, as the broker at 192.0.2.4:1 says on tele/"));
    let off = bench.ask_in("Power1 OFF", Hurry::Yes, &[(RESULT, r#"{"POWER":"OFF"}"#)], &|_| true);
    off.await.unwrap();
    let fault = bench.ask_in("Power1 OFF", Hurry::Yes, &[], &|_| true).await.unwrap_err();
    assert!(matches!(fault, Fault::Offline { .. }), "{fault}");
    bench.plug.hear(WILL, b"Online", false);
    assert!(matches!(bench.ask("Status 2", &[]).await, Err(Fault::Slow { .. })));
    let asked = Instant::now();
    let fault = bench.ask("Status 1", &[(WILL, "Offline")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Offline { .. }) && asked.elapsed().is_zero(), "{fault}");
    bench.plug.lose();
    bench.ask("Status", &[(&status(""), r#"{"Status":{}}"#)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_without_a_connection_nor_waited_for_after_its_loss() {
    let mut bench = bench("192.0.2.5:1");
    let plug = bench.plug.clone();
    let lost = async {
        bench.asked.recv().await.unwrap();
        bench.line.send_replace(Line::Down("it hung up".to_owned()));
    };
    let asked = Instant::now();
    let (answer, ()) = tokio::join!(plug.ask("Power1 ON", Hurry::No, &|_| true), lost);
    assert!(matches!(answer, Err(Fault::NoBroker { .. })) && asked.elapsed().is_zero());
    let fault = plug.ask("Power1 ON", Hurry::No, &|_| true).await.unwrap_err();
    let told = "no connection to the plugs' broker at 192.0.2.5:1: it hung up";
    assert_eq!((fault.to_string().as_str(), asked.elapsed()), (told, LINE_LIMIT));
    assert_eq!(fault.kind(), Kind::Transient);
    // What was asked for in vain goes out neither with the next connection nor later.
    let (put, mut asked) = mpsc::channel(8);
    bench.line.send_replace(Line::Up(put));
    tokio::task::yield_now().await;
    assert!(asked.try_recv().is_err() && bench.asked.try_recv().is_err());
}

/// A poll is given up when an off overtakes it; what it asked is answered after the off.
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_not_taken_for_that_to_the_same_question_asked_again() {
    let mut bench = bench("192.0.2.6:1");
    let sts = |word: &str| format!(r#"{{"StatusSTS":{{"POWER":"{word}"}}}}"#);
    bench.ask("Status 11", &[]).await.unwrap_err();
    let plug = bench.plug.clone();
    let play = async {
        let barrier = bench.asked.recv().await.unwrap();
        assert_eq!(
            (barrier.topic.as_str(), barrier.payload.as_str()),
            ("cmnd/tasmota_C2D3E4/Status", "5")
        );
        bench.plug.hear(&status("11"), sts("ON").as_bytes(), false);
        bench.plug.hear(&status("5"), br#"{"StatusNET":{}}"#, false);
        assert_eq!(bench.asked.recv().await.unwrap().payload, "11");
        bench.plug.hear(&status("11"), sts("OFF").as_bytes(), false);
    };
    let (answer, ()) = tokio::join!(plug.ask("Status 11", Hurry::No, &|_| true), play);
    assert_eq!(answer.unwrap(), sts("OFF").into_bytes());
    // With another answer all older ones have come, so nothing more is asked than what is.
    bench.ask("Status 11", &[(&status("11"), &sts("OFF"))]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_switch_waits_a_little_past_an_answer_that_contradicts() {
    let mut bench = bench("192.0.2.7:1");
    let agrees = |body: &[u8]| body == br#"{"POWER1":"OFF"}"#;
    let (on, off) = ((RESULT, r#"{"POWER1":"ON"}"#), (RESULT, r#"{"POWER1":"OFF"}"#));
    let answer = bench.ask_in("Power1 OFF", Hurry::Yes, &[on, off], &agrees).await;
    assert_eq!(answer.unwrap(), off.1);
    let asked = Instant::now();
    let answer = bench.ask_in("Power1 OFF", Hurry::Yes, &[on], &agrees).await;
    assert_eq!((answer.unwrap().as_str(), asked.elapsed()), (on.1, CONTRADICTION_LIMIT));
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_had_kept_and_what_is_too_long_answers_nothing() {
    let mut bench = bench("192.0.2.8:1");
    let plug = bench.plug.clone();
    let long = format!(r#"{{"POWER":"ON","x":"{}"}}"#, "x".repeat(REPLY_LIMIT));
    let play = async {
        bench.asked.recv().await.unwrap();
        bench.plug.hear(RESULT, br#"{"POWER":"ON"}"#, true);
        bench.plug.hear(RESULT, long.as_bytes(), false);
    };
    let (answer, ()) = tokio::join!(plug.ask("Power1 ON", Hurry::No, &|_| true), play);
    assert!(matches!(answer, Err(Fault::Slow { .. })));
}

#[test]
fn topics_are_the_plugs_own_and_a_wrong_one_is_told() {
    let topics = PlugTopics::new("bar/left", "venue/%topic%/%prefix%").unwrap();
    assert_eq!(topics.command("Power1"), "venue/bar/left/cmnd/Power1");
    assert_eq!(topics.will(), "venue/bar/left/tele/LWT");
    for (topic, full, setting) in [
        ("", "%prefix%/%topic%/", "mqtt_topic"),
        ("a+", "%prefix%/%topic%/", "mqtt_topic"),
        ("/a", "%prefix%/%topic%/", "mqtt_topic"),
        ("a%b", "%prefix%/%topic%/", "mqtt_topic"),
        ("a", "%prefix%/", "mqtt_full_topic"),
        ("a", "%topic%/x", "mqtt_full_topic"),
        ("a", "%prefix%/%hostname%/%topic%/", "mqtt_full_topic"),
        ("a", "%prefix%/%topic%/#", "mqtt_full_topic"),
    ] {
        let fault = PlugTopics::new(topic, full).unwrap_err();
        assert!(fault.to_string().starts_with(setting), "{topic} {full}: {fault}");
    }
}

/// A plug that runs, without a network.
fn running(host: &str, profile: Profile) -> (MqttPlug, watch::Sender<Line>) {
    let Bench { plug, line, mut asked } = bench(host);
    let heard = plug.clone();
    let mut device = Device::new(profile);
    device.mqtt_connected(true);
    tokio::spawn(async move {
        while let Some(Message { topic, payload }) = asked.recv().await {
            device.mqtt_receive(&topic, &payload);
            for message in device.mqtt_take() {
                heard.hear(&message.topic, message.payload.as_bytes(), false);
            }
        }
    });
    (plug, line)
}

#[tokio::test(start_paused = true)]
async fn every_firmware_is_switched_leased_read_and_audited_as_over_http() {
    for (number, profile) in [
        Profile::tasmota_8_5(),
        Profile::tasmota_9_3(),
        Profile::tasmota_9_5(),
        Profile::tasmota_12_4(),
        Profile::tasmota_13_4(),
        Profile::tasmota_14_4(),
    ]
    .into_iter()
    .enumerate()
    {
        let name = profile.name();
        let (plug, _line) = running(&format!("192.0.2.{}:2", number + 1), profile);
        let mut outlet = AnyOutlet::tasmota_by_mqtt(plug, 1).unwrap();
        let on = outlet.on(Some(Duration::from_mins(10))).await.unwrap();
        let LeaseReading::Remaining(rest) = on.lease else { panic!("{name}: {on:?}") };
        assert!(on.on && rest > Duration::from_secs(590), "{name}: {on:?}");
        let read = outlet.read().await.unwrap();
        assert!(read.on && read.boot_count.is_some() && read.power_w.is_some(), "{name}: {read:?}");
        assert!(!outlet.off().await.unwrap().on, "{name}");
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None), "{name}");
        let findings = outlet.audit().await.unwrap();
        assert!(findings.iter().all(|it| it.setting != "WebPassword"), "that is the broker's");
        for finding in findings.iter().filter(|it| it.state == FindingState::Mendable) {
            outlet.mend(finding).await.unwrap();
        }
        let left = outlet.audit().await.unwrap();
        assert!(left.iter().all(|it| it.state == FindingState::Good), "{name}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warning_that_it_switches_itself_off_is_kept_until_the_relay_is_on_again() {
    let bench = bench("192.0.2.40:1");
    let warning = "stat/tasmota_C2D3E4/WARNING";
    let mut relay = Plug::new(Wire::Mqtt(bench.plug.clone()), 1);
    assert_eq!(relay.trip(true), None);
    for (topic, payload, retained) in [
        ("stat/another/WARNING", r#"{"MaxPowerReached":120}"#, false),
        (warning, r#"{"MaxPowerReached":120}"#, true),
        (warning, r#"{"WARNING":"Need user"}"#, false),
        (warning, "MaxPowerReached", false),
    ] {
        bench.plug.hear(topic, payload.as_bytes(), retained);
        assert_eq!(relay.trip(false), None, "{payload}");
    }
    for (payload, trip) in [
        (r#"{"Time":"2026-11-28T05:00:00","MaxPowerReached":120}"#, Trip::Overpower),
        (r#"{"MaxPowerReached":"120 W"}"#, Trip::Overpower),
        (r#"{"MaxPowerReachedRetry":"OFF"}"#, Trip::Overpower),
        (r#"{"MaxEnergyReached":"1.234"}"#, Trip::Other),
    ] {
        bench.plug.hear(warning, payload.as_bytes(), false);
        assert_eq!((relay.trip(false), relay.trip(false)), (Some(trip), Some(trip)), "{payload}");
        assert_eq!((relay.trip(true), relay.trip(false)), (None, None));
    }
}
