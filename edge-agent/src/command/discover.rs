//! `edge-agent discover`: the plugs of the local network, as configuration ready to paste.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use edge_agent::config::Sketch;
use edge_agent::venue::{Place, lookout};
use edge_agent::{chain, status};
use plug_driver::discover::{Found, Network, announced, outlets, scan, together};
use serde_json::{Value, json};

use super::{Done, Failure, UNAVAILABLE, runtime, say};

/// What whoever finds no plug may try.
const NO_PLUGS: &str = "no plug was found: name the network to look through, such as --network \
                        192.168.1.0/24, since Tasmota plugs mostly do not announce themselves, or \
                        the broker that they hang on, such as --mqtt 192.168.1.10";
/// Plugs have their web server here.
const HTTP_PORT: u16 = 80;

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Ask each address of this network too, such as 192.168.1.0/24 (a /22 at most): Tasmota plugs
    /// mostly do not announce themselves.
    #[arg(long, value_name = "CIDR")]
    network: Option<Network>,
    /// Ask this broker too, which Tasmota plugs hang on, for the plugs that it knows; unless named, the one
    /// of [plugs] in the configuration. Its login is the one there.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = Place::parse)]
    mqtt: Option<Place>,
    /// How long to listen for plugs that announce themselves; 0 does not listen.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=300))]
    seconds: u64,
    /// The port to ask at.
    #[arg(long, value_name = "PORT", default_value_t = HTTP_PORT, hide = true)]
    port: u16,
    /// One JSON object, for machines.
    #[arg(long)]
    json: bool,
}

/// Looks, and prints blocks for `agent.toml`. Needs no configuration; the ids of one are not used again.
pub(crate) fn run(config: &Path, arguments: &Arguments) -> Done {
    let runtime = runtime()?;
    let sketch = Sketch::of(config).unwrap_or_default();
    let broker = broker(arguments.mqtt.clone(), sketch.plugs);
    let found = runtime.block_on(looked(arguments, broker.as_ref()));
    let found = found.map_err(|it| it.for_machine(arguments.json))?;
    let taken: BTreeSet<String> = sketch.outlets.into_iter().collect();
    let blocks = outlets(&found, &taken);
    if arguments.json {
        let plugs: Vec<Value> = found.iter().map(plug).collect();
        return Ok(say(&json!({ "plugs": plugs, "configuration": blocks }).to_string()));
    }
    if found.is_empty() {
        return Err(Failure::new(UNAVAILABLE, NO_PLUGS));
    }
    Ok(say(blocks.trim_end()))
}

/// The broker to ask: the one that was `named`, with the login of the one in the configuration.
fn broker(named: Option<Place>, configured: Option<Place>) -> Option<Place> {
    let Some(named) = named else { return configured };
    let login = configured.map(|place| (place.username, place.password_file));
    let (username, password_file) = login.unwrap_or_default();
    Some(Place { username, password_file, ..named })
}

async fn looked(arguments: &Arguments, broker: Option<&Place>) -> Result<Vec<Found>, Failure> {
    let listen = async {
        match arguments.seconds {
            0 => Ok(Vec::new()),
            seconds => announced(Duration::from_secs(seconds)).await,
        }
    };
    let look = async {
        match arguments.network {
            Some(network) => scan(network, arguments.port).await,
            None => Vec::new(),
        }
    };
    let ask = async {
        match broker {
            Some(broker) => lookout(broker).await.unwrap_or_else(|reason| {
                // What was found otherwise is told all the same.
                status::complain(&format!(
                    "warning: the broker at {broker} can't be asked: {reason}"
                ));
                Vec::new()
            }),
            None => Vec::new(),
        }
    };
    let (heard, seen, known) = tokio::join!(listen, look, ask);
    let heard = match heard {
        Ok(heard) => heard,
        // What was asked for by name was found all the same.
        Err(error) if arguments.network.is_some() || broker.is_some() => {
            status::complain(&format!("warning: {}", chain(&error)));
            Vec::new()
        }
        Err(error) => return Err(Failure::new(UNAVAILABLE, chain(&error))),
    };
    Ok(together(heard.into_iter().chain(seen).chain(known)))
}

fn plug(found: &Found) -> Value {
    json!({
        "driver": found.family.driver_name(),
        "generation": found.generation,
        "firmware": found.firmware,
        "name": found.name,
        "url": found.url,
        "mqtt_topic": found.at_broker.as_ref().map(|it| &it.topic),
        "mqtt_full_topic": found.at_broker.as_ref().map(|it| &it.full_topic),
        "relays": found.relays,
        "metered": found.metered,
        "password_needed": found.password_needed,
    })
}
