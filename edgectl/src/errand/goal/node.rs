//! What commands about the node itself are sent for: schedules, reports, events again.

use std::collections::BTreeMap;

use edge_protocol::event::{Event, NodeReport, What};
use serde_json::{Value, json};

use super::{Goal, Scene, Step};
use crate::instant;
use crate::plain::plain;
use crate::story;

/// A command whose acceptance is all there is to see: what it asks for is on the node's disk.
#[derive(Debug)]
pub(crate) struct KeptGoal {
    /// What is so then.
    pub(crate) text: String,
}

impl Goal for KeptGoal {
    fn awaited(&self) -> String {
        "nothing more".to_owned()
    }

    fn accepted(&mut self, _scene: &Scene<'_>) -> Step {
        Step::done(self.text.clone())
    }
}

/// The node's report.
#[derive(Debug)]
pub(crate) struct ReportGoal;

impl Goal for ReportGoal {
    fn awaited(&self) -> String {
        "the report".to_owned()
    }

    fn event(&mut self, event: &Event, ours: bool, scene: &Scene<'_>) -> Step {
        let What::NodeReport(report) = &event.what else { return Step::Wait };
        if ours { Step::done(told(report, scene)) } else { Step::Wait }
    }
}

fn told(report: &NodeReport, scene: &Scene<'_>) -> String {
    let NodeReport { version, hardware, outlets, configuration, expires_at_ms } = report;
    let days = expires_at_ms.saturating_sub(scene.now_ms) / (24 * 3_600_000);
    let mut text = format!(
        "{}  edge-agent {}\nhardware       {}\nconfiguration  {}\ncertificate    until {} ({days} days)",
        scene.node,
        plain(version),
        plain(hardware),
        plain(configuration),
        instant::day(*expires_at_ms),
    );
    for outlet in outlets {
        let reach = if outlet.reachable { "answers" } else { "DOES NOT ANSWER" };
        text += &format!("\noutlet         {} ({}): {reach}", outlet.outlet, plain(&outlet.driver));
    }
    text
}

/// Past events that are to come again.
#[derive(Debug)]
pub(crate) struct ResendGoal {
    from_seq: u64,
    to_seq: u64,
    came: BTreeMap<u64, Value>,
    /// Ranges that are not there any more, with the reason.
    gone: Vec<(u64, u64, String)>,
}

impl ResendGoal {
    /// The events from one `seq` to another, both included.
    pub(crate) fn new(from_seq: u64, to_seq: u64) -> Self {
        Self { from_seq, to_seq, came: BTreeMap::new(), gone: Vec::new() }
    }

    fn take(&mut self, seq: u64, event: Value, scene: &Scene<'_>) -> Step {
        if (self.from_seq..=self.to_seq).contains(&seq) {
            self.came.insert(seq, event);
        }
        self.look(scene)
    }

    fn settled(&self) -> u64 {
        let came = u64::try_from(self.came.len()).unwrap_or(u64::MAX);
        self.gone.iter().fold(came, |sum, (from, to, _)| sum.saturating_add(to - from + 1))
    }

    fn look(&self, scene: &Scene<'_>) -> Step {
        if self.settled() <= self.to_seq - self.from_seq {
            return Step::Wait;
        }
        let mut lines: Vec<(u64, String)> =
            self.came.iter().map(|(seq, event)| (*seq, story::line(event, scene.now_ms))).collect();
        for (from, to, reason) in &self.gone {
            let range = if from == to { format!("#{from}") } else { format!("#{from} to #{to}") };
            lines.push((*from, format!("{range} can't be had any more: {}", plain(reason))));
        }
        lines.sort();
        let text = lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        let events: Vec<&Value> = self.came.values().collect();
        let gone = |(from, to, reason): &(u64, u64, String)| json!({ "from_seq": from, "to_seq": to, "reason": reason });
        let gone: Vec<Value> = self.gone.iter().map(gone).collect();
        Step::Done { text, facts: json!({ "events": events, "gone": gone }) }
    }
}

impl Goal for ResendGoal {
    fn awaited(&self) -> String {
        let all = self.to_seq - self.from_seq + 1;
        format!("the events again ({} of {all} came)", self.settled())
    }

    fn event(&mut self, event: &Event, ours: bool, scene: &Scene<'_>) -> Step {
        if let What::NodeDropped(dropped) = &event.what
            && ours
        {
            let from = dropped.from_seq.max(self.from_seq);
            let to = dropped.to_seq.min(self.to_seq);
            if from <= to {
                self.gone.push((from, to, dropped.reason.clone()));
            }
            return self.look(scene);
        }
        self.take(event.seq, serde_json::to_value(event).unwrap_or_default(), scene)
    }

    fn strange(&mut self, event: &Value, scene: &Scene<'_>) -> Step {
        match event["seq"].as_u64() {
            Some(seq) => self.take(seq, event.clone(), scene),
            None => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;

    fn event(seq: u64, kind: &str, body: &Value) -> Event {
        serde_json::from_value(json!({ "store": "a", "seq": seq, "type": kind, "at_ms": 1,
            "clock": "synced", "uptime_ms": 1, "boot_id": "b", "body": body }))
        .unwrap()
    }

    #[test]
    fn events_again_are_done_when_each_has_come_or_is_gone() {
        let (picture, node) = (Picture::default(), "pi-1".parse().unwrap());
        let scene = Scene { node: &node, picture: &picture, now_ms: 1_000 };
        let mut goal = ResendGoal::new(3, 6);
        let link = json!({ "session_present": true });
        assert_eq!(goal.event(&event(4, "node.link", &link), false, &scene), Step::Wait);
        assert_eq!(goal.event(&event(4, "node.link", &link), false, &scene), Step::Wait, "twice");
        assert_eq!(
            goal.event(&event(9, "node.link", &link), false, &scene),
            Step::Wait,
            "not asked for"
        );
        let gone = json!({ "from_seq": 5, "to_seq": 6, "reason": "no longer kept" });
        assert_eq!(goal.event(&event(10, "node.dropped", &gone), true, &scene), Step::Wait);
        assert_eq!(goal.awaited(), "the events again (3 of 4 came)");
        let strange = json!({ "seq": 3, "at_ms": 1, "type": "node.new", "body": {} });
        let Step::Done { text, facts } = goal.strange(&strange, &scene) else { panic!("all came") };
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("#3 node.new") && lines[1].contains("#4 node.link"), "{text}");
        assert_eq!(lines[2], "#5 to #6 can't be had any more: no longer kept");
        assert_eq!(facts["gone"][0]["to_seq"], 6);
    }
}
