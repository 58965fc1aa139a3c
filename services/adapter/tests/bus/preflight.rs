//! The check of an address before it becomes a node: what each kind of unusable Redis is told apart by, and what to do.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wsmesh_adapter::{
    Bus, CheckKind, CheckResult, Fault, MemoryBus, NodeUrl, Preflight, Preflights, TopologyError, preflight_alone,
};

use crate::facts::answers;
use crate::support::ground::{Ground, redis_bus, suite};
use crate::support::redis::Redis;
use crate::support::*;

/// A preflight takes 8 s at most with the time limit of 2 s that servers have in these tests.
const AT_MOST: Duration = Duration::from_secs(9);

/// A user that may do everything.
const APP: [&str; 6] = ["--user", "app", "on", ">pw", "&*", "+@all"];
const LINKS: &str = "on >pw resetchannels &wsmesh:* -@all +publish +subscribe +unsubscribe +ping";

/// Three servers of different services on one Redis, and what they find out about other addresses.
struct Cluster {
    redis: Vec<Redis>,
    servers: Vec<Server>,
}

impl Cluster {
    async fn start() -> Self {
        Self::with_login(&[], "").await
    }

    /// `login` is put before the host in the URL of its Redis, which has these arguments.
    async fn with_login(arguments: &[&str], login: &str) -> Self {
        let redis = vec![Redis::start(arguments)];
        let url = redis[0].url("redis-0").replace("://", &format!("://{login}"));
        let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
        let mut servers = Vec::new();
        for (name, service) in [("a", "admin"), ("g", "game-logic"), ("w", "ws-node")] {
            servers.push(Server::ready(options(name, service, bus.clone())).await);
        }
        acquainted(&servers.iter().collect::<Vec<_>>()).await;
        Self { redis, servers }
    }

    async fn preflight(&self, url: &str) -> Preflights {
        let start = Instant::now();
        let found = soon("a preflight", self.servers[0].adapter.preflight(url)).await;
        assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
        found.expect("a valid URL")
    }

    /// What fails at all three servers for the same reason, with its text and what to do.
    async fn fails(&self, url: &str, what: CheckKind) -> (String, String) {
        let found = self.preflight(url).await;
        assert!(!found.passes() && found.missing.is_empty(), "{found:?}");
        let failures = found.failures();
        let mut servers: Vec<_> = failures.iter().map(|failure| failure.server.as_str()).collect();
        servers.dedup();
        assert_eq!(servers, ["a", "g", "w"], "{failures:?}");
        assert!(failures.iter().all(|failure| failure.what == what), "{failures:?}");
        let first = failures.into_iter().next().expect("three");
        (first.why, first.fix)
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}

fn result(preflight: &Preflight, what: CheckKind) -> &CheckResult {
    let check = preflight.checks.iter().find(|check| check.what == what);
    &check.expect("every kind is there").result
}

fn is_unknown(preflight: &Preflight, what: CheckKind) -> bool {
    matches!(result(preflight, what), CheckResult::Unknown { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_and_an_unknown_host_fail_as_unreachable() {
    let cluster = Cluster::start().await;
    let mut closed = Redis::start(&[]);
    closed.kill();
    let (why, fix) = cluster.fails(&closed.url("new"), CheckKind::Reachable).await;
    assert!(
        why.contains("is Redis running there?") && fix.contains("start Redis there"),
        "{why}: {fix}"
    );
    let (why, _) = cluster
        .fails("redis://no-such-host.invalid#new", CheckKind::Reachable)
        .await;
    assert!(why.contains("is the host name right?"), "{why}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_fails_within_the_time_limit_and_delays_no_facts() {
    let cluster = Cluster::start().await;
    let hung = Redis::start(&[]);
    hung.pause().expect("it runs");
    let url = hung.url("new");
    let failing = cluster.fails(&url, CheckKind::Redis);
    let facts = async {
        let start = Instant::now();
        let facts = cluster.servers[0].adapter.node_facts().await;
        (facts[0].facts.is_ok(), start.elapsed())
    };
    let ((why, fix), (is_ok, took)) = tokio::join!(failing, facts);
    assert!(why.contains("is it hung") && fix.contains("restart it"), "{why}: {fix}");
    assert!(is_ok && took < Duration::from_secs(2), "{took:?}");
    hung.resume().expect("it runs");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_named_so_and_says_nothing_of_what_it_answered() {
    let cluster = Cluster::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n<b>").await;
                let _ = stream.read(&mut [0; 1024]).await;
            });
        }
    });
    let (why, fix) = cluster.fails(&format!("redis://{address}#new"), CheckKind::Redis).await;
    assert!(
        why.contains("is this a Redis server?") && fix.contains("a Redis listens"),
        "{why}: {fix}"
    );
    assert!(!why.contains("<b>"), "{why}");
    serving.abort();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_missing_or_needless_password_fails_the_login_and_is_not_shown() {
    let cluster = Cluster::with_login(&["--requirepass", "right-one"], ":right-one@").await;
    let locked = Redis::start(&["--requirepass", "another-one"]);
    let (why, fix) = cluster.fails(&locked.url("new"), CheckKind::Login).await;
    assert!(
        why.contains("check user and password") && fix.contains("--redis-password-file"),
        "{why}: {fix}"
    );
    let open = Redis::start(&[]);
    let (why, _) = cluster.fails(&open.url("new"), CheckKind::Login).await;
    assert!(why.contains("has no password"), "{why}");
    let same = Redis::start(&["--requirepass", "right-one"]);
    let found = cluster.preflight(&same.url("new")).await;
    assert!(found.passes(), "each server uses its own password: {found:?}");
    let shown = format!("{found:?}{}", serde_json::to_string(&found).expect("JSON"));
    assert!(
        !shown.contains("right-one") && !shown.contains("another-one"),
        "{shown}"
    );
    cluster.stop().await;
    let plain = Cluster::start().await;
    let (why, _) = plain.fails(&locked.url("new"), CheckKind::Login).await;
    assert!(why.contains("NOAUTH") && !why.contains("another-one"), "{why}");
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_fail_with_the_rule_that_grants_them() {
    let cluster = Cluster::with_login(&APP, "app:pw@").await;
    let rules = [
        (
            "on >pw &wsmesh:* -@all +subscribe +unsubscribe +ping",
            CheckKind::Publish,
        ),
        ("on >pw &wsmesh:* -@all +publish +ping", CheckKind::Subscribe),
        // With ACL DRYRUN, so that other channels than the one that is tried are known, too.
        (
            "on >pw &wsmesh:preflight:* &wsmesh:probe:* +@all -subscribe",
            CheckKind::Subscribe,
        ),
    ];
    for (rule, what) in rules {
        let strict = Redis::start(&[]);
        answers(strict.port, &[&format!("ACL SETUSER app reset {rule}")]).await;
        let found = cluster.preflight(&strict.url("new")).await;
        let failures = found.failures();
        assert_eq!(
            failures.iter().filter(|failure| failure.what == what).count(),
            3,
            "{rule}: {failures:?}"
        );
        assert!(
            failures[0]
                .fix
                .contains("+publish +subscribe +unsubscribe +ping &wsmesh:*"),
            "{failures:?}"
        );
    }
    let partly = Redis::start(&[]);
    answers(partly.port, &["ACL SETUSER app reset on >pw &wsmesh:preflight:* +@all"]).await;
    let found = cluster.preflight(&partly.url("new")).await;
    let kinds: Vec<_> = found.failures().into_iter().map(|failure| failure.what).collect();
    assert_eq!(
        kinds,
        [CheckKind::Publish, CheckKind::Subscribe].repeat(3),
        "the channel that is tried is allowed"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_subscriber_buffer_fails_with_the_number_and_the_command_that_mends_it() {
    let cluster = Cluster::start().await;
    let tiny = Redis::start(&["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"]);
    let (why, fix) = cluster.fails(&tiny.url("new"), CheckKind::OutputBuffer).await;
    assert!(
        why.contains("1048576 bytes") && why.contains("16777216 are needed"),
        "{why}"
    );
    let command = answers(tiny.port, &[&fix]).await;
    assert!(command.starts_with("+OK"), "{fix}: {command}");
    let found = cluster.preflight(&tiny.url("new")).await;
    assert!(found.passes(), "the command has mended it: {found:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_node_under_a_second_name_fails_even_if_it_may_not_say_who_it_is() {
    let cluster = Cluster::with_login(&APP, "app:pw@").await;
    let port = cluster.redis[0].port;
    let second = format!("redis://localhost:{port}#new");
    let (why, fix) = cluster.fails(&second, CheckKind::Identity).await;
    assert!(
        why.contains("is the node redis-0 already") && fix.contains("name another Redis"),
        "{why}: {fix}"
    );
    // Without INFO only a message shows it.
    answers(port, &[&format!("ACL SETUSER app reset {LINKS}")]).await;
    let found = cluster.preflight(&second).await;
    assert!(
        found.servers.iter().all(|(_, preflight)| preflight.run_id.is_none()),
        "{found:?}"
    );
    let kinds: Vec<_> = found.failures().into_iter().map(|failure| failure.what).collect();
    assert_eq!(kinds, [CheckKind::Identity; 3], "{found:?}");
    let known = cluster.preflight(&cluster.redis[0].url("redis-0")).await;
    assert!(known.passes(), "adding it again changes nothing: {known:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_at_another_address_and_a_replica_fail() {
    let cluster = Cluster::start().await;
    let other = Redis::start(&[]);
    let (why, fix) = cluster.fails(&other.url("redis-0"), CheckKind::Identity).await;
    assert!(
        why.contains("redis-0 is a Redis node already") && fix.contains("its own id"),
        "{why}: {fix}"
    );
    let master = cluster.redis[0].port.to_string();
    answers(other.port, &[&format!("REPLICAOF 127.0.0.1 {master}")]).await;
    let (why, fix) = cluster.fails(&other.url("new"), CheckKind::Identity).await;
    assert!(why.contains("replica") && fix.contains("of its own"), "{why}: {fix}");
    cluster.stop().await;
}

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
async fn a_server_that_cannot_reach_what_others_reach_is_named() {
    let redis = [Redis::start(&[])];
    let bus = redis_bus(&redis);
    let one = Server::ready(options("one", "admin", bus.clone())).await;
    // This one has a URL of its own for the new node, which leads nowhere.
    let Bus::Redis(mut urls) = bus else { panic!("Redis") };
    urls.push(NodeUrl::parse("redis://127.0.0.1:1#new").expect("valid"));
    let two = Server::start(options("two", "ws-node", Bus::Redis(urls)));
    let new = Redis::start(&[]);
    until("they know each other", || one.adapter.servers().len() == 2).await;
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
async fn a_server_that_hangs_is_missing_and_the_others_count() {
    let redis = [Redis::start(&[])];
    let one = Server::ready(options("one", "admin", redis_bus(&redis))).await;
    // It is in the roster, and never answers: its beacons are those of a server of another version.
    let beacon = r#"{"format":1,"name":"mute","service":"ws-node","instance":1700000000000000,"version":"0","number":1,
        "counted":false,"heard":["redis-0"],"clients":0,"rooms":0}"#
        .replace(['\n', ' '], "");
    let publish = format!("PUBLISH wsmesh:beacon '{beacon}'");
    answers(redis[0].port, &[&publish]).await;
    until("it is known", || one.adapter.servers().len() == 2).await;
    let new = Redis::start(&[]);
    let found = soon("a preflight", one.adapter.preflight(&new.url("new")))
        .await
        .expect("valid");
    assert!(found.passes(), "{found:?}");
    assert_eq!((found.servers.len(), found.missing.len()), (1, 1), "{found:?}");
    assert_eq!(found.missing[0].0.as_str(), "mute");
    one.stop().await;
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
    let idle = TcpStream::connect(("127.0.0.1", redis[1].port))
        .await
        .expect("connects");
    drop(idle);
    redis[1].pause().expect("it runs");
    let found = soon("a preflight", preflight_alone(&urls[0], &options)).await;
    assert!(
        found.passes() && is_unknown(&found, CheckKind::Identity),
        "the other one does not answer: {found:?}"
    );
    redis[1].resume().expect("it runs");
}
