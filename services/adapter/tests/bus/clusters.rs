//! Two clusters on the same channels, by mistake: they do not meet, and the younger one ends.

use wsmesh_adapter::{Bus, ClusterId, DriverError, NodeState, NodeUrl, NodeView, Options};

use crate::support::ground::{Ground, suite};
use crate::support::redis::Redis;
use crate::support::*;

suite!(
    the_server_of_a_younger_cluster_ends_and_changes_nothing,
    a_server_with_the_same_name_in_another_cluster_is_no_name_conflict,
    an_empty_cluster_id_fits_every_other_one,
    a_visitor_of_another_cluster_ends_as_well,
);

fn of_cluster(id: &str, options: Options) -> Options {
    Options {
        cluster_id: ClusterId::new(id).expect("valid"),
        ..options
    }
}

/// Waits for the end of a server, which must be because of the cluster `theirs`; returns the text.
async fn ends(server: &mut Server, theirs: &str) -> String {
    let error = soon("it ends", server.driver.failed()).await;
    assert!(!server.adapter.is_ready(), "it never began to serve");
    match &error {
        DriverError::OtherCluster { theirs: other, .. } => assert_eq!(other.as_str(), theirs),
        other => panic!("{other}"),
    }
    error.to_string()
}

async fn the_server_of_a_younger_cluster_ends_and_changes_nothing(mut ground: Ground) {
    let one = Server::ready(of_cluster("shop/mesh", ground.options("one", "ws-node"))).await;
    let mut bob = one.client("bob").await;
    let before = one.adapter.topology();
    let mut younger = Server::start(of_cluster("game/mesh", ground.options("two", "ws-node")));
    // It would bring a node of its own to everyone.
    let _refused = younger.adapter.add_node(&ground.one_more("extra"));
    let text = ends(&mut younger, "shop/mesh").await;
    for part in [
        "one",
        "shop/mesh",
        "game/mesh",
        "prefix \"wsmesh:\"",
        "--prefix",
        "--cluster-id",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    younger.stop().await;
    let ids = |nodes: &[NodeView]| nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&one.adapter.topology()), ids(&before));
    assert!(before.iter().all(|node| node.state == NodeState::Active));
    let three = Server::ready(of_cluster("shop/mesh", ground.options("three", "ws-node"))).await;
    acquainted(&[&one, &three]).await;
    bob_is_reached(&three, &mut bob).await;
    assert_eq!(one.adapter.servers().len(), 2, "the other one was never met");
    assert_eq!(one.adapter.differences(), []);
}

async fn a_server_with_the_same_name_in_another_cluster_is_no_name_conflict(ground: Ground) {
    let one = Server::ready(of_cluster("a", ground.options("ws-node-0", "ws-node"))).await;
    let mut other = Server::start(of_cluster("b", ground.options("ws-node-0", "ws-node")));
    let text = ends(&mut other, "a").await;
    assert!(!text.contains("--name"), "{text}");
    other.stop().await;
    assert!(one.adapter.is_ready());
}

async fn an_empty_cluster_id_fits_every_other_one(ground: Ground) {
    let one = Server::ready(of_cluster("a", ground.options("one", "ws-node"))).await;
    let two = Server::ready(of_cluster("", ground.options("two", "ws-node"))).await;
    let three = Server::ready(of_cluster("a", ground.options("three", "ws-node"))).await;
    acquainted(&[&one, &two, &three]).await;
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
    bob_is_reached(&three, &mut bob).await;
}

async fn a_visitor_of_another_cluster_ends_as_well(ground: Ground) {
    let one = Server::ready(of_cluster("a", ground.options("one", "ws-node"))).await;
    let visiting = Options {
        visiting: true,
        shards: 0,
        ..ground.options("visitor", "doctor")
    };
    let mut stranger = Server::start(of_cluster("b", visiting.clone()));
    ends(&mut stranger, "a").await;
    stranger.stop().await;
    let visitor = Server::ready(of_cluster(
        "a",
        Options {
            registry: Default::default(),
            ..visiting
        },
    ))
    .await;
    until("it knows the server", || visitor.adapter.servers().len() == 2).await;
    assert_eq!(one.adapter.servers().iter().filter(|server| server.counted).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_two_clusters_meet_all_servers_of_the_younger_one_end_and_a_young_server_of_the_older_one_stays() {
    let redis = [Redis::start(&[]), Redis::start(&[])];
    let url = |index: usize| redis[index].url(&format!("redis-{index}"));
    let start = async |name: &str, cluster: &str, index: usize| {
        let bus = Bus::Redis(vec![NodeUrl::parse(&url(index)).expect("valid")]);
        Server::ready(of_cluster(cluster, options(name, "ws-node", bus))).await
    };
    let oldest = start("one", "old", 0).await;
    let mut younger = [start("two", "young", 1).await, start("three", "young", 1).await];
    let youngest = start("four", "old", 0).await;
    acquainted(&[&oldest, &youngest]).await;
    let mut bob = youngest.client("bob").await;
    younger[0].adapter.add_node(&url(0)).expect("a node");
    for server in &mut younger {
        let error = soon("it ends", server.driver.failed()).await;
        assert!(matches!(error, DriverError::OtherCluster { .. }), "{error}");
    }
    bob_is_reached(&oldest, &mut bob).await;
    assert!(oldest.adapter.is_ready() && youngest.adapter.is_ready());
    assert_eq!(oldest.adapter.servers().len(), 2);
    assert_eq!(oldest.adapter.topology().len(), 1, "their node was not taken over");
}
