//! Requests and news between game-logic servers; `rules::lobby` explains them.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use wsmesh_adapter::ServerEvent;

use super::Shell;
use super::clients::shown;
use super::hosting::Command;
use super::messages::peer;
use super::messages::{
    self, BusyList, CancelOrder, CancelledCount, Failure, FormationNews, FromClient, Leaving, MatchNews,
};
use crate::rules::lobby::{Began, HandOver, Order, Reservation};
use crate::rules::matches::EndReason;

impl Shell {
    pub(super) fn listen_to_peers(self: &Arc<Self>) {
        self.on(peer::REQUEST, async |shell: Arc<Self>, event| {
            let answer = shell.forwarded_request(&event).await;
            super::answer(event, answer).await;
        });
        self.on_peer(peer::CANCEL, |shell, order: CancelOrder| {
            let cancelled = shell.tell(|lobby, now| lobby.cancel(now, &order.player, order.mode.as_deref()));
            CancelledCount { cancelled }
        });
        self.on_peer(peer::RESERVE, |shell, reservation: Reservation| {
            let busy = shell.tell(|lobby, now| lobby.reserve(now, &reservation));
            BusyList { busy }
        });
        self.on_peer(peer::RELEASE, |shell, news: FormationNews| {
            shell.tell(|lobby, _| lobby.release(&news.formation));
        });
        self.on_peer(peer::WITHDRAW, |shell, news: FormationNews| {
            let id = shell.lobby().hosted_for(&news.formation).cloned();
            if let Some(id) = id {
                shell.hosted.send(shell, &id, Command::Stop(EndReason::Withdrawn));
            }
        });
        let shell = self.clone();
        self.adapter.on_tagged(peer::ADOPT, super::TAG, move |event| {
            shell.adopt(event);
            std::future::ready(())
        });
        self.on_peer(peer::BEGAN, |shell, began: Began| {
            shell.tell(|lobby, now| lobby.began(now, &began))
        });
        self.on_peer(peer::ENDED, |shell, news: MatchNews| {
            shell.tell(|lobby, _| lobby.ended(&news.id))
        });
        self.on_peer(peer::LEFT, |shell, news: MatchNews| {
            if let Some(client) = news.client {
                shell.tell(|lobby, _| lobby.left(&client, &news.id));
            }
        });
        self.on_peer(peer::LEAVING, |shell, news: Leaving| {
            shell.tell(|lobby, _| lobby.leaving(&news.server, news.instance));
        });
        self.on(peer::START, async |shell: Arc<Self>, event| {
            let answer = match messages::read::<Order>(&event.payload) {
                Ok(order) => Ok(shell.host(order, messages::origins(&event)).await),
                Err(failure) => Err(failure),
            };
            super::answer(event, answer).await;
        });
    }

    async fn forwarded_request(self: &Arc<Self>, event: &ServerEvent) -> Result<Value, Failure> {
        let from = FromClient::read(&event.payload)?;
        let wish = from.wish()?;
        let server = from.player.server.clone();
        let place = self.enter(&from.player, wish)?;
        self.wills_are_left([server]).await;
        Ok(shown(&place))
    }

    /// With the answer the former owner drops its tickets, so this server leaves their wills before that.
    fn adopt(self: &Arc<Self>, event: ServerEvent) {
        let tickets: HandOver = match messages::read(&event.payload) {
            Ok(tickets) => tickets,
            Err(failure) => {
                tracing::warn!(event = &*event.event, sender = %event.sender, "cannot read an event: do all servers run the same version? {}", failure.error);
                return self.answer::<()>(event, Err(failure));
            }
        };
        let servers: Vec<_> = tickets
            .tickets
            .iter()
            .flat_map(|ticket| ticket.servers().cloned())
            .collect();
        let taken = self.tell(|lobby, now| lobby.adopt(now, tickets));
        let shell = self.clone();
        self.spawn(async move {
            shell.wills_are_left(servers).await;
            super::answer(event, Ok(taken)).await;
        });
    }

    /// Handles an event that needs only the lobby, at once, so that the events of one sender keep their order.
    fn on_peer<T, A, F>(self: &Arc<Self>, event: &'static str, handle: F)
    where
        T: DeserializeOwned,
        A: serde::Serialize,
        F: Fn(&Arc<Self>, T) -> A + Send + Sync + 'static,
    {
        let shell = self.clone();
        self.adapter.on_tagged(event, super::TAG, move |event| {
            let answer = messages::read(&event.payload).map(|payload| handle(&shell, payload));
            if let Err(failure) = &answer {
                tracing::warn!(event = &*event.event, sender = %event.sender, "cannot read an event: do all servers run the same version? {}", failure.error);
            }
            shell.answer(event, answer);
            std::future::ready(())
        });
    }
}
