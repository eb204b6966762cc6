//! How late a session's power is cut.

use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::event::What;
use tests::start;

use crate::Bench;
use crate::figures::{Spread, Table, millis};
use crate::floors::Floors;

const SESSIONS: usize = 20;
const LENGTH_MS: u64 = 1_000;

pub(crate) async fn measure(table: &Table, floors: &Floors) -> Result<()> {
    let mut bench = Bench::new().await?;
    let _agent = bench.agent().await?;
    let mut late = Vec::new();
    for session in 0..SESSIONS {
        bench.site.send(start(&format!("s-{session}"), LENGTH_MS)).await?;
        let What::SessionStarted(started) = bench.told("session.started").await?.what else {
            unreachable!("it was asked for by type")
        };
        let ends_at_ms = started.ends_at_ms.context("a session that runs has an end")?;
        bench.told("session.ended").await?;
        let off = bench.plug.history().pop().context("the plug was switched")?;
        anyhow::ensure!(!off.on, "it is off");
        let late_ms = off.at_ms.checked_sub(ends_at_ms).context("it was cut early")?;
        late.push(Duration::from_millis(late_ms));
    }
    let late = Spread::of(late);
    // Instants on the wire are whole milliseconds.
    let what = format!("lateness of an off, p50 (worst {})", millis(late.worst()));
    table.put_time(&what, late.p50(), floors.timer.p50() + floors.request.p50());
    Ok(())
}
