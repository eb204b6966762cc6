//! What asks the program to stop: Ctrl-C, a service manager, a terminal that is closed.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, from when this was made.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupt {
    /// As a shell tells of a program that this signal ended.
    pub(crate) code: u8,
    /// What a person calls it.
    pub(crate) name: &'static str,
}

impl Interrupts {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next that comes.
    pub(crate) async fn next(&mut self) -> Interrupt {
        let (number, name) = tokio::select! {
            _ = self.interrupt.recv() => (2, "Ctrl-C"),
            _ = self.terminate.recv() => (15, "SIGTERM"),
            _ = self.hangup.recv() => (1, "SIGHUP"),
        };
        Interrupt { code: 128 + number, name }
    }
}
