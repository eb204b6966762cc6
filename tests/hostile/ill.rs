//! What somebody hostile does to a node that takes them for its broker.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use crate::peer::Peer;

/// Where the site's node takes commands.
pub(crate) const COMMANDS: &str = "edge/v1/nodes/pi-0042/commands";
/// The largest payload of a command's packet that the node has announced to take.
const LARGEST: usize = 256 * 1024 - 100;
/// How many kinds of ill there are in [`everything`].
pub(crate) const KINDS: usize = 18;

/// One ill after another.
pub(crate) fn everything(
    number: usize,
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
) -> io::Result<()> {
    let kind = number % KINDS;
    if kind == 0 {
        return Ok(());
    }
    if kind == 1 {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    let mut peer = Peer::new(stream, tls)?;
    // A lie in one half of all cases, whatever the truth is.
    let session_present = number.is_multiple_of(2);
    match kind {
        2 => return Ok(()),
        3 => {
            peer.next_of(1)?;
            pause();
        }
        4 => {
            peer.next_of(1)?;
            peer.send(0x20, &[&[0, 0x87, 0]])?;
        }
        5 => {
            peer.welcome(session_present)?;
            peer.send(0x20, &[&[0, 0, 0]])?;
        }
        6 => {
            peer.next_of(1)?;
            // A packet of at most 100 bytes: no event fits.
            peer.send(0x20, &[&[0, 0, 5, 0x27, 0, 0, 0, 100]])?;
        }
        7 => {
            peer.welcome(session_present)?;
            peer.next_of(8)?;
            peer.send(0x90, &[&[0, 1, 0, 0x80]])?;
        }
        8 => peer.bring_up(session_present)?,
        9 => {
            // Withholds every acknowledgement.
            peer.bring_up(session_present)?;
            for _ in 0..8 {
                peer.next_publish()?;
            }
            pause();
        }
        10 => {
            // Acknowledges the wrong one.
            peer.bring_up(session_present)?;
            let packet_id = peer.next_publish()?;
            peer.answer(packet_id.wrapping_add(1_000), 0)?;
        }
        11 => {
            // Will have none of it.
            peer.bring_up(session_present)?;
            for code in [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0xff] {
                let packet_id = peer.next_publish()?;
                peer.answer(packet_id, code)?;
            }
        }
        12 => {
            // Each alias would keep its packet: 16 GB of them.
            peer.bring_up(session_present)?;
            for alias in 1..=400_u16 {
                let [high, low] = alias.to_be_bytes();
                peer.publish("x", 0, &[0x23, high, low], &vec![b'x'; 60_000])?;
            }
        }
        13 => {
            // As large as allowed, as many as allowed and more.
            peer.bring_up(session_present)?;
            for packet_id in 1..=70 {
                peer.publish(COMMANDS, packet_id, &[], &vec![b'{'; LARGEST])?;
            }
        }
        14 => {
            peer.bring_up(session_present)?;
            peer.raw(&[0x32, 0xff, 0xff, 0xff, 0x7f])?;
        }
        15 => {
            // A packet with 50,000 properties.
            peer.bring_up(session_present)?;
            let properties = [0x26, 0, 0, 0, 0].repeat(50_000);
            let topic = [&[0, 1, b'x'], &[0x90, 0xa1, 0x0f][..], &properties];
            peer.send(0x30, &topic)?;
            pause();
        }
        16 => {
            peer.bring_up(session_present)?;
            peer.send(0xe0, &[&[0x8b]])?;
        }
        17 => {
            // Half a packet, and not a byte more.
            peer.bring_up(session_present)?;
            peer.raw(&[0x32, 100, 0, 30, b'e'])?;
            pause();
        }
        _ => {}
    }
    peer.drain()
}

fn pause() {
    sleep(Duration::from_millis(200));
}

/// As fast as the line goes: nothing that a node may hang up on, and nothing that it may act on.
pub(crate) fn flood(_: usize, stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<()> {
    let mut peer = Peer::new(stream, tls)?;
    peer.bring_up(true)?;
    let mut burst = [0xd0, 0].repeat(500);
    for _ in 0..50 {
        burst.extend_from_slice(b"\x30\x0a\x00\x05other\x00hi");
        burst.extend_from_slice(b"\x32\x0c\x00\x05other\x00\x01\x00hi");
    }
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        peer.raw(&burst)?;
    }
    Ok(())
}
