//! What a task does (contract, section 7.6).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field;
use crate::id::OutletId;
use crate::refusal::Refusal;

/// What a task does: its `kind` and `payload` (contract, section 7.6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload")]
pub enum Work {
    /// Runs an executable out of the node's script folder.
    #[serde(rename = "script")]
    Script(Script),
    /// Power-cycles what hangs on an outlet.
    #[serde(rename = "outlet.cycle")]
    OutletCycle(OutletCycle),
    /// Does nothing for a while: for drills and measurements.
    #[serde(rename = "wait")]
    Wait(Wait),
}

/// The payload of a `script` task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The name of an executable in the script folder: never a path.
    pub name: String,
    /// Handed to it as JSON on standard input.
    #[serde(default)]
    pub args: Map<String, Value>,
}

/// The payload of an `outlet.cycle` task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutletCycle {
    /// Which outlet.
    pub outlet: OutletId,
    /// How long it stays off.
    pub off_ms: u64,
}

/// The payload of a `wait` task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// For how long.
    pub wait_ms: u64,
}

impl Work {
    /// Every kind of task.
    pub const KINDS: [&str; 3] = ["script", "outlet.cycle", "wait"];

    /// Its kind, as it stands on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::OutletCycle(_) => "outlet.cycle",
            Self::Wait(_) => "wait",
        }
    }

    /// The work that a `kind` and a `payload` describe; ranges are not looked at.
    ///
    /// # Errors
    /// `unsupported` for a kind that is not known, `invalid` for a payload that is not the kind's;
    /// the message begins with the field, as in `payload.wait_ms: …`.
    pub fn read(kind: &str, payload: Map<String, Value>) -> Result<Self, Refusal> {
        Self::read_at("payload", kind, payload)
    }

    /// [`Work::read`] for a payload that stands at `path`.
    pub(super) fn read_at(
        path: &str,
        kind: &str,
        payload: Map<String, Value>,
    ) -> Result<Self, Refusal> {
        match kind {
            "script" => field::read(path, payload).map(Self::Script),
            "outlet.cycle" => field::read(path, payload).map(Self::OutletCycle),
            "wait" => field::read(path, payload).map(Self::Wait),
            unknown => Err(Self::unknown(unknown)),
        }
    }

    /// Whether `kind` is a kind of task.
    pub(super) fn known(kind: &str) -> Result<(), Refusal> {
        if Self::KINDS.contains(&kind) { Ok(()) } else { Err(Self::unknown(kind)) }
    }

    fn unknown(kind: &str) -> Refusal {
        let known = Self::KINDS.join(", ");
        Refusal::unsupported(&format!("task kind {kind:?} is not known to this node: {known}"))
    }

    /// Its kind and payload, as they stand on the wire.
    #[must_use]
    pub fn write(self) -> (String, Map<String, Value>) {
        let kind = self.kind().to_owned();
        let payload = match self {
            Self::Script(Script { name, args }) => {
                Map::from_iter([field("name", name), field("args", args)])
            }
            Self::OutletCycle(OutletCycle { outlet, off_ms }) => {
                Map::from_iter([field("outlet", outlet.as_str()), field("off_ms", off_ms)])
            }
            Self::Wait(Wait { wait_ms }) => Map::from_iter([field("wait_ms", wait_ms)]),
        };
        (kind, payload)
    }
}

fn field(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}
