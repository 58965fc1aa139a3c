//! Requests of other servers about a client that is connected here: put it in a room, take it out, close it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use wsmesh_adapter::{Adapter, ClientId, Dismissal, Room, ServerEvent};
use wsmesh_protocol::forward::{CLIENT_JOIN, CLIENT_LEAVE, ClientRoom, KICK, Kick};
use wsmesh_protocol::{CloseCode, ErrorCode};

use super::refusal::Refusal;

/// Listens until the adapter ends.
pub(crate) fn listen(adapter: &Adapter) {
    // Each request is a task of its own, unlike with `Adapter::on_request`: one that waits for a slow node must not hold up the
    // others.
    on(adapter, CLIENT_JOIN, |adapter, event| async move {
        let done = join(&adapter, &event).await;
        answer(event, done.map(|()| json!({"ok": true}))).await;
    });
    on(adapter, CLIENT_LEAVE, |adapter, event| async move {
        let done = leave(&adapter, &event).await;
        answer(event, done.map(|()| json!({"ok": true}))).await;
    });
    on(adapter, KICK, |adapter, event| async move {
        let done = kick(&adapter, &event).await;
        answer(event, done.map(|kicked| json!({"kicked": kicked}))).await;
    });
}

fn on<F, Fut>(adapter: &Adapter, name: &str, handle: F)
where
    F: Fn(Adapter, ServerEvent) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let handle_with = adapter.clone();
    adapter.on(name, move |event| {
        let span = event.span.clone();
        tokio::spawn(tracing::Instrument::instrument(
            handle(handle_with.clone(), event),
            span,
        ));
        std::future::ready(())
    });
}

async fn join(adapter: &Adapter, event: &ServerEvent) -> Result<(), Refusal> {
    let (client, room) = client_room(event)?;
    Ok(adapter.join(&client, room).await?)
}

async fn leave(adapter: &Adapter, event: &ServerEvent) -> Result<(), Refusal> {
    let (client, room) = client_room(event)?;
    adapter.leave(&client, &room).await?;
    Ok(())
}

fn client_room(event: &ServerEvent) -> Result<(ClientId, Room), Refusal> {
    let wanted: ClientRoom = event.payload.parse()?;
    Ok((ClientId::new(wanted.client)?, Room::new(wanted.namespace, wanted.room)?))
}

async fn kick(adapter: &Adapter, event: &ServerEvent) -> Result<bool, Refusal> {
    let Kick { client, code, reason } = event.payload.parse()?;
    // Others would end the connection as a protocol error.
    if !CloseCode::may_be_sent(code) {
        return Err(Refusal::new(
            ErrorCode::BadPayload,
            format!("{code} is not a close code that can be sent"),
        ));
    }
    let reason: Arc<str> = reason.into();
    Ok(adapter
        .dismiss(&ClientId::new(client)?, Dismissal { code, reason })
        .await?)
}

async fn answer<T: Serialize>(event: ServerEvent, outcome: Result<T, Refusal>) {
    let answered = match outcome {
        Ok(value) => event.reply_with(&value).await,
        Err(refusal) => event.refuse(refusal.code.as_str(), refusal.text).await,
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "a server could not be answered");
    }
}
