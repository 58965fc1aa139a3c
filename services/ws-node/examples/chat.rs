//! A chat in one process: this program handles its clients' events itself, without a service and without Redis.
//!
//! `cargo run -p ws-node --example chat`, then connect clients to `ws://127.0.0.1:8000/?id=ann`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example")]

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use ws_node::{Client, EdgeSettings, Refusal, WsNode};
use wsmesh_adapter::{Options, Room, ServerName, ServiceName};

#[derive(Deserialize)]
struct Say {
    text: String,
}

/// A ws-node whose clients are all in one room.
pub(crate) fn chat(options: Options) -> anyhow::Result<WsNode> {
    WsNode::builder(options, EdgeSettings::demo())
        .on_connection(|client| async move {
            if let Err(error) = enter(&client).await {
                eprintln!("{} is not in the lobby: {error}", client.id());
            }
        })
        .on("say", |client: Client, say: Say| async move {
            if say.text.is_empty() {
                return Err(Refusal::new("BAD_PAYLOAD", "say something"));
            }
            let said = json!({"from": client.id(), "text": say.text});
            client.adapter().push_to_room(&lobby()?, "said", &said).await?;
            Ok(json!({"ok": true}))
        })
        .on_close(|client, closed| async move { println!("{} has left: {closed:?}", client.id()) })
        .start()
}

async fn enter(client: &Client) -> Result<(), Refusal> {
    client.join(lobby()?).await?;
    client.push("welcome", &json!({"you": client.id()})).await?;
    Ok(())
}

fn lobby() -> Result<Room, Refusal> {
    Ok(Room::new("chat", "lobby")?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let node = chat(Options::new(ServerName::new("chat-0")?, ServiceName::new("ws-node")?))?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(node.serve(TcpListener::bind("127.0.0.1:8000").await?, stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    node.shutdown(Duration::from_secs(10)).await;
    Ok(serving.await?)
}
