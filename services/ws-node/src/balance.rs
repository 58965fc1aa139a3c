//! Rebalancing: a server with far more clients than the mean of its service slowly sends idle ones away, so that they come
//! back to other servers. Automatically if that is configured, or on request.

use std::time::Duration;

use wsmesh_adapter::{ServerInfo, ServerName};

use crate::gate::Gate;

/// How often the load is checked. Longer than beacons and reconnects take.
const EVERY: Duration = Duration::from_secs(10);

/// An excess of fewer clients is not worth their reconnects.
const WORTH_IT: u64 = 10;

/// Sends away the clients that are far above the mean, as long as it is polled.
pub(crate) async fn keep(gate: Gate) {
    let (rate, above) = (gate.edge.settings.rebalance_rate, gate.edge.settings.rebalance_above);
    if above == 0.0 {
        return std::future::pending().await;
    }
    loop {
        // Servers that check at the same time would all send clients away at the same time.
        tokio::time::sleep(EVERY.mul_f64(rand::random_range(0.8..=1.2))).await;
        let servers = gate.edge.adapter.servers();
        let excess = excess(&servers, gate.edge.adapter.name(), above).min(rate as usize * EVERY.as_secs() as usize);
        if excess > 0 && !gate.edge.is_draining() {
            tracing::info!(
                clients = excess,
                "this server has more clients than others: sending some idle ones away"
            );
            gate.shed(excess, EVERY).await;
        }
    }
}

/// How many clients this server has above the mean of its service, if it has more than `above` times the mean.
pub(crate) fn excess(servers: &[ServerInfo], me: &ServerName, above: f64) -> usize {
    let Some(mine) = servers.iter().find(|server| server.name == *me) else {
        return 0;
    };
    let peers = servers
        .iter()
        .filter(|server| server.service == mine.service && server.counted && !server.retiring);
    let (count, sum) = peers.fold((0_u64, 0), |(count, sum), server| (count + 1, sum + server.clients));
    if count < 2 {
        return 0;
    }
    let mean = sum.div_ceil(count);
    let excess = mine.clients.saturating_sub(mean);
    if excess < WORTH_IT || (mine.clients as f64) < mean as f64 * above {
        return 0;
    }
    excess as usize
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{Instance, ServiceName};

    use super::*;

    fn server(name: &str, service: &str, clients: u64) -> ServerInfo {
        ServerInfo {
            name: ServerName::new(name).expect("valid"),
            service: ServiceName::new(service).expect("valid"),
            instance: Instance(1),
            version: String::new(),
            clients,
            rooms: 0,
            heard: Vec::new(),
            counted: true,
            retiring: false,
            age_ms: 0,
        }
    }

    #[test]
    fn only_clients_far_above_the_mean_of_the_same_service_are_an_excess() {
        let me = ServerName::new("a").expect("valid");
        let with = |mine, other| {
            let servers = [
                server("a", "ws-node", mine),
                server("b", "ws-node", other),
                server("logic", "game-logic", 0),
            ];
            excess(&servers, &me, 1.2)
        };
        assert_eq!(with(1000, 0), 500);
        assert_eq!(with(1000, 900), 0, "not far above");
        assert_eq!(with(15, 0), 0, "not worth it");
        assert_eq!(with(0, 1000), 0);
    }

    #[test]
    fn a_server_without_staying_peers_has_no_excess() {
        let me = ServerName::new("a").expect("valid");
        let leaving = ServerInfo {
            retiring: true,
            ..server("b", "ws-node", 0)
        };
        assert_eq!(excess(&[server("a", "ws-node", 1000), leaving], &me, 1.2), 0);
        assert_eq!(excess(&[], &me, 1.2), 0);
    }
}
