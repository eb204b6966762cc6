//! What a process asked of the filesystem, call by call, as `strace` saw it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The calls that change files or make them durable, and those that say which file is meant.
pub(super) const CALLS: &str = "openat,close,write,pwrite64,fsync,fdatasync,ftruncate,rename,\
                                unlink,mkdir,fcntl,lseek";

/// A file, whatever it is called.
pub(super) type Inode = usize;

/// One call; paths are relative to the recorded folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Write {
        inode: Inode,
        at: usize,
        bytes: Vec<u8>,
    },
    Resize {
        inode: Inode,
        length: usize,
    },
    Sync {
        inode: Inode,
    },
    SyncFolder {
        folder: PathBuf,
    },
    Create {
        path: PathBuf,
        inode: Inode,
    },
    MakeFolder {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// A line on standard output: no call of the store's.
    Said(String),
}

impl std::fmt::Display for Call {
    /// Without the bytes, of which there are many.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write { inode, at, bytes } => write!(f, "{} to {inode} at {at}", bytes.len()),
            Self::Resize { inode, length } => write!(f, "{inode} is {length} long"),
            Self::Sync { inode } => write!(f, "sync of {inode}"),
            Self::SyncFolder { folder } => write!(f, "sync of {}", folder.display()),
            Self::Create { path, inode } => write!(f, "{inode} is {}", path.display()),
            Self::MakeFolder { path } => write!(f, "folder {}", path.display()),
            Self::Rename { from, to } => write!(f, "{} is {}", from.display(), to.display()),
            Self::Remove { path } => write!(f, "{} goes", path.display()),
            Self::Said(line) => f.write_str(line),
        }
    }
}

/// A call begins and is over: what lies between runs beside it, and a power cut finds it half done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Begun(usize),
    Over(usize),
}

/// All that a process did, in order.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) calls: Vec<Call>,
    pub(super) moments: Vec<Moment>,
}

/// What an open descriptor stands for.
#[derive(Debug, Clone)]
enum Open {
    File { inode: Inode, position: usize, append: bool },
    Folder(PathBuf),
    Output,
}

/// Follows names, descriptors and lengths, as the kernel does.
#[derive(Debug)]
struct Reader<'a> {
    root: &'a Path,
    recording: Recording,
    names: BTreeMap<PathBuf, Inode>,
    lengths: Vec<usize>,
    open: BTreeMap<u32, Open>,
    /// By thread: what it began and has not finished, and its number if that is noted already.
    unfinished: BTreeMap<&'a str, (&'a str, Option<usize>)>,
}

impl Recording {
    /// Reads strace's log of a process that worked in `root`, which held these files: each one's
    /// inode is its place in the list.
    pub(super) fn read(log: &str, root: &Path, files: &[(PathBuf, usize)]) -> Self {
        let names = files.iter().enumerate();
        let mut reader = Reader {
            root,
            recording: Self::default(),
            names: names.map(|(inode, (path, _))| (path.clone(), inode)).collect(),
            lengths: files.iter().map(|(_, length)| *length).collect(),
            open: BTreeMap::from([(1, Open::Output)]),
            unfinished: BTreeMap::new(),
        };
        for line in log.lines() {
            let (thread, line) = line.split_once(' ').expect("a thread's number stands first");
            reader.line(thread, line.trim_start());
        }
        reader.recording
    }
}

impl<'a> Reader<'a> {
    fn line(&mut self, thread: &'a str, line: &'a str) {
        if line.starts_with(['+', '-']) {
            return; // the thread's end, a signal
        }
        if let Some(begun) = line.strip_suffix("<unfinished ...>") {
            let number = self.begun(begun);
            self.unfinished.insert(thread, (begun, number));
            return;
        }
        if let Some((_, rest)) = line.split_once(" resumed>") {
            let (begun, number) = self.unfinished.remove(thread).expect("it was begun");
            self.over(begun, number, result(rest));
            return;
        }
        let number = self.begun(line);
        self.over(line, number, result(line));
    }

    /// Notes the calls that take their time. Of the others only the end counts.
    fn begun(&mut self, line: &str) -> Option<usize> {
        let (name, arguments) = parts(line)?;
        let descriptor = arguments.first()?.parse().ok()?;
        let call = match (name, self.open.get_mut(&descriptor)?) {
            ("write", Open::Output) => {
                Call::Said(String::from_utf8_lossy(&bytes(arguments[1])).trim_end().to_owned())
            }
            ("write" | "pwrite64", Open::File { inode, position, append }) => {
                let bytes = bytes(arguments[1]);
                let length = &mut self.lengths[*inode];
                let at = match arguments.get(3) {
                    Some(at) => at.parse().expect("an offset"),
                    None if *append => *length,
                    None => *position,
                };
                *length = at.saturating_add(bytes.len()).max(*length);
                *position = at + bytes.len();
                Call::Write { inode: *inode, at, bytes }
            }
            ("ftruncate", Open::File { inode, .. }) => {
                let length = arguments[1].parse().expect("a length");
                self.lengths[*inode] = length;
                Call::Resize { inode: *inode, length }
            }
            ("fsync" | "fdatasync", Open::File { inode, .. }) => Call::Sync { inode: *inode },
            ("fsync" | "fdatasync", Open::Folder(folder)) => {
                Call::SyncFolder { folder: folder.clone() }
            }
            _ => return None,
        };
        Some(self.begin(call))
    }

    fn begin(&mut self, call: Call) -> usize {
        self.recording.calls.push(call);
        let number = self.recording.calls.len() - 1;
        self.recording.moments.push(Moment::Begun(number));
        number
    }

    fn at_once(&mut self, call: Call) {
        let number = self.begin(call);
        self.recording.moments.push(Moment::Over(number));
    }

    fn over(&mut self, line: &str, number: Option<usize>, result: Option<usize>) {
        if let Some(number) = number {
            assert!(result.is_some(), "it failed: {line:.80}");
            self.recording.moments.push(Moment::Over(number));
            return;
        }
        let (Some((name, arguments)), Some(result)) = (parts(line), result) else { return };
        let descriptor: Option<u32> = arguments.first().and_then(|first| first.parse().ok());
        match name {
            "openat" => self.opened(arguments[1], arguments[2], result),
            "close" => {
                self.open.remove(&descriptor.expect("a descriptor"));
            }
            "fcntl" if arguments[1].starts_with("F_DUPFD") => {
                let copy = descriptor.and_then(|it| self.open.get(&it)).cloned();
                self.open.extend(copy.map(|copy| (number_of(result), copy)));
            }
            "lseek" => {
                if let Some(Open::File { position, .. }) =
                    descriptor.and_then(|it| self.open.get_mut(&it))
                {
                    *position = result;
                }
            }
            "mkdir" => {
                let path = self.inside(arguments[0]);
                path.into_iter().for_each(|path| self.at_once(Call::MakeFolder { path }));
            }
            "unlink" => {
                let Some(path) = self.inside(arguments[0]) else { return };
                self.names.remove(&path);
                self.at_once(Call::Remove { path });
            }
            "rename" => {
                let (from, to) = (self.inside(arguments[0]), self.inside(arguments[1]));
                let (Some(from), Some(to)) = (from, to) else { return };
                let under = |path: &PathBuf, _: &mut Inode| path.starts_with(&from);
                let moved: Vec<_> = self.names.extract_if(.., under).collect();
                let moved =
                    moved.into_iter().map(|(path, inode)| (renamed(&path, &from, &to), inode));
                self.names.extend(moved);
                self.at_once(Call::Rename { from, to });
            }
            _ => {}
        }
    }

    fn opened(&mut self, path: &str, flags: &str, descriptor: usize) {
        let descriptor = number_of(descriptor);
        if bytes(path) == b"/proc/self/fd/1" {
            self.open.insert(descriptor, Open::Output);
            return;
        }
        // A number may have been another file's that was opened before the recording began.
        self.open.remove(&descriptor);
        let Some(path) = self.inside(path) else { return };
        let has = |flag| flags.split('|').any(|it| it == flag);
        let inode = match self.names.get(&path) {
            Some(inode) => *inode,
            None if has("O_CREAT") => {
                let inode = self.lengths.len();
                self.lengths.push(0);
                self.names.insert(path.clone(), inode);
                self.at_once(Call::Create { path, inode });
                inode
            }
            None => {
                self.open.insert(descriptor, Open::Folder(path));
                return;
            }
        };
        if has("O_TRUNC") && self.lengths[inode] > 0 {
            self.lengths[inode] = 0;
            self.at_once(Call::Resize { inode, length: 0 });
        }
        self.open.insert(descriptor, Open::File { inode, position: 0, append: has("O_APPEND") });
    }

    /// The path that this literal says, if it lies in the recorded folder.
    fn inside(&self, literal: &str) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8(bytes(literal)).ok()?);
        path.strip_prefix(self.root).ok().map(Path::to_owned)
    }
}

/// What `path` is called once `from` is called `to`: a file, or a folder with all in it.
pub(super) fn renamed(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    }
}

fn number_of(result: usize) -> u32 {
    u32::try_from(result).expect("a descriptor")
}

/// The call's name and arguments. Strings are in hex: no comma or bracket is one of theirs.
fn parts(line: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = line.split_once('(')?;
    let arguments = rest.split(')').next()?;
    Some((name, arguments.split(',').map(str::trim).collect()))
}

/// What it returned; none where it failed.
fn result(line: &str) -> Option<usize> {
    line.rsplit_once(" = ")?.1.split(' ').next()?.parse().ok()
}

/// The bytes of a literal such as `"\x61\x62"`.
fn bytes(literal: &str) -> Vec<u8> {
    let hex = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let hex = hex.unwrap_or_else(|| panic!("cut short, or no string: {literal:.40}"));
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hex digits");
    hex.split("\\x").skip(1).map(byte).collect()
}

#[test]
fn calls_of_two_threads_are_told_apart_and_found_their_files() {
    let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (db, new) = (hex("/d/db"), hex("/d/new"));
    let log = format!(
        "1 openat(AT_FDCWD, \"{db}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3\n\
         2 pwrite64(3, \"{}\", 2, 7 <unfinished ...>\n\
         1 openat(AT_FDCWD, \"{}\", O_RDONLY|O_CLOEXEC) = 4\n\
         1 fsync(4)                          = 0\n\
         2 <... pwrite64 resumed>)             = 2\n\
         1 rename(\"{db}\", \"{new}\") = 0\n\
         1 write(1, \"{}\", 3) = 3\n\
         1 openat(AT_FDCWD, \"{db}\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
         2 +++ exited with 0 +++\n",
        hex("ab"),
        hex("/d"),
        hex("hi\n"),
    );
    let recording = Recording::read(&log, Path::new("/d"), &[("db".into(), 5)]);
    let calls = [
        Call::Write { inode: 0, at: 7, bytes: b"ab".to_vec() },
        Call::SyncFolder { folder: PathBuf::new() },
        Call::Rename { from: "db".into(), to: "new".into() },
        Call::Said("hi".to_owned()),
    ];
    assert_eq!(recording.calls, calls);
    use Moment::{Begun, Over};
    let moments = [Begun(0), Begun(1), Over(1), Over(0), Begun(2), Over(2), Begun(3), Over(3)];
    assert_eq!(recording.moments, moments);
}
