//! Listens to what plugs announce of themselves, by multicast DNS.
//!
//! Shelly plugs of the second generation and later announce `_shelly._tcp`; those of the first only
//! `_http._tcp`, as printers do, under a name that begins with `shelly`.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use mdns_sd::{Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::time::sleep;

use super::network::ask_each;
use super::{Error, Found};

const SERVICES: [&str; 2] = ["_shelly._tcp.local.", "_http._tcp.local."];
/// What a hostile network may make us ask, at the most.
const MOST: usize = 1_024;

/// Waits for announcements, asks each plug that made one what it is, and gives those that answered.
///
/// # Errors
/// If this machine can't listen to multicast DNS.
pub async fn announced(wait: Duration) -> Result<Vec<Found>, Error> {
    let daemon = ServiceDaemon::new().map_err(Error::Announcements)?;
    announced_to(&daemon, wait).await
}

pub(super) async fn announced_to(
    daemon: &ServiceDaemon,
    wait: Duration,
) -> Result<Vec<Found>, Error> {
    let browsed = SERVICES.map(|service| daemon.browse(service));
    sleep(wait).await;
    let mut addresses = BTreeSet::new();
    let mut listened = Ok(());
    for receiver in browsed {
        match receiver {
            Ok(receiver) => heard(&receiver, &mut addresses),
            Err(error) => listened = Err(Error::Announcements(error)),
        }
    }
    // Its thread ends by itself; there is nothing to wait for.
    let _ = daemon.shutdown();
    listened?;
    let urls = addresses.into_iter().map(|address| match address.port() {
        80 => format!("http://{}", address.ip()),
        port => format!("http://{}:{port}", address.ip()),
    });
    Ok(ask_each(urls).await)
}

/// The addresses of the plugs of which something was told.
fn heard(told: &Receiver<ServiceEvent>, addresses: &mut BTreeSet<SocketAddrV4>) {
    for event in told.try_iter() {
        let ServiceEvent::ServiceResolved(service) = event else { continue };
        if is_shelly(&service) && addresses.len() < MOST {
            let port = service.port;
            let ips = service.get_addresses_v4();
            addresses.extend(ips.into_iter().map(|ip| SocketAddrV4::new(ip, port)));
        }
    }
}

fn is_shelly(service: &ResolvedService) -> bool {
    service.fullname.to_ascii_lowercase().starts_with("shelly") || service.ty_domain == SERVICES[0]
}
