//! How a connection ends for good, and the client's state afterwards.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use wsmesh_connector::{AutoReconnect, Client, ConnectionError, Connector, End, RequestError, State};
use wsmesh_protocol::CloseCode;

use crate::support::{Server, connected, soon};

/// Waits until it is closed for good, and returns why.
pub(crate) async fn closed(client: &Client) -> End {
    let mut state = client.state();
    let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
    match &*soon("closed for good", closed).await.expect("the client lives") {
        State::Closed(end) => end.clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn after_a_kick_the_client_stays_closed_until_the_application_connects_again() {
    let server = Server::start().await;
    for code in [4010, 4011, 4012] {
        let (client, peer, _task) = connected(&server, server.options()).await;
        let mut says = client.on("say");
        peer.close(code, "out").await;
        let end = closed(&client).await;
        let End::Failed(ConnectionError::Closed { code: heard, reason }) = &end else {
            panic!("{end}")
        };
        assert_eq!((*heard, reason.as_str()), (CloseCode::from(code), "out"));
        assert!(client.opened().await.is_err());
        client.connect().await;
        let mut peer = server.accept().await;
        soon("open again", client.opened()).await.expect("open");
        peer.say(json!({"event": "say"})).await;
        soon("listeners stay", says.recv()).await.expect("listening");
    }
}

#[tokio::test]
async fn the_application_chooses_when_to_reconnect() {
    let server = Server::start().await;
    let mut options = server.options();
    options.auto_reconnect = AutoReconnect::AfterError;
    let (client, peer, _task) = connected(&server, options.clone()).await;
    drop(peer);
    let peer = server.accept().await;
    soon("a break is an error", client.opened()).await.expect("open");
    peer.close(1012, "").await;
    let end = closed(&client).await;
    assert!(matches!(end, End::Failed(ConnectionError::Closed { .. })), "{end}");
    options.auto_reconnect = AutoReconnect::Never;
    let (client, peer, _task) = connected(&server, options).await;
    drop(peer);
    let end = closed(&client).await;
    assert!(matches!(end, End::Failed(ConnectionError::Transport(_))), "{end}");
}

#[tokio::test]
async fn a_message_that_is_too_big_ends_the_connection_with_1009_for_good() {
    let server = Server::start().await;
    let mut options = server.options();
    options.max_message_size = 1000;
    let (client, mut peer, _task) = connected(&server, options).await;
    peer.say("x".repeat(1001)).await;
    assert_eq!(peer.closed().await.0, 1009);
    let end = closed(&client).await;
    assert!(end.to_string().contains("1001"), "it says how big: {end}");
}

#[tokio::test]
async fn closing_by_hand_writes_what_was_emitted_and_says_4001() {
    let server = Server::start().await;
    let (client, mut peer, task) = connected(&server, server.options()).await;
    let mut says = client.on("say");
    let pending = client.request("never", &1).into_future();
    let script = async {
        assert_eq!(peer.json().await["event"], "never");
        assert_eq!(peer.json().await["event"], "last");
        assert_eq!(peer.closed().await, (4001, "client manual close".to_owned()));
        peer.end().await;
    };
    let closing = async {
        client.emit("last", &1).await.expect("open");
        soon("closed", client.close()).await;
        assert!(!client.is_open());
    };
    let (failed, (), ()) = tokio::join!(pending, closing, script);
    assert!(matches!(failed, Err(RequestError::Disconnected)), "{failed:?}");
    assert!(matches!(closed(&client).await, End::ByHand));
    soon("a second time", client.close()).await;
    drop(client);
    soon("the task ends with its last handle", task)
        .await
        .expect("no panic");
    assert!(soon("listeners end", says.recv()).await.is_none());
}

#[tokio::test]
async fn closing_while_the_server_does_not_read_loses_no_accepted_frame() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let filling = "x".repeat(256 * 1024);
    let mut taken = 0;
    // Full: the queue, the WebSocket and the kernel's buffers.
    while timeout(
        Duration::from_millis(200),
        client.emit("n", &json!({"n": taken, "filling": filling})),
    )
    .await
    .is_ok()
    {
        taken += 1;
    }
    let closing = tokio::spawn(async move { client.close().await });
    for n in 0..taken {
        assert_eq!(peer.json().await["payload"]["n"], n, "of {taken}");
    }
    assert_eq!(peer.closed().await.0, 4001);
    peer.end().await;
    soon("closed", closing).await.expect("no panic");
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection_and_ends_the_task() {
    let server = Server::start().await;
    let (client, mut peer, task) = connected(&server, server.options()).await;
    let mut state = client.state();
    let clone = client.clone();
    drop(client);
    assert!(clone.is_open());
    drop(clone);
    assert_eq!(peer.closed().await.0, 4001);
    peer.end().await;
    soon("the task ends", task).await.expect("no panic");
    let ended = state.wait_for(|state| matches!(state, State::Closed(End::TaskEnded)));
    soon("it says so", ended).await.expect("said before it ended");
}

#[tokio::test]
async fn a_client_without_its_task_reports_that() {
    let server = Server::start().await;
    let (client, _peer, task) = connected(&server, server.options()).await;
    let pending = client.request("a", &1).retry().into_future();
    task.abort();
    let failed = soon("it fails", pending).await;
    assert!(matches!(failed, Err(RequestError::NotOpen)), "{failed:?}");
    assert!(matches!(client.opened().await, Err(End::TaskEnded)));
    client.connect().await;
    client.close().await;
    assert!(matches!(closed(&client).await, End::TaskEnded));
    assert!(client.on("late").recv().await.is_none());
    let (client, task) = Connector::new(server.options()).expect("options that work");
    drop(task);
    assert!(matches!(client.opened().await, Err(End::TaskEnded)));
}
