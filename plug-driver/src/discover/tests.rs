//! Discovery on loopback: real connections, and announcements that stay on this machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::announced::announced_to;
use super::*;

const SHELLY: &str = r#"{"id":"shellyplug-1","gen":2,"ver":"1.4.4","auth_en":false}"#;
const SHELLY_STATUS: &str = r#"{"switch:0":{"output":true,"apower":3},"switch:1":{}}"#;
const TASMOTA: &str = r#"{"Status":{"DeviceName":"Bar"},"StatusFWR":{"Version":"13.4.0"},"StatusSTS":{"POWER":"ON"}}"#;

/// Something that answers HTTP: status, `Server` and body by target; 404 to all others.
#[derive(Clone)]
struct Stranger {
    port: u16,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Stranger {
    async fn at(
        host: Ipv4Addr,
        port: u16,
        answers: BTreeMap<&'static str, &'static str>,
    ) -> Option<Self> {
        let listener = TcpListener::bind((host, port)).await.ok()?;
        let port = listener.local_addr().unwrap().port();
        let targets = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.is_ok_and(|read| read == 0) {
                        break;
                    }
                }
                let request = String::from_utf8(request).unwrap();
                assert!(!request.contains("uthorization"), "{request}");
                let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = answers.get(target.as_str());
                let (status, body) = answer.map_or((404, "no"), |body| (200, *body));
                let length = body.len();
                let reply =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(reply.as_bytes()).await;
                asked.lock().unwrap().push(target);
            }
        });
        Some(Self { port, targets })
    }
}

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A Shelly and a Tasmota at the two hosts of 127.0.0.0/30, at one port.
async fn neighbours() -> (Stranger, Stranger) {
    let shelly = BTreeMap::from([("/shelly", SHELLY), ("/rpc/Shelly.GetStatus", SHELLY_STATUS)]);
    let tasmota = BTreeMap::from([("/cm?cmnd=Status%200", TASMOTA)]);
    loop {
        let first = Stranger::at(FIRST, 0, shelly.clone()).await.unwrap();
        if let Some(second) = Stranger::at(SECOND, first.port, tasmota.clone()).await {
            return (first, second);
        }
    }
}

#[tokio::test]
async fn a_scan_finds_both_families_and_asks_them_nothing_that_switches() {
    let (shelly, tasmota) = neighbours().await;
    let found = scan("127.0.0.0/30".parse().unwrap(), shelly.port).await;
    let told: Vec<_> =
        found.iter().map(|it| (it.family, it.name.as_str(), it.relays, it.metered)).collect();
    assert_eq!(
        told,
        [
            (Family::Tasmota, "Bar", Some(1), Some(false)),
            (Family::Shelly, "shellyplug-1", Some(2), Some(true)),
        ]
    );
    assert_eq!(found[0].url, format!("http://127.0.0.2:{}", tasmota.port));
    assert_eq!(*shelly.targets.lock().unwrap(), ["/shelly", "/rpc/Shelly.GetStatus"]);
    assert_eq!(*tasmota.targets.lock().unwrap(), ["/shelly", "/cm?cmnd=Status%200"]);
}

#[tokio::test]
async fn what_is_silent_or_something_else_is_not_found_and_takes_a_second_each() {
    let silent = TcpListener::bind((FIRST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let printer = Stranger::at(SECOND, port, BTreeMap::from([("/shelly", "<html>")])).await;
    let began = Instant::now();
    assert_eq!(scan("127.0.0.0/30".parse().unwrap(), port).await, []);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    if let Some(printer) = printer {
        assert_eq!(printer.targets.lock().unwrap().len(), 2);
    }
}

/// A daemon whose packets stay on this machine.
fn local_daemon() -> ServiceDaemon {
    // Not the port of real announcements.
    let daemon = ServiceDaemon::new_with_port(15_353).unwrap();
    daemon.disable_interface(IfKind::All).unwrap();
    daemon.enable_interface(IfKind::LoopbackV4).unwrap();
    daemon
}

#[tokio::test]
async fn what_announces_itself_as_a_shelly_is_found_and_a_printer_is_not() {
    let (shelly, _tasmota) = neighbours().await;
    let printer = Stranger::at(FIRST, 0, BTreeMap::new()).await.unwrap();
    let announcer = local_daemon();
    for (service, name, port) in [
        ("_shelly._tcp.local.", "shellyplug-1", shelly.port),
        ("_http._tcp.local.", "shellyplug-1", shelly.port),
        ("_http._tcp.local.", "Printer", printer.port),
    ] {
        let host = format!("{name}.local.");
        let info = ServiceInfo::new(service, name, &host, "127.0.0.1", port, &[("gen", "2")][..]);
        announcer.register(info.unwrap()).unwrap();
    }
    // Announcements take their time; what is found ends the wait.
    let mut found = Vec::new();
    for _ in 0..10 {
        found = announced_to(&local_daemon(), Duration::from_secs(1)).await.unwrap();
        if !found.is_empty() {
            break;
        }
    }
    let names: Vec<_> = found.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["shellyplug-1"]);
    assert_eq!(found[0].url, format!("http://127.0.0.1:{}", shelly.port));
    assert_eq!(*printer.targets.lock().unwrap(), [""; 0]);
    let _ = announcer.shutdown();
}

#[test]
fn a_plug_that_was_found_in_two_ways_is_one() {
    let found = |family, url: &str| Found {
        family,
        generation: None,
        firmware: String::new(),
        name: "x".to_owned(),
        url: url.to_owned(),
        at_broker: None,
        relays: None,
        metered: None,
        password_needed: false,
    };
    let (shelly, tasmota) =
        (found(Family::Shelly, "http://192.0.2.1"), found(Family::Tasmota, "http://192.0.2.9"));
    let all = together([shelly.clone(), tasmota.clone(), shelly.clone()]);
    assert_eq!(all, [tasmota.clone(), shelly]);
    let at_broker = |topic: &str| {
        let full_topic = crate::PlugTopics::DEFAULT_FULL.to_owned();
        let at_broker = AtBroker { topic: topic.to_owned(), full_topic };
        Found { at_broker: Some(at_broker), ..tasmota.clone() }
    };
    let (left, right) = (at_broker("left"), at_broker("right"));
    let all = together([right.clone(), tasmota.clone(), left.clone(), right.clone()]);
    assert_eq!(all, [left, right], "two that tell one address are two");
}
