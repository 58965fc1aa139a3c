//! A Redis that cannot be used fails the check that says why.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wsmesh_adapter::CheckKind;

use super::{APP, Cluster, LINKS};
use crate::facts::answers;
use crate::support::redis::Redis;

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
        why.contains("that is not Redis: is this a Redis server?")
            && fix.contains("a Redis listens")
            && !fix.contains("restart"),
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
    let (why, fix) = cluster.fails(&open.url("new"), CheckKind::Login).await;
    assert!(why.contains("has no password"), "{why}");
    for text in [why, fix] {
        assert!(
            text.contains("--redis-password-file and --redis"),
            "both places of a password: {text}"
        );
    }
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
