//! A power cut: what a filesystem's device holds at a moment, mounted again.
//!
//! The store lies on an ext4 filesystem in an image file. The process that stores is stopped,
//! the image is copied, and the copy is mounted: the page cache is gone, the filesystem's journal
//! is replayed. Kinder than a real card in one way: what was handed to the device counts as kept.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::child::{Heard, Storing};
use super::*;

fn run(program: &str, arguments: &[&Path]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// An image that is mounted, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn mount(image: &Path, on: &Path) -> Option<Self> {
        fs::create_dir_all(on).unwrap();
        run("mount", &[Path::new("-oloop"), image, on]).then(|| Self(on.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[&self.0]);
    }
}

fn rounds() -> u32 {
    let wanted = std::env::var("EDGE_AGENT_TEST_POWER_CUTS");
    wanted.ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(12)
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let cut = dir.path().join("cut");
    let mut random = fastrand::Rng::with_seed(7);
    let mut heard = Heard::default();
    for round in 0..rounds() {
        if round % 6 == 0 {
            fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
            heard = Heard::default();
            let made = run("mkfs.ext4", &[Path::new("-q"), Path::new("-F"), &image]);
            if !made || Mounted::mount(&image, &dir.path().join("try")).is_none() {
                let mut err = io::stderr();
                writeln!(err, "skipped: a power cut needs root, mkfs.ext4 and a loop device")
                    .unwrap();
                return;
            }
        }
        let mounted = Mounted::mount(&image, &dir.path().join("mounted")).unwrap();
        let storing = Storing::start(&mounted.0.join("data"));
        storing.listen(random.u32(1..120), Duration::from_secs(30), &mut heard);
        storing.stop();
        // Everything said so far was said before this copy.
        storing.listen(u32::MAX, Duration::from_millis(1), &mut heard);
        fs::copy(&image, &cut).unwrap();
        // What it says from here on the copy can't know.
        storing.kill(&mut Heard::default());
        drop(mounted);

        fs::rename(&cut, &image).unwrap();
        let mounted = Mounted::mount(&image, &dir.path().join("mounted")).unwrap();
        let store = opened(&mounted.0.join("data"));
        heard.check(&store);
        store.journal.close();
    }
}
