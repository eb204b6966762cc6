//! The text as a whole: its form, its names, and that whoever draws or alerts uses no other.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::local::fixture;

const METRICS: &str = include_str!("../../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../../docs/grafana/edge-agent.json");
const ALERTS: &str = include_str!("../../../docs/grafana/alerts.yml");
const ALERT_TESTS: &str = include_str!("../../../tests/alerts/alerts_test.yml");

fn exposition() -> String {
    let snapshot = fixture::snapshot();
    let reading = Reading {
        now: snapshot.now,
        report: &snapshot.report,
        meter: &snapshot.meter,
        store: snapshot.store,
        figures: &fixture::figures(),
    };
    text(&reading)
}

/// Each family's name and type.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split_once(' ').unwrap()).collect()
}

/// The names that samples may have.
fn sample_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, kind) in families(text) {
        match kind {
            "histogram" => {
                names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
            }
            _ => drop(names.insert(name.to_owned())),
        }
    }
    names
}

/// Every word of `text` that looks like a metric of ours.
fn used(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let ours = |word: &&str| word.starts_with("edge_agent_") || word.starts_with("process_");
    words.filter(ours).collect()
}

#[test]
fn every_family_has_its_help_its_type_and_samples_and_stands_once() {
    let text = exposition();
    let mut of = "";
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(seen.insert(name), "{name} stands twice");
            assert!(help.ends_with('.'), "{line}");
            of = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind.starts_with(&format!("{of} ")), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(sample.starts_with(of), "{line} in {of}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(samples > families(&text).len() && text.ends_with('\n'));
}

#[test]
fn names_follow_the_conventions() {
    for (name, kind) in families(&exposition()) {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(!name.contains("_ms") && !name.contains("_percent"), "base units: {name}");
    }
}

#[test]
fn what_passed_through_the_loop_is_told() {
    let text = exposition();
    for line in [
        "edge_agent_build_info{node=\"pi-0042\",version=\"0.1.0\"} 1",
        "edge_agent_link_up 0",
        "edge_agent_link_attempts_total{outcome=\"connected\"} 1",
        "edge_agent_link_losses_total 1",
        "edge_agent_clock_last_step_seconds -1.5",
        "edge_agent_commands_total{outcome=\"rejected\",code=\"malformed\"} 1",
        "edge_agent_outlet_lease{outlet=\"plug-1\",lease=\"armed\"} 1",
        "edge_agent_outlet_fault{outlet=\"plug-1\",fault=\"unreachable\"} 1",
        "edge_agent_outlet_fault{outlet=\"plug-1\",fault=\"stuck_on\"} 0",
        "edge_agent_outlet_faults_total{outlet=\"plug-1\",fault=\"unreachable\"} 1",
        "edge_agent_outlet_answer_seconds_bucket{outlet=\"plug-1\",le=\"0.005\"} 0",
        "edge_agent_outlet_answer_seconds_bucket{outlet=\"plug-1\",le=\"0.01\"} 1",
        "edge_agent_store_flush_seconds_sum 0.0009",
        "edge_agent_store_row_bytes_total 512",
        "edge_agent_store_space_low 1",
        "edge_agent_host_throttled{reason=\"under_voltage\"} 1",
        "edge_agent_host_disk_worn_ratio 0.2",
        "edge_agent_host_disk_spares{level=\"warning\"} 1",
        "process_start_time_seconds 1763689600",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in:\n{text}");
    }
}

#[test]
fn the_dashboard_and_the_alerts_use_only_metrics_that_there_are() {
    let names = sample_names(&exposition());
    for (file, text) in
        [("edge-agent.json", DASHBOARD), ("alerts.yml", ALERTS), ("alerts_test.yml", ALERT_TESTS)]
    {
        let used = used(text);
        assert!(used.len() > 5, "{file} uses {used:?}");
        for name in used {
            assert!(names.contains(name), "{file}: there is no {name}");
        }
    }
}

#[test]
fn every_alert_is_fired_by_a_test() {
    let names = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in names {
        assert!(ALERT_TESTS.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn the_document_explains_every_metric_and_no_other() {
    let text = exposition();
    let told: BTreeSet<&str> = families(&text).into_keys().collect();
    let table = METRICS.split_once("## Metrics").unwrap().1;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(explained, told);
}
