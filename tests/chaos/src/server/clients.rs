//! The clients of a server process: outboxes whose frames are recorded instead of sent. It stands in for ws-node.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use wsmesh_adapter::{Adapter, Attachment, ClientError, ClientId, Closing, ConnectionId, Room, Shard, ShardInbox};

use super::say;
use crate::clock::now_us;
use crate::message::Message;
use crate::record::{Event, Log};
use crate::talk::{Say, Setup};

/// The wait before a join that was not confirmed is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// The id of a client.
pub(super) fn client_id(number: u16) -> Result<ClientId, ClientError> {
    Ok(ClientId::new(format!("client-{number}"))?)
}

/// The name of a room.
pub(super) fn room(number: u16) -> Result<Room, ClientError> {
    Ok(Room::new("chaos", number.to_string())?)
}

/// A client for the shard.
pub(super) type Insert = mpsc::UnboundedSender<(ConnectionId, ClientId, u16)>;

/// Attaches every client and lets it join its rooms; they stay while their attachments do.
pub(super) async fn place(adapter: &Adapter, setup: &Setup, insert: Insert) -> Vec<Attachment> {
    let mut placed = Vec::new();
    for (number, rooms) in &setup.clients {
        match attach(adapter, *number, rooms, &insert).await {
            Ok(attachment) => placed.push(attachment),
            Err(error) => trouble(*number, &error),
        }
    }
    placed
}

async fn attach(adapter: &Adapter, number: u16, rooms: &[u16], insert: &Insert) -> Result<Attachment, ClientError> {
    let client = client_id(number)?;
    let attachment = adapter.attach(client.clone(), 0)?;
    if insert.send((attachment.connection(), client.clone(), number)).is_err() {
        return Err(ClientError::ShuttingDown);
    }
    while attachment.confirmed().await == Err(ClientError::Unconfirmed) {
        sleep(AGAIN).await;
    }
    say(&Say::Attached {
        client: number,
        at_us: now_us(),
    });
    for &room_number in rooms {
        while let Err(error) = adapter.join(&client, room(room_number)?).await {
            if error != ClientError::Unconfirmed {
                return Err(error);
            }
            sleep(AGAIN).await;
        }
        say(&Say::Joined {
            client: number,
            room: room_number,
            at_us: now_us(),
        });
    }
    Ok(attachment)
}

fn trouble(client: u16, error: &ClientError) {
    say(&Say::Trouble {
        what: format!("client {client} is not in place: {error}"),
    });
}

/// Owns the clients of one shard, as a thread of ws-node does.
pub(super) async fn own_shard(
    mut inbox: ShardInbox,
    mut inserted: mpsc::UnboundedReceiver<(ConnectionId, ClientId, u16)>,
    log: Arc<Log>,
) {
    let mut shard: Shard<u16> = inbox.shard();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some((connection, client, number)) = inserted.recv() => shard.insert(connection, client, number),
            count = inbox.recv(&mut batch) => {
                if count == 0 {
                    return;
                }
                batch.drain(..).for_each(|command| shard.apply(command));
            }
        }
        shard.drain_dirty(|_, number, outbox| {
            while let Some(frame) = outbox.pop() {
                if let Some(message) = Message::parse(frame.as_str()) {
                    log.note(Event::Received(*number), message.key());
                }
            }
        });
        for (connection, why) in shard.take_closing() {
            if let Some(number) = shard.remove(connection) {
                closed(number, &why);
            }
        }
    }
}

fn closed(client: u16, why: &Closing) {
    say(&Say::Trouble {
        what: format!("client {client} was closed: {why:?}"),
    });
}
