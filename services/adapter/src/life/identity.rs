//! Whether an address is one more independent Redis, or one that is a node already.
//!
//! The run ids tell, if both say theirs. Else a message does, on a channel that nobody else knows: it is published at the known
//! node, and if the address's subscriber gets it, both are the same Redis. That somebody got it is not enough: who subscribes to
//! patterns gets every message.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::nodes::{Arrival, CheckKind, Demands, Endpoint, Examined, LinkError, Subscriber, limited};
use crate::wire::NodeId;

/// What to do about a Redis that is not independent.
const INDEPENDENT: &str = "use a Redis of its own: not a replica, and not part of a Redis Cluster";

/// A node that is known already.
pub(crate) struct Known<'a> {
    pub(crate) id: NodeId,
    pub(crate) endpoint: &'a dyn Endpoint,
}

/// What a known node showed.
struct Shown {
    id: NodeId,
    address: String,
    run_id: Result<Option<String>, LinkError>,
    /// How many got a message on the trial channel; none if nobody could.
    receivers: Result<Option<u64>, LinkError>,
}

/// Compares an examined address with the known nodes, all of them at once.
pub(crate) async fn compare(examined: &mut Examined, address: &str, known: &[Known<'_>], demands: &Demands) {
    let Examined { findings, subscribed } = examined;
    if let Some(why) = findings.dependence.take() {
        return findings.fail(CheckKind::Identity, why, INDEPENDENT);
    }
    if findings.run_id.is_none() && subscribed.is_none() {
        // It was not reached at all. Then only its name may be known.
        if let Some(twin) = known.iter().find(|node| node.endpoint.address() == address) {
            findings.fail(CheckKind::Identity, already(address, &twin.id), rename(&twin.id));
        }
        return;
    }
    let may_receive = subscribed.is_some();
    let shown = join_all(known.iter().map(|node| show(node, demands, may_receive))).await;
    // Whether it is the same run, if both say theirs.
    let same_run = |node: &Shown| match (&node.run_id, &findings.run_id) {
        (Ok(Some(theirs)), Some(run_id)) => Some(theirs == run_id),
        _ => None,
    };
    let in_question = shown.iter().filter(|node| same_run(node).is_none());
    let in_question = in_question.filter(|node| matches!(node.receivers, Ok(Some(1..))));
    let in_question: HashSet<Bytes> = in_question.map(|node| message(&node.id)).collect();
    let got = match subscribed {
        Some(subscriber) => arrived(&mut **subscriber, in_question, demands).await,
        None => None,
    };
    let is_same = |node: &&Shown| {
        let got = || got.as_ref() == Some(&message(&node.id));
        node.address == address || same_run(node).unwrap_or_else(got)
    };
    if let Some(twin) = shown.iter().find(is_same) {
        return findings.fail(CheckKind::Identity, already(address, &twin.id), rename(&twin.id));
    }
    let unclear = |node: &&Shown| same_run(node).is_none() && !matches!(node.receivers, Ok(Some(_)));
    match shown.iter().find(unclear) {
        Some(node) => {
            let error = node.run_id.as_ref().err().or(node.receivers.as_ref().err());
            let why = error.map_or_else(|| "it does not say who it is".to_owned(), ToString::to_string);
            findings.doubt(
                CheckKind::Identity,
                format!("it cannot be compared with node {}: {why}", node.id),
            );
        }
        None => findings.pass(CheckKind::Identity),
    }
}

/// Asks a known node over connections of its own: its links carry messages, and may be busy.
async fn show(node: &Known<'_>, demands: &Demands, may_receive: bool) -> Shown {
    let asking = limited(demands.limit, async {
        let mut inquiry = node.endpoint.inquiry().await?;
        let about = inquiry.about().await;
        inquiry.close().await;
        about
    });
    let publishing = async {
        if !may_receive {
            return Ok(None);
        }
        let publishing = limited(demands.limit, async {
            let publisher = node.endpoint.publisher().await?;
            publisher.publish(&demands.trial, message(&node.id)).await
        });
        publishing.await.map(Some)
    };
    let (about, receivers) = tokio::join!(asking, publishing);
    Shown {
        id: node.id.clone(),
        address: node.endpoint.address(),
        run_id: about.map(|about| about.run_id),
        receivers,
    }
}

/// What is published at a known node.
fn message(id: &NodeId) -> Bytes {
    Bytes::copy_from_slice(id.as_str().as_bytes())
}

/// Which of these messages arrives, if one does.
async fn arrived(subscriber: &mut dyn Subscriber, messages: HashSet<Bytes>, demands: &Demands) -> Option<Bytes> {
    if messages.is_empty() {
        return None;
    }
    let arriving = limited(demands.limit / 2, async {
        loop {
            for arrival in subscriber.next().await? {
                if let Arrival::Message { payload, .. } = arrival
                    && messages.contains(&payload)
                {
                    return Ok(payload);
                }
            }
        }
    });
    arriving.await.ok()
}

fn already(address: &str, id: &NodeId) -> String {
    format!("{address} is the node {id} already")
}

fn rename(id: &NodeId) -> String {
    format!("use {id}, or name another Redis: one Redis under two ids would be used as if it were two")
}
