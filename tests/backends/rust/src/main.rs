//! An auction: keeps the highest bid, answers every bid, and tells everyone in the room. A service on the mesh, without HTTP.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for a terminal"
)]

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use wsmesh_adapter::{Adapter, Bus, Options, Room, ServerEvent, ServerName, ServiceName, Started};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let redis = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:7000".to_owned());
    let mut options = Options::new(ServerName::new("auction-0")?, ServiceName::new("auction")?);
    options.bus = Bus::Redis(vec![redis.parse()?]);
    let Started { adapter, driver, .. } = Adapter::start(options)?;
    let mut bids = adapter.listen("placeBid");
    adapter.ready().await;
    println!("the auction is open");
    let mut highest = 0;
    loop {
        tokio::select! {
            Some(event) = bids.next() => {
                if let Err(error) = bid(&adapter, &mut highest, event).await {
                    eprintln!("a bid was not handled: {error}");
                }
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    driver.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

async fn bid(adapter: &Adapter, highest: &mut u64, event: ServerEvent) -> Result<(), Box<dyn Error>> {
    let sent: Value = event.payload.parse()?;
    let (Some(client), Some(price)) = (sent["client"].as_str(), sent["payload"]["price"].as_u64()) else {
        let text = "a bid is {\"price\": WHOLE NUMBER}";
        return Ok(event.refuse("BAD_PAYLOAD", text).await?);
    };
    println!("bid {client} {price}");
    if price <= *highest {
        let text = format!("the highest bid is {highest}");
        return Ok(event.refuse("CONFLICT", text).await?);
    }
    *highest = price;
    let (room, news) = (Room::new("auction", "7")?, json!({"price": price, "client": client}));
    adapter.push_to_room(&room, "price", &news).await?;
    Ok(event.reply_with(&json!({"ok": true, "price": price})).await?)
}
