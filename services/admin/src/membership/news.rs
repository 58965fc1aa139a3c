//! The leader tells the other admins what it sees and what it tried, so that each of them can show it. Nothing depends on that.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wsmesh_adapter::{Payload, Target};

use super::shared::Shared;
use crate::gather::MembershipView;

/// The event that carries it.
const MEMBERSHIP: &str = "wsmesh.membership";
/// How often the leader looks whether there is news.
const EVERY: Duration = Duration::from_secs(1);
/// How often it tells what it has told before.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Tells while this admin leads. Never returns.
pub(super) async fn tell(on: &Shared) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Instant, MembershipView)> = None;
    loop {
        every.tick().await;
        if !on.leadership.is_mine() {
            last = None;
            continue;
        }
        let view = on.seen();
        if last
            .as_ref()
            .is_some_and(|(at, told)| *told == view && at.elapsed() < AGAIN_AFTER)
        {
            continue;
        }
        let to = Target::Service(on.adapter.service().clone());
        let sent = match Payload::new(&view) {
            Ok(payload) => on.adapter.emit(to, MEMBERSHIP, payload).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(()) => last = Some((Instant::now(), view)),
            Err(error) => {
                tracing::debug!(%error, "the other admins could not be told about the Redis pods; trying again")
            }
        }
    }
}

/// Hears what the leader tells. Never returns before the adapter ends.
pub(super) async fn hear(on: &Shared) {
    let mut news = on.adapter.listen(MEMBERSHIP);
    while let Some(event) = news.next().await {
        let leader = on.leadership.leader();
        if leader.as_deref() != Some(event.sender.as_str()) {
            continue;
        }
        match event.payload.parse::<MembershipView>() {
            Ok(view) => on.hear(view),
            // A later version may see other things.
            Err(error) => {
                tracing::debug!(sender = %event.sender, %error, "the leader told something that cannot be read")
            }
        }
    }
}
