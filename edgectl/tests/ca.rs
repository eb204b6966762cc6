//! `edgectl ca`, from outside: files, exit codes, and what the certificates say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use edgectl::ca::{Authority, Error, Validity};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

fn edgectl(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
    command.current_dir(folder).args(line.split(' ')).output().expect("edgectl runs")
}

fn code(folder: &Path, line: &str) -> i32 {
    edgectl(folder, line).status.code().expect("it ended by itself")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the file is there")
}

/// Looks at a certificate.
fn with_cert<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("it is PEM");
    look(&pem.parse_x509().expect("it is a certificate"))
}

fn common_name(cert: &X509Certificate<'_>) -> String {
    let name = cert.subject().iter_common_name().next().expect("it has a common name");
    name.as_str().expect("it is text").to_owned()
}

fn made() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(code(folder.path(), "ca init --dir site"), 0);
    folder
}

#[test]
fn an_authority_is_made_once_and_its_key_is_for_its_owner_alone() {
    let folder = made();
    let (cert, key) = (folder.path().join("site/ca.pem"), folder.path().join("site/ca.key"));
    let before = (read(&cert), read(&key));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let again = edgectl(folder.path(), "ca init --dir site");
    assert_eq!(again.status.code(), Some(73));
    assert!(String::from_utf8_lossy(&again.stderr).contains("ca.pem is there already"));
    assert_eq!((read(&cert), read(&key)), before);
    fs::remove_file(&cert).unwrap();
    assert_eq!(code(folder.path(), "ca init --dir site"), 73);
    assert!(!cert.exists(), "no new certificate beside the old key");
}

#[test]
fn a_nodes_certificate_carries_its_id_and_proves_a_client() {
    let folder = made();
    let signed = edgectl(folder.path(), "--json ca sign --dir site --node pi-0042 --out out");
    let told: serde_json::Value = serde_json::from_slice(&signed.stdout).unwrap();
    assert_eq!(told["certificate"], "out/pi-0042.pem");
    assert_eq!(told["key"], "out/pi-0042.key");
    let key = folder.path().join("out/pi-0042.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let key = KeyPair::from_pem(&read(&key)).unwrap();
    with_cert(&read(&folder.path().join("out/pi-0042.pem")), |cert| {
        assert_eq!(common_name(cert), "pi-0042");
        let usage = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(cert.key_usage().unwrap().unwrap().value.digital_signature());
        assert!(!cert.is_ca());
        assert_eq!(cert.public_key().raw, key.subject_public_key_info());
        assert!(cert.validity().is_valid());
        assert_eq!(
            told["expires_at_ms"].as_i64().unwrap() / 1_000,
            cert.validity().not_after.timestamp()
        );
    });
    assert_eq!(code(folder.path(), "ca sign --dir site --node pi-0042 --out out"), 73);
}

#[test]
fn a_brokers_certificate_carries_its_hosts_and_proves_a_server() {
    let folder = made();
    assert_eq!(
        code(folder.path(), "ca sign --dir site --broker broker.example 192.0.2.7 --days 30"),
        0
    );
    with_cert(&read(&folder.path().join("broker.pem")), |cert| {
        let usage = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
        let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
        let expected =
            [GeneralName::DNSName("broker.example"), GeneralName::IPAddress(&[192, 0, 2, 7])];
        assert_eq!(names.as_slice(), expected);
    });
    for wrong in ["mqtts://broker.example", "broker.example:8883", "a/b"] {
        assert_eq!(
            code(folder.path(), &format!("ca sign --dir site --broker {wrong} --out b")),
            64,
            "{wrong}"
        );
    }
}

#[test]
fn no_node_gets_the_control_planes_name() {
    let folder = made();
    assert_eq!(code(folder.path(), "ca sign --dir site --node control-plane"), 64);
    assert!(!folder.path().join("control-plane.pem").exists());
    assert_eq!(code(folder.path(), "ca sign --dir site --control-plane"), 0);
    with_cert(&read(&folder.path().join("control-plane.pem")), |cert| {
        assert_eq!(common_name(cert), "control-plane");
    });
}

#[test]
fn a_request_is_signed_for_its_key_alone() {
    let folder = made();
    let key = KeyPair::generate().unwrap();
    let request = |name: &str| {
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.serialize_request(&key).unwrap().pem().unwrap()
    };
    let csr = folder.path().join("node.csr");
    fs::write(&csr, request("pi-1")).unwrap();
    assert_eq!(code(folder.path(), "ca sign --dir site --node pi-2 --csr node.csr"), 65);
    assert_eq!(code(folder.path(), "ca sign --dir site --node pi-1 --csr node.csr"), 0);
    assert!(!folder.path().join("pi-1.key").exists());
    with_cert(&read(&folder.path().join("pi-1.pem")), |cert| {
        assert_eq!(common_name(cert), "pi-1");
        assert_eq!(cert.public_key().raw, key.subject_public_key_info());
        assert!(!cert.is_ca(), "what else it asks for is not granted");
        assert!(cert.subject_alternative_name().unwrap().is_none());
    });
    fs::write(&csr, request("pi-7")).unwrap();
    assert_eq!(code(folder.path(), "ca sign --dir site --csr node.csr"), 0, "it names itself");
    with_cert(&read(&folder.path().join("pi-7.pem")), |cert| assert_eq!(common_name(cert), "pi-7"));
    for (name, refusal) in [("control-plane", 64), ("operator-eve", 64), ("a/b", 65), ("", 65)] {
        fs::write(&csr, request(name)).unwrap();
        assert_eq!(code(folder.path(), "ca sign --dir site --csr node.csr"), refusal, "{name:?}");
    }
    fs::write(&csr, "no request").unwrap();
    assert_eq!(code(folder.path(), "ca sign --dir site --node pi-3 --csr node.csr"), 65);
    assert_eq!(code(folder.path(), "ca sign --dir site --node pi-3 --csr gone.csr"), 66);
}

#[test]
fn what_can_not_be_done_is_told_by_the_exit_code() {
    let folder = made();
    let at = folder.path();
    assert_eq!(code(at, "--version"), 0);
    assert_eq!(code(at, "ca sign --help"), 0);
    for usage in [
        "",
        "ca",
        "ca sign --dir site",
        "ca sign --dir site --node a --broker b",
        "ca sign --dir site --node -x",
        "ca sign --dir site --node a/b",
        "ca sign --dir site --node a --days 0",
        "ca sign --dir site --node a --days 5000",
        "ca sign --dir site --control-plane --csr x",
    ] {
        assert_eq!(code(at, usage), 64, "{usage}");
    }
    assert_eq!(code(at, "ca sign --dir nowhere --node a"), 66);
    fs::write(at.join("file"), "").unwrap();
    assert_eq!(code(at, "ca sign --dir site --node a --out file/below"), 74);
    fs::write(at.join("site/ca.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let foreign = edgectl(at, "--json ca sign --dir site --node a");
    assert_eq!(foreign.status.code(), Some(65));
    let told: serde_json::Value = serde_json::from_slice(&foreign.stderr).unwrap();
    assert_eq!(told["exit"], 65);
    assert!(told["error"].as_str().unwrap().contains("another certificate"), "{told}");
}

#[test]
fn serials_differ_even_for_the_same_key() {
    let authority = Authority::in_memory().unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let node = "pi-1".parse().unwrap();
    let named = authority.sign_request(&node, &csr, Validity::days(1).unwrap());
    assert!(matches!(named, Err(Error::BadRequest { .. })), "rcgen names its requests");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let serial = || {
        let signed = authority.sign_request(&node, &csr, Validity::days(1).unwrap()).unwrap();
        with_cert(&signed.cert_pem, |cert| cert.raw_serial().to_vec())
    };
    assert_ne!(serial(), serial());
}

#[test]
fn nothing_outlives_the_authority_that_signed_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::init(folder.path(), "short", Validity::days(10).unwrap()).unwrap();
    let node = "pi-1".parse().unwrap();
    let reopened = Authority::open(folder.path()).unwrap();
    assert_eq!(reopened.not_after_ms(), authority.not_after_ms() / 1_000 * 1_000);
    for authority in [&authority, &reopened] {
        let mut validity = Validity::days(9).unwrap();
        assert!(authority.issue_node_with(&node, validity).is_ok());
        validity.not_after += Duration::from_hours(48);
        let refused = authority.issue_node_with(&node, validity);
        assert!(matches!(refused, Err(Error::OutlivesAuthority)));
    }
}

#[test]
fn keys_are_not_printed() {
    let authority = Authority::in_memory().unwrap();
    let issued = authority.issue_node(&"pi-1".parse().unwrap()).unwrap();
    let printed = format!("{authority:?} {issued:?}");
    assert!(!printed.contains("PRIVATE"), "{printed}");
}

#[test]
fn an_operators_certificate_has_a_name_that_no_node_can_get() {
    let folder = made();
    assert_eq!(code(folder.path(), "ca sign --dir site --operator alice"), 0);
    let cert = read(&folder.path().join("operator-alice.pem"));
    assert_eq!(with_cert(&cert, common_name), "operator-alice");
    for wrong in ["--node operator-alice", "--operator a/b", "--operator alice --control-plane"] {
        assert_eq!(code(folder.path(), &format!("ca sign --dir site {wrong}")), 64, "{wrong}");
    }
    let long = "a".repeat(60);
    let refused = edgectl(folder.path(), &format!("ca sign --dir site --operator {long}"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("an operator's name is"));
}
