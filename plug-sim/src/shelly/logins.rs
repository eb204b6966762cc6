//! Who may ask a Shelly of the second generation: RFC 7616 digests with SHA-256.
//!
//! Before firmware 2.0.0 a nonce is good for one request over HTTP; from then on it is reused
//! with a growing count, for an hour or 30,000 requests, and at most 32 are remembered: the
//! oldest is pushed out. Who goes on with a dead one is answered 429 for ever
//! (home-assistant/core#177257, #178327). User `admin`, realm the device's id.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::Version;

/// Nonces that are remembered.
const PLACES: usize = 32;
/// A nonce's life.
const LIFE: Duration = Duration::from_hours(1);
const USES: u32 = 30_000;

/// What credentials are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// A new challenge is due.
    Wrong,
    /// Its nonce is none of ours, or no longer.
    Dead,
}

/// What a client claims, from a header or from a frame.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) user: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    /// As it goes into the digest.
    pub(crate) count: String,
    pub(crate) client_nonce: String,
    pub(crate) response: String,
    /// Over HTTP eight hexadecimal figures, in a frame a number.
    pub(crate) counted: u32,
    /// `method:uri`, or the frame's stand-in for it.
    pub(crate) what: String,
    pub(crate) over_http: bool,
}

#[derive(Debug, Clone)]
struct Nonce {
    text: String,
    made: Duration,
    uses: u32,
    count: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Logins {
    /// From firmware 2.0.0 on.
    pub(crate) reuses: bool,
    made: u32,
    nonces: Vec<Nonce>,
}

impl Logins {
    pub(crate) fn new(version: Version) -> Self {
        Self { reuses: version >= Version(2, 0, 0, 0), made: 0, nonces: vec![] }
    }

    /// All nonces are dead from now on.
    pub(crate) fn forget(&mut self) {
        self.nonces.clear();
    }

    /// A nonce: a number before 2.0.0, opaque text from then on.
    pub(crate) fn challenge(&mut self, now: Duration) -> String {
        self.made += 1;
        let text = if self.reuses {
            hex(&format!("nonce {} {}", self.made, now.as_millis()))[..40].to_owned()
        } else {
            (1_600_000_000_u32 + self.made).to_string()
        };
        if self.nonces.len() == PLACES {
            self.nonces.remove(0);
        }
        self.nonces.push(Nonce { text: text.clone(), made: now, uses: 0, count: 0 });
        text
    }

    pub(crate) fn judge(
        &mut self,
        claim: &Claim,
        realm: &str,
        password: &str,
        now: Duration,
    ) -> Verdict {
        let reuses = self.reuses;
        let alive = |nonce: &Nonce| !reuses || now < nonce.made + LIFE && nonce.uses < USES;
        self.nonces.retain(alive);
        let Some(at) = self.nonces.iter().position(|nonce| nonce.text == claim.nonce) else {
            return Verdict::Dead;
        };
        let secret = hex(&format!("admin:{realm}:{password}"));
        let what = hex(&claim.what);
        let Claim { nonce, count, client_nonce, .. } = claim;
        let expected = hex(&format!("{secret}:{nonce}:{count}:{client_nonce}:auth:{what}"));
        let known = &mut self.nonces[at];
        let right = claim.user == "admin" && claim.realm == realm && claim.response == expected;
        if !right || claim.counted <= known.count {
            return Verdict::Wrong;
        }
        known.uses += 1;
        known.count = claim.counted;
        if claim.over_http && !reuses {
            self.nonces.remove(at);
        }
        Verdict::Right
    }
}

impl Claim {
    /// From an `Authorization: Digest …` header of a request for this target.
    pub(crate) fn of_header(value: &str, method: &str, target: &str) -> Option<Self> {
        let fields = fields(value.strip_prefix("Digest ")?);
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        // Of another target it is worth nothing.
        let what = format!("{method}:{}", if field("uri") == target { target } else { "" });
        Some(Self {
            user: field("username"),
            realm: field("realm"),
            nonce: field("nonce"),
            counted: u32::from_str_radix(&field("nc"), 16).unwrap_or(0),
            count: field("nc"),
            client_nonce: field("cnonce"),
            response: field("response"),
            what,
            over_http: true,
        })
    }

    /// From a frame's `auth` (aioshelly `wsrpc.py`).
    pub(crate) fn of_frame(auth: &Value) -> Self {
        let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        let field = |name: &str| auth.get(name).map(text).unwrap_or_default();
        Self {
            user: field("username"),
            realm: field("realm"),
            nonce: field("nonce"),
            counted: field("nc").parse().unwrap_or(0),
            count: field("nc"),
            client_nonce: field("cnonce"),
            response: field("response"),
            what: "dummy_method:dummy_uri".to_owned(),
            over_http: false,
        }
    }
}

/// `name="value", name=value`; commas within quotes belong to the value.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut quoted = false;
    let parts = text.split(|letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    });
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        fields.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
    }
    fields
}

/// SHA-256, in lower-case hexadecimal.
pub(crate) fn hex(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(nonce: &str, counted: u32, password: &str) -> Claim {
        let mut claim = Claim {
            user: "admin".to_owned(),
            realm: "plug".to_owned(),
            nonce: nonce.to_owned(),
            count: format!("{counted:08x}"),
            client_nonce: "c".to_owned(),
            counted,
            what: "GET:/rpc/Switch.Set".to_owned(),
            over_http: true,
            ..Claim::default()
        };
        let secret = hex(&format!("admin:plug:{password}"));
        let (count, what) = (&claim.count, hex(&claim.what));
        claim.response = hex(&format!("{secret}:{nonce}:{count}:c:auth:{what}"));
        claim
    }

    #[test]
    fn before_2_0_0_a_nonce_is_good_for_one_request() {
        let mut logins = Logins::new(Version(1, 7, 5, 0));
        let nonce = logins.challenge(Duration::ZERO);
        let mut ask =
            |counted| logins.judge(&claim(&nonce, counted, "word"), "plug", "word", LIFE * 9);
        assert_eq!([ask(1), ask(2)], [Verdict::Right, Verdict::Dead]);
    }

    #[test]
    fn from_2_0_0_on_a_nonce_is_reused_with_a_growing_count_for_an_hour() {
        let mut logins = Logins::new(Version(2, 0, 0, 0));
        let nonce = logins.challenge(Duration::ZERO);
        let mut ask =
            |counted, word, now| logins.judge(&claim(&nonce, counted, word), "plug", "word", now);
        assert_eq!(ask(1, "worD", Duration::ZERO), Verdict::Wrong);
        assert_eq!(ask(1, "word", Duration::ZERO), Verdict::Right);
        assert_eq!(ask(1, "word", Duration::ZERO), Verdict::Wrong, "replayed");
        assert_eq!(ask(2, "word", LIFE - Duration::from_millis(1)), Verdict::Right);
        assert_eq!(ask(3, "word", LIFE), Verdict::Dead);
    }

    #[test]
    fn thirty_two_other_logins_push_a_nonce_out() {
        let mut logins = Logins::new(Version(2, 0, 0, 0));
        let nonce = logins.challenge(Duration::ZERO);
        for _ in 0..PLACES {
            logins.challenge(Duration::ZERO);
        }
        let verdict = logins.judge(&claim(&nonce, 1, "word"), "plug", "word", Duration::ZERO);
        assert_eq!(verdict, Verdict::Dead);
    }
}
