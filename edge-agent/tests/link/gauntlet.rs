//! A node that has events to deliver, led through hostile connections one after another and then
//! to a good broker: whatever happened, every event arrives there, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use edge_agent::link::{News, Reconnect, Settings};
use tokio::time::interval;

use crate::authority::Authority;
use crate::node::{Node, settings};
use crate::scripted::{Peer, Scripted, Stage};

pub(crate) const NODE: &str = "pi-0042";
/// How many events the node has to deliver at any time.
const EVENTS: u64 = 20;
/// The longest wait between two attempts, for hostile connections by the hundred.
const LONGEST: Duration = Duration::from_millis(10);
/// How often somebody looks whether the script is over.
const LOOK: Duration = Duration::from_millis(20);

/// What a broker does with one connection, and what that is called.
pub(crate) struct Case {
    name: String,
    act: Box<dyn FnOnce(&Stage) + Send>,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, act: impl FnOnce(&Stage) + Send + 'static) -> Self {
        Self { name: name.into(), act: Box::new(act) }
    }

    /// `bytes` at `moment`; the node must hang up on them.
    pub(crate) fn refused(name: impl Into<String>, moment: Moment, bytes: Vec<u8>) -> Self {
        let name = format!("{}, {moment:?}", name.into());
        let told = name.clone();
        Self::new(name, move |stage| {
            let mut peer = moment.reached(stage);
            // The node may have hung up before the last byte.
            let _ = peer.raw(&bytes);
            assert!(peer.is_hung_up_on(), "{told}: the node stays");
        })
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Connected,
    Welcomed,
    Up,
}

pub(crate) const MOMENTS: [Moment; 3] = [Moment::Connected, Moment::Welcomed, Moment::Up];

impl Moment {
    /// The next connection, when it has come so far.
    pub(crate) fn reached(self, stage: &Stage) -> Peer {
        let (mut peer, _) = stage.accept();
        if self != Self::Connected {
            peer.welcome(true, &[]);
        }
        if self == Self::Up {
            peer.grant_subscription();
        }
        peer
    }
}

/// What the node was told on its way.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Why each connection ended, and whether it was taken over.
    pub(crate) downs: Vec<(String, bool)>,
    /// Events that count as delivered.
    pub(crate) delivered: BTreeSet<u64>,
    /// Refusals of events.
    pub(crate) refusals: Vec<u8>,
    /// Commands, none of which is acknowledged.
    pub(crate) commands: usize,
}

/// The settings of a node that comes back at once.
pub(crate) fn quick(authority: &Authority, port: u16) -> Settings {
    let reconnect = Reconnect { min: Duration::from_millis(2), max: LONGEST };
    let ack_deadline = Duration::from_millis(500);
    Settings { reconnect, ack_deadline, ..settings(authority, NODE, port) }
}

/// Leads a node through `cases`, one connection each, and on to a good broker.
pub(crate) async fn run(cases: Vec<Case>) -> Told {
    let authority = Authority::new();
    let count = cases.len();
    assert!(count > 0);
    let broker = Scripted::start(&authority, move |stage| {
        for Case { name, act } in cases {
            // The harness shows this for a test that fails.
            eprintln!("{name}");
            act(stage);
        }
        good(stage);
    });
    let mut told = deliver(quick(&authority, broker.port), &broker).await;
    // After the script's end nobody listens any more.
    told.downs.truncate(count);
    let acknowledged = broker.acknowledged.lock().unwrap().clone();
    let wrong = told.delivered.iter().find(|seq| !acknowledged.contains(&event(**seq)));
    assert_eq!(wrong, None, "told as delivered, and the broker never acknowledged it");
    broker.finish().await;
    let test = std::thread::current().name().unwrap_or_default().replace('_', " ");
    figure(&format!("hostile connections: {test}"), count);
    told
}

/// Prints one line of the table of figures.
#[expect(clippy::print_stdout, reason = "a script collects these lines")]
pub(crate) fn figure(what: &str, value: impl std::fmt::Display) {
    println!("FIGURE\thostile broker\t{what}\t{value}");
}

fn event(seq: u64) -> Vec<u8> {
    format!("event {seq}").into_bytes()
}

/// A broker that does as it should, until it has had [`EVENTS`].
pub(crate) fn good(stage: &Stage) {
    let mut peer = stage.accept_up(true);
    let mut expected = None;
    for _ in 0..EVENTS {
        let (id, text) = peer.event();
        let seq: u64 = text.strip_prefix("event ").unwrap().parse().unwrap();
        assert!(expected.is_none_or(|expected| seq == expected), "{seq}, not {expected:?}");
        expected = Some(seq + 1);
        peer.acknowledge(id);
    }
}

/// Delivers events as the outbox does, in order, and again from the first that is not delivered
/// after each reconnect, until the script is over.
pub(crate) async fn deliver(settings: Settings, broker: &Scripted) -> Told {
    let mut node = Node::start(settings);
    let mut told = Told::default();
    let mut looks = interval(LOOK);
    loop {
        let news = tokio::select! {
            news = node.news.recv() => news.expect("a living link"),
            _ = looks.tick() => if broker.is_over() { break } else { continue },
        };
        match news {
            News::Up { connection, .. } => {
                let first = (1..).find(|seq| !told.delivered.contains(seq)).unwrap();
                for seq in first..first + EVENTS {
                    node.publish(connection, seq);
                }
            }
            News::Down { reason, session_taken_over } => {
                assert!(reason.len() < 400 && !reason.contains(char::is_control), "{reason}");
                told.downs.push((reason, session_taken_over));
            }
            News::Delivered { seq } => {
                told.delivered.insert(seq);
            }
            News::Refused { code, .. } => told.refusals.push(code),
            News::Command { .. } => told.commands += 1,
            News::Retained { .. } => panic!("it was given no status or state to keep"),
        }
    }
    told
}
