//! The connector against a scripted server, over real sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use wsmesh_connector::{Connector, Options, RequestError, RequestOptions, SendError, State};

const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

struct Server {
    listener: TcpListener,
}

impl Server {
    async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        }
    }

    fn options(&self) -> Options {
        let port = self.listener.local_addr().expect("bound").port();
        let mut options = Options::new(format!("ws://127.0.0.1:{port}/chat?id=888"));
        options.fast_reconnect_interval = Duration::from_millis(20);
        options
    }

    async fn accept(&self) -> WebSocketStream<TcpStream> {
        let (stream, _) = soon("a client", self.listener.accept()).await.expect("accepts");
        soon("the handshake", tokio_tungstenite::accept_async(stream))
            .await
            .expect("a WebSocket client")
    }
}

fn start(options: Options) -> (Connector, JoinHandle<()>) {
    let (connector, task) = Connector::new(options).expect("a valid URL");
    (connector, tokio::spawn(task.run()))
}

async fn read(socket: &mut WebSocketStream<TcpStream>) -> String {
    match soon("a frame", socket.next()).await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, value: Value) {
    socket.send(Message::text(value.to_string())).await.expect("sent");
}

async fn close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) {
    let frame = CloseFrame {
        code: code.into(),
        reason: reason.to_owned().into(),
    };
    socket.close(Some(frame)).await.expect("sent");
    while let Some(Ok(_)) = soon("the answer to the close frame", socket.next()).await {}
}

#[tokio::test]
async fn events_go_out_and_pushes_come_in() {
    let server = Server::start().await;
    let (connector, _task) = start(server.options());
    let mut said = connector.listen("say");
    let mut socket = server.accept().await;
    soon("open", connector.opened()).await.expect("open");
    connector.emit("say", &json!({"msg": "Hi server"})).await.expect("sent");
    assert_eq!(
        read(&mut socket).await,
        r#"{"event":"say","payload":{"msg":"Hi server"}}"#
    );
    say(&mut socket, json!({"event": "other", "payload": 1})).await;
    say(&mut socket, json!({"event": "say", "payload": {"msg": "hi"}})).await;
    let event = soon("the push", said.next()).await.expect("listening");
    assert_eq!((&*event.event, event.payload.get()), ("say", r#"{"msg":"hi"}"#));
}

#[tokio::test]
async fn requests_are_answered_refused_or_time_out() {
    let server = Server::start().await;
    let (connector, _task) = start(server.options());
    let mut socket = server.accept().await;
    soon("open", connector.opened()).await.expect("open");
    let script = async {
        for answer in [json!({"ok": true}), json!({"error": "no", "errorCode": "NOT_ALLOWED"})] {
            let asked: Value = serde_json::from_str(&read(&mut socket).await).expect("JSON");
            say(
                &mut socket,
                json!({"payload": answer, "callbackId": asked["callbackId"]}),
            )
            .await;
        }
        read(&mut socket).await;
    };
    let asking = async {
        let reply = connector.request("a", &1).await.expect("answered");
        assert_eq!(reply.get(), r#"{"ok":true}"#);
        let refused = connector.request("b", &2).await.expect_err("refused");
        assert_eq!(
            refused,
            RequestError::Refused {
                code: "NOT_ALLOWED".into(),
                text: "no".into()
            }
        );
        let short = RequestOptions {
            timeout: Some(Duration::from_millis(50)),
            retry: false,
        };
        let late = connector
            .request_with("c", &3, short)
            .await
            .expect_err("nobody answers");
        assert_eq!(late, RequestError::TimedOut);
    };
    tokio::join!(script, asking);
}

#[tokio::test]
async fn it_comes_back_after_a_break_and_asks_again_what_may_be_asked_twice() {
    let server = Server::start().await;
    let (connector, _task) = start(server.options());
    let mut socket = server.accept().await;
    soon("open", connector.opened()).await.expect("open");
    let once = connector.request("once", &1);
    let twice = connector.request_with(
        "twice",
        &2,
        RequestOptions {
            retry: true,
            timeout: None,
        },
    );
    let script = async {
        let _ = (read(&mut socket).await, read(&mut socket).await);
        drop(socket);
        let mut socket = server.accept().await;
        let asked: Value = serde_json::from_str(&read(&mut socket).await).expect("JSON");
        assert_eq!(asked["event"], "twice");
        say(&mut socket, json!({"payload": 7, "callbackId": asked["callbackId"]})).await;
        socket
    };
    let (once, twice, _socket) = tokio::join!(once, twice, script);
    assert_eq!(once.expect_err("dropped"), RequestError::Dropped);
    assert_eq!(twice.expect("answered").get(), "7");
}

#[tokio::test]
async fn close_codes_say_whether_to_come_back() {
    let server = Server::start().await;
    let (connector, _task) = start(server.options());
    let mut socket = server.accept().await;
    close(&mut socket, 1012, "retry-after-ms=30").await;
    let mut socket = server.accept().await;
    close(&mut socket, 4012, "newer login").await;
    let mut state = connector.state();
    let closed = soon("closed", state.wait_for(|state| matches!(state, State::Closed { .. })))
        .await
        .expect("alive");
    assert_eq!(
        *closed,
        State::Closed {
            reason: "closed with 4012 newer login".into()
        }
    );
    drop(closed);
    assert_eq!(connector.emit("x", &1).await, Err(SendError::NotOpen));
    connector.reconnect();
    server.accept().await;
}

#[tokio::test]
async fn a_server_that_does_not_echo_the_heartbeat_is_left_with_4002() {
    let server = Server::start().await;
    let mut options = server.options();
    (options.ping_interval, options.pong_timeout) = (Duration::from_millis(30), Duration::from_millis(50));
    let (connector, _task) = start(options);
    let mut socket = server.accept().await;
    assert_eq!(read(&mut socket).await, "");
    socket.send(Message::text("")).await.expect("sent");
    let mut latency = connector.latency();
    soon("a pong", latency.wait_for(Option::is_some)).await.expect("alive");
    assert_eq!(read(&mut socket).await, "");
    match soon("a close frame", socket.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 4002),
        other => panic!("{other:?}"),
    }
    server.accept().await;
}

#[tokio::test]
async fn requests_of_the_server_are_answered() {
    let server = Server::start().await;
    let (connector, _task) = start(server.options());
    let mut asked = connector.listen("where");
    let mut socket = server.accept().await;
    say(
        &mut socket,
        json!({"event": "where", "payload": null, "requestId": "r1"}),
    )
    .await;
    let event = soon("the request", asked.next()).await.expect("listening");
    event
        .into_request(&connector)
        .expect("wants an answer")
        .answer(&"here")
        .await
        .expect("sent");
    assert_eq!(read(&mut socket).await, r#"{"payload":"here","requestId":"r1"}"#);
}

#[tokio::test]
async fn closing_by_hand_says_4001_and_dropping_every_handle_ends_the_task() {
    let server = Server::start().await;
    let (connector, task) = start(server.options());
    let mut socket = server.accept().await;
    soon("open", connector.opened()).await.expect("open");
    connector.close();
    match soon("a close frame", socket.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => {
            assert_eq!((u16::from(frame.code), &*frame.reason), (4001, "client manual close"))
        }
        other => panic!("{other:?}"),
    }
    drop(connector);
    soon("the task ends", task).await.expect("no panic");
}

#[test]
fn a_wrong_url_is_refused_with_what_to_write() {
    let error = Connector::new(Options::new("http://x"))
        .expect_err("no WebSocket URL")
        .to_string();
    assert!(error.contains("write ws://HOST:PORT/"), "{error}");
}
