//! Mistakes, each told by its line and its reason.

use super::*;

#[test]
fn a_mistake_is_told_by_its_line_and_its_reason() {
    let site = Site::new();
    // What stands behind `[broker]` and its four keys, so the first line here is line 6.
    for (text, line, reason) in [
        ("colour = \"red\"", 6, "unknown field `colour`"),
        ("\n[sessoins]", 7, "unknown field `sessoins`"),
        ("[node]\ndata-dir = \"/x\"", 7, "unknown field `data-dir`"),
        ("[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\nwatts = 3", 9, "unknown field `watts`"),
        ("[node]\nid = \"pi 0042\"", 7, "\"pi 0042\" is not an id"),
        ("[node]\nid = \"pi-0043\"", 7, "common name, which is pi-0042"),
        ("[node]\ngroups = [\"a/b\"]", 7, "\"a/b\" is not an id"),
        ("encoding = \"xml\"", 6, "unknown variant `xml`"),
        ("topic_root = \"edge/#\"", 6, "topic_root must"),
        ("topic_root = \"\"", 6, "topic_root must"),
        ("topic_root = \"$SYS/edge\"", 6, "topic_root must"),
        ("keep_alive_ms = 4999", 6, "keep_alive_ms must be 5000 to 64800000, not 4999"),
        ("keep_alive_ms = 64800001", 6, "keep_alive_ms must be 5000 to 64800000"),
        ("keep_alive_ms = -1", 6, "invalid value: integer `-1`"),
        ("reconnect_min_ms = 0", 6, "reconnect_min_ms must be 10 to"),
        ("\nreconnect_min_ms = 60001", 7, "must not be above reconnect_max_ms (60000)"),
        ("reconnect_max_ms = 499", 6, "reconnect_min_ms (500) must not be above"),
        ("[clock]\nsource = \"gps\"", 7, "unknown variant `gps`"),
        ("[sessions]\ngrace_ms = 600001", 7, "grace_ms must be 0 to 600000"),
        ("[sessions]\nwarn_before_ms = [1,\n0]", 8, "warn_before_ms must be 1 to"),
        (
            "[sessions]\nwarn_before_ms = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
            7,
            "16 warnings at most",
        ),
        ("[outbox]\nmax_bytes = 1048575", 7, "max_bytes must be 1048576 to"),
        ("[tasks]\nmax_bytes = 1048575", 7, "max_bytes must be 1048576 to"),
        ("[tasks]\nconcurrency = 0", 7, "concurrency must be 1 to 64"),
        ("[tasks]\nconcurrency = 65", 7, "concurrency must be 1 to 64"),
        ("[tasks]\nmax_queued = 0", 7, "max_queued must be 1 to"),
        ("[tasks]\nscripts_dir = \"/dev/null\"", 7, "scripts_dir /dev/null is no directory"),
        ("[local]\nlisten = \"0.0.0.0:9780\"", 7, "listen must be on loopback"),
        ("[local]\nlisten = \"[::]:9780\"", 7, "listen must be on loopback"),
        ("[local]\nlisten = \"192.0.2.1:9780\"", 7, "listen must be on loopback"),
        ("[local]\nlisten = \"localhost:9780\"", 7, "listen must be ADDRESS:PORT"),
        ("[local]\nlisten = \"9780\"", 7, "listen must be ADDRESS:PORT"),
        ("[sessions]\nstagger_ms = 5001", 7, "stagger_ms must be 0 to 5000"),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\ncut_below_w = 0.0",
            9,
            "cut_below_w must be 0.1 to",
        ),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\nload_w = -1.0",
            9,
            "load_w must be 0.1 to",
        ),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"gpio\"\npin = 1\nload_w = 1.0",
            10,
            "a simulated outlet's",
        ),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\nmin_off_ms = 3600001",
            9,
            "min_off_ms must be 1 to",
        ),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\ncircuit = \"\"",
            9,
            "circuit must be 1 to",
        ),
        (
            "[[outlet]]\nid = \"a\"\ndriver = \"simulated\"\nrated_cycles = 99",
            9,
            "rated_cycles must be 100 to",
        ),
        ("[sessions]\ngrace_ms = \"soon\"", 7, "invalid type: string \"soon\""),
        ("[sessions]\ngrace_ms = 1\ngrace_ms = 2", 8, "duplicate key"),
        ("[sessions", 6, "unclosed table"),
    ] {
        let told = site.refused(&format!("{}{text}\n", site.broker()));
        assert_eq!(told.0, Some(line), "{text}: {}", told.1);
        assert!(told.1.contains(reason), "{text}: {}", told.1);
    }
}

#[test]
fn a_mistake_in_an_outlet_or_a_station_is_told_by_its_line_and_its_reason() {
    let site = Site::new();
    let outlet = "[[outlet]]\nid = \"a\"\ndriver = "; // Lines 6, 7 and 8.
    let plug = &format!("{outlet}\"tasmota\"\nurl = \"http://192.0.2.1\"\n"); // Lines 6 to 9.
    let shelly = &plug.replace("tasmota", "shelly"); // Lines 6 to 9.
    let pin = &format!("{outlet}\"gpio\"\npin = 4\n"); // Lines 6 to 9.
    let both = &format!("{pin}[[outlet]]\nid = \"b\"\ndriver = \"simulated\"\n"); // Lines 6 to 12.
    for (text, line, reason) in [
        (format!("{outlet}\"zwave\""), 8, "unknown variant `zwave`"),
        (format!("{outlet}\"shelly\""), 8, "the outlet a needs url"),
        (
            format!("{outlet}\"shelly\"\nurl = \"http://admin:x@plug\""),
            9,
            "url must be http://HOST[:PORT], without a user name or password",
        ),
        (format!("{shelly}relay = 0"), 10, "relay must be 1 to 32"),
        (format!("{shelly}pin = 4"), 10, "pin is no key of the driver shelly"),
        (format!("{shelly}backend = \"cdev\""), 10, "backend is no key of the driver shelly"),
        (format!("{shelly}username = \"admin\""), 10, "without a password_file"),
        (format!("{pin}backend = \"sysfs\""), 10, "unknown variant `sysfs`"),
        (format!("{pin}chip = \"gpiochip1\""), 10, "chip goes with backend = \"cdev\""),
        (format!("{pin}folder = \"/tmp\""), 10, "folder goes with backend = \"files\""),
        (format!("{pin}backend = \"files\""), 8, "the outlet a needs folder"),
        (
            format!("{pin}backend = \"files\"\nfolder = \"lines\""),
            11,
            "folder must be a path from the root",
        ),
        ("[keeper]\npath = \"/x\"".into(), 7, "unknown field `path`"),
        ("[[outlet]]\nid = \"a\"".into(), 6, "missing field `driver`"),
        (format!("{outlet}\"tasmota\""), 8, "the outlet a needs url"),
        (format!("{outlet}\"tasmota\"\nurl = \"https://plug\""), 9, "must be http://HOST"),
        (format!("{outlet}\"tasmota\"\nurl = \"http://plug/cm\""), 9, "must be http://HOST"),
        (format!("{plug}relay = 0"), 10, "relay must be 1 to 32"),
        (format!("{plug}pin = 4"), 10, "pin is no key of the driver tasmota"),
        (format!("{plug}username = \"admin\""), 10, "without a password_file"),
        (
            format!("{plug}password_file = \"/no/such\""),
            10,
            "password_file /no/such: can't be read",
        ),
        (format!("{plug}password_file = \"/dev/null\""), 10, "password_file /dev/null: is no file"),
        (format!("{plug}rest = \"dim\""), 10, "unknown variant `dim`"),
        (format!("{plug}button = \"ignore\""), 10, "unknown variant `ignore`"),
        (format!("{outlet}\"gpio\""), 8, "the outlet a needs pin"),
        (format!("{outlet}\"gpio\"\npin = 28"), 9, "pin must be 0 to 27"),
        (format!("{pin}url = \"http://192.0.2.1\""), 10, "url is no key of the driver gpio"),
        (
            format!("{outlet}\"simulated\"\nactive_low = true"),
            9,
            "active_low is no key of the driver",
        ),
        (
            format!("{both}[[outlet]]\nid = \"a\"\ndriver = \"simulated\""),
            14,
            "an outlet a already",
        ),
        (format!("{pin}{}", pin.replace("\"a\"", "\"c\"")), 13, "pin 4 is the outlet a's already"),
        (format!("{both}[[station]]\nid = \"s\"\noutlets = []"), 15, "the station s has no outlet"),
        (format!("{both}[[station]]\nid = \"s\"\noutlets = [\"a\",\n\"x\"]"), 16, "no outlet x"),
        (
            format!("{both}[[station]]\nid = \"s\"\noutlets = [\"a\", \"a\"]"),
            15,
            "in the station s already",
        ),
        (
            format!("{both}{}{}", station("s", "a"), station("s", "b")),
            17,
            "there is a station s already",
        ),
        (
            format!("{both}{}{}", station("s", "a"), station("t", "a")),
            18,
            "the outlet a is in the station s already",
        ),
        (
            format!("{both}rest = \"on\"\n{}", station("s", "b")),
            16,
            "the outlet b of a station must have rest = \"off\"",
        ),
    ] {
        let told = site.refused(&format!("{}{text}\n", site.broker()));
        assert_eq!(told.0, Some(line), "{text}: {}", told.1);
        assert!(told.1.contains(reason), "{text}: {}", told.1);
    }
}
