//! Peers that stall, creep, hang up, or speak another language before there is a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use edge_agent::link::News;
use rustls::{ServerConfig, ServerConnection};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::gauntlet::{Case, MOMENTS, NODE, quick, run};
use crate::node::{Node, settings};
use crate::scripted::{Packet, Scripted};

#[tokio::test]
async fn who_accepts_and_closes_at_any_stage_is_left_for_the_next() {
    let mut cases = vec![
        Case::new("closed at once", |stage| drop(stage.accept_tcp())),
        Case::new("closed within the handshake", |stage| {
            let mut stream = stage.accept_tcp();
            let _ = stream.read(&mut [0; 64]).unwrap();
        }),
        Case::new("reset", |stage| {
            // Unread bytes make the close a reset.
            let stream = stage.accept_tcp();
            stream.peek(&mut [0; 1]).unwrap();
        }),
    ];
    for moment in MOMENTS {
        cases.push(Case::new(format!("closed when {moment:?}"), move |stage| {
            drop(moment.reached(stage));
        }));
    }
    let count = cases.len();
    assert_eq!(run(cases).await.downs.len(), count);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_left_for_the_next() {
    let greetings: [&[u8]; 6] = [
        b"\x20\x03\x00\x00\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        // A TLS alert, a record of a wrong version, one longer than any may be.
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x09\x09\x00\x05hello",
        b"\x16\x03\x03\xff\xffhello",
    ];
    let cases = greetings.map(|greeting| {
        Case::new(format!("{greeting:x?}"), move |stage| {
            let mut stream = stage.accept_tcp();
            let _ = stream.write_all(greeting);
            let mut rest = vec![];
            let _ = stream.read_to_end(&mut rest);
        })
    });
    let told = run(cases.into_iter().collect()).await;
    let tls = |(reason, _): &(String, bool)| reason.contains("TLS");
    assert!(told.downs.iter().all(tls), "{:?}", told.downs);
}

#[tokio::test]
async fn a_broker_of_another_authority_or_for_another_host_is_none() {
    let strangers = [Authority::new().server(), Authority::new().server()];
    let cases = strangers.map(|stranger| {
        Case::new("a stranger", move |stage| {
            let mut stream = stage.accept_tcp();
            let mut tls = ServerConnection::new(Arc::clone(&stranger)).unwrap();
            assert!(tls.complete_io(&mut stream).is_err(), "the node goes on");
        })
    });
    let told = run(cases.into_iter().collect()).await;
    let refused = |(reason, _): &(String, bool)| reason.contains("does not accept the broker's");
    assert!(told.downs.iter().all(refused), "{:?}", told.downs);

    // The same authority, a name that the certificate doesn't have.
    let authority = Authority::new();
    let broker = Scripted::start(&authority, |stage| {
        let mut stream = stage.accept_tcp();
        while stream.read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0) {
            let _ = stream.write_all(&[]);
        }
    });
    let mut wrong = settings(&authority, NODE, broker.port);
    wrong.endpoints[0].host = "not a host name".into();
    let (reason, _) = Node::start(wrong).down().await;
    assert!(reason.contains("neither a DNS name nor an address"), "{reason}");
    drop(TcpStream::connect(("127.0.0.1", broker.port)).unwrap());
    broker.finish().await;
}

#[tokio::test]
async fn a_broker_that_knows_only_tls_1_2_serves_a_node() {
    let authority = Authority::new();
    let config: Arc<ServerConfig> = authority.server_with(&[&rustls::version::TLS12]);
    let broker = Scripted::start_with(config, |stage| {
        let mut peer = stage.accept_up(true);
        let (id, text) = peer.event();
        assert_eq!(text, "event 1");
        peer.acknowledge(id);
        assert_eq!(peer.next(), None::<Packet>);
    });
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    assert_eq!(node.next().await, News::Delivered { seq: 1 });
    drop(node);
    broker.finish().await;
}

#[tokio::test]
async fn a_handshake_at_one_byte_a_second_costs_ten_seconds() {
    let authority = Authority::new();
    let config = authority.server();
    let broker = Scripted::start(&authority, move |stage| {
        let mut stream = stage.accept_tcp();
        let mut tls = ServerConnection::new(config).unwrap();
        tls.read_tls(&mut stream).unwrap();
        tls.process_new_packets().unwrap();
        let mut flight = vec![];
        tls.write_tls(&mut flight).unwrap();
        for byte in flight {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_secs(1));
        }
        assert_eq!(stage.accept_up(true).next(), None);
    });
    let started = Instant::now();
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    assert_eq!(node.down().await.0, "no connection within 10s");
    assert!((10..14).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    node.up().await;
    drop(node);
    broker.finish().await;
}

#[tokio::test]
async fn a_line_at_one_byte_a_second_is_given_up_in_either_direction() {
    let authority = Authority::new();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let broker = Scripted::start(&authority, move |stage| {
        // A keep-alive of 1 s. A command of 200 bytes stands in the way of every answer to a ping.
        let (mut peer, _) = stage.accept();
        peer.welcome(true, &[0x13, 0, 1]);
        peer.grant_subscription();
        peer.one_byte_each(Duration::from_secs(1));
        let command = [b"\x32\xc8\x01\x00\x1eedge/v1/nodes/pi-0042/commands".as_slice(), &[1; 160]];
        while peer.raw(&command.concat()).is_ok() {}
        // And one that takes one byte a second.
        let (mut peer, _) = stage.accept();
        peer.welcome(true, &[0x13, 0, 1]);
        peer.grant_subscription();
        let _ = wait.recv_timeout(Duration::from_secs(20));
        assert_eq!(stage.accept_up(true).next(), None);
    });
    let mut node = Node::start(quick(&authority, broker.port));
    node.up().await;
    let (reason, _) = node.down().await;
    assert!(reason.contains("pings"), "{reason}");
    let (connection, _) = node.up().await;
    for seq in 1..=60 {
        let payload = vec![0; 200_000];
        node.link.order(edge_agent::link::Order::Publish { connection, seq, payload });
    }
    let (reason, _) = node.down().await;
    assert!(reason.contains("late") || reason.contains("nothing could be sent"), "{reason}");
    drop(done);
    node.up().await;
    drop(node);
    broker.finish().await;
}
