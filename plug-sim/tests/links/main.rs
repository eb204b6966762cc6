//! A plug's other links, over real sockets: a broker, WebSocket, `CoIoT`, the control interface.

mod mqtt;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use plug_sim::{FakePlug, Pace, Profile, Restart};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Far above what a loaded machine needs.
const LIMIT: Duration = Duration::from_secs(20);

async fn limit<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it happens in time")
}

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn post(at: SocketAddr, path: &str, body: &Value) -> (String, Value) {
    let body = body.to_string();
    let request = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    limit(stream.read_to_string(&mut answer)).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").to_owned();
    (status, serde_json::from_str(body).expect("it is JSON"))
}

#[tokio::test]
async fn the_control_interface_drives_a_plug_whose_time_is_held() {
    let plug = FakePlug::start_at(Profile::tasmota_13_4(), anywhere(), Pace::Held).await;
    let mut plug = plug.unwrap();
    let control = plug.serve_control(anywhere()).await.unwrap();
    post(control, "/console", &json!({ "command": "TimedPower1 60000" })).await;
    let (_, told) = post(control, "/advance", &json!({ "ms": 59_000 })).await;
    assert_eq!(told["relays"][0]["lease_ms"], 1_000);
    let (_, told) = post(control, "/advance", &json!({ "ms": 1_000 })).await;
    assert_eq!(
        (&told["relays"][0]["on"], &told["changes"][0]["by"]),
        (&json!(false), &json!("timer"))
    );
    let (status, told) = post(control, "/load", &json!({ "relay": 3, "watts": 1 })).await;
    assert_eq!(
        (status.as_str(), told["error"].as_str()),
        ("400", Some("there is no relay 3; there are 1 to 1"))
    );
}

async fn frames(plug: &FakePlug) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(plug.address()).await.expect("it listens");
    let shaken = tokio_tungstenite::client_async("ws://plug/rpc", stream).await;
    let (socket, _) = shaken.expect("it shakes hands");
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Value> {
    let message = limit(socket.next()).await?.ok()?;
    serde_json::from_str(message.to_text().ok()?).ok()
}

#[tokio::test]
async fn frames_are_answered_and_changes_told_until_the_plug_restarts() {
    let plug = FakePlug::start(Profile::shelly_gen2_2_0()).await.unwrap();
    let mut socket = frames(&plug).await;
    let ask =
        json!({ "id": 1, "src": "me", "method": "Switch.Set", "params": { "id": 0, "on": true } });
    socket.send(Message::text(ask.to_string())).await.unwrap();
    let answer = next(&mut socket).await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]), (&json!(1), &json!({ "was_on": false })));
    let notice = next(&mut socket).await.unwrap();
    assert_eq!(notice["method"], "NotifyStatus");
    assert_eq!(notice["params"]["switch:0"], json!({ "id": 0, "output": true, "source": "WS_in" }));
    plug.press_button(1);
    assert_eq!(next(&mut socket).await.unwrap()["params"]["switch:0"]["output"], false);
    plug.restart(Restart::Cold);
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn a_frame_without_credentials_is_told_how_to_log_in() {
    let profile = Profile { password: Some("word".to_owned()), ..Profile::shelly_gen2_1_7() };
    let plug = FakePlug::start(profile).await.unwrap();
    let mut socket = frames(&plug).await;
    socket
        .send(Message::text(r#"{"id":1,"method":"Switch.GetStatus","params":{"id":0}}"#))
        .await
        .unwrap();
    let answer = next(&mut socket).await.unwrap();
    assert_eq!(answer["error"]["code"], 401);
    let told: Value = serde_json::from_str(answer["error"]["message"].as_str().unwrap()).unwrap();
    assert_eq!((&told["auth_type"], &told["algorithm"]), (&json!("digest"), &json!("SHA-256")));
    assert!(told["nonce"].is_number(), "before 2.0.0 it is one: {told}");
}

#[tokio::test]
async fn coiot_is_answered_by_unicast() {
    let mut plug = FakePlug::start(Profile::shelly_gen1()).await.unwrap();
    let probe = UdpSocket::bind(anywhere()).await.unwrap();
    let at = UdpSocket::bind(anywhere()).await.unwrap().local_addr().unwrap();
    plug.serve_coiot(at).await.unwrap();
    probe.send_to(b"\x50\x01\x00\x0a\xb3cit\x01d\xff\x00", at).await.unwrap();
    let mut packet = [0; 2_048];
    let (length, _) = limit(probe.recv_from(&mut packet)).await.unwrap();
    assert!(String::from_utf8_lossy(&packet[..length]).contains("relay_0"));
}
