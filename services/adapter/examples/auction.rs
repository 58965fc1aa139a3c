//! An auction: keeps the highest bid for each item, answers every bid, and pushes each new highest bid to all bidders.
//!
//! `services/TUTORIAL-service.md` explains it line by line. It needs a Redis on port 7000.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use wsmesh_adapter::{Adapter, Bus, ClientId, Options, Room, ServerEvent, ServerName, ServiceName, Started};

/// What a ws-node forwards: who sent the event, and what it sent.
#[derive(Deserialize)]
struct Forwarded {
    client: ClientId,
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
    driver.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

async fn handle(
    adapter: &Adapter,
    highest: &mut HashMap<String, u32>,
    event: ServerEvent,
) -> Result<(), Box<dyn Error>> {
    let Ok(Forwarded { client, payload }) = event.payload.parse() else {
        return Ok(event
            .refuse("BAD_PAYLOAD", "a bid is {\"item\": TEXT, \"amount\": NUMBER}")
            .await?);
    };
    let Bid { item, amount } = payload;
    let best = highest.entry(item.clone()).or_insert(0);
    if amount <= *best {
        return Ok(event
            .refuse("NOT_ALLOWED", format!("the highest bid is {best}"))
            .await?);
    }
    *best = amount;
    event.reply_with(&json!({"highest": amount})).await?;

    // The bidder joins the room of the item, on the ws-node that it is connected to …
    let room = Room::new("auction", &item)?;
    adapter.join_client(&client, &room).await?;

    // … and everyone in that room is told, whichever ws-node they are connected to.
    let bid = json!({"item": item, "amount": amount, "bidder": client});
    adapter.push_to_room(&room, "newBid", &bid).await?;
    Ok(())
}
