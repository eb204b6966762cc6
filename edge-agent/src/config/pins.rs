//! GPIO outlets: which line each is on, who keeps it, and what it does before anybody drives it.

use std::path::{Path, PathBuf};

use plug_driver::{Backend, LineSettings};

use super::file::{self, Backend as BackendName};
use super::outlets::missing;
use super::{Driver, Flaw, OutletConfig, named};

/// The keeper's socket unless the configuration names another.
pub(super) const KEEPER: &str = "/run/edge-agent-keeper/keeper.sock";
/// The pins of the Raspberry Pi's header, by BCM number.
const LAST_BCM: u64 = 27;
/// No chip of the character device has more lines than this.
const LAST_OFFSET: u64 = 1_023;
/// GPIO 0 to this are pulled up at boot, those above down.
const LAST_PULLED_UP: u16 = 8;
/// Where a Raspberry Pi's firmware is told what to do with pins, today's place first.
const FIRMWARE_SETTINGS: [&str; 2] = ["/boot/firmware/config.txt", "/boot/config.txt"];

/// The keeper's socket as written: empty is none.
pub(super) fn keeper(written: Option<PathBuf>) -> Option<PathBuf> {
    let socket = written.unwrap_or_else(|| KEEPER.into());
    (!socket.as_os_str().is_empty()).then_some(socket)
}

/// The line of an outlet whose driver is gpio.
pub(super) fn line(outlet: &file::Outlet) -> Result<LineSettings, Flaw> {
    let name = outlet.backend.as_ref().map_or(BackendName::Rppal, |backend| *backend.get_ref());
    if let (Some(chip), BackendName::Rppal | BackendName::Files) = (&outlet.chip, name) {
        return Err(Flaw::at(chip, "chip goes with backend = \"cdev\""));
    }
    if let (Some(folder), BackendName::Rppal | BackendName::Cdev) = (&outlet.folder, name) {
        return Err(Flaw::at(
            folder,
            "folder goes with backend = \"files\", which switches nothing",
        ));
    }
    let backend = match name {
        BackendName::Rppal => Backend::Rppal,
        BackendName::Cdev => {
            Backend::Cdev { chip: outlet.chip.as_ref().map(|chip| chip.get_ref().clone()) }
        }
        BackendName::Files => {
            let wanted = "folder = \"/…\", where its simulated lines are";
            let folder = outlet.folder.as_ref().ok_or_else(|| missing(outlet, wanted))?;
            if !folder.get_ref().is_absolute() {
                return Err(Flaw::at(folder, "folder must be a path from the root"));
            }
            Backend::Files { folder: folder.get_ref().clone() }
        }
    };
    let last = match (name, &outlet.chip) {
        (BackendName::Rppal, _) | (BackendName::Cdev, None) => LAST_BCM,
        (BackendName::Cdev, Some(_)) | (BackendName::Files, _) => LAST_OFFSET,
    };
    let written = outlet.pin.as_ref().ok_or_else(|| missing(outlet, "pin = N (its BCM number)"))?;
    let pin = Some(*written.get_ref()).filter(|pin| *pin <= last);
    let pin = pin
        .and_then(|pin| u16::try_from(pin).ok())
        .ok_or_else(|| Flaw::at(written, format!("pin must be 0 to {last}")))?;
    let active_low = outlet.active_low.as_ref().is_some_and(|active_low| *active_low.get_ref());
    Ok(LineSettings { pin, active_low, backend })
}

/// Where a line is, however it is driven: no two outlets share that.
pub(super) fn place(line: &LineSettings) -> (Option<PathBuf>, u16) {
    let chip = match &line.backend {
        Backend::Rppal | Backend::Cdev { chip: None } => None,
        Backend::Cdev { chip: Some(chip) } => Some(chip.into()),
        Backend::Files { folder } => Some(folder.clone()),
    };
    (chip, line.pin)
}

/// What this machine's firmware is told; empty where it is no Raspberry Pi.
pub(super) fn firmware_settings() -> String {
    let read = |file: &str| String::from_utf8(named::read(Path::new(file)).ok()?).ok();
    FIRMWARE_SETTINGS.into_iter().find_map(read).unwrap_or_default()
}

/// What an operator should hear of the pins, `firmware` being the text of config.txt.
pub(super) fn warnings(outlets: &[OutletConfig], firmware: &str) -> Vec<String> {
    let warning = |outlet: &OutletConfig| {
        let Driver::Gpio { line, .. } = &outlet.driver else { return None };
        match &line.backend {
            Backend::Files { folder } => Some(format!(
                "the outlet {} is simulated by a file in {}: it switches nothing",
                outlet.id,
                folder.display()
            )),
            Backend::Rppal | Backend::Cdev { chip: None } => on_at_boot(outlet, line, firmware),
            Backend::Cdev { chip: Some(chip) } if chip.starts_with("pinctrl-") => {
                on_at_boot(outlet, line, firmware)
            }
            // What another chip's pulls are, nobody knows here.
            Backend::Cdev { chip: Some(_) } => None,
        }
    };
    outlets.iter().filter_map(warning).collect()
}

/// A pin whose pull means on closes its relay from the moment the power comes until it is driven.
fn on_at_boot(outlet: &OutletConfig, line: &LineSettings, firmware: &str) -> Option<String> {
    let pulled_up = line.pin <= LAST_PULLED_UP;
    if pulled_up == line.active_low || driven_off_by_firmware(line, firmware) {
        return None;
    }
    let (way, means, others) =
        if pulled_up { ("up", "high", "9 to 27") } else { ("down", "low", "0 to 8") };
    Some(format!(
        "the outlet {} is on from power-up until it is first driven: pin {} is pulled {way} at boot, and \
         {way} is on for a relay that closes while its pin is {means}. Put gpio={}=op,{} into \
         /boot/firmware/config.txt, which still leaves some seconds, and add a resistor of 10 kΩ or use \
         one of the pins {others}",
        outlet.id,
        line.pin,
        line.pin,
        firmware_word(line)
    ))
}

/// Driven high or low: what is off for this relay.
fn firmware_word(line: &LineSettings) -> &'static str {
    if line.active_low { "dh" } else { "dl" }
}

/// Whether config.txt drives the pin off: `gpio=17=op,dh`, `gpio=4,17-20=op,dh`.
fn driven_off_by_firmware(line: &LineSettings, firmware: &str) -> bool {
    let covers = |pins: &str| {
        pins.split(',').any(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u16>().ok();
            matches!((number(first), number(last)), (Some(first), Some(last))
                if (first..=last).contains(&line.pin))
        })
    };
    // The last word on a pin counts.
    firmware
        .lines()
        .filter_map(|text| text.trim().strip_prefix("gpio=")?.split_once('='))
        .rfind(|(pins, _)| covers(pins))
        .is_some_and(|(_, words)| {
            let mut words = words.split(',').map(str::trim);
            words.clone().any(|word| word == "op") && words.any(|word| word == firmware_word(line))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::settings::{Button, Rest};

    fn outlet(pin: u16, active_low: bool, backend: Backend) -> OutletConfig {
        let driver = Driver::Gpio { line: LineSettings { pin, active_low, backend }, keeper: None };
        let id = "relay-1".parse().unwrap();
        OutletConfig {
            id,
            driver,
            rest: Rest::Off,
            button: Button::Obey,
            cut_below_mw: None,
            min_off_ms: None,
            circuit: None,
            rated_cycles: None,
        }
    }

    #[test]
    fn a_pin_whose_pull_at_boot_means_on_is_warned_of_with_its_remedy() {
        for (pin, active_low, remedy) in
            [(17, true, Some("gpio=17=op,dh")), (9, true, Some("gpio=9=op,dh")), (9, false, None)]
                .into_iter()
                .chain([(8, false, Some("gpio=8=op,dl")), (8, true, None), (0, true, None)])
        {
            for backend in [Backend::Rppal, Backend::Cdev { chip: None }] {
                let warned = warnings(&[outlet(pin, active_low, backend)], "");
                assert_eq!(warned.len(), usize::from(remedy.is_some()), "{pin}: {warned:?}");
                let said = remedy.is_none_or(|remedy| warned[0].contains(remedy));
                assert!(said, "{warned:?}");
            }
        }
    }

    #[test]
    fn a_pin_that_the_firmware_drives_off_is_warned_of_no_more() {
        let outlets = [outlet(17, true, Backend::Rppal)];
        for (firmware, silent) in [
            ("dtparam=spi=on\n gpio=17=op,dh\n", true),
            ("gpio=4,16-18=op,pn,dh", true),
            ("#gpio=17=op,dh", false),
            ("gpio=17=op,dl", false),
            ("gpio=18=op,dh", false),
            ("gpio=17=op,dh\ngpio=17=ip", false),
            ("gpio=17", false),
        ] {
            assert_eq!(warnings(&outlets, firmware).is_empty(), silent, "{firmware}");
        }
    }

    #[test]
    fn a_simulated_line_is_never_silent_and_anothers_pulls_are_unknown() {
        let files = Backend::Files { folder: "/tmp/lines".into() };
        let warned = warnings(&[outlet(17, false, files)], "");
        assert!(warned[0].contains("switches nothing"), "{warned:?}");
        let chip = Backend::Cdev { chip: Some("9030000.pl061".to_owned()) };
        assert!(warnings(&[outlet(3, false, chip)], "").is_empty());
    }
}
