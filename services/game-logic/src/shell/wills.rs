//! What players are told should this process be lost: wills, left with their ws-nodes and revoked, in order.
//!
//! One task sends them. What cannot be sent is tried again, for as long as it may still matter; all of it is bounded. A player
//! learns that something is held here only after its will was sent: see [`Shell::wills_are_left`].

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
/// Most changes that wait to be sent; the oldest give way.
const MOST: usize = 100_000;
/// How long a change is worth sending: a ws-node that cannot be reached for longer has left the roster, with its clients.
const WORTH: Duration = Duration::from_secs(30);
/// How long to wait before what could not be sent is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest wait for wills to be sent before their players are told: a ws-node that cannot be reached must not hold up a match.
const LEAVING: Duration = Duration::from_secs(1);

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
    /// Whoever holds the other end learns that everything before this was sent, or given up.
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

/// The changes that are to be sent.
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
                "too much waits to be said to ws-nodes: some players will not be told should this server be lost"
            );
        }
        self.wake.notify_one();
    }

    /// The next changes for one ws-node, in order; none of those in `unsent` are for it.
    fn take(&self, unsent: &[Vec<Pending>]) -> Vec<Pending> {
        let mut pending = self.pending();
        pending.retain(|one| one.since.elapsed() < WORTH);
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

    /// What could not be sent waits before what is newer.
    fn put_back(&self, batches: Vec<Vec<Pending>>) {
        let mut pending = self.pending();
        for one in batches.into_iter().rev().flat_map(|batch| batch.into_iter().rev()) {
            pending.push_front(one);
        }
    }
}

impl Shell {
    /// A player waits here.
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

    /// Resolves when the wills that were left with these ws-nodes until now are on their way, or cannot be for now. Before a player
    /// is told of something that is held here: this process may be lost at any moment, and then only a will tells the player.
    pub(super) async fn wills_are_left(&self, servers: impl IntoIterator<Item = ServerName>) {
        let (sent, mut all_sent) = mpsc::channel(1);
        for server in BTreeSet::from_iter(servers) {
            self.wills.add(server, Entry::Mark { _sent: sent.clone() });
        }
        drop(sent);
        let _late = timeout(LEAVING, all_sent.recv()).await;
    }

    /// Its players are in a match here, and their tickets void.
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

    /// A match that ran here is over.
    pub(super) fn revoke_match(&self, players: &[Player], id: &MatchId) {
        for Player { client, server } in players {
            self.revoke(server, client, id.as_str());
        }
    }

    /// A ticket or a match is over for a player.
    pub(super) fn revoke(&self, server: &ServerName, client: &ClientId, id: &str) {
        let change = WillChange::Revoked {
            client: client.to_string(),
            id: id.to_owned(),
        };
        self.wills.add(server.clone(), Entry::Change(change));
    }
}

/// Sends what there is to send, until `end`; then what is left, once.
pub(super) async fn keep(shell: Arc<Shell>, end: CancellationToken) {
    while !end.is_cancelled() {
        let all_sent = send_all(&shell).await;
        let woken = async {
            if all_sent {
                shell.wills.wake.notified().await;
            } else {
                // Those that can be reached do not wait for those that cannot.
                let _woken = timeout(AGAIN, shell.wills.wake.notified()).await;
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
            tracing::debug!(server = %first.server, "a ws-node could not be told of wills yet: {error}");
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
    fn what_could_not_be_sent_to_one_ws_node_stays_in_order_and_before_what_is_newer() {
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
    fn a_mark_is_reached_when_everything_before_it_for_its_ws_node_has_left() {
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
    fn what_waits_is_bounded_and_sent_in_batches() {
        let outgoing = Outgoing::default();
        (0..=MOST).for_each(|number| revoked(&outgoing, "ws-1", &number.to_string()));
        assert_eq!(outgoing.pending().len(), MOST);
        let batch = outgoing.take(&[]);
        assert_eq!((batch.len(), ids(&batch)[0].as_str()), (BATCH, "ws-1:1"));
    }
}
