//! A part of a process that hangs while the rest goes on: single threads, held by a debugger's
//! means (ptrace), which needs no rights beyond being the parent. To the agent it is what a card
//! that does not answer is: a call that does not return.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How often held threads are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Threads that are held. Dropped, they go on.
#[derive(Debug)]
pub struct Stall {
    /// Gone, the holder lets go.
    release: Option<Sender<()>>,
    /// Whoever holds a thread must be the one to let it go, so that is a thread of ours.
    holder: Option<JoinHandle<()>>,
}

impl Stall {
    /// Holds every thread of the process `pid` whose name begins with one of `names`.
    ///
    /// # Errors
    /// There is none, or the system refuses.
    pub fn of(pid: u32, names: &[&str]) -> Result<Self> {
        let mut held = vec![];
        for (thread, name) in threads(pid)? {
            if names.iter().any(|wanted| name.starts_with(wanted)) {
                held.push(thread);
            }
        }
        ensure!(!held.is_empty(), "no thread {names:?} among {:?}", threads(pid)?);
        let (release, released) = channel::<()>();
        let (report, reported) = channel();
        let holder = std::thread::spawn(move || {
            let outcome = held.iter().try_for_each(|thread| hold(*thread));
            let _ = report.send(outcome);
            // A process that ends takes its held threads with it, once somebody saw their end.
            while let Err(RecvTimeoutError::Timeout) = released.recv_timeout(LOOK) {
                held.retain(|thread| !has_ended(*thread));
            }
            for thread in held {
                // Fails only for a thread that has ended just now.
                let _ = ptrace::detach(thread, None);
            }
        });
        reported.recv().context("the holder's report")??;
        Ok(Self { release: Some(release), holder: Some(holder) })
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.release = None;
        if let Some(holder) = self.holder.take() {
            let _ = holder.join();
        }
    }
}

fn hold(thread: Pid) -> Result<()> {
    ptrace::seize(thread, ptrace::Options::empty()).context("a thread is seized")?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL)).context("a thread stops")?;
    Ok(())
}

fn has_ended(thread: Pid) -> bool {
    let look = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
    !matches!(waitpid(thread, Some(look)), Ok(WaitStatus::StillAlive))
}

/// The threads of a process and their names.
///
/// # Errors
/// It is gone.
pub fn threads(pid: u32) -> Result<Vec<(Pid, String)>> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let mut threads = vec![];
    for task in fs::read_dir(tasks)? {
        let task = task?;
        let number = task.file_name().to_string_lossy().parse()?;
        // One that has just ended is none.
        if let Ok(name) = fs::read_to_string(task.path().join("comm")) {
            threads.push((Pid::from_raw(number), name.trim_end().to_owned()));
        }
    }
    Ok(threads)
}
