//! The machine and the process, as metrics. What the machine does not tell has no sample.

use edge_protocol::presence::{Spares, Throttle};

use super::text::{Exposition, Kind, from_ms};
use crate::host::figures::{Agent, Figures};
use crate::node::time::Now;

const THROTTLES: [(Throttle, &str); 4] = [
    (Throttle::UnderVoltage, "under_voltage"),
    (Throttle::FrequencyCapped, "frequency_capped"),
    (Throttle::Throttled, "throttled"),
    (Throttle::SoftTemperatureLimit, "soft_temperature_limit"),
];

pub(super) fn write(out: &mut Exposition, now: Now, figures: &Figures) {
    board(out, now, figures);
    disk(out, figures);
    let mut family = out.family(
        "edge_agent_host_network_received_bytes_total",
        Kind::Counter,
        "What came in through a network interface.",
    );
    for traffic in &figures.network {
        family.sample(&[("interface", &traffic.interface)], traffic.received_bytes);
    }
    let mut family = out.family(
        "edge_agent_host_network_sent_bytes_total",
        Kind::Counter,
        "What went out through a network interface.",
    );
    for traffic in &figures.network {
        family.sample(&[("interface", &traffic.interface)], traffic.sent_bytes);
    }
    process(out, &figures.agent);
}

fn board(out: &mut Exposition, now: Now, figures: &Figures) {
    out.single(
        "edge_agent_host_uptime_seconds",
        Kind::Gauge,
        "How long the machine has been up, suspend included.",
        from_ms(now.boot.uptime_ms()),
    );
    if let Some(cpu) = figures.cpu {
        let mut family = out.family(
            "edge_agent_host_cpu_seconds_total",
            Kind::Counter,
            "Processor time of all processors together.",
        );
        family.sample(&[("mode", "busy")], from_ms(cpu.busy_ms));
        family.sample(&[("mode", "idle")], from_ms(cpu.idle_ms));
    }
    out.known(
        "edge_agent_host_load1",
        Kind::Gauge,
        "The one-minute load average.",
        figures.load_1m,
    );
    out.known(
        "edge_agent_host_cpu_temperature_celsius",
        Kind::Gauge,
        "The processor's temperature.",
        figures.cpu_c,
    );
    if let Some(throttling) = &figures.throttling {
        let mut family = out.family(
            "edge_agent_host_throttled",
            Kind::Gauge,
            "1 at what slows the processor down now.",
        );
        for (reason, name) in THROTTLES {
            family.sample(&[("reason", name)], u8::from(throttling.now.contains(&reason)));
        }
    }
    out.known(
        "edge_agent_host_memory_available_bytes",
        Kind::Gauge,
        "Memory that programs could still have.",
        figures.memory_available_bytes,
    );
    out.known(
        "edge_agent_host_memory_bytes",
        Kind::Gauge,
        "All the memory there is.",
        figures.memory_bytes,
    );
}

fn disk(out: &mut Exposition, figures: &Figures) {
    out.known(
        "edge_agent_host_disk_available_bytes",
        Kind::Gauge,
        "Room left on the file system of the store.",
        figures.disk_space.map(|space| space.available_bytes),
    );
    out.known(
        "edge_agent_host_disk_bytes",
        Kind::Gauge,
        "Size of the file system of the store.",
        figures.disk_space.map(|space| space.bytes),
    );
    out.known(
        "edge_agent_host_disk_written_bytes_total",
        Kind::Counter,
        "What everybody wrote to the store's disk since the boot.",
        figures.disk_written_bytes,
    );
    out.known(
        "edge_agent_host_disk_worn_ratio",
        Kind::Gauge,
        "How much of its life the store's disk has spent, at most; an SD card does not tell.",
        figures.disk_worn_percent.map(|percent| f64::from(percent) / 100.0),
    );
    if let Some(spares) = figures.disk_spares {
        let mut family = out.family(
            "edge_agent_host_disk_spares",
            Kind::Gauge,
            "1 at how many of its spare blocks the store's disk has used.",
        );
        for (level, name) in
            [(Spares::Normal, "normal"), (Spares::Warning, "warning"), (Spares::Urgent, "urgent")]
        {
            family.sample(&[("level", name)], u8::from(spares == level));
        }
    }
}

/// Under the names that every Prometheus client uses.
fn process(out: &mut Exposition, agent: &Agent) {
    out.known(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time that the agent has spent.",
        agent.cpu_ms.map(from_ms),
    );
    out.known(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory that the agent occupies.",
        agent.rss_bytes,
    );
    out.known(
        "process_open_fds",
        Kind::Gauge,
        "Files and sockets that it holds open.",
        agent.open_files,
    );
}
