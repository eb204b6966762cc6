//! From the file as written to a configuration that can be run: the defaults, the ranges, and what
//! only the whole file shows.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use edge_protocol::limits::{MAX_GRACE_MS, MAX_SESSION_MS, MAX_WARNINGS};
use edge_protocol::topic::DEFAULT_ROOT;
use toml::Spanned;

use super::file::{self, File};
use super::identity::Identity;
use super::outlets::Around;
use super::{Broker, Config, Flaw, SessionDefaults, Tasks, outlets, pins};
use crate::endpoint::Endpoint;

pub(super) const DATA_DIR: &str = "/var/lib/edge-agent";
const SCRIPTS_DIR: &str = "/etc/edge-agent/scripts";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9780);
pub(super) const SOCKET: &str = "/run/edge-agent/control.sock";

const MQTTS_PORT: u16 = 8883;
/// Below, the link does not go; above, MQTT cannot count, in seconds and 16 bits.
const KEEP_ALIVE_MS: RangeInclusive<u64> = 5_000..=18 * 3_600_000;
/// Below, a broker that is away costs a core; above, nobody waits that long for a node to come back.
const RECONNECT_MS: RangeInclusive<u64> = 10..=24 * 3_600_000;
/// MQTT's topics are at most 65,535 bytes; ours add two ids and little else.
const MAX_ROOT_BYTES: usize = 256;
/// A queue holds some messages of the largest size at least; a tebibyte is a typing error.
const QUEUE_BYTES: RangeInclusive<u64> = 1024 * 1024..=1 << 40;
/// Each task that waits costs memory.
const MAX_QUEUED: RangeInclusive<u64> = 1..=1_000_000;
/// A whole site would wait for its last outlet beyond that.
const MAX_STAGGER_MS: u64 = 5_000;
/// Each attempt is a process on a small machine.
const CONCURRENCY: RangeInclusive<u64> = 1..=64;

/// Checks the configuration in `text` and the files that it names, at the time `wall_ms`.
pub(super) fn check(text: &str, wall_ms: u64) -> Result<Config, Flaw> {
    check_as(text, wall_ms, Identity::load)
}

/// As [`check`], the node being who `identity` says.
pub(super) fn check_as(
    text: &str,
    wall_ms: u64,
    identity: impl FnOnce(&file::Broker) -> Result<Identity, Flaw>,
) -> Result<Config, Flaw> {
    let file: File = toml::from_str(text)
        .map_err(|error| Flaw { at: error.span(), reason: error.message().to_owned() })?;
    let identity = identity(&file.broker)?;
    if let Some(id) = file.node.id.as_ref().filter(|id| *id.get_ref() != identity.node) {
        let reason =
            format!("id must be the certificate's common name, which is {}", identity.node);
        return Err(Flaw::at(id, reason));
    }
    let mut warnings = Vec::new();
    if identity.expires_at_ms <= wall_ms {
        let certificate = file.broker.cert_file.get_ref().display();
        warnings.push(format!("the certificate in {certificate} has expired: renew it"));
    }
    let keeper = pins::keeper(file.keeper.socket);
    let broker_of_plugs = outlets::broker(&file.plugs)?;
    let around = Around { keeper: keeper.as_deref(), broker: broker_of_plugs.as_ref() };
    let outlets = outlets::outlets(file.outlets, around)?;
    warnings.extend(pins::warnings(&outlets, &pins::firmware_settings()));
    let stations = outlets::stations(file.stations, &outlets)?;
    Ok(Config {
        node: identity.node,
        groups: file.node.groups,
        data_dir: file.node.data_dir.unwrap_or_else(|| DATA_DIR.into()),
        broker: broker(file.broker)?,
        certificate_expires_at_ms: identity.expires_at_ms,
        clock: file.clock.source,
        sessions: sessions(&file.sessions)?,
        outbox_max_bytes: ranged(
            file.outbox.max_bytes.as_ref(),
            "max_bytes",
            64 << 20,
            QUEUE_BYTES,
        )?,
        tasks: tasks(file.tasks)?,
        listen: listen(file.local.listen.as_ref())?,
        socket: file.local.socket.unwrap_or_else(|| SOCKET.into()),
        keeper,
        outlets,
        stations,
        hash: sha256(text.as_bytes()),
        warnings,
    })
}

fn broker(file: file::Broker) -> Result<Broker, Flaw> {
    if file.endpoints.get_ref().is_empty() {
        return Err(Flaw::at(&file.endpoints, "endpoints must name at least one broker"));
    }
    let endpoint = |url: &Spanned<String>| {
        Endpoint::parse(url.get_ref(), "mqtts", MQTTS_PORT)
            .map_err(|reason| Flaw::at(url, format!("endpoints: {reason}")))
    };
    let (min, max) = (file.reconnect_min_ms.as_ref(), file.reconnect_max_ms.as_ref());
    let reconnect_min_ms = ranged(min, "reconnect_min_ms", 500, RECONNECT_MS)?;
    let reconnect_max_ms = ranged(max, "reconnect_max_ms", 60_000, RECONNECT_MS)?;
    if reconnect_min_ms > reconnect_max_ms {
        let reason = format!(
            "reconnect_min_ms ({reconnect_min_ms}) must not be above reconnect_max_ms ({reconnect_max_ms})"
        );
        let at = min.or(max).expect("the defaults are in order");
        return Err(Flaw::at(at, reason));
    }
    let keep_alive_ms =
        ranged(file.keep_alive_ms.as_ref(), "keep_alive_ms", 30_000, KEEP_ALIVE_MS)?;
    Ok(Broker {
        endpoints: file.endpoints.get_ref().iter().map(endpoint).collect::<Result<_, _>>()?,
        topic_root: topic_root(file.topic_root)?,
        ca_file: file.ca_file.into_inner(),
        cert_file: file.cert_file.into_inner(),
        key_file: file.key_file.into_inner(),
        encoding: file.encoding,
        keep_alive: Duration::from_millis(keep_alive_ms),
        reconnect_min: Duration::from_millis(reconnect_min_ms),
        reconnect_max: Duration::from_millis(reconnect_max_ms),
    })
}

/// `$` starts the broker's own topics; `+` and `#` would make it a filter.
fn topic_root(written: Option<Spanned<String>>) -> Result<String, Flaw> {
    let Some(written) = written else { return Ok(DEFAULT_ROOT.to_owned()) };
    let root = written.get_ref();
    let legal = (1..=MAX_ROOT_BYTES).contains(&root.len())
        && !root.starts_with(['/', '$'])
        && !root.ends_with('/')
        && !root.contains(|letter: char| matches!(letter, '+' | '#') || letter.is_control());
    if legal {
        return Ok(written.into_inner());
    }
    let reason = "topic_root must be 1 to 256 bytes without + and #, start with neither / nor $, and not end with /";
    Err(Flaw::at(&written, reason))
}

fn sessions(file: &file::Sessions) -> Result<SessionDefaults, Flaw> {
    let mut warn_before_ms = match &file.warn_before_ms {
        None => vec![300_000, 60_000],
        Some(written) if written.get_ref().len() > MAX_WARNINGS => {
            let reason = format!("warn_before_ms must hold {MAX_WARNINGS} warnings at most");
            return Err(Flaw::at(written, reason));
        }
        Some(written) => written
            .get_ref()
            .iter()
            .map(|before| ranged(Some(before), "warn_before_ms", 0, 1..=MAX_SESSION_MS))
            .collect::<Result<_, _>>()?,
    };
    warn_before_ms.sort_unstable_by(|one, other| other.cmp(one));
    warn_before_ms.dedup();
    let grace_ms = ranged(file.grace_ms.as_ref(), "grace_ms", 0, 0..=MAX_GRACE_MS)?;
    let stagger_ms = ranged(file.stagger_ms.as_ref(), "stagger_ms", 300, 0..=MAX_STAGGER_MS)?;
    Ok(SessionDefaults { warn_before_ms, grace_ms, stagger_ms })
}

fn tasks(file: file::Tasks) -> Result<Tasks, Flaw> {
    // A directory that is not there yet only means that no script is; anything else is a mistake.
    if let Some(written) = &file.scripts_dir
        && written.get_ref().exists()
        && !written.get_ref().is_dir()
    {
        let reason = format!("scripts_dir {} is no directory", written.get_ref().display());
        return Err(Flaw::at(written, reason));
    }
    let count = |written: Option<&Spanned<u64>>, key, default, range| {
        let number = ranged(written, key, default, range)?;
        Ok(usize::try_from(number).expect("the ranges of counts fit a small machine's word"))
    };
    Ok(Tasks {
        concurrency: count(file.concurrency.as_ref(), "concurrency", 2, CONCURRENCY)?,
        max_queued: count(file.max_queued.as_ref(), "max_queued", 10_000, MAX_QUEUED)?,
        max_bytes: ranged(file.max_bytes.as_ref(), "max_bytes", 32 << 20, QUEUE_BYTES)?,
        scripts_dir: file
            .scripts_dir
            .map_or_else(|| PathBuf::from(SCRIPTS_DIR), Spanned::into_inner),
    })
}

/// Empty is off. The page has no password and no TLS, so it stays on this machine.
fn listen(written: Option<&Spanned<String>>) -> Result<Option<SocketAddr>, Flaw> {
    let Some(written) = written else { return Ok(Some(LISTEN)) };
    let text = written.get_ref();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Some(address)),
        Ok(_) => {
            let reason = "listen must be on loopback, 127.0.0.1 or [::1]: whoever is elsewhere comes \
                          through ssh -L, or a proxy that asks for a password";
            Err(Flaw::at(written, reason))
        }
        Err(_) => {
            let reason = format!("listen must be ADDRESS:PORT such as {LISTEN}, or empty for none");
            Err(Flaw::at(written, reason))
        }
    }
}

fn ranged(
    written: Option<&Spanned<u64>>,
    key: &str,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Flaw> {
    match written {
        None => Ok(default),
        Some(value) if range.contains(value.get_ref()) => Ok(*value.get_ref()),
        Some(value) => {
            let (least, most) = range.into_inner();
            Err(Flaw::at(
                value,
                format!("{key} must be {least} to {most}, not {}", value.get_ref()),
            ))
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes what is written");
        hex
    })
}
