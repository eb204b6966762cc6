//! News of tasks.

use edge_protocol::event::{TaskNews, What};
use serde_json::json;

use super::Frozen;
use crate::id;

pub(super) fn frozen() -> Vec<Frozen> {
    vec![
        Frozen {
            what: What::TaskQueued(TaskNews {
                task: id("t-1"),
                kind: "script".to_owned(),
                attempt: 1,
                error: None,
                next_at_ms: Some(1_763_693_600_000),
                result: None,
                duration_ms: None,
            }),
            json: r#""type":"task.queued","body":{"task":"t-1","kind":"script","attempt":1,"next_at_ms":1763693600000}"#,
            cbor: "64747970656b7461736b2e71756575656464626f6479a4647461736b63742d31646b696e64667363\
                7269707467617474656d7074016a6e6578745f61745f6d731b0000019aa4549d00",
        },
        Frozen {
            what: What::TaskStarted(TaskNews {
                task: id("t-1"),
                kind: "script".to_owned(),
                attempt: 1,
                error: None,
                next_at_ms: None,
                result: None,
                duration_ms: None,
            }),
            json: r#""type":"task.started","body":{"task":"t-1","kind":"script","attempt":1}"#,
            cbor: "64747970656c7461736b2e7374617274656464626f6479a3647461736b63742d31646b696e646673\
                637269707467617474656d707401",
        },
        Frozen {
            what: What::TaskRetrying(TaskNews {
                task: id("t-1"),
                kind: "script".to_owned(),
                attempt: 1,
                error: Some("exit 1".to_owned()),
                next_at_ms: Some(1_763_690_001_337),
                result: None,
                duration_ms: None,
            }),
            json: r#""type":"task.retrying","body":{"task":"t-1","kind":"script","attempt":1,"error":"exit 1","next_at_ms":1763690001337}"#,
            cbor: "64747970656d7461736b2e7265747279696e6764626f6479a5647461736b63742d31646b696e6466\
                73637269707467617474656d707401656572726f72666578697420316a6e6578745f61745f6d731b\
                0000019aa41db3b9",
        },
        Frozen {
            what: What::TaskSucceeded(TaskNews {
                task: id("t-1"),
                kind: "script".to_owned(),
                attempt: 2,
                error: None,
                next_at_ms: None,
                result: json!({"files": 3, "ratio": 0.25}).as_object().cloned(),
                duration_ms: Some(412),
            }),
            json: r#""type":"task.succeeded","body":{"task":"t-1","kind":"script","attempt":2,"result":{"files":3,"ratio":0.25},"duration_ms":412}"#,
            cbor: "64747970656e7461736b2e73756363656564656464626f6479a5647461736b63742d31646b696e64\
                6673637269707467617474656d70740266726573756c74a26566696c65730365726174696ff93400\
                6b6475726174696f6e5f6d7319019c",
        },
        Frozen {
            what: What::TaskFailed(TaskNews {
                task: id("t-1"),
                kind: "script".to_owned(),
                attempt: 4,
                error: Some("exit 64".to_owned()),
                next_at_ms: None,
                result: None,
                duration_ms: Some(12),
            }),
            json: r#""type":"task.failed","body":{"task":"t-1","kind":"script","attempt":4,"error":"exit 64","duration_ms":12}"#,
            cbor: "64747970656b7461736b2e6661696c656464626f6479a5647461736b63742d31646b696e64667363\
                7269707467617474656d707404656572726f7267657869742036346b6475726174696f6e5f6d730c",
        },
        Frozen {
            what: What::TaskCancelled(TaskNews {
                task: id("t-1"),
                kind: "wait".to_owned(),
                attempt: 1,
                error: None,
                next_at_ms: None,
                result: None,
                duration_ms: None,
            }),
            json: r#""type":"task.cancelled","body":{"task":"t-1","kind":"wait","attempt":1}"#,
            cbor: "64747970656e7461736b2e63616e63656c6c656464626f6479a3647461736b63742d31646b696e64\
                647761697467617474656d707401",
        },
    ]
}
