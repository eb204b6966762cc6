//! The figures of a Raspberry Pi, out of the files that its kernel shows; and of this machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::node::time::BootMs;

/// A Raspberry Pi 4 with a 32 GB card, as its kernel 6.1 shows itself.
struct Pi {
    root: TempDir,
}

const MEMINFO: &str = "MemTotal:        3885292 kB\nMemFree:         2301032 kB\n\
                       MemAvailable:    3372868 kB\nBuffers:           58744 kB\n";
const STAT: &str = "cpu  4705 150 1120 16250 520 0 55 0 0 0\ncpu0 1393 35 300 4000 100 0 55 0 0 0\n\
                    cpu1 1104 40 270 4083 140 0 0 0 0 0\ncpu2 1104 40 275 4083 140 0 0 0 0 0\n\
                    cpu3 1104 35 275 4084 140 0 0 0 0 0\nintr 114930548 0\nbtime 1763690000\n";
const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
    lo: 1097984    9150    0    0    0     0          0         0  1097984    9150    0    0    0     0       0          0\n \
 wlan0:  204857    1321    0    2    0     0          0        31    97122     640    0    0    0     0       0          0\n  \
  eth0:88224110   70212    0    0    0     0          0       211  3120977   24011    0    0    0     0       0          0\n";
const BLOCK_STAT: &str = "   12345     6789   987654    34567    23456    45678  1234567   456789        0    98765   491356        0        0        0        0\n";

impl Pi {
    fn new() -> Self {
        let pi = Self { root: TempDir::new().unwrap() };
        for (path, text) in [
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("proc/loadavg", "0.20 0.11 0.09 1/139 1442\n"),
            ("proc/meminfo", MEMINFO),
            ("proc/stat", STAT),
            ("proc/net/dev", NET_DEV),
            ("proc/self/statm", "5210 2309 1420 1200 0 700 0\n"),
            ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
            ("sys/block/mmcblk0/stat", BLOCK_STAT),
            ("sys/block/mmcblk0/device/name", "SC32G\n"),
            ("sys/block/mmcblk0/device/type", "SD\n"),
        ] {
            pi.write(path, text);
        }
        pi
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.root.path().join(path)).unwrap();
    }

    fn machine(&self) -> Machine {
        Machine::rooted(self.root.path(), Path::new("/no/such/directory"))
    }
}

#[test]
fn a_raspberry_pi_tells_its_figures_in_the_contracts_units() {
    let pi = Pi::new();
    let figures = pi.machine().read();
    let now = Now { boot: BootMs(86_400_123), wall_ms: 1_763_690_000_000, synced: true };
    let telemetry = figures.telemetry(now, None);
    let traffic = |interface: &str, received_bytes, sent_bytes| Traffic {
        interface: interface.to_owned(),
        received_bytes,
        sent_bytes,
    };
    let expected = Telemetry {
        at_ms: 1_763_690_000_000,
        uptime_ms: 86_400_123,
        load_1m: Some(0.2),
        // 6,030 of 22,800 ticks.
        cpu_percent: Some(26.4),
        cpu_c: Some(48.312),
        throttled: Some(vec![Throttle::UnderVoltage, Throttle::Throttled]),
        throttled_earlier: Some(vec![Throttle::UnderVoltage, Throttle::Throttled]),
        memory_available_bytes: Some(3_372_868 * 1024),
        memory_bytes: Some(3_885_292 * 1024),
        disk_written_bytes: Some(1_234_567 * 512),
        network: vec![traffic("eth0", 88_224_110, 3_120_977), traffic("wlan0", 204_857, 97_122)],
        agent_rss_bytes: telemetry.agent_rss_bytes,
        ..Telemetry::default()
    };
    assert_eq!(telemetry, expected);
    assert_eq!(telemetry.agent_rss_bytes.unwrap() % 2_309, 0);
}

#[test]
fn a_raspberry_pi_is_named_with_its_cores_its_memory_and_its_card() {
    let pi = Pi::new();
    let named = "Raspberry Pi 4 Model B Rev 1.4, 4 cores, 3794 MiB, SD card SC32G";
    assert_eq!(pi.machine().hardware(), named);
    pi.write("sys/block/mmcblk0/device/type", "MMC\n");
    assert!(pi.machine().hardware().ends_with(", eMMC SC32G"));
}

#[test]
fn busy_is_told_of_the_time_since_the_reading_before() {
    let cpu = |busy_ms, idle_ms| Cpu { busy_ms, idle_ms };
    assert_eq!(cpu(30, 970).percent_since(None), Some(3.0));
    assert_eq!(cpu(530, 1_470).percent_since(Some(cpu(30, 970))), Some(50.0));
    assert_eq!(cpu(30, 970).percent_since(Some(cpu(30, 970))), None, "no time has passed");
}

#[test]
fn an_emmc_tells_its_wear_and_an_sd_card_does_not() {
    let pi = Pi::new();
    let figures = pi.machine().read();
    assert_eq!((figures.disk_worn_percent, figures.disk_spares), (None, None));
    for (life_time, worn) in [
        ("0x01 0x02", Some(20)),
        ("0x0a 0x01", Some(100)),
        ("0x0b 0x0b", Some(110)),
        ("0x00 0x00", None),
        ("0x0c 0x01", None),
        ("1 2", None),
        ("", None),
    ] {
        pi.write("sys/block/mmcblk0/device/life_time", &format!("{life_time}\n"));
        assert_eq!(pi.machine().read().disk_worn_percent, worn, "{life_time}");
    }
    for (info, spares) in [
        ("0x01", Some(Spares::Normal)),
        ("0x02", Some(Spares::Warning)),
        ("0x03", Some(Spares::Urgent)),
        ("0x00", None),
    ] {
        pi.write("sys/block/mmcblk0/device/pre_eol_info", &format!("{info}\n"));
        assert_eq!(pi.machine().read().disk_spares, spares, "{info}");
    }
}

#[test]
fn the_disk_is_the_one_that_holds_the_data_even_from_a_partition() {
    let pi = Pi::new();
    let data = TempDir::new().unwrap();
    let device = fs::metadata(data.path()).unwrap().dev();
    let whole = "sys/devices/platform/emmc/block/mmcblk1";
    pi.write(&format!("{whole}/stat"), "1 1 1 1 1 1 8 1 1 1 1\n");
    pi.write(&format!("{whole}/mmcblk1p2/partition"), "2\n");
    pi.write(&format!("{whole}/mmcblk1p2/stat"), "1 1 1 1 1 1 4 1 1 1 1\n");
    let names = pi.root.path().join("sys/dev/block");
    fs::create_dir_all(&names).unwrap();
    let name = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
    symlink(pi.root.path().join(format!("{whole}/mmcblk1p2")), names.join(name)).unwrap();
    let machine = Machine { data_dir: data.path().to_owned(), ..pi.machine() };
    assert_eq!(machine.read().disk_written_bytes, Some(8 * 512));
}

#[test]
fn what_throttles_is_told_bit_by_bit_or_by_the_voltage_alone_where_the_firmware_is_silent() {
    use Throttle::{FrequencyCapped, SoftTemperatureLimit, UnderVoltage};
    let pi = Pi::new();
    let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
    for (text, now, earlier) in [
        ("0", vec![], vec![]),
        ("a", vec![FrequencyCapped, SoftTemperatureLimit], vec![]),
        ("10000", vec![], vec![UnderVoltage]),
    ] {
        pi.write(path, text);
        let throttling = pi.machine().read().throttling.unwrap();
        assert_eq!(throttling, Throttling { now, earlier: Some(earlier) }, "{text}");
    }
    pi.write(path, "throttled=0x0\n");
    assert_eq!(pi.machine().read().throttling, None);
    pi.remove(path);
    let quiet = Throttling { now: vec![], earlier: None };
    assert_eq!(pi.machine().read().throttling, Some(quiet));
    pi.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    let weak = Throttling { now: vec![UnderVoltage], earlier: None };
    assert_eq!(pi.machine().read().throttling, Some(weak));
}

#[test]
fn a_figure_that_the_machine_does_not_have_is_absent() {
    let nothing = TempDir::new().unwrap();
    let machine = Machine::rooted(nothing.path(), Path::new("/no/such/directory"));
    assert_eq!(machine.read(), Figures::default());
    assert!(machine.hardware().ends_with(" machine"));
    let pi = Pi::new();
    for (path, nonsense) in [
        ("proc/loadavg", ""),
        ("proc/meminfo", "MemTotal: lots\n"),
        ("proc/stat", "cpu  a b c d\n"),
        ("proc/net/dev", "head\nhead\neth0 without a colon\nwlan0: 1 2\n"),
        ("proc/self/statm", "1"),
        ("sys/class/thermal/thermal_zone0/temp", "N/A"),
        ("sys/block/mmcblk0/stat", "1 2 3"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "hot"),
    ] {
        pi.write(path, nonsense);
    }
    assert_eq!(pi.machine().read(), Figures::default());
}

#[test]
fn this_machine_has_figures() {
    let machine = Machine::of(Path::new("/"));
    let figures = machine.read();
    assert!(figures.memory_available_bytes.unwrap() <= figures.memory_bytes.unwrap());
    assert!(figures.agent.rss_bytes.unwrap() > 100_000);
    assert!(figures.disk_space.is_some() && figures.cpu.is_some());
    assert!(figures.agent.open_files.unwrap() >= 3);
    assert!(machine.hardware().contains(" MiB"));
}
