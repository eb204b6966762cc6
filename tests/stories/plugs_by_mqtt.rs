//! Tasmota plugs that hang on a broker of the venue's: the same promises as over HTTP, with a broker more
//! that may be away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use edgectl::lab::broker::Broker;
use plug_sim::{By, FakePlug, Fault, Profile};
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf, now_ms};
use tests::diagnosis::doctor;
use tests::plug::{goes_off, is_unleased, until};
use tests::program::{at_site, check, edge_agent};
use tests::station;
use tests::transcript::{number, text};

/// A plug may cut the power so long after the off time.
const MAX_LATE_MS: u64 = 15_000;
/// What may lie between our look at a plug's timer and at the clock.
const GRAIN_MS: u64 = 5;
const TOPIC: &str = "tasmota_C2D3E4";

/// A site whose one plug hangs on a broker of the venue's, beside the control plane's own.
struct Venue {
    desk: Desk,
    broker: Broker,
}

impl Venue {
    async fn open(profile: Profile) -> Result<Self> {
        let mut venue = Self::set_up(profile).await?;
        venue.desk.start().await?;
        Ok(venue)
    }

    /// The agent is not running yet.
    async fn set_up(profile: Profile) -> Result<Self> {
        let broker = Broker::start_plain().await?;
        let layout = Layout { plugs: vec![profile], ..Layout::plugs(1) };
        let mut desk = Desk::set_up(Encoding::Cbor, layout).await?;
        let port = broker.port();
        let outlet = format!(
            "[plugs]\nmqtt = \"mqtt://127.0.0.1:{port}\"\n\
             [[outlet]]\nid = \"plug-1\"\ndriver = \"tasmota\"\nmqtt_topic = \"{TOPIC}\"\n"
        );
        desk.site.configure(&(outlet + &station("pc-1", &["plug-1"])))?;
        let host = "127.0.0.1".to_owned();
        desk.plugs[0].connect(plug_sim::Broker { host, port, login: None });
        let venue = Self { desk, broker };
        venue.plug_connects(0).await?;
        Ok(venue)
    }

    /// How often the plug has connected to its broker: each time it asks itself for its power.
    fn connections(&self) -> usize {
        self.plug().requests().iter().filter(|asked| asked.command == "POWER").count()
    }

    /// Waits until the plug has connected more often than `before`.
    async fn plug_connects(&self, before: usize) -> Result<()> {
        let connected = |_: &FakePlug| self.connections() > before;
        until(self.plug(), "the plug connects to its broker", connected).await
    }

    fn plug(&self) -> &FakePlug {
        self.desk.plug(1)
    }

    /// Starts a session and tells when it ends.
    async fn starts(&mut self, duration_ms: u64) -> Result<u64> {
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": duration_ms });
        self.desk.ask("session.start", body).await?;
        number(&self.desk.told("session.started").await?, "ends_at_ms")
    }

    /// What the plug was switched to, and by whom.
    fn switched(&self) -> Vec<(bool, By)> {
        self.plug().history().iter().map(|switch| (switch.on, switch.by)).collect()
    }

    /// The plug cuts the power by itself if nobody else does, and not before its time.
    fn is_leased_to(&self, off_at_ms: u64) -> Result<()> {
        let rest = self.plug().lease_remaining(1).context("the plug would never cut the power")?;
        let cut_at_ms = now_ms() + u64::try_from(rest.as_millis())?;
        ensure!(cut_at_ms + GRAIN_MS >= off_at_ms, "{} ms early", off_at_ms - cut_at_ms);
        ensure!(cut_at_ms <= off_at_ms + MAX_LATE_MS, "{} ms late", cut_at_ms - off_at_ms);
        Ok(())
    }

    /// The session ends, by the agent, when it should.
    async fn ends_on_time(&mut self, ends_at_ms: u64) -> Result<Value> {
        let ended = self.desk.told("session.ended").await?;
        let off = self.plug().history().pop().context("it was switched")?;
        ensure!(!off.on && off.by == By::Mqtt, "the agent was not in time: {off:?}");
        ensure!(off.at_ms >= ends_at_ms, "{} ms early", ends_at_ms - off.at_ms);
        ensure!(number(&ended, "late_ms")? < 2_000, "{ended}");
        is_unleased(self.plug()).await?;
        Ok(ended)
    }
}

const ON: (bool, By) = (true, By::Mqtt);
const OFF: (bool, By) = (false, By::Mqtt);

#[tokio::test]
async fn a_plug_at_a_broker_is_leased_and_goes_on_and_off_on_time() -> Result<()> {
    for profile in [Profile::tasmota_14_4(), Profile::tasmota_12_4(), Profile::tasmota_9_3()] {
        let mut venue = Venue::open(profile).await?;
        let ends_at_ms = venue.starts(40_000).await?;
        venue.is_leased_to(ends_at_ms)?;
        venue.desk.ask("session.extend", json!({ "session": "s-1", "by_ms": -37_000 })).await?;
        let ends_at_ms = number(&venue.desk.told("session.extended").await?, "ends_at_ms")?;
        venue.is_leased_to(ends_at_ms)?;
        venue.ends_on_time(ends_at_ms).await?;
        assert_eq!(venue.switched(), [ON, OFF]);
        assert!(venue.desk.all("outlet.fault", "").is_empty());
        let telling = |state: &Value| state["outlets"][0]["lease"] == "none";
        venue.desk.says(Leaf::State, telling).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_plug_that_is_offline_in_a_session_is_told_at_once_and_found_again() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_14_4()).await?;
    let ends_at_ms = venue.starts(12_000).await?;
    let before = venue.connections();
    venue.plug().set_fault(Fault::Unreachable);
    let fault = venue.desk.told_of("outlet.fault", "plug-1").await?;
    assert_eq!(text(&fault, "fault"), "unreachable");
    let said = text(&fault, "message");
    assert!(said.contains("the plug is offline, as the broker"), "{said}");
    venue.plug().clear_fault();
    venue.plug_connects(before).await?;
    venue.desk.told_of("outlet.recovered", "plug-1").await?;
    venue.is_leased_to(ends_at_ms)?;
    venue.ends_on_time(ends_at_ms).await?;
    assert_eq!(venue.switched(), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_broker_that_was_away_within_a_session_moves_nothing() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_12_4()).await?;
    let ends_at_ms = venue.starts(10_000).await?;
    venue.broker.kill().await?;
    let fault = venue.desk.told_of("outlet.fault", "plug-1").await?;
    let said = text(&fault, "message");
    assert!(said.contains("no connection to the plugs' broker"), "{said}");
    let before = venue.connections();
    venue.broker.start_again().await?;
    venue.plug_connects(before).await?;
    venue.desk.told_of("outlet.recovered", "plug-1").await?;
    venue.ends_on_time(ends_at_ms).await?;
    assert_eq!(venue.switched(), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn the_lease_cuts_while_the_broker_is_away_and_the_end_is_told_once_it_is_back() -> Result<()>
{
    for profile in [Profile::tasmota_14_4(), Profile::tasmota_12_4()] {
        let mut venue = Venue::open(profile).await?;
        let ends_at_ms = venue.starts(1_500).await?;
        venue.broker.kill().await?;
        goes_off(venue.plug()).await?;
        let off = venue.plug().history().pop().context("it went off")?;
        assert_eq!(off.by, By::Timer);
        assert!(off.at_ms >= ends_at_ms, "{} ms early", ends_at_ms - off.at_ms);
        assert!(off.at_ms <= ends_at_ms + MAX_LATE_MS, "{} ms late", off.at_ms - ends_at_ms);
        venue.broker.start_again().await?;
        let back_at_ms = now_ms();
        let ended = venue.desk.told("session.ended").await?;
        // Up to 3 s until the connection is made again, and one pause of the node's.
        let after_ms = number(&ended, "ended_at_ms")?.saturating_sub(back_at_ms);
        assert!(after_ms <= 7_000, "{after_ms} ms after the broker");
        assert_eq!(venue.switched()[..2], [ON, (false, By::Timer)]);
    }
    Ok(())
}

/// A broker that is away for a moment must not cost the customer of today the lease's delay.
#[tokio::test]
async fn an_off_that_is_due_while_the_broker_is_away_comes_as_soon_as_it_is_back() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_14_4()).await?;
    venue.starts(120_000).await?;
    venue.broker.kill().await?;
    venue.desk.ask("session.end", json!({ "session": "s-1" })).await?;
    venue.desk.told_of("outlet.fault", "plug-1").await?;
    assert!(venue.plug().is_on(1));
    venue.broker.start_again().await?;
    let back = tokio::time::Instant::now();
    goes_off(venue.plug()).await?;
    assert!(back.elapsed() < Duration::from_secs(7), "{:?}", back.elapsed());
    venue.desk.told("session.ended").await?;
    assert_eq!(venue.switched(), [ON, OFF]);
    Ok(())
}

/// It takes the 30 s that a station has.
#[tokio::test]
async fn an_on_that_found_no_broker_never_acts_later() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_14_4()).await?;
    venue.broker.stop().await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    venue.desk.ask("session.start", body).await?;
    let failed = venue.desk.told("session.failed").await?;
    assert_eq!(text(&failed, "code"), "unpowered");
    venue.broker.start_again().await?;
    venue.desk.told_of("outlet.recovered", "plug-1").await?;
    let asked: Vec<String> =
        venue.plug().requests().into_iter().map(|asked| asked.command).collect();
    let on = |command: &&String| command.starts_with("TimedPower1 ") || command.ends_with(" ON");
    assert_eq!(asked.iter().find(on), None, "{asked:?}");
    assert!(venue.switched().iter().all(|(on, _)| !on));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_killed_within_a_session_finds_its_plug_again() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_14_4()).await?;
    let ends_at_ms = venue.starts(4_000).await?;
    venue.desk.agent.take().context("it runs")?.kill()?;
    // The file names no broker any more; the session remembers what it needs.
    venue.desk.site.configure("")?;
    venue.desk.start().await?;
    venue.ends_on_time(ends_at_ms).await?;
    assert_eq!(venue.switched(), [ON, OFF]);
    Ok(())
}

/// What the broker keeps of plugs is enough to set them up: nobody has to look for a topic.
#[tokio::test]
async fn a_plug_that_its_broker_knows_is_found_and_printed_as_configuration() -> Result<()> {
    let venue = Venue::set_up(Profile { relays: 2, ..Profile::tasmota_14_4() }).await?;
    let broker = format!("127.0.0.1:{}", venue.broker.port());
    let look = ["discover", "--seconds", "0", "--mqtt", &broker];
    let none = ["--config", "/no/such/agent.toml"];
    let said = edge_agent(look.iter().chain(&none)).await?;
    let topic = format!("mqtt_topic = \"{TOPIC}\"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.out.matches(&topic).count(), 2, "an outlet for each relay: {}", said.out);
    let plugs = format!("[plugs]\nmqtt = \"mqtt://{broker}\"\n");
    let path = venue.desk.site.configure(&(plugs + &said.out))?;
    assert_eq!(check(&path).await?.code, Some(0), "it can be pasted: {}", said.out);
    // From then on the broker of the configuration is asked, and no id comes twice.
    let said = at_site(&venue.desk.site, &["discover", "--seconds", "0", "--json"]).await?;
    let found: Value = serde_json::from_str(&said.out)?;
    assert_eq!(found["plugs"][0]["mqtt_topic"], TOPIC, "{found}");
    let blocks = found["configuration"].as_str().context("blocks to paste")?;
    assert!(blocks.contains("id = \"Plug-1.2\""), "{found}");
    let nobody = ["discover", "--seconds", "0", "--mqtt", "127.0.0.1:1"];
    let said = edge_agent(nobody.iter().chain(&none)).await?;
    assert_eq!(said.code, Some(69));
    assert!(said.err.contains("the broker at 127.0.0.1:1 can't be asked"), "{}", said.err);
    assert!(venue.switched().is_empty(), "looking switches nothing");
    Ok(())
}

#[tokio::test]
async fn the_doctor_finds_and_mends_a_plug_at_a_broker_with_and_without_an_agent() -> Result<()> {
    let mut venue = Venue::set_up(Profile::tasmota_14_4()).await?;
    let alone = doctor(&venue.desk, &[]).await?;
    alone.says("outlet plug-1", "ok", &["tasmota, off"])?;
    alone.says("outlet plug-1 PowerOnState", "wrong", &["is 3 and should be 0"])?;
    venue.desk.start().await?;
    let mended = doctor(&venue.desk, &["--fix"]).await?;
    mended.says("outlet plug-1 PowerOnState", "ok", &[])?;
    mended.says("outlet plug-1 lease", "ok", &["the device cuts the power by itself"])?;
    venue.broker.kill().await?;
    let told = doctor(&venue.desk, &[]).await?;
    told.says("outlet plug-1", "wrong", &["no connection to the plugs' broker", "mqtt_topic"])?;
    assert!(venue.switched().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_max_power_switches_off_is_told_as_that_and_is_no_thumb() -> Result<()> {
    let mut venue = Venue::open(Profile::tasmota_14_4()).await?;
    for setting in ["MaxPower 100", "MaxPowerHold 2"] {
        venue.plug().console(setting);
    }
    venue.starts(60_000).await?;
    venue.plug().set_power_w(1, 2_000.0);
    let fault = venue.desk.told("outlet.fault").await?;
    assert_eq!(text(&fault, "fault"), "refused");
    assert_eq!(text(&fault, "message"), "it switched itself off: overpower");
    let thumbs = venue.desk.all("outlet.changed", "plug-1");
    assert!(thumbs.iter().all(|it| text(it, "by") != "button"), "{thumbs:?}");

    venue.plug().set_power_w(1, 60.0);
    venue.desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    venue.desk.told("session.paused").await?;
    venue.desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    venue.desk.told("outlet.recovered").await?;
    assert_eq!(venue.switched(), [ON, (false, By::Protection), ON]);
    Ok(())
}
