//! What nodes say about themselves: what a hung, dead or strict one costs, and that foreign clients and data cost nothing.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wsmesh_adapter::{Bus, FactsOfNode, Fault, MemoryBus, NodeFacts, NodeUrl};

use crate::support::ground::redis_bus;
use crate::support::redis::Redis;
use crate::support::*;

/// The time limit of one command, which servers in these tests have.
const LIMIT: Duration = Duration::from_secs(2);
/// Nothing may take much longer, even on a busy machine.
const SOON_ENOUGH: Duration = Duration::from_secs(6);

/// Commands and their answers, as text.
pub(crate) async fn answers(port: u16, commands: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    let commands = format!("{}\r\nQUIT\r\n", commands.join("\r\n"));
    stream.write_all(commands.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    text
}

fn facts(all: &[FactsOfNode], index: usize) -> &NodeFacts {
    all[index].facts.as_ref().expect("it answers")
}

fn error(all: &[FactsOfNode], index: usize) -> &str {
    all[index].facts.as_ref().expect_err("it does not answer")
}

fn ids(all: &[FactsOfNode]) -> Vec<&str> {
    all.iter().map(|node| node.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_and_a_dead_one_delay_and_spoil_only_their_own_rows() {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let server = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    soon("facts", server.adapter.node_facts()).await;
    redis[0].pause().expect("it runs");
    redis[1].kill();
    let start = Instant::now();
    let all = soon("facts", server.adapter.node_facts()).await;
    assert!(start.elapsed() < SOON_ENOUGH, "{:?}", start.elapsed());
    assert_eq!(ids(&all), ["redis-0", "redis-1", "redis-2"]);
    assert!(error(&all, 0).contains("in time"), "{}", error(&all, 0));
    assert!(error(&all, 1).contains("is Redis running there?"), "{}", error(&all, 1));
    let took = Duration::from_millis(facts(&all, 2).collected_ms);
    assert!(took <= LIMIT, "it is not delayed by the others: {:?}", facts(&all, 2));
    redis[0].resume().expect("it runs");
    redis[1].relaunch().expect("it is started");
    until("it answers", || redis[1].answers()).await;
    let all = soon("facts", server.adapter.node_facts()).await;
    assert!(all.iter().all(|node| node.facts.is_ok()), "{all:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_restarted_while_nobody_asked_is_asked_again_at_once() {
    let mut redis = [Redis::start(&[])];
    let server = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    let before = soon("facts", server.adapter.node_facts()).await;
    redis[0].relaunch().expect("it is started");
    until("it answers", || redis[0].answers()).await;
    let after = soon("facts", server.adapter.node_facts()).await;
    assert_ne!(facts(&before, 0).run_id, facts(&after, 0).run_id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_acl_forbids_is_left_out_and_named_and_the_rest_is_there() {
    let redis = [Redis::start(&[])];
    let links = "on >pw resetchannels &wsmesh:* -@all +publish +subscribe +unsubscribe +ping";
    answers(redis[0].port, &[&format!("ACL SETUSER app {links}")]).await;
    let url = redis[0].url("redis-0").replace("://", "://app:pw@");
    let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
    let server = Server::ready(options("one", "admin", bus)).await;
    let all = soon("facts", server.adapter.node_facts()).await;
    assert_eq!(
        facts(&all, 0).forbidden,
        ["INFO", "SLOWLOG"],
        "nothing asks about connections without a number"
    );
    assert_eq!(facts(&all, 0).version, None);
    answers(redis[0].port, &["ACL SETUSER app +info"]).await;
    let all = soon("facts", server.adapter.node_facts()).await;
    assert_eq!(facts(&all, 0).forbidden, ["SLOWLOG"]);
    assert!(facts(&all, 0).version.is_some() && facts(&all, 0).slow_log.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_says_what_it_is_and_does_and_what_waits_for_our_subscribers() {
    let redis = [Redis::start(&["--maxmemory", "50mb"])];
    let (one, two) = pair(&redis_bus(&redis)).await;
    let all = soon("facts", one.adapter.node_facts()).await;
    let said = facts(&all, 0);
    assert_eq!(
        (said.role.as_deref(), said.max_memory_bytes),
        (Some("master"), Some(50 * 1024 * 1024))
    );
    assert!(
        said.version.as_deref().is_some_and(|version| version.contains('.')),
        "{said:?}"
    );
    assert!(
        said.used_memory_bytes > Some(100_000) && said.clients >= Some(5),
        "{said:?}"
    );
    assert!(
        said.pubsub_channels > Some(3) && said.pubsub_patterns == Some(0),
        "{said:?}"
    );
    assert!(said.ops_per_second.is_some() && said.bytes_in_per_second.is_some() && said.bytes_out_per_second.is_some());
    assert!(
        said.commands > Some(5) && said.bytes_in > Some(100) && said.bytes_out > Some(100),
        "{said:?}"
    );
    assert_eq!(said.slow_commands, Some(said.slow_log.len() as u64));
    assert_eq!((said.evicted_keys, said.rejected_connections), (Some(0), Some(0)));
    assert_eq!(said.forbidden, [""; 0]);
    let servers: Vec<_> = said
        .output_buffers
        .iter()
        .map(|buffer| buffer.server.as_str())
        .collect();
    assert_eq!(
        servers,
        ["one", "two"],
        "the number of the other one came with its beacon"
    );
    two.stop().await;
    until("it is gone", || one.adapter.servers().len() == 1).await;
    let all = soon("facts", one.adapter.node_facts()).await;
    assert_eq!(facts(&all, 0).output_buffers.len(), 1);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slow_log_shows_at_most_ten_commands_and_none_of_their_arguments() {
    let redis = [Redis::start(&["--slowlog-log-slower-than", "0"])];
    let secret = "SET secret-key secret-value";
    let commands: Vec<&str> = std::iter::repeat_n(secret, 30)
        .chain(["CONFIG SET requirepass \"\""])
        .collect();
    let server = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    answers(redis[0].port, &commands).await;
    let all = soon("facts", server.adapter.node_facts()).await;
    let said = facts(&all, 0);
    assert_eq!(said.slow_log.len(), 10);
    let shown = serde_json::to_string(said).expect("JSON");
    assert!(!shown.contains("secret") && !shown.contains("requirepass"), "{shown}");
    assert!(
        said.slow_log.iter().all(|slow| slow.at_ms > 1_600_000_000_000),
        "{shown}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_clients_and_foreign_data_make_facts_neither_slower_nor_larger() {
    const CLIENTS: usize = 5000;
    wsmesh_test_support::need_open_files(CLIENTS as u64 + 1000);
    let redis = [Redis::start(&["--maxclients", "6000", "--enable-debug-command", "yes"])];
    let server = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    let port = redis[0].port;
    answers(port, &["DEBUG POPULATE 90000 key 1000"]).await;
    let mut foreign = Vec::new();
    for _ in 0..CLIENTS {
        foreign.push(TcpStream::connect(("127.0.0.1", port)).await.expect("connects"));
    }
    soon("facts", server.adapter.node_facts()).await;
    let asked = answers(port, &["CONFIG RESETSTAT", "INFO stats"]).await;
    assert!(asked.contains("+OK"), "{asked}");
    let start = Instant::now();
    let all = soon("facts", server.adapter.node_facts()).await;
    let took = start.elapsed();
    let said = facts(&all, 0);
    assert!(
        said.clients >= Some(CLIENTS as u64) && said.used_memory_bytes > Some(100_000_000),
        "{said:?}"
    );
    assert!(took <= LIMIT, "{took:?}");
    let sent = answers(port, &["INFO commandstats"]).await;
    for needless in ["cmdstat_keys", "cmdstat_scan", "cmdstat_dbsize", "cmdstat_memory"] {
        assert!(!sent.contains(needless), "{sent}");
    }
    assert!(sent.contains("cmdstat_client|list:calls=1"), "{sent}");
    assert_eq!(said.output_buffers.len(), 1, "only our own connection was asked about");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_at_the_same_time_share_one_connection_and_its_answers() {
    let redis = [Redis::start(&[])];
    let server = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    let asking = (0..40).map(|_| server.adapter.node_facts());
    let all = soon("facts", futures_util::future::join_all(asking)).await;
    assert!(all.iter().all(|all| all[0].facts.is_ok()), "{all:?}");
    let list = answers(redis[0].port, &["CLIENT LIST"]).await;
    assert_eq!(
        list.matches("name=one").count(),
        3,
        "two links, and one for questions: {list}"
    );
    server.stop().await;
    let left = || async { answers(redis[0].port, &["CLIENT LIST"]).await.contains("name=one") };
    soon("all connections are closed", async { while left().await {} }).await;
}

#[tokio::test(start_paused = true)]
async fn an_embedded_node_says_that_it_is_embedded_and_fails_honestly() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    let server = Server::ready(options("one", "admin", Bus::Memory(bus.clone()))).await;
    let all = server.adapter.node_facts().await;
    let said = facts(&all, 0);
    assert_eq!((said.version.as_deref(), said.clients), (Some("embedded"), Some(1)));
    assert!(
        said.pubsub_channels > Some(3) && said.used_memory_bytes.is_none(),
        "{said:?}"
    );
    assert_eq!(said.output_buffers.len(), 1);
    bus.set_fault("a", Fault::Pause);
    bus.set_fault("b", Fault::Fail);
    let start = tokio::time::Instant::now();
    let all = server.adapter.node_facts().await;
    assert_eq!(start.elapsed(), Duration::from_secs(2), "the time limit of one command");
    assert!(
        error(&all, 0).contains("in time") && error(&all, 1).contains("set to fail"),
        "{all:?}"
    );
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_alone_has_no_nodes_to_ask() {
    let server = Server::ready(options("one", "admin", Bus::Alone)).await;
    assert_eq!(server.adapter.node_facts().await, []);
    server.stop().await;
}
