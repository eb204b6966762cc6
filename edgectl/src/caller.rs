//! Who calls the program: which profile, and whether a person or a machine reads.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::command::{Failure, SOFTWARE};
use crate::interrupt::Interrupts;
use crate::profile::{Profile, place};

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Caller {
    /// Tell results and failures as one JSON object each, for machines.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The profile: broker, certificate, default node. Else EDGECTL_PROFILE, else ~/.config/edgectl/profile.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
}

impl Caller {
    /// The caller's profile.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        Ok(Profile::load(self.place()?)?)
    }

    /// Where the caller's profile is, or would be.
    pub(crate) fn place(&self) -> Result<PathBuf, Failure> {
        Ok(place(self.profile.as_deref())?)
    }

    /// Tells a person how it goes on; a machine waits for the result.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            // Who has closed standard error wants no notes.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Runs `work` to its end, or to a signal that asks to stop.
    pub(crate) fn until_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
        runtime.block_on(async {
            let mut interrupts =
                Interrupts::new().map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
            tokio::select! {
                biased;
                interrupt = interrupts.next() => Err(Failure::new(
                    interrupt.code,
                    format!(
                        "stopped by {}; what was sent may still act: `edgectl watch` shows it",
                        interrupt.name
                    ),
                )),
                done = Box::pin(work) => done,
            }
        })
    }
}
