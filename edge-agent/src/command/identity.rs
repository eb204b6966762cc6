//! `edge-agent identity`: arguments in; words for a person, or one JSON object, out.

use std::io;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use clap::{Args, Subcommand};
use edge_agent::chain;
use edge_agent::host::clock::{Clock, ClockSource};
use edge_agent::identity::{self, Certificate, DEFAULT_FOLDER, Error, Installed, Made, Shown};
use edge_protocol::id::NodeId;
use serde_json::{Value, json};

use super::{BAD_DATA, CONFIG, Done, Failure, IO_ERROR, NO_INPUT, SOFTWARE, say};

const DAY_MS: u64 = 24 * 3_600_000;

/// What to do with the node's identity.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Where the identity's files are.
    #[arg(long, global = true, value_name = "FOLDER", default_value = DEFAULT_FOLDER)]
    dir: PathBuf,
    /// One JSON object, for machines.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the node's key and a request to sign it; a key that is there stays.
    Init {
        /// What the node is called: the common name that its certificate will have.
        #[arg(long, value_name = "ID")]
        node_id: NodeId,
    },
    /// Show who the node is: its name, key and certificate, and how long that lasts.
    Show,
    /// Take the certificate that was signed for the node's key, once it is found to be that.
    Install {
        /// The certificate in PEM, first in its chain; `-` is standard input.
        #[arg(long, value_name = "FILE", required_unless_present = "ca")]
        cert: Option<PathBuf>,
        /// The certificate of whoever signs the broker's, in PEM.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// The name that it must bear; the request's unless said.
        #[arg(long, value_name = "ID")]
        node_id: Option<NodeId>,
    },
}

/// Does it, and says what was done.
pub(crate) fn run(arguments: Arguments) -> Done {
    let Arguments { what, dir, json } = arguments;
    // A lower bound is enough: what has expired by then has expired.
    let wall_ms = Clock::new(ClockSource::Untrusted).now().wall_ms;
    let done = match what {
        What::Init { node_id } => identity::init(&dir, &node_id).map(|made| init_told(&made, &dir)),
        What::Show => identity::show(&dir).map(|shown| show_told(&shown, &dir, wall_ms)),
        What::Install { cert, ca, node_id } => {
            install(&dir, cert.as_deref(), ca.as_deref(), node_id.as_ref(), wall_ms)
        }
    };
    let (text, object) =
        done.map_err(|error| Failure::new(code(&error), chain(&error)).for_machine(json))?;
    Ok(say(&if json { object.to_string() } else { text }))
}

fn install(
    dir: &Path,
    cert: Option<&Path>,
    ca: Option<&Path>,
    node: Option<&NodeId>,
    wall_ms: u64,
) -> Result<(String, Value), Error> {
    let mut text = Vec::new();
    let mut object = json!({});
    let mut renewed = false;
    if let Some(ca) = ca {
        let (name, pem) = given(ca)?;
        let changed = identity::install_authority(dir, &name, &pem)?;
        let state = if changed { "installed" } else { "was there already" };
        text.push(format!("the authority's certificate {state}"));
        renewed |= changed;
        object["authority_changed"] = changed.into();
    }
    if let Some(cert) = cert {
        let (name, pem) = given(cert)?;
        let Installed { certificate, path, changed } =
            identity::install(dir, &name, &pem, node, wall_ms)?;
        let state = if changed { "installed" } else { "was there already" };
        let until = until(&certificate, wall_ms);
        let node = &certificate.node;
        text.push(format!("the certificate of {node} {state}, {until}\n  {}", path.display()));
        renewed |= changed;
        object["certificate_changed"] = changed.into();
        object["certificate"] = certificate_json(&certificate);
    }
    if renewed {
        text.push("it counts from the agent's next start: systemctl restart edge-agent".to_owned());
    }
    Ok((text.join("\n"), object))
}

/// A file that was named on the command line, or standard input, and what to call it.
fn given(file: &Path) -> Result<(String, Vec<u8>), Error> {
    if file == Path::new("-") {
        let name = "standard input".to_owned();
        return Ok((name.clone(), identity::given(name, io::stdin())?));
    }
    let name = file.display().to_string();
    let wrong =
        |error: io::Error| Error::BadInput { name: name.clone(), reason: error.to_string() };
    let opened = std::fs::File::open(file).map_err(wrong)?;
    Ok((name.clone(), identity::given(name, opened)?))
}

fn init_told(made: &Made, dir: &Path) -> (String, Value) {
    let Made { node, new_key, key_fingerprint, request } = made;
    let key = dir.join(identity::KEY);
    let was = if *new_key { "made now" } else { "there already, and kept" };
    let text = format!(
        "{node} has a key ({was})\n  {}  stays here\n  {}  have it signed: edgectl ca sign --dir CA --csr node.csr",
        key.display(),
        request.display(),
    );
    let object = json!({
        "node": node, "new_key": new_key, "key_fingerprint": key_fingerprint, "request": request,
    });
    (text, object)
}

fn show_told(shown: &Shown, dir: &Path, wall_ms: u64) -> (String, Value) {
    let Shown { node, key_fingerprint, certificate } = shown;
    let name = node.as_ref().map_or("not named yet", NodeId::as_str);
    let told = match certificate {
        None => "none yet: have node.csr signed, then `edge-agent identity install --cert FILE`"
            .to_owned(),
        Some(other) if !other.fits_key => "not of this key: have node.csr signed".to_owned(),
        Some(own) => format!(
            "SHA-256 {}\n             by {}, {}",
            own.fingerprint,
            own.issuer,
            until(own, wall_ms)
        ),
    };
    let folder = dir.display();
    let text = format!(
        "node         {name}\nkey          SHA-256 {key_fingerprint}\ncertificate  {told}\nfiles        {folder}"
    );
    let object = json!({
        "node": node,
        "key_fingerprint": key_fingerprint,
        "certificate": certificate.as_ref().map(certificate_json),
    });
    (text, object)
}

fn certificate_json(certificate: &Certificate) -> Value {
    let Certificate { node, fingerprint, issuer, begins_at_ms, expires_at_ms, fits_key } =
        certificate;
    json!({
        "node": node, "fingerprint": fingerprint, "issuer": issuer, "begins_at_ms": begins_at_ms,
        "expires_at_ms": expires_at_ms, "fits_key": fits_key,
    })
}

/// How long it lasts, as far as a clock that may run behind can tell.
fn until(certificate: &Certificate, wall_ms: u64) -> String {
    let day = day(certificate.expires_at_ms);
    match certificate.expires_at_ms.checked_sub(wall_ms) {
        None | Some(0) => format!("expired on {day}: renew it"),
        Some(_) if certificate.begins_at_ms > wall_ms => {
            format!("until {day}; this machine's clock is before its beginning")
        }
        Some(left_ms) => format!("until {day} ({} days)", left_ms / DAY_MS),
    }
}

fn day(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis);
    at.map_or_else(|| "a day out of reach".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

fn code(error: &Error) -> u8 {
    match error {
        Error::NoKey(_) | Error::Read { .. } => NO_INPUT,
        Error::BadInput { .. } => BAD_DATA,
        Error::BadKey(_) | Error::IsAnother { .. } => CONFIG,
        Error::Write { .. } => IO_ERROR,
        Error::Crypto { .. } => SOFTWARE,
    }
}
