//! The publishing half of a node's life: it keeps the connection that everyone publishes through, and probes.

use futures_util::FutureExt;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Backoff, Node, Surroundings};
use crate::nodes::link::{LinkError, LinkErrorKind, limited};

pub(super) async fn publish(node: &Node, around: &Surroundings) {
    let mut backoff = Backoff::new(around.deaf.clone());
    let mut first = true;
    loop {
        let error = match limited(around.command_timeout * 2, node.endpoint.publisher()).await {
            Ok(publisher) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                let since = Instant::now();
                node.set_publisher(Some(publisher));
                let error = probe(node, around).await;
                node.set_publisher(None);
                if let Some(missing) = around.window.truncated(Instant::now()) {
                    around.copies.note_truncated(missing);
                }
                let copies = around.copies.extend(around.window.take(node.index, Instant::now()));
                if copies > 0 {
                    tracing::info!(node = %node.id, copies, "a connection was lost: what went through it lately is published again");
                }
                around.changed.notify_one();
                backoff.held(since.elapsed());
                error
            }
            Err(error) => error,
        };
        node.report("publishing", &error);
        backoff.wait().await;
    }
}

/// Probes once an interval, and at once when somebody has a reason; ends when a probe cannot be published.
async fn probe(node: &Node, around: &Surroundings) -> LinkError {
    let mut tick = interval(around.probe_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = false;
    // What was said of the former connection says nothing of this one.
    let _ = node.silent.notified().now_or_never();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = node.suspect.notified() => {}
            () = node.silent.notified() => {
                return LinkError::new(LinkErrorKind::TimedOut, "silent for three probe intervals");
            }
        }
        let now = Instant::now();
        if std::mem::replace(&mut heard, node.health.heard(now)) != heard {
            around.changed.notify_one();
        }
        if !node.health.can_probe() {
            continue;
        }
        let number = node.health.probe(now).to_string();
        if let Err(error) = node
            .probe(&around.probe_channel, number.into(), around.command_timeout)
            .await
        {
            return error;
        }
    }
}
