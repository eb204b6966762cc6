//! The way out: the window, acknowledgements, the cache, refusals.

use super::*;

fn seqs(turn: &Turn) -> &[u64] {
    &turn.published
}

fn range(seqs: RangeInclusive<u64>) -> Vec<u64> {
    seqs.collect()
}

#[test]
fn events_go_out_in_order_a_window_at_a_time() {
    let mut rig = Rig::new();
    rig.push(40, 100);
    assert_eq!(seqs(&rig.turn()), [0; 0], "not connected");
    rig.outbox.up();
    assert_eq!(seqs(&rig.turn()), range(1..=16));
    assert_eq!(seqs(&rig.turn()), [0; 0]);
    rig.deliver([1]);
    assert_eq!(seqs(&rig.turn()), [17]);
    rig.deliver(2..=17);
    assert_eq!(seqs(&rig.turn()), range(18..=33));
    assert_eq!(rig.reads, 0, "all of it was in memory");
}

#[test]
fn an_acknowledgement_out_of_order_frees_nothing_before_those_below_it_came() {
    let mut rig = Rig::new();
    rig.push(40, 100);
    rig.outbox.up();
    rig.turn();
    rig.deliver(3..=16);
    assert_eq!((seqs(&rig.turn()).len(), rig.outbox.waiting().0), (0, 40));
    rig.deliver([1]);
    assert_eq!(seqs(&rig.turn()), [17]);
    rig.deliver([2]);
    assert_eq!(seqs(&rig.turn()), range(18..=32));
    assert_eq!(rig.outbox.waiting(), (24, 2_400));
}

#[test]
fn an_acknowledgement_of_nothing_or_twice_says_nothing() {
    let mut rig = Rig::new();
    rig.push(3, 100);
    rig.outbox.up();
    rig.turn();
    rig.deliver([1, 1, 99, 0]);
    assert_eq!((rig.outbox.acked, rig.outbox.waiting().0), (1, 2));
}

#[test]
fn a_reconnect_sends_again_from_the_first_that_is_not_acknowledged_unchanged() {
    let mut rig = Rig::new();
    rig.push(20, 100);
    rig.outbox.up();
    rig.turn();
    rig.deliver([1, 2, 5, 6]);
    rig.outbox.down();
    assert_eq!(seqs(&rig.turn()), [0; 0]);
    rig.outbox.up();
    assert_eq!(seqs(&rig.turn()), range(3..=18), "5 and 6 too: the order is worth more");
    rig.deliver(range(3..=18));
    assert_eq!(rig.outbox.acked, 18);
}

#[test]
fn what_the_cache_does_not_hold_is_read_from_disk() {
    let mut rig = Rig::new();
    rig.push(200, 60_000);
    rig.outbox.up();
    assert_eq!(rig.drain(), range(1..=200));
    assert!((1..200).contains(&rig.reads), "{}", rig.reads);
    assert_eq!(rig.outbox.waiting(), (0, 0));
}

#[test]
fn a_long_backlog_is_read_in_pieces_not_event_by_event() {
    let mut rig = Rig::new();
    rig.push(20_000, 200);
    let mut rig = rig.restarted();
    rig.outbox.up();
    assert_eq!(rig.drain().len(), 20_000);
    assert!(rig.reads < 40, "{} reads for 4 MB", rig.reads);
}

#[test]
fn what_is_pushed_while_the_disk_is_read_is_not_taken_for_lost() {
    let mut rig = Rig::new();
    rig.push(3, 100);
    let mut rig = rig.restarted();
    rig.outbox.up();
    let wishes = rig.outbox.advance(rig.now);
    let [Wish::Load { seqs, max_bytes }] = &wishes[..] else { panic!("{wishes:?}") };
    assert_eq!(*seqs, 1..=3, "what has no number yet can't be on disk");
    let (rows, through) = rig.read(seqs, *max_bytes);
    rig.push(30, 60_000);
    let (lost, _) = rig.outbox.loaded(1, through, rows);
    assert_eq!(lost, []);
    assert_eq!(rig.drain(), range(1..=33));
}

#[test]
fn an_answer_that_an_earlier_connection_asked_for_is_taken_for_no_other() {
    let mut rig = Rig::new();
    rig.push(40, 100);
    rig.outbox.up();
    rig.drain();
    rig.push(4, 100);
    let mut rig = rig.restarted();
    rig.outbox.up();
    let old = rig.outbox.advance(rig.now);
    assert_eq!(old.len(), 1, "one of the queue");
    rig.outbox.down();
    rig.outbox.resend(1, 40, cause());
    rig.outbox.up();
    let new = rig.outbox.advance(rig.now);
    assert_eq!(new.len(), 2, "one of the resend, one of the queue");
    for wish in old.into_iter().chain(new) {
        let Wish::Load { seqs, max_bytes } = wish else { panic!("{wish:?}") };
        let mut turn = Turn::default();
        rig.answer(&seqs, max_bytes, &mut turn);
        assert_eq!(turn, Turn::default(), "nothing is lost or gone");
    }
    let mut out = rig.drain();
    out.sort_unstable();
    assert_eq!(out, range(1..=44));
}

#[test]
fn an_event_that_is_not_on_disk_is_replaced_under_its_number() {
    let mut rig = Rig::new();
    rig.push(5, 100);
    let mut rig = rig.restarted();
    rig.disk.remove(&3);
    rig.outbox.up();
    let turn = rig.turn();
    assert_eq!(turn.lost, [(3, 3)]);
    assert_eq!(turn.published, range(1..=5));
    assert_eq!(rig.disk[&3], payload(3, 9));
}

#[test]
fn a_run_of_lost_events_is_replaced_by_one() {
    let mut rig = Rig::new();
    rig.push(50, 100);
    let mut rig = rig.restarted();
    rig.disk.retain(|seq, _| !(3..=40).contains(seq));
    rig.outbox.up();
    let turn = rig.turn();
    assert_eq!(turn.lost, [(3, 40)]);
    assert_eq!(turn.published, [vec![1, 2, 3], range(41..=50)].concat());
    rig.deliver(turn.published);
    assert_eq!((rig.outbox.acked, rig.outbox.waiting()), (50, (0, 0)));
}

#[test]
fn a_hopeless_event_is_replaced_once_and_goes_out_again_before_those_after_it() {
    for code in [0x95, 0x99] {
        let mut rig = Rig::new();
        rig.push(5, 100);
        rig.outbox.up();
        rig.turn();
        assert_eq!(rig.outbox.refused(2, code, rig.now), Refusal::Replace);
        let write = rig.outbox.replace(2, 2, payload(2, 9));
        rig.write(write);
        assert_eq!(rig.turn().published, range(2..=5));
        assert_eq!(rig.outbox.refused(2, code, rig.now), Refusal::Held, "it would go on for ever");
        assert_eq!(rig.outbox.held(), Some(code));
        assert_eq!(rig.outbox.refused(99, code, rig.now), Refusal::Nothing);
    }
}

#[test]
fn any_other_refusal_holds_the_queue_until_it_is_tried_again() {
    let mut rig = Rig::new();
    rig.push(30, 100);
    rig.outbox.up();
    rig.turn();
    for seq in 1..=16 {
        assert_eq!(rig.outbox.refused(seq, 0x97, rig.now), Refusal::Held);
    }
    assert_eq!(rig.turn().published, [0; 0]);
    assert_eq!((rig.outbox.held(), rig.outbox.wake_at()), (Some(0x97), Some(BootMs(1_000))));
    rig.now = BootMs(1_000);
    assert_eq!(rig.turn().published, range(1..=16));
    assert_eq!(rig.outbox.held(), Some(0x97), "until one is taken");
    rig.deliver([1]);
    assert_eq!((rig.outbox.held(), rig.outbox.wake_at()), (None, None));
}

#[test]
fn a_held_queue_is_tried_again_after_the_next_connect() {
    let mut rig = Rig::new();
    rig.push(3, 100);
    rig.outbox.up();
    rig.turn();
    rig.outbox.refused(1, 0x87, rig.now);
    rig.outbox.down();
    assert_eq!(rig.outbox.wake_at(), None);
    rig.outbox.up();
    assert_eq!((rig.outbox.held(), rig.turn().published), (None, range(1..=3)));
}
