//! What an operator of a real broker sees.

use edge_agent::link::{News, Order, Retained};

use crate::authority::Authority;
use crate::mosquitto::{Control, Line, Mosquitto};
use crate::node::{Node, settings};

const NODE: &str = "pi-0042";
const COMMANDS: &str = "edge/v1/nodes/pi-0042/commands";
const EVENTS: &str = "edge/v1/nodes/pi-0042/events";
const STATUS: &str = "edge/v1/nodes/pi-0042/status";

#[tokio::test]
async fn every_event_arrives_in_order_however_often_the_line_is_cut() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let line = Line::to(broker.port);
    let mut control = Control::connect(&authority, broker.port, EVENTS).await;
    let mut node = Node::start(settings(&authority, NODE, line.port));

    node.deliver(500, |seq| {
        if seq % 60 == 0 {
            line.cut();
        }
    })
    .await;

    // An event may arrive twice; the first arrivals are in order and without a gap.
    let mut arrived = 0;
    while arrived < 500 {
        let (_, text, _) = control.next().await;
        let seq: u64 = text.strip_prefix("event ").unwrap().parse().unwrap();
        assert!(seq <= arrived + 1, "{seq} came after {arrived}");
        arrived = arrived.max(seq);
    }
}

#[tokio::test]
async fn only_an_acknowledged_command_stays_away_after_a_reconnect() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let line = Line::to(broker.port);
    let control = Control::connect(&authority, broker.port, "nothing").await;
    let mut node = Node::start(settings(&authority, NODE, line.port));
    assert!(!node.up().await.1, "the broker has never seen this node");
    for command in ["1", "2", "3", "4"] {
        control.send(COMMANDS, false, command).await;
    }
    let mut tokens = vec![];
    for command in ["1", "2", "3", "4"] {
        let (token, payload) = node.command().await;
        assert_eq!(payload, command);
        tokens.push(token);
    }

    node.link.order(Order::Acknowledge(tokens[0]));
    node.link.order(Order::Acknowledge(tokens[2]));
    // Orders are carried out in order, so this delivery shows that the acknowledgements went out.
    node.publish(1, 1);
    assert_eq!(node.next().await, News::Delivered { seq: 1 });
    line.cut();

    assert!(node.up().await.1, "the broker remembers this node");
    // Of the connection before: it must not acknowledge what bears its packet id now.
    node.link.order(Order::Acknowledge(tokens[1]));
    assert_eq!(node.command().await.1, "2");
    assert_eq!(node.command().await.1, "4");
    line.cut();

    node.up().await;
    assert_eq!(node.command().await.1, "2");
    assert_eq!(node.command().await.1, "4");
}

#[tokio::test]
async fn commands_of_its_groups_come_and_those_of_a_group_it_left_do_not() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let control = Control::connect(&authority, broker.port, "nothing").await;
    let mut grouped = settings(&authority, NODE, broker.port);
    grouped.groups = vec!["cafe".parse().unwrap(), "berlin".parse().unwrap()];
    let mut node = Node::start(grouped.clone());
    node.up().await;
    control.send("edge/v1/groups/berlin/commands", false, "all of berlin").await;
    let (token, payload) = node.command().await;
    assert_eq!(payload, "all of berlin");
    node.link.order(Order::Acknowledge(token));
    node.link.shutdown(b"shutdown".to_vec()).await;

    // While the node is away, the broker goes on collecting for the group that it leaves.
    control.send("edge/v1/groups/berlin/commands", false, "too late").await;
    control.send(COMMANDS, false, "").await;
    control.send(COMMANDS, false, "for you").await;
    grouped.groups = vec!["cafe".parse().unwrap()];
    let mut node = Node::start(grouped);
    assert!(node.up().await.1);
    assert_eq!(node.command().await.1, "for you");
}

#[tokio::test]
async fn a_retained_command_is_told_as_such_and_not_again_at_each_reconnect() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let line = Line::to(broker.port);
    let control = Control::connect(&authority, broker.port, "nothing").await;
    let mut node = Node::start(settings(&authority, NODE, line.port));
    node.up().await;
    control.send(COMMANDS, true, "on").await;
    let News::Command { token, retained, .. } = node.next().await else { panic!("a command") };
    assert!(retained);
    node.link.order(Order::Acknowledge(token));
    node.publish(1, 1);
    assert_eq!(node.next().await, News::Delivered { seq: 1 });

    line.cut();
    node.up().await;
    control.send(COMMANDS, false, "next").await;
    assert_eq!(node.command().await.1, "next");
}

#[tokio::test]
async fn the_retained_status_tells_a_lost_node_from_one_that_stopped() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let line = Line::to(broker.port);
    let mut control = Control::connect(&authority, broker.port, STATUS).await;
    let mut node = Node::start(settings(&authority, NODE, line.port));
    node.up().await;
    node.link.order(Order::Status(b"online".to_vec()));
    control.expect("online").await;
    line.cut();
    control.expect("lost").await;

    node.up().await;
    node.link.order(Order::Status(b"online again".to_vec()));
    node.link.shutdown(b"shutdown".to_vec()).await;
    control.expect("online again").await;
    control.expect("shutdown").await;

    let mut later = Control::connect(&authority, broker.port, STATUS).await;
    assert_eq!(later.next().await, (STATUS.to_owned(), "shutdown".to_owned(), true));
}

#[tokio::test]
async fn state_is_retained_and_telemetry_is_not() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let mut control = Control::connect(&authority, broker.port, "edge/v1/nodes/+/+").await;
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    node.up().await;
    node.link.order(Order::State(b"a state".to_vec()));
    node.link.order(Order::Telemetry(b"figures".to_vec()));
    control.expect("a state").await;
    control.expect("figures").await;

    let mut later = Control::connect(&authority, broker.port, "edge/v1/nodes/+/+").await;
    let state = "edge/v1/nodes/pi-0042/state".to_owned();
    assert_eq!(later.next().await, (state, "a state".to_owned(), true));
    node.link.order(Order::Telemetry(b"later figures".to_vec()));
    later.expect("later figures").await;
}

#[tokio::test]
async fn what_is_refused_or_too_large_is_told_and_the_link_stays_up() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let mut node = Node::start(settings(&authority, "mute", broker.port));
    let (connection, _) = node.up().await;
    node.publish(connection, 1);
    assert_eq!(node.next().await, News::Refused { seq: 1, code: 0x87 });
    // Over the broker's limit of 100,000 bytes.
    node.link.order(Order::Publish { connection, seq: 2, payload: vec![b'x'; 100_000] });
    assert_eq!(node.next().await, News::Refused { seq: 2, code: 0x95 });
    let state = |refusal| News::Retained { what: Retained::State, refusal };
    node.link.order(Order::State(vec![b'x'; 100_000]));
    assert_eq!(node.next().await, state(Some(0x95)));
    // The same again is no news; that it is kept again is.
    node.link.order(Order::State(vec![b'x'; 100_000]));
    node.link.order(Order::State(b"a small one".to_vec()));
    assert_eq!(node.next().await, state(None));
    node.publish(connection, 3);
    assert_eq!(node.next().await, News::Refused { seq: 3, code: 0x87 });
}

/// Mosquitto answers with a reason code that MQTT 5 doesn't give to a PUBACK. Taken for a broken
/// packet, it ended the connection each time the event was sent again, and nothing behind the
/// event ever arrived.
#[tokio::test]
async fn an_event_above_the_brokers_message_limit_holds_up_nothing() {
    let authority = Authority::new();
    let broker = Mosquitto::limited(&authority, "message_size_limit 1000");
    let mut node = Node::start(settings(&authority, NODE, broker.port));
    let (connection, _) = node.up().await;
    node.link.order(Order::Publish { connection, seq: 1, payload: vec![b'x'; 1_001] });
    node.publish(connection, 2);
    assert_eq!(node.next().await, News::Refused { seq: 1, code: 0x95 });
    assert_eq!(node.next().await, News::Delivered { seq: 2 });
}

/// Mosquitto 2.0.11 doesn't say that a session was taken over; a broker that does is scripted.
#[tokio::test]
async fn a_second_agent_leaves_a_hint_even_where_the_broker_keeps_silent() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let mut first = Node::start(settings(&authority, NODE, broker.port));
    first.up().await;
    let mut second = Node::start(settings(&authority, NODE, broker.port));
    assert!(second.up().await.1, "it takes over the first one's session");
    let (reason, _) = first.down().await;
    assert!(reason.contains("another agent"), "{reason}");
}

#[tokio::test]
async fn an_identity_that_the_broker_does_not_trust_is_a_reason_to_be_read() {
    let authority = Authority::new();
    let broker = Mosquitto::start(&authority);
    let mut settings = settings(&authority, NODE, broker.port);
    let stranger = Authority::new();
    let identity = stranger.identity(NODE);
    let (cert, key) = (identity.cert_pem.as_bytes(), identity.key_pem.as_bytes());
    settings.tls = edge_agent::link::tls(authority.ca_pem.as_bytes(), cert, key).unwrap().into();
    let (reason, _) = Node::start(settings.clone()).down().await;
    assert!(reason.contains("UnknownCA"), "{reason}");

    settings.tls = stranger.client(NODE);
    let (reason, _) = Node::start(settings).down().await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}
