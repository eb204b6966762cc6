//! `edge-agent discover`: the plugs of the local network, as configuration ready to paste.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use edge_agent::config::Sketch;
use edge_agent::{chain, status};
use plug_driver::discover::{Found, Network, announced, outlets, scan, together};
use serde_json::{Value, json};

use super::{Done, Failure, UNAVAILABLE, runtime, say};

/// What whoever finds no plug may try.
const NO_PLUGS: &str = "no plug was found: name the network to look through, such as --network \
                        192.168.1.0/24; Tasmota plugs mostly do not announce themselves";
/// Plugs have their web server here.
const HTTP_PORT: u16 = 80;

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Ask each address of this network too, such as 192.168.1.0/24 (a /22 at most): Tasmota plugs
    /// mostly do not announce themselves.
    #[arg(long, value_name = "CIDR")]
    network: Option<Network>,
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
    let found = runtime.block_on(looked(arguments)).map_err(|it| it.for_machine(arguments.json))?;
    let sketch = Sketch::of(config).unwrap_or_default();
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

async fn looked(arguments: &Arguments) -> Result<Vec<Found>, Failure> {
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
    let (heard, seen) = tokio::join!(listen, look);
    let heard = match heard {
        Ok(heard) => heard,
        // What was asked for by name was found all the same.
        Err(error) if arguments.network.is_some() => {
            status::complain(&format!("warning: {}", chain(&error)));
            Vec::new()
        }
        Err(error) => return Err(Failure::new(UNAVAILABLE, chain(&error))),
    };
    Ok(together(heard.into_iter().chain(seen)))
}

fn plug(found: &Found) -> Value {
    json!({
        "driver": found.family.driver_name(),
        "generation": found.generation,
        "firmware": found.firmware,
        "name": found.name,
        "url": found.url,
        "relays": found.relays,
        "metered": found.metered,
        "password_needed": found.password_needed,
    })
}
