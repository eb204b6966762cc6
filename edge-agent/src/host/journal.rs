//! The log as the journal's own: a line reads there as it does elsewhere, and each of its fields is a
//! field there too, with `EDGE_` before its name. `journalctl EDGE_OUTLET=plug-07` shows one outlet's
//! lines. It must never make the agent wait: it only makes datagrams, and [`Log`] sends them.

use std::env;
use std::fmt::{Debug, Write as _};
use std::io::{self, Write, stderr};
use std::os::unix::net::UnixDatagram;

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::log::{self, Log};

/// Where the journal takes datagrams (systemd's native journal protocol).
const SOCKET: &str = "/run/systemd/journal/socket";
/// A longer value is cut: a datagram has to fit the socket's buffer.
const MAX_VALUE_BYTES: usize = 8 * 1_024;

/// The way to the journal: a datagram for each write.
#[derive(Debug)]
pub struct Socket(UnixDatagram);

/// The journal, if standard error leads there: a person who redirects it gets text.
#[must_use]
pub fn behind_stderr() -> Option<Socket> {
    let stream = env::var("JOURNAL_STREAM").ok()?;
    let error = fstat(stderr()).ok()?;
    let leads_there = stream == format!("{}:{}", error.st_dev, error.st_ino);
    leads_there.then(|| Socket::open(SOCKET).ok()).flatten()
}

impl Socket {
    fn open(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(socket))
    }
}

impl Write for Socket {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.0.send(datagram)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The datagram that tells of so many lines that were left out.
#[must_use]
pub fn left_out(count: u64) -> Vec<u8> {
    let text = String::from_utf8(log::left_out(count)).unwrap_or_default();
    let mut datagram = Vec::new();
    finish(&mut datagram, text.trim_end(), Level::WARN, module_path!());
    datagram
}

/// Turns lines into the journal's entries.
#[derive(Debug)]
pub struct Journal {
    log: Log,
}

impl Journal {
    /// Entries for `log`, which ends up in a [`Socket`].
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry::default();
        event.record(&mut entry);
        let Entry { message, fields, mut datagram } = entry;
        finish(&mut datagram, &(message + &fields), *metadata.level(), metadata.target());
        // It never fails: what finds no room is counted.
        let _ = self.log.clone().write_all(&datagram);
    }
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// One line of the log on its way to the journal.
#[derive(Default)]
struct Entry {
    message: String,
    fields: String,
    datagram: Vec<u8>,
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            // Writing to a string can't fail.
            let _ = write!(self.fields, " {}={value}", field.name());
            let name = field.name().to_ascii_uppercase().replace('.', "_");
            put(&mut self.datagram, &format!("EDGE_{name}"), value);
        }
    }
}

/// What each entry has beside the fields of its own.
fn finish(datagram: &mut Vec<u8>, message: &str, level: Level, target: &str) {
    put(datagram, "MESSAGE", message);
    put(datagram, "PRIORITY", priority(level));
    put(datagram, "SYSLOG_IDENTIFIER", "edge-agent");
    put(datagram, "TARGET", target);
}

/// A field in the journal's form for values of any content: name, length, value.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(MAX_VALUE_BYTES)];
    datagram.extend_from_slice(name.as_bytes());
    datagram.push(b'\n');
    datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What the journal is sent while `act` runs.
    fn sent(act: impl Fn()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let log = Log::start(Socket::open(path.to_str().unwrap()).unwrap(), left_out).unwrap();
        let lines = tracing_subscriber::registry().with(Journal::new(log.clone()));
        tracing::subscriber::with_default(lines, act);
        log.finish();
        let mut datagram = [0; 65_536];
        std::iter::from_fn(|| journal.recv(&mut datagram).ok().map(|n| datagram[..n].to_vec()))
            .map(|datagram| readable(&datagram))
            .collect()
    }

    /// `NAME=value` lines, as `journalctl --output=export` has them.
    fn readable(mut datagram: &[u8]) -> String {
        let mut lines = String::new();
        while let Some(end) = datagram.iter().position(|byte| *byte == b'\n') {
            let (name, rest) = datagram.split_at(end);
            let length = u64::from_le_bytes(rest[1..9].try_into().unwrap());
            let (value, rest) = rest[9..].split_at(usize::try_from(length).unwrap());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            writeln!(lines, "{}={}", text(name), text(value)).unwrap();
            datagram = &rest[1..];
        }
        lines
    }

    #[test]
    fn a_line_reads_in_the_journal_as_elsewhere_and_its_fields_can_be_searched() {
        let lines = sent(|| {
            tracing::warn!(outlet = "plug-07", tries = 3, reason = "no\nroute", "out of reach");
        });
        let target = module_path!();
        assert_eq!(
            lines,
            [format!(
                "EDGE_OUTLET=plug-07\nEDGE_TRIES=3\nEDGE_REASON=no\nroute\n\
                 MESSAGE=out of reach outlet=plug-07 tries=3 reason=no\nroute\n\
                 PRIORITY=4\nSYSLOG_IDENTIFIER=edge-agent\nTARGET={target}\n"
            )]
        );
    }

    #[test]
    fn a_long_line_is_cut_between_letters() {
        let lines = sent(|| tracing::info!(text = "ä".repeat(10_000), "long"));
        assert!(lines[0].starts_with(&format!("EDGE_TEXT={}\n", "ä".repeat(MAX_VALUE_BYTES / 2))));
    }

    #[test]
    fn what_was_left_out_is_told_as_an_entry() {
        let entry = readable(&left_out(3));
        assert!(entry.starts_with("MESSAGE=3 lines of the log were left out"), "{entry}");
        assert!(entry.contains("PRIORITY=4\n"), "{entry}");
    }
}
