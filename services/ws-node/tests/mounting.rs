//! A ws-node inside another application, on a port that this application serves itself.

mod common;

use axum::Router;
use axum::routing::get;
use common::{Client, PATIENCE, demo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use ws_node::WsNode;
use wsmesh_adapter::{Options, ServerName, ServiceName};

#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_the_applications_routes_and_websockets_on_any_other_path() {
    let name = ServerName::new("mounted").expect("valid");
    let options = Options::new(name, ServiceName::new("ws-node").expect("valid"));
    let node = WsNode::start(options, demo()).expect("starts");
    let app = Router::new()
        .route("/hello", get(async || "hello"))
        .nest("/deep", node.router())
        .fallback_service(node.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["", "any/path", "deep/er"] {
        let url = format!("ws://{address}/{path}?id=ann");
        let mut client = Client::connect(&url).await.expect("upgrades").settled().await;
        assert_eq!(client.request("say", json!({"msg": "hi"})).await, json!({"ok": true}));
    }
    let mut plain = TcpStream::connect(address).await.expect("connects");
    plain
        .write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .expect("sends");
    let mut answer = String::new();
    timeout(PATIENCE, plain.read_to_string(&mut answer))
        .await
        .expect("answers")
        .expect("reads");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}
