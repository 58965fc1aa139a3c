//! One frame to a thousand clients of a shard, from the command until every outbox is drained: the cost of a delivery
//! before the socket.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wsmesh_adapter::{ClientId, Command, ConnectionId, Frame, OutboxLimits, Recipients, Room, Shard};

const CLIENTS: u64 = 1000;

/// A shard whose clients are spread over this number of rooms. Its "sockets" count bytes.
fn shard(rooms: u64) -> Shard<usize> {
    let mut shard = Shard::new(OutboxLimits::default());
    for number in 0..CLIENTS {
        let connection = ConnectionId(number);
        let client = ClientId::new(format!("client-{number}")).expect("valid");
        shard.insert(connection, client, 0);
        shard.apply(Command::Join(connection, room(number % rooms)));
    }
    shard
}

fn room(number: u64) -> Room {
    Room::new("chat", format!("room-{number}")).expect("valid")
}

fn drain(shard: &mut Shard<usize>) {
    shard.drain_dirty(|_, bytes, outbox| {
        while let Some(frame) = outbox.pop() {
            *bytes += frame.as_str().len();
        }
    });
}

fn fan_out(criterion: &mut Criterion) {
    let nobody: Arc<[ClientId]> = Arc::new([]);
    let text = format!(r#"{{"event":"say","payload":{{"msg":"{}"}}}}"#, "x".repeat(200));
    let mut group = criterion.benchmark_group("fan_out");
    for (name, rooms) in [("1 room x 1000", 1), ("100 rooms x 10", 100)] {
        let mut shard = shard(rooms);
        let rooms: Vec<Room> = (0..rooms).map(room).collect();
        group.throughput(Throughput::Elements(CLIENTS));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for room in &rooms {
                    let frame = Frame::new(black_box(text.clone()));
                    shard.apply(Command::Deliver(Recipients::Room(room.clone(), nobody.clone()), frame));
                }
                drain(&mut shard);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
