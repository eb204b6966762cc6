//! SIGKILL at each of the agent's named points.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result};

use tests::figure::{figure, is_long};

use crate::fragile::Point;
use crate::rig::Rig;
use crate::scenarios::Scenario;
use crate::seed;

/// Fewer points are not everything that matters.
const LEAST: usize = 60;
/// How often the agent dies at each.
const TIMES: usize = 1;
const TIMES_LONG: usize = 20;
/// Sites at a time: they mostly wait.
const SITES: usize = 6;

/// By name: the scenarios that pass a point, and how often one process does.
type Points = BTreeMap<String, Vec<(Scenario, u64)>>;

/// The agent is to die there, in that scenario.
#[derive(Debug, Clone)]
struct Case {
    number: usize,
    point: Point,
    scenario: Scenario,
}

#[test]
fn a_kill_at_any_named_point_loses_nothing_and_doubles_nothing() -> Result<()> {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let points = passed()?;
    assert!(points.len() >= LEAST, "only {} points: {:?}", points.len(), points.keys());
    let mut cases = Vec::new();
    for _ in 0..if is_long() { TIMES_LONG } else { TIMES } {
        for (name, passings) in &points {
            let (scenario, most) = passings[random.usize(..passings.len())];
            let point = Point { name: name.clone(), passing: random.u64(1..=most) };
            cases.push(Case { number: cases.len(), point, scenario });
        }
    }
    random.shuffle(&mut cases);
    let queue = Mutex::new(cases);
    let died = Mutex::new(Vec::new());
    let sites: Vec<Result<()>> = std::thread::scope(|scope| {
        let sites: Vec<_> = (0..SITES).map(|_| scope.spawn(|| site(&queue, &died))).collect();
        sites.into_iter().map(|site| site.join().expect("it does not panic")).collect()
    });
    for site in sites {
        site.with_context(|| format!("seed {seed}"))?;
    }
    let died = died.into_inner().expect("nobody panicked");
    let names: BTreeSet<&String> = died.iter().collect();
    figure("kills at named points", "points", names.len());
    figure("kills at named points", "kills", died.len());
    // Now and then what one process passed another does not: an order that was overtaken.
    assert!(names.len() >= LEAST, "it died at {} of {} points", names.len(), points.len());
    Ok(())
}

/// Plays each scenario with an agent that lives.
fn passed() -> Result<Points> {
    let folder = tempfile::tempdir()?;
    let play = |scenario: Scenario| {
        let passes = folder.path().join(format!("{scenario:?}"));
        fs::create_dir(&passes)?;
        let playing = async {
            let mut rig = Rig::new().await?;
            rig.begin(None, Some(&passes)).await?;
            scenario.play(&mut rig, "r").await.with_context(|| format!("{scenario:?}, undisturbed"))
        };
        runtime()?.block_on(playing)?;
        counted(&passes)
    };
    let mut points = Points::new();
    let counts: Vec<Result<_>> = std::thread::scope(|scope| {
        let plays = Scenario::ALL.map(|scenario| (scenario, scope.spawn(move || play(scenario))));
        plays.map(|(it, play)| Ok((it, play.join().expect("it does not panic")?))).into()
    });
    for count in counts {
        let (scenario, counts) = count?;
        for (name, most) in counts {
            points.entry(name).or_default().push((scenario, most));
        }
    }
    Ok(points)
}

/// How often one process passed each point, at most.
fn counted(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    for process in fs::read_dir(folder)? {
        let mut passed: BTreeMap<String, u64> = BTreeMap::new();
        for name in fs::read_to_string(process?.path())?.lines() {
            *passed.entry(name.to_owned()).or_default() += 1;
        }
        for (name, count) in passed {
            let most = most.entry(name).or_default();
            *most = (*most).max(count);
        }
    }
    Ok(most)
}

/// Plays cases until there are none left.
fn site(queue: &Mutex<Vec<Case>>, died: &Mutex<Vec<String>>) -> Result<()> {
    runtime()?.block_on(async {
        let mut rig = Rig::new().await?;
        loop {
            let Some(case) = queue.lock().expect("nobody panicked").pop() else { return Ok(()) };
            let mut point = case.point.clone();
            play(&mut rig, &case, &point, "").await?;
            if rig.round().deaths == 0 {
                // Not passed so often this time.
                point.passing = 1;
                play(&mut rig, &case, &point, "again-").await?;
            }
            if rig.round().deaths > 0 {
                died.lock().expect("nobody panicked").push(point.name);
            }
        }
    })
}

async fn play(rig: &mut Rig, case: &Case, point: &Point, prefix: &str) -> Result<()> {
    let playing = async {
        rig.begin(Some(point.clone()), None).await?;
        case.scenario.play(rig, &format!("{prefix}r{}", case.number)).await
    };
    let played = playing.await;
    played.with_context(|| {
        let log = rig.row.story.site.folder().join("agent.log");
        let log = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(12)..].join("\n");
        format!("killed at {point} in {:?}; the log ends:\n{end}\n", case.scenario)
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
