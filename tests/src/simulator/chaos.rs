//! Trouble: what the world does to a node, chosen by the seed.

use fastrand::Rng;

use super::plug::Manner;

/// Every kind of trouble by name, in the order of its bit.
pub(super) const NAMES: &[&str] = &[
    "killed",
    "killed between steps",
    "stopped in order",
    "rebooted",
    "site without power",
    "suspended",
    "plug misbehaves",
    "plug restarts",
    "plug restarts warm",
    "button",
    "link lost",
    "half open",
    "session forgotten",
    "broker away",
    "wall clock stepped",
    "disk failing",
    "space low",
    "event refused",
    "overtaken orders",
    "disk stalls",
];

#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    Killed {
        down_ms: u64,
    },
    /// So many steps of the loop from now.
    Doomed {
        steps: u32,
        reboot: bool,
        down_ms: u64,
    },
    Stopped {
        down_ms: u64,
    },
    Rebooted {
        down_ms: u64,
        behind_ms: Option<u64>,
        synced_after_ms: u64,
        plugs_too: bool,
    },
    Suspended {
        for_ms: u64,
    },
    Manner {
        plug: usize,
        manner: Manner,
        for_ms: u64,
    },
    Restarts {
        plug: usize,
        warm: bool,
    },
    Button {
        plug: usize,
    },
    LinkLost {
        noticed_ms: u64,
    },
    Forgotten,
    Away {
        for_ms: u64,
    },
    Stepped {
        by_ms: i64,
        for_ms: u64,
    },
    DiskFailing {
        for_ms: u64,
    },
    SpaceLow,
    Refused {
        code: u8,
    },
    Nothing,
}

#[derive(Debug)]
pub(super) struct Chaos {
    rng: Rng,
    without: u64,
    /// How much of it there is: some worlds are calm, some are not.
    every_ms: u64,
}

impl Chaos {
    pub(super) fn new(seed: u64, without: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xc4a05);
        let every_ms = [8_000, 30_000, 90_000, 300_000][rng.usize(0..4)];
        Self { rng, without, every_ms }
    }

    pub(super) fn allows(&self, name: &str) -> bool {
        NAMES
            .iter()
            .position(|known| *known == name)
            .is_none_or(|bit| self.without & (1 << bit) == 0)
    }

    pub(super) fn pause_ms(&mut self) -> u64 {
        self.rng.u64(1..self.every_ms * 2)
    }

    fn down_ms(&mut self) -> u64 {
        match self.rng.u8(0..10) {
            0..7 => self.rng.u64(100..3_000),
            7..9 => self.rng.u64(3_000..60_000),
            _ => self.rng.u64(60_000..1_200_000),
        }
    }

    pub(super) fn next(&mut self, plugs: usize) -> Trouble {
        let plug = self.rng.usize(0..plugs);
        let (name, trouble) = match self.rng.u8(0..100) {
            0..8 => ("killed", Trouble::Killed { down_ms: self.down_ms() }),
            8..20 => {
                let (steps, reboot) = (self.rng.u32(1..60), self.rng.u8(0..5) == 0);
                ("killed between steps", Trouble::Doomed { steps, reboot, down_ms: self.down_ms() })
            }
            20..24 => ("stopped in order", Trouble::Stopped { down_ms: self.down_ms() }),
            24..30 => ("rebooted", self.reboot(false)),
            30..32 => ("site without power", self.reboot(true)),
            32..35 => ("suspended", Trouble::Suspended { for_ms: self.rng.u64(100..90_000) }),
            35..53 => {
                let manner = match self.rng.u8(0..8) {
                    0 | 1 => Manner::Deaf(true),
                    2 | 3 => Manner::Deaf(false),
                    4 => Manner::Mute,
                    5 => Manner::Slow(self.rng.u64(100..6_000)),
                    6 => Manner::Refusing,
                    _ => {
                        if self.rng.bool() {
                            Manner::Stuck
                        } else {
                            Manner::Lying
                        }
                    }
                };
                let most = if self.rng.u8(0..6) == 0 { 600_000 } else { 40_000 };
                (
                    "plug misbehaves",
                    Trouble::Manner { plug, manner, for_ms: self.rng.u64(500..most) },
                )
            }
            53..57 => ("plug restarts", Trouble::Restarts { plug, warm: false }),
            57..61 => ("plug restarts warm", Trouble::Restarts { plug, warm: true }),
            61..69 => ("button", Trouble::Button { plug }),
            69..75 => ("link lost", Trouble::LinkLost { noticed_ms: self.rng.u64(0..200) }),
            75..80 => ("half open", Trouble::LinkLost { noticed_ms: self.rng.u64(1_000..45_000) }),
            80..82 => ("session forgotten", Trouble::Forgotten),
            82..84 => ("broker away", Trouble::Away { for_ms: self.rng.u64(10_000..900_000) }),
            84..89 => ("wall clock stepped", self.step()),
            89..92 => {
                ("disk failing", Trouble::DiskFailing { for_ms: self.rng.u64(1_000..120_000) })
            }
            92..94 => ("space low", Trouble::SpaceLow),
            94..96 => {
                let code = [0x97, 0x99, 0x87, 0x95][self.rng.usize(0..4)];
                ("event refused", Trouble::Refused { code })
            }
            _ => ("", Trouble::Nothing),
        };
        if self.allows(name) { trouble } else { Trouble::Nothing }
    }

    fn reboot(&mut self, plugs_too: bool) -> Trouble {
        let behind_ms = (self.rng.u8(0..3) > 0).then(|| self.rng.u64(1_000..3_000_000_000));
        let down_ms = 20_000 + self.down_ms();
        Trouble::Rebooted {
            down_ms,
            behind_ms,
            synced_after_ms: self.rng.u64(1_000..400_000),
            plugs_too,
        }
    }

    fn step(&mut self) -> Trouble {
        let size = match self.rng.u8(0..4) {
            0 => self.rng.i64(1_001..60_000),
            1 => self.rng.i64(60_000..86_400_000),
            2 => self.rng.i64(86_400_000..100_000_000_000),
            _ => self.rng.i64(1_001..5_000),
        };
        let by_ms = if self.rng.bool() { size } else { -size };
        Trouble::Stepped { by_ms, for_ms: self.rng.u64(1_000..900_000) }
    }
}
