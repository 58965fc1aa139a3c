//! Whether an address is one more independent Redis, or one that is a node already.
//!
//! Two signs tell: the run id, if both say it; and an empty message on a channel that only the address's subscriber knows,
//! which has a receiver if it is published at the same Redis.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::nodes::{CheckKind, Demands, Endpoint, Examined, LinkError, limited};
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
    let is_same = |node: &&Shown| {
        let same_run = matches!(&node.run_id, Ok(Some(run_id)) if Some(run_id) == findings.run_id.as_ref());
        same_run || matches!(node.receivers, Ok(Some(1..))) || node.address == address
    };
    if let Some(twin) = shown.iter().find(is_same) {
        return findings.fail(CheckKind::Identity, already(address, &twin.id), rename(&twin.id));
    }
    let unclear = |node: &&Shown| {
        let compared = matches!(node.run_id, Ok(Some(_))) && findings.run_id.is_some();
        !compared && !matches!(node.receivers, Ok(Some(_)))
    };
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
            publisher.publish(&demands.trial, Bytes::new()).await
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

fn already(address: &str, id: &NodeId) -> String {
    format!("{address} is the node {id} already")
}

fn rename(id: &NodeId) -> String {
    format!("use {id}, or name another Redis: one Redis under two ids would be used as if it were two")
}
