//! `provisioning/provision` over a real ssh, onto a machine that has no agent yet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use edge_protocol::codec::Encoding;
use edgectl::ca::{Authority, Validity};
use nix::unistd::geteuid;
use tests::far::{self, Far};
use tests::program::Said;
use tests::{Story, operator};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// A relay and plugs, as a tech would name them.
const OUTLETS: [&str; 6] = [
    "--outlet",
    "relay-1=gpio:17,active-low",
    "--outlet",
    "plug-7=tasmota:http://127.0.0.1:1",
    "--outlet",
    "plug-8=shelly:http://127.0.0.1:2,relay=2",
];

/// A machine, a package, and an authority of files. `None` where nobody may make machines.
struct Bench {
    far: Far,
    package: String,
    authority: PathBuf,
}

impl Bench {
    async fn new() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let far = Far::start().await?;
        let package = far::package(far.folder(), "0.0.1")?.display().to_string();
        let authority = far.folder().join("authority");
        Authority::init(&authority, "a site", Validity::days(1_000)?)?;
        Ok(Some(Self { far, package, authority }))
    }

    /// Provisions `pi-7`, signed by the authority of files, with a broker that nobody asks.
    async fn provisions(&self, more: &[&str]) -> Result<Said> {
        self.far.provisioned(&self.words(more)).await
    }

    fn words<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let authority = self.authority.to_str().expect("a temporary folder's name is text");
        let mut words = vec!["--node-id", "pi-7", "--broker", "mqtts://broker.example"];
        words.extend(["--ca", authority, "--package", &self.package, "--no-wait"]);
        words.extend(OUTLETS);
        words.extend(more);
        words
    }

    fn key(&self) -> Result<String> {
        self.far.says("sha256sum /etc/edge-agent/node.key")
    }
}

/// Whether it ended well.
fn well(said: &Said) -> Result<&str> {
    ensure!(said.code == Some(0), "{said:?}");
    Ok(&said.out)
}

#[tokio::test]
async fn a_blank_machine_becomes_a_node_in_one_command_and_twice_is_once() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let first = bench.provisions(&[]).await?;
    let told = well(&first)?;
    for done in ["edge-agent 0.0.1 installed", "made here, and never leaves", "of pi-7 installed"] {
        assert!(told.contains(done), "{told}");
    }
    assert!(told.contains("reboot it once") && told.trim_end().ends_with("pi-7"), "{told}");
    let far = &bench.far;
    let check = "runuser -u edge-agent -- edge-agent check";
    assert_eq!(far.says(check)?.trim(), "/etc/edge-agent/agent.toml: ok");
    assert_eq!(far.says("stat -c '%a %U' /etc/edge-agent/node.key")?.trim(), "600 edge-agent");
    let shown = far.says("edge-agent identity show")?;
    assert!(shown.starts_with("node         pi-7\n") && shown.contains("a site"), "{shown}");
    let shelly = far.says("grep -A 3 plug-8 /etc/edge-agent/agent.toml")?;
    let expected = "driver = \"shelly\"\nurl = \"http://127.0.0.1:2\"\nrelay = 2";
    assert!(shelly.contains(expected), "{shelly}");
    let boot = far.says("cat /boot/firmware/config.txt")?;
    assert!(boot.starts_with("arm_64bit=1\n") && boot.contains("\ngpio=17=op,dh\n"), "{boot}");

    let files =
        "cd /; find etc/edge-agent etc/systemd/system.conf.d boot -type f | sort | xargs sha256sum";
    let before = far.says(files)?;
    let again = bench.provisions(&[]).await?;
    for line in well(&again)?.lines().filter(|line| line.starts_with("  ")) {
        let idle = [
            "as it was",
            "left out",
            "not started",
            "NOT synchronised",
            "reboot it once",
            "█",
            "pi-7",
        ];
        assert!(idle.iter().any(|word| line.contains(word)), "{line}");
    }
    assert_eq!(far.says(files)?, before);
    Ok(())
}

#[tokio::test]
async fn a_node_that_somebody_elses_authority_signs_reports_to_its_broker() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let mut story = Story::new(Encoding::Cbor).await?;
    let at = bench.far.folder();
    let (csr, cert, ca) = (at.join("node.csr"), at.join("node.pem"), at.join("site-ca.pem"));
    fs::write(&ca, story.site.authority.cert_pem())?;
    let node = story.site.node.clone();
    let (broker, plug) =
        (story.site.broker.endpoint(), format!("plug-1=tasmota:{}", story.plug.url()));
    let text = |path: &PathBuf| path.display().to_string();
    let (csr_word, cert_word, ca_word) = (text(&csr), text(&cert), text(&ca));
    let mut words =
        vec!["--node-id", node.as_str(), "--broker", &broker, "--package", &bench.package];
    words.extend([
        "--outlet",
        &plug,
        "--station",
        "pc-1=plug-1",
        "--broker-ca",
        &ca_word,
        "--no-wait",
    ]);

    let asked = bench.far.provisioned(&[&words[..], &["--csr-out", &csr_word]].concat()).await?;
    assert!(well(&asked)?.contains("have it signed for pi-0042"), "{asked:?}");
    let key = bench.key()?;
    let request = fs::read_to_string(&csr)?;
    let signed = story.site.authority.sign_request(&node, &request, Validity::days(100)?)?;
    fs::write(&cert, signed.cert_pem)?;
    let done = bench.far.provisioned(&[&words[..], &["--cert-in", &cert_word]].concat()).await?;
    assert!(well(&done)?.contains("of pi-0042 installed"), "{done:?}");
    assert_eq!(bench.key()?, key, "the key that was asked for is the key that is used");

    // What systemd does with it.
    bench.far.says("install -d -o edge-agent /var/lib/edge-agent /run/edge-agent")?;
    let mut agent = bench.far.starts("exec runuser -u edge-agent -- edge-agent run")?;
    story.told("node.link").await?;
    let command = story.send(tests::start("s-1", 600_000)).await?;
    assert_eq!(story.answer(&command).await?, Ok(()));
    story.told("session.started").await?;
    let refused = bench.far.provisioned(&["--undo"]).await?;
    assert_eq!(refused.code, Some(75), "not under a customer: {refused:?}");
    assert!(refused.err.contains("s-1") && story.plug.is_on(1), "{refused:?}");
    agent.kill()?;
    agent.wait()?;
    Ok(())
}

#[tokio::test]
async fn a_provisioning_that_is_cut_off_anywhere_is_run_again() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let mut key = None;
    for cut in ["package", "key", "certificate", "configuration"] {
        let mut provision = bench.far.provision(&bench.words(&[]))?;
        let mut running = provision.stdout(std::process::Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(running.stdout.take().expect("it was asked for")).lines();
        while let Some(line) = lines.next_line().await? {
            if line.trim_start().starts_with(cut) {
                break;
            }
        }
        // The tech closes the lid.
        running.start_kill()?;
        running.wait().await?;
        if cut != "package" {
            let now = bench.key()?;
            assert_eq!(*key.get_or_insert(now.clone()), now, "{cut}");
        }
    }
    well(&bench.provisions(&[]).await?)?;
    assert_eq!(Some(bench.key()?), key);
    let marks = bench.far.says("grep -c 'edge-agent' /boot/firmware/config.txt")?;
    assert_eq!(marks.trim(), "2", "one beginning, one end");
    Ok(())
}

#[tokio::test]
async fn what_was_done_is_undone_and_a_dry_run_does_nothing() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let far = &bench.far;
    let all = "cd /; find etc/edge-agent etc/systemd var/lib/edge-agent var/lib/edge-provision usr/bin/edge-agent \
               boot -type f 2>/dev/null | sort | xargs sha256sum";
    let blank = far.says(all)?;
    let dry = bench.provisions(&["--dry-run"]).await?;
    assert!(well(&dry)?.contains("would install") && dry.out.contains("gpio=17=op,dh"), "{dry:?}");
    assert_eq!(far.says(all)?, blank);

    well(&bench.provisions(&[]).await?)?;
    let provisioned = far.says(all)?;
    assert_ne!(provisioned, blank);
    let dry = far.provisioned(&["--undo", "--dry-run"]).await?;
    well(&dry)?;
    assert_eq!(far.says(all)?, provisioned);
    well(&far.provisioned(&["--undo"]).await?)?;
    assert_eq!(far.says(all)?, blank, "as if nobody had been there");
    assert!(well(&far.provisioned(&["--undo"]).await?)?.contains("nothing was provisioned"));
    Ok(())
}

/// A tech has edge-provision in /usr/bin, and the node's package in the folder that it is run in.
#[tokio::test]
async fn a_package_that_nobody_names_is_the_one_in_the_folder_at_hand() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let at = bench.far.folder();
    let installed = at.join("usr/bin/provision");
    fs::create_dir_all(at.join("usr/bin"))?;
    fs::copy(Far::script(), &installed)?;
    fs::copy(Far::script().with_file_name("on-node"), installed.with_file_name("on-node"))?;
    let mut words = bench.words(&["--dry-run"]);
    let named = words.iter().position(|word| *word == "--package").expect("it is among them");
    words.drain(named..named + 2);
    let run = async |folder: &Path| {
        let mut provision = bench.far.provision_by(&installed, &words)?;
        provision.current_dir(folder);
        operator::said(provision).await
    };
    let told = run(at).await?;
    assert!(well(&told)?.contains("would install edge-agent_0.0.1_"), "{told:?}");
    let refused = run(&at.join("usr")).await?;
    assert_eq!(refused.code, Some(66), "{refused:?}");
    assert!(refused.err.contains("make it with provisioning/package, or name it"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_touched() -> Result<()> {
    let Some(bench) = Bench::new().await? else { return Ok(()) };
    let far = &bench.far;
    let config = far.folder().join("agent.toml");
    fs::write(&config, "[node]\nid = \"pi-7\"\nsurprise = 1\n")?;
    let config = config.display().to_string();
    let authority = bench.authority.display().to_string();
    let file = ["--config", &config, "--ca", &authority, "--package", &bench.package, "--no-wait"];
    let refused = far.provisioned(&file).await?;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.err.contains("surprise"), "{refused:?}");
    assert!(!far.says("ls /etc/edge-agent")?.contains("agent.toml"), "it never counts");

    for (words, code, reason) in [
        (vec!["--node-id", "../x"], 64, "letters, digits"),
        (vec!["--node-id", "pi-7"], 64, "where is the broker?"),
        (vec!["--node-id", "pi-7", "--broker", "mqtt://b"], 64, "what does it switch?"),
        (vec!["--outlet", "a=shelf:1"], 64, "there is no driver shelf"),
        (vec!["--surprise"], 64, "unknown option"),
        (vec!["--outlet"], 64, "needs a value"),
        (vec!["--station", "pc 1=a"], 64, "--station pc 1=a"),
        (vec!["--ca", "/nowhere"], 66, "/nowhere/ca.pem can't be read"),
        (vec!["--cert-in", "/nowhere.pem", "--ca", ""], 66, "/nowhere.pem can't be read"),
    ] {
        let words = if reason.contains('?') || words.contains(&"../x") {
            words
        } else {
            bench.words(&words)
        };
        let refused = far.provisioned(&words).await?;
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.err.contains(reason), "{reason}: {refused:?}");
    }
    far.know("")?;
    let unknown = bench.provisions(&[]).await?;
    assert_eq!(unknown.code, Some(77), "{unknown:?}");
    assert!(unknown.err.contains("doesn't know far yet: connect by hand once"), "{unknown:?}");
    Ok(())
}
