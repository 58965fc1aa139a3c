//! Requests to clients: any server asks one client, wherever it is connected, and gets its answer or the reason why not.
//!
//! The request is a finished frame on the client's topic, so it needs no search: the server that has the client notes who
//! waits, per connection, and sends the answer back as a reply. Only that connection can answer. A server that no longer has
//! the client says so, so that a client that has just left is known to be offline without waiting.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::adapter::{Adapter, Inner};
use crate::cluster::Replies;
use crate::error::{ClientRequestError, Missing};
use crate::event::WayBack;
use crate::local::PendingRequest;
use crate::outbound::{Concerned, Extras, Published};
use crate::wire::{Body, ClientId, Frame, Payload, Topic};

/// No client is waited for longer, whatever the asker says.
const LONGEST: Duration = Duration::from_secs(300);

impl Adapter {
    /// Asks one client, wherever it is connected, and waits for its answer, at most for `limit` (default:
    /// [`Options::request_timeout`](crate::Options::request_timeout)). `frame` makes the request's frame from its id.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter, client: wsmesh_adapter::ClientId) {
    /// use wsmesh_adapter::Frame;
    ///
    /// let question = |id: &str| Frame::new(format!(r#"{{"event":"ready?","payload":null,"requestId":"{id}"}}"#));
    /// match adapter.ask_client(&client, question, None).await {
    ///     Ok(answer) => println!("{answer:?}"),
    ///     Err(why) => println!("{why}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the client is offline, goes away, does not answer in time, or the request cannot be sent.
    pub async fn ask_client(
        &self,
        client: &ClientId,
        frame: impl FnOnce(&str) -> Frame,
        limit: Option<Duration>,
    ) -> Result<Payload, ClientRequestError> {
        let inner = &self.inner;
        let limit = limit.unwrap_or(inner.options.request_timeout).min(LONGEST);
        let mut replies = inner.requests.begin(Vec::new(), limit);
        replies.expect(1);
        replies.accept_unknown();
        let id = inner.requests.callback_id(replies.id());
        let frame = frame(&id);
        let (asked, answer) = asked(&id);
        if inner.hub.ask(client, asked, frame.clone()).await {
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
        let extras = Extras {
            request: Some((id, limit)),
            is_awaited: true,
            ..self.extras()
        };
        let topic = Topic::Client(client.clone());
        let own = u64::from(inner.interest.wants(&inner.channels.channel(&topic)));
        let publishing = inner.publish(&topic, Concerned::Everyone, body, extras);
        let receivers = match replies.within(publishing).await {
            Some(Ok(Published::Now(receivers))) => receivers,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Published::Later)) | None => return Err(ClientRequestError::TimedOut(client.clone())),
        };
        // With shared routing everyone gets it, and servers of the original do not say that they have no such client.
        let others = if inner.channels.is_shared() {
            u64::MAX
        } else {
            // Through several nodes a server counts several times, and says it once.
            receivers.saturating_sub(own).min(inner.roster().len() as u64)
        };
        wait(client, replies, others).await
    }
}

/// Waits until the client has answered, or so many servers have said that they do not have it.
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

impl Inner {
    /// Another server asks a client. A copy that is older than the client's connection is not for it.
    pub(crate) async fn take_client_request(
        self: &Arc<Self>,
        client: &ClientId,
        frame: Frame,
        way_back: Arc<WayBack>,
        limit: Duration,
        sent: Option<Instant>,
    ) {
        let (asked, answer) = asked(&way_back.callback_id);
        if self.hub.is_younger(client, sent) || !self.hub.ask(client, asked, frame).await {
            if self.channels.is_shared() {
                // Everyone got it: one of them has the client, or nobody.
                return way_back.forget();
            }
            return self.answer_later(way_back, Err(Missing::NotHere));
        }
        let waiting = async move {
            let answer = timeout(limit.min(LONGEST), answer).await;
            let answer = answer.map_or(Err(Missing::TimedOut), |answer| answer.map_err(|_| Missing::Gone));
            if let Err(error) = way_back.answer(answer).await {
                tracing::debug!(server = %way_back.server, "a client's answer was not sent: {error}");
            }
        };
        self.tasks.spawn_on(waiting.in_current_span(), &self.runtime);
    }
}
