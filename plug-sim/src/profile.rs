//! Which plug it pretends to be.

use std::str::FromStr;

/// A firmware version: `13.4.1.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16, pub u16);

/// Whose firmware it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Tasmota: `/cm?cmnd=…`, and MQTT.
    Tasmota,
    /// Shelly's first generation: `/relay/0?turn=on`, and `CoIoT`.
    ShellyGen1,
    /// Shelly's second generation and later: `/rpc`.
    ShellyGen2,
}

/// One plug as it leaves the box.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whose firmware it is.
    pub family: Family,
    /// Its firmware's version.
    pub version: Version,
    /// How many relays it has, 1 to 8.
    pub relays: usize,
    /// What the web server asks of the user `admin`, if anything.
    pub password: Option<String>,
    /// Whether it measures power.
    pub meter: bool,
    /// Tasmota: whether rules are in the build (`USE_RULES`): without them no `RuleTimer` either.
    pub rules: bool,
    /// Tasmota: `Weblog 2`, the default: before 9.5 a lower level leaves commands without an answer.
    pub weblog: bool,
    /// Six bytes in upper-case hexadecimal, without colons.
    pub mac: String,
}

/// Every profile's name, as [`Profile::from_str`] reads it.
pub const PROFILES: [&str; 9] = [
    "tasmota-8.5",
    "tasmota-9.3",
    "tasmota-9.5",
    "tasmota-12.4",
    "tasmota-13.4",
    "tasmota-14.4",
    "shelly-gen1",
    "shelly-gen2-1.7",
    "shelly-gen2-2.0",
];

impl Profile {
    /// A plug with one relay, a meter, rules, and no password.
    #[must_use]
    pub fn new(family: Family, version: Version) -> Self {
        let mac = "02A0B1C2D3E4".to_owned();
        let (password, meter) = (None, true);
        Self { family, version, relays: 1, password, meter, rules: true, weblog: true, mac }
    }

    /// A Tasmota plug of any version.
    #[must_use]
    pub fn tasmota(version: Version) -> Self {
        Self::new(Family::Tasmota, version)
    }

    /// The oldest in the field that we support: a query cancels `PulseTime`, a wrong password
    /// is answered with 200.
    #[must_use]
    pub fn tasmota_8_5() -> Self {
        Self::tasmota(Version(8, 5, 0, 0))
    }

    /// As 8.5 in all that matters for power.
    #[must_use]
    pub fn tasmota_9_3() -> Self {
        Self::tasmota(Version(9, 3, 1, 0))
    }

    /// A query leaves `PulseTime` alone; `Backlog0` is there.
    #[must_use]
    pub fn tasmota_9_5() -> Self {
        Self::tasmota(Version(9, 5, 0, 0))
    }

    /// A wrong password is answered with 401; no `TimedPower` yet.
    #[must_use]
    pub fn tasmota_12_4() -> Self {
        Self::tasmota(Version(12, 4, 0, 0))
    }

    /// `TimedPower` is there.
    #[must_use]
    pub fn tasmota_13_4() -> Self {
        Self::tasmota(Version(13, 4, 0, 0))
    }

    /// `Status.Power` is text, `PowerLock` is there.
    #[must_use]
    pub fn tasmota_14_4() -> Self {
        Self::tasmota(Version(14, 4, 1, 0))
    }

    /// A Plug S: watt-minutes, HTTP Basic, `/relay/0?turn=on&timer=…`.
    #[must_use]
    pub fn shelly_gen1() -> Self {
        Self::new(Family::ShellyGen1, Version(1, 14, 0, 0))
    }

    /// A Plus Plug S before firmware 2.0.0: a challenge for each request over HTTP.
    #[must_use]
    pub fn shelly_gen2_1_7() -> Self {
        Self::new(Family::ShellyGen2, Version(1, 7, 5, 0))
    }

    /// From firmware 2.0.0 on: nonces are reused, expire and are pushed out.
    #[must_use]
    pub fn shelly_gen2_2_0() -> Self {
        Self::new(Family::ShellyGen2, Version(2, 0, 0, 0))
    }

    /// Every supported Tasmota, oldest first.
    #[must_use]
    pub fn tasmotas() -> [Self; 6] {
        [
            Self::tasmota_8_5(),
            Self::tasmota_9_3(),
            Self::tasmota_9_5(),
            Self::tasmota_12_4(),
            Self::tasmota_13_4(),
            Self::tasmota_14_4(),
        ]
    }

    /// Every supported Shelly, oldest first.
    #[must_use]
    pub fn shellies() -> [Self; 3] {
        [Self::shelly_gen1(), Self::shelly_gen2_1_7(), Self::shelly_gen2_2_0()]
    }

    /// Its name: `tasmota-13.4`, `shelly-gen1`, `shelly-gen2-2.0`.
    #[must_use]
    pub fn name(&self) -> String {
        let Version(major, minor, ..) = self.version;
        match self.family {
            Family::Tasmota => format!("tasmota-{major}.{minor}"),
            Family::ShellyGen1 => "shelly-gen1".to_owned(),
            Family::ShellyGen2 => format!("shelly-gen2-{major}.{minor}"),
        }
    }

    /// The last three bytes of the MAC address, as names are made of them.
    pub(crate) fn mac_tail(&self) -> &str {
        self.mac.get(6..).unwrap_or(&self.mac)
    }
}

/// Reads a name of [`PROFILES`].
impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::tasmotas().into_iter().chain(Self::shellies());
        let profile = all.find(|profile| profile.name() == name);
        profile
            .ok_or_else(|| format!("there is no profile {name}; there are {}", PROFILES.join(", ")))
    }
}

impl Version {
    /// `13.4.0`, with the fourth figure where there is one.
    #[must_use]
    pub fn text(self) -> String {
        let Self(major, minor, patch, build) = self;
        let build = if build == 0 { String::new() } else { format!(".{build}") };
        format!("{major}.{minor}.{patch}{build}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_an_unknown_one_is_told_the_others() {
        for name in PROFILES {
            assert_eq!(name.parse::<Profile>().map(|profile| profile.name()).as_deref(), Ok(name));
        }
        let refusal = "tasmota-1.0".parse::<Profile>().unwrap_err();
        assert!(refusal.contains("tasmota-13.4") && refusal.contains("shelly-gen1"), "{refusal}");
    }
}
