//! Envelopes as the JavaScript package sends them: read, written in both encodings, and read again. Needs the feature
//! `fuzzing`, which makes the decoder accessible.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use wsmesh_adapter::fuzzing;

const RECORDED: &str = include_str!("../../../tests/vectors/recorded.json");

fn envelopes(criterion: &mut Criterion) {
    let all: serde_json::Value = serde_json::from_str(RECORDED).expect("JSON");
    let cases = all["bridge"].as_array().expect("a list");
    let payloads = cases.iter().filter_map(|case| case["payload_b64"].as_str());
    let payloads: Vec<Vec<u8>> = payloads.map(|text| STANDARD.decode(text).expect("base64")).collect();
    let name = format!(
        "envelope: {} recorded ones, read, written twice, read twice",
        payloads.len()
    );
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            payloads
                .iter()
                .for_each(|payload| fuzzing::envelope(black_box(payload)))
        });
    });
}

criterion_group!(benches, envelopes);
criterion_main!(benches);
