//! The file as it is written: every key there may be, each with the place where it stands.
//!
//! What is absent stays absent here; `check` knows the defaults.

use std::path::PathBuf;

use edge_protocol::codec::Encoding;
use edge_protocol::id::{GroupId, NodeId, OutletId, StationId};
use serde::Deserialize;
use toml::Spanned;

use crate::host::clock::ClockSource;
use crate::node::settings::{Button, Rest};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) node: Node,
    pub(super) broker: Broker,
    #[serde(default)]
    pub(super) clock: ClockTable,
    #[serde(default)]
    pub(super) sessions: Sessions,
    #[serde(default)]
    pub(super) outbox: Outbox,
    #[serde(default)]
    pub(super) tasks: Tasks,
    #[serde(default)]
    pub(super) local: Local,
    #[serde(default)]
    pub(super) keeper: Keeper,
    #[serde(default)]
    pub(super) plugs: Plugs,
    #[serde(default, rename = "outlet")]
    pub(super) outlets: Vec<Outlet>,
    #[serde(default, rename = "station")]
    pub(super) stations: Vec<Station>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) id: Option<Spanned<NodeId>>,
    #[serde(default)]
    pub(super) groups: Vec<GroupId>,
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broker {
    pub(super) endpoints: Spanned<Vec<Spanned<String>>>,
    pub(super) ca_file: Spanned<PathBuf>,
    pub(super) cert_file: Spanned<PathBuf>,
    pub(super) key_file: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) encoding: Encoding,
    pub(super) topic_root: Option<Spanned<String>>,
    pub(super) keep_alive_ms: Option<Spanned<u64>>,
    pub(super) reconnect_min_ms: Option<Spanned<u64>>,
    pub(super) reconnect_max_ms: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockTable {
    #[serde(default)]
    pub(super) source: ClockSource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sessions {
    pub(super) warn_before_ms: Option<Spanned<Vec<Spanned<u64>>>>,
    pub(super) grace_ms: Option<Spanned<u64>>,
    pub(super) stagger_ms: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbox {
    pub(super) max_bytes: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tasks {
    pub(super) concurrency: Option<Spanned<u64>>,
    pub(super) max_queued: Option<Spanned<u64>>,
    pub(super) max_bytes: Option<Spanned<u64>>,
    pub(super) scripts_dir: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Local {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keeper {
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugs {
    pub(super) mqtt: Option<Spanned<String>>,
    pub(super) username: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outlet {
    pub(super) id: Spanned<OutletId>,
    pub(super) driver: Spanned<DriverName>,
    #[serde(default)]
    pub(super) rest: Rest,
    #[serde(default)]
    pub(super) button: Button,
    pub(super) url: Option<Spanned<String>>,
    pub(super) mqtt_topic: Option<Spanned<String>>,
    pub(super) mqtt_full_topic: Option<Spanned<String>>,
    pub(super) relay: Option<Spanned<u64>>,
    pub(super) username: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<PathBuf>>,
    pub(super) pin: Option<Spanned<u64>>,
    pub(super) active_low: Option<Spanned<bool>>,
    pub(super) backend: Option<Spanned<Backend>>,
    pub(super) chip: Option<Spanned<String>>,
    pub(super) folder: Option<Spanned<PathBuf>>,
    pub(super) load_w: Option<Spanned<f64>>,
    pub(super) cut_below_w: Option<Spanned<f64>>,
    pub(super) min_off_ms: Option<Spanned<u64>>,
    pub(super) circuit: Option<Spanned<String>>,
    pub(super) rated_cycles: Option<Spanned<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DriverName {
    Tasmota,
    Shelly,
    Gpio,
    Simulated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    Rppal,
    Cdev,
    Files,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Station {
    pub(super) id: Spanned<StationId>,
    pub(super) outlets: Spanned<Vec<Spanned<OutletId>>>,
}
