//! Who this node is, as files: the key that is made here and never leaves, the request to sign it,
//! the certificate that comes back (contract, section 8).
//!
//! A key is never overwritten, by nobody. Every file is written whole or not at all, and only the
//! service's user may read the key. A certificate counts once its key, its name and its purpose
//! were checked; how good the clock is decides nothing here but what is said of its end.
//! `node.next.key` and its like are kept free for a second key that will take over from the first.

mod files;
mod install;
mod request;
mod show;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use edge_protocol::id::NodeId;
use rcgen::{KeyPair, PublicKeyData as _};

pub use install::{Installed, install, install_authority};
pub use request::{Made, init};
pub use show::{Certificate, Shown, show};

/// Where an identity is unless the command line names another place.
pub const DEFAULT_FOLDER: &str = "/etc/edge-agent";

/// The private key in an identity's folder: PKCS#8 in PEM, mode 0600.
pub const KEY: &str = "node.key";
/// The request to sign it, PKCS#10 in PEM.
const REQUEST: &str = "node.csr";
/// The certificate, first in its chain.
const CERTIFICATE: &str = "node.pem";
/// Who may have signed the broker's certificate.
const AUTHORITY: &str = "ca.pem";

/// Why an identity can't be made, shown or completed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no key yet.
    #[error("{} is not there: make it with `edge-agent identity init --node-id ID`", .0.display())]
    NoKey(PathBuf),
    /// What is there is no key that can be used; it is left as it is.
    #[error("{} holds no PKCS#8 private key in PEM: move it away, it is never overwritten", .0.display())]
    BadKey(PathBuf),
    /// The node has a certificate under another name.
    #[error("this node is {is} by its certificate {}: to make it {wanted}, move node.key, node.csr and node.pem away first", .path.display())]
    IsAnother {
        /// Who it is.
        is: NodeId,
        /// Who it should become.
        wanted: NodeId,
        /// The certificate that says so.
        path: PathBuf,
    },
    /// A file that was given can't be used.
    #[error("{name}: {reason}")]
    BadInput {
        /// The file, as it was named.
        name: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A file can't be read.
    #[error("{} can't be read", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("{} can't be written", .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The library refused.
    #[error("can't {operation}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// Why.
        source: rcgen::Error,
    },
}

/// All that `source`, called `name` in errors, gives.
///
/// # Errors
/// [`Error::BadInput`] when it can't be read, or has more than a file of an identity can have.
pub fn given(name: String, source: impl io::Read) -> Result<Vec<u8>, Error> {
    files::bounded(source).map_err(|error| Error::BadInput { name, reason: error.to_string() })
}

/// The key in `folder`, if there is one.
fn key(folder: &Path) -> Result<Option<KeyPair>, Error> {
    let path = folder.join(KEY);
    let Some(pem) = files::read_if_there(&path)? else { return Ok(None) };
    let text = String::from_utf8(pem).map_err(|_| Error::BadKey(path.clone()))?;
    KeyPair::from_pem(&text).map(Some).map_err(|_| Error::BadKey(path))
}

/// SHA-256 of the public key, as it stands in requests and certificates: 64 hexadecimal digits.
fn fingerprint_of(key: &KeyPair) -> String {
    sha256(&key.subject_public_key_info())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
