//! The simulated Tasmota against raw HTTP: what it answers, when it switches, how it misbehaves.

mod faults;
mod settings;
mod timers;

use std::time::Duration;

use plug_sim::{By, FakePlug, Fault, Manner, Profile, Restart, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far above what a loaded machine needs.
const LIMIT: Duration = Duration::from_secs(20);

async fn limit<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it happens in time")
}

async fn start(profile: Profile) -> FakePlug {
    FakePlug::start(profile).await.expect("a free port")
}

/// Sends these bytes and gives all that comes back until the connection ends.
async fn raw(plug: &FakePlug, request: &str) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(plug.address()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = vec![];
        stream.read_to_end(&mut bytes).await?;
        Ok(String::from_utf8(bytes).expect("it is text"))
    };
    limit(exchange).await
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: plug\r\n{headers}\r\n")
}

fn cm(command: &str) -> String {
    format!("/cm?cmnd={}", command.replace(' ', "%20").replace(';', "%3B").replace('#', "%23"))
}

/// Status code and unchunked body.
fn parts(response: &str) -> (u16, String) {
    let (head, mut rest) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut body = String::new();
    loop {
        let (size, tail) = rest.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        if size == 0 {
            return (status, body);
        }
        body.push_str(&tail[..size]);
        rest = tail[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
}

/// The answer to a command, which must come with 200.
async fn ask(plug: &FakePlug, command: &str) -> Value {
    let response = raw(plug, &get(&cm(command), "")).await.expect("an answer");
    let (status, body) = parts(&response);
    assert_eq!(status, 200);
    serde_json::from_str(&body).expect("it is JSON")
}

#[tokio::test]
async fn a_relay_is_switched_and_named_by_how_many_there_are() {
    let plug = start(Profile::tasmota_14_4()).await;
    assert_eq!(ask(&plug, "Power").await, json!({ "POWER": "OFF" }));
    assert_eq!(ask(&plug, "Power1 ON").await, json!({ "POWER": "ON" }));
    assert!(plug.is_on(1));
    assert_eq!(ask(&plug, "power toggle").await, json!({ "POWER": "OFF" }));
    assert_eq!(ask(&plug, "Power1 banana").await, json!({ "POWER": "OFF" }), "a query");
    assert_eq!(ask(&plug, "SetOption26 1").await, json!({ "SetOption26": "ON" }));
    assert_eq!(ask(&plug, "Power1 1").await, json!({ "POWER1": "ON" }));
    assert_eq!(ask(&plug, "Power2 1").await, json!({ "Command": "Error" }));
    assert_eq!(ask(&plug, "Pover 1").await, json!({ "Command": "Unknown" }));
    let switches: Vec<(usize, bool, By)> =
        plug.history().iter().map(|switch| (switch.relay, switch.on, switch.by)).collect();
    assert_eq!(switches, [(1, true, By::Http), (1, false, By::Http), (1, true, By::Http)]);
    assert_eq!(plug.requests()[1].command, "Power1 ON");

    let two = start(Profile { relays: 2, ..Profile::tasmota_9_5() }).await;
    assert_eq!(ask(&two, "Power0 1").await, json!({ "POWER1": "ON", "POWER2": "ON" }));
    assert_eq!(ask(&two, "Power2 0").await, json!({ "POWER2": "OFF" }));
    assert!(two.is_on(1) && !two.is_on(2) && !two.is_on(3));
}

#[tokio::test]
async fn a_wrong_password_is_told_by_401_or_only_in_the_body() {
    let password = Some("secret".to_owned());
    for (profile, expected) in [
        (Profile::tasmota_8_5(), 200),
        (Profile::tasmota_9_3(), 200),
        (Profile::tasmota_12_4(), 401),
        (Profile::tasmota_14_4(), 401),
    ] {
        let plug = start(Profile { password: password.clone(), ..profile }).await;
        // admin:secreT
        let wrong = "Authorization: Basic YWRtaW46c2VjcmVU\r\n";
        for (target, headers) in [
            (cm("Power ON"), ""),
            (cm("Power ON"), wrong),
            (cm("Power ON") + "&user=root&password=secret", ""),
        ] {
            let response = raw(&plug, &get(&target, headers)).await.unwrap();
            let (status, body) = parts(&response);
            assert_eq!(status, expected);
            assert!(body.starts_with(r#"{"WARNING":"#), "{body}");
        }
        assert!(!plug.is_on(1));
        let right = get(&cm("Power ON"), "authorization: Basic YWRtaW46c2VjcmV0\r\n");
        assert_eq!(parts(&raw(&plug, &right).await.unwrap()).1, r#"{"POWER":"ON"}"#);
        let right = get(&(cm("Power 0") + "&user=admin&password=secret"), "");
        assert_eq!(parts(&raw(&plug, &right).await.unwrap()).1, r#"{"POWER":"OFF"}"#);
    }
    let careless = Profile { password, ..Profile::tasmota(Version(9, 2, 0, 0)) };
    let plug = start(careless).await;
    assert_eq!(ask(&plug, "Power ON").await, json!({ "POWER": "ON" }));
}

#[tokio::test]
async fn two_hundred_is_no_success() {
    let plug = start(Profile { weblog: false, ..Profile::tasmota_8_5() }).await;
    let warning = ask(&plug, "Power ON").await;
    assert_eq!(warning, json!({ "WARNING": "Enable weblog 2 if response expected" }));
    assert!(plug.is_on(1), "it was done nevertheless");
    let plug = start(Profile { weblog: false, ..Profile::tasmota_12_4() }).await;
    assert_eq!(ask(&plug, "Power ON").await, json!({ "POWER": "ON" }));
    let nothing = raw(&plug, &get("/cm", "")).await.unwrap();
    assert_eq!(parts(&nothing), (200, r#"{"WARNING":"Enter command cmnd="}"#.to_owned()));
    let form = "POST /cm HTTP/1.1\r\nContent-Length: 16\r\n\r\ncmnd=Power%20OFF";
    assert_eq!(parts(&raw(&plug, form).await.unwrap()).1, r#"{"POWER":"OFF"}"#);
    assert!(parts(&raw(&plug, &get("/", "")).await.unwrap()).1.contains("<html>"));
    plug.console("SetOption128 0");
    assert_eq!(raw(&plug, &get(&cm("Power ON"), "")).await.unwrap(), "");
    assert!(!plug.is_on(1));
}

#[tokio::test]
async fn state_texts_are_what_the_plug_answers_with() {
    let plug = start(Profile::tasmota_13_4()).await;
    ask(&plug, "StateText1 aus").await;
    assert_eq!(ask(&plug, "StateText2 1").await, json!({ "StateText2": "1" }));
    assert_eq!(ask(&plug, "Power ON").await, json!({ "POWER": "1" }));
    assert_eq!(ask(&plug, "Power aus").await, json!({ "POWER": "aus" }));
}

#[tokio::test]
async fn the_status_tells_the_relays_the_uptime_and_the_boots() {
    for (profile, bits) in
        [(Profile::tasmota_13_4(), json!(3)), (Profile::tasmota_14_4(), json!("11"))]
    {
        let version = profile.version;
        let plug = start(Profile { relays: 2, ..profile }).await;
        ask(&plug, "Power0 ON").await;
        let all = ask(&plug, "Status 0").await;
        assert_eq!(all["Status"]["Power"], bits);
        assert_eq!(all["Status"].get("PowerLock").is_some(), version > Version(13, 4, 1, 1));
        assert_eq!(all["StatusSTS"]["POWER2"], "ON");
        assert_eq!(all["StatusPRM"]["BootCount"], 1);
        assert!(all["StatusFWR"]["Version"].as_str().unwrap().ends_with("(tasmota)"));
        let uptime = &ask(&plug, "Status 11").await["StatusSTS"]["UptimeSec"];
        assert!(uptime.as_u64().is_some_and(|seconds| seconds < 20), "{uptime}");
        plug.restart(Restart::Cold);
        let after = ask(&plug, "Status 1").await;
        assert_eq!(after["StatusPRM"]["BootCount"], 2);
        assert_eq!(after["StatusPRM"]["RestartReason"], "Power On");
    }
}

#[tokio::test]
async fn a_welded_relay_shows_watts_only_if_the_meter_looks_at_an_open_relay() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_power_w(1, 85.2);
    ask(&plug, "Power ON").await;
    let watts =
        async |plug: &FakePlug| ask(plug, "Status 8").await["StatusSNS"]["ENERGY"]["Power"].clone();
    assert_eq!(watts(&plug).await, json!(85.2));
    plug.set_welded(1, true);
    assert_eq!(ask(&plug, "Power OFF").await, json!({ "POWER": "OFF" }));
    assert_eq!(watts(&plug).await, json!(0.0));
    ask(&plug, "SetOption21 1").await;
    assert_eq!(watts(&plug).await, json!(85.2));
    plug.set_welded(1, false);
    assert_eq!(watts(&plug).await, json!(0.0));
}

#[tokio::test]
async fn the_button_switches_unless_it_is_detached() {
    let plug = start(Profile::tasmota_12_4()).await;
    plug.press_button(1);
    assert_eq!(
        plug.history().last().map(|switch| (switch.on, switch.by)),
        Some((true, By::Button))
    );
    ask(&plug, "SetOption73 1").await;
    plug.press_button(1);
    assert!(plug.is_on(1));
}

#[tokio::test]
async fn only_one_of_interlocked_relays_is_on() {
    let plug = start(Profile { relays: 3, ..Profile::tasmota_12_4() }).await;
    ask(&plug, "Interlock ON").await;
    ask(&plug, "Power1 ON").await;
    ask(&plug, "Power3 ON").await;
    assert!(!plug.is_on(1) && plug.is_on(3));
}
