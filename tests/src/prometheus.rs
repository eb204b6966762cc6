//! A real Prometheus that watches a node with the shipped alert rules, in a hurry.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::page::{Look, find_program};
use crate::within;

const RULES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/grafana/alerts.yml"));

/// A running Prometheus. Dropped, it is ended.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    look: Look,
    _folder: TempDir,
}

impl Prometheus {
    /// Watches the page at `node`; `None` where no Prometheus is installed.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(node: SocketAddr) -> Result<Option<Self>> {
        let Some(program) = find_program("prometheus") else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("alerts.yml"), hurried(RULES))?;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [alerts.yml]\n\
             scrape_configs:\n  - job_name: edge-agent\n    static_configs:\n      \
             - targets: [\"{node}\"]\n        labels: {{ instance: pi-0042 }}\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = run(&program, folder.path(), address)?;
        let prometheus = Self { child, look: Look::on(address), _folder: folder };
        within("Prometheus is ready", async {
            while prometheus.look.get("/-/ready").await.is_err() {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
        .await?;
        Ok(Some(prometheus))
    }

    /// Waits until the node was asked once more, and answered.
    ///
    /// # Errors
    /// It was not, or did not.
    pub async fn scraped(&self) -> Result<()> {
        let last = self.target().await?["lastScrape"].clone();
        within("a scrape", async {
            loop {
                let target = self.target().await?;
                if target["lastScrape"] != last && target["health"] == "up" {
                    return Ok(());
                }
            }
        })
        .await
    }

    async fn target(&self) -> Result<Value> {
        let told: Value = serde_json::from_str(&self.look.get("/api/v1/targets").await?)?;
        Ok(told["data"]["activeTargets"][0].clone())
    }

    /// Waits until `alert` fires.
    ///
    /// # Errors
    /// It does not.
    pub async fn fires(&self, alert: &str) -> Result<()> {
        within(alert, async {
            loop {
                let told: Value = serde_json::from_str(&self.look.get("/api/v1/alerts").await?)?;
                let alerts = told["data"]["alerts"].as_array().context("alerts")?;
                let firing =
                    |one: &Value| one["labels"]["alertname"] == alert && one["state"] == "firing";
                if alerts.iter().any(firing) {
                    return Ok(());
                }
            }
        })
        .await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &Path, folder: &Path, address: SocketAddr) -> Result<Child> {
    let log = fs::File::create(folder.join("prometheus.log"))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok(command.spawn()?)
}

/// The same rules without their patience: nobody's minutes, and short looks back.
fn hurried(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
    let rules = lines.collect::<Vec<_>>().join("\n");
    rules.replace("[15m]", "[20s]").replace("[1h]", "[2m]")
}
