//! What mosquitto reads: its configuration, its certificates, and who may do what.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use super::{BrokerError, BrokerOptions};
use crate::ca::{self, Authority, CONTROL_PLANE, OPERATOR_PREFIX};

pub(super) fn write(
    folder: &Path,
    authority: &Authority,
    options: &BrokerOptions,
) -> Result<(), BrokerError> {
    let hosts: Vec<&str> = options.hosts.iter().map(String::as_str).collect();
    ca::write_issued(folder, "broker", &authority.issue_broker(&hosts)?)?;
    fs::write(folder.join("ca.pem"), authority.cert_pem()).map_err(BrokerError::Files)?;
    if let Some(operators_pem) = &options.operators_pem {
        fs::write(folder.join("operators.pem"), operators_pem).map_err(BrokerError::Files)?;
    }
    fs::write(folder.join("rights"), rights(options)).map_err(BrokerError::Files)
}

/// mosquitto's own format: the patterns hold for every user, `%u` is the user name.
fn rights(options: &BrokerOptions) -> String {
    let root = &options.root;
    let mut rights = format!(
        "user {CONTROL_PLANE}\ntopic readwrite {root}/#\n\n\
         user {OPERATOR_PREFIX}lab\ntopic read {root}/#\ntopic write {root}/nodes/+/commands\n\n"
    );
    for (group, members) in &options.groups {
        for node in members {
            // Writing to a string can't fail.
            let _ = writeln!(rights, "user {node}\ntopic read {root}/groups/{group}/commands\n");
        }
    }
    let _ = writeln!(rights, "pattern read {root}/nodes/%u/commands");
    for leaf in ["events", "status", "state", "telemetry"] {
        let _ = writeln!(rights, "pattern write {root}/nodes/%u/{leaf}");
    }
    rights
}

pub(super) fn plain_config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let user = if geteuid().is_root() { "user root\n" } else { "" };
    format!(
        "{user}log_dest stderr
log_type all
persistence true
persistence_location {folder}/
set_tcp_nodelay true
allow_anonymous true
listener {port} 127.0.0.1
"
    )
}

pub(super) fn config(
    folder: &Path,
    port: u16,
    operator_port: u16,
    options: &BrokerOptions,
) -> String {
    let folder = folder.display();
    // As root mosquitto becomes another user, who may not read a temporary folder's key.
    let user = if geteuid().is_root() { "user root\n" } else { "" };
    let max_queued = options.max_queued;
    let shown = format!(
        "certfile {folder}/broker.pem
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true"
    );
    let operators = options.operators_pem.as_ref().map_or_else(String::new, |_| {
        format!("listener {operator_port} 127.0.0.1\ncafile {folder}/operators.pem\n{shown}\n")
    });
    format!(
        "{user}per_listener_settings false
log_dest stderr
log_type all
connection_messages true
persistence true
persistence_location {folder}/
max_queued_messages {max_queued}
max_inflight_messages 100
set_tcp_nodelay true
allow_anonymous false
acl_file {folder}/rights
listener {port} 127.0.0.1
cafile {folder}/ca.pem
{shown}
use_username_as_clientid true
{operators}"
    )
}
