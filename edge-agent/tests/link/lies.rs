//! A broker whose packets are in order and whose word is not.

use std::net::TcpListener;
use std::time::Duration;

use edge_agent::link::{News, Order};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::gauntlet::{Case, Moment, NODE, quick, run};
use crate::node::{Node, settings};
use crate::scripted::{Packet, Peer, Scripted};

#[tokio::test]
async fn no_wrong_acknowledgement_makes_an_event_disappear() {
    let mut cases = vec![
        Case::new("each acknowledged twice", |stage| {
            let mut peer = stage.accept_up(true);
            let (id, _) = peer.event();
            peer.acknowledge(id);
            peer.acknowledge(id);
            assert!(peer.is_hung_up_on());
        }),
        Case::new("the last one first", |stage| {
            let mut peer = stage.accept_up(true);
            let ids: Vec<u16> = (0..5).map(|_| peer.event().0).collect();
            ids.iter().rev().for_each(|id| peer.acknowledge(*id));
        }),
        Case::new("the subscription, once more", |stage| {
            let mut peer = stage.accept_up(true);
            peer.acknowledge(1);
            assert!(peer.is_hung_up_on());
        }),
        Case::new("as a subscription", |stage| {
            let mut peer = stage.accept_up(true);
            let (id, _) = peer.event();
            let [high, low] = id.to_be_bytes();
            peer.raw(&[0x90, 4, high, low, 0, 1]).unwrap();
            assert!(peer.is_hung_up_on());
        }),
        Case::new("before it was sent", |stage| {
            let (mut peer, _) = stage.accept();
            peer.welcome(true, &[]);
            peer.acknowledge(2);
            assert!(peer.is_hung_up_on());
        }),
        Case::new("all but the first, for ever", |stage| {
            let mut peer = stage.accept_up(true);
            peer.event();
            while let Some(packet) = peer.next() {
                if let Packet::Publish { id, .. } = packet {
                    peer.acknowledge(id);
                }
            }
        }),
    ];
    for code in 0..=u8::MAX {
        cases.push(Case::new(format!("with {code:#04x}"), move |stage| {
            let mut peer = stage.accept_up(true);
            let (id, _) = peer.event();
            peer.refuse(id, code);
            // A refusal is the node's to be told of, and a success that doesn't exist is none.
            assert_eq!(!matches!(code, 0 | 0x10 | 0x80..), peer_hangs_up(peer, code));
        }));
    }
    let told = run(cases).await;
    assert_eq!(told.refusals, (0x80..=u8::MAX).collect::<Vec<_>>());
}

/// Told only of codes for which it must; the others go on, and this broker hangs up.
fn peer_hangs_up(mut peer: Peer, code: u8) -> bool {
    (0x01..0x80).contains(&code) && code != 0x10 && peer.is_hung_up_on()
}

#[tokio::test]
async fn whatever_is_said_of_the_session_the_node_subscribes_and_goes_on() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        for (seq, session_present) in [true, false, false, true, true].into_iter().enumerate() {
            let mut peer = stage.accept_up(session_present);
            let (id, payload) = peer.event();
            assert_eq!(payload, format!("event {}", seq + 1));
            peer.acknowledge(id);
            let _ = peer.next();
        }
    });
    let mut node = Node::start(quick(&authority, broker.port));
    for (seq, said) in [true, false, false, true, true].into_iter().enumerate() {
        let (connection, session_present) = node.up().await;
        assert_eq!(session_present, said, "told as the broker says it");
        let seq = u64::try_from(seq).unwrap() + 1;
        node.publish(connection, seq);
        assert_eq!(node.next().await, News::Delivered { seq });
        node.publish(connection, seq + 1);
    }
    broker.finish().await;
}

/// The second welcome was taken for a new start: the window was forgotten with what was in it, and
/// events that the broker never acknowledged were never sent again.
#[tokio::test]
async fn a_second_welcome_ends_the_connection_and_loses_nothing() {
    let welcome = vec![0x20, 3, 1, 0, 0];
    let cases = [Moment::Welcomed, Moment::Up]
        .map(|moment| Case::refused("CONNACK again", moment, welcome.clone()));
    let twice = Case::new("CONNACK twice at once", |stage| {
        let (mut peer, _) = stage.accept();
        peer.raw(&[0x20, 3, 1, 0, 0, 0x20, 3, 0, 0, 0]).unwrap();
        assert!(peer.is_hung_up_on());
    });
    let told = run(cases.into_iter().chain([twice]).collect()).await;
    assert!(told.downs.iter().all(|(reason, _)| reason.contains("twice")), "{:?}", told.downs);
}

#[tokio::test]
async fn a_broker_that_cannot_serve_a_node_is_told_from_one_that_can() {
    let unfit: [(&[u8], &str); 4] = [
        (&[0x21, 0, 0], "Receive Maximum is 0"),
        (&[0x24, 0], "QoS 1"),
        (&[0x25, 0], "retained"),
        (&[0x27, 0, 0, 0, 100], "100 bytes"),
    ];
    let cases = unfit.map(|(properties, _)| {
        Case::new(format!("{properties:x?}"), move |stage| {
            let (mut peer, _) = stage.accept();
            peer.welcome(true, properties);
            assert!(peer.is_hung_up_on());
        })
    });
    // Named differently, without wildcards, sent elsewhere: none of it is a node's business.
    let fit: [&[u8]; 5] = [
        b"\x12\x00\x05other",
        &[0x28, 0, 0x29, 0, 0x2a, 0, 0x22, 0, 9, 0x24, 1, 0x25, 1],
        b"\x1c\x00\x0bother.examp\x13\x00\x00",
        &[0x13, 0xff, 0xff, 0x11, 0, 0, 0, 0],
        &[0x26, 0, 1, b'k', 0, 1, b'v', 0x26, 0, 1, b'k', 0, 1, b'v', 0x1f, 0, 1, b'r'],
    ];
    let good = fit.map(|properties| {
        Case::new(format!("{properties:x?}"), move |stage| {
            let (mut peer, _) = stage.accept();
            peer.welcome(true, properties);
            peer.grant_subscription();
            let (id, _) = peer.event();
            peer.acknowledge(id);
        })
    });
    let told = run(cases.into_iter().chain(good).collect()).await;
    for ((reason, _), (_, why)) in told.downs.iter().zip(unfit) {
        assert!(reason.contains(why), "{reason}");
    }
}

#[tokio::test]
async fn a_node_goes_nowhere_but_to_its_own_endpoints() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("127.0.0.1:{}", elsewhere.local_addr().unwrap().port());
    let size = u8::try_from(reference.len()).unwrap();
    let property = [&[0x1c, 0, size], reference.as_bytes()].concat();
    let list = [&[size + 3], &property[..]].concat();
    let mut cases = vec![];
    for code in [0x9c, 0x9d] {
        let connack = [&[0x20, size + 6, 0, code], &list[..]].concat();
        cases.push(Case::refused("CONNACK elsewhere", Moment::Connected, connack));
        let disconnect = [&[0xe0, size + 5, code], &list[..]].concat();
        cases.push(Case::refused("DISCONNECT elsewhere", Moment::Up, disconnect));
    }
    let told = run(cases).await;
    let moved = told.downs.iter().filter(|(reason, _)| reason.contains("erver"));
    assert_eq!(moved.count(), 4, "{:?}", told.downs);
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn of_the_states_that_pile_up_behind_a_slow_broker_only_the_newest_is_sent() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        peer.welcome(true, &[0x21, 0, 1]);
        peer.grant_subscription();
        let (held, text) = peer.event();
        assert_eq!(text, "event 1");
        // Goes out behind every order, without room in the window.
        peer.command(7, "");
        assert_eq!(peer.next(), Some(Packet::PubAck(7)));
        peer.command(8, "ready");
        assert_eq!(peer.next(), Some(Packet::PubAck(8)));
        peer.acknowledge(held);
        for expected in ["state 4999", "status 4999", "event 2"] {
            let (id, text) = peer.event();
            assert_eq!(text, expected);
            peer.acknowledge(id);
        }
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    for number in 0..5_000 {
        node.link.order(Order::State(format!("state {number}").into_bytes()));
        node.link.order(Order::Status(format!("status {number}").into_bytes()));
    }
    node.publish(connection, 2);
    let (token, _) = node.command().await;
    node.link.order(Order::Acknowledge(token));
    for seq in 1..=2 {
        assert_eq!(node.next().await, News::Delivered { seq });
    }
    broker.finish().await;
}

#[tokio::test]
async fn what_is_on_other_topics_is_acknowledged_and_is_no_command() {
    const MESSAGES: u16 = 5_000;
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut peer = stage.accept_up(true);
        // A wildcard, another node's, a longer and a shorter one, invalid UTF-8, any length.
        let topics: [&[u8]; 6] = [
            b"#",
            b"edge/v1/nodes/pi-0043/commands",
            b"edge/v1/nodes/pi-0042/commands/x",
            b"edge/v1/nodes/pi-0042/command",
            b"\xff\xfe\x00\x1b[2J",
            &[b'x'; 100],
        ];
        for round in 0..MESSAGES {
            let topic = topics[usize::from(round) % topics.len()];
            let size = u8::try_from(topic.len()).unwrap();
            let [high, low] = (round + 1).to_be_bytes();
            let body = [&[0, size], topic, &[high, low, 0, b'!']].concat();
            peer.raw(&[&[0x32, size + 6], &body[..]].concat()).unwrap();
            assert_eq!(peer.next(), Some(Packet::PubAck(round + 1)));
        }
        peer.command(1, "for you");
        let _ = peer.next();
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    assert_eq!(node.command().await.1, "for you");
    drop(node);
    broker.finish().await;
}

/// A broker may ask for fewer pings: up to one each 18 hours. A line that dies without a word
/// would go unnoticed for as long.
#[tokio::test]
async fn a_broker_that_asks_for_no_pings_gets_them_and_its_silence_is_noticed() {
    let authority = Authority::new();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let broker = Scripted::start(&authority, move |stage| {
        let (mut peer, _) = stage.accept();
        peer.welcome(true, &[0x13, 0xff, 0xff]);
        peer.grant_subscription();
        let _ = wait.recv();
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    let up = Instant::now();
    let (reason, _) = node.down().await;
    assert!(reason.contains("pings"), "{reason}");
    // Twice the 5 s that the node is set to.
    assert!((10..15).contains(&up.elapsed().as_secs()), "{:?}", up.elapsed());
    drop(done);
    broker.finish().await;
}

#[tokio::test]
async fn an_unanswered_subscription_is_given_up_like_any_packet() {
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let (mut peer, _) = stage.accept();
        peer.welcome(true, &[]);
        while peer.next().is_some() {}
        assert_eq!(stage.accept_up(true).event().1, "event 1");
    });
    let mut settings = settings(&authority, NODE, broker.port);
    settings.ack_deadline = Duration::from_millis(300);
    let mut node = Node::start(settings);
    assert!(node.down().await.0.contains("300ms late"));
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    broker.finish().await;
}
