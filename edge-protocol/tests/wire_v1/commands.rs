//! Every command, both ways, in both encodings.

use std::collections::BTreeSet;

use edge_protocol::codec::{Encoding, Received, decode_command, encode};
use edge_protocol::command::{
    Command, Empty, End, EventResend, Extension, Missed, OutletCycle, OutletRef, OutletSet,
    Request, SchedulePut, ScheduleRef, Script, SessionEnd, SessionExtend, SessionRef, SessionStart,
    SessionTransfer, TaskRef, TaskSubmit, Wait, Work,
};
use serde_json::json;

use super::{bytes, id, json};

struct Frozen {
    request: Request,
    json: &'static str,
    cbor: &'static str,
}

/// The envelope of every frozen command.
fn command(request: Request) -> Command {
    Command {
        id: id("01JD3"),
        issued_at_ms: Some(1_763_690_000_000),
        expires_at_ms: Some(1_763_690_060_000),
        request,
    }
}

#[test]
fn every_command_is_written_as_these_bytes() {
    for Frozen { request, json: text, cbor } in frozen() {
        let command = command(request);
        assert_eq!(json(encode(Encoding::Json, &command)), text);
        assert_eq!(encode(Encoding::Cbor, &command), bytes(cbor), "{text}");
    }
}

#[test]
fn both_encodings_of_every_command_read_as_the_same() {
    for Frozen { request, json, cbor } in frozen() {
        let command = Ok(command(request));
        let received = Ok(Received { id: id("01JD3"), command });
        assert_eq!(decode_command(json.as_bytes()), received, "{json}");
        assert_eq!(decode_command(&bytes(cbor)), received, "{json}");
    }
}

#[test]
fn every_type_of_command_is_frozen() {
    let seen: BTreeSet<_> = frozen().iter().map(|frozen| frozen.request.kind()).collect();
    assert_eq!(seen, BTreeSet::from(Request::KINDS));
}

#[test]
fn an_envelope_without_instants_leaves_them_out() {
    let pause = Request::SessionPause(SessionRef { session: id("s-1") });
    let command = Command { id: id("c"), issued_at_ms: None, expires_at_ms: None, request: pause };
    let text = r#"{"id":"c","type":"session.pause","body":{"session":"s-1"}}"#;
    assert_eq!(json(encode(Encoding::Json, &command)), text);
    assert_eq!(decode_command(text.as_bytes()).unwrap().command, Ok(command));
}

#[test]
fn what_is_left_out_of_a_task_or_a_schedule_has_the_contracts_defaults() {
    let task = r#"{"id":"c","type":"task.submit","body":{"task":"t","kind":"wait","payload":{"wait_ms":1}}}"#;
    let request = Request::TaskSubmit(TaskSubmit {
        task: id("t"),
        work: Work::Wait(Wait { wait_ms: 1 }),
        not_before_ms: None,
        max_retries: 3,
        timeout_ms: 60_000,
        backoff_ms: 1_000,
        backoff_max_ms: 300_000,
        priority: 5,
    });
    assert_eq!(decode_command(task.as_bytes()).unwrap().command.unwrap().request, request);

    let schedule = r#"{"id":"c","type":"schedule.put","body":{"schedule":"n","cron":"0 4 * * *","command":{"type":"node.report"}}}"#;
    let request = Request::SchedulePut(SchedulePut {
        schedule: id("n"),
        cron: "0 4 * * *".to_owned(),
        timezone: "UTC".to_owned(),
        command: Box::new(Request::NodeReport(Empty {})),
        missed: Missed::Skip,
        max_late_ms: 60_000,
    });
    assert_eq!(decode_command(schedule.as_bytes()).unwrap().command.unwrap().request, request);
}

#[test]
fn a_report_is_asked_for_with_or_without_a_body() {
    for text in
        [r#"{"id":"c","type":"node.report"}"#, r#"{"id":"c","type":"node.report","body":{}}"#]
    {
        let command = decode_command(text.as_bytes()).unwrap().command.unwrap();
        assert_eq!(command.request, Request::NodeReport(Empty {}));
    }
}

#[expect(clippy::too_many_lines, reason = "a table, one entry after the other")]
fn frozen() -> Vec<Frozen> {
    vec![
        Frozen {
            request: Request::SessionStart(SessionStart {
                session: id("s-1"),
                station: id("pc-07"),
                end: End::After(3_600_000),
                starts_at_ms: None,
                warn_before_ms: None,
                grace_ms: None,
                label: None,
            }),
            json: r#"{"id":"01JD3","type":"session.start","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1","station":"pc-07","duration_ms":3600000}}"#,
            cbor: "a56269646530314a443364747970656d73657373696f6e2e73746172746c6973737565645f61745f\
                6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a3\
                6773657373696f6e63732d316773746174696f6e6570632d30376b6475726174696f6e5f6d731a00\
                36ee80",
        },
        Frozen {
            request: Request::SessionStart(SessionStart {
                session: id("s-2"),
                station: id("pc-07"),
                end: End::At(1_763_697_200_000),
                starts_at_ms: Some(1_763_693_600_000),
                warn_before_ms: Some(vec![300_000, 60_000]),
                grace_ms: Some(5_000),
                label: Some("Grüße".to_owned()),
            }),
            json: r#"{"id":"01JD3","type":"session.start","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-2","station":"pc-07","ends_at_ms":1763697200000,"starts_at_ms":1763693600000,"warn_before_ms":[300000,60000],"grace_ms":5000,"label":"Grüße"}}"#,
            cbor: "a56269646530314a443364747970656d73657373696f6e2e73746172746c6973737565645f61745f\
                6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a7\
                6773657373696f6e63732d326773746174696f6e6570632d30376a656e64735f61745f6d731b0000\
                019aa48b8b806c7374617274735f61745f6d731b0000019aa4549d006e7761726e5f6265666f7265\
                5f6d73821a000493e019ea606867726163655f6d73191388656c6162656c674772c3bcc39f65",
        },
        Frozen {
            request: Request::SessionExtend(SessionExtend {
                session: id("s-1"),
                to: Extension::By(-600_000),
            }),
            json: r#"{"id":"01JD3","type":"session.extend","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1","by_ms":-600000}}"#,
            cbor: "a56269646530314a443364747970656e73657373696f6e2e657874656e646c6973737565645f6174\
                5f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479\
                a26773657373696f6e63732d316562795f6d733a000927bf",
        },
        Frozen {
            request: Request::SessionExtend(SessionExtend {
                session: id("s-1"),
                to: Extension::To(1_763_697_200_000),
            }),
            json: r#"{"id":"01JD3","type":"session.extend","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1","ends_at_ms":1763697200000}}"#,
            cbor: "a56269646530314a443364747970656e73657373696f6e2e657874656e646c6973737565645f6174\
                5f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479\
                a26773657373696f6e63732d316a656e64735f61745f6d731b0000019aa48b8b80",
        },
        Frozen {
            request: Request::SessionPause(SessionRef { session: id("s-1") }),
            json: r#"{"id":"01JD3","type":"session.pause","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1"}}"#,
            cbor: "a56269646530314a443364747970656d73657373696f6e2e70617573656c6973737565645f61745f\
                6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a1\
                6773657373696f6e63732d31",
        },
        Frozen {
            request: Request::SessionResume(SessionRef { session: id("s-1") }),
            json: r#"{"id":"01JD3","type":"session.resume","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1"}}"#,
            cbor: "a56269646530314a443364747970656e73657373696f6e2e726573756d656c6973737565645f6174\
                5f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479\
                a16773657373696f6e63732d31",
        },
        Frozen {
            request: Request::SessionTransfer(SessionTransfer {
                session: id("s-1"),
                station: id("pc-08"),
            }),
            json: r#"{"id":"01JD3","type":"session.transfer","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1","station":"pc-08"}}"#,
            cbor: "a56269646530314a443364747970657073657373696f6e2e7472616e736665726c6973737565645f\
                61745f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f\
                6479a26773657373696f6e63732d316773746174696f6e6570632d3038",
        },
        Frozen {
            request: Request::SessionEnd(SessionEnd {
                session: id("s-1"),
                immediate: false,
                abandon: false,
            }),
            json: r#"{"id":"01JD3","type":"session.end","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1"}}"#,
            cbor: "a56269646530314a443364747970656b73657373696f6e2e656e646c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a16773\
                657373696f6e63732d31",
        },
        Frozen {
            request: Request::SessionEnd(SessionEnd {
                session: id("s-1"),
                immediate: true,
                abandon: true,
            }),
            json: r#"{"id":"01JD3","type":"session.end","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"session":"s-1","immediate":true,"abandon":true}}"#,
            cbor: "a56269646530314a443364747970656b73657373696f6e2e656e646c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a36773\
                657373696f6e63732d3169696d6d656469617465f5676162616e646f6ef5",
        },
        Frozen {
            request: Request::OutletSet(OutletSet {
                outlet: id("plug-07"),
                on: true,
                for_ms: Some(600_000),
                force: true,
            }),
            json: r#"{"id":"01JD3","type":"outlet.set","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"outlet":"plug-07","on":true,"for_ms":600000,"force":true}}"#,
            cbor: "a56269646530314a443364747970656a6f75746c65742e7365746c6973737565645f61745f6d731b\
                0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a4666f75\
                746c657467706c75672d3037626f6ef566666f725f6d731a000927c065666f726365f5",
        },
        Frozen {
            request: Request::OutletSet(OutletSet {
                outlet: id("plug-07"),
                on: false,
                for_ms: None,
                force: false,
            }),
            json: r#"{"id":"01JD3","type":"outlet.set","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"outlet":"plug-07","on":false}}"#,
            cbor: "a56269646530314a443364747970656a6f75746c65742e7365746c6973737565645f61745f6d731b\
                0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a2666f75\
                746c657467706c75672d3037626f6ef4",
        },
        Frozen {
            request: Request::OutletRelease(OutletRef { outlet: id("plug-07") }),
            json: r#"{"id":"01JD3","type":"outlet.release","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"outlet":"plug-07"}}"#,
            cbor: "a56269646530314a443364747970656e6f75746c65742e72656c656173656c6973737565645f6174\
                5f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479\
                a1666f75746c657467706c75672d3037",
        },
        Frozen {
            request: Request::TaskSubmit(TaskSubmit {
                task: id("t-1"),
                work: Work::Script(Script {
                    name: "wipe-profile.sh".to_owned(),
                    args: json!({"a": [1, -1, 1.5, true, null], "big": u64::MAX})
                        .as_object()
                        .expect("args are a map")
                        .clone(),
                }),
                not_before_ms: Some(1_763_693_600_000),
                max_retries: 0,
                timeout_ms: 1_000,
                backoff_ms: 0,
                backoff_max_ms: 24 * 3_600_000,
                priority: 9,
            }),
            json: r#"{"id":"01JD3","type":"task.submit","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"task":"t-1","kind":"script","payload":{"args":{"a":[1,-1,1.5,true,null],"big":18446744073709551615},"name":"wipe-profile.sh"},"not_before_ms":1763693600000,"max_retries":0,"timeout_ms":1000,"backoff_ms":0,"backoff_max_ms":86400000,"priority":9}}"#,
            cbor: "a56269646530314a443364747970656b7461736b2e7375626d69746c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a96474\
                61736b63742d31646b696e6466736372697074677061796c6f6164a26461726773a26161850120f9\
                3e00f5f6636269671bffffffffffffffff646e616d656f776970652d70726f66696c652e73686d6e\
                6f745f6265666f72655f6d731b0000019aa4549d006b6d61785f72657472696573006a74696d656f\
                75745f6d731903e86a6261636b6f66665f6d73006e6261636b6f66665f6d61785f6d731a05265c00\
                687072696f7269747909",
        },
        Frozen {
            request: task(Work::OutletCycle(OutletCycle { outlet: id("modem"), off_ms: 10_000 })),
            json: r#"{"id":"01JD3","type":"task.submit","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"task":"t-2","kind":"outlet.cycle","payload":{"off_ms":10000,"outlet":"modem"},"max_retries":3,"timeout_ms":60000,"backoff_ms":1000,"backoff_max_ms":300000,"priority":5}}"#,
            cbor: "a56269646530314a443364747970656b7461736b2e7375626d69746c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a86474\
                61736b63742d32646b696e646c6f75746c65742e6379636c65677061796c6f6164a2666f66665f6d\
                73192710666f75746c6574656d6f64656d6b6d61785f72657472696573036a74696d656f75745f6d\
                7319ea606a6261636b6f66665f6d731903e86e6261636b6f66665f6d61785f6d731a000493e06870\
                72696f7269747905",
        },
        Frozen {
            request: task(Work::Wait(Wait { wait_ms: 50 })),
            json: r#"{"id":"01JD3","type":"task.submit","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"task":"t-2","kind":"wait","payload":{"wait_ms":50},"max_retries":3,"timeout_ms":60000,"backoff_ms":1000,"backoff_max_ms":300000,"priority":5}}"#,
            cbor: "a56269646530314a443364747970656b7461736b2e7375626d69746c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a86474\
                61736b63742d32646b696e646477616974677061796c6f6164a167776169745f6d7318326b6d6178\
                5f72657472696573036a74696d656f75745f6d7319ea606a6261636b6f66665f6d731903e86e6261\
                636b6f66665f6d61785f6d731a000493e0687072696f7269747905",
        },
        Frozen {
            request: Request::TaskCancel(TaskRef { task: id("t-1") }),
            json: r#"{"id":"01JD3","type":"task.cancel","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"task":"t-1"}}"#,
            cbor: "a56269646530314a443364747970656b7461736b2e63616e63656c6c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a16474\
                61736b63742d31",
        },
        Frozen {
            request: Request::TaskRetry(TaskRef { task: id("t-1") }),
            json: r#"{"id":"01JD3","type":"task.retry","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"task":"t-1"}}"#,
            cbor: "a56269646530314a443364747970656a7461736b2e72657472796c6973737565645f61745f6d731b\
                0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a1647461\
                736b63742d31",
        },
        Frozen {
            request: Request::SchedulePut(SchedulePut {
                schedule: id("nightly"),
                cron: "0 30 3 * * MON".to_owned(),
                timezone: "Europe/Berlin".to_owned(),
                command: Box::new(task(Work::Wait(Wait { wait_ms: 50 }))),
                missed: Missed::Once,
                max_late_ms: 0,
            }),
            json: r#"{"id":"01JD3","type":"schedule.put","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"schedule":"nightly","cron":"0 30 3 * * MON","timezone":"Europe/Berlin","command":{"type":"task.submit","body":{"task":"t-2","kind":"wait","payload":{"wait_ms":50},"max_retries":3,"timeout_ms":60000,"backoff_ms":1000,"backoff_max_ms":300000,"priority":5}},"missed":"once","max_late_ms":0}}"#,
            cbor: "a56269646530314a443364747970656c7363686564756c652e7075746c6973737565645f61745f6d\
                731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a668\
                7363686564756c65676e696768746c796463726f6e6e302033302033202a202a204d4f4e6874696d\
                657a6f6e656d4575726f70652f4265726c696e67636f6d6d616e64a264747970656b7461736b2e73\
                75626d697464626f6479a8647461736b63742d32646b696e646477616974677061796c6f6164a167\
                776169745f6d7318326b6d61785f72657472696573036a74696d656f75745f6d7319ea606a626163\
                6b6f66665f6d731903e86e6261636b6f66665f6d61785f6d731a000493e0687072696f7269747905\
                666d6973736564646f6e63656b6d61785f6c6174655f6d7300",
        },
        Frozen {
            request: Request::ScheduleRemove(ScheduleRef { schedule: id("nightly") }),
            json: r#"{"id":"01JD3","type":"schedule.remove","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"schedule":"nightly"}}"#,
            cbor: "a56269646530314a443364747970656f7363686564756c652e72656d6f76656c6973737565645f61\
                745f6d731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f64\
                79a1687363686564756c65676e696768746c79",
        },
        Frozen {
            request: Request::EventResend(EventResend { from_seq: 1, to_seq: u64::MAX }),
            json: r#"{"id":"01JD3","type":"event.resend","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{"from_seq":1,"to_seq":18446744073709551615}}"#,
            cbor: "a56269646530314a443364747970656c6576656e742e726573656e646c6973737565645f61745f6d\
                731b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a268\
                66726f6d5f7365710166746f5f7365711bffffffffffffffff",
        },
        Frozen {
            request: Request::NodeReport(Empty {}),
            json: r#"{"id":"01JD3","type":"node.report","issued_at_ms":1763690000000,"expires_at_ms":1763690060000,"body":{}}"#,
            cbor: "a56269646530314a443364747970656b6e6f64652e7265706f72746c6973737565645f61745f6d73\
                1b0000019aa41dae806d657870697265735f61745f6d731b0000019aa41e98e064626f6479a0",
        },
    ]
}

fn task(work: Work) -> Request {
    Request::TaskSubmit(TaskSubmit {
        task: id("t-2"),
        work,
        not_before_ms: None,
        max_retries: 3,
        timeout_ms: 60_000,
        backoff_ms: 1_000,
        backoff_max_ms: 300_000,
        priority: 5,
    })
}
