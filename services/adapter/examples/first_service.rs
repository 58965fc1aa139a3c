//! The service of the README: answers every `placeBid` of a client. It needs a Redis on port 7000.

#![expect(clippy::print_stderr, reason = "a program for a terminal")]

use std::time::Duration;

use serde_json::json;
use wsmesh_adapter::{Adapter, Bus, Options, ServerName, ServiceName, Started};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::new(ServerName::new("auction-0")?, ServiceName::new("auction")?);
    options.bus = Bus::Redis(vec!["redis://127.0.0.1:7000".parse()?]);
    let Started { adapter, driver, .. } = Adapter::start(options)?;
    adapter.on("placeBid", |bid| async move {
        if let Err(error) = bid.reply_with(&json!({"accepted": true})).await {
            eprintln!("not answered: {error}");
        }
    });
    tokio::signal::ctrl_c().await?;
    driver.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
