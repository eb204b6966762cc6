use serde_json::json;

use super::*;

const NOW_MS: u64 = 1_763_690_000_000;

fn put(cron: &str, args_bytes: usize) -> SchedulePut {
    let command = json!({"type": "task.submit", "body": {
        "task": "t", "kind": "script",
        "payload": {"name": "x.sh", "args": {"text": "x".repeat(args_bytes)}},
    }});
    serde_json::from_value(json!({"schedule": "s", "cron": cron, "command": command})).unwrap()
}

fn schedules() -> Schedules {
    Schedules::recovered(BTreeMap::new(), BTreeMap::new())
}

fn add(schedules: &mut Schedules, id: &str, args_bytes: usize) -> Result<(), Full> {
    let schedule = Schedule::of(&put("0 4 * * *", args_bytes)).unwrap();
    schedules.put(id.parse().unwrap(), schedule, Some(NOW_MS)).map(|_| ())
}

#[test]
fn an_occurrence_has_a_name_of_its_own_whatever_its_schedule_is_called() {
    let name = |schedule: &str, at_ms| occurrence(&schedule.parse().unwrap(), at_ms);
    assert_eq!(name("nightly", NOW_MS).as_str(), "nightly.20251121T015320Z");
    let longest = "a".repeat(MAX_PLAIN_ID_BYTES);
    assert_eq!(name(&longest, NOW_MS).as_str(), format!("{longest}.20251121T015320Z"));
    let (longer, other) = (format!("{longest}a"), format!("{longest}b"));
    let names = [&longer, &other].map(|schedule| name(schedule, NOW_MS));
    assert_eq!(
        names[0].as_str(),
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-11eaed932c6c6fdd.20251121T015320Z"
    );
    assert_ne!(names[0], names[1]);
    assert_ne!(names[0], name(&longer, NOW_MS + 1_000));
    assert_eq!(names[0].as_str().len(), 64);
    name(&"z".repeat(64), 95_617_584_000_000);
}

#[test]
fn there_are_a_thousand_schedules_at_most_and_one_more_may_still_replace_one() {
    let mut schedules = schedules();
    for number in 0..MAX_SCHEDULES {
        add(&mut schedules, &format!("s{number}"), 0).unwrap();
    }
    assert_eq!(add(&mut schedules, "more", 0), Err(Full::Count));
    add(&mut schedules, "s7", 1).unwrap();
    assert!(schedules.remove(&"s8".parse().unwrap()).is_some());
    add(&mut schedules, "more", 0).unwrap();
}

#[test]
fn schedules_fill_a_mebibyte_at_most_and_room_that_is_given_back_is_room() {
    let mut schedules = schedules();
    let most = (0..).find(|number| add(&mut schedules, &format!("s{number}"), 60_000).is_err());
    assert_eq!(most, Some(17));
    assert_eq!(add(&mut schedules, "s17", 60_000), Err(Full::Bytes));
    add(&mut schedules, "s3", 60_000).unwrap();
    add(&mut schedules, "s3", 1).unwrap();
    add(&mut schedules, "s17", 60_000).unwrap();
    schedules.remove(&"s4".parse().unwrap()).unwrap();
    add(&mut schedules, "s18", 60_000).unwrap();
    for id in schedules.by_id.keys().cloned().collect::<Vec<_>>() {
        schedules.remove(&id).unwrap();
    }
    assert_eq!(schedules.bytes, 0);
}

#[test]
fn a_look_too_many_runs_nothing_and_one_too_late_runs_the_last_occurrence_once() {
    let mut schedules = schedules();
    let id: ScheduleId = "s".parse().unwrap();
    let schedule = Schedule::of(&put("* * * * * *", 0)).unwrap();
    schedules.put(id.clone(), schedule, Some(NOW_MS)).unwrap();
    schedules.watched();
    let mut ran = Vec::new();
    for ms in [0, 0, 999, 1_000, 1_000, 1_001, 5_500, 5_500, 6_000] {
        for id in schedules.look(NOW_MS + ms) {
            ran.extend(schedules.take(&id, NOW_MS + ms).0.map(|due| due.at_ms - NOW_MS));
        }
        schedules.watched();
    }
    assert_eq!(ran, [1_000, 5_000, 6_000]);
    assert_eq!(schedules.next_at(), Some(NOW_MS + 7_000));
}
