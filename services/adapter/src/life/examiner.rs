//! Examines addresses that may become nodes, for this server and for others that ask it to. A few at once: the others wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::endpoints::Barred;
use super::identity::{Known, compare};
use super::topology::TopologyInUse;
use crate::error::TopologyError;
use crate::flow::inward::preflight::{Order, Orders};
use crate::flow::state::foundation::Foundation;
use crate::nodes::{
    CheckKind, Demands, Endpoint, Examined, Findings, NodeUrl, Phase, Preflight, checked_endpoint, examine,
    redis_endpoint,
};
use crate::options::{Bus, Options};
use crate::wire::{Channels, ClientId, Instance, Missing, NodeId, Payload, Room, Routing, Topic};

/// The most examinations at once. Each opens a few connections.
const AT_ONCE: usize = 3;

/// Examines addresses.
#[derive(Debug)]
pub(crate) struct Examiner {
    on: Foundation,
    topology: Arc<TopologyInUse>,
}

impl Examiner {
    pub(crate) fn new(foundation: &Foundation, topology: Arc<TopologyInUse>) -> Self {
        Self {
            on: foundation.clone(),
            topology,
        }
    }

    /// Carries out orders, and answers them.
    pub(crate) async fn serve(&self, mut orders: Orders) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(order) = orders.recv(), if running.len() < AT_ONCE => running.push(self.carry_out(order)),
                Some(()) = running.next() => {}
                else => return,
            }
        }
    }

    async fn carry_out(&self, order: Order) {
        if order.way_back.is_abandoned() {
            return;
        }
        let answer = match self.topology.parse(&order.candidate.url) {
            Ok((id, url)) => Payload::new(&self.examine(&id, &url).await).map_err(|_| Missing::NoReply),
            Err(error) => {
                tracing::debug!("an address that another server wants to be examined cannot be used: {error}");
                Err(Missing::Unhandled)
            }
        };
        order.way_back.answer_later(answer);
    }

    async fn examine(&self, id: &NodeId, url: &str) -> Preflight {
        let (options, channels) = (&self.on.options, &self.on.channels);
        let demands = demands(options, channels, self.on.members.instance());
        let endpoint = match self.topology.candidate(id, url).await {
            Ok(endpoint) => endpoint,
            Err(barred) => return not_tried(barred),
        };
        let mut examined = examine(&*endpoint, &demands).await;
        let nodes = self.topology.nodes();
        let known = nodes.iter().filter(|node| node.id != *id).map(|node| Known {
            id: node.id.clone(),
            endpoint: node.endpoint(),
        });
        compare(&mut examined, &endpoint.address(), &known.collect::<Vec<_>>(), &demands).await;
        self.judge_id(&mut examined, id, url);
        examined.findings.into_preflight()
    }

    /// An id names one node.
    fn judge_id(&self, examined: &mut Examined, id: &NodeId, url: &str) {
        let entries = self.topology.entries();
        let other = entries
            .get(id)
            .filter(|entry| entry.state != Phase::Gone && entry.url != url);
        if let Some(entry) = other {
            let error = TopologyError::Elsewhere {
                id: id.clone(),
                url: entry.url.clone(),
            };
            let fix = format!("drain {id} first, or give the new one its own id (redis://host:port#ID)");
            examined.findings.fail(CheckKind::Identity, error.to_string(), fix);
        }
    }
}

/// Examines an address for a server with these options, without a bus.
pub(crate) async fn examine_alone(url: &NodeUrl, options: &Options) -> Preflight {
    let channels = Channels::new(&options.prefix, options.routing.clone());
    let demands = demands(options, &channels, Instance::now());
    let endpoint_of = |url: &NodeUrl| redis_endpoint(url, options.name.as_str(), options.command_timeout);
    let endpoint = match checked_endpoint(url, options.name.as_str(), options.command_timeout).await {
        Ok(endpoint) => endpoint,
        Err(problem) => return not_tried(Barred::by_files(problem)),
    };
    let mut examined = examine(&*endpoint, &demands).await;
    let others = match &options.bus {
        Bus::Redis(urls) => urls.as_slice(),
        Bus::Alone | Bus::Memory(_) => &[],
    };
    let others = others.iter().filter(|other| other.id() != url.id());
    let others: BTreeMap<&NodeId, Arc<dyn Endpoint>> = others.map(|other| (other.id(), endpoint_of(other))).collect();
    let known = others.iter().map(|(id, endpoint)| Known {
        id: (*id).clone(),
        endpoint: &**endpoint,
    });
    compare(&mut examined, &endpoint.address(), &known.collect::<Vec<_>>(), &demands).await;
    examined.findings.into_preflight()
}

fn not_tried(barred: Barred) -> Preflight {
    let mut findings = Findings::default();
    findings.fail(CheckKind::Tls, barred.why, barred.fix);
    findings.into_preflight()
}

/// What a server with these options needs from a node.
fn demands(options: &Options, channels: &Channels, instance: Instance) -> Demands {
    const NOBODY: &str = "preflight";
    let client = ClientId::new(NOBODY).ok().map(Topic::Client);
    let room = Room::new(NOBODY, NOBODY).ok().map(Topic::Room);
    let topics = [Some(Topic::Servers), Some(Topic::Clients), client, room];
    let of_topics = topics.iter().flatten().map(|topic| channels.channel(topic));
    let of_server = [
        channels.own(&options.name),
        channels.all_own(),
        channels.beacon(),
        channels.probe(instance),
    ];
    let prefix = &options.prefix;
    let prefixes = match &options.routing {
        Routing::Direct => vec![prefix],
        Routing::Shared {
            bridge_prefix,
            ws_prefix,
        } => vec![prefix, bridge_prefix, ws_prefix],
    };
    let rules: Vec<_> = prefixes.into_iter().map(|prefix| format!("&{prefix}*")).collect();
    Demands {
        channels: of_server.into_iter().chain(of_topics).collect(),
        trial: format!("{prefix}preflight:{:016x}", rand::random::<u64>()).into(),
        rules: rules.join(" "),
        // A message may take half of it, see `nodes/largest`.
        buffer: options.max_publish_bytes as u64 * 2,
        limit: options.command_timeout,
    }
}
