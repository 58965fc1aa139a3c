//! The servers that hold a client. One message to the client's topic sends them an event, or asks whether they have it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::requests::OrderKey;
use crate::cluster::{Reply, Requests};
use crate::error::PublishError;
use crate::flow::clients::subscriptions::Subscriptions;
use crate::flow::inward::queries::{ClientPart, QUERY, Query};
use crate::flow::outward::outage::Published;
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::seal::{Concerned, PublishOptions};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::wire::{Body, ClientId, Missing, Payload, ServerName, Topic};

/// What the servers that may hold a client answered.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) replies: Vec<Reply>,
    /// Servers that do not know the event: most likely they do not hold the client, unless they are of an older version.
    pub(crate) unhandled: Vec<ServerName>,
    /// Whether every server that may have the client has answered.
    pub(crate) is_complete: bool,
}

/// The answers to the question which servers hold a client.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The servers that have it.
    pub(crate) servers: Vec<ServerName>,
    /// Whether every server that may have it has answered.
    pub(crate) is_complete: bool,
}

/// Reaches the servers that hold a client.
#[derive(Debug)]
pub(crate) struct Holders {
    members: Arc<Members>,
    outbound: Arc<Outbound>,
    requests: Arc<Requests>,
    subscriptions: Arc<Subscriptions>,
    is_shared: bool,
    /// Longest wait.
    limit: Duration,
}

impl Holders {
    pub(crate) fn new(
        foundation: &Foundation,
        outbound: Arc<Outbound>,
        requests: Arc<Requests>,
        subscriptions: Arc<Subscriptions>,
    ) -> Self {
        Self {
            members: foundation.members.clone(),
            outbound,
            requests,
            subscriptions,
            is_shared: foundation.channels.is_shared(),
            limit: foundation.options.request_timeout,
        }
    }

    /// Sends an event to every other server that holds a client; how many may have got it.
    pub(crate) async fn emit(
        &self,
        client: &ClientId,
        event: &str,
        payload: Payload,
        order_key: OrderKey,
    ) -> Result<usize, PublishError> {
        let body = Body::Event {
            event: event.to_owned(),
            targets: Vec::new(),
            payload,
            callback_id: None,
        };
        let publishing = self.publish(client, body, order_key);
        let receivers = match timeout(self.limit, publishing).await {
            Ok(Ok(Some(receivers))) => receivers,
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) | Err(_) => return Err(PublishError::Isolated),
        };
        let known = if self.is_shared {
            receivers
        } else {
            self.at_most_all(receivers)
        };
        Ok(usize::try_from(known).unwrap_or(usize::MAX))
    }

    /// Asks which other servers have a client.
    pub(crate) async fn find(&self, client: &ClientId, order_key: OrderKey) -> Result<Found, PublishError> {
        let query = Payload::new(&Query::Client {
            client: client.clone(),
            contexts: false,
        })?;
        let asked = self.ask(client, QUERY, query, order_key).await?;
        let mut found = Found {
            servers: Vec::new(),
            is_complete: asked.is_complete,
        };
        for reply in asked.replies {
            match reply.payload.parse() {
                Ok(ClientPart { connected: true, .. }) => found.servers.push(reply.server),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(peer = %reply.server, "cannot read whether a server has a client: {error}");
                    found.is_complete = false;
                }
            }
        }
        Ok(found)
    }

    /// Sends a request to every other server that may have a client, in one message. All of them get the requests about one
    /// client in the same order, as long as their node stays the same.
    pub(crate) async fn ask(
        &self,
        client: &ClientId,
        event: &str,
        payload: Payload,
        order_key: OrderKey,
    ) -> Result<Asked, PublishError> {
        let mut replies = self.requests.begin(Vec::new(), self.limit);
        replies.expect(usize::MAX);
        replies.accept_unknown();
        let body = Body::Event {
            event: event.to_owned(),
            targets: Vec::new(),
            payload,
            callback_id: Some(self.requests.callback_id(replies.id())),
        };
        let receivers = match replies.within(self.publish(client, body, order_key)).await {
            Some(Ok(Some(receivers))) => self.at_most_all(receivers),
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) | None => return Err(PublishError::Isolated),
        };
        let mut asked = Asked::default();
        for _ in 0..receivers {
            match replies.next().await {
                Some(Ok(reply)) => asked.replies.push(reply),
                Some(Err((server, Missing::Unhandled))) => asked.unhandled.push(server),
                // A server that has just ended does not have it.
                Some(Err((_, Missing::Gone | Missing::Restarted))) => {}
                Some(Err(_)) | None => return Ok(asked),
            }
        }
        asked.is_complete = true;
        Ok(asked)
    }

    /// Publishes on a client's topic; how many other servers got it, if a node has taken it.
    async fn publish(&self, client: &ClientId, body: Body, order_key: OrderKey) -> Result<Option<u64>, PublishError> {
        // A server that has a client subscribes to its topic; with shared routing, channels carry many topics.
        let topic = if self.is_shared {
            Topic::Servers
        } else {
            Topic::Client(client.clone())
        };
        let own = u64::from(self.subscriptions.wants(&topic));
        let options = PublishOptions {
            is_awaited: true,
            order_key,
            ..PublishOptions::default()
        };
        let published = self.outbound.publish(&topic, Concerned::Everyone, body, options);
        Ok(match published.await? {
            Published::Now(receivers) => Some(receivers.saturating_sub(own)),
            Published::Later => None,
        })
    }

    /// Through several nodes a server counts several times.
    fn at_most_all(&self, receivers: u64) -> u64 {
        receivers.min(self.members.roster().len() as u64)
    }
}
