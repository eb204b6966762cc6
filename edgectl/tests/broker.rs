//! The lab's broker and the control plane's connection, as section 2 of the contract wants
//! them: who gets in, who may what, and what a restart keeps.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::id::{GroupId, NodeId};
use edge_protocol::topic::{DEFAULT_ROOT, Topics};
use edgectl::ca::{Authority, Issued, Validity};
use edgectl::control::{ControlPlane, Endpoint, Message, PublishError};
use edgectl::lab::broker::{Broker, BrokerError, BrokerOptions};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::timeout;

/// Far above what a loaded machine needs.
const LIMIT: Duration = Duration::from_secs(20);

struct Site {
    authority: Authority,
    broker: Broker,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(BrokerOptions::default()).await
    }

    async fn start_with(options: BrokerOptions) -> Self {
        let authority = Authority::in_memory().expect("an authority");
        let broker = Broker::start(&authority, options).await.expect("mosquitto starts");
        Self { authority, broker }
    }

    fn endpoint(&self, identity: Issued) -> Endpoint {
        Endpoint {
            host: "localhost".to_owned(),
            port: self.broker.port(),
            ca_pem: self.authority.cert_pem().to_owned(),
            identity,
            root: DEFAULT_ROOT.to_owned(),
        }
    }

    fn control_endpoint(&self) -> Endpoint {
        let validity = Validity::days(1).expect("a day");
        self.endpoint(self.authority.issue_control_plane(validity).expect("a certificate"))
    }

    async fn control(&self) -> ControlPlane {
        let endpoint = self.control_endpoint();
        limit(ControlPlane::connect(&endpoint)).await.expect("the control plane connects")
    }

    /// A node's connection, with its id as client id.
    async fn node(&self, id: &str) -> Node {
        self.node_as(id, id).await.expect("the node connects")
    }

    async fn node_as(&self, id: &str, client_id: &str) -> Result<Node, String> {
        let issued = self.authority.issue_node(&node(id)).expect("a certificate");
        Node::connect(&self.endpoint(issued), client_id).await
    }
}

/// A client with nothing between the test and the broker.
struct Node {
    client: AsyncClient,
    events: EventLoop,
    session_present: bool,
}

impl Node {
    async fn connect(endpoint: &Endpoint, client_id: &str) -> Result<Self, String> {
        Self::connect_with(endpoint.tls().expect("usable certificates"), endpoint, client_id).await
    }

    async fn connect_with(
        tls: Arc<ClientConfig>,
        endpoint: &Endpoint,
        client_id: &str,
    ) -> Result<Self, String> {
        let mut options = MqttOptions::new(client_id, &endpoint.host, endpoint.port);
        let tls = TlsConfiguration::Rustls(tls);
        options
            .set_transport(Transport::tls_with_config(tls))
            .set_clean_start(false)
            .set_session_expiry_interval(Some(3_600));
        let (client, mut events) = AsyncClient::new(options, 16);
        let event = limit(events.poll()).await.map_err(|error| format!("{error:?}"))?;
        let Event::Incoming(Packet::ConnAck(ack)) = event else { panic!("{event:?}") };
        Ok(Self { client, events, session_present: ack.session_present })
    }

    async fn next(&mut self) -> Result<Packet, String> {
        loop {
            let event = limit(self.events.poll()).await.map_err(|error| format!("{error:?}"))?;
            if let Event::Incoming(packet) = event {
                return Ok(packet);
            }
        }
    }

    async fn subscribe(&mut self, filter: &str) {
        self.client.try_subscribe(filter, QoS::AtLeastOnce).expect("room for a request");
        while !matches!(self.next().await.expect("an answer"), Packet::SubAck(_)) {}
    }

    async fn publish(&mut self, topic: &str) -> PubAckReason {
        self.client.try_publish(topic, QoS::AtLeastOnce, false, "x").expect("room for a request");
        loop {
            if let Packet::PubAck(ack) = self.next().await.expect("an answer") {
                return ack.reason;
            }
        }
    }

    /// The payload of the next message.
    async fn message(&mut self) -> String {
        loop {
            if let Packet::Publish(publish) = self.next().await.expect("a message") {
                return String::from_utf8_lossy(&publish.payload).into_owned();
            }
        }
    }
}

async fn limit<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it happens in time")
}

fn node(id: &str) -> NodeId {
    id.parse().expect("a node id")
}

fn topics(id: &str) -> Topics {
    Topics::new(DEFAULT_ROOT, node(id))
}

#[tokio::test]
async fn only_a_valid_certificate_of_the_sites_authority_gets_in() {
    let site = Site::start().await;
    let foreign = Authority::in_memory().unwrap().issue_node(&node("a")).unwrap();
    let refused = Node::connect(&site.endpoint(foreign), "a").await.err().unwrap();
    assert!(refused.contains("UnknownCA") || refused.contains("DecryptError"), "{refused}");

    let day = Duration::from_hours(24);
    let mut past = Validity::days(1).unwrap();
    past.not_after -= day + day / 2;
    let expired = site.authority.issue_node_with(&node("a"), past).unwrap();
    let refused = Node::connect(&site.endpoint(expired), "a").await.err().unwrap();
    assert!(refused.contains("CertificateExpired"), "{refused}");

    let endpoint = site.control_endpoint();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(endpoint.ca_pem.as_bytes()).unwrap()).unwrap();
    let bare = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let refused = Node::connect_with(Arc::new(bare), &endpoint, "a").await.err().unwrap();
    assert!(refused.contains("CertificateRequired"), "{refused}");

    let brokers = site.authority.issue_broker(&["localhost"]).unwrap();
    let refused = Node::connect(&site.endpoint(brokers), "localhost").await;
    assert!(refused.is_err(), "a server's certificate is no client's");

    assert!(site.node_as("a", "a").await.is_ok());
}

#[tokio::test]
async fn a_broker_under_another_name_or_authority_is_refused_by_the_client() {
    let options = BrokerOptions { hosts: vec!["broker.example".to_owned()], ..Default::default() };
    let site = Site::start_with(options).await;
    let refused = ControlPlane::connect(&site.control_endpoint()).await.unwrap_err().to_string();
    assert!(refused.contains("not valid for name"), "{refused}");

    let site = Site::start().await;
    let mut endpoint = site.control_endpoint();
    Authority::in_memory().unwrap().cert_pem().clone_into(&mut endpoint.ca_pem);
    let refused = ControlPlane::connect(&endpoint).await.unwrap_err().to_string();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}

#[tokio::test]
async fn a_node_reads_its_own_commands_and_no_other_nodes() {
    let site = Site::start().await;
    let control = site.control().await;
    let mut a = site.node("a").await;
    a.subscribe("#").await;
    a.subscribe(&topics("b").commands()).await;
    a.subscribe(&topics("a").commands()).await;
    for to in ["b", "a"] {
        limit(control.publish_command(&topics(to).commands(), to, false)).await.unwrap();
    }
    assert_eq!(a.message().await, "a");
}

#[tokio::test]
async fn a_node_reads_the_commands_of_its_own_groups_only() {
    let group = |id: &str| id.parse::<GroupId>().expect("a group id");
    let groups = [(group("cafe"), vec![node("a"), node("b")]), (group("laundry"), vec![node("b")])];
    let site =
        Site::start_with(BrokerOptions { groups: groups.into(), ..Default::default() }).await;
    let control = site.control().await;
    let mut a = site.node("a").await;
    a.subscribe("edge/v1/groups/+/commands").await;
    for to in ["laundry", "cafe"] {
        let topic = topics("a").group_commands(&group(to));
        limit(control.publish_command(&topic, to, false)).await.unwrap();
    }
    assert_eq!(a.message().await, "cafe");
}

#[tokio::test]
async fn a_node_writes_its_own_topics_and_nothing_else() {
    let site = Site::start().await;
    let mut control = site.control().await;
    let mut a = site.node("a").await;
    let (own, other) = (topics("a"), topics("b"));
    let forbidden = [
        other.events(),
        other.status(),
        other.state(),
        own.commands(),
        other.commands(),
        "x".to_owned(),
    ];
    for topic in forbidden {
        assert_eq!(a.publish(&topic).await, PubAckReason::NotAuthorized, "{topic}");
    }
    for topic in [own.events(), own.status(), own.state()] {
        assert_eq!(a.publish(&topic).await, PubAckReason::Success, "{topic}");
        let message = limit(control.next()).await.unwrap();
        assert_eq!(message, Message { topic, payload: b"x".to_vec(), retain: false });
    }
}

#[tokio::test]
async fn a_client_id_is_the_certificates_name_whatever_the_client_asks() {
    let site = Site::start().await;
    let control = site.control().await;
    let mut b = site.node("b").await;
    b.subscribe(&topics("b").commands()).await;
    let mut thief = site.node_as("a", "b").await.unwrap();
    assert!(!thief.session_present, "the session of b stays with b");
    thief.subscribe(&topics("a").commands()).await;
    limit(control.publish_command(&topics("b").commands(), "to b", false)).await.unwrap();
    assert_eq!(b.message().await, "to b");
    // Its session is that of its own name: the next connection as `a` finds it and ends it.
    let again = site.node("a").await;
    assert!(again.session_present);
    while !matches!(thief.next().await, Err(_) | Ok(Packet::Disconnect(_))) {}
    assert!(site.broker.log().contains("Client a already connected, closing old connection"));
}

#[tokio::test]
async fn commands_wait_for_a_node_through_a_restart_of_the_broker() {
    let mut site = Site::start().await;
    let control = site.control().await;
    let mut a = site.node("a").await;
    a.subscribe(&topics("a").commands()).await;
    drop(a);
    limit(control.publish_command(&topics("a").commands(), "1", false)).await.unwrap();
    let port = site.broker.port();
    site.broker.stop().await.unwrap();
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    // Ordered while there is no broker: taken once there is one again.
    let topic = topics("a").commands();
    let late = control.publish_command(&topic, "2", false);
    let back = async {
        site.broker.start_again().await.unwrap();
    };
    let (late, ()) = limit(async { tokio::join!(late, back) }).await;
    late.unwrap();
    assert_eq!(site.broker.port(), port);
    let mut a = site.node("a").await;
    assert!(a.session_present);
    assert_eq!([a.message().await, a.message().await], ["1", "2"]);
}

#[tokio::test]
async fn a_killed_broker_has_forgotten_its_clients_and_the_control_plane_subscribes_again() {
    let mut site = Site::start().await;
    let mut control = site.control().await;
    let mut a = site.node("a").await;
    a.subscribe(&topics("a").commands()).await;
    site.broker.kill().await.unwrap();
    assert!(site.broker.stop().await.is_err(), "there is nothing to stop");
    site.broker.start_again().await.unwrap();
    let mut a = site.node("a").await;
    assert!(!a.session_present);
    // Proves the control plane is back; it subscribed before it sent this.
    limit(control.publish_command(&topics("a").commands(), "x", false)).await.unwrap();
    assert_eq!(a.publish(&topics("a").events()).await, PubAckReason::Success);
    assert_eq!(limit(control.next()).await.unwrap().topic, topics("a").events());
}

#[tokio::test]
async fn a_frozen_broker_answers_once_thawed() {
    let site = Site::start().await;
    let control = site.control().await;
    site.broker.freeze().unwrap();
    let topic = topics("a").commands();
    let mut waiting = std::pin::pin!(control.publish_command(&topic, "x", false));
    let early = timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "nobody can have answered: {early:?}");
    site.broker.thaw().unwrap();
    limit(waiting).await.unwrap();
}

#[tokio::test]
async fn commands_on_their_way_to_a_dying_broker_are_sent_again() {
    let mut site = Site::start().await;
    let control = site.control().await;
    site.broker.freeze().unwrap();
    let topic = topics("a").commands();
    let publish = || control.publish_command(&topic, "x", false);
    let mut sent = std::pin::pin!(async { tokio::join!(publish(), publish(), publish()) });
    // Long enough to be written to the socket of the frozen broker.
    let early = timeout(Duration::from_millis(200), &mut sent).await;
    assert!(early.is_err(), "nobody can have answered: {early:?}");
    site.broker.kill().await.unwrap();
    site.broker.start_again().await.unwrap();
    assert_eq!(limit(sent).await, (Ok(()), Ok(()), Ok(())));
}

#[tokio::test]
async fn every_command_is_answered_once_and_arrives_in_order() {
    let site = Site::start().await;
    let control = site.control().await;
    let mut a = site.node("a").await;
    a.subscribe(&topics("a").commands()).await;
    let topic = topics("a").commands();
    let sending = async {
        let publish = |n: u32| control.publish_command(&topic, n.to_string(), false);
        for n in 0..200 {
            publish(n).await.unwrap();
        }
    };
    let receiving = async {
        for n in 0..200 {
            assert_eq!(a.message().await, n.to_string());
        }
    };
    limit(Box::pin(async { tokio::join!(sending, receiving) })).await;
    let wild = control.publish_command("edge/v1/nodes/+/commands", "x", false).await;
    assert!(matches!(wild, Err(PublishError::BadTopic { .. })));
    let refused = control.publish_command("elsewhere", "x", false).await;
    assert_eq!(refused, Err(PublishError::Refused(PubAckReason::NotAuthorized)));
}

#[tokio::test]
async fn what_nobody_took_comes_again_and_none_is_missed() {
    let mut site = Site::start().await;
    let mut control = site.control().await;
    let mut a = site.node("a").await;
    // More than the inbox holds.
    let count = 700_u32;
    for n in 0..count {
        let topic = topics("a").events();
        a.client.publish(topic, QoS::AtLeastOnce, false, n.to_string()).await.unwrap();
        while !matches!(a.next().await.unwrap(), Packet::PubAck(_)) {}
        // Twice, so that the inbox overflows with what comes again.
        if n == 300 || n == 400 {
            site.broker.stop().await.unwrap();
            site.broker.start_again().await.unwrap();
            a = site.node("a").await;
            // Its answer comes behind all that the broker brings again.
            limit(control.publish_command(&topics("a").commands(), "x", false)).await.unwrap();
        }
    }
    let mut missing: std::collections::BTreeSet<u32> = (0..count).collect();
    while !missing.is_empty() {
        let message = limit(control.next()).await.unwrap();
        let text = String::from_utf8(message.payload).unwrap();
        missing.remove(&text.parse().unwrap());
    }
}

#[tokio::test]
async fn a_dropped_broker_leaves_nothing_behind() {
    let site = Site::start().await;
    let (port, folder) = (site.broker.port(), site.broker.folder().to_owned());
    assert!(site.broker.log().contains("mosquitto version"), "{}", site.broker.log());
    assert!(folder.join("broker.key").exists());
    drop(site);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_broker_whose_port_somebody_else_has_is_not_taken_for_a_running_one() {
    let mut site = Site::start().await;
    site.broker.stop().await.unwrap();
    let _stranger = std::net::TcpListener::bind(("127.0.0.1", site.broker.port())).unwrap();
    let error = limit(site.broker.start_again()).await.unwrap_err();
    assert!(matches!(error, BrokerError::Ended { .. }), "{error}");
}
