//! What of the outbox a restart finds.

use super::*;

fn range(seqs: RangeInclusive<u64>) -> Vec<u64> {
    seqs.collect()
}

#[test]
fn numbers_start_at_1_and_go_on_without_a_gap() {
    let mut rig = Rig::new();
    assert_eq!(rig.outbox.next_seq(), 1);
    for next in [4, 7, 10] {
        rig.push(3, 100);
        rig = rig.restarted();
        assert_eq!(rig.outbox.next_seq(), next);
    }
}

#[test]
fn numbers_go_on_though_every_event_is_delivered_and_deleted() {
    let mut rig = Rig::new();
    for seq in 1..=3 {
        let write = rig.outbox.push(seq, payload(seq, 50), false);
        rig.write(write);
    }
    rig.flush();
    rig.outbox.up();
    rig.drain();
    rig.flush();
    assert!(rig.disk.is_empty(), "node.* is not kept");
    assert_eq!(rig.restarted().outbox.next_seq(), 4);
}

#[test]
fn an_acknowledgement_costs_no_write_and_a_crash_then_sends_again() {
    let mut rig = Rig::new();
    rig.push(10, 100);
    rig.outbox.up();
    rig.turn();
    rig.deliver(1..=6);
    let mut crashed = Rig::recovered(rig.disk.clone(), rig.marks.clone());
    crashed.outbox.up();
    assert_eq!(crashed.drain(), range(1..=10));

    rig.push(1, 100);
    let mut after_a_write = rig.restarted();
    after_a_write.outbox.up();
    assert_eq!(after_a_write.drain(), range(7..=11));
}

#[test]
fn no_event_is_deleted_before_the_mark_that_it_was_acknowledged_is_written() {
    let mut rig = Rig::new();
    for seq in 1..=3_000 {
        let write = rig.outbox.push(seq, payload(seq, 50), false);
        rig.write(write);
    }
    rig.flush();
    rig.outbox.up();
    rig.drain();
    let mut batches = 0;
    while !rig.disk.is_empty() {
        let writes = rig.outbox.marks();
        assert!(writes.len() <= DELETES_AT_ONCE);
        writes.into_iter().for_each(|write| rig.write(write));
        assert_eq!(rig.marks.acked, 3_000);
        batches += 1;
    }
    assert_eq!(batches, 3);
}

#[test]
fn events_that_a_start_does_not_find_are_missing_and_none_is_sent_twice_for_it() {
    let mut rig = Rig::new();
    rig.push(10, 100);
    for seq in [1, 2, 5, 10] {
        rig.disk.remove(&seq);
    }
    let mut rig = rig.restarted();
    assert_eq!(rig.outbox.take_missing(), [(1, 2), (5, 5), (10, 10)]);
    for (from, to) in [(1, 2), (5, 5), (10, 10)] {
        let write = rig.outbox.replace(from, to, payload(from, 9));
        rig.write(write);
    }
    assert_eq!(rig.outbox.next_seq(), 11);
    rig.outbox.up();
    assert_eq!(rig.drain(), [1, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(rig.outbox.acked, 10);
}

#[test]
fn without_its_marks_everything_that_is_there_is_sent_again() {
    let mut rig = Rig::new();
    rig.push(10, 100);
    rig.disk.retain(|seq, _| *seq >= 4);
    rig.marks = Marks::default();
    let mut rig = rig.restarted();
    assert_eq!(rig.outbox.take_missing(), []);
    assert_eq!(rig.outbox.next_seq(), 11);
    rig.outbox.up();
    assert_eq!(rig.drain(), range(4..=10));
}

#[test]
fn history_is_there_after_a_restart() {
    let mut rig = Rig::new();
    rig.push(20, 100);
    rig.outbox.up();
    rig.drain();
    rig.push(1, 100);
    let mut rig = rig.restarted();
    assert_eq!(rig.outbox.waiting().0, 1);
    rig.outbox.resend(1, 20, cause());
    rig.outbox.up();
    let turn = rig.turn();
    assert_eq!(turn.published, [range(1..=8), vec![21]].concat());
}
