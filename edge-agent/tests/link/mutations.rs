//! Good packets with a few wrong bytes, by the thousand: nothing that rumqttc or the link reads
//! may panic, hang, or pass for an acknowledgement of what was not acknowledged.

use crate::authority::Authority;
use crate::gauntlet::{MOMENTS, deliver, figure, good, quick};
use crate::scripted::Scripted;

/// Connections of the short version and of the long one, each with a few packets.
const CONNECTIONS: (u32, u32) = (250, 8_000);
/// Packets that one connection is sent at most, one behind the other.
const PACKETS: u32 = 4;

#[tokio::test]
async fn no_mutated_packet_stops_a_node() {
    let long = std::env::var("EDGE_AGENT_LONG").is_ok_and(|it| !it.is_empty());
    let connections = if long { CONNECTIONS.1 } else { CONNECTIONS.0 };
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let authority = Authority::new();
    let broker = Scripted::start(&authority, move |stage| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut packets = 0;
        for _ in 0..connections {
            let mut peer = random.choice(MOMENTS).unwrap().reached(stage);
            for _ in 0..random.u32(1..=PACKETS) {
                if peer.raw(&mutant(&mut random)).is_err() {
                    break;
                }
                packets += 1;
            }
        }
        figure("mutated packets over the line", packets);
        good(stage);
    });
    let told = deliver(quick(&authority, broker.port), &broker).await;
    assert!(told.downs.len() >= usize::try_from(connections).unwrap() / 2, "{:?}", told.downs);
    broker.finish().await;
}

/// A packet with a few bytes changed, added, taken out or doubled, its length right or not.
fn mutant(random: &mut fastrand::Rng) -> Vec<u8> {
    let seeds: [&[u8]; 16] = [
        b"\x20\x03\x00\x00\x00",
        b"\x20\x21\x01\x00\x1e\x11\x00\x00\x00\x0a\x21\x00\x14\x24\x01\x25\x01\x27\x00\x01\x00\x00\x22\x00\x0a\x13\x00\x1e\x1f\x00\x02ok\x28\x01",
        b"\x20\x15\x00\x00\x12\x12\x00\x02id\x26\x00\x01k\x00\x01v\x1c\x00\x01s\x16\x00\x01d",
        b"\x90\x04\x00\x01\x00\x01",
        b"\x90\x0b\x00\x01\x07\x1f\x00\x04fine\x01",
        b"\x32\x2d\x00\x1eedge/v1/nodes/pi-0042/commands\x00\x07\x00{\"id\":\"c\"}",
        b"\x30\x3f\x00\x1eedge/v1/nodes/pi-0042/commands\x1d\x01\x01\x02\x00\x00\x00\x09\x03\x00\x01c\x08\x00\x01r\x09\x00\x01d\x0b\x85\x01\x26\x00\x01k\x00\x01v!",
        b"\x40\x02\x00\x02",
        b"\x40\x0b\x00\x02\x87\x07\x1f\x00\x04fine",
        b"\xe0\x09\x8b\x07\x1f\x00\x04fine",
        b"\xe0\x0d\x9d\x0b\x11\x00\x00\x00\x00\x1c\x00\x03a.b",
        b"\xd0\x00",
        b"\xf0\x08\x18\x06\x15\x00\x03abc",
        b"\x62\x02\x00\x02",
        b"\xb0\x04\x00\x01\x00\x00",
        b"\x10\x13\x00\x04MQTT\x05\xc6\x00\x3c\x00\x00\x01c\x00\x00\x01u\x00",
    ];
    let mut packet = random.choice(seeds).unwrap().to_vec();
    for _ in 0..random.u32(1..=4) {
        let at = random.usize(..packet.len());
        match random.u8(..6) {
            0 => packet[at] = random.u8(..),
            1 => packet[at] ^= 1 << random.u8(..8),
            2 => packet.insert(at, random.u8(..)),
            3 if packet.len() > 1 => drop(packet.remove(at)),
            4 => packet[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
            _ => packet.extend_from_within(at..),
        }
    }
    // Half of them with a length that is right, so that the rest is read at all.
    if packet.len() > 2 && random.bool() {
        packet[1] = u8::try_from(packet.len() - 2).unwrap_or(0x7f).min(0x7f);
    }
    packet
}
