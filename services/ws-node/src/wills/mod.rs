//! Wills: messages that services leave here for clients, to be sent if the service's process is lost.
//!
//! Services leave and revoke wills with `wsmesh.clientWills`; this server does not know what they mean. `book` is the state. A
//! process that is missing from the roster at two checks in a row is lost: then each of its wills is carried out once. Until
//! the second check another process may take over and replace the will.

mod book;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::MissedTickBehavior;
use wsmesh_adapter::{Adapter, ClientId, Frame, Instance, NameError, Room};
use wsmesh_protocol::forward::{CLIENT_WILLS, WillChange, Wills};

use book::{Book, Will};

use crate::striped::Striped;

/// How often the roster is compared with the processes that left wills.
const CHECK: Duration = Duration::from_secs(1);

/// The wills for this server's clients.
pub(crate) struct WillBooks {
    books: Striped<Book>,
    adapter: Adapter,
    /// Messages that clients got.
    carried_out: IntCounter,
}

impl WillBooks {
    /// Listens until the adapter ends.
    pub(crate) fn start(adapter: Adapter, carried_out: IntCounter) -> Arc<Self> {
        let wills = Arc::new(Self {
            books: Striped::default(),
            adapter,
            carried_out,
        });
        let listening = Arc::clone(&wills);
        wills.adapter.on(CLIENT_WILLS, move |event| {
            match event.payload.parse::<Wills>() {
                Ok(wills) => listening.change_all(wills),
                Err(error) => {
                    tracing::warn!(peer = %event.sender, %error, "unreadable wills: do all servers run the same version?")
                }
            }
            std::future::ready(())
        });
        wills
    }

    fn change_all(&self, wills: Wills) {
        let holder = Instance(wills.instance);
        for change in wills.changes {
            if let Err(error) = self.change(holder, change) {
                tracing::warn!(%error, "ignoring a will whose name is not valid");
            }
        }
    }

    fn change(&self, holder: Instance, change: WillChange) -> Result<(), NameError> {
        match change {
            WillChange::Left(will) => {
                let client = ClientId::new(will.client)?;
                let room = will.room.map(|at| Room::new(at.namespace, at.room)).transpose()?;
                let mut book = self.books.lock(&client);
                // For a client that is gone, `forget` was called already: the will would stay forever.
                if self.adapter.is_here(&client) {
                    book.leave(
                        &client,
                        Will {
                            holder,
                            id: will.id,
                            frame: will.frame,
                            room,
                        },
                    );
                }
            }
            WillChange::Revoked { client, id } => {
                let client = ClientId::new(client)?;
                self.books.lock(&client).revoke(&client, &id);
            }
        }
        Ok(())
    }

    /// A client is gone: its wills are dropped.
    pub(crate) fn forget(&self, client: &ClientId) {
        self.books.lock(client).forget(client);
    }

    /// Carries out the wills of lost processes, as long as it is polled.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut checks = tokio::time::interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missing = HashSet::new();
        loop {
            checks.tick().await;
            let missing_before = std::mem::replace(&mut missing, self.missing());
            let lost: HashSet<Instance> = missing.intersection(&missing_before).copied().collect();
            if !lost.is_empty() {
                self.carry_out(&lost).await;
            }
        }
    }

    /// The processes that left wills and are not in the roster.
    fn missing(&self) -> HashSet<Instance> {
        let mut holders = HashSet::new();
        for book in self.books.iter() {
            holders.extend(book.lock().holders());
        }
        if !holders.is_empty() {
            for server in self.adapter.servers() {
                holders.remove(&server.instance);
            }
        }
        holders
    }

    async fn carry_out(&self, lost: &HashSet<Instance>) {
        let mut sent = 0_u64;
        for book in self.books.iter() {
            let wills = book.lock().take(lost);
            for (client, will) in wills {
                sent += u64::from(self.send(&client, will).await);
            }
        }
        self.carried_out.inc_by(sent);
        tracing::warn!(
            processes = lost.len(),
            messages = sent,
            "a server that held state for clients of this one is lost: sent its wills to the clients"
        );
    }

    /// Whether the client is still concerned, and was sent the will's frame.
    async fn send(&self, client: &ClientId, will: Will) -> bool {
        if let Some(room) = &will.room
            && !self.adapter.joined_rooms(client).contains(room)
        {
            return false;
        }
        if !self.adapter.is_here(client) {
            return false;
        }
        if let Err(error) = self.adapter.to_client(client, Frame::new(will.frame)).await {
            tracing::debug!(%client, %error, "a client could not be told that a server is lost");
        }
        if let Some(room) = &will.room
            && let Err(error) = self.adapter.leave(client, room).await
        {
            tracing::debug!(%client, %error, "a client could not leave the room of a lost server");
        }
        true
    }
}
