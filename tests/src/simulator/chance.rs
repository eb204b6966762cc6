//! Chance that no other chance moves: what is drawn depends on the seed, the moment and what it is
//! drawn for, and not on what was drawn before. So an entry that is left out of a script changes
//! nothing but what follows from it, and a failing script shrinks.

use fastrand::Rng;

/// What a draw is for: two draws of one moment share nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Site,
    Control,
    Chaos,
    Node,
    Connect,
    Inward,
    Outward,
    Flush,
    Crash,
    Turn,
    Script,
    Sabotage,
    Technician,
    Load,
    /// The way to a plug, and back.
    To(usize),
    From(usize),
    /// Whether an order that was overtaken still arrives.
    Overtaken(usize),
}

impl For {
    fn number(self) -> u64 {
        match self {
            Self::Site => 1,
            Self::Control => 2,
            Self::Chaos => 3,
            Self::Node => 4,
            Self::Connect => 5,
            Self::Inward => 6,
            Self::Outward => 7,
            Self::Flush => 8,
            Self::Crash => 9,
            Self::Turn => 10,
            Self::Script => 11,
            Self::Sabotage => 12,
            Self::Technician => 13,
            Self::Load => 14,
            Self::To(plug) => 0x100 + plug as u64,
            Self::From(plug) => 0x200 + plug as u64,
            Self::Overtaken(plug) => 0x300 + plug as u64,
        }
    }
}

/// A world's chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    seed: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// What is drawn at this moment for that.
    pub(super) fn at(self, moment: u64, what: For) -> Rng {
        let mut mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= moment.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32);
        mixed ^= what.number().wrapping_mul(0xca5a_8263_9512_1157).rotate_left(17);
        Rng::with_seed(mixed)
    }

    /// What is drawn once for the whole world.
    pub(super) fn once(self, what: For) -> Rng {
        self.at(0, what)
    }
}
