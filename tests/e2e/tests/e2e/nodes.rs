//! Redis nodes are added and removed at run time, through admin, while clients talk: no message is lost or doubled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Client, Cluster, Redis, until};
use serde_json::{Value, json};

/// Between two messages of the load.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a job is done.
async fn done(cluster: &Cluster, job: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap_or_else(|| panic!("{job}")));
    until("the job ends", || async {
        cluster.admin.get(&path).await["state"] != "running"
    })
    .await;
    let job = cluster.admin.get(&path).await;
    assert_eq!(job["state"], "done", "{job}");
    job
}

async fn state(cluster: &Cluster, id: &str) -> Value {
    let listing = cluster.admin.get("/api/v1/nodes").await;
    let nodes = listing["nodes"].as_array().expect("a list");
    let node = nodes.iter().find(|node| node["id"] == id);
    node.map_or(Value::Null, |node| node["state"].clone())
}

/// Sends numbered messages to the room until told to stop; returns how many were accepted.
async fn talk(mut client: Client, stop: Arc<AtomicBool>) -> (Client, u64) {
    let mut every = tokio::time::interval(PAUSE);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        every.tick().await;
        let command = json!({"action": "toRoom", "roomId": "1", "msg": sent});
        assert_eq!(client.request("command", command).await["msg"], "sent");
        sent += 1;
    }
    (client, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_is_added_and_another_removed_under_load_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3, 2, 1).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    for client in [&mut ann, &mut bob] {
        client.request("joinRoom", json!({"roomId": "1"})).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn(talk(ann, stop.clone()));
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        loop {
            match bob.push("say").await["msg"].as_u64() {
                Some(number) => heard.push(number),
                None => return (bob, heard),
            }
        }
    });

    let fourth = Redis::start(&[]);
    let body = json!({"url": fourth.url("redis-3")});
    let job = cluster.admin.post("/api/v1/nodes", &body).await;
    let job = done(&cluster, &job).await;
    let servers: Vec<_> = job["servers"].as_array().expect("a list").iter().collect();
    assert!(
        servers.len() == 4 && servers.iter().all(|server| server["hears"] == true),
        "{job}"
    );
    assert_eq!(state(&cluster, "redis-3").await, "active");
    assert_eq!(cluster.admin.post("/api/v1/nodes", &body).await["state"], "done");

    let job = cluster.admin.delete("/api/v1/nodes/redis-0").await;
    let job = done(&cluster, &job).await;
    let servers: Vec<_> = job["servers"].as_array().expect("a list").iter().collect();
    assert!(servers.iter().all(|server| server["state"] == "gone"), "{job}");
    assert_eq!(state(&cluster, "redis-0").await, "gone");
    cluster.redis[0].kill();

    stop.store(true, Ordering::Relaxed);
    let (mut ann, sent) = talking.await.expect("no panic");
    let last = json!({"action": "toRoom", "roomId": "1", "msg": "the end"});
    assert_eq!(ann.request("command", last).await["msg"], "sent");
    let (mut bob, mut heard) = listening.await.expect("no panic");
    // A message that used another node than the last one may arrive after it.
    while (heard.len() as u64) < sent {
        heard.push(bob.push("say").await["msg"].as_u64().expect("a number"));
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..sent).collect::<Vec<_>>());
    assert!(sent > 100, "{sent} messages are too little load");
    bob.nothing().await;
    for node in &cluster.nodes {
        let metrics = node.ops("/metrics").await;
        assert!(metrics.contains("wsmesh_node_up{node=\"redis-3\"} 1"), "{metrics}");
    }
}
