//! Carries out the lobby's effects, and reports their results to it.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;
use wsmesh_adapter::{
    ClientId, Frame, Missing, RequestError, RequestOptions, Room, RoomOptions, ServerName, Target, recorded,
};
use wsmesh_protocol::frame;

use super::Shell;
use super::asked::Origins;
use super::hosting::Command;
use super::messages::{self, BusyList, FormationNews, TracedOrder, peer, push, write};
use crate::rules::lobby::{Cancelled, Effect, HandOver, Order, Reservation, Started, Taken};
use crate::rules::matches::{EndFrame, EndReason, MatchId};
use crate::rules::players::Busy;

/// Longest wait for the other servers' answers to a reservation. A silent server does not delay the players further.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for a match to start. Meanwhile its players' ws-nodes are asked to open the room.
const START_TIMEOUT: Duration = Duration::from_secs(8);
/// Longest wait for the new owner of a queue.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(2);

impl Shell {
    pub(super) fn perform(self: &Arc<Self>, effect: Effect) {
        let shell = self.clone();
        match effect {
            Effect::Reserve {
                servers,
                mode,
                reservation,
            } => {
                let origins = self.asked.origins(&mode, &reservation.clients);
                let work = async move { shell.reserve(servers, reservation).await };
                origins.forming_span().in_scope(|| self.spawn(work));
            }
            Effect::Start { host, order } => {
                let players = order.players.iter().map(|player| &player.client);
                let origins = self.asked.origins(&order.mode, players);
                // After a reservation, that one's span goes on.
                let span = match recorded(&Span::current()) {
                    Some(_) => Span::current(),
                    None => origins.forming_span(),
                };
                let work = async move { shell.start(host, order, &origins).await };
                span.in_scope(|| self.spawn(work));
            }
            Effect::HandOver { to, tickets } => self.spawn(async move { shell.hand_over(to, tickets).await }),
            Effect::Release { servers, formation } => {
                self.emit(Target::Servers(servers), peer::RELEASE, FormationNews { formation });
            }
            Effect::Withdraw { host, formation } => {
                self.emit(Target::Server(host), peer::WITHDRAW, FormationNews { formation });
            }
            Effect::Waits { player, notice } => self.leave_ticket(&player, &notice),
            Effect::WaitsNoMore {
                client,
                mode,
                ticket,
                servers,
            } => {
                self.asked.forget(&client, &mode);
                servers.iter().for_each(|server| self.revoke(server, &client, &ticket));
            }
            Effect::Cancelled { client, notice } => self.spawn(async move { shell.cancelled(&client, &notice).await }),
            Effect::Left { client, id } => self.hosted.send(self, &id, Command::Leave(client)),
            Effect::Lost { id } => self.spawn(async move { shell.lost(&id).await }),
            Effect::Matched { mode, waited } => {
                let wait = self.metrics.match_wait.with_label_values(&[&mode]);
                waited.iter().for_each(|waited| wait.observe(waited.as_secs_f64()));
            }
        }
    }

    fn emit<T: serde::Serialize>(self: &Arc<Self>, target: Target, event: &'static str, news: T) {
        let (shell, payload) = (self.clone(), write(&news));
        self.spawn(async move {
            if let Err(error) = shell.adapter.emit(target, event, payload).await {
                tracing::debug!(event, "not sent: {error}");
            }
        });
    }

    async fn reserve(self: Arc<Self>, servers: Vec<ServerName>, reservation: Reservation) {
        let options = RequestOptions {
            timeout: Some(RESERVE_TIMEOUT),
            ..RequestOptions::default()
        };
        let asked = self
            .adapter
            .ask(Target::Servers(servers), peer::RESERVE, write(&reservation), options)
            .await;
        let busy: Vec<Busy> = match asked {
            Ok(outcome) => {
                let lists = outcome
                    .replies
                    .iter()
                    .filter_map(|reply| messages::read::<BusyList>(&reply.payload).ok());
                let mut busy: Vec<Busy> = lists.flat_map(|list| list.busy).collect();
                // The players wait for the next round, which asks the servers that are alive then.
                if outcome.missing.iter().any(|(_, why)| is_unsure(why)) {
                    busy.extend(reservation.unsure());
                }
                busy
            }
            // One of the servers has left the roster since: the same applies.
            Err(error) => {
                tracing::debug!("a reservation could not be made: {error}");
                reservation.unsure()
            }
        };
        self.tell(|lobby, _| lobby.reserved(&reservation.formation, &busy));
    }

    async fn start(self: Arc<Self>, host: ServerName, order: Order, origins: &Origins) {
        let options = RequestOptions {
            timeout: Some(START_TIMEOUT),
            ..RequestOptions::default()
        };
        let traced = TracedOrder {
            order: &order,
            traces: origins.traces(),
        };
        let asked = self
            .adapter
            .call(Target::Server(host.clone()), peer::START, write(&traced), options)
            .await;
        let outcome = match asked {
            Ok(reply) => messages::read(&reply.payload).unwrap_or(Started::Refused),
            Err(error) => {
                tracing::warn!(%host, "could not start a match: {error}");
                failed_start(&error)
            }
        };
        self.tell(|lobby, now| lobby.started(now, &host, &order.formation, outcome));
    }

    async fn hand_over(self: Arc<Self>, to: ServerName, tickets: HandOver) {
        let options = RequestOptions {
            timeout: Some(ADOPT_TIMEOUT),
            ..RequestOptions::default()
        };
        let asked = self
            .adapter
            .call(Target::Server(to.clone()), peer::ADOPT, write(&tickets), options)
            .await;
        let taken = match asked {
            Ok(reply) => messages::read(&reply.payload).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%to, mode = tickets.mode, "could not hand tickets over, trying again: {error}");
                Taken::default()
            }
        };
        let kept = tickets.tickets.len().saturating_sub(taken.taken.len());
        self.metrics
            .handed_over
            .with_label_values(&["taken"])
            .inc_by(taken.taken.len() as u64);
        self.metrics
            .handed_over
            .with_label_values(&["kept"])
            .inc_by(kept as u64);
        for client in self.tell(|lobby, _| lobby.handed_over(&tickets, &taken)) {
            self.asked.forget(&client, &tickets.mode);
        }
    }

    async fn cancelled(&self, client: &ClientId, notice: &Cancelled) {
        let notice = Frame::from(frame::push(push::CANCELLED, notice));
        if let Err(error) = self.adapter.to_client(client, notice).await {
            tracing::debug!("could not tell a client that its ticket was cancelled: {error}");
        }
    }

    /// The server that ran a match is lost: tells its players and closes the room.
    async fn lost(&self, id: &MatchId) {
        let end = EndFrame::<()> {
            id,
            reason: EndReason::ServerLost,
            result: None,
        };
        self.close_room(id, frame::push(push::END, &end).into()).await;
    }

    /// Sends the last frame to a match's room and removes the room.
    pub(super) async fn close_room(&self, id: &MatchId, end: Frame) {
        let Ok(room) = Room::new(messages::NAMESPACE, id.as_str()) else {
            return;
        };
        if let Err(error) = self.adapter.to_room(&room, end, RoomOptions::default()).await {
            tracing::warn!(%room, "could not tell the players that their match ended: {error}");
        }
        if let Err(error) = self.adapter.remove_room(&room).await {
            tracing::warn!(%room, "could not remove the room of a match: {error}");
        }
    }
}

/// Whether a server that did not answer a reservation may have a match with these players, or have had one that others know of.
/// Servers that hang or are cut off are left out.
fn is_unsure(why: &Missing) -> bool {
    !matches!(why, Missing::TimedOut | Missing::Unreachable(_))
}

/// The result of a start that failed: unknown if the server may have started the match.
fn failed_start(error: &RequestError) -> Started {
    match error {
        RequestError::Missing {
            why: Missing::TimedOut | Missing::Gone | Missing::NoReply,
            ..
        }
        | RequestError::ShuttingDown => Started::Unknown,
        RequestError::Missing { .. } | RequestError::Publish(_) => Started::Refused,
    }
}
