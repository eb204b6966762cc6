//! What must be known of a plug before it is switched on, and what then speaks against it.

use super::Plug;
use crate::error::Fault;

impl Plug {
    /// Learns what an on must know of the plug, unless it is known: what would make one unsafe.
    /// The refusal, if something does.
    pub(in crate::tasmota) async fn meet(&mut self) -> Result<(), Fault> {
        if self.found.particulars.is_none() {
            self.whole().await?;
        }
        self.learn_words().await?;
        // Somebody may have mended it since; asking once a session is enough.
        self.found.meters_open = self.found.meters_open.filter(|opens| *opens);
        if self.found.interlock.is_none() {
            let fights = if self.relays() > 1 { self.ask_interlock().await? } else { None };
            self.found.interlock = Some(fights);
        }
        self.refusal().await
    }

    async fn refusal(&mut self) -> Result<(), Fault> {
        let refused =
            |found: String, why, remedy: String| Err(Fault::Unsafe { found, why, remedy });
        let particulars = self.found.particulars;
        if particulars.is_some_and(|it| it.locked) && self.power_lock().await? == Some(true) {
            let setting = format!("PowerLock{}", self.relay);
            let why = "a locked relay takes no off, that of its own timers neither";
            return refused(format!("{setting} is on"), why, format!("send {setting} 0"));
        }
        if let Some(state @ (4 | 5)) = particulars.and_then(|it| it.power_on_state) {
            let why = if state == 4 {
                "the relay is always on"
            } else {
                "its pulse timer switches on instead of off"
            };
            let remedy = "send PowerOnState 0".to_owned();
            return refused(format!("PowerOnState is {state}"), why, remedy);
        }
        if let Some(unclear) = self.unclear() {
            return Err(unclear);
        }
        if let Some(Some(groups)) = &self.found.interlock {
            let why = "its on would switch other relays off";
            let remedy = "send Interlock 0".to_owned();
            return refused(format!("Interlock is {groups}"), why, remedy);
        }
        Ok(())
    }

    /// Whether the relay is locked; `None` where the plug has no locks.
    pub(in crate::tasmota) async fn power_lock(&mut self) -> Result<Option<bool>, Fault> {
        let setting = format!("PowerLock{}", self.relay);
        let reply = self.ask(&setting).await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(None);
        }
        let told = self.words().read(reply.value(&setting)?);
        told.map(Some).ok_or_else(|| reply.unexpected())
    }

    /// The groups of relays, if one with ours and another is interlocked.
    pub(in crate::tasmota) async fn ask_interlock(&mut self) -> Result<Option<String>, Fault> {
        let reply = self.ask("Interlock").await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(None);
        }
        match self.words().read(reply.value("Interlock")?) {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => return Err(reply.unexpected()),
        }
        // {"Interlock":"ON","Groups":"1,2 3,4"}; without groups it is all of them.
        let Some(groups) = reply.value("Groups").ok().and_then(|groups| groups.as_str()) else {
            return Ok(Some("on".to_owned()));
        };
        let ours = self.relay.to_string();
        let fights = groups.split_whitespace().any(|group| {
            let relays: Vec<&str> = group.split(',').map(str::trim).collect();
            relays.contains(&ours.as_str()) && relays.len() > 1
        });
        Ok(fights.then(|| format!("on for {groups}")))
    }

    /// The refusal of words that cannot be told apart.
    pub(super) fn unclear(&self) -> Option<Fault> {
        let words = self.words();
        let why = "the plug's words for off and on cannot be told apart";
        let remedy = "send StateText1 OFF and StateText2 ON".to_owned();
        let found = format!("StateText is {words}");
        (!words.are_clear()).then_some(Fault::Unsafe { found, why, remedy })
    }
}
