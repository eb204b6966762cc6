//! `edgectl ca`: an authority's files on this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use edge_protocol::id::NodeId;
use edgectl::ca::{
    AUTHORITY_DAYS, Authority, CONTROL_PLANE, Error, ISSUED_DAYS, OPERATOR_PREFIX, Validity,
    requested_node, write_certificate, write_issued,
};
use serde_json::json;

use super::{BAD_DATA, CANNOT_CREATE, Failure, IO_ERROR, NO_INPUT, Report, SOFTWARE, USAGE};

/// What to do with an authority.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an authority: ca.pem for everybody, ca.key for this machine alone.
    Init {
        /// The folder of the authority; made if need be.
        #[arg(long)]
        dir: PathBuf,
        /// What the authority is called.
        #[arg(long, default_value = "edge-agent site authority")]
        name: String,
        /// How long the authority is valid.
        #[arg(long, default_value_t = AUTHORITY_DAYS)]
        days: u32,
    },
    /// Sign a certificate for a node, a broker or the control plane.
    Sign(Sign),
}

/// What to sign.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The folder of the authority.
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    subject: Subject,
    /// Sign the key in this certificate request (PEM) of a node, so that the key stays there: the node
    /// that --node names, else the one that the request names.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["broker", "control_plane", "operator"])]
    csr: Option<PathBuf>,
    /// Where to write the certificate and its key; made if need be.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// How long the certificate is valid.
    #[arg(long, default_value_t = ISSUED_DAYS)]
    days: u32,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Subject {
    /// A client certificate for this node: writes ID.pem and ID.key.
    #[arg(
        long,
        value_name = "ID",
        required_unless_present_any = ["broker", "control_plane", "operator", "csr"]
    )]
    node: Option<NodeId>,
    /// A server certificate for a broker reached as these DNS names or IP addresses: writes
    /// broker.pem and broker.key.
    #[arg(long, value_name = "HOST", num_args = 1..)]
    broker: Vec<String>,
    /// A client certificate for the control plane: writes control-plane.pem and .key.
    #[arg(long)]
    control_plane: bool,
    /// A client certificate for somebody who uses edgectl: writes operator-NAME.pem and .key.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
}

pub(crate) fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Init { dir, name, days } => {
            let authority = Authority::init(&dir, &name, Validity::days(days)?)?;
            let (cert, key) = (dir.join("ca.pem"), dir.join("ca.key"));
            let text = format!(
                "made the authority {name:?}\n  {}  give it to every node and broker\n  {}  keep it here, and a copy offline",
                cert.display(),
                key.display()
            );
            Ok(report(text, &cert, Some(&key), authority.not_after_ms()))
        }
        Command::Sign(sign) => run_sign(sign),
    }
}

fn run_sign(sign: Sign) -> Result<Report, Failure> {
    let Sign { dir, subject, csr, out, days } = sign;
    let Subject { node, broker, control_plane: _, operator } = subject;
    let authority = Authority::open(&dir)?;
    let validity = Validity::days(days)?;
    if let Some(csr) = csr {
        let csr_pem =
            std::fs::read_to_string(&csr).map_err(|source| Error::Read { path: csr, source })?;
        let node = match node {
            Some(node) => node,
            None => requested_node(&csr_pem)?,
        };
        let issued = authority.sign_request(&node, &csr_pem, validity)?;
        let cert = write_certificate(&out, node.as_str(), &issued.cert_pem)?;
        let text = format!("signed the key of {node}\n  {}", cert.display());
        return Ok(report(text, &cert, None, issued.not_after_ms));
    }
    let (name, issued) = if let Some(node) = &node {
        (node.to_string(), authority.issue_node_with(node, validity)?)
    } else if let Some(operator) = &operator {
        let issued = authority.issue_operator(operator, validity)?;
        (format!("{OPERATOR_PREFIX}{operator}"), issued)
    } else if broker.is_empty() {
        (CONTROL_PLANE.to_owned(), authority.issue_control_plane(validity)?)
    } else {
        let hosts: Vec<&str> = broker.iter().map(String::as_str).collect();
        ("broker".to_owned(), authority.issue_broker_with(&hosts, validity)?)
    };
    let (cert, key) = write_issued(&out, &name, &issued)?;
    let text = format!("signed {name}\n  {}\n  {}", cert.display(), key.display());
    Ok(report(text, &cert, Some(&key), issued.not_after_ms))
}

fn report(
    text: String,
    cert: &std::path::Path,
    key: Option<&PathBuf>,
    expires_at_ms: u64,
) -> Report {
    let key = key.map(|key| key.display().to_string());
    let json = json!({
        "certificate": cert.display().to_string(),
        "key": key,
        "expires_at_ms": expires_at_ms,
    });
    Report { text, json }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Exists { .. } => CANNOT_CREATE,
            Error::NoAuthority { .. } | Error::Read { .. } => NO_INPUT,
            Error::Write { .. } => IO_ERROR,
            Error::BadAuthority { .. } | Error::BadRequest { .. } => BAD_DATA,
            Error::BadHost { .. }
            | Error::NoHost
            | Error::ReservedName
            | Error::BadOperator { .. }
            | Error::Validity { .. }
            | Error::OutlivesAuthority => USAGE,
            Error::Crypto { .. } | Error::NoRandomness => SOFTWARE,
        };
        Self::new(code, error.to_string())
    }
}
