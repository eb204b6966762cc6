//! The board: its name, its temperature, and whether its firmware slows it down.

use edge_protocol::presence::Throttle;

use super::{Machine, Throttling};

/// Where a Raspberry Pi tells what slows it down. Each kernel says once in its log that hwmon is
/// the newer way; that one knows the voltage alone.
const GET_THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// Bit 0 to 3 of what the firmware tells; from bit 16 on, the same of earlier.
const BITS: [Throttle; 4] = [
    Throttle::UnderVoltage,
    Throttle::FrequencyCapped,
    Throttle::Throttled,
    Throttle::SoftTemperatureLimit,
];
const EARLIER_SHIFT: u32 = 16;

pub(super) fn model(machine: &Machine) -> String {
    let model = [
        "proc/device-tree/model",
        "sys/class/dmi/id/product_name",
        "sys/devices/virtual/dmi/id/board_name",
    ]
    .into_iter()
    .filter_map(|path| machine.text(path))
    // The device tree ends its texts with a NUL.
    .map(|model| model.trim_matches(['\0', '\n', ' ']).to_owned())
    .find(|model| !model.is_empty());
    model.unwrap_or_else(|| format!("{} machine", std::env::consts::ARCH))
}

/// The kernel tells thousandths of a degree.
pub(super) fn celsius(machine: &Machine) -> Option<f64> {
    let text = machine.text("sys/class/thermal/thermal_zone0/temp")?;
    let thousandths: i32 = text.trim().parse().ok()?;
    Some(f64::from(thousandths) / 1000.0)
}

pub(super) fn throttling(machine: &Machine) -> Option<Throttling> {
    match machine.text(GET_THROTTLED) {
        Some(text) => told(&text),
        None => under_voltage(machine),
    }
}

/// Hexadecimal digits, without `0x`.
fn told(get_throttled: &str) -> Option<Throttling> {
    let bits = u32::from_str_radix(get_throttled.trim(), 16).ok()?;
    let set = |bits: u32| {
        let reasons = BITS.iter().enumerate();
        reasons.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, reason)| *reason).collect()
    };
    Some(Throttling { now: set(bits), earlier: Some(set(bits >> EARLIER_SHIFT)) })
}

/// The alarm of the sensor `rpi_volt`: `1` while the voltage is too low.
fn under_voltage(machine: &Machine) -> Option<Throttling> {
    let sensors = std::fs::read_dir(machine.root.join("sys/class/hwmon")).ok()?;
    let named = |folder: &std::path::PathBuf| {
        std::fs::read_to_string(folder.join("name")).is_ok_and(|name| name.trim() == "rpi_volt")
    };
    let sensor = sensors.filter_map(|entry| Some(entry.ok()?.path())).find(named)?;
    let alarm = std::fs::read_to_string(sensor.join("in0_lcrit_alarm")).ok()?;
    let now = match alarm.trim() {
        "0" => Vec::new(),
        "1" => vec![Throttle::UnderVoltage],
        _ => return None,
    };
    Some(Throttling { now, earlier: None })
}
