//! Which firmware a plug runs, by its own word.

use super::reply::Reply;

/// A version: `13.4.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u16; 4]);

impl Version {
    /// The first with `TimedPower`.
    pub(super) const TIMED_POWER: Self = Self([13, 3, 0, 4]);
    /// The first whose `RuleTimer` is trusted with a lease.
    pub(super) const RULE_TIMER: Self = Self([6, 6, 0, 0]);
    /// The first with a `PulseTime` for each of 32 relays; before, relays 9 and 17 share that of
    /// relay 1, and so on.
    pub(super) const PULSE_TIME_OF_ITS_OWN: Self = Self([11, 0, 0, 3]);

    /// Out of what `Status 2` tells: `13.4.0.1(tasmota)`, `8.5.0(release-lite)`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let figures = text.split('(').next().unwrap_or_default();
        let mut version = [0; 4];
        let mut parts = figures.split('.');
        for (place, part) in version.iter_mut().zip(&mut parts) {
            *place = part.parse().ok()?;
        }
        // One figure alone is no version, and neither is a fifth.
        (figures.contains('.') && parts.next().is_none()).then_some(Self(version))
    }
}

/// The firmware in the reply to `Status 2`, or to the `Status 0` that it is a part of.
pub(super) fn version_in(reply: &Reply) -> Option<Version> {
    Version::parse(reply.within("StatusFWR", "Version")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_to_four_figures_with_the_build_in_brackets() {
        for (text, version) in [
            ("13.4.0(tasmota)", Some([13, 4, 0, 0])),
            ("9.4.0.1(lite)", Some([9, 4, 0, 1])),
            ("8.5.0(release-tasmota)", Some([8, 5, 0, 0])),
            ("6.6", Some([6, 6, 0, 0])),
            ("6", None),
            ("", None),
            ("tasmota", None),
            ("1.2.3.4.5(x)", None),
            ("70000.1(x)", None),
        ] {
            assert_eq!(Version::parse(text), version.map(Version), "{text}");
        }
        assert!(Version([13, 3, 0, 3]) < Version::TIMED_POWER);
        assert!(Version([9, 10, 0, 0]) < Version::TIMED_POWER);
    }
}
