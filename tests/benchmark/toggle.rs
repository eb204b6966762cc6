//! From a command to the plug's request, and to the events that tell of it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::command::{OutletSet, Request};
use tokio::time::Instant;

use crate::Bench;
use crate::figures::{Spread, Table, millis};
use crate::floors::Floors;

const ROUNDS: usize = 300;

pub(crate) async fn measure(table: &Table, floors: &Floors) -> Result<()> {
    let mut bench = Bench::new().await?;
    let _agent = bench.agent().await?;
    let (mut switched, mut answered, mut changed) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let on = round % 2 == 0;
        let request = Request::OutletSet(OutletSet {
            outlet: "plug-1".parse()?,
            on,
            for_ms: on.then_some(60_000),
            force: false,
        });
        let from = Instant::now();
        bench.site.send(request).await?;
        bench.told("command.accepted").await?;
        answered.push(from.elapsed());
        bench.told("outlet.changed").await?;
        changed.push(from.elapsed());
        let switch = bench.plug.history().pop().context("the plug was switched")?;
        anyhow::ensure!(switch.on == on, "the plug did as it was told");
        switched.push(switch.at.duration_since(from));
        // An on is told twice: when it is read back, and when its lease is.
        if on {
            bench.told("outlet.lease").await?;
        }
    }
    let request = floors.round_trip.p50() + floors.request.p50();
    put(table, "command → plug switched", &Spread::of(switched), request);
    let answer = floors.round_trip.p50() * 2 + floors.sync.p50();
    put(table, "command → its answer (durable)", &Spread::of(answered), answer);
    let result = floors.round_trip.p50() * 2 + floors.request.p50() + floors.sync.p50();
    put(table, "command → outlet.changed (durable, read back)", &Spread::of(changed), result);
    Ok(())
}

fn put(table: &Table, what: &str, spread: &Spread, floor: Duration) {
    table.put_time(&format!("{what}, p50 (p99 {})", millis(spread.p99())), spread.p50(), floor);
}
