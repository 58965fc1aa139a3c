//! Hosting a match: its players' ws-nodes open the room, the players are told, and the match runs in its own task.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tracing::Instrument;
use wsmesh_adapter::{ClientId, Frame, Presence, Room, ServerEvent};
use wsmesh_protocol::forward::{CLIENT_JOIN, ClientRoom};
use wsmesh_protocol::{ErrorCode, frame};

use super::Shell;
use super::asked::Origins;
use super::messages::{self, Failure, Found, FoundRoom, MatchNews, peer, push, write};
use crate::rules::game::Setup;
use crate::rules::lobby::{Began, Order, Started};
use crate::rules::matches::{EndReason, MatchId};
use crate::rules::players::Player;

/// Most inputs that wait for one match; further ones are rejected.
const MAILBOX: usize = 1_024;

/// A message to a running match.
#[derive(Debug)]
pub(super) enum Command {
    /// An input of a player; `event` gets the answer.
    Input {
        client: ClientId,
        input: Map<String, Value>,
        event: ServerEvent,
    },
    /// A player has left.
    Leave(ClientId),
    /// The match must end.
    Stop(EndReason),
}

/// The matches that run here.
#[derive(Debug, Default)]
pub(super) struct Hosted {
    mailboxes: Mutex<HashMap<MatchId, mpsc::Sender<Command>>>,
}

impl Hosted {
    fn mailbox(&self, id: &MatchId) -> Option<mpsc::Sender<Command>> {
        self.mailboxes.lock().get(id).cloned()
    }

    fn open(&self, id: &MatchId) -> mpsc::Receiver<Command> {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        self.mailboxes.lock().insert(id.clone(), sender);
        mailbox
    }

    pub(super) fn close(&self, id: &MatchId) {
        self.mailboxes.lock().remove(id);
    }

    /// Passes an input to its match, or answers with an error.
    pub(super) fn input(&self, shell: &Shell, id: &MatchId, command: Command) {
        let refused = match self.mailbox(id) {
            None => Some((command, Failure::new(ErrorCode::NotFound, "this match is over"))),
            Some(mailbox) => mailbox.try_send(command).err().map(|error| match error {
                mpsc::error::TrySendError::Full(command) => (
                    command,
                    Failure::new(ErrorCode::Overloaded, "too many inputs: send fewer"),
                ),
                mpsc::error::TrySendError::Closed(command) => {
                    (command, Failure::new(ErrorCode::NotFound, "this match is over"))
                }
            }),
        };
        if let Some((Command::Input { event, .. }, failure)) = refused {
            shell.answer::<()>(event, Err(failure));
        }
    }

    /// Sends a match a message that must arrive, even if the mailbox is full now.
    pub(super) fn send(&self, shell: &Shell, id: &MatchId, command: Command) {
        if let Some(mailbox) = self.mailbox(id) {
            shell.spawn(async move { drop(mailbox.send(command).await) });
        }
    }

    /// Tells every match to end.
    pub(super) fn stop_all(&self, shell: &Shell, reason: EndReason) {
        let ids: Vec<_> = self.mailboxes.lock().keys().cloned().collect();
        ids.iter().for_each(|id| self.send(shell, id, Command::Stop(reason)));
    }

    pub(super) fn len(&self) -> usize {
        self.mailboxes.lock().len()
    }
}

impl Shell {
    /// Hosts a match, unless a player cannot be reached.
    pub(super) async fn host(self: &Arc<Self>, order: Order, origins: Origins) -> Started {
        let id = match self.tell(|lobby, now| lobby.host(now, &order)) {
            Ok(id) => id,
            Err(outcome) => {
                self.metrics.adopted.with_label_values(&["refused"]).inc();
                return outcome;
            }
        };
        let mailbox = self.hosted.open(&id);
        let joining = order.players.iter().map(|player| self.join(player, &id));
        let gone: Vec<ClientId> = join_all(joining).await.into_iter().flatten().collect();
        if !gone.is_empty() {
            self.metrics.adopted.with_label_values(&["abandoned"]).inc();
            self.abandon(&id).await;
            return Started::Without { gone, busy: Vec::new() };
        }
        self.metrics.adopted.with_label_values(&["started"]).inc();
        self.leave_match(&order, &id);
        let servers = order.players.iter().map(|player| player.server.clone());
        self.wills_are_left(servers).await;
        self.found(&id, &order, &origins).await;
        let players = order.players;
        let began = Began {
            id: id.clone(),
            formation: order.formation,
            players: players.clone(),
        };
        self.tell_others(peer::BEGAN, &began).await;
        let setup = Setup {
            players: players.iter().map(|player| player.client.clone()).collect(),
            seed: rand::random(),
            tick: self.settings.tick(),
            mode: order.mode,
        };
        tracing::debug!(match_id = %id, mode = setup.mode, players = setup.players.len(), "match started");
        let (shell, running) = (self.clone(), id.clone());
        let first_state = origins.push_to_all_span(push::STATE);
        let playing = (self.launch)(self.clone(), id.clone(), setup, mailbox, first_state);
        // Not in the current span: the trace of a request must not get every state of a match.
        self.tasks.spawn(async move {
            playing.await;
            shell.revoke_match(&players, &running);
        });
        Started::Running { id }
    }

    /// Asks a player's ws-node to put it into the room. Returns the player if that fails.
    async fn join(&self, player: &Player, id: &MatchId) -> Option<ClientId> {
        let room = ClientRoom {
            client: player.client.to_string(),
            namespace: messages::NAMESPACE.to_owned(),
            room: id.to_string(),
        };
        match self.ask(player.server.clone(), CLIENT_JOIN, write(&room)).await {
            Ok(answer) if answer["ok"] == true => None,
            Ok(answer) => {
                tracing::debug!(peer = %player.server, "a player could not join its match: {}", answer["error"]);
                Some(player.client.clone())
            }
            Err(error) => {
                tracing::debug!(peer = %player.server, "a player could not join its match: {error}");
                Some(player.client.clone())
            }
        }
    }

    async fn found(self: &Arc<Self>, id: &MatchId, order: &Order, origins: &Origins) {
        let found = Found {
            id,
            room: FoundRoom {
                namespace: messages::NAMESPACE,
                id: id.as_str(),
            },
            players: order.players.iter().map(|player| &player.client).collect(),
            mode: &order.mode,
            tick_rate: self.settings.tick_rate,
        };
        let frame = Frame::from(frame::push(push::FOUND, &found));
        let telling = order.players.iter().enumerate().map(|(number, player)| {
            let telling = self.adapter.to_client(&player.client, frame.clone());
            telling.instrument(origins.push_span(push::FOUND, number))
        });
        for (player, told) in order.players.iter().zip(join_all(telling).await) {
            match told {
                Ok(Presence::Offline) => self.hosted.send(self, id, Command::Leave(player.client.clone())),
                Ok(_) => {}
                Err(error) => tracing::warn!("could not tell a player of its match: {error}"),
            }
        }
    }

    async fn abandon(self: &Arc<Self>, id: &MatchId) {
        self.hosted.close(id);
        self.tell(|lobby, _| lobby.ended(id));
        if let Ok(room) = Room::new(messages::NAMESPACE, id.as_str())
            && let Err(error) = self.adapter.remove_room(&room).await
        {
            tracing::warn!(%room, "could not remove the room of a match that did not start: {error}");
        }
    }

    /// A match is over: tells every lobby.
    pub(super) async fn over(self: &Arc<Self>, id: &MatchId) {
        self.hosted.close(id);
        self.tell(|lobby, _| lobby.ended(id));
        self.tell_others(
            peer::ENDED,
            &MatchNews {
                id: id.clone(),
                client: None,
            },
        )
        .await;
    }
}
