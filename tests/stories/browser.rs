//! The page in a real browser, where Chromium is installed; what it asks over HTTP is told in
//! `page`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use plug_sim::Fault;
use serde_json::json;
use tests::browser;
use tests::desk::Desk;
use tests::page::Look;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// What stands in the document in the first element with this id, tags and all.
fn part<'a>(document: &'a str, id: &str) -> Result<&'a str> {
    let (_, behind) =
        document.split_once(&format!("id=\"{id}\"")).with_context(|| id.to_owned())?;
    let end =
        ["</section>", "</main>", "</header>"].iter().filter_map(|end| behind.find(end)).min();
    Ok(&behind[..end.context("an end")?])
}

/// What is in the first element of this class, as minutes and seconds.
fn countdown(station: &str) -> Result<u64> {
    let (_, rest) = station.split_once("class=\"rest\" role=\"timer\">").context("a countdown")?;
    let (minutes, seconds) =
        rest.split_once('<').context("an end")?.0.split_once(':').context("m:ss")?;
    Ok(minutes.parse::<u64>()? * 60 + seconds.parse::<u64>()?)
}

#[tokio::test]
async fn a_browser_shows_stations_counting_down_and_what_needs_attention() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 3).await?;
    let look = Look::at(&desk.site).await?;
    let body = json!({
        "session": "s-1", "station": "pc-1", "duration_ms": 3_000_000, "label": "<b>seat</b> 1"
    });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.plug(3).set_fault(Fault::Unreachable);
    desk.told("outlet.fault").await?;
    let Some(document) = browser::look(&format!("http://{}/", look.address()), 3_000).await? else {
        return Ok(());
    };
    assert!(part(&document, "live")?.contains("● Live"), "{document}");
    assert!(part(&document, "name")?.contains("pi-0042"));
    let stations = part(&document, "stations")?;
    assert!(stations.contains("● In use") && stations.contains(">Free<"), "{stations}");
    assert!(stations.contains("&lt;b&gt;seat&lt;/b&gt; 1"), "a label is text: {stations}");
    let left = countdown(stations)?;
    assert!((2_900..=3_000).contains(&left), "{left} s left");
    let troubles = part(&document, "troubles")?;
    assert!(troubles.contains("plug-3 does not answer"), "{troubles}");
    let outlets = part(&document, "outlets-part")?;
    assert!(outlets.contains("read back, with its timer"), "{outlets}");
    assert!(part(&document, "node")?.contains("✓ reached since"));
    let events = part(&document, "events")?;
    assert!(events.contains("pc-1: session s-1 started"), "{events}");
    Ok(())
}

#[tokio::test]
async fn a_browser_counts_on_and_says_so_when_the_agent_goes_away() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let look = Look::at(&desk.site).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 3_000_000 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    let address = gone_after_one(look.address()).await?;
    // A minute of the browser's own time, which costs nobody a minute.
    let Some(document) = browser::look(&format!("http://{address}/"), 60_000).await? else {
        return Ok(());
    };
    assert!(part(&document, "live")?.contains("▲ No answer"), "{document}");
    let away = part(&document, "away")?;
    assert!(
        away.contains("The agent has not answered since") && !away.starts_with(" hidden"),
        "{away}"
    );
    let left = countdown(part(&document, "stations")?)?;
    assert!(left < 2_960, "it counts on: {left} s");
    Ok(())
}

/// A way to `address` that lets the page and its first status through, and hangs up on all who ask
/// for another.
async fn gone_after_one(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let here = listener.local_addr()?;
    let told = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut head = [0; 16];
                let read = near.peek(&mut head).await.unwrap_or(0);
                let asks = head[..read].starts_with(b"GET /status");
                if asks && told.fetch_add(1, Ordering::Relaxed) > 0 {
                    return;
                }
                if let Ok(mut far) = TcpStream::connect(address).await {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    Ok(here)
}
