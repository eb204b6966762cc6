//! News of outlets.

use edge_protocol::event::{
    By, Fault, Lease, OutletChanged, OutletFault, OutletLease, Proof, What,
};

use super::Frozen;
use crate::id;

pub(super) fn frozen() -> Vec<Frozen> {
    vec![
        Frozen {
            what: What::OutletChanged(OutletChanged {
                outlet: id("plug-07"),
                session: Some(id("s-1")),
                on: true,
                by: By::Session,
                proof: Proof::LeaseConfirmed,
            }),
            json: r#""type":"outlet.changed","body":{"outlet":"plug-07","session":"s-1","on":true,"by":"session","proof":"lease_confirmed"}"#,
            cbor: "64747970656e6f75746c65742e6368616e67656464626f6479a5666f75746c657467706c75672d30\
                376773657373696f6e63732d31626f6ef56262796773657373696f6e6570726f6f666f6c65617365\
                5f636f6e6669726d6564",
        },
        Frozen {
            what: What::OutletChanged(OutletChanged {
                outlet: id("relay-1"),
                session: None,
                on: false,
                by: By::Button,
                proof: Proof::ReadBack,
            }),
            json: r#""type":"outlet.changed","body":{"outlet":"relay-1","on":false,"by":"button","proof":"read_back"}"#,
            cbor: "64747970656e6f75746c65742e6368616e67656464626f6479a4666f75746c65746772656c61792d\
                31626f6ef462627966627574746f6e6570726f6f6669726561645f6261636b",
        },
        Frozen {
            what: What::OutletLease(OutletLease {
                outlet: id("plug-07"),
                session: Some(id("s-1")),
                lease: Lease::Armed,
                off_at_ms: Some(1_763_693_621_000),
            }),
            json: r#""type":"outlet.lease","body":{"outlet":"plug-07","session":"s-1","lease":"armed","off_at_ms":1763693621000}"#,
            cbor: "64747970656c6f75746c65742e6c6561736564626f6479a4666f75746c657467706c75672d303767\
                73657373696f6e63732d31656c656173656561726d6564696f66665f61745f6d731b0000019aa454\
                ef08",
        },
        Frozen {
            what: What::OutletLease(OutletLease {
                outlet: id("plug-07"),
                session: None,
                lease: Lease::None,
                off_at_ms: None,
            }),
            json: r#""type":"outlet.lease","body":{"outlet":"plug-07","lease":"none"}"#,
            cbor: "64747970656c6f75746c65742e6c6561736564626f6479a2666f75746c657467706c75672d303765\
                6c65617365646e6f6e65",
        },
        Frozen {
            what: What::OutletFault(OutletFault {
                outlet: id("plug-07"),
                session: Some(id("s-1")),
                fault: Fault::StuckOn,
                message: "41 W".to_owned(),
                since_ms: 1_763_690_000_000,
            }),
            json: r#""type":"outlet.fault","body":{"outlet":"plug-07","session":"s-1","fault":"stuck_on","message":"41 W","since_ms":1763690000000}"#,
            cbor: "64747970656c6f75746c65742e6661756c7464626f6479a5666f75746c657467706c75672d303767\
                73657373696f6e63732d31656661756c7468737475636b5f6f6e676d657373616765643431205768\
                73696e63655f6d731b0000019aa41dae80",
        },
        Frozen {
            what: What::OutletRecovered(OutletFault {
                outlet: id("plug-07"),
                session: None,
                fault: Fault::Unreachable,
                message: "answers".to_owned(),
                since_ms: 1_763_690_000_000,
            }),
            json: r#""type":"outlet.recovered","body":{"outlet":"plug-07","fault":"unreachable","message":"answers","since_ms":1763690000000}"#,
            cbor: "6474797065706f75746c65742e7265636f766572656464626f6479a4666f75746c657467706c7567\
                2d3037656661756c746b756e726561636861626c65676d65737361676567616e7377657273687369\
                6e63655f6d731b0000019aa41dae80",
        },
    ]
}
