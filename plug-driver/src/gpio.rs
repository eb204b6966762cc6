//! Relays on the pins of a Raspberry Pi, through rppal.
//!
//! A pin is taken over as it is found and left as it is when its owner ends, however it ends: the
//! outlet of a live session stays on through a restart of the agent. A pin holds no lease;
//! nothing but a living process switches it off.

use std::fmt;
use std::time::Duration;

use rppal::gpio::{Error as RppalError, Gpio as Rppal, Level, OutputPin, Pin};

use crate::error::{Error, Fault};
use crate::{Capabilities, LeaseReading, Outlet, Reading};

/// A pin's level can be read back well within this after it was driven.
const SETTLE: Duration = Duration::from_millis(1);

/// The highest BCM number on any board; most bring out 0 to 27.
const HIGHEST_PIN: u8 = 53;

/// Which pin drives a relay, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpioSettings {
    /// The pin's BCM number.
    pub pin: u8,
    /// Whether the relay is on while the pin is low.
    pub active_low: bool,
}

/// A relay on a pin of this board.
#[derive(Debug)]
pub struct Gpio {
    settings: GpioSettings,
    line: Box<dyn Line>,
}

/// A pin. Another backend than rppal is another `Line`.
trait Line: fmt::Debug + Send + Sync {
    /// The level that the pin has now. Changes nothing, claimed or not.
    fn level(&mut self) -> Result<Level, Fault>;

    /// Makes the pin an output of `level`, and leaves it so for good.
    fn drive(&mut self, level: Level) -> Result<(), Fault>;
}

/// The level at which a relay is `on`.
fn level_of(on: bool, active_low: bool) -> Level {
    if on == active_low { Level::Low } else { Level::High }
}

/// Whether a relay is on at `level`.
fn is_on(level: Level, active_low: bool) -> bool {
    level == level_of(true, active_low)
}

impl Gpio {
    /// The relay on a pin. No I/O: the first operation claims the pin, as it is.
    ///
    /// # Errors
    /// If no Raspberry Pi has a pin of that number.
    pub fn new(settings: GpioSettings) -> Result<Self, Error> {
        let outlet = Self { settings, line: Box::new(RppalLine::Unclaimed(settings.pin)) };
        if settings.pin > HIGHEST_PIN {
            let (setting, value) = ("pin", settings.pin.to_string());
            let remedy = "is on no board; use the BCM number, 0 to 27 on most";
            let source = Fault::Setting { setting, value, remedy };
            return Err(Error::Configure { device: outlet.device(), source });
        }
        Ok(outlet)
    }

    fn device(&self) -> String {
        format!("GPIO {}", self.settings.pin)
    }

    async fn switch(&mut self, on: bool) -> Result<Reading, Fault> {
        self.line.drive(level_of(on, self.settings.active_low))?;
        tokio::time::sleep(SETTLE).await;
        let reading = self.reading()?;
        if reading.on == on {
            return Ok(reading);
        }
        let word = |on| if on { "on" } else { "off" }.to_owned();
        Err(Fault::Contradicted { expected: word(on), found: word(reading.on) })
    }

    fn reading(&mut self) -> Result<Reading, Fault> {
        Ok(Reading {
            on: is_on(self.line.level()?, self.settings.active_low),
            lease: LeaseReading::Unsupported,
            uptime: None,
            boot_count: None,
            power_w: None,
            energy_wh: None,
        })
    }
}

impl Outlet for Gpio {
    fn capabilities(&self) -> Capabilities {
        Capabilities { lease: None, meters: false }
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        let result = match lease {
            None => self.switch(true).await,
            Some(_) => Err(Fault::NoLease),
        };
        result.map_err(|source| Error::SwitchOn { device: self.device(), source })
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        let result = self.switch(false).await;
        result.map_err(|source| Error::SwitchOff { device: self.device(), source })
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        self.reading().map_err(|source| Error::ClearLease { device: self.device(), source })
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        self.reading().map_err(|source| Error::Read { device: self.device(), source })
    }
}

/// A pin under rppal.
#[derive(Debug)]
enum RppalLine {
    /// Not touched yet; the BCM number.
    Unclaimed(u8),
    /// Claimed, and still whatever it was.
    Watched(Pin),
    /// An output.
    Driven(OutputPin),
}

impl RppalLine {
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
        match self {
            Self::Watched(pin) => Ok(pin.read()),
            // The level of the pin itself, not of the latch behind it.
            Self::Driven(pin) => Ok(if pin.is_set_high() { Level::High } else { Level::Low }),
            Self::Unclaimed(pin) => Err(fault(RppalError::PinNotAvailable(*pin))),
        }
    }

    fn drive(&mut self, level: Level) -> Result<(), Fault> {
        self.claim()?;
        if let Self::Driven(pin) = self {
            pin.write(level);
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
        // By default rppal makes the pin an input again when the agent ends, and cuts the power.
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
        RppalError::PermissionDenied(_) => "add the agent's user to the group gpio",
        RppalError::Io(_) => "the kernel gives no access to the pins",
        RppalError::ThreadPanic => "rppal has failed; restart the agent",
    };
    Fault::Pin { remedy, source }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::Kind;

    /// A pin that remembers how it was driven; `stuck` ones keep their level.
    #[derive(Debug, Clone)]
    struct Bench {
        level: Arc<Mutex<Level>>,
        driven: Arc<Mutex<Vec<Level>>>,
        stuck: bool,
    }

    impl Bench {
        fn outlet(level: Level, active_low: bool, stuck: bool) -> (Gpio, Self) {
            let level = Arc::new(Mutex::new(level));
            let bench = Self { level, driven: Arc::default(), stuck };
            let settings = GpioSettings { pin: 17, active_low };
            (Gpio { settings, line: Box::new(bench.clone()) }, bench)
        }
    }

    impl Line for Bench {
        fn level(&mut self) -> Result<Level, Fault> {
            Ok(*self.level.lock().unwrap())
        }

        fn drive(&mut self, level: Level) -> Result<(), Fault> {
            self.driven.lock().unwrap().push(level);
            if !self.stuck {
                *self.level.lock().unwrap() = level;
            }
            Ok(())
        }
    }

    #[test]
    fn a_relay_is_on_at_the_level_that_its_board_wants() {
        for (on, active_low, level) in [
            (true, false, Level::High),
            (false, false, Level::Low),
            (true, true, Level::Low),
            (false, true, Level::High),
        ] {
            assert_eq!(level_of(on, active_low), level);
            assert_eq!(is_on(level, active_low), on);
        }
    }

    #[tokio::test]
    async fn reading_a_pin_drives_nothing() {
        for (level, active_low, on) in
            [(Level::High, false, true), (Level::Low, true, true), (Level::Low, false, false)]
        {
            let (mut outlet, bench) = Bench::outlet(level, active_low, false);
            assert_eq!(outlet.read().await.unwrap().on, on);
            assert_eq!(outlet.clear_lease().await.unwrap().lease, LeaseReading::Unsupported);
            assert!(bench.driven.lock().unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn an_outlet_found_on_is_driven_on_at_once_without_an_off_between() {
        let (mut outlet, bench) = Bench::outlet(Level::Low, true, false);
        assert!(outlet.on(None).await.unwrap().on);
        assert!(!outlet.off().await.unwrap().on);
        assert_eq!(*bench.driven.lock().unwrap(), [Level::Low, Level::High]);
    }

    #[tokio::test]
    async fn a_pin_that_does_not_follow_is_a_contradiction() {
        let (mut outlet, _) = Bench::outlet(Level::High, false, true);
        assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Contradicted);
        assert!(outlet.on(None).await.unwrap().on);
    }

    #[tokio::test]
    async fn a_pin_is_never_switched_on_under_a_lease() {
        let (mut outlet, bench) = Bench::outlet(Level::Low, false, false);
        assert_eq!(outlet.capabilities().lease, None);
        let error = outlet.on(Some(Duration::from_secs(60))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(bench.driven.lock().unwrap().is_empty());
    }

    #[test]
    fn a_pin_that_no_board_has_is_refused_before_it_is_claimed() {
        let settings = |pin| GpioSettings { pin, active_low: false };
        assert!(Gpio::new(settings(53)).is_ok());
        assert_eq!(Gpio::new(settings(54)).unwrap_err().kind(), Kind::Broken);
    }

    #[tokio::test]
    async fn off_a_raspberry_pi_the_error_says_so_and_what_to_do() {
        if rppal::system::DeviceInfo::new().is_ok() {
            return; // A Raspberry Pi: its pins are none of a test's business.
        }
        let mut outlet = Gpio::new(GpioSettings { pin: 17, active_low: true }).unwrap();
        let error = outlet.read().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Broken);
        assert_eq!(error.to_string(), "GPIO 17 could not be read");
        let seen = error.fault().to_string();
        assert!(seen.contains("driver gpio") && seen.contains("Raspberry Pi"), "{seen}");
        assert!(seen.contains("simulated"), "{seen}");
        assert_eq!(outlet.on(None).await.unwrap_err().kind(), Kind::Broken);
        assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Broken);
    }
}
