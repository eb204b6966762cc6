//! The metrics by name. `docs/metrics.md` explains them; a name that stands here is a promise to
//! whoever drew a dashboard with it.

use edge_protocol::event::{Clock, Lease};
use serde::Serialize;

use super::host;
use super::meter::{FAULTS, Meter};
use super::text::{Exposition, Kind, from_ms};
use crate::host::figures::Figures;
use crate::local::{Report, StoreReport};
use crate::node::OutletDetail;
use crate::node::time::Now;

/// The phases that a session of the state can be in.
const PHASES: [&str; 5] = ["booked", "starting", "active", "paused", "ending"];
const LEASES: [Lease; 3] = [Lease::Armed, Lease::Stale, Lease::None];

/// What is to be told: one moment of the agent and its machine.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) now: Now,
    pub(crate) report: &'a Report,
    pub(crate) meter: &'a Meter,
    pub(crate) store: StoreReport,
    pub(crate) figures: &'a Figures,
}

/// The reading in Prometheus's text format.
pub(crate) fn text(reading: &Reading<'_>) -> String {
    let mut out = Exposition::default();
    node(&mut out, reading);
    link(&mut out, reading);
    sessions(&mut out, reading);
    tasks(&mut out, reading);
    outlets(&mut out, reading.report);
    loads(&mut out, &reading.report.outlets);
    plugs(&mut out, reading.meter);
    store(&mut out, reading);
    host::write(&mut out, reading.now, reading.figures);
    out.finish()
}

fn node(out: &mut Exposition, reading: &Reading<'_>) {
    let (report, meter) = (reading.report, reading.meter);
    let labels = [("node", report.state.node.as_str()), ("version", report.version.as_str())];
    out.family(
        "edge_agent_build_info",
        Kind::Gauge,
        "Always 1: which node, and which version runs on it.",
    )
    .sample(&labels, 1);
    out.single(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the agent started, Unix time as its clock read then.",
        from_ms(report.started_at_ms),
    );
    out.single(
        "edge_agent_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When the client certificate expires, Unix time.",
        from_ms(report.certificate_expires_at_ms),
    );
    out.single(
        "edge_agent_accepting",
        Kind::Gauge,
        "1 while the node takes commands and starts tasks; 0 while its disk or outbox is full.",
        u8::from(report.accepting),
    );
    out.single(
        "edge_agent_clock_synced",
        Kind::Gauge,
        "1 once the wall clock can be trusted in this boot.",
        u8::from(report.clock == Clock::Synced),
    );
    out.single(
        "edge_agent_clock_steps_total",
        Kind::Counter,
        "Corrections of the wall clock.",
        meter.clock_steps,
    );
    out.known(
        "edge_agent_clock_last_step_seconds",
        Kind::Gauge,
        "By how much the last correction moved the wall clock.",
        meter.last_step_ms.map(signed_seconds),
    );
    let mut events =
        out.family("edge_agent_events_total", Kind::Counter, "Events told, by their type.");
    for (kind, count) in &meter.events {
        events.sample(&[("type", kind)], count);
    }
    let mut commands = out.family(
        "edge_agent_commands_total",
        Kind::Counter,
        "Commands answered, by outcome; a rejected one by its code.",
    );
    commands.sample(&[("outcome", "accepted"), ("code", "")], meter.commands_accepted);
    commands.sample(&[("outcome", "repeated"), ("code", "")], meter.commands_repeated);
    for (code, count) in &meter.commands_rejected {
        commands.sample(&[("outcome", "rejected"), ("code", &name(code))], count);
    }
}

fn link(out: &mut Exposition, reading: &Reading<'_>) {
    let (report, link) = (reading.report, &reading.meter.link);
    let queues = report.state.queues;
    out.single(
        "edge_agent_link_up",
        Kind::Gauge,
        "1 while the broker is reached.",
        u8::from(report.online),
    );
    out.single(
        "edge_agent_link_changed_timestamp_seconds",
        Kind::Gauge,
        "Since when the link is up, or down, Unix time.",
        from_ms(report.link_since_ms),
    );
    let mut attempts = out.family(
        "edge_agent_link_attempts_total",
        Kind::Counter,
        "Attempts to reach the broker, by outcome.",
    );
    attempts.sample(&[("outcome", "connected")], link.connects);
    attempts.sample(&[("outcome", "failed")], link.failures);
    out.single(
        "edge_agent_link_losses_total",
        Kind::Counter,
        "Connections to the broker that broke.",
        link.losses,
    );
    out.single(
        "edge_agent_outbox_events",
        Kind::Gauge,
        "Events that the broker has not acknowledged.",
        queues.outbox_events,
    );
    out.single("edge_agent_outbox_bytes", Kind::Gauge, "Their size.", queues.outbox_bytes);
    out.single(
        "edge_agent_outbox_limit_bytes",
        Kind::Gauge,
        "The most they may occupy; from nine tenths on the node takes no more commands.",
        reading.store.outbox_max_bytes,
    );
}

fn sessions(out: &mut Exposition, reading: &Reading<'_>) {
    let (sessions, meter) = (&reading.report.state.sessions, reading.meter);
    let mut family = out.family("edge_agent_sessions", Kind::Gauge, "Sessions, by phase.");
    for phase in PHASES {
        let count = sessions.iter().filter(|session| session.phase == phase).count();
        family.sample(&[("phase", phase)], count);
    }
    out.family(
        "edge_agent_session_off_lateness_seconds",
        Kind::Histogram,
        "From a session's off time to the confirmation that its last outlet is off.",
    )
    .histogram(&[], &meter.off_lateness);
    let stations = &reading.report.state.stations;
    let mut family = out.family("edge_agent_stations", Kind::Gauge, "Stations, in use or free.");
    let used = stations.iter().filter(|station| station.session.is_some()).count();
    family.sample(&[("use", "session")], used);
    family.sample(&[("use", "free")], stations.len() - used);
}

fn tasks(out: &mut Exposition, reading: &Reading<'_>) {
    let (queues, events) = (reading.report.state.queues, &reading.meter.events);
    let mut family = out.family("edge_agent_tasks", Kind::Gauge, "Tasks, by state.");
    family.sample(&[("state", "queued")], queues.tasks_queued);
    family.sample(&[("state", "running")], queues.tasks_running);
    out.single(
        "edge_agent_task_attempts_total",
        Kind::Counter,
        "Attempts of tasks that were started.",
        events["task.started"],
    );
    let mut family =
        out.family("edge_agent_tasks_ended_total", Kind::Counter, "Tasks that ended, by outcome.");
    for (outcome, kind) in [
        ("succeeded", "task.succeeded"),
        ("failed", "task.failed"),
        ("cancelled", "task.cancelled"),
    ] {
        family.sample(&[("outcome", outcome)], events[kind]);
    }
}

/// What the outlets are.
fn outlets(out: &mut Exposition, report: &Report) {
    let outlets = &report.state.outlets;
    let mut family = out.family(
        "edge_agent_outlet_on",
        Kind::Gauge,
        "1 where power flows, as last read back; absent until the outlet answered once.",
    );
    for outlet in outlets {
        if let Some(on) = outlet.on {
            family.sample(&[("outlet", outlet.outlet.as_str())], u8::from(on));
        }
    }
    let mut family = out.family(
        "edge_agent_outlet_lease",
        Kind::Gauge,
        "1 at the state of the outlet's lease: whether it cuts the power by itself.",
    );
    for outlet in outlets {
        for lease in LEASES {
            let labels = [("outlet", outlet.outlet.as_str()), ("lease", &name(&lease))];
            family.sample(&labels, u8::from(outlet.lease == lease));
        }
    }
    let mut family = out.family(
        "edge_agent_outlet_fault",
        Kind::Gauge,
        "1 at what is wrong with the outlet now.",
    );
    for outlet in outlets {
        for fault in FAULTS {
            let labels = [("outlet", outlet.outlet.as_str()), ("fault", &name(&fault))];
            family.sample(&labels, u8::from(outlet.fault == Some(fault)));
        }
    }
}

/// What hangs on them, and how their relays wear.
fn loads(out: &mut Exposition, outlets: &[OutletDetail]) {
    let mut family = out.family(
        "edge_agent_outlet_power_watts",
        Kind::Gauge,
        "What the load draws, where the plug measures it.",
    );
    for outlet in outlets {
        if let Some(power_mw) = outlet.power_mw {
            family.sample(&[("outlet", outlet.outlet.as_str())], from_ms(power_mw));
        }
    }
    let mut family = out.family(
        "edge_agent_outlet_energy_watt_hours_total",
        Kind::Counter,
        "What the plug's register of energy shows, where it has one.",
    );
    for outlet in outlets {
        if let Some(energy_mwh) = outlet.energy_mwh {
            family.sample(&[("outlet", outlet.outlet.as_str())], from_ms(energy_mwh));
        }
    }
    let mut family = out.family(
        "edge_agent_outlet_cycles_total",
        Kind::Counter,
        "How often the relay was found to have closed, since the store was made.",
    );
    for outlet in outlets {
        family.sample(&[("outlet", outlet.outlet.as_str())], outlet.cycles);
    }
    let mut family =
        out.family("edge_agent_outlet_rated_cycles", Kind::Gauge, "How often the relay may close.");
    for outlet in outlets {
        family.sample(&[("outlet", outlet.outlet.as_str())], outlet.rated_cycles);
    }
    let mut family = out.family(
        "edge_agent_outlet_delayed_ons_total",
        Kind::Counter,
        "Ons that waited, and for what. No off ever does.",
    );
    for outlet in outlets {
        for (reason, count) in
            [("min_off", outlet.waited_for_min_off), ("stagger", outlet.waited_for_stagger)]
        {
            let labels = [("outlet", outlet.outlet.as_str()), ("reason", reason)];
            family.sample(&labels, count);
        }
    }
}

/// How their plugs answer.
fn plugs(out: &mut Exposition, meter: &Meter) {
    let mut family =
        out.family("edge_agent_outlet_faults_total", Kind::Counter, "Faults that began.");
    for (outlet, of) in &meter.outlets {
        for (fault, count) in FAULTS.into_iter().zip(of.faults) {
            family.sample(&[("outlet", outlet.as_str()), ("fault", &name(&fault))], count);
        }
    }
    let mut family = out.family(
        "edge_agent_outlet_failures_total",
        Kind::Counter,
        "Orders that the outlet's driver answered with an error.",
    );
    for (outlet, of) in &meter.outlets {
        family.sample(&[("outlet", outlet.as_str())], of.failures);
    }
    let mut family = out.family(
        "edge_agent_outlet_answer_seconds",
        Kind::Histogram,
        "From an order to the outlet's answer, read back.",
    );
    for (outlet, of) in &meter.outlets {
        family.histogram(&[("outlet", outlet.as_str())], &of.answers);
    }
}

fn store(out: &mut Exposition, reading: &Reading<'_>) {
    let (store, meter) = (&reading.store, &reading.meter.store);
    out.family(
        "edge_agent_store_flush_seconds",
        Kind::Histogram,
        "From a batch of writes to the moment when it is durable.",
    )
    .histogram(&[], &meter.flushes);
    out.single(
        "edge_agent_store_syncs_total",
        Kind::Counter,
        "How often the disk was told to make writes durable.",
        store.syncs,
    );
    out.single(
        "edge_agent_store_row_bytes_total",
        Kind::Counter,
        "Keys and values handed to the store.",
        meter.row_bytes,
    );
    out.known(
        "edge_agent_store_written_bytes_total",
        Kind::Counter,
        "What the agent caused to be written to storage, by the kernel's account.",
        reading.figures.agent.written_bytes,
    );
    out.known(
        "edge_agent_store_size_bytes",
        Kind::Gauge,
        "What the store's files occupy.",
        reading.figures.agent.store_bytes,
    );
    out.single(
        "edge_agent_store_unstored_batches",
        Kind::Gauge,
        "Batches that wait for the disk.",
        store.unstored_batches,
    );
    out.single(
        "edge_agent_store_failing",
        Kind::Gauge,
        "1 while writes fail and are tried again.",
        u8::from(store.failing),
    );
    out.single(
        "edge_agent_store_space_low",
        Kind::Gauge,
        "1 while there is too little room for new work.",
        u8::from(store.space_low),
    );
}

/// A value's name on the wire.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => String::new(),
    }
}

fn signed_seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}", from_ms(ms.unsigned_abs()))
}
