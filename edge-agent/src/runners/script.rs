//! One attempt of a `script` task (contract, section 7.6).
//!
//! The script is an executable of the operator's, trusted as the agent is: never a path, never a
//! shell, never a file of ours. Whatever it does, an attempt takes bounded time and memory.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use edge_protocol::limits::{MAX_DEPTH, MAX_RESULT_BYTES};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{AccessFlags, Pid, access};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::step::step;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long the output of a script that has ended is read on: it is in the pipe already, but a process that
/// the script left behind may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(500);
/// Twice the largest result.
const KEPT_STDOUT_BYTES: usize = 2 * MAX_RESULT_BYTES;
/// What of the script's complaints goes into an error.
const KEPT_STDERR_BYTES: usize = 2 * 1024;
/// A result stands in an event's body, two levels down.
const MAX_RESULT_DEPTH: usize = MAX_DEPTH - 2;
/// sysexits(3): the arguments or the data are wrong, so another attempt can't do better.
const FAIL_FOR_GOOD: [i32; 2] = [64, 65];
/// All that a script sees of our environment.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// One attempt of a `script` task.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRun {
    /// The task's id, which the script is told.
    pub task: String,
    /// Which attempt of the task this is, from 1; the script is told.
    pub attempt: u32,
    /// The script's name.
    pub name: String,
    /// What it gets on its standard input, as JSON.
    pub args: Map<String, Value>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It exited 0.
    Succeeded {
        /// The last line of its output, if that is a JSON object of the size and depth that an event carries.
        result: Option<Map<String, Value>>,
    },
    /// It did not.
    Failed {
        /// Why, with the end of what it wrote to standard error.
        error: String,
        /// Whether another attempt is useless.
        for_good: bool,
    },
    /// It was stopped before it ended.
    Stopped,
}

/// The scripts that are there: the names of the executable files in `scripts_dir`.
#[must_use]
pub fn names(scripts_dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(scripts_dir).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    entries.filter_map(name).filter(|name| find(scripts_dir, name).is_some()).collect()
}

/// Runs the script to its end, to its timeout, or until `stop` is sent or its sender dropped.
///
/// At the last two, and when this future is dropped, nothing of its process group stays behind.
pub async fn run(scripts_dir: &Path, run: ScriptRun, stop: oneshot::Receiver<()>) -> Outcome {
    let Some(script) = find(scripts_dir, &run.name) else {
        return failed(format!("there is no script {:?}", run.name), false);
    };
    let mut group = match Group::start(&script, &run) {
        Ok(group) => group,
        Err(error) => return failed(format!("the script can't be started: {error}"), false),
    };
    step!("script.started", task = run.task, attempt = run.attempt);
    let (mut stdout, mut stderr) = (Tail::new(KEPT_STDOUT_BYTES), Tail::new(KEPT_STDERR_BYTES));
    let end = attend(&mut group, &run, stop, &mut stdout, &mut stderr).await;
    step!("script.over", task = run.task, attempt = run.attempt);
    let status = match group.child.wait().await {
        Ok(status) => status,
        Err(error) => return failed(format!("the script's end can't be read: {error}"), false),
    };
    step!("script.reaped", task = run.task, attempt = run.attempt);
    match end {
        End::Stopped => Outcome::Stopped,
        End::TimedOut => {
            let why = format!("timed out after {} ms", run.timeout.as_millis());
            failed(stderr.explain(why), false)
        }
        End::Exited if status.success() => Outcome::Succeeded { result: result(&stdout) },
        End::Exited => {
            let for_good = status.code().is_some_and(|code| FAIL_FOR_GOOD.contains(&code));
            failed(stderr.explain(describe(status)), for_good)
        }
    }
}

fn failed(error: String, for_good: bool) -> Outcome {
    Outcome::Failed { error, for_good }
}

fn find(scripts_dir: &Path, name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return None;
    }
    let script = scripts_dir.join(name);
    (script.is_file() && access(&script, AccessFlags::X_OK).is_ok()).then_some(script)
}

/// Why the waiting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited,
    TimedOut,
    Stopped,
}

/// Feeds the script and reads it until it has exited, by itself or by force. It is not reaped yet.
async fn attend(
    group: &mut Group,
    run: &ScriptRun,
    mut stop: oneshot::Receiver<()>,
    stdout: &mut Tail,
    stderr: &mut Tail,
) -> End {
    let mut talk = pin!(talk(&mut group.child, &run.args, stdout, stderr));
    let mut exit = pin!(exit(group.leader));
    let mut timeout = pin!(tokio::time::sleep(run.timeout));
    let mut talking = true;
    let end = loop {
        tokio::select! {
            biased;
            () = &mut exit => break End::Exited,
            _ = &mut stop => break End::Stopped,
            () = &mut timeout => break End::TimedOut,
            () = &mut talk, if talking => talking = false,
        }
    };
    let patience = if end == End::Exited {
        DRAIN
    } else {
        send(group.leader, Signal::SIGTERM);
        step!("script.asked_to_end");
        GRACE
    };
    // Over when the script has exited and nobody holds its output.
    let rest = async {
        tokio::join!(
            async {
                if end != End::Exited {
                    exit.await
                }
            },
            async {
                if talking {
                    talk.await
                }
            },
        )
    };
    let _late = tokio::time::timeout(patience, rest).await;
    if end != End::Exited {
        send(group.leader, Signal::SIGKILL);
        step!("script.made_to_end");
    }
    end
}

/// Writes the arguments and reads all output. A script need not read, and may write what it likes.
fn talk<'a>(
    child: &mut Child,
    args: &'a Map<String, Value>,
    stdout: &'a mut Tail,
    stderr: &'a mut Tail,
) -> impl Future<Output = ()> + use<'a> {
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let output = child.stdout.take().expect("standard output is a pipe");
    let complaints = child.stderr.take().expect("standard error is a pipe");
    async move {
        let mut line = serde_json::to_vec(args).expect("a JSON object can be written as JSON");
        line.push(b'\n');
        let write = async move {
            // A script that did not care for its arguments has closed the pipe.
            let _closed = stdin.write_all(&line).await;
        };
        tokio::join!(write, stdout.read(output), stderr.read(complaints));
    }
}

/// Waits for the exit of our child `leader`, and leaves it to be reaped: until then no other process
/// can get its number, so that a signal to its group never meets strangers.
async fn exit(leader: Pid) {
    let mut children = signal(SignalKind::child()).expect("SIGCHLD can be listened to");
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(leader), look) == Ok(WaitStatus::StillAlive) {
        children.recv().await;
    }
}

fn send(group: Pid, signal: Signal) {
    if let Err(error) = killpg(group, signal) {
        tracing::warn!(%group, %signal, %error, "a script's process group can't be signalled");
    }
}

/// A script and all that it starts, unless that left the group of its own will.
#[derive(Debug)]
struct Group {
    child: Child,
    leader: Pid,
}

impl Group {
    fn start(script: &Path, run: &ScriptRun) -> io::Result<Self> {
        let child = Command::new(script)
            .env_clear()
            .envs(INHERITED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .env("EDGE_TASK_ID", &run.task)
            .env("EDGE_TASK_ATTEMPT", run.attempt.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let number = child.id().and_then(|number| i32::try_from(number).ok());
        let leader = Pid::from_raw(number.expect("a child that was not waited for has a number"));
        Ok(Self { child, leader })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Without a number it was reaped: the attempt went to its end.
        if self.child.id().is_some() {
            send(self.leader, Signal::SIGKILL);
        }
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// To the end of the stream; a stream that breaks has ended.
    async fn read(&mut self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            self.bytes.extend_from_slice(&chunk[..length]);
            let surplus = self.bytes.len().saturating_sub(self.limit);
            self.bytes.drain(..surplus);
        }
    }

    /// `why`, and these last words, if there are any.
    fn explain(&self, why: String) -> String {
        let words = String::from_utf8_lossy(&self.bytes);
        match words.trim() {
            "" => why,
            words => format!("{why}: {words}"),
        }
    }
}

fn result(stdout: &Tail) -> Option<Map<String, Value>> {
    let line = stdout.bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    let result: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let bytes = serde_json::to_vec(&result).ok()?.len();
    let depth = 1 + result.values().map(depth).max().unwrap_or(0);
    if bytes > MAX_RESULT_BYTES || depth > MAX_RESULT_DEPTH {
        tracing::warn!(bytes, depth, "a script's result is larger than an event carries: left out");
        return None;
    }
    Some(result)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests;
