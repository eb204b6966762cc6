//! What a disk holds when its power is cut, given all that was asked of it before.
//!
//! What a sync covered is there. Of every later write each sector is there or not, by itself: the
//! disk chooses. Of names, those that a sync of their folder covered are there, and of the later
//! ones so many as the filesystem's journal got to, in their order. That is harsher than ext4 in
//! two ways: a file's own sync makes no name durable, and a sync covers nothing but what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::recording::{Call, Inode, Moment, Recording, renamed};

/// A folder's files by their paths; `None` for a folder in it.
pub(super) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What the page cache writes at once.
const PAGE: usize = 4096;

/// How a disk chooses what it keeps of what no sync covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nothing.
    Nothing,
    /// Everything up to a moment, the write of that moment torn between two sectors.
    Torn { sector: usize },
    /// Of each sector the content of any moment.
    Scattered { sector: usize },
    /// Of each page the content after any write of some.
    Picked,
}

impl Manner {
    pub(super) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Torn { sector: 512 },
        Self::Torn { sector: 4096 },
        Self::Scattered { sector: 512 },
        Self::Scattered { sector: 4096 },
        Self::Picked,
    ];
}

/// What names do: a file gets one, another one, none.
#[derive(Debug, Clone)]
enum Naming {
    File(PathBuf, Inode),
    Folder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// A write, or a change of length where there are no bytes.
#[derive(Debug, Clone)]
struct Change {
    call: usize,
    over: bool,
    at: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A disk in the middle of its work.
#[derive(Debug, Default)]
pub(super) struct Medium {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, Option<Inode>>,
    unnamed: Vec<Naming>,
    /// Syncs that are under way, and what they will have covered.
    covering: BTreeMap<usize, BTreeSet<usize>>,
    /// Syncs of files that lie: they return and do nothing.
    pub(super) lies: bool,
    /// What the process said so far.
    pub(super) said: Vec<String>,
}

impl Medium {
    /// A disk that holds `image` and nothing else; inodes count as [`files`] does.
    pub(super) fn holding(image: &Image) -> Self {
        let mut medium = Self::default();
        for (path, content) in image {
            let inode = content.as_ref().map(|bytes| {
                medium.contents.push(Content { durable: bytes.clone(), pending: Vec::new() });
                medium.contents.len() - 1
            });
            medium.names.insert(path.clone(), inode);
        }
        medium
    }

    /// Goes through a recording up to its moment number `until`.
    pub(super) fn replay(&mut self, recording: &Recording, until: usize) {
        for moment in &recording.moments[..until] {
            match moment {
                Moment::Begun(number) => self.begun(*number, &recording.calls[*number]),
                Moment::Over(number) => self.over(*number, &recording.calls[*number]),
            }
        }
    }

    fn begun(&mut self, number: usize, call: &Call) {
        match call {
            Call::Write { inode, at, bytes } => {
                let change = Change { call: number, over: false, at: *at, bytes: bytes.clone() };
                self.contents[*inode].pending.push(change);
            }
            Call::Resize { inode, length } => {
                let change = Change { call: number, over: false, at: *length, bytes: Vec::new() };
                self.contents[*inode].pending.push(change);
            }
            Call::Sync { inode } => {
                let over = self.contents[*inode].pending.iter().filter(|change| change.over);
                self.covering.insert(number, over.map(|change| change.call).collect());
            }
            Call::Create { path, inode } => {
                self.contents.resize(inode + 1, Content::default());
                self.unnamed.push(Naming::File(path.clone(), *inode));
            }
            Call::MakeFolder { path } => self.unnamed.push(Naming::Folder(path.clone())),
            Call::Rename { from, to } => {
                self.unnamed.push(Naming::Rename(from.clone(), to.clone()));
            }
            Call::Remove { path } => self.unnamed.push(Naming::Remove(path.clone())),
            // Said after the sync that it rests on, so from here on it is to be kept.
            Call::Said(line) => self.said.push(line.clone()),
            Call::SyncFolder { .. } => {}
        }
    }

    fn over(&mut self, number: usize, call: &Call) {
        match call {
            Call::Write { inode, .. } | Call::Resize { inode, .. } => {
                let pending = self.contents[*inode].pending.iter_mut();
                pending.filter(|change| change.call == number).for_each(|it| it.over = true);
            }
            Call::Sync { inode } => {
                let covered = self.covering.remove(&number).unwrap_or_default();
                if !self.lies {
                    let Content { durable, pending } = &mut self.contents[*inode];
                    let now = pending.extract_if(.., |change| covered.contains(&change.call));
                    now.for_each(|change| change.apply(durable));
                }
            }
            Call::SyncFolder { folder } => {
                let last = self.unnamed.iter().rposition(|naming| naming.folder() == folder);
                let now: Vec<Naming> = self.unnamed.drain(..last.map_or(0, |it| it + 1)).collect();
                now.into_iter().for_each(|naming| naming.apply(&mut self.names));
            }
            Call::Create { .. }
            | Call::MakeFolder { .. }
            | Call::Rename { .. }
            | Call::Remove { .. }
            | Call::Said(_) => {}
        }
    }

    /// The power is cut: what is there afterwards.
    pub(super) fn cut(&self, manner: Manner, random: &mut fastrand::Rng) -> Image {
        let journalled = match manner {
            Manner::Nothing => 0,
            Manner::Torn { .. } | Manner::Scattered { .. } | Manner::Picked => {
                random.usize(..=self.unnamed.len())
            }
        };
        let mut names = self.names.clone();
        self.unnamed[..journalled].iter().for_each(|naming| naming.clone().apply(&mut names));
        // Of the calls up to this one a disk that keeps the order has everything.
        let calls = self.contents.iter().flat_map(|it| &it.pending).map(|change| change.call);
        let calls: Vec<usize> = calls.collect();
        let last = random.choice(&calls).copied().unwrap_or(0);
        let mut content = |inode: Inode| self.contents[inode].cut(manner, last, random);
        names.into_iter().map(|(path, inode)| (path, inode.map(&mut content))).collect()
    }
}

impl Content {
    fn cut(&self, manner: Manner, last: usize, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match manner {
            Manner::Nothing => {}
            Manner::Torn { sector } => {
                for change in self.pending.iter().filter(|change| change.call < last) {
                    change.apply(&mut bytes);
                }
                if let Some(torn) = self.pending.iter().find(|change| change.call == last) {
                    torn.tear(sector, &mut bytes, random);
                }
            }
            Manner::Picked => {
                let picked: Vec<bool> = self.pending.iter().map(|_| random.bool()).collect();
                self.choose(PAGE, &mut bytes, |of_sector| {
                    of_sector.iter().rposition(|it| picked[*it]).map_or(0, |it| it + 1)
                });
            }
            Manner::Scattered { sector } => {
                // How eager the disk is, this time.
                let eager = [13, 128, 243][random.usize(..3)];
                self.choose(sector, &mut bytes, |of_sector| match random.u8(..) < eager {
                    true => of_sector.len(),
                    false => random.usize(..=of_sector.len()),
                });
            }
        }
        bytes
    }

    /// Brings each sector to one of its contents since the last sync: `count` says, of the changes
    /// that touch it, how many it has seen.
    fn choose(&self, sector: usize, bytes: &mut Vec<u8>, mut count: impl FnMut(&[usize]) -> usize) {
        let mut touched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, change) in self.pending.iter().enumerate() {
            let last = (change.at + change.bytes.len().max(1) - 1) / sector;
            (change.at / sector..=last).for_each(|it| touched.entry(it).or_default().push(number));
        }
        for (place, numbers) in touched {
            for number in &numbers[..count(&numbers)] {
                self.pending[*number].within(place * sector..(place + 1) * sector).apply(bytes);
            }
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        let end = self.at + self.bytes.len();
        if self.bytes.is_empty() || content.len() < end {
            content.resize(end, 0);
        }
        content[self.at..end].copy_from_slice(&self.bytes);
    }

    /// What of it lies in this range.
    fn within(&self, range: Range<usize>) -> Self {
        let from = range.start.max(self.at);
        let to = range.end.min(self.at + self.bytes.len()).max(from);
        Self { at: from, bytes: self.bytes[from - self.at..to - self.at].to_vec(), ..*self }
    }

    /// Applies it up to the end of some sector.
    fn tear(&self, sector: usize, content: &mut Vec<u8>, random: &mut fastrand::Rng) {
        let first = self.at / sector;
        let sectors = (self.at + self.bytes.len()).div_ceil(sector) - first;
        match random.usize(..=sectors) {
            0 => {}
            kept => self.within(0..(first + kept) * sector).apply(content),
        }
    }
}

impl Naming {
    fn folder(&self) -> &Path {
        let (Self::File(path, _) | Self::Folder(path) | Self::Rename(_, path) | Self::Remove(path)) =
            self;
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, Option<Inode>>) {
        match self {
            Self::File(path, inode) => {
                names.insert(path, Some(inode));
            }
            Self::Folder(path) => {
                names.insert(path, None);
            }
            Self::Rename(from, to) => {
                let under = |path: &PathBuf, _: &mut Option<Inode>| path.starts_with(&from);
                let moved: Vec<_> = names.extract_if(.., under).collect();
                names.extend(moved.into_iter().map(|(path, it)| (renamed(&path, &from, &to), it)));
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

/// The files of an image and their lengths, in the order of their inodes.
pub(super) fn files(image: &Image) -> Vec<(PathBuf, usize)> {
    let files = image.iter().filter_map(|(path, content)| Some((path, content.as_ref()?)));
    files.map(|(path, bytes)| (path.clone(), bytes.len())).collect()
}

/// What the folder `root` holds.
pub(super) fn image(root: &Path) -> Image {
    let mut image = Image::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                image.insert(path.clone(), None);
                folders.push(path);
            } else {
                image.insert(path, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
    image
}

/// Lays the image out in the empty folder `root`.
pub(super) fn lay_out(image: &Image, root: &Path) {
    for (path, content) in image {
        match content {
            None => fs::create_dir_all(root.join(path)).unwrap(),
            Some(bytes) => fs::write(root.join(path), bytes).unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(calls: Vec<Call>) -> Recording {
        let moments = (0..calls.len()).flat_map(|it| [Moment::Begun(it), Moment::Over(it)]);
        Recording { moments: moments.collect(), calls }
    }

    fn write(at: usize, bytes: &[u8]) -> Call {
        Call::Write { inode: 0, at, bytes: bytes.to_vec() }
    }

    fn cuts(calls: Vec<Call>, manner: Manner) -> BTreeSet<Image> {
        let recording = recording(calls);
        let mut medium = Medium::default();
        medium.replay(&recording, recording.moments.len());
        (0..200).map(|seed| medium.cut(manner, &mut fastrand::Rng::with_seed(seed))).collect()
    }

    #[test]
    fn what_a_sync_covered_is_there_and_of_the_rest_whatever_the_disk_chooses() {
        let create = Call::Create { path: "f".into(), inode: 0 };
        let synced = [create, write(0, b"old"), Call::Sync { inode: 0 }];
        let named = Call::SyncFolder { folder: PathBuf::new() };
        let later = [write(1, b"N"), write(2, b"EW")];
        let calls: Vec<Call> = synced.into_iter().chain([named]).chain(later).collect();
        let texts = |manner| -> BTreeSet<String> {
            let images = cuts(calls.clone(), manner).into_iter();
            let text = |image: Image| String::from_utf8(image[Path::new("f")].clone().unwrap());
            images.map(|image| text(image).unwrap()).collect()
        };
        assert_eq!(texts(Manner::Nothing), BTreeSet::from(["old".to_owned()]));
        let any = BTreeSet::from(["old", "oNd", "oNEW"].map(str::to_owned));
        assert_eq!(texts(Manner::Picked), any);
        assert_eq!(texts(Manner::Torn { sector: 512 }), any);
        let scattered = ["old", "oNd", "oNE", "oldW", "oNdW", "oNEW"].map(str::to_owned);
        assert_eq!(texts(Manner::Scattered { sector: 3 }), BTreeSet::from(scattered));
    }

    #[test]
    fn names_come_in_their_order_and_stay_once_their_folder_was_synced() {
        let create = Call::Create { path: "draft".into(), inode: 0 };
        let rename = Call::Rename { from: "draft".into(), to: "final".into() };
        let names = |calls| -> BTreeSet<Vec<PathBuf>> {
            let images = cuts(calls, Manner::Picked).into_iter();
            images.map(|image| image.into_keys().collect()).collect()
        };
        let [none, draft, last] = [vec![], vec!["draft".into()], vec!["final".into()]];
        let all = names(vec![create.clone(), rename.clone()]);
        assert_eq!(all, BTreeSet::from([none, draft, last.clone()]));
        let sync = Call::SyncFolder { folder: PathBuf::new() };
        assert_eq!(names(vec![create, rename, sync]), BTreeSet::from([last]));
    }
}
