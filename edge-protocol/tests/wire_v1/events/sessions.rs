//! News of commands and sessions.

use edge_protocol::event::{
    Code, CommandAccepted, CommandRejected, Proof, Reason, SessionEnded, SessionEnding,
    SessionProblem, SessionRemaining, SessionTimes, SessionTransferred, What,
};

use super::Frozen;
use crate::id;

#[expect(clippy::too_many_lines, reason = "a table, one entry after the other")]
pub(super) fn frozen() -> Vec<Frozen> {
    vec![
        Frozen {
            what: What::CommandAccepted(CommandAccepted { command: id("01JD3"), repeat: false }),
            json: r#""type":"command.accepted","body":{"command":"01JD3"}"#,
            cbor: "647479706570636f6d6d616e642e616363657074656464626f6479a167636f6d6d616e646530314a\
                4433",
        },
        Frozen {
            what: What::CommandAccepted(CommandAccepted { command: id("01JD3"), repeat: true }),
            json: r#""type":"command.accepted","body":{"command":"01JD3","repeat":true}"#,
            cbor: "647479706570636f6d6d616e642e616363657074656464626f6479a267636f6d6d616e646530314a\
                443366726570656174f5",
        },
        Frozen {
            what: What::CommandRejected(CommandRejected {
                command: Some(id("01JD3")),
                code: Code::Conflict,
                message: "booked".to_owned(),
                repeat: true,
            }),
            json: r#""type":"command.rejected","body":{"command":"01JD3","code":"conflict","message":"booked","repeat":true}"#,
            cbor: "647479706570636f6d6d616e642e72656a656374656464626f6479a467636f6d6d616e646530314a\
                443364636f646568636f6e666c696374676d65737361676566626f6f6b656466726570656174f5",
        },
        Frozen {
            what: What::CommandRejected(CommandRejected {
                command: None,
                code: Code::TooLarge,
                message: "70000 bytes".to_owned(),
                repeat: false,
            }),
            json: r#""type":"command.rejected","body":{"code":"too_large","message":"70000 bytes"}"#,
            cbor: "647479706570636f6d6d616e642e72656a656374656464626f6479a264636f646569746f6f5f6c61\
                726765676d6573736167656b3730303030206279746573",
        },
        Frozen {
            what: What::SessionBooked(SessionTimes {
                session: id("s-1"),
                station: id("pc-07"),
                starts_at_ms: Some(1_763_693_600_000),
                started_at_ms: None,
                ends_at_ms: None,
            }),
            json: r#""type":"session.booked","body":{"session":"s-1","station":"pc-07","starts_at_ms":1763693600000}"#,
            cbor: "64747970656e73657373696f6e2e626f6f6b656464626f6479a36773657373696f6e63732d316773\
                746174696f6e6570632d30376c7374617274735f61745f6d731b0000019aa4549d00",
        },
        Frozen {
            what: What::SessionStarted(SessionTimes {
                session: id("s-1"),
                station: id("pc-07"),
                starts_at_ms: None,
                started_at_ms: Some(1_763_690_001_000),
                ends_at_ms: Some(1_763_693_601_000),
            }),
            json: r#""type":"session.started","body":{"session":"s-1","station":"pc-07","started_at_ms":1763690001000,"ends_at_ms":1763693601000}"#,
            cbor: "64747970656f73657373696f6e2e7374617274656464626f6479a46773657373696f6e63732d3167\
                73746174696f6e6570632d30376d737461727465645f61745f6d731b0000019aa41db2686a656e64\
                735f61745f6d731b0000019aa454a0e8",
        },
        Frozen {
            what: What::SessionExtended(SessionTimes {
                session: id("s-1"),
                station: id("pc-07"),
                starts_at_ms: None,
                started_at_ms: Some(1_763_690_001_000),
                ends_at_ms: Some(1_763_693_601_000),
            }),
            json: r#""type":"session.extended","body":{"session":"s-1","station":"pc-07","started_at_ms":1763690001000,"ends_at_ms":1763693601000}"#,
            cbor: "64747970657073657373696f6e2e657874656e64656464626f6479a46773657373696f6e63732d31\
                6773746174696f6e6570632d30376d737461727465645f61745f6d731b0000019aa41db2686a656e\
                64735f61745f6d731b0000019aa454a0e8",
        },
        Frozen {
            what: What::SessionResumed(SessionTimes {
                session: id("s-1"),
                station: id("pc-07"),
                starts_at_ms: None,
                started_at_ms: Some(1_763_690_001_000),
                ends_at_ms: Some(1_763_693_601_000),
            }),
            json: r#""type":"session.resumed","body":{"session":"s-1","station":"pc-07","started_at_ms":1763690001000,"ends_at_ms":1763693601000}"#,
            cbor: "64747970656f73657373696f6e2e726573756d656464626f6479a46773657373696f6e63732d3167\
                73746174696f6e6570632d30376d737461727465645f61745f6d731b0000019aa41db2686a656e64\
                735f61745f6d731b0000019aa454a0e8",
        },
        Frozen {
            what: What::SessionWarning(SessionRemaining {
                session: id("s-1"),
                station: id("pc-07"),
                remaining_ms: 300_000,
            }),
            json: r#""type":"session.warning","body":{"session":"s-1","station":"pc-07","remaining_ms":300000}"#,
            cbor: "64747970656f73657373696f6e2e7761726e696e6764626f6479a36773657373696f6e63732d3167\
                73746174696f6e6570632d30376c72656d61696e696e675f6d731a000493e0",
        },
        Frozen {
            what: What::SessionPaused(SessionRemaining {
                session: id("s-1"),
                station: id("pc-07"),
                remaining_ms: 300_000,
            }),
            json: r#""type":"session.paused","body":{"session":"s-1","station":"pc-07","remaining_ms":300000}"#,
            cbor: "64747970656e73657373696f6e2e70617573656464626f6479a36773657373696f6e63732d316773\
                746174696f6e6570632d30376c72656d61696e696e675f6d731a000493e0",
        },
        Frozen {
            what: What::SessionTransferred(SessionTransferred {
                session: id("s-1"),
                station: id("pc-08"),
                from: id("pc-07"),
                ends_at_ms: Some(1_763_693_601_000),
            }),
            json: r#""type":"session.transferred","body":{"session":"s-1","station":"pc-08","from":"pc-07","ends_at_ms":1763693601000}"#,
            cbor: "64747970657373657373696f6e2e7472616e7366657272656464626f6479a46773657373696f6e63\
                732d316773746174696f6e6570632d30386466726f6d6570632d30376a656e64735f61745f6d731b\
                0000019aa454a0e8",
        },
        Frozen {
            what: What::SessionEnding(SessionEnding {
                session: id("s-1"),
                station: id("pc-07"),
                reason: Reason::Expired,
                off_at_ms: 1_763_693_606_000,
            }),
            json: r#""type":"session.ending","body":{"session":"s-1","station":"pc-07","reason":"expired","off_at_ms":1763693606000}"#,
            cbor: "64747970656e73657373696f6e2e656e64696e6764626f6479a46773657373696f6e63732d316773\
                746174696f6e6570632d303766726561736f6e6765787069726564696f66665f61745f6d731b0000\
                019aa454b470",
        },
        Frozen {
            what: What::SessionEnded(SessionEnded {
                session: id("s-1"),
                station: id("pc-07"),
                reason: Reason::Ended,
                powered_ms: 3_600_000,
                ended_at_ms: 1_763_693_606_200,
                late_ms: 200,
                proof: Some(Proof::WattsConfirmed),
                energy_wh: Some(412),
            }),
            json: r#""type":"session.ended","body":{"session":"s-1","station":"pc-07","reason":"ended","powered_ms":3600000,"ended_at_ms":1763693606200,"late_ms":200,"proof":"watts_confirmed","energy_wh":412}"#,
            cbor: "64747970656d73657373696f6e2e656e64656464626f6479a86773657373696f6e63732d31677374\
                6174696f6e6570632d303766726561736f6e65656e6465646a706f77657265645f6d731a0036ee80\
                6b656e6465645f61745f6d731b0000019aa454b538676c6174655f6d7318c86570726f6f666f7761\
                7474735f636f6e6669726d656469656e657267795f776819019c",
        },
        Frozen {
            what: What::SessionEnded(SessionEnded {
                session: id("s-1"),
                station: id("pc-07"),
                reason: Reason::Abandoned,
                powered_ms: 0,
                ended_at_ms: 1_763_693_606_200,
                late_ms: 0,
                proof: None,
                energy_wh: None,
            }),
            json: r#""type":"session.ended","body":{"session":"s-1","station":"pc-07","reason":"abandoned","powered_ms":0,"ended_at_ms":1763693606200,"late_ms":0}"#,
            cbor: "64747970656d73657373696f6e2e656e64656464626f6479a66773657373696f6e63732d31677374\
                6174696f6e6570632d303766726561736f6e696162616e646f6e65646a706f77657265645f6d7300\
                6b656e6465645f61745f6d731b0000019aa454b538676c6174655f6d7300",
        },
        Frozen {
            what: What::SessionFailed(SessionProblem {
                session: id("s-1"),
                station: id("pc-07"),
                code: Code::Unpowered,
                message: "plug-07: no answer".to_owned(),
            }),
            json: r#""type":"session.failed","body":{"session":"s-1","station":"pc-07","code":"unpowered","message":"plug-07: no answer"}"#,
            cbor: "64747970656e73657373696f6e2e6661696c656464626f6479a46773657373696f6e63732d316773\
                746174696f6e6570632d303764636f646569756e706f7765726564676d65737361676572706c7567\
                2d30373a206e6f20616e73776572",
        },
        Frozen {
            what: What::SessionRefused(SessionProblem {
                session: id("s-1"),
                station: id("pc-07"),
                code: Code::UnknownStation,
                message: "plug-07: no answer".to_owned(),
            }),
            json: r#""type":"session.refused","body":{"session":"s-1","station":"pc-07","code":"unknown_station","message":"plug-07: no answer"}"#,
            cbor: "64747970656f73657373696f6e2e7265667573656464626f6479a46773657373696f6e63732d3167\
                73746174696f6e6570632d303764636f64656f756e6b6e6f776e5f73746174696f6e676d65737361\
                676572706c75672d30373a206e6f20616e73776572",
        },
    ]
}
