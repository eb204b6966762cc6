//! `edgectl demo`: the whole thing on this machine, in seconds.

use std::io;

use clap::{Args, value_parser};

use super::{Failure, IO_ERROR, Report, SOFTWARE, UNAVAILABLE};
use crate::demo::screen::Screen;
use crate::demo::summary::Summary;
use crate::demo::{Plan, Trouble, said, script, tools};
use crate::interrupt::Interrupts;

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long the session is.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(10..=300))]
    seconds: u64,
}

/// Shows it. Whatever happens, nothing that it started is left when it returns.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| software(&error))?;
    let mut screen = Screen::new(json);
    let shown = runtime.block_on(async {
        // Before anything is started that would have to be ended.
        let mut interrupts = Interrupts::new().map_err(|error| software(&error))?;
        tokio::select! {
            biased;
            interrupt = interrupts.next() => Err(Failure::new(
                interrupt.code,
                format!("stopped by {}; nothing is left behind", interrupt.name),
            )),
            summary = Box::pin(show(Plan::of(arguments.seconds), &mut screen)) => Ok(summary?),
        }
    });
    let summary = shown?;
    Ok(Report { text: summary.text(screen.paint()), json: summary.json() })
}

async fn show(plan: Plan, screen: &mut Screen) -> Result<Summary, Trouble> {
    let paint = screen.paint();
    screen.title(&format!(
        "\n{}\n\n  \
         A customer pays for a PC. Its plug hangs on a Raspberry Pi, the {}, which\n  \
         takes its orders from the {} over the internet. The program on the node,\n  \
         the messages, the certificates and the HTTP to the {} are real; the plug\n  \
         and the café are played.\n",
        paint.bold(&format!("edge-agent: {} at an internet café", said(plan.total))),
        paint.color(32, "node"),
        paint.color(36, "café"),
        paint.color(33, "plug"),
    ))?;
    tools::agent(screen).await?;
    tools::broker(screen).await?;
    script::play(plan, screen).await
}

fn software(error: &io::Error) -> Failure {
    Failure::new(SOFTWARE, error.to_string())
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let code = match &trouble {
            Trouble::Build(_)
            | Trouble::Agent(_)
            | Trouble::Install(_)
            | Trouble::Site(_)
            | Trouble::Files(_) => UNAVAILABLE,
            Trouble::NotTrue { .. } => SOFTWARE,
            Trouble::Screen(_) => IO_ERROR,
        };
        Self::new(code, trouble.to_string())
    }
}
