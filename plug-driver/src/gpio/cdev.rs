//! A line of the kernel's GPIO character device (uAPI version 2), on any board.
//!
//! The kernel gives a line to one owner at a time. What becomes of it when that one dies is the
//! chip driver's affair: [`on_death`].

use std::path::PathBuf;

use gpiocdev::line::Value;
use gpiocdev::request::{Config, Request};
use gpiocdev::{Chip, Error as CdevError};

use super::line::{Level, Line, OnDeath};
use crate::error::Fault;

/// The chips behind a Raspberry Pi's header, by label; their numbers differ from board to board.
const HEADERS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];
/// The chip where none of these is.
const FIRST: &str = "gpiochip0";
/// How other programs see who has the line: `gpioinfo` shows it.
const CONSUMER: &str = "edge-agent";

/// A line of the character device.
#[derive(Debug)]
pub(super) struct CdevLine {
    chip: Option<String>,
    offset: u32,
    claimed: Option<Claimed>,
}

#[derive(Debug)]
struct Claimed {
    request: Request,
    /// It is an output of ours already.
    driven: bool,
}

impl CdevLine {
    pub(super) fn new(chip: Option<String>, pin: u16) -> Self {
        Self { chip, offset: u32::from(pin), claimed: None }
    }

    /// Asks the kernel for the line: as it is, or as an output of a value, in the same call.
    fn claim(&self, output: Option<Value>) -> Result<Claimed, Fault> {
        let chip = find(self.chip.as_deref())?;
        let mut builder = Request::builder();
        builder.on_chip(chip.path()).with_consumer(CONSUMER).with_line(self.offset);
        match output {
            Some(value) => builder.as_output(value),
            None => builder.as_is(),
        };
        match builder.request() {
            Ok(request) => Ok(Claimed { request, driven: output.is_some() }),
            Err(source) => Err(refused(&chip, self.offset, source)),
        }
    }
}

impl Line for CdevLine {
    fn level(&mut self) -> Result<Level, Fault> {
        let claimed = match self.claimed.take() {
            Some(claimed) => claimed,
            None => self.claim(None)?,
        };
        let value = claimed.request.value(self.offset);
        self.claimed = Some(claimed);
        match value.map_err(|source| failed("the kernel does not tell its level", source))? {
            Value::Active => Ok(Level::High),
            Value::Inactive => Ok(Level::Low),
        }
    }

    fn drive(&mut self, level: Level) -> Result<(), Fault> {
        let value = match level {
            Level::Low => Value::Inactive,
            Level::High => Value::Active,
        };
        let Some(claimed) = &mut self.claimed else {
            self.claimed = Some(self.claim(Some(value))?);
            return Ok(());
        };
        let driven = if claimed.driven {
            claimed.request.set_value(self.offset, value)
        } else {
            // Direction and level in one call.
            let mut output = Config::default();
            output.with_line(self.offset).as_output(value);
            claimed.request.reconfigure(&output)
        };
        driven.map_err(|source| failed("the kernel does not drive it", source))?;
        claimed.driven = true;
        Ok(())
    }
}

/// The chip by its label or name; without one the header of a Raspberry Pi, else the first.
fn find(wanted: Option<&str>) -> Result<Chip, Fault> {
    let paths = gpiocdev::chip::chips()
        .map_err(|source| failed("the kernel offers no GPIO character device", source))?;
    if paths.is_empty() {
        let remedy =
            "there is no /dev/gpiochip0: this board or its kernel has no GPIO character device";
        return Err(failed(remedy, CdevError::NoGpioChips()));
    }
    let mut first = None;
    let mut labels = Vec::new();
    let mut forbidden = None;
    for path in paths {
        let (chip, label, name) = match open(path) {
            Ok(opened) => opened,
            Err(fault) => {
                forbidden = Some(fault);
                continue;
            }
        };
        let found = match wanted {
            Some(wanted) => label == wanted || name == wanted,
            None => HEADERS.contains(&label.as_str()),
        };
        if found {
            return Ok(chip);
        }
        if name == FIRST {
            first = Some(chip);
        }
        labels.push(label);
    }
    match (wanted, first, forbidden) {
        (None, Some(first), _) => Ok(first),
        (_, _, Some(forbidden)) => Err(forbidden),
        (Some(wanted), _, None) => {
            let remedy = format!("there is no chip {wanted}; there are: {}", labels.join(", "));
            Err(failed(remedy, CdevError::NoGpioChips()))
        }
        (None, None, None) => {
            let remedy = format!("name the chip; there are: {}", labels.join(", "));
            Err(failed(remedy, CdevError::NoGpioChips()))
        }
    }
}

/// A chip with its label and name.
fn open(path: PathBuf) -> Result<(Chip, String, String), Fault> {
    let shown = path.display().to_string();
    let opened = Chip::from_path(path).and_then(|chip| {
        let info = chip.info()?;
        Ok((chip, info.label, info.name))
    });
    opened.map_err(|source| {
        let remedy =
            format!("{shown} can't be opened: add the user that runs it to the group gpio");
        failed(remedy, source)
    })
}

/// Why the kernel did not give the line.
fn refused(chip: &Chip, offset: u32, source: CdevError) -> Fault {
    let remedy = match chip.line_info(offset) {
        Ok(info) if info.used => {
            let by = if info.consumer.is_empty() { "the kernel" } else { &info.consumer };
            format!(
                "{by} has line {offset} of {} already: end that, or use another line",
                chip.name()
            )
        }
        Ok(_) => format!("the kernel does not give line {offset} of {}", chip.name()),
        Err(_) => format!("{} has no line {offset}: gpioinfo shows those it has", chip.name()),
    };
    failed(remedy, source)
}

fn failed(remedy: impl Into<String>, source: CdevError) -> Fault {
    Fault::Chip { remedy: remedy.into(), source }
}

/// What this kernel does with a line of `chip` whose owner has died.
pub(super) fn on_death(chip: Option<&str>) -> OnDeath {
    let label = find(chip).and_then(|chip| {
        chip.info().map_err(|source| failed("the chip does not tell its label", source))
    });
    let Ok(info) = label else { return OnDeath::Unknown };
    told(&info.label, |parameter| std::fs::read_to_string(format!("/sys/module/{parameter}")).ok())
}

/// What the chip's driver says of itself. A Raspberry Pi's kernel keeps driven lines unless it was
/// started with `dtparam=strict_gpiod`; the parameter's name changed in 2024.
fn told(label: &str, parameter: impl Fn(&str) -> Option<String>) -> OnDeath {
    let module = match label {
        "pinctrl-rp1" => "pinctrl_rp1",
        label if label.starts_with("pinctrl-bcm") => "pinctrl_bcm2835",
        _other => return OnDeath::Unknown,
    };
    let yes = |name: &str| {
        let value = parameter(&format!("{module}/parameters/{name}"))?;
        Some(matches!(value.trim(), "Y" | "y" | "1"))
    };
    match (yes("persist_gpio_outputs"), yes("strict_gpiod")) {
        (Some(true), _) | (None, Some(false)) => OnDeath::Keeps,
        (Some(false), _) | (None, Some(true)) => OnDeath::LetsGo,
        (None, None) => OnDeath::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_kernel_tells_what_becomes_of_a_dead_owners_line() {
        let (persist, strict) = ("persist_gpio_outputs", "strict_gpiod");
        for (label, told_by, value, expected) in [
            ("pinctrl-bcm2711", persist, "Y\n", OnDeath::Keeps),
            ("pinctrl-bcm2835", persist, "N\n", OnDeath::LetsGo),
            ("pinctrl-rp1", persist, "N\n", OnDeath::LetsGo),
            ("pinctrl-bcm2711", strict, "Y\n", OnDeath::LetsGo),
            ("pinctrl-bcm2711", strict, "N\n", OnDeath::Keeps),
            ("pinctrl-bcm2711", "something_else", "Y\n", OnDeath::Unknown),
            ("9030000.pl061", persist, "Y\n", OnDeath::Unknown),
        ] {
            let module = if label == "pinctrl-rp1" { "pinctrl_rp1" } else { "pinctrl_bcm2835" };
            let known = format!("{module}/parameters/{told_by}");
            let parameter = |asked: &str| (asked == known).then(|| value.to_owned());
            assert_eq!(told(label, parameter), expected, "{label} {told_by} {value}");
        }
    }

    #[test]
    fn without_a_chip_the_error_says_what_is_missing() {
        if gpiocdev::chip::chips().is_ok_and(|chips| !chips.is_empty()) {
            return; // This machine has GPIO, and its lines are none of a test's business.
        }
        let fault = CdevLine::new(None, 17).level().unwrap_err();
        assert_eq!(fault.kind(), Kind::Broken);
        assert!(fault.to_string().contains("/dev/gpiochip0"), "{fault}");
        assert_eq!(on_death(None), OnDeath::Unknown);
    }
}
