//! Brokers that send more commands than the Receive Maximum allows.

use edge_agent::link::{News, Order};

use crate::authority::Authority;
use crate::mosquitto::{Control, Mosquitto};
use crate::node::{Node, settings};
use crate::scripted::{Packet, Scripted};

const NODE: &str = "pi-0042";
const COMMANDS: &str = "edge/v1/nodes/pi-0042/commands";
/// What the link lets wait at the most.
const MOST: u16 = 8_192;

#[tokio::test]
async fn a_backlog_at_a_broker_that_knows_no_measure_is_taken_in_order() {
    // mosquitto 2.0.11, which Debian 12 has, answers each acknowledgement with 32 more commands.
    // The link hung up at the 65th, was sent them all again, and hung up again, for ever: whoever
    // had let a hundred commands wait for a node had lost it.
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let control = Control::connect(&authority, broker.port, "nothing").await;
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    node.link.shutdown(b"shutdown".to_vec()).await;
    for number in 1..=300 {
        control.send(COMMANDS, false, &number.to_string()).await;
    }
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    assert!(node.up().await.1, "the broker remembers this node");
    for number in 1..=300 {
        let (token, payload) = node.command().await;
        assert_eq!(payload, number.to_string());
        node.link.order(Order::Acknowledge(token));
    }
}

#[tokio::test]
async fn what_was_left_with_the_broker_is_asked_for_once_the_rest_is_taken() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(false);
        for id in 1..=MOST + 2 {
            peer.command(id, &id.to_string());
        }
        for id in 1..=MOST {
            assert_eq!(peer.next(), Some(Packet::PubAck(id)));
        }
        assert_eq!(peer.next(), Some(Packet::Disconnect));
        drop(peer);
        let mut peer = stage.accept_up(true);
        peer.command(MOST + 1, "the rest");
        assert_eq!(peer.next(), Some(Packet::PubAck(MOST + 1)));
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    let mut tokens = vec![];
    for id in 1..=MOST {
        let (token, payload) = node.command().await;
        assert_eq!(payload, id.to_string());
        tokens.push(token);
    }
    for token in tokens {
        node.link.order(Order::Acknowledge(token));
    }
    assert!(!node.down().await.1);
    node.up().await;
    let News::Command { token, payload, .. } = node.next().await else { panic!("a command") };
    assert_eq!(payload, b"the rest");
    node.link.order(Order::Acknowledge(token));
    broker.finish().await;
}
