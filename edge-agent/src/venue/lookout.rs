//! The plugs that a broker of the venue's knows, for a person who sets a site up.

use std::time::Duration;

use plug_driver::discover::{Found, RETAINED, retained};
use rumqttc::{Event, Packet, QoS};
use tokio::time::{Instant, timeout_at};

use super::Place;
use super::broker::{open, refused};
use crate::link::generator;

/// What a broker keeps it sends at once; when nothing more has come for so long that was all.
const QUIET: Duration = Duration::from_secs(1);
/// However much there is.
const LIMIT: Duration = Duration::from_secs(10);
/// What a hostile broker may make us keep, at the most.
const MOST: usize = 1_024;

/// The plugs that have the broker at `place` keep an announcement. Says nothing to any of them.
///
/// # Errors
/// Why the broker could not be asked.
pub async fn lookout(place: &Place) -> Result<Vec<Found>, String> {
    let client_id = format!("edge-agent-{:08x}", generator().u32(..));
    let (client, mut events) = open(place, &client_id);
    let end = Instant::now() + LIMIT;
    let (mut until, mut listening) = (end, false);
    let mut found = Vec::new();
    while found.len() < MOST {
        let event = match timeout_at(until, events.poll()).await {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => return Err(refused(&error)),
            Err(_) if listening => break,
            Err(_) => return Err("it does not answer".to_owned()),
        };
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                let subscribed = client.try_subscribe(RETAINED, QoS::AtMostOnce);
                subscribed.map_err(|error| crate::chain(&error))?;
            }
            Event::Incoming(Packet::SubAck(answer)) => {
                if answer.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure) {
                    return Err(format!("it does not let us subscribe to {RETAINED}"));
                }
                listening = true;
                until = end.min(Instant::now() + QUIET);
            }
            Event::Incoming(Packet::Publish(message)) => {
                found.extend(retained(&message.payload));
                until = end.min(Instant::now() + QUIET);
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
    Ok(found)
}
