//! Wills: what ws-nodes tell players if this process is lost. They are left with the ws-nodes and revoked, in order.
//!
//! One task sends them. A change that cannot be sent is retried for as long as it may matter; their number is bounded. A player
//! learns of its ticket or match only after its will was sent: see [`Shell::wills_are_left`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{ClientId, ServerName, Target};
use wsmesh_protocol::forward::{CLIENT_WILLS, Will, WillChange, WillRoom, Wills};
use wsmesh_protocol::frame;

use super::Shell;
use super::messages::{NAMESPACE, push, write};
use crate::rules::lobby::{CancelReason, Cancelled, Order};
use crate::rules::matches::{EndFrame, EndReason, MatchId};
use crate::rules::players::Player;

/// Most changes in one message.
const BATCH: usize = 200;
/// Most changes that wait to be sent; beyond that the oldest are dropped.
const MOST: usize = 100_000;
/// How long a change is retried. A ws-node that cannot be reached for longer has left the roster, with its clients.
const RETRY_LIMIT: Duration = Duration::from_secs(30);
/// Pause before changes that could not be sent are retried.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Longest wait for wills before their players are told. A ws-node that cannot be reached must not delay a match.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A change on its way to a ws-node.
#[derive(Debug, Clone)]
struct Pending {
    server: ServerName,
    since: Instant,
    entry: Entry,
}

#[derive(Debug, Clone)]
enum Entry {
    Change(WillChange),
    /// Dropped when everything before it was sent or given up; the receiver notices that.
    Mark {
        _sent: mpsc::Sender<()>,
    },
}

impl Pending {
    fn change(&self) -> Option<&WillChange> {
        match &self.entry {
            Entry::Change(change) => Some(change),
            Entry::Mark { .. } => None,
        }
    }
}

/// The changes to be sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pending: Mutex<VecDeque<Pending>>,
    wake: Notify,
}

impl Outgoing {
    fn pending(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.pending.lock()
    }

    fn add(&self, server: ServerName, entry: Entry) {
        let since = Instant::now();
        let mut pending = self.pending();
        pending.push_back(Pending { server, since, entry });
        if pending.len() > MOST {
            pending.pop_front();
            tracing::warn!(
                "too many wills wait to be sent to ws-nodes: some players will not be told if this server is lost"
            );
        }
        self.wake.notify_one();
    }

    /// The next changes for one ws-node, in order. Skips ws-nodes that have changes in `unsent`.
    fn take(&self, unsent: &[Vec<Pending>]) -> Vec<Pending> {
        let mut pending = self.pending();
        pending.retain(|one| one.since.elapsed() < RETRY_LIMIT);
        let waits = |server: &ServerName| unsent.iter().flatten().any(|one| one.server == *server);
        let Some(server) = pending.iter().map(|one| &one.server).find(|server| !waits(server)) else {
            return Vec::new();
        };
        let server = server.clone();
        let mut left = BATCH;
        let mut batch = Vec::new();
        pending.retain(|one| {
            let taken = left > 0 && one.server == server;
            if taken {
                left -= 1;
                batch.push(one.clone());
            }
            !taken
        });
        batch
    }

    /// Puts changes that could not be sent before newer ones.
    fn put_back(&self, batches: Vec<Vec<Pending>>) {
        let mut pending = self.pending();
        for one in batches.into_iter().rev().flat_map(|batch| batch.into_iter().rev()) {
            pending.push_front(one);
        }
    }
}

impl Shell {
    /// Leaves the will of a ticket that is here.
    pub(super) fn leave_ticket(&self, player: &Player, notice: &Cancelled) {
        debug_assert_eq!(notice.reason, CancelReason::ServerLost);
        let will = Will {
            client: player.client.to_string(),
            id: notice.ticket.clone(),
            frame: frame::push(push::CANCELLED, notice),
            room: None,
        };
        self.wills
            .add(player.server.clone(), Entry::Change(WillChange::Left(will)));
    }

    /// Resolves when all wills for these ws-nodes are on their way, or cannot be sent for now. To be awaited before a player is told
    /// of its ticket or match: this process may be lost at any moment, and then only a will tells the player.
    pub(super) async fn wills_are_left(&self, servers: impl IntoIterator<Item = ServerName>) {
        let (sent, mut all_sent) = mpsc::channel(1);
        for server in BTreeSet::from_iter(servers) {
            self.wills.add(server, Entry::Mark { _sent: sent.clone() });
        }
        drop(sent);
        let _late = timeout(LEAVE_TIMEOUT, all_sent.recv()).await;
    }

    /// Leaves the wills of a match that runs here, and revokes those of its players' tickets.
    pub(super) fn leave_match(&self, order: &Order, id: &MatchId) {
        let end = EndFrame::<()> {
            id,
            reason: EndReason::ServerLost,
            result: None,
        };
        let frame = frame::push(push::END, &end);
        for player in &order.players {
            let will = Will {
                client: player.client.to_string(),
                id: id.to_string(),
                frame: frame.clone(),
                room: Some(WillRoom {
                    namespace: NAMESPACE.to_owned(),
                    room: id.to_string(),
                }),
            };
            self.wills
                .add(player.server.clone(), Entry::Change(WillChange::Left(will)));
        }
        for (player, ticket) in order.players.iter().zip(&order.tickets) {
            self.revoke(&player.server, &player.client, ticket);
        }
    }

    /// Revokes the wills of a match that ran here.
    pub(super) fn revoke_match(&self, players: &[Player], id: &MatchId) {
        for Player { client, server } in players {
            self.revoke(server, client, id.as_str());
        }
    }

    /// Revokes the will of a ticket or match for one player.
    pub(super) fn revoke(&self, server: &ServerName, client: &ClientId, id: &str) {
        let change = WillChange::Revoked {
            client: client.to_string(),
            id: id.to_owned(),
        };
        self.wills.add(server.clone(), Entry::Change(change));
    }
}

/// Sends changes until `end`, then once more what is left.
pub(super) async fn keep(shell: Arc<Shell>, end: CancellationToken) {
    while !end.is_cancelled() {
        let all_sent = send_all(&shell).await;
        let woken = async {
            if all_sent {
                shell.wills.wake.notified().await;
            } else {
                // Ws-nodes that can be reached do not wait for those that cannot.
                let _woken = timeout(RETRY_AFTER, shell.wills.wake.notified()).await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = woken => {}
        }
    }
    send_all(&shell).await;
}

async fn send_all(shell: &Shell) -> bool {
    let mut unsent = Vec::new();
    loop {
        let batch = shell.wills.take(&unsent);
        let Some(first) = batch.first() else { break };
        let changes: Vec<_> = batch.iter().filter_map(Pending::change).cloned().collect();
        if changes.is_empty() {
            continue;
        }
        let wills = Wills {
            instance: shell.adapter.instance().0,
            changes,
        };
        let target = Target::Server(first.server.clone());
        if let Err(error) = shell.adapter.emit(target, CLIENT_WILLS, write(&wills)).await {
            tracing::debug!(peer = %first.server, "could not send wills to a ws-node yet: {error}");
            unsent.push(batch);
        }
    }
    let all_sent = unsent.is_empty();
    shell.wills.put_back(unsent);
    all_sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(outgoing: &Outgoing, server: &str, id: &str) {
        let change = WillChange::Revoked {
            client: "ann".to_owned(),
            id: id.to_owned(),
        };
        outgoing.add(ServerName::new(server).expect("valid"), Entry::Change(change));
    }

    fn ids(batch: &[Pending]) -> Vec<String> {
        let id = |one: &Pending| match one.change() {
            Some(WillChange::Revoked { id, .. }) => format!("{}:{id}", one.server),
            other => panic!("nothing else was added: {other:?}"),
        };
        batch.iter().map(id).collect()
    }

    #[test]
    fn changes_that_could_not_be_sent_stay_in_order_and_before_newer_ones() {
        let outgoing = Outgoing::default();
        for (server, id) in [("ws-1", "1"), ("ws-2", "2"), ("ws-1", "3")] {
            revoked(&outgoing, server, id);
        }
        let first = outgoing.take(&[]);
        assert_eq!(ids(&first), ["ws-1:1", "ws-1:3"]);
        revoked(&outgoing, "ws-1", "4");
        let unsent = vec![first];
        assert_eq!(ids(&outgoing.take(&unsent)), ["ws-2:2"]);
        assert!(outgoing.take(&unsent).is_empty(), "4 does not overtake 1 and 3");
        outgoing.put_back(unsent);
        assert_eq!(ids(&outgoing.take(&[])), ["ws-1:1", "ws-1:3", "ws-1:4"]);
        assert!(outgoing.take(&[]).is_empty());
    }

    #[test]
    fn a_mark_is_dropped_when_every_earlier_change_for_its_ws_node_was_sent() {
        let outgoing = Outgoing::default();
        let (sent, mut all_sent) = mpsc::channel(1);
        revoked(&outgoing, "ws-1", "1");
        revoked(&outgoing, "ws-2", "2");
        outgoing.add(ServerName::new("ws-1").expect("valid"), Entry::Mark { _sent: sent });
        let first = outgoing.take(&[]);
        assert_eq!(first.len(), 2);
        assert_eq!(
            all_sent.try_recv(),
            Err(mpsc::error::TryRecvError::Empty),
            "it is on its way"
        );
        outgoing.put_back(vec![first]);
        assert_eq!(
            all_sent.try_recv(),
            Err(mpsc::error::TryRecvError::Empty),
            "it could not be sent"
        );
        drop(outgoing.take(&[]));
        assert_eq!(all_sent.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }

    #[test]
    fn waiting_changes_are_bounded_and_sent_in_batches() {
        let outgoing = Outgoing::default();
        (0..=MOST).for_each(|number| revoked(&outgoing, "ws-1", &number.to_string()));
        assert_eq!(outgoing.pending().len(), MOST);
        let batch = outgoing.take(&[]);
        assert_eq!((batch.len(), ids(&batch)[0].as_str()), (BATCH, "ws-1:1"));
    }
}
