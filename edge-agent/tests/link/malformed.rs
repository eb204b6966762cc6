//! Every packet of MQTT 5, spoilt in every way that fits it, at every moment of a connection.

use crate::gauntlet::{Case, MOMENTS, Moment, run};

/// What no node may be sent, with the length in the second byte right.
fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let own = b"\x00\x1eedge/v1/nodes/pi-0042/commands";
    let command = |first: u8, rest: &[u8]| packet(first, &[own, rest].concat());
    let mut all = vec![
        ("a packet of type 0", packet(0x00, &[])),
        ("CONNECT", packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")),
        ("CONNACK with its flags set", packet(0x21, &[0, 0, 0])),
        ("an empty CONNACK", packet(0x20, &[])),
        ("CONNACK as in MQTT 3.1.1", packet(0x20, &[0, 0])),
        ("CONNACK with a reserved flag", packet(0x20, &[2, 0, 0])),
        ("CONNACK with a wrong property", packet(0x20, &[0, 0, 3, 0x23, 0, 1])),
        ("CONNACK with an unknown property", packet(0x20, &[0, 0, 2, 0x7f, 0])),
        ("CONNACK with a property twice", packet(0x20, &[0, 0, 6, 0x21, 0, 1, 0x21, 0, 1])),
        ("CONNACK with invalid UTF-8", packet(0x20, &[0, 0, 4, 0x1f, 0, 1, 0xff])),
        ("CONNACK with a long list", packet(0x20, &[0, 0, 0x7f])),
        ("PUBLISH at QoS 3", command(0x36, &[0, 7, 0, b'x'])),
        ("PUBLISH repeated at QoS 0", command(0x38, &[0, b'x'])),
        ("PUBLISH with packet id 0", command(0x32, &[0, 0, 0, b'x'])),
        ("PUBLISH without a packet id", command(0x32, &[])),
        ("PUBLISH without properties", command(0x32, &[0, 7])),
        ("PUBLISH with a topic that is cut", packet(0x30, &[0, 99, b'e'])),
        ("PUBLISH with a topic alias and a topic", command(0x32, &[0, 7, 3, 0x23, 0, 1, b'x'])),
        ("PUBLISH with topic alias 0", command(0x32, &[0, 7, 3, 0x23, 0, 0, b'x'])),
        ("PUBLISH with an alias alone", packet(0x32, &[0, 0, 0, 7, 3, 0x23, 0, 1, b'x'])),
        ("PUBLISH without a topic", packet(0x32, &[0, 0, 0, 7, 0, b'x'])),
        ("PUBLISH with a property twice", command(0x32, &[0, 7, 4, 1, 0, 1, 0, b'x'])),
        ("PUBLISH with a wrong property", command(0x32, &[0, 7, 3, 0x21, 0, 1, b'x'])),
        ("PUBLISH with a property cut off", command(0x32, &[0, 7, 1, 0x02, 0, 0, 0, 1])),
        ("PUBLISH with invalid UTF-8", command(0x32, &[0, 7, 4, 3, 0, 1, 0xff, b'x'])),
        ("PUBLISH at QoS 2", command(0x34, &[0, 7, 0, b'x'])),
        ("PUBACK with its flags set", packet(0x42, &[0, 1])),
        ("an empty PUBACK", packet(0x40, &[])),
        ("half a PUBACK", packet(0x40, &[1])),
        ("PUBACK of packet id 0", packet(0x40, &[0, 0])),
        ("PUBACK of what was not sent", packet(0x40, &[0xff, 0xff])),
        ("PUBACK with a wrong property", packet(0x40, &[0, 2, 0, 3, 0x23, 0, 1])),
        ("PUBACK with properties cut off", packet(0x40, &[0, 2, 0, 0x80])),
        ("PUBREC", packet(0x50, &[0, 2])),
        ("PUBREL", packet(0x62, &[0, 2])),
        ("PUBREL with wrong flags", packet(0x60, &[0, 2])),
        ("PUBCOMP", packet(0x70, &[0, 2])),
        ("SUBSCRIBE", packet(0x82, b"\x00\x01\x00\x00\x01t\x01")),
        ("SUBACK with its flags set", packet(0x91, &[0, 1, 0, 1])),
        ("an empty SUBACK", packet(0x90, &[])),
        ("SUBACK of nothing", packet(0x90, &[0, 1, 0])),
        ("SUBACK of something else", packet(0x90, &[0, 9, 0, 1])),
        ("SUBACK of too much", packet(0x90, &[0, 1, 0, 1, 1])),
        ("SUBACK with properties cut off", packet(0x90, &[0, 1, 0x80])),
        ("UNSUBSCRIBE", packet(0xa2, b"\x00\x01\x00\x00\x01t")),
        ("UNSUBACK", packet(0xb0, &[0, 1, 0, 0])),
        ("PINGREQ", packet(0xc0, &[])),
        ("PINGRESP with its flags set", packet(0xd8, &[])),
        ("PINGRESP with something in it", packet(0xd0, &[0])),
        ("DISCONNECT with its flags set", packet(0xe1, &[])),
        ("DISCONNECT with a wrong property", packet(0xe0, &[0, 3, 0x23, 0, 1])),
        ("AUTH", packet(0xf0, &[0x18, 0])),
        ("an empty AUTH", packet(0xf0, &[])),
        ("a length without an end", vec![0x30, 0xff, 0xff, 0xff, 0xff]),
        ("the largest length", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
        ("one byte more than allowed", vec![0x32, 0xfd, 0xff, 0x0f]),
        ("a web page", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ];
    for first in [0x20, 0x40, 0x90] {
        let mut long = packet(first, &[0; 0x7f]);
        long.truncate(100);
        long[1] = 98;
        all.push(("a packet of zeros", long));
    }
    all
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80).unwrap();
    [&[first, length], body].concat()
}

#[tokio::test]
async fn a_packet_that_no_broker_may_send_ends_the_connection_at_any_moment() {
    let mut cases = vec![];
    for moment in MOMENTS {
        for (name, bytes) in packets() {
            cases.push(Case::refused(name, moment, bytes));
        }
    }
    let count = cases.len();
    let told = run(cases).await;
    assert_eq!(told.downs.len(), count);
    assert_eq!(told.commands, 0, "no command was made of them");
    assert!(told.downs.iter().all(|(_, taken_over)| !taken_over));
}

#[tokio::test]
async fn every_reason_to_disconnect_is_one_and_only_one_is_a_takeover() {
    let mut cases = vec![];
    for code in 0..=u8::MAX {
        // Short and long forms in turn; all of them with the code that matters most.
        let long = packet(0xe0, &[code, 5, 0x1f, 0, 2, b'h', 0x1b]);
        let forms = [packet(0xe0, &[code]), packet(0xe0, &[code, 0]), long];
        for (form, bytes) in forms.into_iter().enumerate() {
            if code == 0x8e || form == usize::from(code) % 3 {
                let moment = MOMENTS[usize::from(code) % 3];
                cases.push(Case::refused(format!("DISCONNECT {code:#04x}"), moment, bytes));
            }
        }
    }
    cases.push(Case::refused("DISCONNECT without a code", Moment::Up, packet(0xe0, &[])));
    let told = run(cases).await;
    let takeovers = told.downs.iter().filter(|(_, taken_over)| *taken_over).count();
    assert_eq!(takeovers, 3);
    assert_eq!(told.downs.len(), 256 + 2 + 1);
    assert!(told.downs.iter().all(|(reason, _)| reason.contains("hung up")), "{:?}", told.downs);
}

#[tokio::test]
async fn only_one_welcome_and_two_grants_are_good_whatever_their_code() {
    let mut cases = vec![];
    for code in 1..=u8::MAX {
        let bytes = packet(0x20, &[0, code, 0]);
        cases.push(Case::refused(format!("CONNACK {code:#04x}"), Moment::Connected, bytes));
    }
    // 1 and 2 are QoS 1 and 2, as asked for or more.
    for code in (0..=u8::MAX).filter(|code| ![1, 2].contains(code)) {
        let bytes = packet(0x90, &[0, 1, 0, code]);
        cases.push(Case::refused(format!("SUBACK {code:#04x}"), Moment::Welcomed, bytes));
    }
    let count = cases.len();
    assert_eq!(run(cases).await.downs.len(), count);
}
