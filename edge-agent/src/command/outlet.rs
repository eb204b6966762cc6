//! `edge-agent outlet`: a field tech's hand on an outlet, through the running agent.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use edge_agent::local::{Ask, Done as Stored, ReadBack, Report, ask};
use edge_agent::span::{Span, said};
use edge_protocol::event::Lease;
use edge_protocol::id::OutletId;
use edge_protocol::presence::OutletState;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Done, Failure, UNAVAILABLE, USAGE, runtime, say, socket};

/// How long an outlet is held on unless told otherwise.
const ON_FOR_MS: u64 = 3_600_000;
/// An outlet that is not where it is held by then has something wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the agent is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to do with which outlet.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which outlet.
    outlet: OutletId,
    /// What to do with it.
    what: What,
    /// How long it is held: 15m, 1h30m; at most 24h. On: 1h unless told otherwise; off: until released.
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Even while a session owns the outlet; the session's end still switches it off.
    #[arg(long)]
    force: bool,
    /// One JSON object, for machines.
    #[arg(long)]
    json: bool,
}

/// What to do with an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Hold it on for a time.
    On,
    /// Hold it off, for a time or until it is released.
    Off,
    /// End a hold: it returns to what its session or its rest wants.
    Release,
    /// Read the device now.
    Read,
}

/// Does it.
pub(crate) fn run(config: &Path, arguments: Arguments) -> Done {
    let json = arguments.json;
    let told = || -> Result<String, Failure> {
        let socket = socket(config)?;
        runtime()?.block_on(obeyed(&socket, arguments))
    };
    Ok(say(&told().map_err(|failure| failure.for_machine(json))?))
}

async fn obeyed(socket: &Path, arguments: Arguments) -> Result<String, Failure> {
    let Arguments { outlet, what, length, force, json } = arguments;
    match what {
        What::On | What::Off => {
            let on = what == What::On;
            let for_ms = length.map(Span::ms).or(on.then_some(ON_FOR_MS));
            let set = Ask::Set { outlet: outlet.clone(), on, for_ms, force };
            let _: Stored = ask(socket, &set).await.map_err(|error| hint(Failure::from(error)))?;
            held(socket, &outlet, on, json).await
        }
        What::Release | What::Read if length.is_some() || force => {
            Err(Failure::new(USAGE, "--for and --force belong to on and off"))
        }
        What::Release => {
            let _: Stored = ask(socket, &Ask::Release { outlet: outlet.clone() }).await?;
            Ok(match json {
                true => json!({ "outlet": outlet, "released": true }).to_string(),
                false => format!("{outlet} is held no more: its session or its rest decides"),
            })
        }
        What::Read => {
            let read: ReadBack = ask(socket, &Ask::Read { outlet: outlet.clone() }).await?;
            if !json {
                return Ok(format!("{outlet} is {}", read.said()));
            }
            let mut object = json!(read);
            object["outlet"] = json!(outlet);
            Ok(object.to_string())
        }
    }
}

/// The agent speaks of the command's field.
fn hint(failure: Failure) -> Failure {
    let message = failure.message.replace("`force` overrides it", "--force overrides it");
    Failure { message, ..failure }
}

/// Waits until a hold shows at the outlet, and tells how.
async fn held(socket: &Path, outlet: &OutletId, on: bool, json: bool) -> Result<String, Failure> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let report: Report = ask(socket, &Ask::Status {}).await?;
        let state = report.state.outlets.iter().find(|state| state.outlet == *outlet);
        let settled = state.is_some_and(|state| state.on == Some(on) && state.fault.is_none());
        if let Some(state) = state.filter(|_| settled) {
            return Ok(if json {
                json!(state).to_string()
            } else {
                text(state, report.state.at_ms)
            });
        }
        if Instant::now() >= limit {
            let detail = report.outlets.iter().find(|detail| detail.outlet == *outlet);
            let reason = detail.and_then(|detail| detail.fault_message.clone());
            let reason = reason.unwrap_or_else(|| "it does not answer yet".to_owned());
            let wanted = if on { "on" } else { "off" };
            let message = format!(
                "the hold is stored, but {outlet} is not {wanted} yet: {reason}; the agent goes on trying"
            );
            return Err(Failure::new(UNAVAILABLE, message));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn text(state: &OutletState, at_ms: u64) -> String {
    let outlet = &state.outlet;
    let rest = |until_ms: u64| said(until_ms.saturating_sub(at_ms));
    let on = if state.on == Some(true) { "on" } else { "off" };
    let held = match &state.hold {
        Some(hold) => match hold.until_ms {
            Some(until_ms) => format!("held so for {}", rest(until_ms)),
            None => format!("held so until `edge-agent outlet {outlet} release`"),
        },
        // Its session has just ended, or somebody else released it.
        None => "held no more".to_owned(),
    };
    let lease = match (state.lease, state.off_at_ms) {
        (Lease::Armed | Lease::Stale, Some(off_at_ms)) => {
            format!("; the device cuts itself in {}", rest(off_at_ms))
        }
        (Lease::Armed | Lease::Stale | Lease::None, _) => String::new(),
    };
    format!("{outlet} is {on}, read back, and {held}{lease}")
}
