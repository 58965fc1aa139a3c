//! Which servers check an address, on which bus, and what each of them counts for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wsmesh_adapter::{Bus, CheckKind, CheckResult, Fault, MemoryBus, NodeUrl, TopologyError, preflight_alone};

use super::{APP, Cluster, LINKS, is_unknown, result};
use crate::facts::answers;
use crate::support::ground::{Ground, redis_bus, suite};
use crate::support::redis::Redis;
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_redis_passes_at_three_servers_and_what_an_acl_hides_is_unknown() {
    let cluster = Cluster::with_login(&APP, "app:pw@").await;
    let open = Redis::start(&APP);
    let found = cluster.preflight(&open.url("new")).await;
    assert!(found.passes() && found.missing.is_empty(), "{found:?}");
    assert_eq!(found.url, open.url("new"));
    let names: Vec<_> = found.servers.iter().map(|(server, _)| server.as_str()).collect();
    assert_eq!(names, ["a", "g", "w"]);
    let first = &found.servers[0].1;
    assert!(
        first.checks.iter().all(|check| check.result == CheckResult::Passed),
        "{first:?}"
    );
    assert!(
        found
            .servers
            .iter()
            .all(|(_, preflight)| preflight.run_id == first.run_id && preflight.run_id.is_some())
    );
    answers(open.port, &[&format!("ACL SETUSER app reset {LINKS}")]).await;
    let found = cluster.preflight(&open.url("new")).await;
    assert!(found.passes(), "{found:?}");
    let first = &found.servers[0].1;
    assert!(
        is_unknown(first, CheckKind::Version) && is_unknown(first, CheckKind::OutputBuffer),
        "{first:?}"
    );
    assert_eq!(
        result(first, CheckKind::Identity),
        &CheckResult::Passed,
        "a message shows it"
    );
    let left = answers(open.port, &["PUBSUB CHANNELS wsmesh:*", "CLIENT LIST"]).await;
    assert!(
        left.contains("*0\r\n") && !left.contains("name=a "),
        "nothing is left behind: {left}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documentation_names_are_enough_for_everything() {
    const MORE: &str = "+info +slowlog|get +client|id +client|list +config|get +acl|whoami +acl|dryrun";
    let document = include_str!("../../../../bootstrap/README.md");
    assert!(document.contains(MORE), "the document names other rights");
    let redis = [Redis::start(&[]), Redis::start(&[])];
    for redis in &redis {
        answers(redis.port, &[&format!("ACL SETUSER app reset {LINKS} {MORE}")]).await;
    }
    let url = redis[0].url("redis-0").replace("://", "://app:pw@");
    let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
    let one = Server::ready(options("one", "admin", bus)).await;
    let facts = soon("facts", one.adapter.node_facts()).await;
    let said = facts[0].facts.as_ref().expect("it answers");
    assert!(said.forbidden.is_empty() && said.output_buffers.len() == 1, "{said:?}");
    let found = soon("a preflight", one.adapter.preflight(&redis[1].url("new"))).await;
    let found = found.expect("valid");
    let checks = &found.servers[0].1.checks;
    assert!(
        checks.iter().all(|check| check.result == CheckResult::Passed),
        "{checks:?}"
    );
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_reach_what_others_reach_is_named() {
    let redis = [Redis::start(&[])];
    let bus = redis_bus(&redis);
    let one = Server::ready(options("one", "admin", bus.clone())).await;
    // This one has a URL of its own for the new node, which leads nowhere.
    let Bus::Redis(mut urls) = bus else { panic!("Redis") };
    urls.push(NodeUrl::parse("redis://127.0.0.1:1#new").expect("valid"));
    let two = Server::start(options("two", "ws-node", Bus::Redis(urls)));
    let new = Redis::start(&[]);
    // A server answers nothing before it counts.
    acquainted(&[&one, &two]).await;
    let found = soon("a preflight", one.adapter.preflight(&new.url("other")))
        .await
        .expect("valid");
    assert!(found.passes(), "{found:?}");
    let found = soon("a preflight", one.adapter.preflight(&new.url("new")))
        .await
        .expect("valid");
    let failures = found.failures();
    let at_two: Vec<_> = failures
        .iter()
        .filter(|failure| failure.server.as_str() == "two")
        .collect();
    assert!(
        at_two.iter().any(|failure| failure.what == CheckKind::Reachable),
        "{failures:?}"
    );
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_preflights_at_once_are_all_answered_or_named() {
    let cluster = Cluster::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}#new", silent.local_addr().expect("bound"));
    let asking = (0..30).map(|_| cluster.servers[0].adapter.preflight(&url));
    let all = soon("all", futures_util::future::join_all(asking)).await;
    for found in all {
        let found = found.expect("a valid URL");
        assert!(!found.passes(), "{found:?}");
        assert_eq!(found.servers.len() + found.missing.len(), 3, "{found:?}");
    }
    let good = Redis::start(&[]);
    let found = cluster.preflight(&good.url("good")).await;
    assert!(found.passes(), "{found:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_missing_and_nothing_passes_with_too_few_others() {
    let redis = [Redis::start(&[])];
    let one = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    // It is in the roster, and never answers: its beacons are those of a server of another version.
    let beacon = r#"{"format":1,"name":"mute","service":"ws-node","instance":1700000000000000,"version":"0","number":1,
        "counted":false,"heard":["redis-0"],"topology":{},"clients":0,"rooms":0}"#
        .replace(['\n', ' '], "");
    let publish = format!("PUBLISH wsmesh:beacon '{beacon}'");
    answers(redis[0].port, &[&publish]).await;
    until("it is known", || one.adapter.servers().len() == 2).await;
    let new = Redis::start(&[]);
    let found = soon("a preflight", one.adapter.preflight(&new.url("new")))
        .await
        .expect("valid");
    assert!(!found.passes() && found.failures().is_empty(), "{found:?}");
    assert_eq!((found.servers.len(), found.missing.len()), (1, 1), "{found:?}");
    let why = found.shortfall().expect("nobody else checked");
    assert!(why.contains("mute") && why.contains("?force=true"), "{why}");
    assert_eq!(found.missing[0].0.as_str(), "mute");
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_checks_nothing_and_those_who_answer_take_the_place_of_one_that_cannot() {
    let redis = [Redis::start(&[])];
    let bus = redis_bus(&redis);
    let start = async |name, service| Server::ready(options(name, service, bus.clone())).await;
    let (one, two, three) = (
        start("one", "admin").await,
        start("two", "ws-node").await,
        start("three", "ws-node").await,
    );
    acquainted(&[&one, &two, &three]).await;
    let mut visiting = options("visitor", "doctor", bus.clone());
    (visiting.visiting, visiting.shards) = (true, 0);
    let visitor = Server::ready(visiting).await;
    until("the visitor is known", || one.adapter.servers().len() == 4).await;
    let new = Redis::start(&[]);
    let found = soon("a preflight", one.adapter.preflight(&new.url("new"))).await;
    let found = found.expect("valid");
    let names: Vec<_> = found.servers.iter().map(|(server, _)| server.as_str()).collect();
    assert_eq!(
        (names, found.passes()),
        (vec!["one", "three", "two"], true),
        "{found:?}"
    );
    for server in [one, two, three, visitor] {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_subscribes_to_patterns_at_a_known_node_makes_nothing_the_same_redis() {
    // Without run ids, so that only messages tell.
    let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
    for redis in &redis {
        answers(redis.port, &[&format!("ACL SETUSER app reset {LINKS}")]).await;
    }
    let url = redis[0].url("redis-0").replace("://", "://app:pw@");
    let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
    let one = Server::ready(options("one", "admin", bus)).await;
    let curious = Pattern::subscribe(redis[0].port).await;
    let found = soon("a preflight", one.adapter.preflight(&redis[1].url("new"))).await;
    let found = found.expect("valid");
    assert!(found.passes(), "{found:?}");
    assert_eq!(result(&found.servers[0].1, CheckKind::Identity), &CheckResult::Passed);
    let twin = soon(
        "a preflight",
        one.adapter
            .preflight(&redis[0].url("twin").replace("127.0.0.1", "localhost")),
    )
    .await;
    let kinds: Vec<_> = twin
        .expect("valid")
        .failures()
        .into_iter()
        .map(|failure| failure.what)
        .collect();
    assert_eq!(kinds, [CheckKind::Identity]);
    drop(curious);
    one.stop().await;
}

/// A connection that gets every message.
struct Pattern(#[expect(dead_code, reason = "it stays open")] TcpStream);

impl Pattern {
    async fn subscribe(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
        stream.write_all(b"PSUBSCRIBE *\r\n").await.expect("written");
        stream.read_exact(&mut [0; 10]).await.expect("confirmed");
        Self(stream)
    }
}

async fn urls_with_credentials_or_files_are_rejected_before_anything_is_tried(mut ground: Ground) {
    let (one, two) = ground.pair().await;
    let one_more = ground.one_more("new");
    let found = soon("a preflight", one.adapter.preflight(&one_more))
        .await
        .expect("valid");
    assert!(found.passes() && found.servers.len() == 2, "{found:?}");
    assert_eq!(one.adapter.topology().len(), 3, "nothing is added");
    for broken in [
        "redis://:secret@host#new",
        "rediss://host?ca=/etc/ca.pem",
        "nonsense",
        "",
    ] {
        let error = soon("an error", one.adapter.preflight(broken)).await.expect_err(broken);
        assert!(!error.to_string().contains("secret@"), "{error}");
    }
    one.stop().await;
    two.stop().await;
}

suite![urls_with_credentials_or_files_are_rejected_before_anything_is_tried];

#[tokio::test(start_paused = true)]
async fn an_embedded_node_that_fails_or_hangs_is_told_apart_and_an_unknown_one_is_not_created() {
    let bus = MemoryBus::new(["a", "b", "c"]).expect("valid ids");
    let one = Server::ready(options("one", "admin", Bus::Memory(bus.clone()))).await;
    bus.set_fault("b", Fault::Fail);
    bus.set_fault("c", Fault::Pause);
    for (url, what) in [
        ("memory:b", Some("set to fail")),
        ("memory:c", Some("in time")),
        ("memory:d", None),
    ] {
        let found = one.adapter.preflight(url).await.expect("a valid URL");
        let failures = found.failures();
        assert_eq!(failures.is_empty(), what.is_none(), "{url}: {failures:?}");
        assert!(
            failures
                .iter()
                .all(|failure| what.is_some_and(|what| failure.why.contains(what))),
            "{failures:?}"
        );
    }
    assert_eq!(format!("{bus:?}"), r#"["a", "b", "c"]"#);
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_alone_checks_nothing() {
    let one = Server::ready(options("one", "admin", Bus::Alone)).await;
    assert_eq!(one.adapter.preflight("redis://host").await, Err(TopologyError::Alone));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_an_address_is_checked_with_its_own_login_and_against_the_other_nodes() {
    let redis = [Redis::start(&["--requirepass", "pw"]), Redis::start(&[])];
    let with_login = |id: &str| redis[0].url(id).replace("://", "://:pw@");
    let urls = [with_login("redis-0"), redis[1].url("redis-1")].map(|url| NodeUrl::parse(&url).expect("valid"));
    let options = options("doctor", "doctor", Bus::Redis(urls.to_vec()));
    for url in &urls {
        let found = soon("a preflight", preflight_alone(url, &options)).await;
        assert!(found.passes() && found.run_id.is_some(), "{found:?}");
    }
    let twice = NodeUrl::parse(&with_login("redis-2").replace("127.0.0.1", "localhost")).expect("valid");
    let found = soon("a preflight", preflight_alone(&twice, &options)).await;
    let kinds: Vec<_> = found.failures().map(|check| check.what).collect();
    assert_eq!(kinds, [CheckKind::Identity], "{found:?}");
    redis[1].pause().expect("it runs");
    let found = soon("a preflight", preflight_alone(&urls[0], &options)).await;
    assert!(
        found.passes() && is_unknown(&found, CheckKind::Identity),
        "the other one does not answer: {found:?}"
    );
    redis[1].resume().expect("it runs");
}
