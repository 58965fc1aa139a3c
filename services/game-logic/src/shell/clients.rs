//! Requests and events of clients, which their ws-nodes forward.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wsmesh_adapter::{Payload, RequestError, RequestOptions, ServerEvent, ServerName, Target};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::{CLIENT_CLOSED, CLIENT_LEAVE, ClientClosed, ClientRoom};

use super::Shell;
use super::hosting::Command;
use super::messages::{self, CancelOrder, CancelledCount, Failure, FromClient, MatchNews, client, peer, write};
use crate::rules::lobby::{Answer, Place, Refusal, Wish};
use crate::rules::matches::MatchId;
use crate::rules::players::Player;

/// Longest wait for another game-logic server. Shorter than the client's own time limit.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

impl Shell {
    pub(super) fn listen_to_clients(self: &Arc<Self>) {
        let shell = self.clone();
        self.adapter.on_tagged(client::PING, super::TAG, move |event| {
            let server = shell.adapter.name().as_str();
            shell.answer(event, Ok(json!({"ok": true, "server": server})));
            std::future::ready(())
        });
        self.on(client::REQUEST, async |shell: Arc<Self>, event| {
            let answer = shell.match_request(&event).await;
            super::answer(event, answer).await;
        });
        self.on(client::CANCEL, async |shell: Arc<Self>, event| {
            let answer = shell.match_cancel(&event).await;
            super::answer(event, answer).await;
        });
        self.on(client::LEAVE, async |shell: Arc<Self>, event| {
            let answer = shell.match_leave(&event).await;
            super::answer(event, answer).await;
        });
        // Inputs must keep their order, so they are not handled in separate tasks.
        let shell = self.clone();
        self.adapter.on_tagged(client::INPUT, super::TAG, move |event| {
            let shell = shell.clone();
            async move { shell.match_input(event).await }
        });
        let shell = self.clone();
        self.adapter.on_tagged(CLIENT_CLOSED, super::TAG, move |event| {
            shell.client_closed(&event);
            std::future::ready(())
        });
    }

    async fn match_request(self: &Arc<Self>, event: &ServerEvent) -> Result<Value, Failure> {
        let from = FromClient::read(&event.payload)?;
        let wish = from.wish()?;
        let server = from.player.server.clone();
        // Before it is known whether the player waits here: a match may be formed at once.
        let noted = self.asked.note(&from.player.client, self.mode_of(&wish));
        let answer = self.tell(|lobby, now| lobby.request(now, from.player.clone(), wish.clone()));
        let place = match answer? {
            Answer::Now(place) => {
                noted.waits();
                place
            }
            Answer::Ask(owner) => {
                // Its trace is with the ticket, at the owner. Tickets for other modes may wait here.
                drop(noted);
                match self.ask(owner, peer::REQUEST, event.payload.clone()).await {
                    Ok(answer) if answer["errorCode"] != ErrorCode::Unavailable.as_str() => {
                        self.asked.forget(&from.player.client, self.mode_of(&wish));
                        return Ok(answer);
                    }
                    // The owner is gone or stopping: the ticket waits here until there is a new one.
                    _ => self.enter(&from.player, wish)?,
                }
            }
        };
        self.wills_are_left([server]).await;
        Ok(shown(&place))
    }

    /// A player waits here, whoever owns the queue. What comes of it later belongs to the trace of this request, if it has one.
    pub(super) fn enter(self: &Arc<Self>, player: &Player, wish: Wish) -> Result<Place, Refusal> {
        let noted = self.asked.note(&player.client, self.mode_of(&wish));
        let place = self.tell(|lobby, now| lobby.forwarded_request(now, player.clone(), wish))?;
        noted.waits();
        Ok(place)
    }

    /// The mode that a player asks for.
    fn mode_of<'a>(&'a self, wish: &'a Wish) -> &'a str {
        let first = || self.settings.modes.0.first().map_or("", |mode| &mode.name);
        wish.mode.as_deref().unwrap_or_else(first)
    }

    async fn match_cancel(self: &Arc<Self>, event: &ServerEvent) -> Result<CancelledCount, Failure> {
        let from = FromClient::read(&event.payload)?;
        let mode = from.mode()?;
        let owners = self.lobby().owners(mode.as_deref())?;
        let here = self.tell(|lobby, now| lobby.cancel(now, &from.player, mode.as_deref()));
        let order = write(&CancelOrder {
            player: from.player,
            mode,
        });
        let asked = owners
            .into_iter()
            .map(|owner| self.ask(owner, peer::CANCEL, order.clone()));
        let mut cancelled = here;
        for answer in join_all(asked).await {
            let answer = answer.map_err(unreachable)?;
            cancelled += serde_json::from_value::<CancelledCount>(answer)
                .unwrap_or_default()
                .cancelled;
        }
        Ok(CancelledCount { cancelled })
    }

    /// Leaving a match that is over is not an error: `left` says whether there was something to leave.
    async fn match_leave(self: &Arc<Self>, event: &ServerEvent) -> Result<Value, Failure> {
        let from = FromClient::read(&event.payload)?;
        let (named, _) = from.match_and_rest()?;
        let Player { client, server } = from.player;
        let id = named.or_else(|| self.lobby().match_of(&client).cloned());
        let Some(id) = id else {
            return Ok(json!({"ok": true, "left": false}));
        };
        if id.host() == Some(self.adapter.instance()) {
            let left = self.lobby().plays(&client, &id);
            if left {
                self.tell(|lobby, _| lobby.left(&client, &id));
                self.hosted.send(self, &id, Command::Leave(client.clone()));
                self.leave_room(&server, &client, &id).await;
                self.tell_others(
                    peer::LEFT,
                    &MatchNews {
                        id,
                        client: Some(client),
                    },
                )
                .await;
            }
            return Ok(json!({"ok": true, "left": left}));
        }
        match self.host_of(&id) {
            Some(host) => self
                .ask(host, client::LEAVE, event.payload.clone())
                .await
                .map_err(unreachable),
            None => {
                self.tell(|lobby, _| lobby.left(&client, &id));
                Ok(json!({"ok": true, "left": false}))
            }
        }
    }

    async fn leave_room(&self, server: &ServerName, client: &wsmesh_adapter::ClientId, id: &MatchId) {
        let room = ClientRoom {
            client: client.to_string(),
            namespace: messages::NAMESPACE.to_owned(),
            room: id.to_string(),
        };
        if let Err(error) = self.ask(server.clone(), CLIENT_LEAVE, write(&room)).await {
            tracing::debug!(peer = %server, "a client that left its match could not leave the room: {error}");
        }
    }

    async fn match_input(self: &Arc<Self>, event: ServerEvent) {
        let (player, id, input) = match read_input(&event) {
            Ok((player, Some(id), input)) => (player, id, input),
            Ok((player, None, input)) => match self.lobby().match_of(&player.client).cloned() {
                Some(id) => (player, id, input),
                None => return self.answer::<()>(event, Err(not_found())),
            },
            Err(failure) => return self.answer::<()>(event, Err(failure)),
        };
        if id.host() == Some(self.adapter.instance()) {
            let command = Command::Input {
                client: player.client,
                input,
                event,
            };
            return self.hosted.input(self, &id, command);
        }
        let Some(host) = self.host_of(&id) else {
            return self.answer::<()>(event, Err(not_found()));
        };
        let payload = event.payload.clone();
        if event.is_request() {
            let shell = self.clone();
            self.spawn(async move {
                let answer = shell.ask(host, client::INPUT, payload).await.map_err(unreachable);
                shell.answer(event, answer);
            });
        } else if let Err(error) = self.adapter.emit(Target::Server(host), client::INPUT, payload).await {
            tracing::debug!("an input could not be passed on: {error}");
        }
    }

    fn client_closed(self: &Arc<Self>, event: &ServerEvent) {
        let Ok(ClientClosed { client, server }) = messages::read(&event.payload) else {
            return;
        };
        let (Ok(client), Ok(server)) = (client.parse(), server.parse()) else {
            return;
        };
        let player = Player { client, server };
        for mode in self.tell(|lobby, now| lobby.client_closed(now, &player)) {
            self.asked.forget(&player.client, &mode);
        }
    }

    /// The server that runs a match, if it is still the same process.
    fn host_of(&self, id: &MatchId) -> Option<ServerName> {
        let host = id.host()?;
        let roster = self.adapter.roster().borrow().clone();
        roster
            .iter()
            .find(|server| server.instance == host)
            .map(|server| server.name.clone())
    }

    /// Asks one server and returns its answer unchanged.
    pub(super) async fn ask(&self, server: ServerName, event: &str, payload: Payload) -> Result<Value, RequestError> {
        let options = RequestOptions {
            timeout: Some(ASK_TIMEOUT),
            ..RequestOptions::default()
        };
        let reply = self
            .adapter
            .call(Target::Server(server), event, payload, options)
            .await?;
        Ok(messages::read(&reply.payload).unwrap_or_default())
    }
}

type Input = (Player, Option<MatchId>, serde_json::Map<String, Value>);

fn read_input(event: &ServerEvent) -> Result<Input, Failure> {
    let from = FromClient::read(&event.payload)?;
    let (id, rest) = from.match_and_rest()?;
    Ok((from.player, id, rest))
}

pub(super) fn shown(place: &Place) -> Value {
    serde_json::to_value(place).unwrap_or_default()
}

fn not_found() -> Failure {
    Failure::new(
        ErrorCode::NotFound,
        "there is no such match, or it is over: send matchRequest for a new one",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn unreachable(error: RequestError) -> Failure {
    Failure::new(
        ErrorCode::Unavailable,
        format!("the game server in charge did not answer: {error}"),
    )
}
