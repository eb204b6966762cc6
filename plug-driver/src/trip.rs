//! Why a device switched itself off.

/// What made a device switch itself off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trip {
    /// The load drew too much power.
    Overpower,
    /// The load drew too much current.
    Overcurrent,
    /// The device grew too hot.
    Overtemperature,
    /// The mains' voltage was too high.
    Overvoltage,
    /// The mains' voltage was too low.
    Undervoltage,
    /// Something else.
    Other,
}

/// What devices call them: a Shelly of the first generation says `overtemperature`, later ones `overtemp`.
const WORDS: [(&str, Trip); 6] = [
    ("overpower", Trip::Overpower),
    ("overcurrent", Trip::Overcurrent),
    ("overtemperature", Trip::Overtemperature),
    ("overtemp", Trip::Overtemperature),
    ("overvoltage", Trip::Overvoltage),
    ("undervoltage", Trip::Undervoltage),
];

impl Trip {
    /// What a device's `words` mean: the first that is known.
    pub(crate) fn of(words: &str) -> Self {
        let mut each = words.split([',', ' ']);
        let known = each.find_map(|word| WORDS.iter().find(|(known, _)| *known == word));
        known.map_or(Self::Other, |(_, trip)| *trip)
    }

    /// One word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overpower => "overpower",
            Self::Overcurrent => "overcurrent",
            Self::Overtemperature => "overtemperature",
            Self::Overvoltage => "overvoltage",
            Self::Undervoltage => "undervoltage",
            Self::Other => "a fault of its own",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_words_are_read_in_any_company() {
        for (words, trip) in [
            ("overpower", Trip::Overpower),
            ("overtemp", Trip::Overtemperature),
            ("power_meter:1, undervoltage", Trip::Undervoltage),
            ("overpowered", Trip::Other),
            ("", Trip::Other),
        ] {
            assert_eq!(Trip::of(words), trip, "{words}");
        }
        for (_, trip) in WORDS {
            assert_eq!(Trip::of(trip.word()), trip);
        }
    }
}
