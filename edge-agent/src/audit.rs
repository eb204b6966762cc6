//! The settings of a device, compared with those that make it safe, and mended (`edge-agent doctor`).
//!
//! One client at a time talks to a plug: the running agent's own task where one runs, else whoever
//! examines it. Both do the same here: audit, mend what differs once, audit again.

use std::time::Duration;

use plug_driver::{AnyOutlet, Capabilities, Finding, FindingState, Outlet};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// What an examination found of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// The longest lease that it holds; absent where it can hold none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_max_ms: Option<u64>,
    /// What its leases are rounded up to a multiple of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_resolution_ms: Option<u64>,
    /// Whether it measures the power of its load.
    pub meters: bool,
    /// Each setting that matters.
    pub settings: Vec<Setting>,
}

/// One setting of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// As the device calls it.
    pub setting: String,
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub actual: String,
    /// What goes wrong with another value.
    pub why: String,
    /// Whether something is to be done, and by whom.
    pub state: SettingState,
}

/// Whether something is to be done about a [`Setting`], and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingState {
    /// It is as it should be.
    Good,
    /// `edge-agent doctor --fix` sets it.
    Mendable,
    /// Only a person can set it.
    ByHand,
}

/// What became of a device's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// Those that were set, as they were before.
    pub mended: Vec<Setting>,
    /// Those that could not be set, and why.
    pub failed: Vec<Failed>,
    /// All of them, afterwards.
    pub after: Audited,
}

/// A setting that could not be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// As the device calls it.
    pub setting: String,
    /// What went wrong.
    pub reason: String,
}

/// A device that can be examined.
pub(crate) trait Examined {
    /// Why it could not be.
    type Error: std::fmt::Display;

    /// Looks at its settings. Writes nothing.
    async fn audit(&mut self) -> Result<(Capabilities, Vec<Finding>), Self::Error>;

    /// Sets what a finding wants.
    async fn mend(&mut self, finding: &Finding) -> Result<(), Self::Error>;

    /// Whether an error says that nothing of the device may be set now.
    fn forbids_all(error: &Self::Error) -> bool;
}

/// Looks at a device's settings.
///
/// # Errors
/// The device's own.
pub(crate) async fn audit<E: Examined>(device: &mut E) -> Result<Audited, E::Error> {
    let (capabilities, findings) = device.audit().await?;
    Ok(audited(capabilities, &findings))
}

/// Sets what can be set and differs, once each. Where nothing differs, nothing is written.
///
/// # Errors
/// The device's own, where it could not be looked at before or afterwards, or nothing may be set.
pub(crate) async fn mend<E: Examined>(device: &mut E) -> Result<Mended, E::Error> {
    let (capabilities, findings) = device.audit().await?;
    let (mut mended, mut failed) = (Vec::new(), Vec::new());
    for finding in findings.iter().filter(|finding| finding.state == FindingState::Mendable) {
        match device.mend(finding).await {
            Ok(()) => mended.push(finding.into()),
            Err(error) if mended.is_empty() && E::forbids_all(&error) => return Err(error),
            Err(error) => {
                let (setting, reason) = (finding.setting.clone(), error.to_string());
                failed.push(Failed { setting, reason });
            }
        }
    }
    let after = if mended.is_empty() && failed.is_empty() {
        audited(capabilities, &findings)
    } else {
        audit(device).await?
    };
    Ok(Mended { mended, failed, after })
}

fn audited(capabilities: Capabilities, findings: &[Finding]) -> Audited {
    let lease = capabilities.lease;
    Audited {
        lease_max_ms: lease.map(|lease| millis(lease.max)),
        lease_resolution_ms: lease.map(|lease| millis(lease.resolution)),
        meters: capabilities.meters,
        settings: findings.iter().map(Setting::from).collect(),
    }
}

impl From<&Finding> for Setting {
    fn from(finding: &Finding) -> Self {
        Self {
            setting: finding.setting.clone(),
            wanted: finding.wanted.clone(),
            actual: finding.actual.clone(),
            why: finding.why.to_owned(),
            state: match finding.state {
                FindingState::Good => SettingState::Good,
                FindingState::Mendable => SettingState::Mendable,
                FindingState::ByHand => SettingState::ByHand,
            },
        }
    }
}

/// No examination of a device takes longer: it answers a dozen questions, one at a time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A device that nobody else talks to: no agent runs.
impl Examined for AnyOutlet {
    type Error = String;

    async fn audit(&mut self) -> Result<(Capabilities, Vec<Finding>), String> {
        let findings = in_time(Outlet::audit(self)).await?;
        Ok((self.capabilities(), findings))
    }

    async fn mend(&mut self, finding: &Finding) -> Result<(), String> {
        in_time(Outlet::mend(self, finding)).await
    }

    fn forbids_all(_: &String) -> bool {
        false
    }
}

async fn in_time<T>(
    asked: impl Future<Output = Result<T, plug_driver::Error>>,
) -> Result<T, String> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| crate::chain(&error)),
        Err(_) => Err(format!("the device did not answer within {} s", PATIENCE.as_secs())),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: &str = "not now";

    /// A device of settings by number: even ones can be mended, unless it is stubborn.
    struct Device {
        settings: Vec<u8>,
        stubborn: bool,
        forbidden: bool,
        writes: usize,
        looks: usize,
    }

    impl Examined for Device {
        type Error = String;

        async fn audit(&mut self) -> Result<(Capabilities, Vec<Finding>), String> {
            self.looks += 1;
            let finding = |(number, value): (usize, &u8)| Finding {
                setting: format!("Option{number}"),
                wanted: "1".to_owned(),
                actual: value.to_string(),
                why: "so it is written",
                state: match (value, number % 2) {
                    (1, _) => FindingState::Good,
                    (_, 0) => FindingState::Mendable,
                    _ => FindingState::ByHand,
                },
            };
            let findings = self.settings.iter().enumerate().map(finding).collect();
            Ok((Capabilities { lease: None, meters: true }, findings))
        }

        async fn mend(&mut self, finding: &Finding) -> Result<(), String> {
            self.writes += 1;
            if self.forbidden {
                return Err(FORBIDDEN.to_owned());
            }
            if self.stubborn {
                return Err("it refuses".to_owned());
            }
            let number: usize = finding.setting["Option".len()..].parse().unwrap();
            self.settings[number] = 1;
            Ok(())
        }

        fn forbids_all(error: &String) -> bool {
            error == FORBIDDEN
        }
    }

    fn device(settings: &[u8], stubborn: bool) -> Device {
        Device { settings: settings.to_vec(), stubborn, forbidden: false, writes: 0, looks: 0 }
    }

    #[tokio::test]
    async fn what_differs_and_can_be_mended_is_set_once_and_looked_at_again() {
        let mut device = device(&[0, 0, 1, 1, 7], false);
        let mended = mend(&mut device).await.unwrap();
        assert_eq!((device.writes, device.looks), (2, 2));
        let before: Vec<_> =
            mended.mended.iter().map(|was| (was.setting.as_str(), was.actual.as_str())).collect();
        assert_eq!(before, [("Option0", "0"), ("Option4", "7")]);
        assert_eq!(mended.failed, []);
        let left = |wanted| mended.after.settings.iter().filter(|it| it.state == wanted).count();
        assert_eq!([SettingState::Mendable, SettingState::ByHand].map(left), [0, 1]);
    }

    /// Whoever mended within a session was sent to the plug's own page for each of its settings.
    #[tokio::test]
    async fn a_device_that_may_not_be_touched_is_one_refusal_and_no_list_of_failures() {
        let mut device = Device { forbidden: true, ..device(&[0, 0, 0], false) };
        assert_eq!(mend(&mut device).await.unwrap_err(), FORBIDDEN);
        assert_eq!(device.writes, 1);
    }

    #[tokio::test]
    async fn nothing_is_written_where_nothing_differs() {
        let mut device = device(&[1, 0, 1], false);
        let mended = mend(&mut device).await.unwrap();
        assert_eq!((device.writes, device.looks, mended.mended.len()), (0, 1, 0));
    }

    #[tokio::test]
    async fn what_a_device_refuses_is_told_and_not_tried_twice() {
        let mut device = device(&[0], true);
        let mended = mend(&mut device).await.unwrap();
        assert_eq!(device.writes, 1);
        let reason = "it refuses".to_owned();
        assert_eq!(mended.failed, [Failed { setting: "Option0".to_owned(), reason }]);
        assert_eq!(mended.after.settings[0].state, SettingState::Mendable);
    }
}
