//! A relay on a line, in terms of on and off. What drives it decides when.

use std::time::Duration;

use super::line::{Line, LineSettings};
use crate::error::{Error, Fault};

/// A line's level can be read back well within this after it was driven.
const SETTLE: Duration = Duration::from_millis(1);

/// A relay on a line of this board.
#[derive(Debug)]
pub struct Relay {
    settings: LineSettings,
    line: Box<dyn Line>,
}

impl Relay {
    /// The relay on a line. No I/O: the first operation claims the line, as it is.
    ///
    /// # Errors
    /// If no board has a line of that number.
    pub fn new(settings: LineSettings) -> Result<Self, Error> {
        settings.check()?;
        let line = settings.open();
        Ok(Self { settings, line })
    }

    /// Whether it is on. Changes nothing.
    ///
    /// # Errors
    /// The line can't be had or read.
    pub fn is_on(&mut self) -> Result<bool, Fault> {
        Ok(self.line.level()? == self.settings.level_of(true))
    }

    /// Switches it and reads it back. A relay that is so already feels nothing.
    ///
    /// # Errors
    /// The line can't be had or driven, or reads otherwise.
    pub async fn switch(&mut self, on: bool) -> Result<(), Fault> {
        self.line.drive(self.settings.level_of(on))?;
        tokio::time::sleep(SETTLE).await;
        let found = self.is_on()?;
        if found == on {
            return Ok(());
        }
        let word = |on| if on { "on" } else { "off" }.to_owned();
        Err(Fault::Contradicted { expected: word(on), found: word(found) })
    }

    /// Lets the line go: the next operation claims it anew.
    pub(super) fn let_go(&mut self) {
        self.line = self.settings.open();
    }

    #[cfg(test)]
    pub(super) fn on_line(settings: LineSettings, line: Box<dyn Line>) -> Self {
        Self { settings, line }
    }
}
