//! HTTP Digest with SHA-256 (RFC 7616), the login of the second generation and later.
//!
//! A challenge may be answered many times, counted by `nc` from 1, until the plug forgets it:
//! from firmware 2.0.0 on after an hour, 30,000 answers, or when others log in too often.

use hyper::header::HeaderValue;
use ring::digest::{SHA256, digest};
use ring::rand::{SystemRandom, generate};

use crate::http::hidden;
use crate::secret::Secret;

/// The only user that such a plug has.
const USERNAME: &str = "admin";

/// What a plug asked for with status 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// The plug says that only the nonce was at fault.
    stale: bool,
    answers: u32,
}

impl Challenge {
    /// Out of a `WWW-Authenticate` header; `None` where it asks for something else.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let (mut realm, mut nonce, mut opaque) = (None, None, None);
        let (mut algorithm, mut qop, mut stale) = (None, None, false);
        for (name, value) in named(parameters)? {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "nonce" => nonce = Some(value),
                "opaque" => opaque = Some(value),
                "algorithm" => algorithm = Some(value),
                "qop" => qop = Some(value),
                "stale" => stale = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let qop = qop?;
        let auth = qop.split(',').any(|quality| quality.trim().eq_ignore_ascii_case("auth"));
        let sha_256 = algorithm?.eq_ignore_ascii_case("SHA-256");
        if !auth || !sha_256 {
            return None;
        }
        Some(Self {
            realm: realm?.to_owned(),
            nonce: nonce?.to_owned(),
            opaque: opaque.map(str::to_owned),
            stale,
            answers: 0,
        })
    }

    /// Whether the plug says that the password was right and the nonce was not.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The `Authorization` for a GET of `target`. Each one counts, sent or not.
    pub(super) fn answer(&mut self, password: &Secret, target: &str) -> HeaderValue {
        let random: [u8; 16] =
            generate(&SystemRandom::new()).expect("the kernel gives random bytes").expose();
        self.answer_as(USERNAME, password, target, &hex(&random))
    }

    fn answer_as(
        &mut self,
        username: &str,
        password: &Secret,
        target: &str,
        cnonce: &str,
    ) -> HeaderValue {
        self.answers = self.answers.saturating_add(1);
        let Self { realm, nonce, opaque, answers, .. } = self;
        let who = sha_256(&format!("{username}:{realm}:{}", password.expose()));
        let what = sha_256(&format!("GET:{target}"));
        let response = sha_256(&format!("{who}:{nonce}:{answers:08x}:{cnonce}:auth:{what}"));
        let opaque = opaque.as_ref().map(|opaque| format!(", opaque=\"{opaque}\""));
        hidden(format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"{target}\", algorithm=SHA-256, qop=auth, nc={answers:08x}, \
             cnonce=\"{cnonce}\", response=\"{response}\"{}",
            opaque.unwrap_or_default()
        ))
    }
}

/// Each `name=value` or `name="value"`; `None` where something is neither. A nonce may hold `=`. A
/// value with an escape is refused: it could not be repeated as it is.
fn named(mut text: &str) -> Option<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, behind) = text.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at(behind.find([',', ' ']).unwrap_or(behind.len())),
        };
        if value.contains('\\') || value.contains(char::is_control) {
            return None;
        }
        found.push((name.trim(), value));
        text = behind;
    }
}

fn sha_256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"Digest qop="auth", realm="shellyplus1-a8032abe54dc", nonce="cGx1Zw==", algorithm=SHA-256"#;

    #[test]
    fn the_answer_is_that_of_the_standards_own_example() {
        let mut challenge = Challenge::parse(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        )
        .unwrap();
        let answer = challenge.answer_as(
            "Mufasa",
            &Secret::new("Circle of Life".to_owned()),
            "/dir/index.html",
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        );
        let response = "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", \
                        opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        assert!(answer.to_str().unwrap().ends_with(response), "{answer:?}");
        assert!(answer.is_sensitive());
    }

    #[test]
    fn answers_to_one_challenge_are_counted_from_1() {
        let mut challenge = Challenge::parse(ASKED).unwrap();
        let secret = Secret::new("joker".to_owned());
        for nc in ["nc=00000001,", "nc=00000002,", "nc=00000003,"] {
            let answer = challenge.answer(&secret, "/rpc/Switch.Set?id=0&on=false");
            let answer = answer.to_str().unwrap();
            assert!(answer.contains(nc), "{answer}");
            assert!(answer.contains("nonce=\"cGx1Zw==\""), "{answer}");
            assert!(!answer.contains("joker"), "{answer}");
        }
    }

    #[test]
    fn a_challenge_that_is_no_digest_with_sha_256_is_none() {
        assert!(!Challenge::parse(ASKED).unwrap().is_stale());
        assert!(Challenge::parse(&format!("{ASKED}, stale=true")).unwrap().is_stale());
        for other in [
            "",
            "Digest",
            "Basic realm=\"shellyplug-s\"",
            &ASKED.replace("SHA-256", "MD5"),
            &ASKED.replace(", algorithm=SHA-256", ""),
            &ASKED.replace("auth\"", "auth-int\""),
            &ASKED.replace("realm", "kingdom"),
            &ASKED.replace("cGx1Zw==", "a\\\"b"),
            &ASKED.replace("cGx1Zw==\"", "cGx1Zw=="),
        ] {
            assert_eq!(Challenge::parse(other), None, "{other}");
        }
    }
}
