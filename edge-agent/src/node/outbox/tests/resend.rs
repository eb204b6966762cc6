//! Past events that are asked for again.

use super::*;

/// A rig whose first `count` events were acknowledged.
fn acknowledged(count: u64, bytes: usize) -> Rig {
    let mut rig = Rig::new();
    rig.push(count, bytes);
    rig.outbox.up();
    rig.drain();
    rig.flush();
    rig
}

fn range(seqs: RangeInclusive<u64>) -> Vec<u64> {
    seqs.collect()
}

#[test]
fn a_range_is_published_again_unchanged_half_a_window_at_a_time() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(11, 30, cause());
    let turn = rig.turn();
    assert_eq!((turn.published, turn.gone), (range(11..=18), vec![]));
    rig.deliver([11]);
    assert_eq!(rig.turn().published, [19]);
    rig.deliver(12..=19);
    assert_eq!(rig.drain(), range(20..=30));
    assert!(rig.outbox.again.waiting().is_empty());
    assert_eq!(rig.outbox.acked, 50);
}

#[test]
fn news_goes_on_beside_a_resend() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(1, 50, cause());
    rig.turn();
    rig.push(20, 100);
    assert_eq!(rig.turn().published, range(51..=58), "the other half of the window");
    rig.deliver(51..=58);
    assert_eq!(rig.turn().published, range(59..=66));
}

#[test]
fn what_is_gone_is_told_as_ranges_and_the_rest_is_published() {
    let mut rig = acknowledged(30, 100);
    for seq in [1, 2, 3, 10, 20, 21] {
        rig.disk.remove(&seq);
    }
    rig.outbox.resend(1, 21, cause());
    assert_eq!(rig.turn().gone, [(1, 3), (10, 10), (20, 21)]);
    rig.deliver([4, 5, 6, 7, 8, 9, 11, 12]);
    assert_eq!(rig.drain(), range(13..=19));
}

#[test]
fn a_long_range_that_is_gone_altogether_is_told_once_and_done() {
    let mut rig = acknowledged(3, 100);
    rig.outbox.acked = 500_000;
    rig.disk.clear();
    rig.outbox.resend(1, 400_000, cause());
    let turn = rig.turn();
    assert_eq!((turn.gone, turn.published, rig.reads), (vec![(1, 400_000)], vec![], 1));
    assert!(rig.outbox.again.waiting().is_empty());
}

#[test]
fn a_range_larger_than_a_read_goes_out_whole() {
    let mut rig = acknowledged(60, 30_000);
    let before = rig.reads;
    rig.outbox.resend(5, 55, cause());
    assert_eq!(rig.drain(), range(5..=55));
    assert!(rig.reads - before > 4);
}

#[test]
fn what_waits_for_its_first_acknowledgement_goes_out_once() {
    let mut rig = acknowledged(10, 100);
    rig.push(5, 100);
    rig.outbox.resend(9, 15, cause());
    let mut out = rig.turn().published;
    out.sort_unstable();
    assert_eq!(out, range(9..=15));
    rig.outbox.resend(13, 15, cause());
    assert_eq!(rig.outbox.again.waiting().len(), 1);
}

#[test]
fn after_a_lost_link_what_was_not_acknowledged_of_it_is_published_again() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(11, 30, cause());
    rig.turn();
    rig.deliver([11, 12, 15]);
    rig.outbox.down();
    rig.deliver([13]);
    rig.outbox.up();
    let mut out = rig.drain();
    out.dedup();
    assert_eq!(out, range(14..=30), "it was on its way when the link went");
}

#[test]
fn after_a_restart_what_was_not_acknowledged_of_it_is_published_again() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(11, 30, cause());
    rig.flush();
    rig.turn();
    rig.deliver([11, 12, 13, 15]);
    rig.flush();
    let mut rig = rig.restarted();
    rig.outbox.up();
    assert_eq!(rig.drain(), range(14..=30));
}

#[test]
fn ranges_go_out_one_after_the_other() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(40, 42, cause());
    rig.outbox.resend(1, 3, cause());
    assert_eq!(rig.drain(), [40, 41, 42, 1, 2, 3]);
}

#[test]
fn at_most_sixteen_ranges_wait() {
    let mut rig = acknowledged(50, 100);
    for _ in 0..16 {
        assert!(rig.outbox.takes_resend());
        rig.outbox.resend(1, 2, cause());
    }
    assert!(!rig.outbox.takes_resend());
    rig.drain();
    assert!(rig.outbox.takes_resend());
}

#[test]
fn a_resent_event_that_is_refused_as_hopeless_is_done_with() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(10, 10, cause());
    rig.turn();
    assert_eq!(rig.outbox.refused(10, 0x95, rig.now), Refusal::Again(cause()));
    assert!(rig.outbox.again.waiting().is_empty());
    rig.outbox.resend(11, 12, cause());
    assert_eq!(rig.drain(), [11, 12]);
}

#[test]
fn a_resend_is_held_with_the_queue_and_tried_again() {
    let mut rig = acknowledged(50, 100);
    rig.outbox.resend(10, 12, cause());
    rig.turn();
    assert_eq!(rig.outbox.refused(10, 0x97, rig.now), Refusal::Held);
    assert_eq!(rig.turn().published, [0; 0]);
    rig.now = BootMs(1_000);
    assert_eq!(rig.drain(), [10, 11, 12]);
}

#[test]
fn history_stays_within_16_mib_and_is_deleted_along_with_other_writes() {
    let mut rig = acknowledged(400, 60_000);
    let kept: usize = rig.disk.values().map(Vec::len).sum();
    assert!(kept <= 16 * 1024 * 1024, "{kept}");
    let oldest = *rig.disk.keys().next().unwrap();
    assert_eq!(oldest, 257, "a group at a time");
    rig.outbox.resend(1, 400, cause());
    assert_eq!(rig.turn().gone, [(1, 256)]);
}
