//! The publishing half of a node's task: keeps the connection that all messages for this node use, and probes.

use futures_util::FutureExt;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Backoff, Environment, Node};
use crate::nodes::link::{LinkError, limited};

/// A probe that only shows whether the connection takes it.
const NO_NUMBER: &str = "0";

pub(super) async fn publish(node: &Node, env: &Environment) {
    let mut backoff = Backoff::new(env.deaf.clone());
    let mut first = true;
    loop {
        let error = match limited(env.command_timeout * 2, node.endpoint.publisher()).await {
            Ok(publisher) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                let since = Instant::now();
                node.set_publisher(Some(publisher));
                let error = probe(node, env).await;
                node.set_publisher(None);
                if let Some(missing) = env.window.truncated(Instant::now()) {
                    env.copies.note_truncated(missing);
                }
                let copies = env.copies.extend(env.window.take(node.index, Instant::now()));
                if copies > 0 {
                    tracing::info!(node = %node.id, copies, "connection lost: publishing its recent messages again through other nodes");
                }
                env.changed.notify_one();
                backoff.held(since.elapsed());
                error
            }
            Err(error) => error,
        };
        node.report("publishing", &error);
        backoff.wait().await;
    }
}

/// Probes once per interval, and at once on request. Ends when a probe cannot be published.
async fn probe(node: &Node, env: &Environment) -> LinkError {
    let mut tick = interval(env.probe_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = false;
    // An earlier notification concerns the previous connection.
    let _ = node.silent.notified().now_or_never();
    loop {
        let is_suspect = tokio::select! {
            _ = tick.tick() => false,
            () = node.suspect.notified() => true,
            () = node.silent.notified() => {
                return node.silence();
            }
        };
        let now = Instant::now();
        if std::mem::replace(&mut heard, node.health.heard(now)) != heard {
            env.changed.notify_one();
        }
        if !node.health.can_probe() {
            // Nothing returns yet. But a connection that has ended must not be kept until something can: beside a subscriber of the
            // next run, it would look like a node that leads to two Redis.
            if is_suspect
                && let Err(error) = node
                    .probe(&env.probe_channel, NO_NUMBER.into(), env.command_timeout)
                    .await
            {
                return error;
            }
            continue;
        }
        let number = node.health.probe(now).to_string();
        if let Err(error) = node.probe(&env.probe_channel, number.into(), env.command_timeout).await {
            return error;
        }
    }
}
