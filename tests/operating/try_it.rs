use anyhow::Result;
use edge_protocol::codec::Encoding;
use tests::Story;
use tests::operator::Operator;

#[tokio::test]
async fn try_it() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    let operator = Operator::of(&story.site)?;
    std::fs::write(story.site.folder().join("scripts/menu"), "#!/bin/sh\necho '{\"pages\":3}'\n")?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(
        story.site.folder().join("scripts/menu"),
        std::fs::Permissions::from_mode(0o755),
    )?;
    for line in [
        "profile check",
        "report",
        "session start pc-1 --for 1h30m",
        "session start pc-1 --for 1h30m",
        "watch --once",
        "session extend pc-1 --by 30m",
        "session extend pc-1 --by -10m",
        "session pause pc-1",
        "session pause pc-1",
        "session extend pc-1 --by 5m",
        "session resume pc-1",
        "session resume pc-1",
        "session transfer pc-1 pc-2",
        "outlet on plug-1 --for 10m",
        "session end pc-1",
        "session end pc-1",
        "session end s-77",
        "outlet on plug-1 --for 10m",
        "outlet cycle plug-1 --off-for 300ms",
        "outlet release plug-1",
        "outlet release plug-1",
        "outlet off plug-1",
        "session start pc-1 --until 2030-01-01T00:00:00Z",
        "outlet on plug-9 --for 5m",
        "outlet release plug-1",
        "task submit wait '{\"wait_ms\":100}' --task t-1",
        "task submit script '{\"name\":\"menu\"}'",
        "task submit script '{\"name\":\"nope\"}'",
        "task submit dance '{}'",
        "task cancel t-1",
        "task retry t-1",
        "session start pc-1 --at 2029-01-01T00:00:00Z --for 1h --session b-1",
        "session extend b-1 --by 5m",
        "watch --once",
        "session end b-1",
        "schedule put modem --cron '30 4 * * *' --timezone Europe/Berlin -- outlet cycle plug-1 --off-for 10s",
        "schedule put modem --cron '30 4 * * *' -- outlet on plug-1 --until 18:00",
        "schedule put modem --cron '30 4 * * *' -- dance",
        "resend 1 5",
        "resend 1 500",
        "--json session start pc-1 --for 10m --label x",
        "--json session start pc-1 --for 10m",
        "session start pc-1 --for 10m --node pi-9",
        "report --no-wait",
    ] {
        let said = operator.types(line).await?;
        println!("$ edgectl {line}   -> {:?}\n{}{}", said.code, said.out, said.err);
    }
    agent.stop().await?;
    for line in
        ["session end pc-1 --timeout 2s", "session end pc-1 --no-wait --expires 1h", "watch --once"]
    {
        let said = operator.types(line).await?;
        println!("$ edgectl {line}   -> {:?}\n{}{}", said.code, said.out, said.err);
    }
    Ok(())
}
