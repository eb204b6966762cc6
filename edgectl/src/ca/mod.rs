//! A certificate authority for a small site: ECDSA P-256, a handful of files, no server.
//!
//! It signs four kinds of certificate. A node's carries the node id as its common name and
//! proves a client; a broker's carries its host names and proves a server; the control plane's
//! is a client's too, with the one common name that no node can get, and so is an operator's, with
//! a prefix that no node can get. The authority's key is never written but by [`Authority::init`], never printed, and signs nothing that outlives
//! its own certificate.

mod files;
mod issue;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{Issuer, KeyPair};

pub use files::{write_certificate, write_issued};
pub use issue::requested_node;

/// The common name of the control plane's certificate; no node may be called so, since a
/// broker gives this name every right.
pub const CONTROL_PLANE: &str = "control-plane";

/// What an operator's common name begins with; no node's may, since a broker tells their rights
/// apart by it.
pub const OPERATOR_PREFIX: &str = "operator-";

/// How long a new authority is valid: longer than a node stands in a cupboard.
pub const AUTHORITY_DAYS: u32 = 3_650;

/// How long a certificate is valid unless said otherwise: about two years, as others use.
pub const ISSUED_DAYS: u32 = 825;

/// A certificate is valid from a day before it is made, since a Pi without a battery clock
/// may run behind.
const BACKDATED: Duration = Duration::from_hours(24);

/// An authority, ready to sign.
pub struct Authority {
    cert_pem: String,
    key_pem: String,
    /// Milliseconds since the Unix epoch; nothing signed may be valid for longer.
    not_after_ms: u64,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority's certificate: what the others verify with.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// When the authority's own certificate ends, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("not_after_ms", &self.not_after_ms)
            .finish_non_exhaustive()
    }
}

/// A certificate for a key that stayed where it was made.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate.
    pub cert_pem: String,
    /// When the certificate ends, in milliseconds since the Unix epoch.
    pub not_after_ms: u64,
}

/// A certificate and the key that was made for it.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
    /// When the certificate ends, in milliseconds since the Unix epoch.
    pub not_after_ms: u64,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("not_after_ms", &self.not_after_ms).finish_non_exhaustive()
    }
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub not_before: SystemTime,
    /// The last instant.
    pub not_after: SystemTime,
}

impl Validity {
    /// From a day ago until `days` from now.
    ///
    /// # Errors
    /// [`Error::Validity`] when `days` is 0 or leads past what a certificate can express.
    #[expect(clippy::disallowed_methods, reason = "a certificate is dated by the wall clock")]
    pub fn days(days: u32) -> Result<Self, Error> {
        let now = SystemTime::now();
        let length = Duration::from_hours(24) * days;
        let not_after = now.checked_add(length).filter(|_| (1..=36_500).contains(&days));
        let not_after = not_after.ok_or(Error::Validity { days })?;
        Ok(Self { not_before: now - BACKDATED, not_after })
    }
}

/// What went wrong, and with which file or name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that must not be overwritten is there already.
    #[error(
        "{path} is there already and is never overwritten: move it away or name another folder"
    )]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The folder holds no authority.
    #[error("{path} is not there: make the authority first, with `edgectl ca init`")]
    NoAuthority {
        /// Which file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("can't write {path}: {source}")]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The authority's files can't be used.
    #[error("{path} is not a usable authority: {reason}")]
    BadAuthority {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate request can't be used.
    #[error("the certificate request can't be signed: {reason}")]
    BadRequest {
        /// Why.
        reason: String,
    },
    /// A broker's host is neither a DNS name nor an IP address.
    #[error(
        "{host:?} is neither a DNS name nor an IP address: give the bare host, no scheme, no port"
    )]
    BadHost {
        /// What was given.
        host: String,
    },
    /// A broker's certificate without a host would prove nothing.
    #[error("a broker's certificate needs at least one host name or address")]
    NoHost,
    /// A node wanted the control plane's name, or an operator's.
    #[error(
        "no node may be called {CONTROL_PLANE:?} or {OPERATOR_PREFIX:?} and more: a broker gives such names other rights"
    )]
    ReservedName,
    /// An operator's name would make no common name.
    #[error(
        "an operator's name is letters, digits, '.', '_' and '-', at most 50 of them, not {name:?}"
    )]
    BadOperator {
        /// What was given.
        name: String,
    },
    /// The validity is no span of time that a certificate can have.
    #[error("a certificate is valid for 1 to 36500 days, not {days}")]
    Validity {
        /// What was asked.
        days: u32,
    },
    /// A certificate would be valid for longer than the authority that signs it.
    #[error(
        "the certificate would outlive its authority: ask for fewer days or renew the authority"
    )]
    OutlivesAuthority,
    /// The library refused.
    #[error("can't {operation}: {source}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// The system gave no random bytes for a serial number.
    #[error("the system gives no random bytes")]
    NoRandomness,
}
