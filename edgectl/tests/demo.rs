//! `edgectl demo`, from outside: what it shows, its exit codes, and that it leaves nothing behind.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;
use tempfile::TempDir;

const EDGECTL: &str = env!("CARGO_BIN_EXE_edgectl");

/// A running demo of ten seconds, in a process group and a temporary folder of its own. It builds
/// the agent, as cargo tells a test where cargo is.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Demo {
    fn start() -> Self {
        Self::start_with(Path::new(EDGECTL), |command| command)
    }

    fn start_with(program: &Path, change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let folder = TempDir::new().expect("a folder is made");
        let mut command = Command::new(program);
        command.args(["--json", "demo", "--seconds", "10"]).env("TMPDIR", folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = change(&mut command).spawn().expect("edgectl runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines, folder }
    }

    /// Reads on to the end of this step.
    fn step(&mut self, name: &str) -> Value {
        let mut steps = self.lines.by_ref().map(|line| step(&line.expect("it is text")));
        steps.find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}"))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().try_into().expect("it is a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for its end; returns its exit code, the steps not read yet, and its last words.
    fn ended(mut self) -> (i32, Vec<Value>, String) {
        let steps = self.lines.by_ref().map(|line| step(&line.expect("it is text"))).collect();
        let mut words = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut words).expect("it is text");
        let code = self.child.wait().expect("it ran").code().expect("it ends by itself");
        assert_eq!(group(self.child.id()), Vec::<PathBuf>::new(), "processes are left");
        let left: Vec<_> = fs::read_dir(self.folder.path()).expect("it is there").collect();
        assert!(left.is_empty(), "files are left: {left:?}");
        (code, steps, words)
    }
}

fn step(line: &str) -> Value {
    serde_json::from_str(line).expect("it is JSON")
}

/// The processes of a process group, as `/proc` names them.
fn group(leader: u32) -> Vec<PathBuf> {
    let of_group = |folder: &PathBuf| {
        // After the name, which is in parentheses and may hold anything: state, parent, group.
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        rest.split_whitespace().nth(2) == Some(&leader.to_string())
    };
    let folders = fs::read_dir("/proc").expect("Linux has it");
    let folders = folders.map(|entry| entry.expect("it is listed").path());
    folders.filter(of_group).collect()
}

/// Writes a program.
fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("it is written");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn every_step_is_shown_in_its_order_and_the_power_goes_on_time() {
    let (code, steps, words) = Demo::start().ended();
    assert_eq!(code, 0, "{words}");
    let told = steps.iter().map(|step| step["step"].as_str().unwrap());
    let told: Vec<&str> = told.skip_while(|name| *name != "ready").collect();
    let story = [
        "ready",
        "sold",
        "power_on",
        "started",
        "warning",
        "sold_more",
        "extended",
        "leased",
        "killed",
        "lost",
        "still_on",
        "started_again",
        "recovered",
        "warning",
        "power_off",
        "ended",
        "summary",
    ];
    assert_eq!(told, story);
    let summary = steps.last().unwrap();
    let figure = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(figure("paid_ms"), 10_000);
    assert!(figure("powered_ms") >= 10_000 && figure("late_ms") <= 1_000, "{summary}");
    assert!(figure("lease_after_end_ms") <= 15_000, "{summary}");
}

#[test]
fn an_interrupt_at_any_moment_leaves_nothing_behind() {
    let moments = [
        ("setting_up", Signal::SIGINT, 130),
        ("ready", Signal::SIGHUP, 129),
        ("extended", Signal::SIGTERM, 143),
        ("killed", Signal::SIGINT, 130),
    ];
    for (moment, signal, expected) in moments {
        let mut demo = Demo::start();
        demo.step(moment);
        demo.signal(signal);
        let (code, _, words) = demo.ended();
        assert_eq!(code, expected, "{moment}: {words}");
    }
}

#[test]
fn an_interrupted_build_takes_its_compilers_with_it() {
    let folder = TempDir::new().unwrap();
    let (cargo, output) = (folder.path().join("cargo"), folder.path().join("cargo.output"));
    mkfifo(&output, Mode::S_IRWXU).unwrap();
    program(&cargo, "exec > \"$0.output\"; echo compiling; sleep 300 & wait");
    let demo = Demo::start_with(Path::new(EDGECTL), |command| command.env("CARGO", &cargo));
    let mut output = BufReader::new(File::open(&output).unwrap());
    let mut words = String::new();
    output.read_line(&mut words).unwrap();
    assert_eq!(words, "compiling\n");
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.ended().0, 130);
    // Ends when the last process that could write is gone.
    output.read_to_string(&mut words).unwrap();
}

#[test]
fn a_node_that_does_not_come_back_is_told_with_the_end_of_its_log() {
    let mut built = Demo::start();
    built.step("setting_up");
    built.signal(Signal::SIGINT);
    built.ended();
    // An agent that lives once, beside an edgectl of its own.
    let folder = TempDir::new().unwrap();
    let edgectl = folder.path().join("edgectl");
    fs::copy(EDGECTL, &edgectl).unwrap();
    let agent = Path::new(EDGECTL).with_file_name("edge-agent");
    let script = format!(
        "[ -e \"$0.ran\" ] && echo no second life >&2 && exit 1\n: > \"$0.ran\"\nexec {agent:?} \"$@\""
    );
    program(&folder.path().join("edge-agent"), &script);
    let demo = Demo::start_with(&edgectl, |command| command.env_remove("CARGO"));
    let (code, _, words) = demo.ended();
    assert_eq!(code, 70, "{words}");
    let told = step(&words);
    let told = told["error"].as_str().unwrap();
    assert!(told.starts_with("the program on the node did not come back"), "{told}");
    assert!(told.contains("no second life"), "{told}");
    assert!(!told.contains('\u{1b}'), "a log that nobody watches has no escape codes: {told}");
}
