//! The way to the broker: each endpoint's name, port and TLS; the login; what the node may do there.
//!
//! A broker lets one client in under an id, and a second takes the first one's session. So while an
//! agent runs nobody logs in here: the agent says how its link is, and endpoints are only looked at as
//! far as TLS, which no session is touched by.

use std::net::IpAddr;
use std::sync::Arc;

use edge_protocol::codec::encode;
use edge_protocol::topic::Topics;

use super::agent::Presence;
use super::clock::instant;
use super::diagnosis::{Lines, State};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::host::figures::{Agent, Figures, Machine};
use crate::link::probe::{self, Guest};
use crate::link::{self, Retained, Stay};
use crate::local::Report;
use crate::node::time::Now;

/// What the node may do at a broker.
const RIGHTS: &str = "broker rights";

/// Who looks at a broker, and as whom.
struct Visitor<'a> {
    config: &'a Config,
    topics: Topics,
    tls: Arc<rustls::ClientConfig>,
    now: Now,
}

pub(super) async fn check(config: &Config, presence: &Presence, now: Now, lines: &mut Lines) {
    let tls = match tls(config) {
        Ok(tls) => tls,
        Err(reason) => return lines.wrong("broker", reason, "mend the file that it names"),
    };
    let topics = Topics::new(&config.broker.topic_root, config.node.clone());
    let visitor = Visitor { config, topics, tls, now };
    let mut works = match presence {
        Presence::Runs(report) => visitor.agent_says(report, lines),
        Presence::Silent(_) | Presence::Hidden | Presence::Absent => false,
    };
    let alone = matches!(presence, Presence::Absent);
    let mut broken = Vec::new();
    for endpoint in &config.broker.endpoints {
        let from = lines.0.len();
        if !visitor.visit(endpoint, alone, lines).await {
            broken.push(from..lines.0.len());
        } else {
            works |= alone;
        }
    }
    // Endpoints are tried in order: where one works, another that does not is no emergency.
    for line in broken.into_iter().flatten().filter(|_| works) {
        let line = &mut lines.0[line];
        line.state = line.state.min(State::Warning);
    }
}

fn tls(config: &Config) -> Result<Arc<rustls::ClientConfig>, String> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let broker = &config.broker;
    let (ca, cert, key) =
        (read(&broker.ca_file)?, read(&broker.cert_file)?, read(&broker.key_file)?);
    link::tls(&ca, &cert, &key).map(Arc::new).map_err(|error| crate::chain(&error))
}

impl Visitor<'_> {
    /// What the running agent says of its link. Tells whether it is connected.
    fn agent_says(&self, report: &Report, lines: &mut Lines) -> bool {
        const LINK: &str = "broker link";
        let since = instant(report.link_since_ms);
        if let Some(reason) = &report.offline_because {
            let found = format!("the running agent is not connected since {since}: {reason}");
            let remedy = "mend what the lines below say; the agent then connects by itself";
            lines.wrong(LINK, found, remedy);
            return report.online;
        }
        lines.ok(LINK, format!("the running agent is connected since {since}"));
        let remedy = |topic: String| format!("let the node write {topic}");
        if let Some(refused) = &report.refused {
            lines.wrong(RIGHTS, refused.clone(), remedy(self.topics.events()));
        }
        for (what, code) in &report.not_kept {
            let (name, topic) = match what {
                Retained::Status => ("status", self.topics.status()),
                Retained::State => ("state", self.topics.state()),
            };
            let found = format!("the broker refuses {name} with 0x{code:02x}{}", name_of(*code));
            lines.wrong(RIGHTS, found, remedy(topic));
        }
        if report.refused.is_none() && report.not_kept.is_empty() {
            // Without its subscriptions it would not count as connected.
            lines.ok(RIGHTS, "its subscriptions are granted, and what it tells is taken");
        }
        report.online
    }

    /// Looks at one endpoint: as far as TLS, and where nobody else is this node, all the way. Tells
    /// whether all is well.
    async fn visit(&self, endpoint: &Endpoint, alone: bool, lines: &mut Lines) -> bool {
        match self.arrive(endpoint, lines).await {
            Some(guest) if alone => self.stay(endpoint, guest, lines).await,
            Some(_) => true,
            None => false,
        }
    }

    async fn arrive(&self, endpoint: &Endpoint, lines: &mut Lines) -> Option<Guest> {
        let check = |what: &str| format!("broker {endpoint} {what}");
        let addresses = match probe::resolve(endpoint).await {
            Ok(addresses) => addresses,
            Err(reason) => {
                let remedy = "correct the name in endpoints, or the node's DNS server";
                lines.wrong(check("name"), reason, remedy);
                return None;
            }
        };
        if endpoint.host.parse::<IpAddr>().is_err() {
            let found: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            lines.ok(check("name"), found.join(", "));
        }
        let (stream, address) = match probe::reach(&addresses).await {
            Ok(reached) => reached,
            Err(reason) => {
                let remedy = "start the broker, or open the port in the firewall between";
                lines.wrong(check("port"), reason, remedy);
                return None;
            }
        };
        lines.ok(check("port"), format!("{address} takes connections"));
        match probe::shake_hands(stream, endpoint, Arc::clone(&self.tls)).await {
            Ok(guest) => {
                lines.ok(check("TLS"), "the broker's certificate is good, and by ca_file");
                Some(guest)
            }
            Err(reason) => {
                let remedy = mend_trust(&reason);
                lines.wrong(check("TLS"), reason, remedy);
                None
            }
        }
    }

    /// Logs in as the node, and leaves everything as it was.
    async fn stay(&self, endpoint: &Endpoint, mut guest: Guest, lines: &mut Lines) -> bool {
        let login = format!("broker {endpoint} login");
        let node = self.config.node.to_string();
        let present = match guest.log_in(&node).await {
            Ok(present) => present,
            Err(reason) => {
                let remedy = if reason.contains("certificate") {
                    mend_trust(&reason)
                } else {
                    "let the broker take a client by its certificate, under its common name"
                };
                lines.wrong(login, reason, remedy);
                return false;
            }
        };
        let session =
            if present { "it keeps this node's session" } else { "it keeps no session yet" };
        lines.ok(login, format!("let in as {node}; {session}"));
        let may = self.rights(endpoint, &mut guest, lines).await;
        guest.leave(Stay::Kept).await;
        let bound = self.bound(endpoint, present, lines).await;
        may && bound
    }

    /// What the node may do. Events, status and state can't be tried without saying something untrue;
    /// telemetry is true at any time.
    async fn rights(&self, endpoint: &Endpoint, guest: &mut Guest, lines: &mut Lines) -> bool {
        let check = |topic: &str| format!("broker {endpoint} {topic}");
        let groups = self.config.groups.iter().map(|group| self.topics.group_commands(group));
        let commands: Vec<_> = std::iter::once(self.topics.commands()).chain(groups).collect();
        let mut all = true;
        match guest.subscribe(&commands).await {
            Ok(refusals) => {
                for (topic, refusal) in commands.iter().zip(refusals) {
                    match refusal {
                        None => lines.ok(check(topic), "may be read"),
                        Some(code) => {
                            all = false;
                            let found = format!("may not be read: {code}");
                            lines.wrong(
                                check(topic),
                                found,
                                "let the node read it, in the broker's rules",
                            );
                        }
                    }
                }
            }
            Err(reason) => {
                all = false;
                let remedy = "let the node read its commands, in the broker's rules";
                lines.wrong(check("commands"), reason, remedy);
            }
        }
        let topic = self.topics.telemetry();
        // Of the machine: this program is not the agent.
        let figures = Machine::of(&self.config.data_dir).read();
        let figures = Figures { agent: Agent::default(), ..figures };
        let telemetry = encode(self.config.broker.encoding, &figures.telemetry(self.now, None));
        let remedy =
            "let the node write events, status, state and telemetry, in the broker's rules";
        match guest.publish(topic.clone(), telemetry).await {
            Ok(None) => lines.ok(check(&topic), "may be written"),
            Ok(Some(code)) => {
                all = false;
                let found = format!("may not be written: 0x{code:02x}{}", name_of(code));
                lines.wrong(check(&topic), found, remedy);
            }
            Err(reason) => {
                all = false;
                lines.wrong(check(&topic), reason, remedy);
            }
        }
        all
    }

    /// Whether the broker holds the node to its own client id: else any node could take the session of
    /// any other. Logs in under another; the broker refuses that, or puts the node's own in its place.
    async fn bound(&self, endpoint: &Endpoint, present: bool, lines: &mut Lines) -> bool {
        let check = format!("broker {endpoint} client id");
        let made_here = if present { Stay::Kept } else { Stay::Over };
        let foreign = format!("{}-doctor", self.config.node);
        let bound = match self.again(endpoint, &foreign).await {
            Some((guest, true)) => {
                guest.leave(made_here).await;
                lines.ok(
                    check,
                    "bound to the certificate: the broker puts the common name in its place",
                );
                return true;
            }
            Some((guest, false)) => {
                guest.leave(Stay::Over).await;
                let found = format!(
                    "the broker lets this node in as {foreign}, too: each could take another's place"
                );
                let remedy =
                    "bind client ids to certificates (mosquitto: use_username_as_clientid true)";
                lines.warning(check, found, remedy);
                false
            }
            None => {
                lines.ok(check, "bound to the certificate: the broker refuses another");
                true
            }
        };
        // What was made for this look must not look like a session that kept commands.
        if made_here == Stay::Over
            && let Some((guest, _)) = self.again(endpoint, &self.config.node.to_string()).await
        {
            guest.leave(Stay::Over).await;
        }
        bound
    }

    async fn again(&self, endpoint: &Endpoint, client_id: &str) -> Option<(Guest, bool)> {
        let addresses = probe::resolve(endpoint).await.ok()?;
        let (stream, _) = probe::reach(&addresses).await.ok()?;
        let mut guest = probe::shake_hands(stream, endpoint, Arc::clone(&self.tls)).await.ok()?;
        let present = guest.log_in(client_id).await.ok()?;
        Some((guest, present))
    }
}

/// What to do about a certificate that one side does not accept.
fn mend_trust(reason: &str) -> &'static str {
    if reason.starts_with("the broker does not accept") {
        "have cert_file signed again by the authority that the broker trusts"
    } else if reason.contains("not valid yet") {
        "set this node's clock (timedatectl set-ntp true), unless the certificate is made for later"
    } else if reason.contains("valid for") {
        "name the broker in endpoints as its certificate does"
    } else if reason.contains("xpired") {
        "renew the broker's certificate"
    } else {
        "copy the authority that signed the broker's certificate to ca_file"
    }
}

/// The reason codes of MQTT 5 that a person can do something about.
fn name_of(code: u8) -> &'static str {
    match code {
        0x87 => " (not authorized)",
        0x97 => " (quota exceeded)",
        0x99 => " (payload format invalid)",
        0x80..=0x86 | 0x88..=0x96 | 0x98 | 0x9a..=0xff | 0..=0x7f => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distrust_between_node_and_broker_is_mended_where_its_cause_is() {
        let theirs = "this node does not accept the broker's certificate: certificate";
        for (reason, remedy) in [
            (
                "the broker does not accept this node's certificate: UnknownCA".to_owned(),
                "cert_file",
            ),
            (
                format!("{theirs} not valid yet: verification time 1 (UNIX), but not before 2"),
                "clock",
            ),
            (format!("{theirs} is only valid for DnsName(\"elsewhere.example\")"), "in endpoints"),
            (format!("{theirs} expired: verification time 2 (UNIX), but not after 1"), "renew"),
            (
                "this node does not accept the broker's certificate: UnknownIssuer".to_owned(),
                "ca_file",
            ),
        ] {
            assert!(mend_trust(&reason).contains(remedy), "{reason}: {}", mend_trust(&reason));
        }
    }
}
