//! A real broker on the loopback interface, a line to it that can be cut, and a control plane.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::authority::Authority;
use crate::node::PATIENCE;

/// What the contract's section 2 asks of a broker's rules, but for `mute`, who may write no events.
const RULES: &str = "\
pattern read edge/v1/nodes/%u/commands
pattern read edge/v1/groups/+/commands
pattern write edge/v1/nodes/%u/status
pattern write edge/v1/nodes/%u/state
pattern write edge/v1/nodes/%u/telemetry
user control
topic readwrite #
user pi-0042
topic write edge/v1/nodes/pi-0042/events
";

pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    process: Child,
    _files: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts mosquitto and waits until it listens.
    pub(crate) fn start(authority: &Authority) -> Self {
        Self::limited(authority, "max_packet_size 100000")
    }

    /// As [`Self::start`], with another limit.
    pub(crate) fn limited(authority: &Authority, limit: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name);
        let broker = authority.identity("broker");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(path("ca.pem"), &authority.ca_pem).unwrap();
        fs::write(path("broker.pem"), broker.cert_pem).unwrap();
        fs::write(path("broker.key"), broker.key_pem).unwrap();
        fs::write(path("rules"), RULES).unwrap();
        let config = format!(
            "listener {port} 127.0.0.1\n\
             cafile {0}/ca.pem\ncertfile {0}/broker.pem\nkeyfile {0}/broker.key\n\
             require_certificate true\nuse_identity_as_username true\nacl_file {0}/rules\n\
             persistence false\n{limit}\nlog_dest stderr\nuser root\n",
            files.path().display()
        );
        fs::write(path("mosquitto.conf"), config).unwrap();
        let mut process = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(path("mosquitto.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("mosquitto is installed");
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let running = log.by_ref().any(|line| line.unwrap().contains("running"));
        assert!(running, "mosquitto starts");
        // Its log is read to the end, or it would block once the pipe is full.
        thread::spawn(move || log.for_each(drop));
        Self { port, process, _files: files }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line to a broker that can be cut; a new connection goes through again.
pub(crate) struct Line {
    pub(crate) port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    pub(crate) fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(vec![]));
        let line = Self { port, open: Arc::clone(&open) };
        // Ends with the test process.
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let Ok(far) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                for (mut from, mut to) in [(&near, &far), (&far, &near)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
                {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        line
    }

    /// Ends every connection, wherever in a packet it is.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A control plane that reads `filter` and sends commands.
pub(crate) struct Control {
    client: AsyncClient,
    arrived: UnboundedReceiver<Publish>,
}

impl Control {
    pub(crate) async fn connect(authority: &Authority, port: u16, filter: &str) -> Self {
        let mut options = MqttOptions::new("control", "127.0.0.1", port);
        let tls = TlsConfiguration::Rustls(authority.client("control"));
        options.set_transport(Transport::tls_with_config(tls));
        let (client, mut pipe) = AsyncClient::new(options, 100);
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let (sender, arrived) = unbounded_channel();
        let (subscribed, ready) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut subscribed = Some(subscribed);
            while let Ok(event) = pipe.poll().await {
                match event {
                    Event::Incoming(Packet::Publish(publish)) => {
                        let _ = sender.send(publish);
                    }
                    Event::Incoming(Packet::SubAck(_)) => {
                        subscribed.take().map(|subscribed| subscribed.send(()));
                    }
                    Event::Incoming(_) | Event::Outgoing(_) => {}
                }
            }
        });
        timeout(PATIENCE, ready).await.unwrap().unwrap();
        Self { client, arrived }
    }

    pub(crate) async fn send(&self, topic: &str, retain: bool, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload.to_owned()).await.unwrap();
    }

    /// The next message's topic, text and retain flag.
    pub(crate) async fn next(&mut self) -> (String, String, bool) {
        let publish = timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&publish.topic), text(&publish.payload), publish.retain)
    }

    pub(crate) async fn expect(&mut self, payload: &str) {
        assert_eq!(self.next().await.1, payload);
    }
}
