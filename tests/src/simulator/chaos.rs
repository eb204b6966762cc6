//! Trouble: what the world does to a node, each kind of it with its measure.

use fastrand::Rng;

use super::plug::Manner;

#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    Killed {
        down_ms: u64,
    },
    /// The process dies so many steps of its loop from now; with the board's power, or alone.
    DiesBetweenSteps {
        steps: u32,
        power_cut: bool,
        down_ms: u64,
    },
    /// The process dies as the disk is about to end the flush after so many others.
    DiesAtFlush {
        flushes: u32,
        power_cut: bool,
        down_ms: u64,
    },
    StoppedInOrder {
        down_ms: u64,
    },
    /// The board loses power. Afterwards its wall clock is so far behind, or right and trusted.
    NodePowerCut {
        down_ms: u64,
        behind_ms: Option<u64>,
        synced_after_ms: u64,
    },
    /// The board and every plug do.
    SitePowerCut {
        down_ms: u64,
        behind_ms: Option<u64>,
        synced_after_ms: u64,
    },
    Suspended {
        for_ms: u64,
    },
    PlugMisbehaves {
        plug: usize,
        manner: Manner,
        for_ms: u64,
    },
    /// A plug loses power for a moment. Warm: its relay stays as it was.
    PlugRestarts {
        plug: usize,
        warm: bool,
    },
    /// Its contacts weld: power flows, whatever its relay says.
    PlugWelds {
        plug: usize,
        for_ms: u64,
    },
    Button {
        plug: usize,
    },
    /// Too much hangs on it: a moment after each on it switches itself off.
    PlugOverloaded {
        plug: usize,
        for_ms: u64,
    },
    LinkLost {
        noticed_ms: u64,
    },
    SessionForgotten,
    BrokerAway {
        for_ms: u64,
    },
    WallClockStep {
        by_ms: i64,
        for_ms: u64,
    },
    DiskFull {
        for_ms: u64,
    },
    SpaceLow {
        for_ms: u64,
    },
    /// The next flush takes so long.
    SlowFlush {
        takes_ms: u64,
    },
    EventRefused {
        code: u8,
    },
}

/// Every kind of trouble by the name under which it is counted.
pub(super) const KINDS: [&str; 33] = [
    "killed",
    "dies between two steps",
    "dies between two steps, with the board's power",
    "dies at a flush",
    "dies at a flush, with the board's power",
    "stopped in order",
    "power cut of the node",
    "power cut of node and plugs",
    "boot with an unsynced clock",
    "suspended",
    "plug deaf, known at once",
    "plug deaf, silent",
    "plug obeys and does not answer",
    "plug slow",
    "plug refuses",
    "plug stuck",
    "plug lies",
    "plug restarts cold",
    "plug restarts warm",
    "plug welds",
    "button",
    "plug overloaded",
    "link lost",
    "link half open",
    "broker forgets the session",
    "broker away",
    "wall clock stepped by seconds",
    "wall clock stepped by hours",
    "wall clock stepped by years",
    "disk full",
    "disk space low",
    "flush of seconds",
    "event refused",
];

/// A half-open link is noticed after a while.
const HALF_OPEN_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600_000;

impl Trouble {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Killed { .. } => "killed",
            Self::DiesBetweenSteps { power_cut: false, .. } => "dies between two steps",
            Self::DiesBetweenSteps { power_cut: true, .. } => {
                "dies between two steps, with the board's power"
            }
            Self::DiesAtFlush { power_cut: false, .. } => "dies at a flush",
            Self::DiesAtFlush { power_cut: true, .. } => "dies at a flush, with the board's power",
            Self::StoppedInOrder { .. } => "stopped in order",
            Self::NodePowerCut { .. } => "power cut of the node",
            Self::SitePowerCut { .. } => "power cut of node and plugs",
            Self::Suspended { .. } => "suspended",
            Self::PlugMisbehaves { manner, .. } => manner.kind(),
            Self::PlugRestarts { warm: false, .. } => "plug restarts cold",
            Self::PlugRestarts { warm: true, .. } => "plug restarts warm",
            Self::PlugWelds { .. } => "plug welds",
            Self::Button { .. } => "button",
            Self::PlugOverloaded { .. } => "plug overloaded",
            Self::LinkLost { noticed_ms } if noticed_ms < HALF_OPEN_MS => "link lost",
            Self::LinkLost { .. } => "link half open",
            Self::SessionForgotten => "broker forgets the session",
            Self::BrokerAway { .. } => "broker away",
            Self::WallClockStep { by_ms, .. } => match by_ms.unsigned_abs() {
                0..60_000 => "wall clock stepped by seconds",
                60_000..31_536_000_000 => "wall clock stepped by hours",
                _ => "wall clock stepped by years",
            },
            Self::DiskFull { .. } => "disk full",
            Self::SpaceLow { .. } => "disk space low",
            Self::SlowFlush { .. } => "flush of seconds",
            Self::EventRefused { .. } => "event refused",
        }
    }
}

fn down_ms(rng: &mut Rng) -> u64 {
    match rng.u8(0..10) {
        0..7 => rng.u64(100..3_000),
        7..9 => rng.u64(3_000..60_000),
        _ => rng.u64(60_000..1_200_000),
    }
}

/// The next trouble of a site with so many plugs.
pub(super) fn next(rng: &mut Rng, plugs: usize) -> Trouble {
    let plug = rng.usize(0..plugs);
    match rng.u8(0..100) {
        0..8 => Trouble::Killed { down_ms: down_ms(rng) },
        8..16 => {
            let (steps, power_cut) = (rng.u32(1..60), rng.u8(0..5) == 0);
            Trouble::DiesBetweenSteps { steps, power_cut, down_ms: down_ms(rng) }
        }
        16..22 => {
            let (flushes, power_cut) = (rng.u32(0..12), rng.u8(0..3) == 0);
            Trouble::DiesAtFlush { flushes, power_cut, down_ms: down_ms(rng) }
        }
        22..26 => Trouble::StoppedInOrder { down_ms: down_ms(rng) },
        26..33 => power_cut(rng),
        33..36 => Trouble::Suspended { for_ms: rng.u64(100..90_000) },
        36..54 => {
            let most = if rng.u8(0..6) == 0 { 600_000 } else { 40_000 };
            Trouble::PlugMisbehaves { plug, manner: manner(rng), for_ms: rng.u64(500..most) }
        }
        54..59 => Trouble::PlugRestarts { plug, warm: rng.bool() },
        59..61 => Trouble::PlugWelds { plug, for_ms: rng.u64(30_000..1_200_000) },
        61..67 => Trouble::Button { plug },
        67..69 => Trouble::PlugOverloaded { plug, for_ms: rng.u64(1_000..1_200_000) },
        69..75 => Trouble::LinkLost { noticed_ms: rng.u64(0..200) },
        75..80 => Trouble::LinkLost { noticed_ms: rng.u64(HALF_OPEN_MS..45_000) },
        80..82 => Trouble::SessionForgotten,
        82..84 => Trouble::BrokerAway { for_ms: rng.u64(10_000..900_000) },
        84..90 => step(rng),
        90..93 => Trouble::DiskFull { for_ms: rng.u64(1_000..120_000) },
        93..95 => Trouble::SpaceLow { for_ms: rng.u64(1_000..120_000) },
        95..98 => Trouble::SlowFlush { takes_ms: rng.u64(1_000..40_000).min(30_000) },
        _ => Trouble::EventRefused { code: [0x97, 0x99, 0x87, 0x95][rng.usize(0..4)] },
    }
}

fn power_cut(rng: &mut Rng) -> Trouble {
    let behind_ms = (rng.u8(0..3) > 0).then(|| rng.u64(1_000..3_000_000_000));
    let (down_ms, synced_after_ms) = (20_000 + down_ms(rng), rng.u64(1_000..400_000));
    if rng.u8(0..4) == 0 {
        Trouble::SitePowerCut { down_ms, behind_ms, synced_after_ms }
    } else {
        Trouble::NodePowerCut { down_ms, behind_ms, synced_after_ms }
    }
}

fn manner(rng: &mut Rng) -> Manner {
    match rng.u8(0..16) {
        0..4 => Manner::Deaf { known: true },
        4..8 => Manner::Deaf { known: false },
        8..10 => Manner::Mute,
        10..12 => Manner::Slow { way_ms: rng.u64(100..6_000) },
        12..14 => Manner::Refusing,
        14 => Manner::Stuck,
        _ => Manner::Lying,
    }
}

fn step(rng: &mut Rng) -> Trouble {
    let size = match rng.u8(0..4) {
        0 => rng.i64(1_001..5_000),
        1 => rng.i64(5_000..60_000),
        2 => rng.i64(60_000..24 * 3_600_000),
        _ => rng.i64(86_400_000..100_000_000_000),
    };
    let by_ms = if rng.bool() { size } else { -size };
    Trouble::WallClockStep { by_ms, for_ms: rng.u64(1_000..HOUR_MS / 4) }
}
