//! `plug-sim`: smart plugs on loopback for whoever wants to try an integration against them.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use plug_sim::{Broker, FakePlug, Family, PROFILES, Pace, Profile};
use serde_json::json;

/// Simulated Tasmota and Shelly plugs over real HTTP and MQTT, with faults on demand.
///
/// Prints one JSON line for each plug: its name, its URL and the URL of its control interface.
/// Runs until it is stopped.
#[derive(Debug, Parser)]
#[command(name = "plug-sim", version, after_help = after_help())]
struct Arguments {
    #[command(flatten)]
    first: One,
    /// A further plug: its profile, then any of the options above without their dashes, as
    /// tasmota-13.4,relays=2,password=P; may be repeated
    #[arg(long = "plug", value_name = "SPEC", value_parser = parse_plug)]
    plugs: Vec<One>,
    /// Time stands still but for POST /advance at the control interface
    #[arg(long)]
    held: bool,
}

/// One plug.
#[derive(Debug, Clone, clap::Args)]
struct One {
    /// Which plug it pretends to be; the list is below
    #[arg(long, value_parser = profile)]
    profile: Option<Profile>,
    /// Its name in what is printed
    #[arg(long)]
    name: Option<String>,
    /// How many relays it has, 1 to 8
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8))]
    relays: Option<u8>,
    /// Where its web server listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where its control interface listens
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// What it asks of the user admin
    #[arg(long)]
    password: Option<String>,
    /// Tasmota: the broker that it connects to, HOST:PORT, plain TCP
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
    /// The broker's user name
    #[arg(long, requires = "mqtt_password")]
    mqtt_user: Option<String>,
    /// The broker's password
    #[arg(long, requires = "mqtt_user")]
    mqtt_password: Option<String>,
    /// Shelly's first generation: where it answers CoIoT questions, as 127.0.0.1:5683
    #[arg(long, value_name = "IP:PORT")]
    coiot: Option<SocketAddr>,
}

fn after_help() -> String {
    format!("Profiles: {}", PROFILES.join(", "))
}

fn profile(name: &str) -> Result<Profile, String> {
    name.parse()
}

/// The words of a specification are the arguments of a plug that is alone.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    one: One,
}

fn parse_plug(spec: &str) -> Result<One, String> {
    let mut words = spec.split(',');
    let name = words.next().unwrap_or_default().to_owned();
    let pairs = words.map(|word| {
        let (name, value) =
            word.split_once('=').ok_or_else(|| format!("{word} is no NAME=VALUE"))?;
        Ok(format!("--{name}={value}"))
    });
    let pairs = pairs.collect::<Result<Vec<String>, String>>()?;
    let words = ["plug-sim".to_owned(), format!("--profile={name}")].into_iter().chain(pairs);
    let alone = Alone::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    });
    Ok(alone?.one)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let pace = if arguments.held { Pace::Held } else { Pace::Real };
    let alone = arguments.plugs.is_empty() || arguments.first.profile.is_some();
    let ones = alone.then_some(arguments.first).into_iter().chain(arguments.plugs);
    let mut plugs = vec![];
    for (number, one) in (1..).zip(ones) {
        match start(one, number, pace).await {
            Ok(plug) => plugs.push(plug),
            Err(trouble) => {
                let _ = writeln!(io::stderr(), "plug-sim: {trouble}");
                return ExitCode::FAILURE;
            }
        }
    }
    // Whatever comes of it, it is time to go.
    let _ = tokio::signal::ctrl_c().await;
    drop(plugs);
    ExitCode::SUCCESS
}

async fn start(one: One, number: u32, pace: Pace) -> Result<FakePlug, String> {
    let mut profile = one.profile.unwrap_or_else(Profile::tasmota_14_4);
    profile.relays = one.relays.map_or(profile.relays, usize::from);
    profile.password = one.password;
    // Locally administered, and another for each.
    profile.mac = format!("02A0B1{number:06X}");
    let (kind, relays, mac) = (profile.name(), profile.relays, profile.mac.clone());
    let family = profile.family;
    let at = one.listen;
    let plug = FakePlug::start_at(profile, at, pace).await;
    let mut plug = plug.map_err(|error| format!("can't listen at {at}: {error}"))?;
    let control = plug.serve_control(one.control).await;
    let control = control.map_err(|error| format!("can't listen at {}: {error}", one.control))?;
    if let Some(broker) = one.mqtt {
        if family != Family::Tasmota {
            return Err(format!("{kind} has no MQTT here; only Tasmota profiles have"));
        }
        let place =
            broker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = place.ok_or_else(|| format!("{broker} is no HOST:PORT of a broker"))?;
        let login = one.mqtt_user.zip(one.mqtt_password);
        plug.connect(Broker { host: host.to_owned(), port, login });
    }
    if let Some(at) = one.coiot {
        let served = plug.serve_coiot(at).await;
        served.map_err(|error| format!("can't listen at {at}: {error}"))?;
    }
    let name = one.name.unwrap_or_else(|| format!("plug-{number}"));
    let line = json!({
        "name": name,
        "profile": kind,
        "relays": relays,
        "mac": mac,
        "url": plug.url(),
        "control": format!("http://{control}"),
    });
    let told = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
    told.map_err(|error| format!("can't print: {error}"))?;
    Ok(plug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plug_is_its_profile_and_its_options() {
        let plug = parse_plug("shelly-gen2-2.0,name=till,relays=2,password=a=b").unwrap();
        assert_eq!(plug.profile.map(|profile| profile.name()).as_deref(), Some("shelly-gen2-2.0"));
        assert_eq!((plug.name.as_deref(), plug.relays), (Some("till"), Some(2)));
        assert_eq!(plug.password.as_deref(), Some("a=b"));
    }

    #[test]
    fn what_is_wrong_with_a_plug_is_named() {
        for (spec, hint) in [
            ("tasmota-13.5", "tasmota-13.4"),
            ("tasmota-13.4,relays=9", "9"),
            ("tasmota-13.4,color=red", "color"),
            ("tasmota-13.4,fast", "fast"),
        ] {
            let refusal = parse_plug(spec).unwrap_err();
            assert!(refusal.contains(hint), "{refusal}");
        }
    }
}
