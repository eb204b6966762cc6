//! How a plug is asked: one request at a time, with the login of its generation.

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::login::Challenge;
use super::reply::Reply;
use crate::error::Fault;
use crate::http::{Address, Hurry, Patience, Response, basic};
use crate::secret::Secret;

/// So often one question may be put: with a nonce that has died, without any, with the new one, and
/// once more where the plug says of that one that it is stale.
const TRIES: u8 = 4;

/// Where a plug listens, and how it lets us in.
#[derive(Debug)]
pub(super) struct Door {
    address: Address,
    username: Option<String>,
    password: Option<Secret>,
    /// What the plug last asked for. It outlives an operation that was given up, so that a slow
    /// plug needs one answer for the next one, and not two.
    challenge: Option<Challenge>,
}

impl Door {
    pub(super) fn new(
        url: &str,
        username: Option<String>,
        password: Option<Secret>,
    ) -> Result<Self, Fault> {
        Ok(Self { address: Address::new(url)?, username, password, challenge: None })
    }

    /// Asks for `target` without a login.
    pub(super) async fn ask_openly(&self, target: &str, hurry: Hurry) -> Result<Reply, Fault> {
        let response = self.send(target, None, hurry).await?;
        Reply::read(target, response)
    }

    /// Asks for `target` by HTTP Basic, as the first generation has it.
    pub(super) async fn ask_by_basic(&self, target: &str, hurry: Hurry) -> Result<Reply, Fault> {
        let authorization = match (&self.username, &self.password) {
            (_, None) => None,
            (Some(username), Some(password)) => Some(basic(username, password)),
            // Anything on the network can claim to be of the first generation, and would be told
            // the password as it is.
            (None, Some(_)) => {
                return Err(Fault::Setting {
                    setting: "username",
                    value: String::new(),
                    remedy: "is needed beside password_file: this plug is of the first \
                             generation, and gets the password unencrypted",
                });
            }
        };
        let response = self.send(target, authorization, hurry).await?;
        Reply::read(target, response)
    }

    /// Asks for `target` by HTTP Digest, as later generations have it.
    pub(super) async fn ask_by_digest(
        &mut self,
        target: &str,
        hurry: Hurry,
    ) -> Result<Reply, Fault> {
        let Some(password) = self.password.clone() else {
            return self.ask_openly(target, hurry).await;
        };
        let mut last = Fault::Password;
        // A challenge from before may have died; one that was just given has not.
        let mut just_asked = false;
        for _ in 0..TRIES {
            let authorization =
                self.challenge.as_mut().map(|challenge| challenge.answer(&password, target));
            let answered = authorization.is_some();
            let response = self.send(target, authorization, hurry).await?;
            match response.status {
                StatusCode::UNAUTHORIZED => {
                    self.challenge = response.challenge.as_deref().and_then(Challenge::parse);
                    let stale = self.challenge.as_ref().is_some_and(Challenge::is_stale);
                    if answered && just_asked && !stale {
                        // It counts wrong answers, so the next one waits for another challenge.
                        self.challenge = None;
                        return Err(Fault::Password);
                    }
                    if !answered && self.challenge.is_none() {
                        return Err(Fault::Login);
                    }
                    just_asked = self.challenge.is_some();
                }
                // It would count this nonce as a wrong answer for ever.
                StatusCode::TOO_MANY_REQUESTS if answered => {
                    self.challenge = None;
                    last = Fault::Busy { status: response.status.as_u16() };
                }
                _ => return Reply::read(target, response),
            }
        }
        Err(last)
    }

    async fn send(
        &self,
        target: &str,
        authorization: Option<HeaderValue>,
        hurry: Hurry,
    ) -> Result<Response, Fault> {
        let request = self.address.request(target, authorization)?;
        let response = self.address.exchange(request, Patience::PLUG, hurry).await;
        let plug = self.address.authority();
        match &response {
            Ok(response) => {
                let status = response.status.as_u16();
                tracing::trace!(plug, target, status, bytes = response.body.len());
            }
            Err(fault) => tracing::debug!(plug, target, %fault),
        }
        response
    }
}
