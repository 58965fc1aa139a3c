//! The chat of the example, which the README shows.

use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Options, ServerName, ServiceName};

use crate::common::Client;
use crate::support::code;

#[expect(dead_code, reason = "its main function serves a fixed port")]
#[path = "../../examples/chat.rs"]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_of_the_readme_welcomes_its_clients_and_brings_what_they_say_to_all() {
    let name = ServerName::new("chat-0").expect("valid");
    let options = Options::new(name, ServiceName::new("ws-node").expect("valid"));
    let node = example::chat(options).expect("starts");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(node.serve(listener, CancellationToken::new()));

    let mut clients = Vec::new();
    for id in ["ann", "bob"] {
        let mut client = Client::connect(&format!("ws://{address}/?id={id}"))
            .await
            .expect("upgrades");
        assert_eq!(
            client.frame().await,
            json!({"event": "welcome", "payload": {"you": id}})
        );
        clients.push(client);
    }
    clients[0].emit("say", json!({"text": "hi"})).await;
    let said = json!({"event": "said", "payload": {"from": "ann", "text": "hi"}});
    for client in &mut clients {
        assert_eq!(client.frame().await, said);
    }
    let refused = clients[1].request("say", json!({"text": ""})).await;
    assert_eq!(refused, json!({"error": "say something", "errorCode": "BAD_PAYLOAD"}));
    let refused = clients[1].request("say", json!({"txt": "hi"})).await;
    assert_eq!(code(&refused), "BAD_PAYLOAD");
    assert!(
        refused["error"]
            .as_str()
            .expect("a text")
            .contains("missing field `text`"),
        "{refused}"
    );
}
