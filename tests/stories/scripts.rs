//! Tasks that run a script of the operator's.

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, now_ms};
use tests::script;
use tests::transcript::{fields, number, text};

fn task(name: &str, more: &Value) -> Value {
    let payload = json!({ "name": name });
    let mut body = json!({ "task": "t-1", "kind": "script", "payload": payload,
        "backoff_ms": 1, "backoff_max_ms": 1 });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_script_gets_its_arguments_and_its_task_and_little_else() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let known = "PATH|HOME|LANG|EDGE_TASK_ID|EDGE_TASK_ATTEMPT|PWD|OLDPWD|SHLVL|_";
        script::put(
            &desk.site,
            "tell",
            &format!(
                r#"args=$(cat)
others=$(env | grep -cvE '^({known})=')
files=$(for file in /proc/$$/fd/*; do readlink "$file"; done | grep -cE 'socket|data|anon|\.sock')
echo "noise before the result"
task="\"task\":\"$EDGE_TASK_ID\",\"attempt\":$EDGE_TASK_ATTEMPT"
printf '{{"args":%s,%s,"others":%s,"files":%s}}\n' "$args" "$task" "$others" "$files""#
            ),
        )?;
        let args = json!({ "who": "you", "deep": [1, { "two": null }], "text": "ä \"quoted\" \n" });
        let payload = json!({ "name": "tell", "args": args });
        desk.ask("task.submit", task("tell", &json!({ "payload": payload }))).await?;
        let succeeded = desk.told("task.succeeded").await?;
        assert_eq!(fields(&succeeded), ["attempt", "duration_ms", "kind", "result", "task"]);
        let told = json!({ "args": args, "task": "t-1", "attempt": 1, "others": 0, "files": 0 });
        assert_eq!(succeeded["body"]["result"], told);
    }
    Ok(())
}

#[tokio::test]
async fn an_exit_of_64_or_65_fails_for_good() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    for code in [64, 65] {
        let (name, id) = (format!("exit-{code}"), format!("t-{code}"));
        script::put(&desk.site, &name, &format!("echo no such door >&2; exit {code}"))?;
        desk.ask("task.submit", task(&name, &json!({ "task": id, "max_retries": 9 }))).await?;
        let failed = desk.told_of("task.failed", &id).await?;
        assert_eq!(fields(&failed), ["attempt", "duration_ms", "error", "kind", "task"]);
        assert_eq!(number(&failed, "attempt")?, 1);
        assert!(text(&failed, "error").contains("no such door"), "{failed}");
        assert!(desk.all("task.retrying", &id).is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn any_other_exit_is_retried_until_it_succeeds_or_the_retries_are_used_up() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        script::put(
            &desk.site,
            "third",
            r#"echo "$EDGE_TASK_ATTEMPT" >&2; [ "$EDGE_TASK_ATTEMPT" -ge 3 ]"#,
        )?;
        let command = desk.ask("task.submit", task("third", &json!({}))).await?;
        for attempt in [1, 2] {
            let started = desk.told("task.started").await?;
            assert_eq!((fields(&started), number(&started, "attempt")?), (BARE.to_vec(), attempt));
            let retrying = desk.told("task.retrying").await?;
            let known = ["attempt", "duration_ms", "error", "kind", "next_at_ms", "task"];
            assert_eq!(
                (fields(&retrying), number(&retrying, "attempt")?),
                (known.to_vec(), attempt)
            );
            assert!(text(&retrying, "error").contains(&attempt.to_string()), "{retrying}");
            assert!(number(&retrying, "next_at_ms")? <= now_ms() + 5);
        }
        let succeeded = desk.told("task.succeeded").await?;
        assert_eq!((number(&succeeded, "attempt")?, &succeeded["cause"]), (3, &json!(command)));
        assert!(succeeded["body"].get("result").is_none(), "its last line is no JSON");

        script::put(&desk.site, "never", "exit 1")?;
        let more = json!({ "task": "t-2", "max_retries": 1 });
        desk.ask("task.submit", task("never", &more)).await?;
        assert_eq!(number(&desk.told_of("task.failed", "t-2").await?, "attempt")?, 2);
        // A retry by hand counts its retries anew, and its attempts on.
        let retry = desk.ask("task.retry", json!({ "task": "t-2" })).await?;
        let failed = desk.told_of("task.failed", "t-2").await?;
        assert_eq!(number(&failed, "attempt")?, 4);
        assert_eq!(desk.all("task.queued", "t-2")[1]["cause"], retry);
        assert_eq!(desk.all("task.retrying", "t-2").len(), 2);
    }
    Ok(())
}

const BARE: [&str; 3] = ["attempt", "kind", "task"];

#[tokio::test]
async fn a_timeout_ends_the_whole_process_group_however_it_resists() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    script::put(&desk.site, "polite", "sleep 300 & echo $! > \"$0.pid\"; wait")?;
    let stubborn = "trap '' TERM\n(while :; do sleep 300; done) & echo $! > \"$0.pid\"; wait";
    script::put(&desk.site, "stubborn", stubborn)?;
    for name in ["polite", "stubborn"] {
        let more = json!({ "task": name, "timeout_ms": 1_000, "max_retries": 0 });
        desk.ask("task.submit", task(name, &more)).await?;
    }
    for name in ["polite", "stubborn"] {
        let pid = script::wrote(&desk.site, &format!("{name}.pid")).await?;
        let failed = desk.told_of("task.failed", name).await?;
        assert!(text(&failed, "error").contains("1000 ms"), "{failed}");
        assert!(number(&failed, "duration_ms")? >= 1_000);
        script::gone(&pid).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_running_script_is_cancelled_with_all_that_it_started() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        script::put(&desk.site, "long", "sleep 300 & echo $! > \"$0.pid\"; wait")?;
        desk.ask("task.submit", task("long", &json!({}))).await?;
        desk.told("task.started").await?;
        let pid = script::wrote(&desk.site, "long.pid").await?;
        assert!(script::runs(&pid));
        desk.ask("task.cancel", json!({ "task": "t-1" })).await?;
        let cancelled = desk.told("task.cancelled").await?;
        assert_eq!(fields(&cancelled), ["attempt", "duration_ms", "kind", "task"]);
        assert_eq!(number(&cancelled, "attempt")?, 1);
        script::gone(&pid).await?;
        assert_eq!(desk.refused("task.retry", json!({ "task": "t-1" })).await?.0, "conflict");
        desk.caught_up().await?;
        assert!(desk.all("task.retrying", "").is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_cancelled_script_names_the_command_that_cancelled_it() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    script::put(&desk.site, "long", "sleep 300")?;
    desk.ask("task.submit", task("long", &json!({}))).await?;
    desk.told("task.started").await?;
    let cancel = desk.ask("task.cancel", json!({ "task": "t-1" })).await?;
    assert_eq!(desk.told("task.cancelled").await?["cause"], cancel);
    Ok(())
}

#[tokio::test]
async fn a_script_that_can_not_be_run_is_invalid() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    std::fs::write(script::path(&desk.site, "data"), "no program")?;
    std::fs::create_dir(script::path(&desk.site, "folder"))?;
    for name in ["missing", "data", "folder", "..", "-c", "a/b"] {
        let (code, message) = desk.refused("task.submit", task(name, &json!({}))).await?;
        assert_eq!(code, "invalid", "{name}");
        assert!(message.contains("payload.name"), "{message}");
    }
    // It may be put there at any time, and go again.
    script::put(&desk.site, "late", "exit 1")?;
    let more = json!({ "backoff_ms": 60_000, "backoff_max_ms": 60_000 });
    desk.ask("task.submit", task("late", &more)).await?;
    desk.told("task.retrying").await?;
    Ok(())
}

#[tokio::test]
async fn a_result_is_a_map_of_32_kib_at_most_or_left_out() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    for (name, lines, result) in [
        ("map", r#"printf '{"ok":true}'"#, json!({ "ok": true })),
        ("list", "echo '[1,2]'", Value::Null),
        ("text", "echo done", Value::Null),
        ("nothing", "exit 0", Value::Null),
        ("huge", r#"printf '{"x":"%040000d"}\n' 0"#, Value::Null),
    ] {
        script::put(&desk.site, name, lines)?;
        desk.ask("task.submit", task(name, &json!({ "task": name }))).await?;
        let succeeded = desk.told_of("task.succeeded", name).await?;
        let told = succeeded["body"].get("result").cloned().unwrap_or_default();
        assert_eq!(told, result, "{name}");
    }
    let size = 32 * 1024 - r#"{"x":""}"#.len();
    let lines = format!(r#"printf '{{"x":"%0{size}d"}}\n' 0"#);
    script::put(&desk.site, "largest", &lines)?;
    desk.ask("task.submit", task("largest", &json!({ "task": "largest" }))).await?;
    let succeeded = desk.told_of("task.succeeded", "largest").await?;
    let told = succeeded["body"]["result"]["x"].as_str().context("a text")?;
    assert_eq!(told.len(), size);
    Ok(())
}
