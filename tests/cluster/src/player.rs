//! A client that plays one match after the other, and notices when a match or a place in the queue ends without a word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wsmesh_connector::{Client, Connector, Event, Listener};

use crate::client::Shared;

/// A running match tells its state 20 times a second. This is more than the eight seconds until the loss of a server is told.
const QUIET: Duration = Duration::from_secs(15);

/// What players saw.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Plays {
    /// Matches that began, once for each player.
    pub(crate) found: u64,
    /// How matches ended, by reason.
    pub(crate) ended: BTreeMap<String, u64>,
    /// How places in the queue ended, by reason.
    pub(crate) cancelled: BTreeMap<String, u64>,
    /// Matches and places in the queue that ended without a word.
    pub(crate) silent: u64,
    /// Requests that were refused or not answered.
    pub(crate) refused: u64,
}

#[derive(Deserialize)]
struct Ended {
    reason: String,
}

/// Starts players, whose tasks run in the set.
///
/// # Errors
/// When the options make no client.
pub(crate) fn start(shared: &Arc<Shared>, living: &mut JoinSet<()>) -> anyhow::Result<Arc<Mutex<Plays>>> {
    let plays = Arc::new(Mutex::new(Plays::default()));
    let first = shared.options.clients;
    for number in first..first + shared.options.players {
        let (key, value) = shared.speech.introduction(number)?;
        let mut options = wsmesh_connector::Options::new(&shared.options.url).param(key, value);
        options.fast_reconnect_interval = Duration::from_secs(1);
        let (client, task) = Connector::new(options)?;
        let pushes = client.on_any();
        living.spawn(task.run());
        living.spawn(play(Arc::clone(shared), client, pushes, Arc::clone(&plays)));
    }
    Ok(plays)
}

async fn play(shared: Arc<Shared>, client: Client, mut pushes: Listener<Event>, plays: Arc<Mutex<Plays>>) {
    while !shared.stop.is_cancelled() {
        if client.opened().await.is_err() {
            return;
        }
        if client.request("matchRequest", &json!({"rating": 1000})).await.is_err() {
            plays.lock().refused += 1;
            // Not a busy loop against a server that has nobody to ask.
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        }
        if follow(&client, &mut pushes, &plays).await.is_none() {
            return;
        }
    }
}

/// Follows a ticket and its match to their end; `None` if there are no more pushes.
async fn follow(client: &Client, pushes: &mut Listener<Event>, plays: &Mutex<Plays>) -> Option<()> {
    loop {
        let Ok(event) = timeout(QUIET, pushes.recv()).await else {
            // One that disconnects leaves its queues and its match.
            plays.lock().silent += u64::from(client.is_open());
            return Some(());
        };
        let event = event?;
        let reason = || event.payload.json().map_or("?".to_owned(), |ended: Ended| ended.reason);
        match &*event.name {
            "matchFound" => plays.lock().found += 1,
            "matchEnd" => {
                *plays.lock().ended.entry(reason()).or_default() += 1;
                return Some(());
            }
            "matchCancelled" => {
                *plays.lock().cancelled.entry(reason()).or_default() += 1;
                return Some(());
            }
            _ => {}
        }
    }
}
