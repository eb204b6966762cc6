//! A Tasmota at a real broker.

use std::process::Stdio;

use plug_sim::Broker;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::*;

/// A mosquitto that takes everybody, and its port.
struct Mosquitto {
    port: u16,
    _folder: TempDir,
    _child: Child,
}

impl Mosquitto {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = std::net::TcpListener::bind(anywhere())
            .and_then(|it| it.local_addr())
            .expect("a free port")
            .port();
        let config = folder.path().join("mosquitto.conf");
        let listener = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
        std::fs::write(&config, listener).expect("a file");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let child = Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto is installed; tests/run does it");
        limit(async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { port, _folder: folder, _child: child }
    }

    async fn client(&self) -> (AsyncClient, EventLoop) {
        let (client, events) =
            AsyncClient::new(MqttOptions::new("judge", "127.0.0.1", self.port), 16);
        client.subscribe("#", QoS::AtMostOnce).await.expect("a queue");
        (client, events)
    }
}

/// The next message on this topic.
async fn told(events: &mut EventLoop, topic: &str) -> Publish {
    limit(async {
        loop {
            if let Event::Incoming(Packet::Publish(message)) =
                events.poll().await.expect("the broker stays")
                && message.topic == topic
            {
                return message;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_plug_is_announced_obeys_and_is_told_to_be_gone_when_it_restarts() {
    let mosquitto = Mosquitto::start().await;
    let (client, mut events) = mosquitto.client().await;
    let mut plug = FakePlug::start(Profile::tasmota_14_4()).await.unwrap();
    let login = Some(("plug".to_owned(), "word".to_owned()));
    plug.connect(Broker { host: "127.0.0.1".to_owned(), port: mosquitto.port, login });

    let lwt = "tele/tasmota_C2D3E4/LWT";
    assert_eq!(told(&mut events, lwt).await.payload, "Online");
    let config = told(&mut events, "tasmota/discovery/02A0B1C2D3E4/config").await;
    let config: Value = serde_json::from_slice(&config.payload).unwrap();
    assert_eq!((&config["mac"], &config["rl"][0]), (&json!("02A0B1C2D3E4"), &json!(1)));

    client.publish("cmnd/tasmota_C2D3E4/POWER1", QoS::AtMostOnce, false, "ON").await.unwrap();
    let result = limit(async {
        loop {
            let result = told(&mut events, "stat/tasmota_C2D3E4/RESULT").await;
            if result.payload == r#"{"POWER":"ON"}"# {
                return result;
            }
        }
    });
    assert!(!result.await.retain);
    assert_eq!(told(&mut events, "stat/tasmota_C2D3E4/POWER").await.payload, "ON");
    assert!(plug.is_on(1));

    plug.restart(Restart::Warm);
    assert_eq!(told(&mut events, lwt).await.payload, "Offline");
    assert_eq!(told(&mut events, lwt).await.payload, "Online");
}
