//! What a broker, or whoever answers in its place, must not be able to do to a node.

use std::io::Read;
use std::time::Duration;

use edge_agent::link::{News, Order, Reconnect};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::node::{Node, settings};
use crate::scripted::{Packet, Scripted};

const NODE: &str = "pi-0042";
/// A CONNACK property: the broker wants a keep-alive of 1 s, less than the node may be set to.
const KEEP_ALIVE_1_S: &[u8] = &[0x13, 0, 1];

#[tokio::test]
async fn the_node_announces_its_limits_and_its_will_and_asks_for_a_lasting_session() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, connect) = stage.accept();
        let expected = [
            b"\x00\x04MQTT\x05".as_slice(),
            &[0b0010_1100, 0, 5], // retained will at QoS 1, no clean start; 5 s
            &[13, 0x11, 0x00, 0x09, 0x3a, 0x80], // session expiry: 604,800 s
            &[0x21, 0, 32],       // receive maximum
            &[0x27, 0, 4, 0, 0],  // maximum packet size: 256 KiB
            b"\x00\x07pi-0042\x00",
            b"\x00\x1cedge/v1/nodes/pi-0042/status\x00\x04lost",
        ];
        assert_eq!(connect, expected.concat());
        peer.welcome(true, &[]);
        // QoS 1, Retain As Published, retained messages to new subscriptions only.
        let filters = ["edge/v1/nodes/pi-0042/commands", "edge/v1/groups/cafe/commands"];
        assert_eq!(peer.answer_subscription(1), filters.map(|filter| (filter.to_owned(), 0x19)));
        assert_eq!(peer.next(), None);
    });
    let mut settings = settings(&authority, NODE, broker.port);
    settings.groups = vec!["cafe".parse().unwrap()];
    let mut node = Node::start(settings);
    assert_eq!(node.up().await, (1, true));
    drop(node);
    broker.finish().await;
}

#[tokio::test]
async fn a_withheld_acknowledgement_ends_in_a_reconnect_and_the_event_arrives() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(false);
        // Everything is acknowledged but the second event.
        while let Some(packet) = peer.next() {
            match packet {
                Packet::Publish { payload, .. } if payload == b"event 2" => {}
                Packet::Publish { id, .. } => peer.acknowledge(id),
                Packet::Ping => {}
                other @ (Packet::Connect(_)
                | Packet::Subscribe(..)
                | Packet::PubAck(_)
                | Packet::Disconnect) => panic!("{other:?}"),
            }
        }
        acknowledge_events(stage.accept_up(true), 2..=100);
    });
    let mut settings = settings(&authority, NODE, broker.port);
    settings.ack_deadline = Duration::from_millis(500);
    let mut node = Node::start(settings);
    let (connection, _) = node.up().await;
    for seq in 1..=3 {
        node.publish(connection, seq);
    }
    assert_eq!(node.next().await, News::Delivered { seq: 1 });
    assert_eq!(node.next().await, News::Delivered { seq: 3 });
    let (reason, _) = node.down().await;
    assert!(reason.contains("500ms late"), "{reason}");

    let (connection, _) = node.up().await;
    for seq in 2..=100 {
        node.publish(connection, seq);
        assert_eq!(node.next().await, News::Delivered { seq });
    }
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

#[tokio::test]
async fn nothing_is_lost_to_a_broker_that_forgets_the_session_and_what_it_had_received() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(true);
        for seq in 1..=20 {
            assert_eq!(peer.event().1, format!("event {seq}"));
        }
        drop(peer);
        acknowledge_events(stage.accept_up(false), 1..=60);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.deliver(60, |_| {}).await;
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

#[tokio::test]
async fn a_broker_that_takes_one_event_at_a_time_gets_one_at_a_time() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        peer.welcome(false, &[0x21, 0, 1]);
        peer.grant_subscription();
        acknowledge_events(peer, 1..=40);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.deliver(40, |_| {}).await;
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

#[tokio::test]
async fn answers_out_of_order_and_a_refusal_hold_up_nothing() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        peer.welcome(false, &[0x21, 0, 2]);
        peer.grant_subscription();
        let (first, second) = (peer.event().0, peer.event().0);
        peer.acknowledge(second);
        // Time for a third to be sent under the first one's id, which is still in use.
        peer.command(7, "");
        assert_eq!(peer.next(), Some(Packet::PubAck(7)));
        peer.refuse(first, 0x97);
        acknowledge_events(peer, 3..=9);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    for seq in 1..=9 {
        node.publish(connection, seq);
    }
    assert_eq!(node.next().await, News::Delivered { seq: 2 });
    assert_eq!(node.next().await, News::Refused { seq: 1, code: 0x97 });
    for seq in 3..=9 {
        assert_eq!(node.next().await, News::Delivered { seq });
    }
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

#[tokio::test]
async fn an_order_that_a_reconnect_overtook_is_dropped() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        stage.accept_up(false).event();
        acknowledge_events(stage.accept_up(true), 3..=5);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (before, _) = node.up().await;
    node.publish(before, 3);
    let (now, _) = node.up().await;
    assert!(now > before);
    // Decided before the loop knew of the reconnect; its older siblings come first.
    node.publish(before, 5);
    for seq in 3..=5 {
        node.publish(now, seq);
        assert_eq!(node.next().await, News::Delivered { seq });
    }
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_unasked_and_nothing_for_an_earlier_connection() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        // Before the SUBACK, as a broker does with what waited.
        peer.welcome(true, &[]);
        peer.command(1, "first");
        peer.grant_subscription();
        peer.command(2, "second");
        peer.command(3, "");
        // The empty one needs no order, so whichever of them the machine is quicker with comes first.
        let acknowledged = [peer.next(), peer.next()];
        for id in [2, 3] {
            assert!(acknowledged.contains(&Some(Packet::PubAck(id))), "{acknowledged:?}");
        }
        drop(peer);
        let mut peer = stage.accept_up(true);
        peer.command(1, "another");
        assert_eq!(peer.event().1, "event 1");
        assert_eq!(peer.next(), Some(Packet::PubAck(1)));
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    // No command precedes its connection.
    assert_eq!(node.up().await, (1, true));
    let (first, payload) = node.command().await;
    assert_eq!(payload, "first");
    let (second, _) = node.command().await;
    node.link.order(Order::Acknowledge(second));
    node.link.order(Order::Acknowledge(second));
    let (connection, _) = node.up().await;
    let (another, _) = node.command().await;
    node.link.order(Order::Acknowledge(first));
    node.publish(connection, 1);
    node.link.order(Order::Acknowledge(another));
    broker.finish().await;
}

#[tokio::test]
async fn a_refused_subscription_is_no_connection() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        // Not authorized; then, as bad for commands, granted at QoS 0.
        for code in [0x87, 0] {
            let (mut peer, _) = stage.accept();
            peer.welcome(false, &[]);
            peer.answer_subscription(code);
            assert_eq!(peer.next(), None);
        }
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (reason, _) = node.down().await;
    assert!(reason.contains("NotAuthorized") && reason.contains("pi-0042/commands"), "{reason}");
    let (reason, _) = node.down().await;
    assert!(reason.contains("AtMostOnce"), "{reason}");
    broker.finish().await;
}

#[tokio::test]
async fn a_line_that_goes_silent_is_noticed_even_while_there_is_much_to_send() {
    let authority = Authority::new();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let broker = Scripted::start(&authority, move |stage| {
        let mut silent = vec![];
        for _ in 0..2 {
            let (mut peer, _) = stage.accept();
            peer.welcome(true, KEEP_ALIVE_1_S);
            peer.grant_subscription();
            silent.push(peer);
        }
        let _ = wait.recv();
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    let (reason, _) = node.down().await;
    assert!(reason.contains("pings"), "{reason}");

    // More than the sockets hold, so that a write blocks.
    let (connection, _) = node.up().await;
    for seq in 1..=60 {
        node.link.order(Order::Publish { connection, seq, payload: vec![0; 200_000] });
    }
    let (reason, _) = node.down().await;
    assert!(reason.contains("nothing could be sent"), "{reason}");
    drop(done);
    broker.finish().await;
}

#[tokio::test]
async fn a_takeover_is_told_and_answered_with_a_long_wait() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(true);
        peer.event();
        peer.disconnect(0x8e);
        assert_eq!(peer.next(), None);
    });
    let mut settings = settings(&authority, NODE, broker.port);
    settings.reconnect.max = Duration::from_secs(2);
    let mut node = Node::start(settings);
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    let (reason, session_taken_over) = node.down().await;
    assert!(session_taken_over, "{reason}");
    let taken_over = Instant::now();
    broker.finish().await;
    assert!(!node.down().await.1, "nobody listens any more");
    assert!(taken_over.elapsed() >= Duration::from_secs(1), "not before half the maximum");
}

#[tokio::test]
async fn a_broker_that_accepts_and_closes_causes_no_spin() {
    const CLOSES: u32 = 7;
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        for _ in 0..CLOSES {
            stage.accept_up(true);
        }
    });
    let mut settings = settings(&authority, NODE, broker.port);
    settings.reconnect = Reconnect { min: Duration::from_millis(100), max: Duration::from_secs(1) };
    let started = Instant::now();
    let mut node = Node::start(settings);
    let mut closes = 0;
    while closes < CLOSES {
        // Where the end comes in one packet with the SUBACK, the link was never up.
        closes += u32::from(matches!(node.next().await, News::Down { .. }));
    }
    // However the jitter falls, no wait is below half the minimum.
    assert!(started.elapsed() >= Duration::from_millis(50) * (CLOSES - 1));
    broker.finish().await;
}

/// Paused time runs on by itself while nothing else happens, and this peer lets nothing happen.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_in_the_handshake_costs_ten_seconds() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut stream = stage.accept_tcp();
        while stream.read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0) {}
    });
    let started = Instant::now();
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let News::Down { reason, .. } = node.news.recv().await.unwrap() else {
        panic!("no connection")
    };
    assert_eq!(reason, "no connection within 10s");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn the_second_endpoint_is_tried_when_the_first_does_not_answer() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        assert_eq!(stage.accept_up(false).next(), None);
    });
    let mut settings = settings(&authority, NODE, broker.port);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    settings.endpoints.insert(
        0,
        edge_agent::endpoint::Endpoint { host: unused.ip().to_string(), port: unused.port() },
    );
    let mut node = Node::start(settings);
    let (reason, _) = node.down().await;
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(node.up().await, (2, false));
    drop(node);
    broker.finish().await;
}

#[tokio::test]
async fn a_stop_that_the_broker_does_not_confirm_is_left_to_the_last_will() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(false);
        assert_eq!(peer.event().1, "event 1");
        assert_eq!(peer.event().1, "shutdown");
        assert_eq!(peer.next(), None, "no DISCONNECT, which would cancel the will");
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    node.link.shutdown(b"shutdown".to_vec()).await;
    broker.finish().await;
}

/// Acknowledges these events, each once and in order, then an orderly stop.
fn acknowledge_events(mut peer: crate::scripted::Peer, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        let (id, payload) = peer.event();
        assert_eq!(payload, format!("event {seq}"));
        peer.acknowledge(id);
    }
    let (id, payload) = peer.event();
    assert_eq!(payload, "shutdown");
    peer.acknowledge(id);
    assert_eq!(peer.next(), Some(Packet::Disconnect));
}
