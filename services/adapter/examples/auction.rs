//! An auction: keeps the highest bid for each item, answers every bid, and pushes each new highest bid to all bidders.
//!
//! `services/TUTORIAL-service.md` explains it line by line. It needs a Redis on port 7000.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::HashMap;
use std::error::Error;

use serde::Deserialize;
use serde_json::json;
use wsmesh_adapter::{
    Adapter, Bus, ClientId, Frame, Options, Payload, RequestOptions, Room, RoomOptions, ServerEvent, ServerName,
    ServiceName, Started, Target,
};

/// What a ws-node forwards: who sent the event, where that client is connected, and what it sent.
#[derive(Deserialize)]
struct Forwarded {
    client: ClientId,
    server: ServerName,
    payload: Bid,
}

#[derive(Deserialize)]
struct Bid {
    item: String,
    amount: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::new(ServerName::new("auction-0")?, ServiceName::new("auction")?);
    options.bus = Bus::Redis(vec!["redis://127.0.0.1:7000".parse()?]);
    let Started { adapter, driver, .. } = Adapter::start(options)?;
    let mut bids = adapter.listen("placeBid");
    adapter.ready().await;
    println!("the auction is open");

    let mut highest = HashMap::new();
    loop {
        tokio::select! {
            Some(event) = bids.next() => {
                if let Err(error) = handle(&adapter, &mut highest, event).await {
                    eprintln!("a bid was not handled: {error}");
                }
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    driver.shutdown(std::time::Duration::from_secs(10)).await;
    Ok(())
}

async fn handle(
    adapter: &Adapter,
    highest: &mut HashMap<String, u32>,
    event: ServerEvent,
) -> Result<(), Box<dyn Error>> {
    let Ok(Forwarded {
        client,
        server,
        payload,
    }) = event.payload.parse()
    else {
        let refusal = json!({"error": "a bid is {\"item\": TEXT, \"amount\": NUMBER}", "errorCode": "BAD_PAYLOAD"});
        return Ok(event.reply(Payload::new(&refusal)?).await?);
    };
    let Bid { item, amount } = payload;
    let best = highest.entry(item.clone()).or_insert(0);
    if amount <= *best {
        let refusal = json!({"error": format!("the highest bid is {best}"), "errorCode": "NOT_ALLOWED"});
        return Ok(event.reply(Payload::new(&refusal)?).await?);
    }
    *best = amount;
    event.reply(Payload::new(&json!({"highest": amount}))?).await?;

    // The bidder joins the room of the item, on the ws-node that it is connected to …
    let join = Payload::new(&json!({"client": client, "namespace": "auction", "room": item}))?;
    let its_node = Target::Server(server);
    adapter
        .call(its_node, "wsmesh.clientJoin", join, RequestOptions::default())
        .await?;

    // … and everyone in that room is told, whichever ws-node they are connected to.
    let push = json!({"event": "newBid", "payload": {"item": item, "amount": amount, "bidder": client}});
    let room = Room::new("auction", &item)?;
    adapter
        .to_room(&room, Frame::new(push.to_string()), RoomOptions::default())
        .await?;
    Ok(())
}
