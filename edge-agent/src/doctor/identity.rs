//! Who the node is: its certificate, its key, whom it trusts, and who else may read its secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::clock::instant;
use super::diagnosis::Lines;
use crate::config::{Config, Sketch};
use crate::span::said;
use crate::status::EXPIRY_WARNING_MS;

/// Others must not read it; its group may, as the package installs it; nobody needs to run it.
const OPEN_TO_OTHERS: u32 = 0o137;

pub(super) fn check(config: &Config, sketch: &Sketch, now_ms: u64, lines: &mut Lines) {
    let broker = &config.broker;
    certificate(&broker.cert_file, now_ms, lines);
    // `config::load` takes no other key, and no other common name where [node] id names one.
    let key = broker.key_file.display();
    lines.ok("key", format!("{key} belongs to the certificate"));
    secret("key file", &broker.key_file, lines);
    authority(&broker.ca_file, now_ms, lines);
    for file in &sketch.password_files {
        secret("password file", file, lines);
    }
}

/// The node's certificate and those between it and its authority.
fn certificate(file: &Path, now_ms: u64, lines: &mut Lines) {
    const CHECK: &str = "certificate";
    let renew = "have it signed again by the authority that the broker trusts";
    let ders = ders(file);
    let chain: Vec<X509Certificate<'_>> =
        ders.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let Some(own) = chain.first() else {
        return lines.wrong(CHECK, format!("{} can't be read", file.display()), renew);
    };
    let name = own.subject().iter_common_name().find_map(|name| name.as_str().ok()).unwrap_or("?");
    if let Some((found, is_over)) = validity(own, now_ms) {
        let found = format!("{name}, {found}");
        return if is_over {
            lines.wrong(CHECK, found, renew);
        } else {
            lines.warning(CHECK, found, renew);
        };
    }
    let shown_to = own.extended_key_usage().ok().flatten();
    if shown_to.is_some_and(|usage| !usage.value.client_auth && !usage.value.any) {
        let found =
            format!("{name} is made for no client: its extended key usage lacks clientAuth");
        return lines.wrong(CHECK, found, renew);
    }
    for (number, pair) in chain.windows(2).enumerate() {
        let [below, above] = pair else { continue };
        if below.issuer() != above.subject() {
            let found = format!(
                "{name}: certificate {} of the file did not sign the one before it",
                number + 2
            );
            let remedy =
                "order the file: the node's own first, then each that signed the one before";
            return lines.wrong(CHECK, found, remedy);
        }
        if let Some((found, true)) = validity(above, now_ms) {
            return lines.wrong(CHECK, format!("an authority above {name}: {found}"), renew);
        }
    }
    lines.ok(CHECK, format!("{name}, until {}", instant(until_ms(own))));
}

/// Whom the node trusts to name a broker.
fn authority(file: &Path, now_ms: u64, lines: &mut Lines) {
    const CHECK: &str = "authority";
    let replace = "copy the broker's authority to ca_file again";
    let ders = ders(file);
    let all: Vec<_> =
        ders.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    // One that is still good is enough.
    let best = all.iter().max_by_key(|certificate| until_ms(certificate));
    match best {
        None => lines.wrong(CHECK, format!("{} can't be read", file.display()), replace),
        Some(best) => match validity(best, now_ms) {
            Some((found, true)) => lines.wrong(CHECK, found, replace),
            Some((found, false)) => lines.warning(CHECK, found, replace),
            None => {
                lines.ok(CHECK, format!("{}, until {}", file.display(), instant(until_ms(best))))
            }
        },
    }
}

/// What is to be said of when a certificate is good, and whether it is not now.
fn validity(certificate: &X509Certificate<'_>, now_ms: u64) -> Option<(String, bool)> {
    let from_ms = millis(certificate.validity().not_before.timestamp());
    let until_ms = until_ms(certificate);
    if from_ms > now_ms {
        return Some((format!("not good before {}: is the clock right?", instant(from_ms)), true));
    }
    match until_ms.checked_sub(now_ms) {
        None | Some(0) => Some((format!("expired since {}", instant(until_ms)), true)),
        Some(rest_ms) if rest_ms <= EXPIRY_WARNING_MS => {
            Some((format!("expires in {}", said(rest_ms)), false))
        }
        Some(_) => None,
    }
}

fn until_ms(certificate: &X509Certificate<'_>) -> u64 {
    millis(certificate.validity().not_after.timestamp())
}

fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
}

fn ders(file: &Path) -> Vec<CertificateDer<'static>> {
    let pem = fs::read(file).unwrap_or_default();
    CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect()
}

/// A file that only the agent should read.
fn secret(check: impl Into<String>, file: &Path, lines: &mut Lines) {
    let check = check.into();
    match fs::metadata(file) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            let found = format!("{} has mode {mode:04o}", file.display());
            if mode & OPEN_TO_OTHERS == 0 {
                lines.ok(check, found);
            } else {
                let found = format!("{found}: it must be 0600, or 0640 for the agent's group");
                lines.wrong(check, found, format!("chmod 640 {}", file.display()));
            }
        }
        Err(error) => {
            let found = format!("{}: {error}", file.display());
            lines.wrong(check, found, "let this user read it, or run this with sudo");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::State;
    use super::*;

    /// 2025-11-21.
    const NOW_MS: u64 = 1_763_690_000_000;

    /// A certificate of such an age, or one of an authority that signed it.
    fn issued(
        from: (i32, u8, u8),
        until: (i32, u8, u8),
        change: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "pi-0042");
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        change(&mut params);
        params.self_signed(&key).unwrap().pem()
    }

    fn checked(check: fn(&Path, u64, &mut Lines), pem: &str) -> (State, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), pem).unwrap();
        let mut lines = Lines::default();
        check(file.path(), NOW_MS, &mut lines);
        (lines.0[0].state, lines.0[0].found.clone())
    }

    #[test]
    fn a_certificate_is_judged_by_its_dates_from_30_days_before_its_end() {
        for (from, until, state, words) in [
            ((2025, 1, 1), (2026, 1, 1), State::Ok, "pi-0042, until 2026-01-01 00:00:00 UTC"),
            ((2025, 1, 1), (2025, 12, 1), State::Warning, "pi-0042, expires in 9 d 22 h"),
            ((2025, 1, 1), (2025, 11, 20), State::Wrong, "pi-0042, expired since 2025-11-20"),
            ((2025, 12, 1), (2027, 1, 1), State::Wrong, "not good before 2025-12-01"),
        ] {
            let pem = issued(from, until, |_| {});
            for check in [certificate, authority] {
                let (found_state, found) = checked(check, &pem);
                assert_eq!(found_state, state, "{found}");
                let words = words.trim_start_matches("pi-0042, ");
                assert!(found.contains(words), "{words} is not in {found}");
            }
        }
        assert_eq!(checked(certificate, "nothing").0, State::Wrong);
    }

    #[test]
    fn an_authority_of_which_one_certificate_is_still_good_is_good() {
        let old = issued((2020, 1, 1), (2021, 1, 1), |_| {});
        let new = issued((2025, 1, 1), (2035, 1, 1), |_| {});
        assert_eq!(checked(authority, &(old + &new)).0, State::Ok);
    }

    #[test]
    fn a_certificate_for_servers_alone_and_a_chain_out_of_order_are_wrong() {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let made_for = |purposes: &[rcgen::ExtendedKeyUsagePurpose]| {
            let purposes = purposes.to_vec();
            issued((2025, 1, 1), (2035, 1, 1), |params| params.extended_key_usages = purposes)
        };
        let (state, found) = checked(certificate, &made_for(&[ServerAuth]));
        assert!(state == State::Wrong && found.contains("clientAuth"), "{found}");
        assert_eq!(checked(certificate, &made_for(&[ServerAuth, ClientAuth])).0, State::Ok);
        let other = issued((2025, 1, 1), (2035, 1, 1), |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "somebody else");
        });
        let (state, found) = checked(certificate, &(made_for(&[ClientAuth]) + &other));
        assert!(state == State::Wrong && found.contains("certificate 2"), "{found}");
    }

    #[test]
    fn a_secret_that_others_may_read_is_wrong_and_told_with_the_command_that_mends_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, state) in [
            (0o600, State::Ok),
            (0o640, State::Ok),
            (0o400, State::Ok),
            (0o644, State::Wrong),
            (0o660, State::Wrong),
            (0o604, State::Wrong),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let mut lines = Lines::default();
            secret("key file", file.path(), &mut lines);
            let line = &lines.0[0];
            assert_eq!(line.state, state, "{mode:o}: {}", line.found);
            let remedy = format!("chmod 640 {}", file.path().display());
            assert_eq!(line.remedy, (state == State::Wrong).then_some(remedy));
        }
    }
}
