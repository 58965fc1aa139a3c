//! A shard: fan-out, closing, requests to clients.

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
fn a_frame_for_a_room_reaches_its_members_but_not_those_excluded() {
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
fn who_left_or_is_gone_or_whose_room_was_removed_hears_nothing() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann"), (2, "bob"), (3, "cid")]);
    for connection in 1..=3 {
        shard.apply(Command::Join(ConnectionId(connection), room()));
    }
    let say = || Command::Deliver(Recipients::Room(room(), Arc::default()), Frame::new("x"));
    shard.apply(Command::Leave(ConnectionId(1), room()));
    shard.remove(ConnectionId(2));
    shard.apply(say());
    assert_eq!(received(&mut shard), [(3, "x".into())]);
    shard.apply(Command::RemoveRoom(room()));
    shard.apply(say());
    assert_eq!(received(&mut shard), []);
}

#[test]
fn a_slow_client_is_named_once_for_closing_and_takes_nothing_more() {
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
fn a_connection_that_goes_while_dirty_does_not_leave_its_mark_to_the_next() {
    let mut shard = shard(OutboxLimits::default(), &[(1, "ann")]);
    shard.push(ConnectionId(1), Frame::new("x"));
    shard.remove(ConnectionId(1));
    shard.insert(ConnectionId(2), ClientId::new("bob").expect("valid"), ());
    assert_eq!(received(&mut shard), []);
    shard.push(ConnectionId(2), Frame::new("y"));
    assert_eq!(received(&mut shard), [(2, "y".into())]);
}
