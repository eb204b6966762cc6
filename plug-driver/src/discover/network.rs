//! Looks through a network that a person names.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::identify::identify;
use super::{Error, Found, together};

/// The widest network: 1,022 addresses take half a minute if all are silent.
const WIDEST_PREFIX: u8 = 22;
/// So many are asked at a time, each over one connection.
const AT_A_TIME: usize = 32;

/// A network of IPv4 addresses, a /22 at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u32,
    prefix: u8,
}

impl FromStr for Network {
    type Err = Error;

    /// Reads `address/prefix`; any address of the network will do.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::NotANetwork { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        match prefix {
            33.. => Err(wrong()),
            0..WIDEST_PREFIX => Err(Error::TooLarge { text: text.to_owned() }),
            WIDEST_PREFIX..=32 => {
                let network = Self { base: 0, prefix };
                Ok(Self { base: u32::from(address) & !(network.size() - 1), ..network })
            }
        }
    }
}

impl Network {
    /// How many addresses it has; its prefix is 22 or more.
    fn size(self) -> u32 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Its addresses, but for those of the network itself and of its broadcasts.
    fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let skip = u32::from(self.prefix < 31);
        (skip..self.size() - skip).map(move |index| Ipv4Addr::from(self.base + index))
    }
}

/// Asks each address of `network` at `port` (80, as plugs have it) what it is: at most 32 at a
/// time, and 1 s for each answer.
pub async fn scan(network: Network, port: u16) -> Vec<Found> {
    let urls = network.hosts().map(|host| match port {
        80 => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    });
    ask_each(urls).await
}

/// What is at each of `urls`.
pub(super) async fn ask_each(urls: impl Iterator<Item = String>) -> Vec<Found> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut asked = JoinSet::new();
    for url in urls {
        let place = Arc::clone(&places).acquire_owned().await;
        asked.spawn(async move {
            let _place = place;
            identify(&url).await
        });
    }
    let found = asked.join_all().await;
    together(found.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        text.parse::<Network>().unwrap().hosts().map(|host| host.to_string()).collect()
    }

    #[test]
    fn a_network_is_its_hosts() {
        assert_eq!(hosts("192.0.2.6/30"), ["192.0.2.5", "192.0.2.6"]);
        assert_eq!(hosts("192.0.2.6/31"), ["192.0.2.6", "192.0.2.7"]);
        assert_eq!(hosts("192.0.2.6/32"), ["192.0.2.6"]);
        assert_eq!(hosts("255.255.255.255/24").last().unwrap(), "255.255.255.254");
        assert_eq!(hosts("10.1.7.9/22").len(), 1_022);
    }

    #[test]
    fn what_is_no_network_or_too_large_a_one_is_refused() {
        for text in ["", "192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2/24", "::1/128", "a/24"]
        {
            let error = text.parse::<Network>().unwrap_err();
            assert!(matches!(error, Error::NotANetwork { .. }), "{text}");
        }
        for text in ["192.0.2.0/21", "10.0.0.0/8", "0.0.0.0/0"] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{text}");
        }
    }
}
