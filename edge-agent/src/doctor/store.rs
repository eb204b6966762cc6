//! The store's folder and its disk. The store itself is the agent's alone: two could not open it.

use std::fs;
use std::path::Path;

use edge_protocol::presence::Spares;

use super::agent::Presence;
use super::diagnosis::Lines;
use crate::agent::MIN_FREE_BYTES;
use crate::config::Sketch;
use crate::host::figures::{Figures, Machine};
use crate::local::DiskTrouble;

/// An eMMC that has spent so much of its life is to be replaced before it fails.
const WORN_PERCENT: u32 = 80;
const MIB: u64 = 1024 * 1024;

pub(super) fn check(sketch: &Sketch, presence: &Presence, lines: &mut Lines) {
    let dir = &sketch.data_dir;
    store(dir, presence, lines);
    aside(dir, lines);
    // Before the first start there is only the folder that it is to be in.
    let there = dir.ancestors().find(|folder| folder.exists()).unwrap_or(dir);
    let figures = Machine::of(there).read();
    space(&figures, lines);
    wear(&figures, lines);
}

fn store(dir: &Path, presence: &Presence, lines: &mut Lines) {
    const CHECK: &str = "store";
    let place = dir.display();
    match presence.report().map(|report| (report, report.disk)) {
        Some((_, Some(DiskTrouble::Failing))) => {
            let found = format!("the running agent can't write to {place}; it goes on trying");
            lines.wrong(CHECK, found, "look for errors of the card in `dmesg`, and replace it");
        }
        Some((_, Some(DiskTrouble::Low))) => {
            let found = format!("the running agent takes no new work: too little room in {place}");
            lines.wrong(CHECK, found, "remove what else fills that file system");
        }
        Some((report, None)) if !report.accepting => {
            let found = "the running agent takes no new work: its outbox is full".to_owned();
            lines.wrong(CHECK, found, "mend the way to the broker, which then takes the events");
        }
        Some((report, None)) => {
            let events = report.state.queues.outbox_events;
            let found =
                format!("{place}, history {}, {events} events wait for the broker", report.store);
            lines.ok(CHECK, found);
        }
        None => match fs::read_dir(dir) {
            Ok(_) => lines.ok(CHECK, format!("{place} is there")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                lines.ok(CHECK, format!("{place} is not there yet: the first start makes it"));
            }
            Err(error) => {
                let found = format!("{place}: {error}");
                lines.wrong(CHECK, found, format!("chown -R edge-agent: {place}"));
            }
        },
    }
}

/// Stores that a start could not open.
fn aside(dir: &Path, lines: &mut Lines) {
    let found = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let named = |name: &str| name.strip_prefix("aside-").is_some_and(|rest| !rest.is_empty());
    let aside: Vec<_> = found
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| named(name))
        .collect();
    if let Some(name) = aside.first() {
        let path = dir.join(name);
        let found = format!("a start could not open it and put it aside as {}", path.display());
        lines.warning("store of before", found, format!("rm -r {}", path.display()));
    }
}

fn space(figures: &Figures, lines: &mut Lines) {
    const CHECK: &str = "free space";
    let Some(room) = figures.disk_space else {
        return lines.warning(CHECK, "the system does not tell", "look at it with `df`");
    };
    let (free, all) = (room.available_bytes / MIB, room.bytes / MIB);
    let found = format!("{free} MiB of {all} MiB");
    let remedy = "remove what else fills that file system";
    if room.available_bytes < MIN_FREE_BYTES {
        let found = format!("{found}: below {} MiB no command is taken", MIN_FREE_BYTES / MIB);
        lines.wrong(CHECK, found, remedy);
    } else if room.available_bytes < MIN_FREE_BYTES * 4 {
        let found = format!("{found}: below {} MiB no command is taken", MIN_FREE_BYTES / MIB);
        lines.warning(CHECK, found, remedy);
    } else {
        lines.ok(CHECK, found);
    }
}

fn wear(figures: &Figures, lines: &mut Lines) {
    const CHECK: &str = "disk wear";
    let replace = "replace it before it fails; the store moves with its folder";
    match (figures.disk_worn_percent, figures.disk_spares) {
        (_, Some(Spares::Urgent)) => {
            lines.wrong(CHECK, "nearly all of its spare blocks are used", replace);
        }
        (Some(worn), _) if worn >= WORN_PERCENT => {
            lines.warning(CHECK, format!("up to {worn} % of its life is spent"), replace);
        }
        (Some(worn), _) => lines.ok(CHECK, format!("up to {worn} % of its life is spent")),
        // An SD card does not tell.
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::State;
    use super::*;
    use crate::host::figures::Space;

    fn of(check: impl FnOnce(&mut Lines)) -> Vec<(State, String)> {
        let mut lines = Lines::default();
        check(&mut lines);
        lines.0.into_iter().map(|line| (line.state, line.found)).collect()
    }

    #[test]
    fn a_disk_is_wrong_below_what_the_agent_needs_and_watched_below_four_times_that() {
        for (available_bytes, state) in [
            (MIN_FREE_BYTES - 1, State::Wrong),
            (MIN_FREE_BYTES, State::Warning),
            (MIN_FREE_BYTES * 4, State::Ok),
        ] {
            let disk_space = Some(Space { available_bytes, bytes: u64::MAX });
            let figures = Figures { disk_space, ..Figures::default() };
            let lines = of(|lines| space(&figures, lines));
            assert_eq!(lines[0].0, state, "{}", lines[0].1);
        }
    }

    #[test]
    fn a_store_that_was_put_aside_is_told_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(|lines| aside(dir.path(), lines)), []);
        fs::create_dir(dir.path().join("aside-1")).unwrap();
        let lines = of(|lines| aside(dir.path(), lines));
        assert!(lines[0].0 == State::Warning && lines[0].1.ends_with("aside-1"), "{lines:?}");
    }
}
