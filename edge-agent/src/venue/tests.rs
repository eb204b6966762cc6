//! A broker played byte by byte, so that nothing of what a client says is lost on the way.

use plug_driver::{AnyOutlet, Kind, Outlet as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

struct Peer(TcpStream);

impl Peer {
    /// The next connection, let in and subscribed.
    async fn welcome(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Self(stream);
        let (kind, connect) = peer.packet().await;
        assert_eq!((kind, &connect[..7]), (0x10, &b"\0\x04MQTT\x04"[..]), "MQTT 3.1.1");
        assert_eq!(connect[7], 0x02, "a clean session, no will, no login");
        peer.0.write_all(&CONNACK).await.unwrap();
        let (kind, subscribe) = peer.packet().await;
        assert_eq!(kind, 0x82);
        for filter in ["stat/bar/+", "tele/bar/LWT"] {
            let named = subscribe.windows(filter.len()).any(|some| some == filter.as_bytes());
            assert!(named, "{filter}");
        }
        let answer = [0x90, 4, subscribe[0], subscribe[1], 0, 0];
        peer.0.write_all(&answer).await.unwrap();
        peer
    }

    /// The first byte and the body of the next packet but a ping; all are short.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        loop {
            let kind = self.0.read_u8().await.unwrap();
            let length = self.0.read_u8().await.unwrap();
            assert!(length < 0x80);
            let mut body = vec![0; length.into()];
            self.0.read_exact(&mut body).await.unwrap();
            if kind != 0xc0 {
                return (kind, body);
            }
        }
    }

    async fn says(&mut self, topic: &str, payload: &str) {
        let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
        let mut packet = vec![0x30, length, 0, u8::try_from(topic.len()).unwrap()];
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(payload.as_bytes());
        self.0.write_all(&packet).await.unwrap();
    }
}

fn published(topic: &str, payload: &str) -> (u8, Vec<u8>) {
    let mut body = vec![0, u8::try_from(topic.len()).unwrap()];
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(payload.as_bytes());
    // No QoS, not a repetition, not retained.
    (0x30, body)
}

#[tokio::test]
async fn a_command_goes_out_once_over_the_connection_that_stands_and_is_never_made_up_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = "127.0.0.1".to_owned();
    let place = Place { host, port, username: None, password_file: None };
    let mut venue = Venue::default();
    let topics = || PlugTopics::new("bar", PlugTopics::DEFAULT_FULL).unwrap();
    let mut outlet = AnyOutlet::tasmota_by_mqtt(venue.plug(&place, topics()), 1).unwrap();
    let mut other = AnyOutlet::tasmota_by_mqtt(venue.plug(&place, topics()), 2).unwrap();
    let _connections = venue.connect();

    let mut peer = Peer::welcome(&listener).await;
    let hangs_up = async {
        assert_eq!(peer.packet().await, published("cmnd/bar/Power1", "OFF"));
        drop(peer);
    };
    let (off, ()) = tokio::join!(outlet.off(), hangs_up);
    let lost = off.unwrap_err();
    assert_eq!(lost.kind(), Kind::Transient);
    assert!(crate::chain(&lost).contains("no connection to the plugs' broker"), "{lost}");

    // Relays of one plug share a connection, and the first thing said on it is the next that is asked.
    let mut peer = Peer::welcome(&listener).await;
    let answers = async {
        assert_eq!(peer.packet().await, published("cmnd/bar/Power2", "OFF"));
        peer.says("stat/bar/RESULT", r#"{"POWER1":"OFF"}"#).await;
        peer.says("stat/bar/RESULT", r#"{"POWER2":"OFF"}"#).await;
        assert_eq!(peer.packet().await, published("cmnd/bar/Status", "0"));
        peer.says("tele/bar/LWT", "Offline").await;
    };
    let (off, ()) = tokio::join!(other.off(), answers);
    let said = crate::chain(&off.unwrap_err());
    assert!(said.contains("the plug is offline"), "{said}");
}

#[tokio::test]
async fn a_broker_that_refuses_us_is_told_with_what_to_look_at() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = "127.0.0.1".to_owned();
    let place = Place { host, port, username: None, password_file: None };
    let mut venue = Venue::default();
    let topics = PlugTopics::new("bar", PlugTopics::DEFAULT_FULL).unwrap();
    let mut outlet = AnyOutlet::tasmota_by_mqtt(venue.plug(&place, topics), 1).unwrap();
    let _connections = venue.connect();
    let refuses = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut peer = Peer(stream);
            peer.packet().await;
            peer.0.write_all(&[0x20, 2, 0, 5]).await.unwrap();
        }
    };
    let fault = tokio::select! {
        read = outlet.read() => crate::chain(&read.unwrap_err()),
        () = refuses => unreachable!(),
    };
    assert!(fault.contains("it refuses us (NotAuthorized): check username"), "{fault}");
}
