//! The work of a ws-node for every client frame: parse one, write one.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use wsmesh_protocol::frame;

fn frames(criterion: &mut Criterion) {
    let filler = "x".repeat(200);
    let event = format!(r#"{{"event":"command","payload":{{"action":"toRoom","msg":"{filler}","roomId":"lobby"}}}}"#);
    let request = format!(r#"{{"event":"echo","payload":{{"msg":"{filler}"}},"callbackId":"17"}}"#);
    let payload = serde_json::json!({ "action": "toRoom", "msg": filler });

    let mut group = criterion.benchmark_group("client frame of 200 bytes");
    group.bench_function("parse an event", |bencher| {
        bencher.iter(|| frame::parse(black_box(&event)).is_ok())
    });
    group.bench_function("parse a request", |bencher| {
        bencher.iter(|| frame::parse(black_box(&request)).is_ok())
    });
    group.bench_function("write a push", |bencher| {
        bencher.iter(|| frame::push("say", black_box(&payload)))
    });
    group.bench_function("write a reply", |bencher| {
        bencher.iter(|| frame::reply_value("17", black_box(&payload)))
    });
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
