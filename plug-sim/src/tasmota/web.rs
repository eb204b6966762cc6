//! What the plug's web server makes of a request.
//!
//! As the firmware's (arendst/Tasmota `xdrv_01_9_webserver`, `HandleHttpCommand`):
//! `/cm?cmnd=…`; 200 for almost everything, errors included.

use serde_json::json;

use super::Tasmota;
use crate::reply::{Answer, Response};
use crate::{By, Request};

impl Tasmota {
    pub(crate) fn obey_request(&mut self, request: &Request) -> Answer {
        if self.web_mode() == 0 {
            return Answer::Reset;
        }
        if request.path() != "/cm" || self.web_mode() == 1 {
            return Response::page().into();
        }
        if self.option(128) == 0 {
            return Answer::Nothing;
        }
        let version = self.profile.version;
        if !self.knows(request) && !version.takes_any_password() {
            return self.wrong_password();
        }
        let command = request.argument("cmnd").unwrap_or_default();
        if command.is_empty() {
            return Response::json(200, &json!({ "WARNING": "Enter command cmnd=" })).into();
        }
        let answer = self.execute(&command, By::Http);
        let weblog = self.numbers.get("WebLog").is_none_or(|level| *level >= 2);
        if version.answers_from_web_log() && !(self.profile.weblog && weblog) {
            // Done nevertheless.
            let warning = json!({ "WARNING": "Enable weblog 2 if response expected" });
            return Response::json(200, &warning).into();
        }
        Response::text(200, "application/json", &answer).into()
    }

    pub(crate) fn wrong_password(&self) -> Answer {
        let status = if self.profile.version.wrong_password_is_401() { 401 } else { 200 };
        let warning = json!({ "WARNING": "Need user=<username>&password=<password>" });
        Response::json(status, &warning).into()
    }

    /// By HTTP Basic or as arguments; the user is `admin`.
    fn knows(&self, request: &Request) -> bool {
        let Some(password) = &self.profile.password else { return true };
        let right = |user: &str, word: &str| user == "admin" && word == password;
        request.basic().is_some_and(|(user, word)| right(&user, &word))
            || request
                .argument("user")
                .zip(request.argument("password"))
                .is_some_and(|(user, word)| right(&user, &word))
    }
}
