//! An identity, from nothing to a certificate that counts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};

use super::*;

/// Some instant of 2026.
const NOW_MS: u64 = 1_780_000_000_000;

fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A certificate as an authority would sign it: for `key`, under `name`, until `year`.
fn signed(key: &KeyPair, name: &str, year: i32, purpose: ExtendedKeyUsagePurpose) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![purpose];
    params.not_after = date_time_ymd(year, 1, 1);
    let authority = KeyPair::generate().unwrap();
    let mut of = CertificateParams::default();
    of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.signed_by(key, &Issuer::new(of, authority)).unwrap().pem()
}

fn key_in(folder: &Path) -> KeyPair {
    key(folder).unwrap().unwrap()
}

fn client(folder: &Path, name: &str, year: i32) -> String {
    signed(&key_in(folder), name, year, ExtendedKeyUsagePurpose::ClientAuth)
}

/// A folder with a key for `pi-1`, not signed yet.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &id("pi-1")).unwrap();
    folder
}

#[test]
fn a_key_is_made_once_is_for_its_owner_alone_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("etc/edge-agent");
    let first = init(&at, &id("pi-1")).unwrap();
    assert!(first.new_key);
    let (key, request) = (read(&at, KEY), read(&at, REQUEST));
    let mode = |name| fs::metadata(at.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(KEY), mode(REQUEST)), (0o600, 0o644));
    let again = init(&at, &id("pi-1")).unwrap();
    assert!(!again.new_key);
    assert_eq!((read(&at, KEY), read(&at, REQUEST)), (key.clone(), request));
    assert_eq!(again.key_fingerprint, first.key_fingerprint);
    assert_eq!(fs::read_dir(&at).unwrap().count(), 2, "no draft is left behind");
    // Called otherwise before it was ever signed: the key stays, and asks under the new name.
    init(&at, &id("pi-2")).unwrap();
    assert_eq!(read(&at, KEY), key);
    assert_eq!(request::asked_for(&at, &key_in(&at)).unwrap(), Some(id("pi-2")));
}

#[test]
fn a_key_that_was_cut_off_in_the_making_is_made_again_and_one_that_is_there_never() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("node.key.new"), "-----BEGIN PRI").unwrap();
    assert!(init(at, &id("pi-1")).unwrap().new_key);
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join(KEY), "what somebody keeps here").unwrap();
    let refused = init(other.path(), &id("pi-1")).unwrap_err();
    assert!(matches!(refused, Error::BadKey(_)), "{refused}");
    assert_eq!(read(other.path(), KEY), "what somebody keeps here");
    let written = files::write_secret(&at.join(KEY), b"another");
    assert!(matches!(written, Err(Error::Write { .. })), "not even by mistake");
}

#[test]
fn a_certificate_counts_that_is_the_keys_and_bears_the_nodes_name() {
    let folder = made();
    let at = folder.path();
    let waiting = show(at).unwrap();
    assert_eq!((waiting.node, waiting.certificate), (Some(id("pi-1")), None));
    let pem = client(at, "pi-1", 2030);
    let installed = install(at, "pi-1.pem", pem.as_bytes(), None, NOW_MS).unwrap();
    assert!(installed.changed && installed.certificate.fits_key);
    assert!(!install(at, "pi-1.pem", pem.as_bytes(), None, NOW_MS).unwrap().changed);
    let shown = show(at).unwrap();
    assert_eq!(shown.node, Some(id("pi-1")));
    assert_eq!(shown.certificate.unwrap().expires_at_ms, 1_893_456_000_000);
    // A later one for the same key takes its place.
    let renewed = client(at, "pi-1", 2031);
    assert!(install(at, "-", renewed.as_bytes(), None, NOW_MS).unwrap().changed);
    assert_eq!(read(at, CERTIFICATE), renewed);
    let refused = init(at, &id("pi-2")).unwrap_err().to_string();
    assert!(refused.starts_with("this node is pi-1 by its certificate"), "{refused}");
}

#[test]
fn a_certificate_that_is_not_the_nodes_changes_nothing_and_says_why() {
    let folder = made();
    let at = folder.path();
    let own = key_in(at);
    let foreign = KeyPair::generate().unwrap();
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = authority.self_signed(&own).unwrap().pem();
    for (pem, reason) in [
        (String::new(), "holds no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(), "can't be read"),
        (own.serialize_pem(), "holds no certificate in PEM"),
        (signed(&foreign, "pi-1", 2030, client.clone()), "not made for the key"),
        (signed(&own, "pi-2", 2030, client.clone()), "it names pi-2, and this node is to be pi-1"),
        (signed(&own, "../pi", 2030, client.clone()), "common name"),
        (signed(&own, "pi-1", 2030, server), "does not prove a client"),
        (signed(&own, "pi-1", 2026, client), "it has expired"),
        (authority, "an authority's certificate"),
    ] {
        let refused =
            install(at, "given.pem", pem.as_bytes(), None, NOW_MS).unwrap_err().to_string();
        assert!(refused.starts_with("given.pem: ") && refused.contains(reason), "{refused}");
        assert!(!at.join(CERTIFICATE).exists());
    }
    fs::remove_file(at.join(KEY)).unwrap();
    assert!(matches!(install(at, "x", b"", None, NOW_MS), Err(Error::NoKey(_))));
    assert!(matches!(show(at), Err(Error::NoKey(_))));
}

#[test]
fn a_clock_that_runs_behind_refuses_no_certificate() {
    let folder = made();
    let at = folder.path();
    let pem = client(at, "pi-1", 2030);
    let in_1970 = 5_000;
    assert!(install(at, "pi-1.pem", pem.as_bytes(), None, in_1970).unwrap().changed);
}

#[test]
fn only_an_authority_is_taken_for_one() {
    let folder = made();
    let at = folder.path();
    let refused = install_authority(at, "ca.pem", client(at, "pi-1", 2030).as_bytes()).unwrap_err();
    assert_eq!(refused.to_string(), "ca.pem: it is no authority's certificate");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    assert!(install_authority(at, "ca.pem", pem.as_bytes()).unwrap());
    assert!(!install_authority(at, "ca.pem", pem.as_bytes()).unwrap(), "the same once more");
}
