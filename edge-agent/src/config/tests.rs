//! Configurations, good and bad, with certificates made for the test.

mod at_a_broker;
mod mistakes;

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use tempfile::TempDir;

use plug_driver::{Backend, LineSettings};

use super::*;

const EXAMPLE: &str = include_str!("../../../provisioning/agent.toml.example");

#[test]
fn the_shipped_example_is_a_configuration() {
    let site = Site::new();
    let config = site.load(&site.here(EXAMPLE)).unwrap();
    assert_eq!(config.node.as_str(), "pi-0042");
    assert_eq!((config.outlets.len(), config.stations.len()), (4, 1));
    let Driver::Tasmota { url, relay, username, password_file } = &config.outlets[0].driver else {
        panic!("{:?}", config.outlets[0]);
    };
    assert_eq!((url.as_str(), *relay, username.as_str()), ("http://192.0.2.50", 1, "admin"));
    assert_eq!(fs::read_to_string(password_file.as_ref().unwrap()).unwrap(), "pass word\n");
    let Driver::Gpio { line, keeper } = &config.outlets[1].driver else {
        panic!("{:?}", config.outlets[1]);
    };
    assert_eq!((line.pin, line.active_low, &line.backend), (5, true, &Backend::Rppal));
    assert_eq!(keeper.as_deref(), Some(Path::new("/run/edge-agent-keeper/keeper.sock")));
    assert!(config.outlets[1].driver.leases());
    assert_eq!((config.outlets[2].rest, config.outlets[2].button), (Rest::On, Button::Obey));
    let Driver::Shelly { url, relay, username, password_file } = &config.outlets[3].driver else {
        panic!("{:?}", config.outlets[3]);
    };
    assert_eq!((url.as_str(), *relay, username), ("http://192.0.2.51", 1, &None));
    assert!(password_file.as_ref().unwrap().ends_with("plug-08.password"));
    assert_eq!(config.hash.len(), 64);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    let site = Site::new();
    let shown: String = EXAMPLE.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    assert_ne!(shown, EXAMPLE);
    let unsaid = site.load(&site.here(EXAMPLE)).unwrap();
    let mut said = site.load(&site.here(&shown)).unwrap();
    // The test keeps its files elsewhere.
    assert_eq!(said.tasks.scripts_dir, site.room.path().join("scripts"));
    said.tasks.scripts_dir = "/etc/edge-agent/scripts".into();
    said.hash.clone_from(&unsaid.hash);
    assert_eq!(format!("{said:?}"), format!("{unsaid:?}"));
}

#[test]
fn only_the_broker_and_the_certificates_must_be_named() {
    let site = Site::new();
    let config = site.load(&site.broker()).unwrap();
    assert_eq!(config.node.as_str(), "pi-0042");
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/edge-agent"));
    assert_eq!(config.broker.endpoints[0].to_string(), "broker.example:8883");
    assert_eq!(config.broker.keep_alive, Duration::from_secs(30));
    assert_eq!(config.sessions.warn_before_ms, [300_000, 60_000]);
    assert_eq!(config.clock, ClockSource::Auto);
    assert!(config.outlets.is_empty() && config.stations.is_empty());
    assert_eq!(config.listen.map(|address| address.to_string()).unwrap(), "127.0.0.1:9780");
}

#[test]
fn the_page_is_on_loopback_where_it_is_said_or_nowhere() {
    let site = Site::new();
    for (written, read) in
        [("", None), ("127.0.0.1:1", Some("127.0.0.1:1")), ("[::1]:0", Some("[::1]:0"))]
    {
        let config =
            site.load(&format!("{}[local]\nlisten = \"{written}\"\n", site.broker())).unwrap();
        assert_eq!(config.listen, read.map(|address| address.parse().unwrap()), "{written:?}");
    }
}

#[test]
fn the_character_device_has_more_lines_than_a_header_and_an_empty_socket_is_no_keeper() {
    let site = Site::new();
    let outlet = "[keeper]\nsocket = \"\"\n[[outlet]]\nid = \"a\"\ndriver = \"gpio\"\npin = 200\n";
    let cdev = format!("{}{outlet}backend = \"cdev\"\nchip = \"gpiochip1\"\n", site.broker());
    let config = site.load(&cdev).unwrap();
    let backend = Backend::Cdev { chip: Some("gpiochip1".to_owned()) };
    let line = LineSettings { pin: 200, active_low: false, backend };
    assert_eq!(config.outlets[0].driver, Driver::Gpio { line, keeper: None });
    assert!(!config.outlets[0].driver.leases());
    assert_eq!(config.keeper, None);
}

/// What a session kept before there were keepers and other backends is still read.
#[test]
fn the_text_of_a_gpio_driver_is_frozen() {
    let line = LineSettings { pin: 17, active_low: true, backend: Backend::Rppal };
    for (text, keeper) in [
        (r#"{"driver":"gpio","pin":17,"active_low":true}"#, None),
        (r#"{"driver":"gpio","pin":17,"active_low":true,"keeper":"/k"}"#, Some("/k".into())),
    ] {
        let driver = Driver::Gpio { line: line.clone(), keeper };
        assert_eq!(driver.definition(), text);
        assert_eq!(Driver::defined(text), Some(driver));
    }
}

#[test]
fn a_certificate_that_does_not_serve_is_told_by_the_line_that_names_it() {
    let site = Site::new();
    let (other, key) = (certificate(Some("pi-0042"), 2100), KeyPair::generate().unwrap());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, content, line, reason) in [
        ("ca.pem", None, 3, "can't be read"),
        ("ca.pem", Some("hello"), 3, "holds no certificate"),
        ("node.pem", None, 4, "can't be read"),
        ("node.pem", Some(""), 4, "holds no certificate"),
        ("node.pem", Some("-----BEGIN CERTIFICATE-----\n?"), 4, "is not PEM"),
        ("node.pem", Some(broken), 4, "the certificate can't be read"),
        ("node.pem", Some(&certificate(None, 2100).0), 4, "has no common name"),
        ("node.pem", Some(&certificate(Some("pi 42"), 2100).0), 4, "\"pi 42\" is not an id"),
        ("node.pem", Some(&other.0), 5, "is not the key of the certificate in"),
        ("node.key", None, 5, "can't be read"),
        ("node.key", Some(&other.0), 5, "holds no private key"),
        ("node.key", Some(&key.serialize_pem()), 5, "is not the key of the certificate in"),
    ] {
        let spoiled = Site::new();
        match content {
            Some(content) => fs::write(spoiled.room.path().join(file), content).unwrap(),
            None => fs::remove_file(spoiled.room.path().join(file)).unwrap(),
        }
        let told = spoiled.refused(&spoiled.broker());
        assert_eq!(told.0, Some(line), "{file} {content:?}: {}", told.1);
        assert!(told.1.contains(reason) && told.1.contains(file), "{content:?}: {}", told.1);
    }
    assert!(site.load(&site.broker()).is_ok());
}

#[test]
fn an_expired_certificate_is_a_warning_since_the_sessions_must_still_end() {
    let site = Site::new();
    site.identify(certificate(Some("pi-0042"), 2020));
    let config = site.load(&site.broker()).unwrap();
    assert_eq!(config.certificate_expires_at_ms, 1_577_836_800_000);
    assert!(
        config.warnings[0].ends_with("node.pem has expired: renew it"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn endpoints_are_mqtts_and_there_is_one() {
    let site = Site::new();
    for (endpoints, reason) in [
        ("[]", "at least one broker"),
        ("[\"mqtt://broker.example\"]", "must be mqtts://HOST"),
        ("[\"mqtts://one\", \"mqtts://two:0\"]", "which must be 1 to 65535"),
    ] {
        let told = site.refused(&site.broker().replace("[\"mqtts://broker.example\"]", endpoints));
        assert_eq!(told.0, Some(2));
        assert!(told.1.contains(reason), "{}", told.1);
    }
}

#[test]
fn an_error_prints_as_file_line_and_reason_and_a_secret_does_not_print() {
    let site = Site::new();
    let config = site.room.path().join("agent.toml");
    fs::write(&config, "[broker]\nendpoint = 1\n").unwrap();
    let shown = load(&config).unwrap_err().to_string();
    assert!(
        shown.starts_with(&format!("{}:2: unknown field `endpoint`", config.display())),
        "{shown}"
    );
    let missing = load(&site.room.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml: can't be read"), "{missing}");
    assert!(!format!("{:?}", site.load(&site.here(EXAMPLE)).unwrap()).contains("pass word"));
}

#[test]
fn a_file_without_a_broker_is_told_so() {
    let told = Site::new().refused("[node]\nid = \"pi-0042\"\n");
    assert_eq!(told, (Some(1), "missing field `broker`".to_owned()));
}

#[test]
fn a_shelly_as_kept_with_a_session_is_read_again() {
    for text in [
        r#"{"driver":"shelly","url":"http://192.0.2.51","relay":1}"#,
        r#"{"driver":"shelly","url":"http://192.0.2.51","relay":2,"username":"admin","password_file":"/etc/edge-agent/plug-08.password"}"#,
    ] {
        assert_eq!(Driver::defined(text).unwrap().definition(), text);
    }
}

#[test]
fn what_discovery_writes_is_a_configuration() {
    let site = Site::new();
    let found = |family, name: &str, relays, password_needed| plug_driver::discover::Found {
        family,
        generation: Some(1),
        firmware: "v1.14.0 \u{7} \"x\"".to_owned(),
        name: name.to_owned(),
        url: "http://192.0.2.7:8080".to_owned(),
        at_broker: None,
        relays,
        metered: None,
        password_needed,
    };
    let (tasmota, shelly) =
        (plug_driver::discover::Family::Tasmota, plug_driver::discover::Family::Shelly);
    let found = [
        found(shelly, "", Some(4), false),
        found(shelly, "Küche \"links\"\n[node]", None, true),
        found(tasmota, "plug-07", Some(1), false),
        found(tasmota, "plug-07", Some(2), true),
        found(tasmota, &"-x".repeat(99), Some(1), true),
    ];
    let taken = std::collections::BTreeSet::from(["plug-07".to_owned()]);
    let text = plug_driver::discover::outlets(&found, &taken);
    let config = site.load(&format!("{}{text}", site.broker())).unwrap();
    assert_eq!(config.outlets.len(), 9, "{text}");
    assert!(config.outlets.iter().all(|outlet| outlet.id.as_str() != "plug-07"));
    // And with what it says of passwords, once there are some.
    for outlet in &config.outlets {
        let file = site.room.path().join(format!("{}.password", outlet.id));
        fs::write(file, "joker").unwrap();
    }
    let said: String = text.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    let config = site.load(&site.here(&format!("{}{said}", site.broker()))).unwrap();
    let passwords = config.outlets.iter().filter(|outlet| match &outlet.driver {
        Driver::Shelly { password_file, .. } | Driver::Tasmota { password_file, .. } => {
            password_file.is_some()
        }
        Driver::TasmotaMqtt { .. } | Driver::Gpio { .. } | Driver::Simulated { .. } => false,
    });
    assert_eq!(passwords.count(), 4, "{said}");
}

/// A directory with the certificates that a configuration names.
struct Site {
    room: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { room: tempfile::tempdir().unwrap() };
        fs::write(site.room.path().join("ca.pem"), certificate(Some("site CA"), 2100).0).unwrap();
        for file in ["plug-07.password", "plug-08.password"] {
            fs::write(site.room.path().join(file), "pass word\n").unwrap();
        }
        site.identify(certificate(Some("pi-0042"), 2100));
        site
    }

    fn identify(&self, (certificate, key): (String, String)) {
        fs::write(self.room.path().join("node.pem"), certificate).unwrap();
        fs::write(self.room.path().join("node.key"), key).unwrap();
    }

    /// `text` with the operator's directory moved here.
    fn here(&self, text: &str) -> String {
        text.replace("/etc/edge-agent", &self.room.path().display().to_string())
    }

    /// Lines 1 to 5 of a configuration.
    fn broker(&self) -> String {
        self.here(
            "[broker]\nendpoints = [\"mqtts://broker.example\"]\nca_file = \"/etc/edge-agent/ca.pem\"\n\
             cert_file = \"/etc/edge-agent/node.pem\"\nkey_file = \"/etc/edge-agent/node.key\"\n",
        )
    }

    fn load(&self, text: &str) -> Result<Config, ConfigError> {
        let file = self.room.path().join("agent.toml");
        fs::write(&file, text).unwrap();
        load(&file)
    }

    fn refused(&self, text: &str) -> (Option<usize>, String) {
        let error = self.load(text).expect_err(text);
        (error.line, error.reason)
    }
}

/// A certificate that ends with the year before `expires`, and its key.
fn certificate(common_name: Option<&str>, expires: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.not_after = date_time_ymd(expires, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn station(id: &str, outlet: &str) -> String {
    format!("[[station]]\nid = \"{id}\"\noutlets = [\"{outlet}\"]\n")
}

/// `#key = value` is a default that is shown; `# words` are prose.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| rest.starts_with(char::is_alphabetic)).unwrap_or(line)
}
