//! What a version of Tasmota makes of it.

use crate::Version;

impl Version {
    /// Any `Power` command cancels the pulse timer first, a bare query too, which does not arm
    /// it again (arendst/Tasmota#7810, #9325; fixed 2021-04-23, #11805).
    pub(super) fn query_cancels_pulse_time(self) -> bool {
        self < Self(9, 4, 0, 1)
    }

    /// Wrong credentials are answered with 401. The versions in between were not looked up;
    /// the answer was 200 in 8.x and 9.x sources and is 401 in today's.
    pub(super) fn wrong_password_is_401(self) -> bool {
        self >= Self(10, 0, 0, 0)
    }

    /// `/cm` took any password (arendst/Tasmota#11039).
    pub(super) fn takes_any_password(self) -> bool {
        (Self(9, 2, 0, 0)..Self(9, 3, 0, 1)).contains(&self)
    }

    /// The answer is read from the web log and missing where that is off.
    pub(super) fn answers_from_web_log(self) -> bool {
        self < Self(9, 5, 0, 0)
    }

    /// `TimedPower` (changelog, 13.3.0.4).
    pub(super) fn has_timed_power(self) -> bool {
        self >= Self(13, 3, 0, 4)
    }

    /// `Backlog0`, without a delay between commands (changelog, 9.3.1.2).
    pub(super) fn has_backlog0(self) -> bool {
        self >= Self(9, 3, 1, 2)
    }

    /// `Status.Power` is text of bits and `PowerLock` exists (changelog, 13.4.1.2).
    pub(super) fn has_power_lock(self) -> bool {
        self >= Self(13, 4, 1, 2)
    }

    /// `PulseTime` answers an object; before, `"300 (Active 296)"`.
    pub(super) fn pulse_time_is_object(self) -> bool {
        self >= Self(6, 6, 0, 15)
    }

    /// `PulseTime` without an index answers two lists; before, one object a timer. Seen in
    /// sources before and after 32 timers came (11.0.0.3); the version between is inferred.
    pub(super) fn pulse_times_are_lists(self) -> bool {
        self >= Self(11, 0, 0, 3)
    }

    /// `Rule<n>` answers a nested object. Seen in 9.x sources in both forms; inferred.
    pub(super) fn rule_is_nested(self) -> bool {
        self >= Self(9, 4, 0, 0)
    }

    /// `Status0`, without a blank: everything in one message over MQTT, too (changelog, 9.4.0.4).
    pub(super) fn has_status0(self) -> bool {
        self >= Self(9, 4, 0, 4)
    }

    /// Tasmota's own discovery, told apart from Home Assistant's (`xdrv_12_discovery`; 9.2).
    pub(super) fn has_discovery(self) -> bool {
        self >= Self(9, 2, 0, 0)
    }

    /// `SetOption129`: energy for each channel instead of one sum. The version is inferred.
    pub(super) fn splits_energy(self) -> bool {
        self >= Self(10, 0, 0, 0)
    }

    /// The meter's numbers come padded with blanks: `"Power":  0`. The versions are inferred
    /// from replies that were reported.
    pub(super) fn pads_numbers(self) -> bool {
        (Self(11, 0, 0, 0)..Self(13, 0, 0, 0)).contains(&self)
    }
}
