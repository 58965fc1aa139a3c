//! This service over the embedded bus.

mod moving;
mod playing;
mod support;
mod traces;

use std::time::Duration;

use game_logic::Settings;
use serde_json::{Value, json};
use support::Client;

fn quick() -> Settings {
    Settings {
        tick_rate: 100,
        state_rate: Some(100),
        drain_time: Duration::ZERO,
        ..Settings::default()
    }
}

/// Both are in the same match; its id.
async fn found(one: &mut Client, two: &mut Client) -> Value {
    let (first, second) = (one.push("matchFound").await, two.push("matchFound").await);
    assert_eq!(first, second);
    assert_eq!(first["room"], json!({"namespace": "match", "id": first["match"]}));
    first["match"].clone()
}
