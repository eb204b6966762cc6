//! Packets cut anywhere, and packets that come byte by byte.

use std::time::Duration;

use edge_agent::link::News;

use crate::authority::Authority;
use crate::gauntlet::{Case, Moment, NODE, figure, quick, run};
use crate::node::{Node, settings};
use crate::scripted::{Packet, Scripted};

/// A packet, and the moment at which it is in its place.
fn packets() -> Vec<(&'static str, Moment, Vec<u8>)> {
    let command = b"\x32\x2d\x00\x1eedge/v1/nodes/pi-0042/commands\x00\x07\x00{\"id\":\"c\"}";
    vec![
        (
            "CONNACK",
            Moment::Connected,
            b"\x20\x0e\x00\x00\x0b\x21\x00\x05\x27\x00\x01\x00\x00\x13\x00\x1e".to_vec(),
        ),
        ("SUBACK", Moment::Welcomed, b"\x90\x0b\x00\x01\x07\x1f\x00\x04fine\x01".to_vec()),
        ("PUBLISH", Moment::Up, command.to_vec()),
        ("PUBACK", Moment::Up, b"\x40\x0b\x00\x02\x00\x07\x1f\x00\x04fine".to_vec()),
        ("PINGRESP", Moment::Up, b"\xd0\x00".to_vec()),
        ("DISCONNECT", Moment::Up, b"\xe0\x09\x8b\x07\x1f\x00\x04fine".to_vec()),
    ]
}

#[tokio::test]
async fn a_packet_cut_at_any_byte_is_none() {
    let mut cases = vec![];
    for (name, moment, bytes) in packets() {
        for length in 0..bytes.len() {
            let bytes = bytes[..length].to_vec();
            cases.push(Case::new(format!("{length} bytes of {name}"), move |stage| {
                let mut peer = moment.reached(stage);
                peer.raw(&bytes).unwrap();
            }));
        }
    }
    let count = cases.len();
    let told = run(cases).await;
    assert_eq!(told.downs.len(), count);
    assert_eq!((told.commands, told.refusals.len()), (0, 0));
}

#[tokio::test]
async fn a_packet_that_stops_at_any_byte_holds_the_node_no_longer_than_silence_does() {
    // Side by side: each takes as long as a broker that says nothing at all.
    let mut nodes = vec![];
    for (name, moment, bytes) in packets() {
        let offsets = if name == "PUBLISH" { vec![1, 2, 20, 34, 36, 40] } else { vec![0, 1, 2, 3] };
        for length in offsets.into_iter().filter(|length| *length < bytes.len()) {
            let mut stalled = bytes[..length].to_vec();
            nodes.push(tokio::spawn(async move {
                let authority = Authority::new();
                let broker = Scripted::start(&authority, move |stage| {
                    let (mut peer, _) = stage.accept();
                    if moment != Moment::Connected {
                        // A keep-alive of 1 s, less than the node may be set to.
                        peer.welcome(true, &[0x13, 0, 1]);
                    }
                    if moment == Moment::Up {
                        peer.grant_subscription();
                    } else {
                        stalled.truncate(length);
                    }
                    peer.raw(&stalled).unwrap();
                    while peer.next().is_some() {}
                    let mut peer = stage.accept_up(true);
                    assert_eq!(peer.event().1, "event 1");
                });
                let mut node = Node::start(quick(&authority, broker.port));
                loop {
                    // Up and down; then up again.
                    if let News::Up { connection: connection @ 2.., .. } = node.next().await {
                        node.publish(connection, 1);
                        break;
                    }
                }
                broker.finish().await;
            }));
        }
    }
    let count = nodes.len();
    for node in nodes {
        node.await.unwrap();
    }
    figure("stalls within a packet", count);
}

#[tokio::test]
async fn a_broker_that_sends_byte_by_byte_is_as_good_as_any() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        peer.one_byte_each(Duration::from_millis(5));
        peer.welcome(false, &[0x21, 0, 1]);
        peer.grant_subscription();
        peer.command(7, "slowly");
        for seq in 1..=3 {
            let (id, payload) = peer.event();
            assert_eq!(payload, format!("event {seq}"));
            peer.acknowledge(id);
        }
        peer.disconnect(0x8b);
        assert_eq!(peer.next(), None::<Packet>);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    assert_eq!(node.command().await.1, "slowly");
    for seq in 1..=3 {
        node.publish(connection, seq);
    }
    for seq in 1..=3 {
        assert_eq!(node.next().await, News::Delivered { seq });
    }
    assert!(node.down().await.0.contains("ServerShuttingDown"));
    broker.finish().await;
}
