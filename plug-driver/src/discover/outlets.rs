//! Writes what was found as configuration, ready to paste into `agent.toml`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{AtBroker, Family, Found};
use crate::PlugTopics;

/// Room for a suffix within the 64 characters of an id.
const LONGEST_STEM: usize = 56;
/// How much of a stranger's words a comment repeats.
const LONGEST_NAME: usize = 60;

/// An `[[outlet]]` for each relay of each plug. Ids are made of the plugs' names and differ from
/// each other and from those in `taken`. Of a plug that asks for a password the block is valid and
/// lacks it: it shows as comments what to add.
#[must_use]
pub fn outlets(found: &[Found], taken: &BTreeSet<String>) -> String {
    let mut taken = taken.clone();
    let mut text = String::new();
    for plug in found {
        let relays = plug.relays.unwrap_or(1);
        let stem = stem(plug);
        for relay in 1..=relays {
            let wanted = if relays == 1 { stem.clone() } else { format!("{stem}-{relay}") };
            let id = free(&wanted, &mut taken);
            block(&mut text, plug, relay, &id);
        }
    }
    text
}

fn block(text: &mut String, plug: &Found, relay: u8, id: &str) {
    let driver = plug.family.driver_name();
    let mut told = vec![];
    if let Some(generation) = plug.generation {
        told.push(format!("generation {generation}"));
    }
    if !plug.firmware.is_empty() {
        told.push(format!("firmware {}", plain(&plug.firmware)));
    }
    match plug.metered {
        Some(true) => told.push("with a meter".to_owned()),
        Some(false) => told.push("without a meter".to_owned()),
        None => {}
    }
    let name = if plug.name.is_empty() { driver.to_owned() } else { plain(&plug.name) };
    let mut line = |written: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{written}");
    };
    line(format_args!(
        "# {name}: {}",
        if told.is_empty() { driver.to_owned() } else { told.join(", ") }
    ));
    line(format_args!("[[outlet]]"));
    line(format_args!("id = \"{id}\""));
    line(format_args!("driver = \"{driver}\""));
    match &plug.at_broker {
        None => line(format_args!("url = \"{}\"", plug.url)),
        Some(AtBroker { topic, full_topic }) => {
            line(format_args!("mqtt_topic = \"{topic}\""));
            if full_topic != PlugTopics::DEFAULT_FULL {
                line(format_args!("mqtt_full_topic = \"{full_topic}\""));
            }
        }
    }
    line(format_args!("relay = {relay}"));
    if plug.password_needed {
        line(format_args!("# It asks for a password: put that alone in a file, and name it here."));
        let later = plug.family == Family::Shelly && plug.generation != Some(1);
        if !later {
            line(format_args!("#username = \"admin\""));
        }
        line(format_args!("#password_file = \"/etc/edge-agent/{id}.password\""));
        if plug.relays.is_none() {
            line(format_args!(
                "# It may have more relays, and tells of them only with its password."
            ));
        }
    }
    line(format_args!(""));
}

/// The name as the beginning of an id: `[A-Za-z0-9][A-Za-z0-9._-]*`.
fn stem(plug: &Found) -> String {
    let mut stem = String::new();
    for character in plug.name.chars() {
        if stem.len() == LONGEST_STEM {
            break;
        }
        match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' => stem.push(character),
            '.' | '_' if !stem.is_empty() => stem.push(character),
            _ if !stem.is_empty() && !stem.ends_with('-') => stem.push('-'),
            _ => {}
        }
    }
    let stem = stem.trim_end_matches(['-', '.', '_']);
    if stem.is_empty() {
        let host = plug.url.trim_start_matches("http://").replace([':', '.'], "-");
        return format!("{}-{host}", plug.family.driver_name());
    }
    stem.to_owned()
}

/// `wanted`, or with the first number behind it that makes it another than all that are taken.
fn free(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2u32..).map(|number| format!("{wanted}.{number}"));
    let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
    let id = candidates.find(|id| !taken.contains(id)).expect("there are enough numbers");
    taken.insert(id.clone());
    id
}

/// A stranger's words for a comment: one line, and not too long.
fn plain(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, relays: Option<u8>) -> Found {
        Found {
            family: Family::Shelly,
            generation: Some(2),
            firmware: "1.4.4".to_owned(),
            name: name.to_owned(),
            url: "http://192.0.2.7".to_owned(),
            at_broker: None,
            relays,
            metered: Some(true),
            password_needed: false,
        }
    }

    fn ids(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"')).collect()
    }

    #[test]
    fn a_plug_is_a_block_for_each_relay() {
        let text = outlets(&[found("Bar left", Some(1))], &BTreeSet::new());
        let expected = "# Bar left: generation 2, firmware 1.4.4, with a meter\n[[outlet]]\n\
                        id = \"Bar-left\"\ndriver = \"shelly\"\nurl = \"http://192.0.2.7\"\nrelay = 1\n\n";
        assert_eq!(text, expected);
        let text = outlets(&[found("pro4pm", Some(4))], &BTreeSet::new());
        assert_eq!(ids(&text), ["pro4pm-1", "pro4pm-2", "pro4pm-3", "pro4pm-4"]);
        assert_eq!(outlets(&[found("a dimmer", Some(0))], &BTreeSet::new()), "");
    }

    #[test]
    fn a_plug_at_a_broker_is_its_topic_there() {
        let at_broker = |full_topic: &str| {
            let (topic, full_topic) = ("tasmota_C2D3E4".to_owned(), full_topic.to_owned());
            let at_broker = Some(AtBroker { topic, full_topic });
            let family = Family::Tasmota;
            let plug = Found {
                family,
                generation: None,
                metered: None,
                at_broker,
                ..found("Bar", Some(1))
            };
            outlets(&[plug], &BTreeSet::new())
        };
        let expected = "# Bar: firmware 1.4.4\n[[outlet]]\nid = \"Bar\"\ndriver = \"tasmota\"\n\
                        mqtt_topic = \"tasmota_C2D3E4\"\nrelay = 1\n\n";
        assert_eq!(at_broker("%prefix%/%topic%/"), expected);
        let text = at_broker("%topic%/%prefix%/");
        assert!(text.contains("mqtt_full_topic = \"%topic%/%prefix%/\"\n"), "{text}");
    }

    #[test]
    fn no_two_ids_are_the_same_and_none_is_taken() {
        let plugs = [found("Bar", Some(1)), found("Bar!", Some(1)), found("Bar-1", Some(2))];
        let taken = BTreeSet::from(["Bar".to_owned()]);
        let text = outlets(&plugs, &taken);
        assert_eq!(ids(&text), ["Bar.2", "Bar.3", "Bar-1-1", "Bar-1-2"]);
    }

    #[test]
    fn a_name_of_any_text_becomes_an_id_and_one_line() {
        for (name, id) in [
            ("", "shelly-192-0-2-7"),
            ("…", "shelly-192-0-2-7"),
            ("-. _Küche  (links)", "K-che-links"),
            ("\n[[outlet]]\nid = \"x\"", "outlet-id-x"),
            (&"x".repeat(200), &"x".repeat(56)),
        ] {
            let text = outlets(&[found(name, None)], &BTreeSet::new());
            assert_eq!(ids(&text), [id], "{name:?}");
            assert_eq!(text.lines().filter(|line| *line == "[[outlet]]").count(), 1, "{name:?}");
        }
    }

    #[test]
    fn a_password_is_asked_for_in_comments() {
        let closed = Found { password_needed: true, relays: None, ..found("Bar", None) };
        let text = outlets(std::slice::from_ref(&closed), &BTreeSet::new());
        assert!(text.contains("#password_file = \"/etc/edge-agent/Bar.password\""), "{text}");
        assert!(!text.contains("username"), "it is always admin: {text}");
        let first = Found { generation: Some(1), ..closed };
        assert!(outlets(&[first], &BTreeSet::new()).contains("#username = \"admin\""));
    }
}
