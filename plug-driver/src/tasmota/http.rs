//! One command, one request (see [`crate::http`]), with the password as this firmware reads it.
//!
//! A password is never a part of the url, which ends up in logs.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};

use crate::error::Fault;
use crate::http::{Address, Hurry, Patience, Response, basic, percent_encoded};
use crate::secret::Secret;
use crate::turn::Turns;

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
    /// In a header (HTTP Basic), which firmware reads from 9.3 on (arendst/Tasmota#10451).
    Header,
    /// In a form, which firmware before that reads like a part of the url.
    Form,
    /// Not at all.
    None,
}

impl Login {
    /// The one to try when this one was refused.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Header => Self::Form,
            Self::Form | Self::None => Self::Header,
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

    /// The turns at this plug.
    pub(super) fn turns(&self) -> &Turns {
        self.address.turns()
    }

    /// Whether there is a password to send.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sends `command` when it is its turn and gives the body of a reply with status 200.
    pub(super) async fn send(
        &self,
        command: &str,
        login: Login,
        hurry: Hurry,
    ) -> Result<Vec<u8>, Fault> {
        let request = self.request(command, login)?;
        let response = self.address.exchange(request, Patience::PLUG, hurry).await;
        let reply = response.and_then(Response::ok);
        let plug = self.address.authority();
        match &reply {
            Ok(body) => tracing::trace!(plug, command, bytes = body.len()),
            Err(fault) => tracing::debug!(plug, command, %fault),
        }
        reply
    }

    fn request(&self, command: &str, login: Login) -> Result<Request<Full<Bytes>>, Fault> {
        let target = format!("/cm?cmnd={}", percent_encoded(command));
        let authorization = match (&self.password, login) {
            (Some(password), Login::Header) => Some(basic(&self.username, password)),
            (Some(_), Login::Form | Login::None) | (None, _) => None,
        };
        let mut request = self.address.request(&target, authorization)?;
        if let (Some(password), Login::Form) = (&self.password, login) {
            let user = percent_encoded(&self.username);
            let password = percent_encoded(password.expose());
            *request.method_mut() = Method::POST;
            *request.body_mut() = format!("user={user}&password={password}").into();
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, form);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, CONNECTION};

    use super::*;

    #[test]
    fn the_password_is_in_the_header_or_in_a_form_and_never_in_the_url() {
        let secret = Secret::new("jo&ker".to_owned());
        let endpoint =
            Endpoint::new("http://192.0.2.50", "admin".to_owned(), Some(secret)).unwrap();
        let header = endpoint.request("Power1 ON", Login::Header).unwrap();
        assert_eq!(header.headers()[AUTHORIZATION], "Basic YWRtaW46am8ma2Vy");
        assert_eq!(header.headers()[CONNECTION], "close");
        let form = endpoint.request("Power1 ON", Login::Form).unwrap();
        assert_eq!(form.method(), Method::POST);
        let expected = Full::<Bytes>::from("user=admin&password=jo%26ker");
        assert_eq!(format!("{:?}", form.body()), format!("{expected:?}"));
        let none = endpoint.request("Power1 ON", Login::None).unwrap();
        for request in [&header, &form, &none] {
            assert_eq!(request.uri(), "/cm?cmnd=Power1%20ON");
            let in_header = request.headers().contains_key(AUTHORIZATION);
            assert_eq!(in_header, request.headers() == header.headers());
        }
        assert!(!format!("{endpoint:?} {:?}", header.headers()).contains("ker"));
    }
}
