//! `CoIoT`: how a Shelly of the first generation tells its state over `CoAP`, as far as it is
//! asked (`cit/d`, `cit/s`). The multicast that it sends by itself is left out.
//!
//! Source: the vendor's `CoIoT` documentation, version 2; the judge is aioshelly.

use serde_json::{Value, json};

use super::Shelly;

/// `2.05 Content`.
const CONTENT: u8 = 69;
/// The option that names the device: `SHPLG-S#MAC#2`.
const DEVICE: u16 = 3_332;

impl Shelly {
    /// `None` for what is no question of ours.
    pub(crate) fn coiot(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = packet.split_at_checked(4)?;
        // The request's path is in its options, in the clear.
        let asks = |path: &[u8]| rest.windows(path.len()).any(|window| window == path);
        let body = match (asks(b"\xb3cit\x01d"), asks(b"\xb3cit\x01s")) {
            (true, _) => self.coiot_description(),
            (false, true) => self.coiot_status(),
            (false, false) => return None,
        };
        let name = format!("{}#{}#2", self.model_gen1(), self.profile.mac);
        let length = u8::try_from(name.len()).ok().filter(|length| (13..=255).contains(length))?;
        let delta = (DEVICE - 269).to_be_bytes();
        // Version 1, without a confirmation; the question's own number comes back.
        let mut reply = vec![0x50, CONTENT, head[2], head[3]];
        reply.extend([0xED, delta[0], delta[1], length - 13]);
        reply.extend(name.bytes());
        reply.push(0xFF);
        reply.extend(body.to_string().bytes());
        Some(reply)
    }

    pub(super) fn coiot_description(&self) -> Value {
        let (mut blocks, mut sensors) = (vec![], vec![]);
        let device = self.outputs.len() + 1;
        for relay in 0..self.outputs.len() {
            let block = relay + 1;
            blocks.push(json!({ "I": block, "D": format!("relay_{relay}") }));
            let mut sensor = |number: usize,
                              kind: &str,
                              name: &str,
                              unit: Option<&str>,
                              range: Value| {
                let mut told = json!({ "I": number + relay * 100, "T": kind, "D": name, "R": range, "L": block });
                if let Some(unit) = unit {
                    told["U"] = json!(unit);
                }
                sensors.push(told);
            };
            sensor(1_101, "S", "output", None, json!("0/1"));
            if self.profile.meter {
                sensor(4_101, "P", "power", Some("W"), json!(["0/2500", "-1"]));
                sensor(4_103, "E", "energy", Some("Wmin"), json!(["U32", "-1"]));
            }
            sensor(6_102, "A", "overpower", None, json!(["0/1", "-1"]));
        }
        blocks.push(json!({ "I": device, "D": "device" }));
        sensors.push(json!({ "I": 9_103, "T": "EVC", "D": "cfgChanged", "R": "U16", "L": device }));
        json!({ "blk": blocks, "sen": sensors })
    }

    pub(super) fn coiot_status(&self) -> Value {
        let mut values = vec![json!([0, 9_103, self.revision - 1])];
        for (relay, output) in self.outputs.iter().enumerate() {
            let number = |number: usize| number + relay * 100;
            let state = &self.board.relays[relay];
            values.push(json!([0, number(1_101), u8::from(state.on)]));
            if self.profile.meter {
                values.push(json!([0, number(4_101), self.board.shown_w(relay)]));
                values.push(json!([0, number(4_103), (state.energy_wh * 60.0).floor()]));
            }
            let over = output.errors.iter().any(|error| error == "overpower");
            values.push(json!([0, number(6_102), u8::from(over)]));
        }
        json!({ "G": values })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Profile;

    #[test]
    fn a_question_is_answered_with_the_device_named_and_its_state_in_numbers() {
        let plug = Shelly::new(Profile::shelly_gen1(), Duration::ZERO);
        let reply = plug.coiot(b"\x50\x01\x00\x0a\xb3cit\x01s\xff\x00").unwrap();
        assert_eq!(reply[..8], [0x50, 69, 0, 10, 0xED, 0x0B, 0xF7, 9]);
        let text = String::from_utf8_lossy(&reply[8..]).into_owned();
        assert!(text.starts_with("SHPLG-S#02A0B1C2D3E4#2"), "{text}");
        assert!(text.contains(r#"[0,1101,0]"#), "{text}");
        assert_eq!(plug.coiot(b"\x50\x01\x00\x0a\xb3xyz\xff\x00"), None);
    }
}
