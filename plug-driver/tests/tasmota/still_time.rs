//! A clock that stands still, so that what is left of a lease is exact on a machine however slow.

use std::sync::mpsc;

/// Time stands still while this lives: no wait has a limit, and none is skipped.
pub(crate) struct StillTime {
    /// Dropped, it lets the runtime's blocking thread go.
    _held: mpsc::Sender<()>,
}

impl StillTime {
    /// Stops the clock of the runtime that this is called in.
    pub(crate) fn begin() -> Self {
        tokio::time::pause();
        let (held, until) = mpsc::channel::<()>();
        // A paused clock is put forward whenever nothing is to do but wait, as for an answer that the kernel
        // has not handed over yet; never while something blocks.
        tokio::task::spawn_blocking(move || until.recv());
        Self { _held: held }
    }
}
