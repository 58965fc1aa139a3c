//! Requests to clients: any server asks one client, wherever it is connected, and gets its answer or the reason why not.
//!
//! The request is a finished frame on the client's topic, so no search is needed: the server that has the client notes who
//! waits, per connection, and sends the answer back as a reply. Only that connection can answer. A server that no longer has
//! the client says so, so that a client that has just left is known to be offline without waiting.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::cluster::{Replies, Requests};
use crate::error::ClientRequestError;
use crate::flow::clients::subscriptions::Subscriptions;
use crate::flow::inward::answers::WayBack;
use crate::flow::outward::outage::Published;
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::seal::{Concerned, PublishOptions};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::flow::state::tasks::Tasks;
use crate::local::{Hub, PendingRequest};
use crate::wire::{Body, ClientId, Frame, Missing, Payload, Topic};

/// Longest wait for the answer of a client, whatever the request asks for.
const LONGEST: Duration = Duration::from_secs(300);

/// Asks clients, and hands over what others ask this server's clients.
#[derive(Debug)]
pub(crate) struct ClientRequests {
    hub: Arc<Hub>,
    members: Arc<Members>,
    outbound: Arc<Outbound>,
    requests: Arc<Requests>,
    subscriptions: Arc<Subscriptions>,
    tasks: Tasks,
    is_shared: bool,
    /// Longest wait, unless the request says otherwise.
    limit: Duration,
}

impl ClientRequests {
    pub(crate) fn new(
        foundation: &Foundation,
        hub: Arc<Hub>,
        outbound: Arc<Outbound>,
        requests: Arc<Requests>,
        subscriptions: Arc<Subscriptions>,
    ) -> Self {
        Self {
            hub,
            members: foundation.members.clone(),
            outbound,
            requests,
            subscriptions,
            tasks: foundation.tasks.clone(),
            is_shared: foundation.channels.is_shared(),
            limit: foundation.options.request_timeout,
        }
    }

    /// Asks one client and waits for its answer. `frame` makes the request's frame from its id.
    pub(crate) async fn ask(
        &self,
        client: &ClientId,
        frame: impl FnOnce(&str) -> Frame,
        limit: Option<Duration>,
        order_key: Option<Arc<str>>,
    ) -> Result<Payload, ClientRequestError> {
        let limit = limit.unwrap_or(self.limit).min(LONGEST);
        let mut replies = self.requests.begin(Vec::new(), limit);
        replies.expect(1);
        replies.accept_unknown();
        let id = self.requests.callback_id(replies.id());
        let frame = frame(&id);
        let (asked, answer) = asked(&id);
        if self.hub.ask(client, asked, frame.clone()).await {
            return match timeout(limit, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(ClientRequestError::Gone(client.clone())),
                Err(_) => Err(ClientRequestError::TimedOut(client.clone())),
            };
        }
        let body = Body::Client {
            client: client.clone(),
            frame,
        };
        let options = PublishOptions {
            request: Some((id, limit)),
            is_awaited: true,
            order_key,
            ..PublishOptions::default()
        };
        let topic = Topic::Client(client.clone());
        let own = u64::from(self.subscriptions.wants(&topic));
        let publishing = self.outbound.publish(&topic, Concerned::Everyone, body, options);
        let receivers = match replies.within(publishing).await {
            Some(Ok(Published::Now(receivers))) => receivers,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Published::Later)) | None => return Err(ClientRequestError::TimedOut(client.clone())),
        };
        // With shared routing everyone gets it, and servers of the JavaScript package do not say that they have no such client.
        let others = if self.is_shared {
            u64::MAX
        } else {
            // Through several nodes a server counts several times, and answers once.
            receivers.saturating_sub(own).min(self.members.roster().len() as u64)
        };
        wait(client, replies, others).await
    }

    /// Another server asks a client. A copy that is older than the client's connection is not for it.
    pub(crate) async fn take(&self, client: &ClientId, frame: Frame, way_back: Arc<WayBack>, sent: Option<Instant>) {
        let (asked, answer) = asked(way_back.callback_id());
        if self.hub.is_younger(client, sent) || !self.hub.ask(client, asked, frame).await {
            if self.is_shared {
                // Everyone got it: one of them has the client, or nobody.
                return way_back.forget();
            }
            return way_back.answer_later(Err(Missing::NotHere));
        }
        let longest = Instant::now() + LONGEST;
        let until = way_back.deadline().until().map_or(longest, |until| until.min(longest));
        let waiting = async move {
            let answer = timeout_at(until, answer).await;
            let answer = answer.map_or(Err(Missing::TimedOut), |answer| answer.map_err(|_| Missing::Gone));
            if let Err(error) = way_back.answer(answer).await {
                tracing::debug!(peer = %way_back.server(), "a client's answer was not sent: {error}");
            }
        };
        self.tasks.spawn(waiting.in_current_span());
    }
}

/// Waits until the client has answered, or this many servers have said that they do not have it.
async fn wait(client: &ClientId, mut replies: Replies, receivers: u64) -> Result<Payload, ClientRequestError> {
    let mut absent = HashSet::new();
    while (absent.len() as u64) < receivers {
        match replies.next().await {
            Some(Ok(reply)) => return Ok(reply.payload),
            Some(Err((server, Missing::NotHere))) => _ = absent.insert(server),
            Some(Err((_, why))) if why != Missing::TimedOut => return Err(ClientRequestError::Gone(client.clone())),
            Some(Err(_)) | None => return Err(ClientRequestError::TimedOut(client.clone())),
        }
    }
    Err(ClientRequestError::Offline(client.clone()))
}

fn asked(request_id: &str) -> (PendingRequest, oneshot::Receiver<Payload>) {
    let (answer, receiver) = oneshot::channel();
    let request_id = request_id.into();
    (PendingRequest { request_id, answer }, receiver)
}
