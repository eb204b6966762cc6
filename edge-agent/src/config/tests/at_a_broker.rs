//! Plugs that hang on a broker of the venue's network.

use super::*;

#[test]
fn a_plug_at_a_broker_is_its_topic_there_and_the_broker_is_kept_with_it() {
    let site = Site::new();
    let plug = "[[outlet]]\nid = \"a\"\ndriver = \"tasmota\"\nmqtt_topic = \"tasmota_C2D3E4\"\n";
    let plugs = "[plugs]\nmqtt = \"mqtt://192.0.2.10\"\nusername = \"edge\"\n\
                 password_file = \"/etc/edge-agent/plug-07.password\"\n";
    let config = site.load(&site.here(&format!("{}{plugs}{plug}relay = 2\n", site.broker())));
    let driver = config.unwrap().outlets.remove(0).driver;
    let text = site.here(
        r#"{"driver":"tasmota_mqtt","broker":{"host":"192.0.2.10","port":1883,"username":"edge","password_file":"/etc/edge-agent/plug-07.password"},"topic":"tasmota_C2D3E4","full_topic":"%prefix%/%topic%/","relay":2}"#,
    );
    assert_eq!(driver.definition(), text);
    assert_eq!(Driver::defined(&text), Some(driver.clone()));
    assert_eq!((driver.name(), driver.leases()), ("tasmota", true));
    let anonymous = r#"{"driver":"tasmota_mqtt","broker":{"host":"::1","port":1},"topic":"a","full_topic":"%topic%/%prefix%/","relay":1}"#;
    let written = "[plugs]\nmqtt = \"mqtt://[::1]:1\"\n[[outlet]]\nid = \"a\"\ndriver = \"tasmota\"\n\
                   mqtt_topic = \"a\"\nmqtt_full_topic = \"%topic%/%prefix%/\"\n";
    let config = site.load(&format!("{}{written}", site.broker())).unwrap();
    assert_eq!(config.outlets[0].driver.definition(), anonymous);
}

/// What a session kept of a Tasmota plug before there were brokers is still read, and written so.
#[test]
fn the_text_of_a_tasmota_driver_is_frozen() {
    let text = r#"{"driver":"tasmota","url":"http://192.0.2.50","relay":1,"username":"admin","password_file":null}"#;
    assert_eq!(Driver::defined(text).unwrap().definition(), text);
}

#[test]
fn a_mistake_about_the_broker_of_plugs_is_told_by_its_line_and_its_reason() {
    let site = Site::new();
    let plug = "[[outlet]]\nid = \"a\"\ndriver = \"tasmota\"\nmqtt_topic = \"t\"\n"; // Lines 6 to 9.
    let plugs = "[plugs]\nmqtt = \"mqtt://192.0.2.10\"\n";
    for (text, line, reason) in [
        (plug.to_owned(), 9, "mqtt_topic needs [plugs] mqtt = \"mqtt://HOST\""),
        (
            format!("{plug}url = \"http://192.0.2.1\"\n{plugs}"),
            10,
            "a url or an mqtt_topic, not both",
        ),
        (format!("{plug}username = \"admin\"\n{plugs}"), 10, "in [plugs]"),
        (format!("{plug}relay = 0\n{plugs}"), 10, "relay must be 1 to 32"),
        (
            format!("{plug}mqtt_full_topic = \"%topic%\"\n{plugs}"),
            10,
            "must hold %prefix% and %topic%",
        ),
        (plug.replace("\"t\"", "\"t/#\"") + plugs, 9, "must be the plug's Topic"),
        (
            plug.replace("tasmota", "shelly")
                .replace("mqtt_topic", "url = \"http://p\"\nmqtt_topic"),
            10,
            "mqtt_topic is no key of the driver shelly",
        ),
        (plug.replace("mqtt_topic", "mqtt_full_topic"), 9, "means nothing without mqtt_topic"),
        ("[plugs]\nmqtt = \"192.0.2.10\"".into(), 7, "must be mqtt://HOST"),
        ("[plugs]\nmqtt = \"mqtts://192.0.2.10\"".into(), 7, "no precompiled Tasmota"),
        ("[plugs]\nusername = \"edge\"".into(), 7, "means nothing without mqtt"),
        (format!("{plugs}username = \"edge\""), 8, "without a password_file"),
        (format!("{plugs}password_file = \"/no/such\""), 8, "can't be read"),
        ("[plugs]\nbroker = \"x\"".into(), 7, "unknown field `broker`"),
    ] {
        let told = site.refused(&format!("{}{text}\n", site.broker()));
        assert_eq!(told.0, Some(line), "{text}: {}", told.1);
        assert!(told.1.contains(reason), "{text}: {}", told.1);
    }
}
