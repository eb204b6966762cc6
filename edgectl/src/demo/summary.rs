//! What the story came to, judged by the plug's own record.

use std::time::Duration;

use edge_protocol::event::{Reason, SessionEnded};
use plug_sim::{By, Switch};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::screen::Paint;
use super::{ms, said, tenths};

/// How late the power may go while the node lives.
const MAX_LATE: Duration = Duration::from_secs(1);

/// A session that went as promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// What was paid for.
    paid: Duration,
    /// For how long the plug was on.
    powered: Duration,
    /// How long after the deadline the plug went off.
    pub(crate) late: Duration,
    /// How long after the deadline the plug would have cut the power by itself.
    lease: Duration,
}

impl Summary {
    /// Judges a session of `paid` that was to end at `deadline`, while the plug would have cut
    /// the power at `lease`: `history` is what the plug did, `ended` what the node says of it.
    ///
    /// # Errors
    /// What was not as promised.
    pub(crate) fn of(
        paid: Duration,
        deadline: Instant,
        lease: Instant,
        history: &[Switch],
        ended: &SessionEnded,
    ) -> Result<Self, String> {
        let [on, off] = history else {
            let times = history.len();
            return Err(format!("the plug was switched {times} times, not once on and once off"));
        };
        let powered = off.at.saturating_duration_since(on.at);
        let late = off.at.saturating_duration_since(deadline);
        // The time counts from the confirmed on, so the plug was on for longer than was paid
        // for, on its own clock: no comparison of two clocks can excuse a cut that came early.
        if !on.on || off.on || powered < paid {
            return Err(format!("paid for {}, powered for {}", said(paid), said(powered)));
        }
        if off.by != By::Http {
            return Err("the plug cut the power by itself, not the node".to_owned());
        }
        if late > MAX_LATE || Duration::from_millis(ended.late_ms) > MAX_LATE {
            return Err(format!("the power went off {} late", said(late)));
        }
        if ended.reason != Reason::Expired {
            return Err(format!("the session ended for another reason: {:?}", ended.reason));
        }
        Ok(Self { paid, powered, late, lease: lease.saturating_duration_since(deadline) })
    }

    /// For a person.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let Self { paid, powered, late, lease } = self;
        let row = |name: &str, value: Duration, rest: &str| {
            format!("  {} {}{rest}\n", paint.dim(&format!("{name:<12}")), paint.bold(&said(value)))
        };
        let mut text = String::from("\n");
        text += &row("paid for", *paid, "");
        text += &row("powered for", *powered, ", through the crash");
        text += &row("off", *late, " after the end: never early, and at most 1 s late");
        text += &format!(
            "\n  Had the node stayed dead, the plug would have cut the power by itself,\n  \
             {} after the end: the node leaves it that order with every on.\n",
            paint.bold(&said(tenths(*lease)))
        );
        text += &format!(
            "\n  Next: {} checks everything else that is promised (some minutes);\n  \
             README.md has how to put it on a Raspberry Pi.",
            paint.bold("tests/run")
        );
        text
    }

    /// For a machine.
    pub(crate) fn json(&self) -> Value {
        json!({
            "step": "summary",
            "paid_ms": ms(self.paid),
            "powered_ms": ms(self.powered),
            "late_ms": ms(self.late),
            "lease_after_end_ms": ms(self.lease),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAID: Duration = Duration::from_secs(20);

    /// A session whose plug was on for so long and cut by this; the on was confirmed after 30 ms.
    fn judged(powered_ms: u64, by: By) -> Result<Summary, String> {
        let at = Instant::now();
        let deadline = at + PAID + Duration::from_millis(30);
        let on = Switch { at, at_ms: 0, relay: 1, on: true, by: By::Http };
        let off = Switch { at: at + Duration::from_millis(powered_ms), on: false, by, ..on };
        let ended = SessionEnded {
            session: "s".parse().unwrap(),
            station: "pc".parse().unwrap(),
            reason: Reason::Expired,
            powered_ms,
            ended_at_ms: 0,
            late_ms: 0,
            proof: None,
            energy_wh: None,
        };
        Summary::of(PAID, deadline, deadline + Duration::from_secs(2), &[on, off], &ended)
    }

    #[test]
    fn a_cut_on_time_by_the_node_is_as_promised() {
        let summary = judged(20_040, By::Http).unwrap();
        assert_eq!((ms(summary.late), ms(summary.lease)), (10, 2_000));
    }

    #[test]
    fn a_cut_that_is_early_late_or_not_the_nodes_is_not() {
        assert!(judged(19_999, By::Http).unwrap_err().contains("powered for 19.999 s"));
        assert!(judged(21_031, By::Http).unwrap_err().contains("late"));
        assert!(judged(20_040, By::Timer).unwrap_err().contains("by itself"));
    }
}
