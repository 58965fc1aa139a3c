//! Interest: what must be confirmed where, and what a late confirmation proves.

use super::*;

fn channel(name: &str) -> Channel {
    Channel::from(name)
}

/// Two nodes that are connected and heard, wanting nothing.
fn interest() -> (Interest, [u64; 2]) {
    let interest = Interest::new(Duration::from_secs(5));
    interest.count();
    let epochs = [interest.connected(0).0, interest.connected(1).0];
    interest.returning(0, true);
    interest.returning(1, true);
    (interest, epochs)
}

fn generation(interest: &Interest, node: usize) -> Generation {
    match &interest.take_wishes(node)[..] {
        [Wish::Subscribe(_, generation)] => *generation,
        other => panic!("expected one subscribe, got {other:?}"),
    }
}

fn resolved(waiting: &mut oneshot::Receiver<()>) -> bool {
    waiting.try_recv().is_ok()
}

#[test]
fn a_join_resolves_when_every_heard_node_has_confirmed_it() {
    let (interest, epochs) = interest();
    let room = channel("room");
    interest.hold(&room);
    let (first, second) = (generation(&interest, 0), generation(&interest, 1));
    let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
    interest.confirm(0, epochs[0], &room, first);
    assert!(!resolved(&mut waiting));
    interest.confirm(1, epochs[1], &room, second);
    assert!(resolved(&mut waiting));
    assert!(interest.confirmed(&room).is_none(), "resolved at once from now on");
}

#[test]
fn a_join_waits_for_at_least_one_node_but_not_for_nodes_that_are_not_heard() {
    let (interest, epochs) = interest();
    let room = channel("room");
    interest.hold(&room);
    let first = generation(&interest, 0);
    let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
    interest.confirm(0, epochs[0], &room, first);
    interest.returning(1, false);
    assert!(resolved(&mut waiting));
    interest.returning(0, false);
    assert!(interest.confirmed(&room).is_some(), "no node is heard");
}

#[test]
fn nothing_resolves_before_the_server_counts() {
    let interest = Interest::new(Duration::from_secs(5));
    let (epoch, _) = interest.connected(0);
    interest.returning(0, true);
    let room = channel("room");
    interest.hold(&room);
    let first = generation(&interest, 0);
    interest.confirm(0, epoch, &room, first);
    let mut waiting = interest.confirmed(&room).expect("does not count yet");
    assert!(!resolved(&mut waiting));
    interest.count();
    assert!(resolved(&mut waiting));
}

#[test]
fn a_node_owes_channels_that_resolved_without_it_and_joins_wait_for_it_once_its_probes_return() {
    let (interest, epochs) = interest();
    interest.hold_always(&channel("mine"));
    let always = generation(&interest, 0);
    interest.confirm(0, epochs[0], &channel("mine"), always);
    interest.disconnected(1);
    let (epoch, _) = interest.connected(1);
    let owing = || interest.owing(1).load(Ordering::Acquire);
    assert_eq!(owing(), 1, "what is always wanted");
    let (first, second) = (channel("first"), channel("second"));
    interest.hold(&first);
    let generation_first = generation(&interest, 0);
    interest.confirm(0, epochs[0], &first, generation_first);
    assert_eq!(owing(), 2, "resolved without it");
    interest.returning(1, true);
    interest.hold(&second);
    let generation_second = generation(&interest, 0);
    let mut waiting = interest.confirmed(&second).expect("not confirmed yet");
    interest.confirm(0, epochs[0], &second, generation_second);
    assert!(!resolved(&mut waiting));
    interest.confirm(1, epoch, &channel("mine"), always);
    interest.confirm(1, epoch, &first, generation_first);
    interest.confirm(1, epoch, &first, generation_first);
    assert_eq!(owing(), 0);
    interest.confirm(1, epoch, &second, generation_second);
    assert!(resolved(&mut waiting));
    interest.release(&second, Instant::now());
    interest.sweep(Instant::now() + Duration::from_secs(6));
    assert_eq!(owing(), 0);
}

#[test]
fn a_confirmation_from_before_an_unsubscribe_proves_nothing() {
    let (interest, epochs) = interest();
    let (room, now) = (channel("room"), Instant::now());
    interest.hold(&room);
    let old = generation(&interest, 0);
    interest.release(&room, now);
    interest.sweep(now + Duration::from_secs(6));
    interest.hold(&room);
    interest.returning(1, false);
    let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
    interest.confirm(0, epochs[0], &room, old);
    assert!(!resolved(&mut waiting));
    let wishes = interest.take_wishes(0);
    let [Wish::Unsubscribe(_), Wish::Subscribe(_, new)] = &wishes[..] else {
        panic!("{wishes:?}")
    };
    interest.confirm(0, epochs[0], &room, *new);
    assert!(resolved(&mut waiting));
}

#[test]
fn a_confirmation_from_an_earlier_connection_proves_nothing() {
    let (interest, epochs) = interest();
    let room = channel("room");
    interest.hold(&room);
    let old = generation(&interest, 0);
    interest.returning(1, false);
    interest.disconnected(0);
    let (epoch, wanted) = interest.connected(0);
    interest.returning(0, true);
    let mut waiting = interest.confirmed(&room).expect("not confirmed on the new connection");
    interest.confirm(0, epochs[0], &room, old);
    assert!(!resolved(&mut waiting));
    assert_eq!(wanted, [(room.clone(), old)]);
    interest.confirm(0, epoch, &room, old);
    assert!(resolved(&mut waiting));
}

#[test]
fn a_quick_rejoin_costs_nothing_and_a_long_absence_unsubscribes_once() {
    let (interest, _) = interest();
    let (room, start) = (channel("room"), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    interest.hold(&room);
    interest.take_wishes(0);
    interest.release(&room, at(0));
    interest.hold(&room);
    interest.release(&room, at(3000));
    interest.sweep(at(5100));
    assert_eq!(interest.take_wishes(0), [], "left again only two seconds ago");
    interest.sweep(at(8100));
    assert_eq!(interest.take_wishes(0), [Wish::Unsubscribe(room)]);
    assert_eq!(interest.len(), 0);
}

#[test]
fn holders_are_counted() {
    let (interest, _) = interest();
    let (room, now) = (channel("room"), Instant::now());
    interest.hold(&room);
    interest.hold(&room);
    interest.release(&room, now);
    interest.sweep(now + Duration::from_secs(60));
    assert_eq!(interest.len(), 1);
}

#[test]
fn joins_do_not_wait_for_a_node_that_rejects_the_channel_and_it_is_heard_without_it() {
    let (interest, epochs) = interest();
    let room = channel("room");
    interest.hold(&room);
    let (first, second) = (generation(&interest, 0), generation(&interest, 1));
    let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
    assert!(
        !interest.reject(1, epochs[1], &room, second),
        "not resolved, so not owed"
    );
    assert!(!resolved(&mut waiting));
    interest.confirm(0, epochs[0], &room, first);
    assert!(resolved(&mut waiting));
    assert_eq!(interest.owing(1).load(Ordering::Acquire), 0);
    // Given later.
    interest.confirm(1, epochs[1], &room, second);
    assert_eq!(interest.owing(1).load(Ordering::Acquire), 0);
    // A new connection must answer again.
    let (epoch, _) = interest.connected(1);
    assert_eq!(interest.owing(1).load(Ordering::Acquire), 1);
    assert!(interest.reject(1, epoch, &room, second), "the last one");
    assert!(!interest.reject(1, epoch, &room, second), "once only");
    assert_eq!(interest.owing(1).load(Ordering::Acquire), 0);
    interest.release(&room, Instant::now());
    interest.sweep(Instant::now() + Duration::from_secs(60));
    assert_eq!(interest.owing(1).load(Ordering::Acquire), 0);
}

#[test]
fn a_channel_that_is_always_held_is_needed() {
    let (interest, _) = interest();
    interest.hold_always(&channel("mine"));
    interest.hold(&channel("room"));
    let needed = ["mine", "room", "none"].map(|name| interest.is_needed(&channel(name)));
    assert_eq!(needed, [true, false, false]);
}

#[test]
fn a_subscription_is_current_until_its_channel_is_given_up_even_if_it_is_held_again() {
    let (interest, _) = interest();
    let room = channel("room");
    interest.hold(&room);
    let former = Wish::Subscribe(room.clone(), generation(&interest, 0));
    assert!(interest.is_current(&former));
    interest.release(&room, Instant::now());
    interest.sweep(Instant::now() + Duration::from_secs(60));
    assert!(!interest.is_current(&former));
    assert_eq!(interest.take_wishes(0), [Wish::Unsubscribe(room.clone())]);
    interest.hold(&room);
    let latter = Wish::Subscribe(room.clone(), generation(&interest, 0));
    assert!(interest.is_current(&latter) && !interest.is_current(&former));
    assert!(!interest.is_current(&Wish::Unsubscribe(room)));
}

#[test]
fn a_channel_that_every_node_rejects_does_not_resolve() {
    let (interest, epochs) = interest();
    let room = channel("room");
    interest.hold(&room);
    let generations = [generation(&interest, 0), generation(&interest, 1)];
    let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
    for node in 0..2 {
        interest.reject(node, epochs[node], &room, generations[node]);
    }
    assert!(!resolved(&mut waiting));
}
