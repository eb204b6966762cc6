//! Whatever happens in whatever order, every event arrives, in order, at least once.

use super::*;

/// What the broker and the disk have not answered yet, of one connection.
#[derive(Default)]
struct World {
    out: VecDeque<u64>,
    reading: VecDeque<(RangeInclusive<u64>, usize)>,
    /// What the broker took, in its order.
    took: Vec<u64>,
    /// Where in it this connection began.
    since: usize,
}

impl World {
    fn advance(&mut self, rig: &mut Rig) {
        for wish in rig.outbox.advance(rig.now) {
            match wish {
                Wish::Publish { seq, payload } => {
                    assert!(payload[..8] == seq.to_be_bytes(), "{seq} as it was written");
                    self.out.push_back(seq);
                    self.took.push(seq);
                }
                Wish::Load { seqs, max_bytes } => self.reading.push_back((seqs, max_bytes)),
            }
        }
        assert!(self.out.len() <= 2 * WINDOW, "as many as a link takes");
    }

    fn read(&mut self, rig: &mut Rig) {
        if let Some((seqs, max_bytes)) = self.reading.pop_front() {
            let mut turn = Turn::default();
            rig.answer(&seqs, max_bytes, &mut turn);
            assert_eq!((turn.lost, turn.gone), (vec![], vec![]), "nothing was ever deleted");
        }
    }

    fn deliver(&mut self, rig: &mut Rig, which: usize) {
        if !self.out.is_empty() {
            let seq = self.out.remove(which % self.out.len()).unwrap();
            rig.deliver([seq]);
        }
    }

    fn reconnect(&mut self, rig: &mut Rig) {
        self.out.clear();
        self.check();
        self.since = self.took.len();
        rig.outbox.down();
        rig.outbox.up();
    }

    /// Each connection goes on where all before it is acknowledged, and skips nothing.
    fn check(&self) {
        for pair in self.took[self.since..].windows(2) {
            assert!(pair[1] <= pair[0] + 1, "{pair:?} skips");
        }
    }
}

fn live(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut rig, mut world) = (Rig::new(), World::default());
    for _ in 0..600 {
        match chance.u32(0..100) {
            0..30 => rig.push(chance.u64(1..6), *chance.choice(&[50, 900, 20_000]).unwrap()),
            30..60 => world.deliver(&mut rig, 0),
            60..75 => world.deliver(&mut rig, chance.usize(..)),
            75..88 => world.read(&mut rig),
            88..92 => world.reconnect(&mut rig),
            92..94 => {
                if let Some(seq) = world.out.pop_front() {
                    rig.outbox.refused(seq, 0x97, rig.now);
                }
            }
            94..96 => rig.now = rig.now + chance.u64(0..70_000),
            96..98 => rig.flush(),
            _ => {
                // A crash: what was asked for and answered is forgotten.
                rig = rig.restarted();
                world.reading.clear();
                world.reconnect(&mut rig);
            }
        }
        world.advance(&mut rig);
    }
    world.reconnect(&mut rig);
    let last = rig.outbox.last_seq();
    while rig.outbox.acked < last {
        let before = (world.took.len(), rig.reads, rig.outbox.acked);
        world.advance(&mut rig);
        world.read(&mut rig);
        world.deliver(&mut rig, 0);
        assert_ne!(before, (world.took.len(), rig.reads, rig.outbox.acked), "it is stuck");
    }
    world.check();
    let taken: BTreeSet<u64> = world.took.into_iter().collect();
    assert_eq!(taken, (1..=last).collect());
}

#[test]
fn every_event_arrives_in_order_whatever_happens() {
    for seed in 0..40 {
        let lived = std::panic::catch_unwind(|| live(seed));
        assert!(lived.is_ok(), "seed {seed}");
    }
}
