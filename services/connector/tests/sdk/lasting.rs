//! How a client stays connected: heartbeat, broken connections, reconnecting.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use serde_json::json;
use wsmesh_connector::{ConnectionError, End, Lifecycle, RequestError, State};

use crate::closing::closed;
use crate::support::{Server, connected, soon, start};

#[tokio::test]
async fn a_heartbeat_tells_the_latency_and_one_that_is_not_answered_ends_the_connection_with_4002() {
    let server = Server::start().await;
    let mut options = server.options();
    options.ping_interval = Duration::from_millis(20);
    options.pong_timeout = Duration::from_millis(500);
    let (client, mut peer, _task) = connected(&server, options).await;
    let mut lifecycle = client.lifecycle();
    assert_eq!(peer.read().await, "");
    peer.say("").await;
    let latency = loop {
        if let Some(Lifecycle::Pong { latency }) = soon("a pong", lifecycle.recv()).await {
            break latency;
        }
    };
    assert!(latency < Duration::from_millis(500));
    assert_eq!(peer.read().await, "");
    assert_eq!(peer.closed().await.0, 4002);
    let reason = loop {
        if let Some(Lifecycle::Ended(error)) = soon("the end", lifecycle.recv()).await {
            break error;
        }
    };
    assert!(matches!(reason, ConnectionError::PongTimeout));
    server.accept().await;
}

#[tokio::test]
async fn an_answer_that_came_before_its_heartbeat_does_not_count() {
    let server = Server::start().await;
    let mut options = server.options();
    options.ping_message = "♥".to_owned();
    options.pong_timeout = Duration::from_millis(50);
    let (client, mut peer, _task) = connected(&server, options).await;
    peer.say("♥").await;
    let (reply, ()) = tokio::join!(client.request("echo", &1).into_future(), peer.reply(json!(1)));
    reply.expect("the early answer was read before");
    client.set_ping_interval(Duration::from_millis(10));
    assert_eq!(peer.read().await, "♥");
    assert_eq!(peer.closed().await.0, 4002);
}

#[tokio::test(start_paused = true)]
async fn a_changed_ping_interval_counts_from_the_next_heartbeat_on_or_from_now() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pong_timeout = Duration::from_secs(3600);
    let (client, mut peer, _task) = connected(&server, options).await;
    // Stopped heartbeats begin at once.
    client.set_ping_interval(Duration::from_secs(100));
    assert_eq!(client.ping_interval(), Duration::from_secs(100));
    let (reply, ()) = tokio::join!(client.request("echo", &1).into_future(), peer.reply(json!(1)));
    reply.expect("replied, and the heartbeat has begun");
    let since = tokio::time::Instant::now();
    client.set_ping_interval(Duration::from_secs(10));
    assert_eq!(peer.read_patiently().await, "");
    let first = since.elapsed();
    assert!((100..102).contains(&first.as_secs()), "{first:?}");
    client.set_ping_interval(Duration::from_secs(30));
    peer.say("").await;
    assert_eq!(peer.read_patiently().await, "");
    let second = since.elapsed() - first;
    assert!((30..32).contains(&second.as_secs()), "{second:?}");
    peer.say("").await;
    let (reply, ()) = tokio::join!(client.request("echo", &1).into_future(), peer.reply(json!(1)));
    reply.expect("the heartbeat's answer was read before");
    let since = tokio::time::Instant::now();
    client.set_ping_interval_now(Duration::from_secs(5));
    assert_eq!(peer.read_patiently().await, "");
    assert!((5..7).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}

#[tokio::test]
async fn when_the_connection_breaks_requests_fail_at_once_and_idempotent_ones_are_asked_again() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let script = async {
        peer.read().await;
        peer.read().await;
        drop(peer);
        let mut peer = server.accept().await;
        peer.reply(json!("again")).await;
        peer
    };
    let (once, again) = (client.request("once", &1), client.request("again", &1).retry());
    let (once, again, _peer) = tokio::join!(once.into_future(), again.into_future(), script);
    assert!(matches!(once, Err(RequestError::Disconnected)), "{once:?}");
    assert_eq!(again.expect("replied").as_str(), "\"again\"");
}

#[tokio::test]
async fn a_request_with_retry_waits_for_the_first_connection_too() {
    let server = Server::start().await;
    let (client, _task) = start(server.options());
    let script = async {
        let mut peer = server.accept().await;
        peer.reply(json!(1)).await;
        peer
    };
    let (reply, _peer) = tokio::join!(client.request("a", &1).retry().into_future(), script);
    assert_eq!(reply.expect("replied").as_str(), "1");
}

#[tokio::test]
async fn it_reconnects_only_after_the_delay_that_the_server_gives() {
    let server = Server::start().await;
    let (_client, peer, _task) = connected(&server, server.options()).await;
    let since = Instant::now();
    peer.close(1012, "retry-after-ms=300").await;
    let _peer = server.accept().await;
    assert!(since.elapsed() >= Duration::from_millis(300), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_refused_upgrade_has_a_reason_and_the_client_reconnects_after_some_only() {
    let server = Server::start().await;
    let (client, _task) = start(server.options());
    let since = Instant::now();
    server
        .refuse("503 Service Unavailable", "Retry-After: 1\r\n", "draining")
        .await;
    server.refuse("401 Unauthorized", "", "the token has expired\n").await;
    assert!(since.elapsed() >= Duration::from_secs(1));
    let end = closed(&client).await;
    let End::Failed(ConnectionError::Refused { status, text, .. }) = &end else {
        panic!("{end}")
    };
    assert_eq!((*status, text.as_str()), (401, "the token has expired"));
}

#[tokio::test]
async fn it_gives_up_at_the_limit_and_a_server_that_hangs_counts() {
    let server = Server::start().await;
    let mut options = server.options();
    options.connect_timeout = Duration::from_millis(50);
    options.repeat_limit = Some(1);
    let (client, _task) = start(options);
    let _hung = (server.tcp().await, server.tcp().await);
    let end = closed(&client).await;
    let hung = matches!(
        &end,
        End::RepeatLimit {
            repeat: 1,
            last: Some(ConnectionError::Timeout(_))
        }
    );
    assert!(hung, "{end}");
}

#[tokio::test]
async fn connections_that_end_at_once_count_as_attempts() {
    let server = Server::start().await;
    let mut options = server.options();
    options.repeat_limit = Some(2);
    options.fast_reconnect_interval = Duration::from_secs(3600);
    let (client, _task) = start(options);
    for _ in 0..3 {
        server.accept().await.close(1013, "retry-after-ms=1").await;
    }
    let end = closed(&client).await;
    assert!(matches!(end, End::RepeatLimit { repeat: 2, .. }), "{end}");
}

#[tokio::test]
async fn a_hundred_clients_that_lose_their_server_at_once_reconnect_spread_over_the_whole_wait() {
    let server = Server::start().await;
    let mut options = server.options();
    options.fast_reconnect_interval = Duration::from_secs(3000);
    options.reconnect_max_interval = Duration::from_secs(3000);
    let mut lost = Vec::new();
    for _ in 0..100 {
        let (client, peer, task) = connected(&server, options.clone()).await;
        lost.push((client.lifecycle(), client, task));
        drop(peer);
    }
    let mut by_third = [0; 3];
    for (lifecycle, _client, _task) in &mut lost {
        let delay = loop {
            if let Some(Lifecycle::Reconnecting { delay, .. }) = soon("it waits", lifecycle.recv()).await {
                break delay;
            }
        };
        by_third[usize::try_from(delay.as_secs() / 1000).expect("small")] += 1;
    }
    // A third each; fewer than ten of a hundred happen once in ten million runs.
    assert!(by_third.iter().all(|&clients| clients >= 10), "{by_third:?}");
}

#[tokio::test]
async fn connect_does_not_wait() {
    let server = Server::start().await;
    let mut options = server.options();
    options.fast_reconnect_interval = Duration::from_secs(3600);
    options.reconnect_max_interval = Duration::from_secs(3600);
    let (client, peer, _task) = connected(&server, options).await;
    let mut state = client.state();
    drop(peer);
    let waiting = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    drop(soon("it waits", waiting).await.expect("the client lives"));
    assert!(client.is_reconnecting());
    client.connect().await;
    let mut peer = server.accept().await;
    soon("open", client.opened()).await.expect("open");
    assert!(!client.is_reconnecting());
    client.connect().await;
    peer.closed().await;
    peer.end().await;
    server.accept().await;
}
