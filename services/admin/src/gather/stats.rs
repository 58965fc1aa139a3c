//! The statistics of the cluster: totals and rates, by service, server and namespace.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{Gathered, ServerInfo, ServerName, ServiceName, StatsPart};
use wsmesh_protocol::report::OTHER_CODES;

use super::measured::{LagMs, Measured, Rates, short};
use super::prominent::{SlowClientStats, TopRooms, slow_clients, top_rooms};
use super::reports::EdgeReports;
use super::servers::{ServerState, load, state};
use crate::shapes::Name;

/// Most namespaces in the answer, the rest as one.
const NAMESPACES: usize = 64;
/// The name of the rest: of namespaces, of close codes.
const OTHER: &str = "other";

/// `GET /api/v1/stats`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stats)]
pub(crate) struct StatsView {
    /// Clients on all servers.
    pub(crate) clients: u64,
    pub(crate) totals: Totals,
    /// By name.
    pub(crate) services: Vec<ServiceStats>,
    /// By name.
    pub(crate) servers: Vec<ServerStats>,
    /// By name, at most 64; the others together as `other`.
    pub(crate) namespaces: Vec<NamespaceStats>,
    pub(crate) top_rooms: TopRooms,
    /// Clients that read too slowly, those with most in their queue first; at most 20.
    pub(crate) slow_clients: Vec<SlowClientStats>,
    /// Connections that ended, by close code.
    pub(crate) closes_per_second: BTreeMap<String, f64>,
    /// Requests of clients that were answered with an error, by code.
    pub(crate) errors_per_second: BTreeMap<String, f64>,
}

/// The cluster as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) servers: usize,
    pub(crate) clients: u64,
    /// The rooms of all servers. A room with members on several servers is counted on each.
    pub(crate) rooms: u64,
    /// Of the servers whose rates are known.
    pub(crate) rates: Rates,
    /// Of the same servers; null if no message arrived.
    pub(crate) lag_ms: Option<LagMs>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceStats {
    #[schema(value_type = Name)]
    pub(crate) service: ServiceName,
    pub(crate) servers: usize,
    pub(crate) clients: u64,
    /// Of the servers whose rates are known.
    pub(crate) rates: Rates,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerStats {
    #[schema(value_type = Name)]
    pub(crate) name: ServerName,
    #[schema(value_type = Name)]
    pub(crate) service: ServiceName,
    pub(crate) state: ServerState,
    /// It did not answer: its load is that of its last beacon, and the rest is not known.
    pub(crate) stale: bool,
    pub(crate) clients: u64,
    /// Rooms with a member there.
    pub(crate) rooms: u64,
    /// Null until it has answered twice, and while it does not answer.
    pub(crate) rates: Option<Rates>,
    /// Null as above, and if no message arrived.
    pub(crate) lag_ms: Option<LagMs>,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceStats {
    pub(crate) namespace: String,
    /// Rooms, counted on each server where they have members.
    pub(crate) rooms: u64,
    /// Members; a client counts once for each room.
    pub(crate) members: u64,
    /// Messages to these rooms, counted on each server where they have members.
    #[serde(serialize_with = "short")]
    pub(crate) messages_per_second: f64,
}

/// What the servers have now, from `gathered`, and what they did since the question before, from `measured`. Of a server that did
/// not answer only the load of its last beacon and its last report are known. `has_nodes`: whether servers should hear nodes.
pub(crate) fn stats(
    roster: &[ServerInfo],
    gathered: &Gathered<StatsPart>,
    reports: &EdgeReports,
    measured: &BTreeMap<ServerName, Measured>,
    has_nodes: bool,
) -> StatsView {
    let fresh: BTreeMap<_, _> = gathered.servers.iter().map(|(name, part)| (name, part)).collect();
    let mut servers: Vec<_> = roster
        .iter()
        .map(|server| {
            let part = fresh.get(&server.name).copied();
            let measured = part.and_then(|_| measured.get(&server.name));
            let (clients, rooms) = load(server, part);
            ServerStats {
                name: server.name.clone(),
                service: server.service.clone(),
                state: state(server, part, reports.of(&server.name), roster.len(), has_nodes),
                stale: part.is_none(),
                clients,
                rooms,
                rates: measured.map(|measured| measured.rates),
                lag_ms: measured.and_then(|measured| LagMs::of(&measured.lag)),
            }
        })
        .collect();
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    StatsView {
        clients: servers.iter().map(|server| server.clients).sum(),
        totals: totals(&servers, measured),
        services: services(&servers),
        namespaces: namespaces(gathered, measured),
        top_rooms: top_rooms(gathered, measured),
        slow_clients: slow_clients(gathered, reports),
        closes_per_second: by_code(
            measured.values().flat_map(|measured| &measured.closes),
            |code| match *code {
                OTHER_CODES => OTHER.to_owned(),
                code => code.to_string(),
            },
        ),
        errors_per_second: by_code(measured.values().flat_map(|measured| &measured.errors), String::clone),
        servers,
    }
}

fn totals(servers: &[ServerStats], measured: &BTreeMap<ServerName, Measured>) -> Totals {
    let mut lag = Vec::new();
    for measured in measured.values() {
        if lag.len() < measured.lag.len() {
            lag.resize(measured.lag.len(), 0);
        }
        lag.iter_mut().zip(&measured.lag).for_each(|(sum, count)| *sum += count);
    }
    Totals {
        servers: servers.len(),
        clients: servers.iter().map(|server| server.clients).sum(),
        rooms: servers.iter().map(|server| server.rooms).sum(),
        rates: servers.iter().filter_map(|server| server.rates).sum(),
        lag_ms: LagMs::of(&lag),
    }
}

fn services(servers: &[ServerStats]) -> Vec<ServiceStats> {
    let mut services: BTreeMap<&ServiceName, Vec<&ServerStats>> = BTreeMap::new();
    for server in servers {
        services.entry(&server.service).or_default().push(server);
    }
    let services = services.into_iter().map(|(service, servers)| ServiceStats {
        service: service.clone(),
        servers: servers.len(),
        clients: servers.iter().map(|server| server.clients).sum(),
        rates: servers.iter().filter_map(|server| server.rates).sum(),
    });
    services.collect()
}

fn namespaces(gathered: &Gathered<StatsPart>, measured: &BTreeMap<ServerName, Measured>) -> Vec<NamespaceStats> {
    let mut named: BTreeMap<String, NamespaceStats> = BTreeMap::new();
    for (server, part) in &gathered.servers {
        for count in &part.namespaces {
            let rates = measured.get(server).map(|measured| &measured.namespaces);
            let name = count.namespace.as_ref().map_or(OTHER, |namespace| namespace.as_str());
            let sum = named.entry(name.to_owned()).or_default();
            sum.rooms += count.rooms;
            sum.members += count.members;
            sum.messages_per_second += rates.and_then(|rates| rates.get(&count.namespace)).unwrap_or(&0.0);
        }
    }
    let mut all: Vec<_> = named
        .into_iter()
        .map(|(namespace, sum)| NamespaceStats { namespace, ..sum })
        .collect();
    if all.len() > NAMESPACES {
        all.sort_by_key(|one| Reverse((one.namespace != OTHER, one.rooms)));
        let rest = all.split_off(NAMESPACES).into_iter();
        let rest = rest.fold(NamespaceStats::default(), |a, b| NamespaceStats {
            namespace: OTHER.to_owned(),
            rooms: a.rooms + b.rooms,
            members: a.members + b.members,
            messages_per_second: a.messages_per_second + b.messages_per_second,
        });
        all.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        all.push(rest);
    }
    all
}

/// Adds up rates by code. Codes without any are left out.
fn by_code<'a, C: 'a>(
    rates: impl Iterator<Item = (&'a C, &'a f64)>,
    name: impl Fn(&C) -> String,
) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for (code, rate) in rates.filter(|(_, rate)| **rate > 0.0) {
        *sums.entry(name(code)).or_default() += rate;
    }
    sums.values_mut()
        .for_each(|sum| *sum = super::measured::round(*sum, 10.0));
    sums
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{Namespace, NamespaceCount};

    use super::super::servers::tests::two_servers_one_of_which_answered;
    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).expect("a name")
    }

    fn gathered(parts: Vec<(&str, StatsPart)>) -> Gathered<StatsPart> {
        Gathered {
            servers: parts.into_iter().map(|(server, part)| (name(server), part)).collect(),
            missing: Vec::new(),
            complete: true,
        }
    }

    #[test]
    fn totals_add_up_and_only_the_rates_of_servers_that_answered_are_known() {
        let (roster, gathered) = two_servers_one_of_which_answered();
        let rates = Rates {
            messages_in: 3.0,
            ..Rates::default()
        };
        let measured = Measured {
            rates,
            ..Measured::default()
        };
        let known = [(name("ws-node-1"), measured.clone()), (name("ws-node-2"), measured)];
        let view = stats(&roster, &gathered, &EdgeReports::default(), &known.into(), true);
        assert_eq!((view.clients, view.totals.servers), (14, 3));
        let of_service = &view.services[1];
        assert_eq!(
            (of_service.servers, of_service.clients, of_service.rates.messages_in),
            (2, 14, 3.0)
        );
        let servers: Vec<_> = view
            .servers
            .iter()
            .map(|server| (server.stale, server.rates.is_some()))
            .collect();
        assert_eq!(servers, [(false, false), (false, true), (true, false)]);
    }

    #[test]
    fn namespaces_beyond_the_bound_are_shown_as_one_and_none_is_lost() {
        let part = |range: std::ops::Range<u64>| StatsPart {
            namespaces: range
                .map(|n| NamespaceCount {
                    namespace: Namespace::new(format!("n{n:03}")).ok(),
                    rooms: n + 1,
                    members: 1,
                    messages: 0,
                })
                .collect(),
            ..StatsPart::default()
        };
        let gathered = gathered(vec![("a", part(0..64)), ("b", part(32..96))]);
        let all = namespaces(&gathered, &BTreeMap::new());
        assert_eq!((all.len(), all[NAMESPACES].namespace.as_str()), (NAMESPACES + 1, OTHER));
        assert_eq!(all.iter().map(|one| one.members).sum::<u64>(), 128);
        let rooms = all.iter().map(|one| one.rooms).sum::<u64>();
        assert_eq!(rooms, (1..=64).sum::<u64>() + (33..=96).sum::<u64>());
    }
}
