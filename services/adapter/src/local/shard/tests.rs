//! Tests of the shard: fan-out, closing, order of frames.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn shard(limits: OutboxLimits, clients: &[(u64, &str)]) -> Shard<()> {
    let mut shard = Shard::new(limits);
    for &(connection, client) in clients {
        shard.insert(ConnectionId(connection), ClientId::new(client).expect("valid"), ());
    }
    shard
}

fn received(shard: &mut Shard<()>) -> Vec<(u64, String)> {
    let mut out = Vec::new();
    shard.drain_dirty(|connection, (), outbox| {
        while let Some(frame) = outbox.pop() {
            out.push((connection.0, frame.as_str().to_owned()));
        }
    });
    out.sort();
    out
}

fn room() -> Room {
    Room::new("chat", "1").expect("valid")
}

#[test]
fn a_frame_for_a_room_reaches_all_members_except_the_excluded_ones() {
    let mut shard = shard(
        OutboxLimits::default(),
        &[(1, "ann"), (2, "bob"), (3, "cid"), (4, "dan")],
    );
    for connection in 1..=3 {
        shard.apply(Command::Join(ConnectionId(connection), room()));
    }
    let except: Arc<[ClientId]> = [ClientId::new("bob").expect("valid")].into();
    shard.apply(Command::Deliver(Recipients::Room(room(), except), Frame::new("hi")));
    assert_eq!(received(&mut shard), [(1, "hi".into()), (3, "hi".into())]);
}

#[test]
fn a_member_that_left_or_disconnected_gets_nothing() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann"), (2, "bob"), (3, "cid")]);
    for connection in 1..=3 {
        shard.apply(Command::Join(ConnectionId(connection), room()));
    }
    let say = || Command::Deliver(Recipients::Room(room(), Arc::default()), Frame::new("x"));
    shard.apply(Command::Leave(ConnectionId(1), room()));
    shard.remove(ConnectionId(2));
    shard.apply(say());
    assert_eq!(received(&mut shard), [(3, "x".into())]);
    shard.apply(Command::Leave(ConnectionId(3), room()));
    shard.apply(say());
    assert_eq!(received(&mut shard), []);
}

#[test]
fn a_slow_client_is_listed_once_for_closing_and_gets_nothing_more() {
    let mut shard = shard(OutboxLimits { bytes: 100, frames: 2 }, &[(1, "slow"), (2, "other")]);
    for _ in 0..5 {
        shard.push(ConnectionId(1), Frame::new("x"));
    }
    assert_eq!(shard.take_closing(), [(ConnectionId(1), Closing::Slow)]);
    assert_eq!(received(&mut shard).len(), 2);
    shard.push(ConnectionId(1), Frame::new("x"));
    shard.push(ConnectionId(2), Frame::new("y"));
    assert_eq!(received(&mut shard), [(2, "y".into())]);
    assert_eq!(shard.take_closing(), []);
}

#[test]
fn the_dirty_mark_of_a_removed_connection_does_not_affect_the_next_one() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann")]);
    shard.push(ConnectionId(1), Frame::new("x"));
    shard.remove(ConnectionId(1));
    shard.insert(ConnectionId(2), ClientId::new("bob").expect("valid"), ());
    assert_eq!(received(&mut shard), []);
    shard.push(ConnectionId(2), Frame::new("y"));
    assert_eq!(received(&mut shard), [(2, "y".into())]);
}

/// The events in the life of a shard with six connections and three rooms.
#[derive(Debug, Clone)]
enum Step {
    Come(u64),
    Go(u64),
    Join(u64, u8),
    Leave(u64, u8),
    Push(u64),
    Room(u8, Option<u64>),
    Everyone(Option<u64>),
    /// A frame that is too large to be shared.
    Large(u8),
    Dismiss(u64),
    Look(u64),
    /// The end of a turn; whether the owner accepts shared frames.
    Drain(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (who, room) = (|| 0..6u64, || 0..3u8);
    let someone = || proptest::option::of(0..6u64);
    prop_oneof![
        2 => who().prop_map(Step::Come),
        1 => who().prop_map(Step::Go),
        3 => (who(), room()).prop_map(|(who, room)| Step::Join(who, room)),
        1 => (who(), room()).prop_map(|(who, room)| Step::Leave(who, room)),
        2 => who().prop_map(Step::Push),
        6 => (room(), someone()).prop_map(|(room, except)| Step::Room(room, except)),
        2 => someone().prop_map(Step::Everyone),
        1 => room().prop_map(Step::Large),
        1 => who().prop_map(Step::Dismiss),
        1 => who().prop_map(Step::Look),
        3 => any::<bool>().prop_map(Step::Drain),
    ]
}

/// A model without sharing: each frame is put into the outbox of every receiver at once.
#[derive(Default)]
struct Plain {
    here: BTreeSet<u64>,
    dismissed: BTreeSet<u64>,
    rooms: BTreeMap<u8, BTreeSet<u64>>,
    waiting: BTreeMap<u64, Vec<String>>,
    got: BTreeMap<u64, Vec<String>>,
}

impl Plain {
    /// One step; `text` is what is sent in it.
    fn take(&mut self, step: &Step, text: &str) {
        match *step {
            Step::Come(who) => _ = self.here.insert(who),
            Step::Go(who) => self.go(who),
            Step::Join(who, room) if self.here.contains(&who) => {
                self.rooms.entry(room).or_default().insert(who);
            }
            Step::Join(..) | Step::Look(_) => {}
            Step::Leave(who, room) => _ = self.rooms.entry(room).or_default().remove(&who),
            Step::Push(who) => self.give([who], None, text),
            Step::Room(room, except) => self.give(self.members(room), except, text),
            Step::Everyone(except) => self.give(0..6, except, text),
            Step::Large(room) => self.give(self.members(room), None, text),
            Step::Dismiss(who) if self.here.contains(&who) => _ = self.dismissed.insert(who),
            Step::Dismiss(_) => {}
            Step::Drain(_) => {
                for (who, texts) in std::mem::take(&mut self.waiting) {
                    self.got.entry(who).or_default().extend(texts);
                }
            }
        }
    }

    fn give(&mut self, to: impl IntoIterator<Item = u64>, except: Option<u64>, text: &str) {
        for one in to {
            if self.here.contains(&one) && !self.dismissed.contains(&one) && except != Some(one) {
                self.waiting.entry(one).or_default().push(text.to_owned());
            }
        }
    }

    fn members(&self, room: u8) -> Vec<u64> {
        self.rooms.get(&room).into_iter().flatten().copied().collect()
    }

    fn go(&mut self, who: u64) {
        self.here.remove(&who);
        self.dismissed.remove(&who);
        self.waiting.remove(&who);
        self.rooms.values_mut().for_each(|members| {
            members.remove(&who);
        });
    }
}

fn named(number: u8) -> Room {
    Room::new("chat", number.to_string()).expect("valid")
}

fn client(number: u64) -> ClientId {
    ClientId::new(format!("c{number}")).expect("valid")
}

/// One step of the shard; `text` is what is sent in it.
fn take(shard: &mut Shard<()>, step: Step, text: String, got: &mut BTreeMap<u64, Vec<String>>) {
    let frame = Frame::new(text);
    match step {
        Step::Come(who) => shard.insert(ConnectionId(who), client(who), ()),
        Step::Look(_) => {}
        Step::Go(who) => _ = shard.remove(ConnectionId(who)),
        Step::Join(who, room) => shard.apply(Command::Join(ConnectionId(who), named(room))),
        Step::Leave(who, room) => shard.apply(Command::Leave(ConnectionId(who), named(room))),
        Step::Push(who) => shard.push(ConnectionId(who), frame),
        Step::Room(room, except) => {
            let except = except.map(client).into_iter().collect();
            shard.apply(Command::Deliver(Recipients::Room(named(room), except), frame));
        }
        Step::Everyone(except) => {
            let recipients = match except {
                Some(except) => Recipients::AllBut([ConnectionId(except)].into()),
                None => Recipients::All,
            };
            shard.apply(Command::Deliver(recipients, frame));
        }
        Step::Large(room) => {
            let recipients = Recipients::Room(named(room), Arc::default());
            shard.apply(Command::Deliver(recipients, frame));
        }
        Step::Dismiss(who) => {
            let (code, reason) = (4010, "bye".into());
            shard.apply(Command::Dismiss(ConnectionId(who), Dismissal { code, reason }));
        }
        Step::Drain(shares) => shard.drain_shared(|connection, (), outbox, shared| {
            let got = got.entry(connection.0).or_default();
            match shared {
                Some(_) if !shares => return false,
                Some(shared) => got.extend(shared.frames.iter().map(|frame| frame.as_str().to_owned())),
                None => got.extend(std::iter::from_fn(|| outbox.pop()).map(|frame| frame.as_str().to_owned())),
            }
            true
        }),
    }
}

proptest! {
    #[test]
    fn every_connection_gets_the_same_frames_in_the_same_order_as_without_sharing(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let (mut plain, mut got): (Plain, BTreeMap<u64, Vec<String>>) = Default::default();
        let mut shard: Shard<()> = Shard::new(OutboxLimits::default());
        for (number, step) in steps.into_iter().chain([Step::Drain(true)]).enumerate() {
            if matches!(step, Step::Come(who) if plain.here.contains(&who)) {
                continue;
            }
            if let Step::Look(who) = step {
                let waiting = shard.connection(ConnectionId(who)).map_or(0, |(_, outbox)| outbox.len());
                prop_assert_eq!(waiting, plain.waiting.get(&who).map_or(0, Vec::len));
            }
            let text = match step {
                Step::Large(_) => number.to_string().repeat(10_000),
                _ => number.to_string(),
            };
            plain.take(&step, &text);
            take(&mut shard, step, text, &mut got);
        }
        got.retain(|_, texts| !texts.is_empty());
        prop_assert_eq!(got, plain.got);
    }
}

#[test]
fn connections_that_get_the_same_frames_in_a_turn_share_them() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann"), (2, "bob"), (3, "cid")]);
    for connection in 1..=3 {
        shard.apply(Command::Join(ConnectionId(connection), room()));
    }
    let say = |text: &str| Command::Deliver(Recipients::Room(room(), Arc::default()), Frame::new(text));
    shard.apply(say("one"));
    shard.push(ConnectionId(2), Frame::new("you"));
    shard.apply(say("two"));
    let mut seen = BTreeMap::new();
    shard.drain_shared(|connection, (), outbox, shared| {
        let kind = match shared {
            Some(shared) => Ok((shared.id, shared.frames.len())),
            None => Err(outbox.len()),
        };
        seen.insert(connection.0, kind);
        true
    });
    assert_eq!(seen[&1], seen[&3]);
    assert!(matches!(seen[&1], Ok((_, 2))), "{seen:?}");
    assert_eq!(seen[&2], Err(3), "its own frame comes in between");
}

#[test]
fn a_turn_should_end_once_many_bytes_are_shared() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann")]);
    shard.apply(Command::Join(ConnectionId(1), room()));
    let frame = Frame::new("x".repeat(8 * 1024));
    for number in 0..4 {
        assert!(!shard.is_full(), "after {number}");
        let recipients = Recipients::Room(room(), Arc::default());
        shard.apply(Command::Deliver(recipients, frame.clone()));
    }
    assert!(shard.is_full());
    shard.drain_dirty(|_, (), outbox| outbox.clear());
    assert!(!shard.is_full());
}

#[test]
fn a_connection_that_does_not_accept_shared_frames_is_slow_once_its_outbox_is_full() {
    let mut shard = shard(OutboxLimits { bytes: 100, frames: 2 }, &[(1, "slow")]);
    shard.apply(Command::Join(ConnectionId(1), room()));
    for _ in 0..3 {
        let recipients = Recipients::Room(room(), Arc::default());
        shard.apply(Command::Deliver(recipients, Frame::new("x")));
    }
    let mut waiting = 0;
    shard.drain_shared(|_, (), outbox, shared| {
        waiting = outbox.len();
        shared.is_none()
    });
    assert_eq!(waiting, 2);
    assert_eq!(shard.take_closing(), [(ConnectionId(1), Closing::Slow)]);
}
