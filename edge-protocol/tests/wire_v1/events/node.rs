//! News of the node.

use edge_protocol::event::{
    ClockedSession, NodeClock, NodeDropped, NodeLink, NodeReport, NodeStarted, NodeStore,
    OutletReport, Space, StartReason, What,
};

use super::Frozen;
use crate::id;

pub(super) fn frozen() -> Vec<Frozen> {
    vec![
        Frozen {
            what: What::NodeStarted(NodeStarted {
                version: "0.1.0".to_owned(),
                reason: StartReason::Crash,
                sessions_recovered: 2,
                tasks_recovered: 7,
                off_for_ms: Some(4_100),
            }),
            json: r#""type":"node.started","body":{"version":"0.1.0","reason":"crash","sessions_recovered":2,"tasks_recovered":7,"off_for_ms":4100}"#,
            cbor: "64747970656c6e6f64652e7374617274656464626f6479a56776657273696f6e65302e312e306672\
                6561736f6e6563726173687273657373696f6e735f7265636f7665726564026f7461736b735f7265\
                636f7665726564076a6f66665f666f725f6d73191004",
        },
        Frozen {
            what: What::NodeClock(NodeClock {
                step_ms: -90_000,
                sessions: vec![ClockedSession {
                    session: id("s-1"),
                    ends_at_ms: 1_763_693_511_000,
                }],
                off_for_ms: None,
            }),
            json: r#""type":"node.clock","body":{"step_ms":-90000,"sessions":[{"session":"s-1","ends_at_ms":1763693511000}]}"#,
            cbor: "64747970656a6e6f64652e636c6f636b64626f6479a267737465705f6d733a00015f8f6873657373\
                696f6e7381a26773657373696f6e63732d316a656e64735f61745f6d731b0000019aa4534158",
        },
        Frozen {
            what: What::NodeLink(NodeLink { session_present: false }),
            json: r#""type":"node.link","body":{"session_present":false}"#,
            cbor: "6474797065696e6f64652e6c696e6b64626f6479a16f73657373696f6e5f70726573656e74f4",
        },
        Frozen {
            what: What::NodeStore(NodeStore { lost: Some("2 records".to_owned()), space: None }),
            json: r#""type":"node.store","body":{"lost":"2 records"}"#,
            cbor: "64747970656a6e6f64652e73746f726564626f6479a1646c6f73746932207265636f726473",
        },
        Frozen {
            what: What::NodeStore(NodeStore { lost: None, space: Some(Space::Low) }),
            json: r#""type":"node.store","body":{"space":"low"}"#,
            cbor: "64747970656a6e6f64652e73746f726564626f6479a1657370616365636c6f77",
        },
        Frozen {
            what: What::NodeDropped(NodeDropped {
                from_seq: 3,
                to_seq: 9,
                reason: "older than 7 days".to_owned(),
            }),
            json: r#""type":"node.dropped","body":{"from_seq":3,"to_seq":9,"reason":"older than 7 days"}"#,
            cbor: "64747970656c6e6f64652e64726f7070656464626f6479a36866726f6d5f7365710366746f5f7365\
                710966726561736f6e716f6c646572207468616e20372064617973",
        },
        Frozen {
            what: What::NodeReport(NodeReport {
                version: "0.1.0".to_owned(),
                hardware: "Raspberry Pi 4, 4 GiB".to_owned(),
                outlets: vec![OutletReport {
                    outlet: id("plug-07"),
                    driver: "tasmota".to_owned(),
                    reachable: true,
                    cycles: None,
                    worn_percent: None,
                }],
                configuration: "9f3ac01b".to_owned(),
                expires_at_ms: 1_795_226_000_000,
            }),
            json: r#""type":"node.report","body":{"version":"0.1.0","hardware":"Raspberry Pi 4, 4 GiB","outlets":[{"outlet":"plug-07","driver":"tasmota","reachable":true}],"configuration":"9f3ac01b","expires_at_ms":1795226000000}"#,
            cbor: "64747970656b6e6f64652e7265706f727464626f6479a56776657273696f6e65302e312e30686861\
                7264776172657552617370626572727920506920342c203420476942676f75746c65747381a3666f\
                75746c657467706c75672d303766647269766572677461736d6f746169726561636861626c65f56d\
                636f6e66696775726174696f6e6839663361633031626d657870697265735f61745f6d731b000001\
                a1fbceda80",
        },
    ]
}
