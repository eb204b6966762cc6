//! `edgectl schedule`: a command that a node runs by itself, again and again.

use clap::{Args, Subcommand, ValueEnum};
use edge_protocol::command::{Missed, Request, SchedulePut, ScheduleRef};
use edge_protocol::id::ScheduleId;

use super::{Failure, Report, USAGE};
use crate::caller::Caller;
use crate::command;
use crate::errand::goal::Scene;
use crate::errand::goal::node::KeptGoal;
use crate::errand::{PATIENCE, Plan, Sending};
use crate::picture::Picture;
use crate::span::Span;

/// The contract's own default.
const MAX_LATE_MS: u64 = 60_000;

/// What to do with which schedule.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    sending: Sending,
}

/// What to do with a schedule.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Let a node run a command at each occurrence, offline too.
    ///
    /// The command follows `--`, as it would follow `edgectl`:
    /// edgectl schedule put modem --cron "30 4 * * *" -- outlet cycle modem-1
    Put(Put),
    /// Forget a schedule.
    Remove {
        /// Which schedule.
        schedule: ScheduleId,
    },
}

/// A schedule to put.
#[derive(Debug, Clone, Args)]
pub(crate) struct Put {
    /// The schedule's id; one of that id is replaced.
    schedule: ScheduleId,
    /// When: minute, hour, day of month, month, day of week; six fields begin with seconds.
    #[arg(long)]
    cron: String,
    /// Of which time zone these times are, as in Europe/Berlin.
    #[arg(long, value_name = "IANA", default_value = "UTC")]
    timezone: String,
    /// What becomes of an occurrence that passed while the node was away.
    #[arg(long, value_enum, default_value = "skip")]
    missed: MissedArgument,
    /// How late an occurrence may still run; 1 minute where absent.
    #[arg(long, value_name = "SPAN")]
    max_late: Option<Span>,
    /// The command, as it would follow `edgectl`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MissedArgument {
    /// It is left out.
    Skip,
    /// The last one runs once.
    Once,
}

/// Does it.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(caller: &Caller, arguments: Arguments) -> Result<Report, Failure> {
    let Arguments { what, sending } = arguments;
    crate::errand::run(caller, &sending, |scene| plan(what.clone(), scene))
}

fn plan(what: What, scene: &Scene<'_>) -> Result<Plan, Failure> {
    let (request, text) = match what {
        What::Put(put) => {
            let command = Box::new(scheduled(&put.command, scene)?);
            let (schedule, kind) = (put.schedule, command.kind());
            let once = once(&command);
            let text = format!(
                "{} runs {kind} at {:?} ({}) from now on, as schedule {schedule}{once}",
                scene.node, put.cron, put.timezone
            );
            let missed = match put.missed {
                MissedArgument::Skip => Missed::Skip,
                MissedArgument::Once => Missed::Once,
            };
            let request = Request::SchedulePut(SchedulePut {
                schedule,
                cron: put.cron,
                timezone: put.timezone,
                command,
                missed,
                max_late_ms: put.max_late.map_or(MAX_LATE_MS, Span::ms),
            });
            (request, text)
        }
        What::Remove { schedule } => {
            let text = format!("{} has no schedule {schedule} any more", scene.node);
            (Request::ScheduleRemove(ScheduleRef { schedule }), text)
        }
    };
    Ok(Plan { request, goal: Box::new(KeptGoal { text }), patience: PATIENCE, guess: false })
}

/// A warning of what the node will refuse the second time.
fn once(command: &Request) -> String {
    let id = match command {
        Request::SessionStart(start) => format!("session id {}", start.session),
        Request::TaskSubmit(submit) => format!("task id {}", submit.task),
        Request::SessionExtend(_)
        | Request::SessionPause(_)
        | Request::SessionResume(_)
        | Request::SessionTransfer(_)
        | Request::SessionEnd(_)
        | Request::OutletSet(_)
        | Request::OutletRelease(_)
        | Request::TaskCancel(_)
        | Request::TaskRetry(_)
        | Request::SchedulePut(_)
        | Request::ScheduleRemove(_)
        | Request::EventResend(_)
        | Request::NodeReport(_) => return String::new(),
    };
    format!(
        "; the {id} is the same each time, and a node refuses an id that it remembers (for 7 days): it runs once in that time"
    )
}

/// The command that the words say, as it is to run at every occurrence.
fn scheduled(words: &[String], scene: &Scene<'_>) -> Result<Request, Failure> {
    // At each occurrence the node will be another than now.
    let nothing = Picture::default();
    let scene = Scene { picture: &nothing, ..*scene };
    let instants = ["--until", "--at", "--not-before"];
    let fixed =
        |word: &&String| instants.iter().any(|i| word == i || word.starts_with(&format!("{i}=")));
    if let Some(word) = words.iter().find(fixed) {
        let text = format!("{word} names one instant, and a schedule has many: use --for or --by");
        return Err(Failure::new(USAGE, text));
    }
    command::read(words, &scene)
}
