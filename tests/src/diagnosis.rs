//! What `edge-agent doctor` says of a node: its lines, and what is to be found in them.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::desk::Desk;
use crate::program::{Said, at_site};

/// What the doctor says of a desk's node.
#[derive(Debug)]
pub struct Diagnosis {
    /// As it was said.
    pub said: Said,
    /// What was said.
    pub json: Value,
}

/// `edge-agent doctor` at a desk's node, with `more` arguments.
///
/// # Errors
/// It can't be run, or says what is no diagnosis.
pub async fn doctor(desk: &Desk, more: &[&str]) -> Result<Diagnosis> {
    let said = at_site(&desk.site, &[&["doctor", "--json"], more].concat()).await?;
    let json = serde_json::from_str(&said.out).with_context(|| said.err.clone())?;
    Ok(Diagnosis { said, json })
}

impl Diagnosis {
    /// The line whose check ends so.
    ///
    /// # Errors
    /// There is none.
    pub fn line(&self, check: &str) -> Result<&Value> {
        let named = |line: &&Value| line["check"].as_str().is_some_and(|it| it.ends_with(check));
        let lines = self.json["checks"].as_array().context("it has checks")?;
        lines.iter().find(named).with_context(|| format!("no line {check} in {}", self.json))
    }

    /// The line `check` is in `state`, and says `words` in what was found or is to be done.
    ///
    /// # Errors
    /// It is not so.
    pub fn says(&self, check: &str, state: &str, words: &[&str]) -> Result<()> {
        let line = self.line(check)?;
        ensure!(line["state"] == state, "{line}");
        for words in words {
            ensure!(line.to_string().contains(words), "{words} is not in {line}");
        }
        let to_do = line.get("do").is_some();
        ensure!(to_do == (state != "ok"), "one thing to do, and only where there is: {line}");
        Ok(())
    }

    /// The broker turns the node away: at the end of the handshake, or a moment later at the login.
    ///
    /// # Errors
    /// It is not so.
    pub fn mistrusts(&self, words: &str) -> Result<()> {
        self.says("TLS", "wrong", &[words]).or_else(|_| self.says("login", "wrong", &[words]))
    }

    /// Nothing is wrong.
    ///
    /// # Errors
    /// It is not so.
    pub fn passes(&self) -> Result<()> {
        let lines = self.json["checks"].as_array().context("it has checks")?;
        let wrong: Vec<_> = lines.iter().filter(|line| line["state"] == "wrong").collect();
        ensure!(wrong.is_empty() && self.said.code == Some(0), "{:?}: {wrong:?}", self.said.code);
        Ok(())
    }

    /// Something is wrong.
    ///
    /// # Errors
    /// It is not so.
    pub fn fails(&self) -> Result<()> {
        ensure!(self.said.code == Some(69), "{:?}: {}", self.said.code, self.json);
        Ok(())
    }
}
