//! How often a hostile broker gets a node to connect, in a minute scaled down to three seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edge_agent::link::{News, Reconnect};
use tokio::time::{Instant, sleep_until};

use crate::authority::Authority;
use crate::gauntlet::{MOMENTS, Moment, NODE, figure};
use crate::node::{Node, settings};
use crate::scripted::{Scripted, Stage};

/// A minute takes a twentieth of one.
const SCALE: u32 = 20;
/// What `reconnect_min_ms` 500 and `reconnect_max_ms` 60,000 allow in a minute, however the jitter
/// falls: seven steps up to the maximum, and from there few more.
const ALLOWED: usize = 25;

/// What is done to each connection.
type Act = fn(&Stage);

#[tokio::test]
async fn no_broker_is_called_more_often_than_the_backoff_allows() {
    let acts: [(&str, Act); 8] = [
        ("closes at once", |stage| drop(stage.accept_tcp())),
        ("closes when connected", |stage| drop(MOMENTS[0].reached(stage))),
        ("closes when welcomed", |stage| drop(MOMENTS[1].reached(stage))),
        ("closes when up", |stage| drop(MOMENTS[2].reached(stage))),
        ("refuses", |stage| send(stage, Moment::Connected, &[0x20, 3, 0, 0x87, 0])),
        ("sends garbage", |stage| send(stage, Moment::Up, &[0xff; 64])),
        ("welcomes twice", |stage| send(stage, Moment::Up, &[0x20, 3, 0, 0, 0])),
        ("acknowledges nothing that was sent", |stage| send(stage, Moment::Up, &[0x40, 2, 9, 9])),
    ];
    let mut trials = vec![];
    for (name, act) in acts {
        trials.push((name, tokio::spawn(attempts(act))));
    }
    for (name, trial) in trials {
        let attempts = trial.await.unwrap();
        figure(&format!("attempts in a minute, it {name}"), format!("{attempts} of {ALLOWED}"));
        assert!((3..=ALLOWED).contains(&attempts), "it {name}: {attempts} attempts");
    }
}

/// How often a node connects in a scaled minute to somebody who does this to it.
async fn attempts(act: Act) -> usize {
    let authority = Authority::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let broker = Scripted::start(&authority, move |stage| {
        // Ends with the test process.
        loop {
            act(stage);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut settings = settings(&authority, NODE, broker.port);
    let [min, max] = [Duration::from_millis(500), Duration::from_secs(60)].map(|it| it / SCALE);
    settings.reconnect = Reconnect { min, max };
    let until = Instant::now() + Duration::from_secs(60) / SCALE;
    let mut node = Node::start(settings);
    let mut downs = 0;
    loop {
        tokio::select! {
            () = sleep_until(until) => break,
            news = node.news.recv() => downs += usize::from(matches!(news, Some(News::Down { .. }))),
        }
    }
    let attempts = count.load(Ordering::Relaxed);
    assert!(downs <= attempts + 1, "no attempt but over the line: {downs} of {attempts}");
    attempts
}

fn send(stage: &Stage, moment: Moment, bytes: &[u8]) {
    let mut peer = moment.reached(stage);
    peer.raw(bytes).unwrap();
    peer.is_hung_up_on();
}
