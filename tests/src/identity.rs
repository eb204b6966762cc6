//! What proves who is who at a site, spoilt on purpose.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use edgectl::ca::{Authority, Issued, Validity, write_issued};
use edgectl::lab::site::Site;
use edgectl::lab::wall;

/// Gives the site's node another certificate and key.
///
/// # Errors
/// They can't be written.
pub fn identify(site: &Site, issued: &Issued) -> Result<()> {
    replace(site.folder(), "node", issued)
}

/// A certificate for the site's node that another authority signed.
///
/// # Errors
/// It can't be made.
pub fn foreign(site: &Site) -> Result<Issued> {
    Ok(Authority::in_memory()?.issue_node(&site.node)?)
}

/// A certificate for the site's node that ended an hour ago.
///
/// # Errors
/// It can't be made.
pub fn expired(site: &Site) -> Result<Issued> {
    let now = UNIX_EPOCH + Duration::from_millis(wall::now_ms());
    let hours_ago = |hours| -> SystemTime { now - Duration::from_hours(hours) };
    let validity = Validity { not_before: hours_ago(48), not_after: hours_ago(1) };
    Ok(site.authority.issue_node_with(&site.node, validity)?)
}

/// A certificate for the site's node that ends so long from now.
///
/// # Errors
/// It can't be made.
pub fn ending_in(site: &Site, rest: Duration) -> Result<Issued> {
    let now = UNIX_EPOCH + Duration::from_millis(wall::now_ms());
    let validity = Validity { not_before: now - Duration::from_hours(48), not_after: now + rest };
    Ok(site.authority.issue_node_with(&site.node, validity)?)
}

/// Starts the site's broker again with a certificate that begins tomorrow: what a node sees whose
/// clock is a day behind.
///
/// # Errors
/// It does not start.
pub async fn postdate_broker(site: &mut Site) -> Result<()> {
    let now = UNIX_EPOCH + Duration::from_millis(wall::now_ms());
    let validity = Validity {
        not_before: now + Duration::from_hours(24),
        not_after: now + Duration::from_hours(48),
    };
    show_as_broker(site, &site.authority.issue_broker_with(&["localhost"], validity)?).await
}

/// Starts the site's broker again with a certificate for another host.
///
/// # Errors
/// It does not start.
pub async fn rename_broker(site: &mut Site, host: &str) -> Result<()> {
    show_as_broker(site, &site.authority.issue_broker(&[host])?).await
}

async fn show_as_broker(site: &mut Site, issued: &Issued) -> Result<()> {
    site.broker.stop().await?;
    replace(site.broker.folder(), "broker", issued)?;
    Ok(site.broker.start_again().await?)
}

/// How often somebody tried to connect to the site's broker so far.
#[must_use]
pub fn connects(site: &Site) -> usize {
    site.broker.log().matches("New connection from").count()
}

fn replace(folder: &std::path::Path, name: &str, issued: &Issued) -> Result<()> {
    for kind in ["pem", "key"] {
        fs::remove_file(folder.join(format!("{name}.{kind}")))?;
    }
    write_issued(folder, name, issued)?;
    Ok(())
}
