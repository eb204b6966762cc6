//! Attempts of real shell scripts.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_script_gets_its_arguments_as_json_and_its_last_line_is_the_result() {
    let scripts = Scripts::with("echo", "echo 'some noise {'\ncat");
    let args = json!({"name": "née", "list": [1, {"two": 2.5}]}).as_object().unwrap().clone();
    let run = ScriptRun { args: args.clone(), ..scripts.attempt("echo") };
    assert_eq!(scripts.run(run).await, Outcome::Succeeded { result: Some(args) });
}

#[tokio::test]
async fn a_last_line_that_is_no_json_object_or_larger_than_an_event_carries_is_no_result() {
    let object = |depth: usize| "{\"a\":".repeat(depth - 1) + "{}" + &"}".repeat(depth - 1);
    for (line, is_result) in [
        ("", false),
        ("done", false),
        ("[1]", false),
        ("{\"a\":1} ", true),
        ("{\"a\":1}\n\n", true),
        ("{\"a\":1}\ndone", false),
        (&object(MAX_RESULT_DEPTH), true),
        (&object(MAX_RESULT_DEPTH + 1), false),
        (&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_RESULT_BYTES - 8)), true),
        (&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_RESULT_BYTES - 7)), false),
        (&format!("{{\"a\":\"{}\"}}", "x".repeat(KEPT_STDOUT_BYTES)), false),
    ] {
        let scripts = Scripts::with("say", &format!("cat <<'END'\n{line}\nEND"));
        let Outcome::Succeeded { result } = scripts.run_named("say").await else {
            panic!("{line}")
        };
        assert_eq!(result.is_some(), is_result, "{line}");
    }
}

#[tokio::test]
async fn a_script_that_does_not_read_its_input_neither_hangs_nor_fails() {
    let scripts = Scripts::with("deaf", "exit 0");
    let args = Map::from_iter([("much".to_owned(), json!("x".repeat(1024 * 1024)))]);
    let run = ScriptRun { args, ..scripts.attempt("deaf") };
    assert_eq!(scripts.run(run).await, Outcome::Succeeded { result: None });
}

#[tokio::test]
async fn a_script_sees_its_task_and_attempt_and_little_else() {
    let scripts = Scripts::with("env", "tr '\\0' '\\n' < /proc/$$/environ > \"$0.seen\"");
    scripts.run_named("env").await;
    let seen = fs::read_to_string(scripts.room.path().join("env.seen")).unwrap();
    assert!(seen.lines().any(|line| line == "EDGE_TASK_ID=task-1"), "{seen}");
    assert!(seen.lines().any(|line| line == "EDGE_TASK_ATTEMPT=2"), "{seen}");
    for line in seen.lines() {
        let (name, _) = line.split_once('=').unwrap();
        assert!(name.starts_with("EDGE_TASK_") || INHERITED.contains(&name), "{line}");
    }
}

#[tokio::test]
async fn a_script_finds_no_file_of_ours_open() {
    let scripts = Scripts::with("files", "ls -l /proc/$$/fd > \"$0.seen\"");
    let file = File::create(scripts.room.path().join("ours")).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    scripts.run_named("files").await;
    let seen = fs::read_to_string(scripts.room.path().join("files.seen")).unwrap();
    assert!(seen.contains("pipe:"), "{seen}");
    for ours in [file.as_raw_fd(), socket.as_raw_fd()] {
        let target = fs::read_link(format!("/proc/self/fd/{ours}")).unwrap();
        assert!(!seen.contains(target.to_str().unwrap()), "{target:?} in {seen}");
    }
}

#[tokio::test]
async fn exit_0_succeeds_64_and_65_fail_for_good_and_any_other_is_retried() {
    for (script, expected) in [
        ("exit 1", failed("exited 1".into(), false)),
        ("exit 63", failed("exited 63".into(), false)),
        ("echo bad data >&2; exit 64", failed("exited 64: bad data".into(), true)),
        ("exit 65", failed("exited 65".into(), true)),
        ("exit 66", failed("exited 66".into(), false)),
        ("kill -KILL $$", failed("killed by SIGKILL".into(), false)),
        ("exit 0", Outcome::Succeeded { result: None }),
    ] {
        assert_eq!(Scripts::with("s", script).run_named("s").await, expected, "{script}");
    }
}

#[tokio::test]
async fn a_script_may_write_without_end_and_only_its_last_words_are_kept() {
    let much = "yes out | head -c 3000000; yes err | head -c 3000000 >&2; echo why >&2";
    let scripts = Scripts::with("chatty", &format!("{much}\necho '{{\"a\":1}}'\nexit $1"));
    let Outcome::Succeeded { result } = scripts.run_named("chatty").await else { panic!() };
    assert_eq!(result, json!({"a": 1}).as_object().cloned());
    let scripts = Scripts::with("chatty", &format!("{much}\nexit 3"));
    let Outcome::Failed { error, .. } = scripts.run_named("chatty").await else { panic!() };
    assert!(error.starts_with("exited 3: ") && error.ends_with("err\nwhy"), "{error}");
    assert!(error.len() <= KEPT_STDERR_BYTES + 16);
}

#[tokio::test]
async fn a_script_that_is_not_there_or_can_not_be_started_is_retried() {
    let scripts = Scripts::with("s", "exit 0");
    let expected = failed("there is no script \"other\"".into(), false);
    assert_eq!(scripts.run_named("other").await, expected);
    let broken = scripts.room.path().join("broken");
    fs::write(&broken, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let Outcome::Failed { error, for_good: false } = scripts.run_named("broken").await else {
        panic!()
    };
    assert!(error.starts_with("the script can't be started: "), "{error}");
}

#[test]
fn a_script_is_an_executable_file_in_its_directory_and_never_a_path() {
    let scripts = Scripts::with("real", "exit 0");
    let dir = scripts.room.path();
    fs::create_dir(dir.join("directory")).unwrap();
    fs::write(dir.join("plain"), "").unwrap();
    symlink("real", dir.join("link")).unwrap();
    symlink("nothing", dir.join("dangling")).unwrap();
    assert_eq!(names(dir), BTreeSet::from(["link".to_owned(), "real".to_owned()]));
    let path = dir.join("real").display().to_string();
    for name in ["", ".", "..", "directory", "plain", "dangling", "./real", "real\0", &path] {
        assert!(find(dir, name).is_none(), "{name:?}");
    }
}

#[tokio::test]
async fn past_its_timeout_the_whole_group_goes() {
    let scripts = Scripts::with("slow", "sleep 1000 & wait");
    let alive = scripts.alive("slow");
    let attempt = scripts.start("slow");
    let alive = ready(alive).await;
    // From here on time passes at once, and only then.
    tokio::time::pause();
    assert_eq!(attempt.await.unwrap(), failed("timed out after 60000 ms".into(), false));
    gone(alive).await;
}

#[tokio::test]
async fn a_group_that_ignores_sigterm_is_killed() {
    let scripts = Scripts::with("stubborn", "trap '' TERM; sleep 1000 & while :; do wait; done");
    let alive = scripts.alive("stubborn");
    let attempt = scripts.start("stubborn");
    let alive = ready(alive).await;
    tokio::time::pause();
    assert!(matches!(attempt.await.unwrap(), Outcome::Failed { for_good: false, .. }));
    gone(alive).await;
}

#[tokio::test]
async fn a_script_that_is_stopped_has_time_to_clean_up_and_says_so() {
    let scripts =
        Scripts::with("tidy", "trap 'touch \"$0.tidied\"; exit 0' TERM; sleep 1000 & wait");
    let alive = scripts.alive("tidy");
    let (stop, stopped) = oneshot::channel();
    let (dir, run) = (scripts.room.path().to_owned(), scripts.attempt("tidy"));
    let attempt = tokio::spawn(async move { super::run(&dir, run, stopped).await });
    let alive = ready(alive).await;
    stop.send(()).unwrap();
    assert_eq!(attempt.await.unwrap(), Outcome::Stopped);
    gone(alive).await;
    assert!(scripts.room.path().join("tidy.tidied").exists());
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_nothing_behind() {
    let scripts = Scripts::with("slow", "sleep 1000 & wait");
    let alive = scripts.alive("slow");
    let attempt = scripts.start("slow");
    let alive = ready(alive).await;
    attempt.abort();
    gone(alive).await;
}

#[tokio::test]
async fn what_a_script_leaves_behind_does_not_hold_up_its_result() {
    let scripts = Scripts::with("parent", "");
    let fifo = scripts.room.path().join("hold");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    // The child holds standard output until somebody opens the other end.
    scripts.put("parent", &format!("cat {} & echo '{{\"a\":1}}'", fifo.display()));
    let Outcome::Succeeded { result } = scripts.run_named("parent").await else { panic!() };
    assert_eq!(result, json!({"a": 1}).as_object().cloned());
    drop(tokio::task::spawn_blocking(|| fs::OpenOptions::new().write(true).open(fifo)).await);
}

/// A directory of scripts.
struct Scripts {
    room: TempDir,
}

impl Scripts {
    fn with(name: &str, script: &str) -> Self {
        let scripts = Self { room: tempfile::tempdir().unwrap() };
        scripts.put(name, script);
        scripts
    }

    /// Another process writes it: a file that is open for writing here would be so in the children of the
    /// tests beside this one, and "text file busy" to who runs it.
    fn put(&self, name: &str, script: &str) {
        let mut writer = process::Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(self.room.path().join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer
            .stdin
            .take()
            .unwrap()
            .write_all(format!("#!/bin/sh\n{script}\n").as_bytes())
            .unwrap();
        assert!(writer.wait().unwrap().success());
    }

    /// Makes the sleeper that the script starts say that it is ready, on a pipe that all of the group hold.
    ///
    /// The sleeper says so itself: between fork and exec a shell's child may lose a signal.
    fn alive(&self, name: &str) -> PathBuf {
        let fifo = self.room.path().join("alive");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let script = fs::read_to_string(self.room.path().join(name)).unwrap();
        let sleeper = "sh -c 'echo ready >&9; exec sleep 1000'";
        let script = script.replace("sleep 1000", sleeper);
        self.put(name, &format!("exec 9>{}\n{script}", fifo.display()));
        fifo
    }

    fn attempt(&self, name: &str) -> ScriptRun {
        ScriptRun {
            task: "task-1".into(),
            attempt: 2,
            name: name.into(),
            args: Map::new(),
            timeout: Duration::from_secs(60),
        }
    }

    async fn run(&self, run: ScriptRun) -> Outcome {
        let (_stop, stopped) = oneshot::channel();
        super::run(self.room.path(), run, stopped).await
    }

    async fn run_named(&self, name: &str) -> Outcome {
        self.run(self.attempt(name)).await
    }

    fn start(&self, name: &str) -> tokio::task::JoinHandle<Outcome> {
        let (dir, run) = (self.room.path().to_owned(), self.attempt(name));
        tokio::spawn(async move {
            let (_stop, stopped) = oneshot::channel();
            super::run(&dir, run, stopped).await
        })
    }
}

/// Waits until the script is ready.
async fn ready(fifo: PathBuf) -> BufReader<File> {
    let read = move || {
        let mut alive = BufReader::new(File::open(fifo).unwrap());
        let mut line = String::new();
        alive.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        alive
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// Waits until no process of the group lives: only then is the pipe at its end.
async fn gone(mut alive: BufReader<File>) {
    let read = move || alive.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(tokio::task::spawn_blocking(read).await.unwrap(), 0);
}
