//! Power cuts at any moment, on any disk that keeps what was synced.
//!
//! A process stores under `strace`; its calls are replayed up to a moment, and what a disk might
//! then hold is laid out and opened. Needs no root. `power` does the same with a real filesystem.

use std::io::Write as _;

use super::child::{Heard, recorded};
use super::medium::{Image, Manner, Medium, lay_out};
use super::recording::{Call, Moment, Recording};
use super::*;

/// Recordings, each of which goes on from a cut of the one before; and cuts of each.
const RECORDINGS: (usize, usize) = (3, 20);
const CUTS: (usize, usize) = (12, 60);
/// After so many a store is made anew, so that its making is cut, too.
const GENERATIONS: usize = 5;

/// What a cut left, and what had been said by then.
struct Cut {
    image: Image,
    heard: Heard,
    moment: usize,
    manner: Manner,
}

fn cut(
    before: &(Image, Heard),
    recording: &Recording,
    lies: bool,
    random: &mut fastrand::Rng,
) -> Cut {
    let moment = random.usize(..=recording.moments.len());
    let manner = Manner::ALL[random.usize(..Manner::ALL.len())];
    let mut medium = Medium::holding(&before.0);
    medium.lies = lies;
    medium.replay(recording, moment);
    let mut heard = before.1.clone();
    medium.said.iter().for_each(|line| heard.note(line));
    Cut { image: medium.cut(manner, random), heard, moment, manner }
}

/// Opens what the cut left, and compares it with what was said.
fn open_again(cut: &mut Cut) -> Result<(), String> {
    let dir = folder();
    lay_out(&cut.image, dir.path());
    // After a power cut it is another boot.
    let options = Options { boot_id: fastrand::u64(..).to_string(), ..options() };
    let store = open(dir.path(), options).map_err(|error| error.to_string())?;
    let compared = cut.heard.compare(&store);
    store.journal.close();
    compared
}

/// The last calls before a moment, for people to read.
fn told(recording: &Recording, moment: usize) -> String {
    let line = |(at, moment): (usize, &Moment)| match moment {
        Moment::Begun(call) => format!("{at} {}\n", recording.calls[*call]),
        Moment::Over(call) => format!("{at} over: {}\n", recording.calls[*call]),
    };
    let from = moment.saturating_sub(40);
    recording.moments[..moment].iter().enumerate().skip(from).map(line).collect()
}

fn skipped() {
    writeln!(io::stderr(), "skipped: recording a process needs strace").unwrap();
}

#[test]
fn a_power_cut_loses_nothing_stored_whatever_the_disk_does_with_what_was_not_synced() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut before = (Image::new(), Heard::default());
    let mut cuts = 0;
    for round in 0..count(RECORDINGS.0, RECORDINGS.1) {
        if round % GENERATIONS == 0 {
            before = (Image::new(), Heard::default());
        }
        let dir = folder();
        lay_out(&before.0, dir.path());
        let Some(recording) = recorded(dir.path(), random.u32(5..30)) else { return skipped() };
        let mut last = None;
        for _ in 0..count(CUTS.0, CUTS.1) {
            let mut cut = cut(&before, &recording, false, &mut random);
            let opened = open_again(&mut cut);
            if let Err(wrong) = opened {
                if let Some(kept) = std::env::var_os("EDGE_AGENT_TEST_KEEP") {
                    lay_out(&cut.image, Path::new(&kept));
                }
                let (at, manner) = (cut.moment, cut.manner);
                let calls = told(&recording, at);
                panic!("seed {seed}, round {round}: {wrong}\ncut {manner:?} at {at} of\n{calls}");
            }
            cuts += 1;
            last = Some(cut);
        }
        before = last.map(|cut| (cut.image, cut.heard)).unwrap();
    }
    figure("power cuts", "cuts, torn at 512 bytes and 4 KiB", cuts);
}

#[test]
fn without_the_syncs_the_cuts_show_the_loss_at_once() {
    let dir = folder();
    let Some(recording) = recorded(dir.path(), 12) else { return skipped() };
    let mut random = fastrand::Rng::with_seed(1);
    let syncs = recording.calls.iter().filter(|call| matches!(call, Call::Sync { .. })).count();
    assert!(syncs >= 12, "{syncs} syncs");
    let start = (Image::new(), Heard::default());
    let lost = |_: &usize| {
        let mut cut = cut(&start, &recording, true, &mut random);
        open_again(&mut cut).is_err()
    };
    let lost = (0..20).filter(lost).count();
    assert!(lost >= 10, "only {lost} of 20 cuts show that nothing was synced");
    figure("power cuts", "of 20 cuts on a disk that lies, seen", lost);
}
