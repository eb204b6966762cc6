use super::*;

fn id(text: &str) -> CommandId {
    text.parse().unwrap()
}

#[test]
fn a_repeated_command_is_answered_as_before_at_most_once_a_minute() {
    let mut answers = Answers::default();
    let no = Rejection::new(Code::Conflict, "taken");
    answers.remember(&id("a"), Some(no.clone()), 0);
    assert_eq!(answers.repeat(&id("b"), BootMs(0)), None);
    assert_eq!(answers.repeat(&id("a"), BootMs(0)), Some(Repeat::Answer(Err(no.clone()))));
    assert_eq!(answers.repeat(&id("a"), BootMs(59_999)), Some(Repeat::Silence));
    assert_eq!(answers.repeat(&id("a"), BootMs(60_000)), Some(Repeat::Answer(Err(no))));
}

#[test]
fn an_id_is_remembered_for_seven_days_of_running_time() {
    let mut answers = Answers::default();
    answers.remember(&id("a"), None, 1_000);
    assert_eq!(answers.make_room(1_000 + REMEMBERED_MS - 1).unwrap(), vec![]);
    assert!(answers.repeat(&id("a"), BootMs(0)).is_some());
    assert_eq!(answers.make_room(1_000 + REMEMBERED_MS).unwrap().len(), 1);
    assert_eq!(answers.repeat(&id("a"), BootMs(0)), None);
}

#[test]
fn two_hundred_thousand_ids_are_remembered_and_no_more_are_taken() {
    let mut answers = Answers::default();
    for number in 0..MAX_REMEMBERED {
        answers.remember(&id(&format!("c{number}")), None, 5);
    }
    assert_eq!(answers.make_room(6), Err(Full));
    assert!(answers.make_room(5 + REMEMBERED_MS).is_ok());
}

#[test]
fn a_weeks_end_stalls_no_command() {
    let mut answers = Answers::default();
    for number in 0..1_000 {
        answers.remember(&id(&format!("c{number}")), None, 5);
    }
    let mut left = 1_000;
    while left > 0 {
        let deletes = answers.make_room(5 + REMEMBERED_MS).unwrap();
        assert!((1..=FORGOTTEN_AT_ONCE).contains(&deletes.len()));
        left -= deletes.len();
    }
}

#[test]
fn answers_outlive_a_restart_and_are_forgotten_oldest_first() {
    let mut before = Answers::default();
    let no = Rejection::new(Code::UnknownTask, "there is no task t");
    let rows = [
        before.remember(&id("young"), Some(no.clone()), 900),
        before.remember(&id("old"), None, 100),
    ];
    let mut answers = Answers::default();
    for row in rows {
        let Write::Put { key, value } = row else { panic!("{row:?}") };
        answers.recover(key.strip_prefix(b"command/").unwrap(), &value).unwrap();
    }
    assert_eq!(answers.recovered(), 900);
    assert_eq!(answers.repeat(&id("old"), BootMs(0)), Some(Repeat::Answer(Ok(()))));
    assert_eq!(answers.repeat(&id("young"), BootMs(0)), Some(Repeat::Answer(Err(no))));
    assert_eq!(answers.make_room(100 + REMEMBERED_MS).unwrap().len(), 1);
    assert_eq!(answers.repeat(&id("old"), BootMs(0)), None);
}

#[test]
fn a_row_that_is_no_answer_is_told() {
    let mut answers = Answers::default();
    let Write::Put { value, .. } = answers.remember(&id("a"), None, 1) else { panic!() };
    let mut recovered = Answers::default();
    assert!(matches!(recovered.recover(b"short", &value), Err(record::Unreadable::Key)));
    assert!(recovered.recover(&[0; 16], b"\x01junk").is_err());
    assert!(matches!(recovered.recover(&[0; 16], b"\x02"), Err(record::Unreadable::Version(_))));
    assert_eq!(recovered.recovered(), 0);
}

#[test]
fn reasons_are_bounded_and_the_codes_stay() {
    let mut answers = Answers::default();
    let reason = "x".repeat(500);
    let most = MAX_REASON_BYTES / reason.len();
    for number in 0..most + 10 {
        let rejection = Some(Rejection::new(Code::Invalid, reason.clone()));
        answers.remember(&id(&format!("c{number}")), rejection, number as u64);
        assert!(answers.reason_bytes <= MAX_REASON_BYTES);
    }
    let Some(Repeat::Answer(Err(first))) = answers.repeat(&id("c0"), BootMs(0)) else { panic!() };
    assert_eq!((first.code, &*first.message), (Code::Invalid, "its first answer gave the reason"));
    let last = answers.repeat(&id(&format!("c{most}")), BootMs(0));
    assert_eq!(last, Some(Repeat::Answer(Err(Rejection::new(Code::Invalid, reason)))));
    while !answers.make_room(REMEMBERED_MS * 2).unwrap().is_empty() {}
    assert_eq!((answers.reason_bytes, answers.reasoned.len()), (0, 0));
}
