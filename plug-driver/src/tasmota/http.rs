//! One command, one request (see [`crate::http`]), with the password as this firmware reads it.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;

use crate::error::Fault;
use crate::http::{Address, Patience, Response, basic, percent_encoded};
use crate::secret::Secret;

/// Where a plug listens and what it asks for.
#[derive(Debug)]
pub(super) struct Endpoint {
    address: Address,
    username: String,
    password: Option<Secret>,
}

/// How the password travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// In a header (HTTP Basic), as newer firmware has it.
    Header,
    /// In the query: the only form that firmware up to 9 reads.
    Query,
}

impl Login {
    /// The one to try when this one was refused.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Header => Self::Query,
            Self::Query => Self::Header,
        }
    }
}

impl Endpoint {
    /// The plug at `url`, which is `http://host[:port]` and no more.
    pub(super) fn new(
        url: &str,
        username: String,
        password: Option<Secret>,
    ) -> Result<Self, Fault> {
        Ok(Self { address: Address::new(url)?, username, password })
    }

    /// Whether there is a password to send.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sends `command` and gives the body of a reply with status 200.
    pub(super) async fn send(&self, command: &str, login: Login) -> Result<Vec<u8>, Fault> {
        let request = self.request(command, login)?;
        let response = self.address.exchange(request, Patience::PLUG).await;
        let reply = response.and_then(Response::ok);
        let plug = self.address.authority();
        match &reply {
            Ok(body) => tracing::trace!(plug, command, bytes = body.len()),
            Err(fault) => tracing::debug!(plug, command, %fault),
        }
        reply
    }

    fn request(&self, command: &str, login: Login) -> Result<Request<Empty<Bytes>>, Fault> {
        let mut target = format!("/cm?cmnd={}", percent_encoded(command));
        let mut authorization = None;
        match (&self.password, login) {
            (None, Login::Header | Login::Query) => {}
            (Some(password), Login::Query) => {
                let (user, password) = (&self.username, password.expose());
                target.push_str(&format!(
                    "&user={}&password={}",
                    percent_encoded(user),
                    percent_encoded(password)
                ));
            }
            (Some(password), Login::Header) => {
                authorization = Some(basic(&self.username, password));
            }
        }
        self.address.request(&target, authorization)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, CONNECTION};

    use super::*;

    #[test]
    fn the_password_is_in_the_header_or_in_the_query_and_never_in_both() {
        let secret = Secret::new("jo&ker".to_owned());
        let endpoint =
            Endpoint::new("http://192.0.2.50", "admin".to_owned(), Some(secret)).unwrap();
        let header = endpoint.request("Power1 ON", Login::Header).unwrap();
        assert_eq!(header.uri(), "/cm?cmnd=Power1%20ON");
        assert_eq!(header.headers()[AUTHORIZATION], "Basic YWRtaW46am8ma2Vy");
        assert_eq!(header.headers()[CONNECTION], "close");
        let query = endpoint.request("Power1 ON", Login::Query).unwrap();
        assert_eq!(query.uri(), "/cm?cmnd=Power1%20ON&user=admin&password=jo%26ker");
        assert!(!query.headers().contains_key(AUTHORIZATION));
        assert!(!format!("{endpoint:?} {header:?}").contains("ker"));
    }
}
