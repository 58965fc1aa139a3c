//! What an outage cannot hold: messages are rejected when it lasts longer than the window, or when too many wait.

use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Fault, LapseReason, PublishError};

use super::{all, isolated, memory};
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn messages_are_rejected_only_once_an_outage_lasts_longer_than_the_window() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus).await;
    let mut bob = two.client("bob").await;
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let (since, mut accepted) = (Instant::now(), 0);
    let send = |n: usize| {
        let text = frame(&n.to_string());
        async { one.adapter.to_client(&client("bob"), text).await }
    };
    let refused = loop {
        match send(accepted).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(matches!(refused, PublishError::Isolated), "{refused}");
    let lasted = since.elapsed();
    assert!((5_500..=6_500).contains(&lasted.as_millis()), "{lasted:?}");
    all(&memory, Fault::None);
    for n in 0..accepted {
        assert_eq!(bob.frame().await, n.to_string());
    }
    send(accepted).await.expect("a node is heard");
    assert_eq!(bob.frame().await, accepted.to_string());
    bob.nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_exceed_the_waiting_space_are_rejected_and_reported() {
    let (memory, bus) = memory();
    let (one, two) = pair_with(&bus, |options| options.replay_bytes = 64 * 1024).await;
    let mut bob = two.client("bob").await;
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let (mut accepted, padding) = (0, "x".repeat(1000));
    let refused = loop {
        let text = frame(&format!("{accepted} {padding}"));
        match one.adapter.to_client(&client("bob"), text).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PublishError::NoRoom), "{refused}");
    assert!((30..=64).contains(&accepted), "{accepted}");
    let lapses = one.adapter.lapses().borrow().clone();
    assert!(lapses.iter().any(|lapse| lapse.reason == LapseReason::WindowTooSmall));
    all(&memory, Fault::None);
    for n in 0..accepted {
        assert!(bob.frame().await.starts_with(&format!("{n} ")));
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_accepted_after_shutdown() {
    let (_memory, bus) = memory();
    let (one, _two) = pair(&bus).await;
    let adapter = one.adapter.clone();
    one.driver.shutdown(SOON).await;
    let error = adapter.to_client(&client("bob"), frame("x")).await;
    let error = error.expect_err("no task would send it");
    assert!(matches!(error, PublishError::Isolated), "{error}");
}
