//! The loop's side of the link, as small as it can be.

use std::time::Duration;

use edge_agent::link::{Link, News, Order, Reconnect, Settings, Token};
use edge_protocol::topic::{DEFAULT_ROOT, Topics};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::authority::Authority;

/// For whatever must happen: generous, since it only ends a test that has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The events that the loop keeps unacknowledged at most.
const WINDOW: u64 = 32;

pub(crate) struct Node {
    pub(crate) link: Link,
    pub(crate) news: UnboundedReceiver<News>,
}

/// Settings for `node`, quick to come back, of a broker on `port`.
pub(crate) fn settings(authority: &Authority, node: &str, port: u16) -> Settings {
    Settings {
        client_id: node.to_owned(),
        endpoints: vec![edge_agent::endpoint::Endpoint { host: "127.0.0.1".into(), port }],
        tls: authority.client(node),
        topics: Topics::new(DEFAULT_ROOT, node.parse().unwrap()),
        groups: vec![],
        keep_alive: Duration::from_secs(5),
        reconnect: Reconnect { min: Duration::from_millis(20), max: Duration::from_millis(100) },
        will: b"lost".to_vec(),
        ack_deadline: Duration::from_secs(30),
    }
}

impl Node {
    pub(crate) fn start(settings: Settings) -> Self {
        let (link, news) = Link::spawn(settings);
        Self { link, news }
    }

    pub(crate) async fn next(&mut self) -> News {
        timeout(PATIENCE, self.news.recv()).await.expect("news in time").expect("a living link")
    }

    /// The next connection's number and whether the broker remembered the node; failed attempts
    /// and answers before it are passed over.
    pub(crate) async fn up(&mut self) -> (u64, bool) {
        let up = async {
            loop {
                if let News::Up { connection, session_present } = self.next().await {
                    return (connection, session_present);
                }
            }
        };
        timeout(PATIENCE, up).await.expect("a connection in time")
    }

    /// Why the link went down or couldn't come up, and whether it was taken over.
    pub(crate) async fn down(&mut self) -> (String, bool) {
        let news = self.next().await;
        let News::Down { reason, session_taken_over } = news else {
            panic!("expected the link to go down, not {news:?}");
        };
        (reason, session_taken_over)
    }

    pub(crate) async fn command(&mut self) -> (Token, String) {
        let news = self.next().await;
        let News::Command { token, payload, retained: false } = news else {
            panic!("expected a command, not {news:?}");
        };
        (token, String::from_utf8(payload).unwrap())
    }

    pub(crate) fn publish(&self, connection: u64, seq: u64) {
        let payload = format!("event {seq}").into_bytes();
        self.link.order(Order::Publish { connection, seq, payload });
    }

    /// Publishes the events 1 to `last` as the outbox does: in order, within a window, and again
    /// from the oldest undelivered one after each reconnect. `on_delivered` sees each delivery.
    pub(crate) async fn deliver(&mut self, last: u64, mut on_delivered: impl FnMut(u64)) {
        let mut connection = None;
        let (mut delivered, mut next) = (0, 1);
        while delivered < last {
            match self.next().await {
                News::Up { connection: number, .. } => {
                    connection = Some(number);
                    next = delivered + 1;
                }
                News::Down { .. } => connection = None,
                News::Delivered { seq } => {
                    assert_eq!(seq, delivered + 1, "deliveries come in order");
                    delivered = seq;
                    on_delivered(seq);
                }
                other @ (News::Command { .. } | News::Refused { .. } | News::Retained { .. }) => {
                    panic!("{other:?}")
                }
            }
            if let Some(connection) = connection {
                while next <= last.min(delivered + WINDOW) {
                    self.publish(connection, next);
                    next += 1;
                }
            }
        }
    }
}
