//! The whole bundle in processes: Redis nodes, ws-nodes, game-logic, admin.

use serde_json::Value;

use crate::{Client, Process, Redis, until};

/// A running cluster in the demo profile; ends with the test.
#[derive(Debug)]
pub struct Cluster {
    /// The Redis nodes, `redis-0` and so on.
    pub redis: Vec<Redis>,
    /// The ws-nodes, `ws-0` and so on.
    pub nodes: Vec<Process>,
    /// The game-logic servers, `logic-0` and so on.
    pub logic: Vec<Process>,
    /// The admin.
    pub admin: Process,
}

impl Cluster {
    /// Starts this many of each and waits until all servers know each other.
    ///
    /// # Panics
    /// When something does not start; shows its log.
    pub async fn start(redis: usize, nodes: usize, logic: usize) -> Self {
        Self::start_with(&[], &[], [redis, nodes, logic]).await
    }

    /// As [`Cluster::start`], with these variables for all servers, and these arguments for ws-nodes. How many there are: Redis, ws-nodes,
    /// game-logic servers.
    ///
    /// # Panics
    /// When something does not start; shows its log.
    pub async fn start_with(variables: &[(&str, &str)], of_nodes: &[&str], numbers: [usize; 3]) -> Self {
        let [redis, nodes, logic] = numbers;
        let redis: Vec<Redis> = (0..redis).map(|_| Redis::start(&[])).collect();
        let start = |service: &str, name: &str, more: &[&str]| start(variables, &redis, service, name, more);
        let mut cluster = Self {
            nodes: (0..nodes)
                .map(|index| {
                    // The first has a single shard; its adapter runs on the same thread.
                    let shards = format!("--shards={}", index + 1);
                    let more: Vec<_> = [shards.as_str()].into_iter().chain(of_nodes.iter().copied()).collect();
                    start("ws-node", &format!("ws-{index}"), &more)
                })
                .collect(),
            logic: (0..logic)
                .map(|index| start("game-logic", &format!("logic-{index}"), &[]))
                .collect(),
            admin: start("admin", "admin-0", &[]),
            redis,
        };
        for process in cluster
            .nodes
            .iter_mut()
            .chain(&mut cluster.logic)
            .chain([&mut cluster.admin])
        {
            process.ready().await;
        }
        let servers = cluster.nodes.len() + cluster.logic.len() + 1;
        until("admin knows all servers", || async {
            cluster.servers().await.len() == servers
        })
        .await;
        for process in cluster.nodes.iter().chain(&cluster.logic) {
            until("all servers know each other", || async {
                known(process).await == servers
            })
            .await;
        }
        cluster
    }

    /// Starts one more game-logic server, or a replacement for a killed one.
    pub fn game_logic(&self, name: &str) -> Process {
        start(&[], &self.redis, "game-logic", name, &[])
    }

    /// Connects a client to one of the ws-nodes.
    pub async fn client(&self, node: usize, id: &str) -> Client {
        Client::connect(&format!("{}?id={id}", self.nodes[node].ws())).await
    }

    /// The names of the live servers, as admin sees them.
    pub async fn servers(&self) -> Vec<String> {
        let cluster = self.admin.get("/api/v1/cluster").await;
        let mut names = Vec::new();
        names_in(&cluster, &mut names);
        names.sort();
        names.dedup();
        names
    }

    /// Starts another Redis on the port of one that was killed.
    pub fn restart_redis(&mut self, index: usize) {
        let port = self.redis[index].port;
        self.redis[index] = Redis::start_on(port, &[]);
    }
}

fn start(variables: &[(&str, &str)], redis: &[Redis], service: &str, name: &str, more: &[&str]) -> Process {
    let mut arguments = vec![format!("--name={name}"), "--profile=demo".to_owned()];
    for (index, redis) in redis.iter().enumerate() {
        arguments.push(format!("--redis={}", redis.url(&format!("redis-{index}"))));
    }
    let arguments = arguments.iter().map(String::as_str).chain(more.iter().copied());
    Process::start_in(variables, service, &arguments.collect::<Vec<_>>())
}

/// The number of live servers that a process sees, itself included.
async fn known(process: &Process) -> usize {
    let metrics = process.ops("/metrics").await;
    let counts = metrics.lines().filter(|line| line.starts_with("wsmesh_servers{"));
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

/// Collects the `name` of each object that has an `instance`, too: the servers, however they are grouped.
fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let (Some(Value::String(name)), true) = (map.get("name"), map.contains_key("instance")) {
                names.push(name.clone());
            }
            map.values().for_each(|value| names_in(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| names_in(value, names)),
        _ => {}
    }
}
