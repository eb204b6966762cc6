//! The outbox against a disk in memory.

mod chance;
mod out;
mod resend;
mod restart;

use std::collections::BTreeMap;

use super::*;

/// An outbox, its disk and what it published.
pub(super) struct Rig {
    outbox: Outbox,
    disk: BTreeMap<u64, Vec<u8>>,
    marks: Marks,
    now: BootMs,
    /// How often the disk was read.
    reads: usize,
}

/// What one turn led to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turn {
    published: Vec<u64>,
    lost: Vec<(u64, u64)>,
    gone: Vec<(u64, u64)>,
}

fn payload(seq: u64, bytes: usize) -> Vec<u8> {
    let mut payload = seq.to_be_bytes().to_vec();
    payload.resize(bytes.max(8), 7);
    payload
}

fn cause() -> CommandId {
    "c".parse().unwrap()
}

impl Rig {
    fn new() -> Self {
        Self::recovered(BTreeMap::new(), Marks::default())
    }

    fn recovered(disk: BTreeMap<u64, Vec<u8>>, marks: Marks) -> Self {
        let size = |(seq, value): (&u64, &Vec<u8>)| (*seq, u32::try_from(value.len()).unwrap());
        let events: Vec<_> = disk.iter().map(size).collect();
        let outbox = Outbox::recovered(marks.clone(), &events, 0, 0);
        Self { outbox, disk, marks, now: BootMs(0), reads: 0 }
    }

    /// The agent dies; what was written stays.
    fn restarted(self) -> Self {
        Self::recovered(self.disk, self.marks)
    }

    /// Pushes `count` events, with the marks in the same batch.
    fn push(&mut self, count: u64, bytes: usize) {
        for _ in 0..count {
            let seq = self.outbox.next_seq();
            let write = self.outbox.push(seq, payload(seq, bytes), true);
            self.write(write);
        }
        self.flush();
    }

    fn flush(&mut self) {
        let writes = self.outbox.marks();
        assert!(writes.len() <= DELETES_AT_ONCE + 256);
        writes.into_iter().for_each(|write| self.write(write));
    }

    fn write(&mut self, write: Write) {
        let seq = |key: &[u8]| {
            let (kind, name) = Kind::of(key).unwrap();
            (kind == Kind::Event).then(|| u64::from_be_bytes(name.try_into().unwrap()))
        };
        match write {
            Write::Put { key, value } => match seq(&key) {
                Some(seq) => {
                    self.disk.insert(seq, value);
                }
                None => self.marks = record::read(&value).unwrap(),
            },
            Write::Delete { key } => {
                self.disk.remove(&seq(&key).unwrap());
            }
        }
    }

    /// Lets everything go out that may, reading the disk as it is asked for.
    fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        loop {
            let mut loads = Vec::new();
            for wish in self.outbox.advance(self.now) {
                match wish {
                    Wish::Publish { seq, payload } => {
                        assert_eq!(payload[..8], seq.to_be_bytes(), "published as it was written");
                        turn.published.push(seq);
                    }
                    Wish::Load { seqs, max_bytes } => loads.push((seqs, max_bytes)),
                }
            }
            if loads.is_empty() {
                return turn;
            }
            for (seqs, max_bytes) in loads {
                self.answer(&seqs, max_bytes, &mut turn);
            }
        }
    }

    fn answer(&mut self, seqs: &RangeInclusive<u64>, max_bytes: usize, turn: &mut Turn) {
        self.reads += 1;
        let (rows, through) = self.read(seqs, max_bytes);
        let (lost, gone) = self.outbox.loaded(*seqs.start(), through, rows);
        for (from, to) in lost {
            let write = self.outbox.replace(from, to, payload(from, 9));
            self.write(write);
            turn.lost.push((from, to));
        }
        turn.gone.extend(gone.iter().map(|gone| (gone.from, gone.to)));
    }

    fn read(&self, seqs: &RangeInclusive<u64>, max_bytes: usize) -> (Vec<(u64, Vec<u8>)>, u64) {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (&seq, value) in self.disk.range(seqs.clone()) {
            bytes += value.len();
            if bytes > max_bytes && !rows.is_empty() {
                let (through, _) = *rows.last().unwrap();
                return (rows, through);
            }
            rows.push((seq, value.clone()));
        }
        (rows, *seqs.end())
    }

    fn deliver(&mut self, seqs: impl IntoIterator<Item = u64>) {
        seqs.into_iter().for_each(|seq| self.outbox.delivered(seq, 0));
    }

    /// Delivers everything, in order. Returns what went out.
    fn drain(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let turn = self.turn();
            if turn.published.is_empty() {
                return all;
            }
            self.deliver(turn.published.iter().copied());
            all.extend(turn.published);
        }
    }
}

#[test]
fn numbers_are_never_given_twice_though_the_marks_are_gone() {
    let outbox = Outbox::recovered(Marks::default(), &[], 7, 0);
    assert_eq!((outbox.next_seq(), outbox.missing.len()), (8, 0));
    let mut outbox = Outbox::recovered(Marks::default(), &[(3, 10), (4, 10)], 7, 0);
    assert_eq!((outbox.next_seq(), outbox.take_missing()), (8, vec![(5, 7)]));
}
