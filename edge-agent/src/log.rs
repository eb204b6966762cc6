//! Where the agent's words go: the journal where systemd runs it, else standard error.
//!
//! In the journal a line reads as it does elsewhere, and each of its fields is a field there too, with
//! `EDGE_` before its name: `journalctl EDGE_OUTLET=plug-07` shows one outlet's lines. It must never make
//! the agent wait: a journal that does not take a line at once does not get it.

use std::env;
use std::fmt::{Debug, Write as _};
use std::io::{self, IsTerminal as _, stderr};
use std::os::unix::net::UnixDatagram;

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Where the journal takes datagrams (systemd's native journal protocol).
const SOCKET: &str = "/run/systemd/journal/socket";
/// A longer value is cut: a datagram has to fit the socket's buffer.
const MAX_VALUE_BYTES: usize = 8 * 1_024;

/// Starts logging; `RUST_LOG` chooses how much.
pub fn start() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sled=warn"));
    let log = tracing_subscriber::registry().with(filter);
    if is_journal().unwrap_or(false)
        && let Ok(journal) = Journal::open(SOCKET)
    {
        log.with(journal).init();
    } else {
        // In a file, escape codes would only hide words from a search.
        let ansi = stderr().is_terminal();
        let text = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(stderr);
        log.with(text).init();
    }
}

/// Whether standard error leads to the journal: a person who redirects it gets text.
fn is_journal() -> Option<bool> {
    let stream = env::var("JOURNAL_STREAM").ok()?;
    let error = fstat(stderr()).ok()?;
    Some(stream == format!("{}:{}", error.st_dev, error.st_ino))
}

/// The line to the journal.
struct Journal(UnixDatagram);

impl Journal {
    fn open(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry::default();
        event.record(&mut entry);
        let Entry { message, fields, mut datagram } = entry;
        put(&mut datagram, "MESSAGE", &(message + &fields));
        put(&mut datagram, "PRIORITY", priority(*metadata.level()));
        put(&mut datagram, "SYSLOG_IDENTIFIER", "edge-agent");
        put(&mut datagram, "TARGET", metadata.target());
        // Nobody could be told.
        let _ = self.0.send(&datagram);
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
    use super::*;

    /// What the journal is sent while `act` runs.
    fn sent(act: impl Fn()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let layer = Journal::open(path.to_str().unwrap()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
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
    fn a_journal_that_takes_nothing_makes_nobody_wait() {
        // The socket's queue takes some ten datagrams; one that blocked would stop the test.
        let lines = sent(|| (0..10_000).for_each(|n| tracing::info!(n, "and on")));
        assert!(!lines.is_empty() && lines.len() < 10_000, "{}", lines.len());
    }
}
