//! What services know about a client's connections, and what they attach to them, wherever the client is connected.

use serde::Serialize;
use serde_json::value::RawValue;

use super::adapter::Adapter;
use super::ws_nodes::OrderOutcome;
use crate::error::{CallError, ClientOrderError, PublishError, RequestError};
use crate::flow::inward::client_data::{CLIENT_DATA, ClientData, Done};
use crate::flow::inward::queries::{ClientPart, QUERY, Query};
use crate::local::DataError;
use crate::wire::{ClientContext, ClientId, Missing, Payload, PayloadError, Refusal, ServerName};

impl Adapter {
    /// What is known about the connections of a client, wherever they are, newest first. Empty: it is not connected.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let ann = wsmesh_adapter::ClientId::new("ann")?;
    /// for context in adapter.client(&ann).await? {
    ///     let language = context.params.get("lang").and_then(|lang| lang.as_str()).unwrap_or("en");
    ///     println!("{} is connected to {} and reads {language}", context.client, context.server);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it cannot be known where the client is, or one of its servers does not say: see [`ClientOrderError`].
    pub async fn client(&self, client: &ClientId) -> Result<Vec<ClientContext>, ClientOrderError> {
        let has_several_homes = self.parts.foundation.options.several_homes;
        let mut contexts = self.contexts(client);
        if has_several_homes || contexts.is_empty() {
            let query = Query::Client {
                client: client.clone(),
                contexts: true,
            };
            let query = Payload::new(&query).map_err(PublishError::from)?;
            let holders = &self.parts.flow.holders;
            let asked = holders.ask(client, QUERY, query, self.order_key()).await?;
            for reply in asked.replies {
                contexts.extend(contexts_of(&reply.server, &reply.payload)?);
            }
            if !asked.is_complete && (has_several_homes || contexts.is_empty()) {
                return Err(ClientOrderError::Unknown(client.clone()));
            }
        }
        // The clocks of servers differ a little; of one server's connections, the order is known.
        contexts.sort_by_key(|context| std::cmp::Reverse(context.since));
        Ok(contexts)
    }

    /// What is known about the connections of a client to this server, newest first.
    pub fn contexts(&self, client: &ClientId) -> Vec<ClientContext> {
        self.parts.flow.clients.contexts(client)
    }

    /// Replaces what is attached to a client, on each of its connections, wherever they are; `None`, or a value that is null as
    /// JSON, removes it. Later events of the client carry it. Returns whether the client is connected. Connections that come
    /// later do not have it.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let ann = wsmesh_adapter::ClientId::new("ann")?;
    /// if !adapter.set_client_data(&ann, Some(&serde_json::json!({"team": "red"}))).await? {
    ///     println!("ann is not connected");
    /// }
    /// adapter.set_client_data::<()>(&ann, None).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be JSON, or is too large or too deep as JSON (see [`DataError`]); when it cannot be known where the client
    /// is, or one of its servers does not do it: see [`ClientOrderError`].
    pub async fn set_client_data<T: Serialize + ?Sized>(
        &self,
        client: &ClientId,
        data: Option<&T>,
    ) -> Result<bool, ClientOrderError> {
        let data = match data {
            Some(value) => compact(value).map_err(PublishError::from)?,
            None => None,
        };
        if let Some(json) = &data {
            DataError::check(json.get())?;
        }
        let has_several_homes = self.parts.foundation.options.several_homes;
        let here = self.parts.flow.clients.hub().set_data(client, data.clone(), None);
        let mut outcome = OrderOutcome::default();
        outcome.add(self.name(), Ok(here));
        if has_several_homes || !here {
            match self.set_data_elsewhere(client, data, &mut outcome).await {
                Ok(true) => {}
                Ok(false) if !has_several_homes && !outcome.done.is_empty() => {}
                Ok(false) => outcome.fail(ClientOrderError::Unknown(client.clone())),
                Err(error) => outcome.fail(error.into()),
            }
        }
        outcome.result()
    }

    /// Sends the order to every other server that may have the client, in one message. Returns whether all have answered.
    async fn set_data_elsewhere(
        &self,
        client: &ClientId,
        data: Option<Box<RawValue>>,
        outcome: &mut OrderOutcome,
    ) -> Result<bool, PublishError> {
        let holders = &self.parts.flow.holders;
        let client_data = ClientData {
            client: client.clone(),
            data,
        };
        let order = Payload::new(&client_data)?;
        let asked = holders.ask(client, CLIENT_DATA, order, self.order_key()).await?;
        for reply in asked.replies {
            let done = done(&reply.server, &reply.payload);
            outcome.add(&reply.server, done.map_err(Into::into));
        }
        if asked.unhandled.is_empty() {
            return Ok(asked.is_complete);
        }
        // A server of an older version may have the client all the same.
        let found = holders.find(client, self.order_key()).await?;
        for server in asked.unhandled {
            if found.servers.contains(&server) {
                outcome.fail(unhandled(server).into());
            }
        }
        Ok(asked.is_complete && found.is_complete)
    }
}

/// The contexts that a server answered with.
fn contexts_of(server: &ServerName, payload: &Payload) -> Result<Vec<ClientContext>, CallError> {
    let part: ClientPart = payload.parse().map_err(|problem| CallError::Unreadable {
        server: server.clone(),
        problem,
    })?;
    if part.connected && part.contexts.is_empty() {
        // It is of an older version.
        return Err(unhandled(server.clone()));
    }
    Ok(part.contexts)
}

/// Whether a server has carried out an order.
fn done(server: &ServerName, payload: &Payload) -> Result<bool, CallError> {
    let server = server.clone();
    if let Some(refusal) = Refusal::of(payload) {
        return Err(CallError::Refused { server, refusal });
    }
    let answer = payload.parse::<Done>();
    answer
        .map(|answer| answer.done)
        .map_err(|problem| CallError::Unreadable { server, problem })
}

fn unhandled(server: ServerName) -> CallError {
    let why = Missing::Unhandled;
    CallError::Request(RequestError::Missing { server, why })
}

/// A value as JSON in the form in which it leaves the bus, whatever spaces and numbers it was written with; null is none.
fn compact<T: Serialize + ?Sized>(value: &T) -> Result<Option<Box<RawValue>>, PayloadError> {
    let json = serde_json::to_string(value)?;
    let mut compact = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_str(&json);
    serde_transcode::transcode(&mut reader, &mut serde_json::Serializer::new(&mut compact))?;
    let compact: Box<RawValue> = serde_json::from_slice(&compact)?;
    Ok((compact.get() != "null").then_some(compact))
}
