//! Joins the bus for some seconds as a server that nobody counts, listens, asks every server, and says goodbye.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{
    Adapter, Bus, FactsOfNode, NodeState, NodeUrl, NodeView, Options, ServerInfo, ServerName, Started,
};
use wsmesh_protocol::report::{EDGE, EdgeReport, PROCESS, ProcessReport};

use super::super::evidence::{Answer, Cluster, Server};

/// Longest wait for a node that is heard: probes come back within a second.
const JOIN: Duration = Duration::from_secs(4);
/// Every server sends a beacon within this time, as soon as it knows of a new one: after so long without a further one, all are known.
const QUIET: Duration = Duration::from_millis(1_500);
/// Longest wait for that: servers may start all the time.
const LISTEN: Duration = Duration::from_secs(4);
/// What is still changing has this much more time to settle: a fault is only what lasts.
const SETTLE: Duration = Duration::from_secs(4);
/// Longest wait for a server, unless the settings have a shorter one.
const ANSWER: Duration = Duration::from_secs(4);
/// Longest wait for all nodes' facts.
const FACTS: Duration = Duration::from_secs(5);
/// How many servers are asked at once.
const AT_ONCE: usize = 64;
/// Longest time for the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The cluster, and what its nodes say about themselves.
///
/// # Errors
/// Why the bus could not be joined.
pub(super) async fn visit(
    mut options: Options,
    urls: &[NodeUrl],
    interrupted: &CancellationToken,
) -> Result<(Cluster, Vec<FactsOfNode>), String> {
    if matches!(options.bus, Bus::Alone) {
        return Err("no Redis node is set".to_owned());
    }
    options.request_timeout = options.request_timeout.min(ANSWER);
    let service = options.service.clone();
    let Started {
        adapter, mut driver, ..
    } = Adapter::start(options).map_err(|error| error.to_string())?;
    let looked = tokio::select! {
        looked = interrupted.run_until_cancelled(look(&adapter, urls)) => looked,
        failed = driver.failed() => Some(Err(failed.to_string())),
    };
    driver.shutdown(GOODBYE).await;
    let (mut cluster, facts) = looked.unwrap_or_else(|| Err("interrupted".to_owned()))?;
    // Other doctors come and go, too.
    cluster.servers.retain(|server| server.info.service != service);
    Ok((cluster, facts))
}

async fn look(adapter: &Adapter, urls: &[NodeUrl]) -> Result<(Cluster, Vec<FactsOfNode>), String> {
    let joined = timeout(JOIN, adapter.ready()).await;
    joined.map_err(|_| format!("no Redis node was heard within {} s", JOIN.as_secs()))?;
    listen(adapter).await;
    let others = adapter.servers().into_iter();
    let others = others.filter(|info| info.name != *adapter.name());
    let asking = stream::iter(others.map(|info| ask(adapter, info)))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let facts = timeout(FACTS, adapter.node_facts());
    let (mut servers, facts) = tokio::join!(asking, facts);
    let overdue = |node: NodeView| FactsOfNode {
        id: node.id,
        facts: Err(format!("did not answer within {} s", FACTS.as_secs())),
    };
    let facts = facts.unwrap_or_else(|_| adapter.topology().into_iter().map(overdue).collect());
    servers.sort_by(|a, b| a.name().cmp(b.name()));
    let topology = adapter.topology();
    // The nodes of the embedded bus are no setting.
    let configured = match urls {
        [] => topology
            .iter()
            .map(|node| (node.id.clone(), node.url.clone()))
            .collect(),
        urls => urls.iter().map(|url| (url.id().clone(), url.to_string())).collect(),
    };
    let cluster = Cluster {
        now_ms: now_ms(),
        servers,
        topology,
        configured,
        differences: adapter.differences(),
        conflicts: adapter.name_conflicts(),
    };
    Ok((cluster, facts))
}

/// Listens until every server has sent a beacon, and longer while not every server hears every node.
async fn listen(adapter: &Adapter) {
    let mut roster = adapter.roster();
    let meeting = async {
        let mut known = roster.borrow().len();
        while let Ok(Ok(servers)) = timeout(QUIET, roster.wait_for(|servers| servers.len() > known)).await {
            known = servers.len();
        }
    };
    let _ = timeout(LISTEN, meeting).await;
    let settling = async {
        while !is_settled(adapter) {
            if roster.changed().await.is_err() {
                return;
            }
        }
    };
    // What has not settled by then is a finding.
    let _ = timeout(SETTLE, settling).await;
}

/// Whether each other server hears each node that is in its topology.
fn is_settled(adapter: &Adapter) -> bool {
    let is_other = |server: &ServerName| server != adapter.name();
    let topology = adapter.topology();
    let in_use = |state| matches!(state, Some(NodeState::Active | NodeState::Joining));
    let reports = topology.iter().flat_map(|node| &node.servers);
    reports
        .filter(|at| is_other(&at.server) && in_use(at.state))
        .all(|at| at.hears)
}

/// Asks one server.
async fn ask(adapter: &Adapter, info: ServerInfo) -> Server {
    let (asked_ms, asked) = (now_ms(), Instant::now());
    let answer = adapter.server_stats(&info.name).await;
    let round_trip = asked.elapsed();
    let answer = answer.map_err(|error| error.to_string()).map(|stats| {
        let report = stats.reports.get(PROCESS);
        let process: Option<ProcessReport> = report.and_then(|report| serde_json::from_str(report.get()).ok());
        let edge: Option<EdgeReport> = stats
            .reports
            .get(EDGE)
            .and_then(|report| serde_json::from_str(report.get()).ok());
        Answer {
            clients: stats.clients,
            nodes: stats.nodes,
            lapses: stats.lapses,
            clock_ms: Some(stats.clock_ms).filter(|ms| *ms > 0),
            asked_ms,
            round_trip,
            open_files: process.as_ref().map(|process| process.open_files),
            grace_ms: process.as_ref().map(|process| process.shutdown_grace_ms),
            drain_ms: process.and_then(|process| process.drain_ms),
            is_draining: edge.is_some_and(|edge| edge.draining),
        }
    });
    Server { info, answer }
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
