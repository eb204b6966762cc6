//! Packets as they stand on the wire, and what is made of them.

use super::*;

const TOPIC: &[u8] = b"\x00\x01t";

#[test]
fn a_packet_is_read_however_its_bytes_come_in() {
    let packets: [&[u8]; 5] = [
        &[0x20, 3, 1, 0, 0],
        &[0x90, 4, 0, 1, 0, 1],
        &[&[0x32, 8][..], TOPIC, &[0, 7, 0, b'h', b'i']].concat(),
        &[0x40, 2, 0, 9],
        &[0xd0, 0],
    ];
    let whole: Vec<_> = packets.iter().map(|packet| said(packet).unwrap()).collect();
    let mut incoming = BytesMut::new();
    let mut read = vec![];
    for byte in packets.concat() {
        incoming.extend_from_slice(&[byte]);
        read.extend(take(&mut incoming).unwrap());
    }
    assert_eq!(read, whole);
    assert!(incoming.is_empty());
}

#[test]
fn every_packet_that_only_a_client_sends_or_that_is_none_is_refused_at_its_first_byte() {
    let good =
        [0x20, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3a, 0x3b, 0x3c, 0x3d, 0x40, 0x90, 0xd0, 0xe0];
    for first in 0..=u8::MAX {
        let taken = take(&mut BytesMut::from(&[first][..]));
        let expected =
            if good.contains(&first) { Ok(None) } else { Err(Malformed::Kind { first }) };
        assert_eq!(taken, expected, "{first:#04x}");
    }
}

#[test]
fn a_packet_may_be_as_large_as_announced_and_is_refused_above_before_it_comes() {
    let topic_and_properties = [TOPIC, &[0]].concat();
    let largest = 256 * 1024 - 1 - 3 - topic_and_properties.len();
    let packet = [&[0x30, 0xfc, 0xff, 0x0f][..], &topic_and_properties, &vec![b'x'; largest]];
    let Some(Said::Message(publish)) = said(&packet.concat()) else { panic!("a PUBLISH") };
    assert_eq!(publish.payload.len(), largest);
    let one_more = take(&mut BytesMut::from(&[0x30, 0xfd, 0xff, 0x0f][..]));
    assert_eq!(one_more, Err(Malformed::TooLarge { bytes: 256 * 1024 + 1 }));
    let bomb = take(&mut BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]));
    assert_eq!(bomb, Err(Malformed::TooLarge { bytes: 5 + 268_435_455 }));
    let endless = take(&mut BytesMut::from(&[0x30, 0x80, 0x80, 0x80, 0x80][..]));
    assert_eq!(endless, Err(Malformed::Length));
}

#[test]
fn room_is_made_for_one_packet_and_never_for_more() {
    assert_eq!(missing(&[]), 1);
    assert_eq!(missing(&[0x30]), 1);
    assert_eq!(missing(&[0x30, 5]), 5);
    assert_eq!(missing(&[0x30, 0xff, 0xff, 0xff, 0x7f]), 256 * 1024 - 5);
    assert_eq!(missing(&[0x30, 0xff, 0xff, 0xff, 0xff]), 1);
}

#[test]
fn an_acknowledgement_is_read_in_its_short_and_its_long_forms() {
    let answer = |refusal| Some(Said::Answer { packet_id: 5, refusal });
    assert_eq!(said(&[0x40, 2, 0, 5]), answer(None));
    assert_eq!(said(&[0x40, 3, 0, 5, 0x10]), answer(None));
    assert_eq!(said(&[0x40, 4, 0, 5, 0x97, 0]), answer(Some(0x97)));
    assert_eq!(said(&[0x40, 8, 0, 5, 0x87, 4, 31, 0, 1, b'n']), answer(Some(0x87)));
    // As mosquitto says it of an event above its message_size_limit, and as nobody should.
    assert_eq!(said(&[0x40, 3, 0, 5, 0x95]), answer(Some(0x95)));
    assert_eq!(said(&[0x40, 3, 0, 5, 0xff]), answer(Some(0xff)));
}

#[test]
fn a_goodbye_is_read_in_its_short_and_its_long_forms() {
    let goodbye =
        |code, words: Option<&str>| Some(Said::Goodbye { code, words: words.map(str::to_owned) });
    assert_eq!(said(&[0xe0, 0]), goodbye(0, None));
    assert_eq!(said(&[0xe0, 1, 0x8e]), goodbye(0x8e, None));
    assert_eq!(said(&[0xe0, 2, 0x8e, 0]), goodbye(0x8e, None));
    assert_eq!(said(&[0xe0, 7, 0x8b, 5, 31, 0, 2, b'h', b'i']), goodbye(0x8b, Some("hi")));
    assert_eq!(said(&[0xe0, 1, 0x77]), goodbye(0x77, None));
}

#[test]
fn what_breaks_a_rule_is_no_packet() {
    let no_packets: [&[u8]; 27] = [
        &[0x20, 0],                                        // CONNACK: empty
        &[0x20, 2, 0, 0],                                  // as in MQTT 3.1.1
        &[0x20, 3, 2, 0, 0],                               // unknown flag
        &[0x20, 3, 0, 0x55, 0],                            // reason code that doesn't exist
        &[0x20, 4, 0, 0, 0, 0],                            // something behind the properties
        &[0x20, 6, 0, 0, 4, 0x21, 0, 1],                   // the list says more than there is
        &[0x20, 6, 0, 0, 2, 0x21, 0, 1],                   // and less
        &[0x20, 9, 0, 0, 6, 0x21, 0, 1, 0x21, 0, 1],       // twice
        &[0x20, 5, 0, 0, 2, 0x7f, 0],                      // no property
        &[0x20, 6, 0, 0, 3, 0x23, 0, 1],                   // another packet's property
        &[0x20, 7, 0, 0, 4, 31, 0, 1, 0xff],               // invalid UTF-8
        &[0x20, 7, 0, 0, 4, 31, 0, 9, b'n'],               // a string beyond the packet
        &[0x20, 7, 0, 0, 0x80, 0x80, 0x80, 0x80, 0],       // an endless length
        &[0x90, 3, 0, 1, 0],                               // SUBACK of nothing
        &[0x90, 4, 0, 1, 0, 0x77],                         // reason code that doesn't exist
        &[0x30, 2, 0, 9],                                  // PUBLISH: a topic beyond the packet
        &[0x30, 3, 0, 1, b't'],                            // without properties
        &[0x32, 6, 0, 1, b't', 0, 0, 0],                   // packet id 0
        &[0x32, 4, 0, 1, b't', 0],                         // half a packet id
        &[0x30, 9, 0, 1, b't', 1, 0x23, 0, 1, b'x', b'y'], // a property beyond its list
        &[0x40, 1, 5],                                     // PUBACK: half a packet id
        &[0x40, 2, 0, 0],                                  // packet id 0
        &[0x40, 3, 0, 5, 0x01],                            // a success that doesn't exist
        &[0x40, 7, 0, 5, 0, 3, 0x23, 0, 1],                // another packet's property
        &[0x40, 4, 0, 5, 0, 0x80],                         // properties cut off
        &[0xd0, 1, 0],                                     // PINGRESP with something in it
        &[0xe0, 2, 0x8e, 0x80],                            // DISCONNECT: properties cut off
    ];
    for packet in no_packets {
        let taken = take(&mut BytesMut::from(packet));
        assert!(matches!(taken, Err(Malformed::Body { .. })), "{packet:x?}: {taken:?}");
    }
}

/// Nothing that is read may panic, and where the bytes are cut into pieces changes nothing.
#[test]
#[expect(clippy::print_stdout, reason = "a script collects the figures")]
fn bytes_of_any_kind_are_read_alike_however_they_come_in() {
    let long = std::env::var("EDGE_AGENT_LONG").is_ok_and(|it| !it.is_empty());
    let inputs = if long { 20_000_000 } else { 100_000 };
    let mut random = fastrand::Rng::with_seed(1);
    let mut packets = 0_u64;
    for _ in 0..inputs {
        let bytes = bytes(&mut random);
        let (mut whole, mut parts) = (BytesMut::from(&bytes[..]), BytesMut::new());
        let mut expected = vec![];
        let refusal = loop {
            match take(&mut whole) {
                Ok(Some(said)) => expected.push(said),
                Ok(None) => break None,
                Err(refusal) => break Some(refusal),
            }
        };
        packets += u64::try_from(expected.len()).unwrap();
        let mut expected = expected.into_iter();
        'pieces: for piece in bytes.chunks(random.usize(1..8)) {
            parts.extend_from_slice(piece);
            loop {
                match take(&mut parts) {
                    Ok(Some(said)) => assert_eq!(Some(said), expected.next()),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(Some(error), refusal);
                        break 'pieces;
                    }
                }
            }
        }
        assert_eq!(expected.next(), None, "{bytes:x?}");
    }
    println!("FIGURE\thostile broker\tmutated inputs to the packet reader\t{inputs}");
    println!("FIGURE\thostile broker\tof them read as packets\t{packets}");
}

/// A packet or two, with a few bytes changed, and its length mostly right.
fn bytes(random: &mut fastrand::Rng) -> Vec<u8> {
    let bodies: [(u8, &[u8]); 6] = [
        (0x20, &[0, 0, 13, 0x21, 0, 5, 0x27, 0, 1, 0, 0, 0x13, 0, 30, 0x24, 1]),
        (0x90, &[0, 1, 7, 31, 0, 4, b'f', b'i', b'n', b'e', 1]),
        (0x32, &[0, 1, b't', 0, 7, 10, 11, 0x85, 1, 38, 0, 1, b'k', 0, 1, b'v', b'!']),
        (0x40, &[0, 2, 0x87, 7, 31, 0, 4, b'f', b'i', b'n', b'e']),
        (0xd0, &[]),
        (0xe0, &[0x9d, 6, 0x1c, 0, 3, b'a', b'.', b'b']),
    ];
    let mut all = vec![];
    for _ in 0..random.usize(1..=2) {
        let (mut first, mut body) =
            random.choice(bodies).map(|(it, body)| (it, body.to_vec())).unwrap();
        for _ in 0..random.usize(0..=3) {
            let at = random.usize(..=body.len());
            match random.u8(..8) {
                0 => body.insert(at, random.u8(..)),
                1 => body.truncate(at),
                2 => first = random.u8(..),
                _ if at < body.len() => {
                    body[at] = random.choice([0, 1, 4, 0x7f, 0x80, 0xff]).unwrap()
                }
                _ => {}
            }
        }
        let length =
            if random.u8(..8) == 0 { random.u8(..) } else { u8::try_from(body.len()).unwrap() };
        all.extend([first, length]);
        all.extend(body);
    }
    all
}

/// What `packet`, which is whole, says.
fn said(packet: &[u8]) -> Option<Said> {
    take(&mut BytesMut::from(packet)).unwrap()
}
