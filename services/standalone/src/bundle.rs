//! The services of the bundle: bound, started, watched, and ended in the right order. Owns every task that it starts.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use ws_node::PublicUrl;
use wsmesh_adapter::{Bus, MemoryBus, ServerName};
use wsmesh_bootstrap::probe::{Answer, Probe, Speaks};
use wsmesh_bootstrap::{CommonConfig, Problems, Service, Sockets, Value, configure};

use crate::config::Config;
use crate::ports::{Kind, Place, SERVICES, places, reachable};

/// The nodes of the embedded bus: the number that a small cluster has, so that the bundle behaves like one.
const NODES: [&str; 3] = ["redis-1", "redis-2", "redis-3"];
/// How often a service that starts is asked whether it is ready.
const READY_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for all services to be ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// Longest answer of an ops port that is read, in bytes; metrics take some dozen kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// The order in which services start. game-logic is ready before the ws-nodes that forward to it, so the very first request is
/// answered.
const STARTING: [Kind; 3] = [Kind::GameLogic, Kind::WsNode, Kind::Admin];
/// The order in which services end: ws-nodes first, so that game-logic still hears that their clients left.
const ENDING: [Kind; 3] = [Kind::WsNode, Kind::GameLogic, Kind::Admin];

/// A service of the bundle.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, with the ports that it really got.
    pub place: Place,
    stop: CancellationToken,
    task: Id,
    ended: bool,
}

/// All services of the bundle.
#[derive(Debug)]
pub struct Bundle {
    services: Vec<Running>,
    /// What the ops ports speak.
    speaks: Speaks,
    /// What the ports for clients and for admin's callers speak.
    speaks_in_public: Speaks,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Bundle {
    /// Binds every port, starts every service, and returns when all are ready and know each other.
    ///
    /// # Errors
    /// When ports are taken (all of them are named); when a service rejects its settings, ends, or is not ready within
    /// 20 s, with the reason. Nothing is left running then.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let mut bound = bind(places(config.settings.host, config.settings.port_base)).await?;
        let admin = bound.iter().find(|(place, _)| place.kind == Kind::Admin);
        let admin_port = admin.and_then(|(place, _)| place.public).map(|address| address.port());
        let bus = MemoryBus::new(NODES).context("the names of the embedded bus's nodes")?;
        let mut bundle = Self {
            services: Vec::new(),
            speaks: match config.common.ops_tls {
                true => Speaks::Tls,
                false => Speaks::Plain,
            },
            speaks_in_public: match config.common.tls_files() {
                Some(_) => Speaks::Tls,
                None => Speaks::Plain,
            },
            tasks: JoinSet::new(),
        };
        for kind in STARTING {
            let (now, later) = bound.into_iter().partition(|(place, _)| place.kind == kind);
            bound = later;
            if let Err(error) = bundle.start_all(now, config, &bus, admin_port).await {
                bundle.end_after_failure().await;
                return Err(error);
            }
        }
        Ok(bundle)
    }

    async fn start_all(
        &mut self,
        bound: Vec<(Place, Sockets)>,
        config: &Config,
        bus: &MemoryBus,
        admin_port: Option<u16>,
    ) -> anyhow::Result<()> {
        for (place, sockets) in bound {
            let common = CommonConfig {
                name: ServerName::new(place.name)?,
                listen: place.public,
                ops_listen: Some(place.ops),
                bus: Bus::Memory(bus.clone()),
                open_files: config.common.open_files / SERVICES,
                ..config.common.clone()
            };
            match place.kind {
                Kind::WsNode => {
                    let mut settings = config.edge.clone();
                    settings.playground_admin_port = admin_port;
                    if settings.public_url.is_none() {
                        settings.public_url = place
                            .public
                            .and_then(|address| public_url(address, self.speaks_in_public));
                    }
                    self.spawn::<ws_node::WsNodeService>(place, common, settings, sockets)?;
                }
                Kind::GameLogic => self.spawn::<game_logic::Service>(place, common, <_>::default(), sockets)?,
                Kind::Admin => self.spawn::<admin::Admin>(place, common, <_>::default(), sockets)?,
            }
        }
        self.ready().await
    }

    fn spawn<S: Service>(
        &mut self,
        place: Place,
        common: CommonConfig,
        settings: S::Settings,
        sockets: Sockets,
    ) -> anyhow::Result<()> {
        let mut problems = Problems::default();
        let config = configure::<S>(common, settings, &mut problems);
        let refused = || anyhow!("{} rejects its settings: {}", place.name, problems.lines().join("; "));
        let config = config.filter(|_| problems.lines().is_empty()).ok_or_else(refused)?;
        let stop = CancellationToken::new();
        let task = self.tasks.spawn(S::run(config, sockets, stop.clone())).id();
        self.services.push(Running {
            place,
            stop,
            task,
            ended: false,
        });
        Ok(())
    }

    /// The services, and where they listen.
    pub fn services(&self) -> &[Running] {
        &self.services
    }

    /// Resolves when every service that was started is ready and knows the others.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let asked: Vec<_> = self
            .services
            .iter()
            .map(|service| (service.place.name, service.place.ops))
            .collect();
        let probe = Probe::new(READY_LIMIT, self.speaks).map_err(|problem| anyhow!(problem))?;
        let all = async {
            for (name, ops) in &asked {
                ready(&probe, name, *ops, asked.len()).await?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            error = self.failed() => Err(error),
            result = all => result,
        }
    }

    /// Resolves when a service has ended unexpectedly, with the reason. Cancel-safe.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.next_ended().await {
            Err(error) => error,
            Ok(name) => anyhow!("{name} ended unexpectedly"),
        }
    }

    /// The addresses of the bundle, as text for people.
    pub fn welcome(&self) -> String {
        let public = |kind| self.of(kind).filter_map(|service| service.place.public).map(reachable);
        let list = |addresses: Vec<String>| addresses.join("  ");
        let (ws, http) = (scheme(self.speaks_in_public), self.speaks_in_public);
        let edges = list(public(Kind::WsNode).map(|address| format!("{ws}{address}")).collect());
        let playground = list(
            public(Kind::WsNode)
                .take(1)
                .map(|address| format!("{http}{address}/"))
                .collect(),
        );
        let admin = list(public(Kind::Admin).map(|address| format!("{http}{address}/")).collect());
        let ops = |service: &Running| {
            format!(
                "  {:<14}{}{}/metrics",
                service.place.name,
                self.speaks,
                reachable(service.place.ops)
            )
        };
        let ops: Vec<_> = ENDING.into_iter().flat_map(|kind| self.of(kind)).map(ops).collect();
        format!(
            "wsmesh is ready. This is a demo: everyone who reaches these ports gets in.\n\n  \
             playground    {playground}\n  clients       {edges}\n  admin         {admin}\n\n\
             Probes and metrics (/readyz, /metrics, /stats):\n{}\n\nCtrl-C ends it.",
            ops.join("\n")
        )
    }

    /// Ends every service: ws-nodes first, then game-logic, then admin.
    ///
    /// # Errors
    /// The first that a service ended with.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for kind in ENDING {
            self.of(kind).for_each(|service| service.stop.cancel());
            while self.of(kind).any(|service| !service.ended) {
                result = result.and(self.next_ended().await.map(drop));
            }
        }
        result
    }

    /// Ends every service when one has failed; errors of the others are only logged.
    pub async fn end_after_failure(self) {
        if let Err(error) = self.end().await {
            tracing::warn!(%error, "another service of the bundle failed while it was ended");
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Running> {
        self.services.iter().filter(move |service| service.place.kind == kind)
    }

    /// Waits until a service ends; returns its name, or why it failed.
    async fn next_ended(&mut self) -> anyhow::Result<&'static str> {
        let (task, result) = match self.tasks.join_next_with_id().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => (error.id(), Err(error.into())),
            None => return Err(anyhow!("no service of the bundle is left")),
        };
        let service = self.services.iter_mut().find(|service| service.task == task);
        let service = service.context("a task that is not a service ended")?;
        service.ended = true;
        result
            .with_context(|| service.place.name.to_owned())
            .map(|()| service.place.name)
    }
}

/// Where clients on this machine reach a ws-node.
fn public_url(address: SocketAddr, speaks: Speaks) -> Option<PublicUrl> {
    PublicUrl::parse(&format!("{}{}", scheme(speaks), reachable(address))).ok()
}

/// The beginning of the URLs that WebSocket clients of such a port use.
fn scheme(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Plain => "ws://",
        Speaks::Tls => "wss://",
    }
}

/// Binds everything, so that all taken ports are named at once and nothing is started if there are any.
async fn bind(places: Vec<Place>) -> anyhow::Result<Vec<(Place, Sockets)>> {
    let (mut bound, mut problems) = (Vec::new(), Vec::new());
    for mut place in places {
        let mut sockets = Sockets::default();
        match listener(place.name, place.public).await {
            Ok(socket) => sockets.public = socket,
            Err(problem) => problems.push(problem),
        }
        match listener(place.name, Some(place.ops)).await {
            Ok(socket) => sockets.ops = socket,
            Err(problem) => problems.push(problem),
        }
        let address = |socket: &Option<TcpListener>| socket.as_ref().and_then(|socket| socket.local_addr().ok());
        place.public = address(&sockets.public);
        place.ops = address(&sockets.ops).unwrap_or(place.ops);
        bound.push((place, sockets));
    }
    if problems.is_empty() {
        Ok(bound)
    } else {
        Err(anyhow!(problems.join("\n")))
    }
}

async fn listener(name: &str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {} for {name} is taken: end what uses it, or choose other ports with --port-base (WSMESH_PORT_BASE)",
            address.port()
        ),
        _ => format!("{name} cannot listen on {address}: {error}; choose with --host and --port-base"),
    })
}

/// Asks a service until it says that it is ready and knows `servers` servers: a server may be ready before it has heard of
/// others that start with it.
async fn ready(probe: &Probe, name: &str, ops: SocketAddr, servers: usize) -> anyhow::Result<()> {
    let ops = reachable(ops);
    let mut last = String::new();
    let asking = async {
        let mut every = tokio::time::interval(READY_INTERVAL);
        loop {
            every.tick().await;
            match state(probe, ops, servers).await {
                Ok(()) => return,
                Err(why) => last = why,
            }
        }
    };
    let result = tokio::time::timeout(READY_LIMIT, asking).await;
    result.map_err(|_| anyhow!("{name} was not ready within {} seconds: {last}", READY_LIMIT.as_secs()))
}

/// `Ok` when ready, else why not.
async fn state(probe: &Probe, ops: SocketAddr, servers: usize) -> Result<(), String> {
    let ask = |path| probe.get(ops, path, MAX_ANSWER);
    let Answer { status, text } = ask("/readyz").await?;
    // An admin is ready although it hears no node yet, and says so.
    if status != 200 || text.trim() != "ready" {
        return Err(text.trim().to_owned());
    }
    let metrics = ask("/metrics").await?;
    match known_servers(&metrics.text) {
        known if known == servers => Ok(()),
        known => Err(format!("it knows {known} of {servers} servers")),
    }
}

/// The live servers of all services, from a server's metrics.
fn known_servers(metrics: &str) -> usize {
    let series = metrics.lines().filter(|line| line.starts_with("wsmesh_servers{"));
    series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_sent_to_a_ws_node_as_it_speaks() {
        let address = "0.0.0.0:9000".parse().expect("an address");
        let url = |speaks| public_url(address, speaks).expect("a URL").to_string();
        assert_eq!(url(Speaks::Plain), "ws://127.0.0.1:9000");
        assert_eq!(url(Speaks::Tls), "wss://127.0.0.1:9000");
    }

    #[test]
    fn servers_of_all_services_are_added_up() {
        let metrics = "# TYPE wsmesh_servers gauge\nwsmesh_servers{service=\"admin\"} 1\n\
                       wsmesh_servers{service=\"ws-node\"} 2\nwsmesh_servers_other 7\n";
        assert_eq!(known_servers(metrics), 3);
    }
}
