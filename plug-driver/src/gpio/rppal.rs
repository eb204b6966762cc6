//! A pin in the registers of a Raspberry Pi. Nothing owns it: it stays as it was driven when its
//! owner ends, however it ends, and whoever may open the registers can drive it.

use rppal::gpio::{Error as RppalError, Gpio as Rppal, Level as RppalLevel, OutputPin, Pin};

use super::line::{Level, Line};
use crate::error::Fault;

/// A pin under rppal.
#[derive(Debug)]
pub(super) enum RppalLine {
    /// Not touched yet; the BCM number.
    Unclaimed(u8),
    /// Claimed, and still whatever it was.
    Watched(Pin),
    /// An output.
    Driven(OutputPin),
}

impl RppalLine {
    pub(super) fn new(pin: u16) -> Self {
        // A number that no board has stays one: rppal knows no pin 255.
        Self::Unclaimed(u8::try_from(pin).unwrap_or(u8::MAX))
    }

    /// Claims the pin, which changes neither its mode nor its level.
    fn claim(&mut self) -> Result<(), Fault> {
        if let Self::Unclaimed(pin) = *self {
            let claimed = Rppal::new().and_then(|gpio| gpio.get(pin)).map_err(fault)?;
            *self = Self::Watched(claimed);
        }
        Ok(())
    }
}

impl Line for RppalLine {
    fn level(&mut self) -> Result<Level, Fault> {
        self.claim()?;
        let high = match self {
            Self::Watched(pin) => pin.read() == RppalLevel::High,
            // The level of the pin itself, not of the latch behind it.
            Self::Driven(pin) => pin.is_set_high(),
            Self::Unclaimed(pin) => return Err(fault(RppalError::PinNotAvailable(*pin))),
        };
        Ok(if high { Level::High } else { Level::Low })
    }

    fn drive(&mut self, level: Level) -> Result<(), Fault> {
        self.claim()?;
        if let Self::Driven(pin) = self {
            pin.write(match level {
                Level::Low => RppalLevel::Low,
                Level::High => RppalLevel::High,
            });
            return Ok(());
        }
        let number = match self {
            Self::Unclaimed(number) => *number,
            Self::Watched(pin) => pin.pin(),
            Self::Driven(pin) => pin.pin(),
        };
        let Self::Watched(pin) = std::mem::replace(self, Self::Unclaimed(number)) else {
            return Err(fault(RppalError::PinNotAvailable(number)));
        };
        // The level first and the mode after it: the relay never sees the other level.
        let mut driven = match level {
            Level::Low => pin.into_output_low(),
            Level::High => pin.into_output_high(),
        };
        // By default rppal makes the pin an input again when its owner ends, and cuts the power.
        driven.set_reset_on_drop(false);
        *self = Self::Driven(driven);
        Ok(())
    }
}

fn fault(source: RppalError) -> Fault {
    let remedy = match source {
        RppalError::UnknownModel => return Fault::NoRaspberryPi,
        RppalError::PinUsed(_) => "another outlet has this pin; give each its own",
        RppalError::PinNotAvailable(_) => "this board has no such pin; use its BCM number",
        RppalError::PermissionDenied(_) => "add the user that runs it to the group gpio",
        RppalError::Io(_) => "the kernel gives no access to the pins",
        RppalError::ThreadPanic => "rppal has failed; restart the program",
    };
    Fault::Pin { remedy, source }
}
