//! Events and requests to other servers: the public methods.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::adapter::Adapter;
use crate::cluster::{Outcome, Replies, Reply};
use crate::error::{CallError, PublishError, RequestError};
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::target::Target;
use crate::wire::{ClientId, Payload, Refusal};

impl Adapter {
    /// Sends an event; nobody answers.
    ///
    /// # Errors
    /// When the target names nobody, or no node took the message for some server.
    pub async fn emit(&self, target: Target, event: &str, payload: Payload) -> Result<(), PublishError> {
        self.parts
            .flow
            .server_requests
            .emit(target, event, payload, self.order_key())
            .await
    }

    /// Sends an event to every other server that holds a client, in one message; nobody answers. Returns how many other servers
    /// got it: 0 proves that no other has the client, as far as they share a working node with this one. More is a hint:
    /// a server that let go of the client a moment ago counts too, and with shared routing every server does.
    ///
    /// # Errors
    /// When no node took the message within [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn emit_to_holders(
        &self,
        client: &ClientId,
        event: &str,
        payload: Payload,
    ) -> Result<usize, PublishError> {
        let holders = &self.parts.flow.holders;
        holders.emit(client, event, payload, self.order_key()).await
    }

    /// Sends an event and returns the replies as they come. Dropping them cancels the request.
    ///
    /// # Errors
    /// When the target names nobody. A server that cannot be reached is named among the replies.
    pub async fn request(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Replies, PublishError> {
        self.parts
            .flow
            .server_requests
            .request(target, event, payload, options, self.order_key())
            .await
    }

    /// Ends a request by its number, see [`Replies::id`]: its stream ends, later replies are ignored. `false` if it does not
    /// wait any more. Dropping the stream does the same.
    pub fn cancel(&self, request: u64) -> bool {
        self.parts.flow.server_requests.cancel(request)
    }

    /// Sends an event and waits for all replies.
    ///
    /// # Errors
    /// When the target names nobody.
    pub async fn ask(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Outcome, PublishError> {
        self.parts
            .flow
            .server_requests
            .ask(target, event, payload, options, self.order_key())
            .await
    }

    /// Asks one server (the first that the target names) and waits for its reply.
    ///
    /// # Errors
    /// When there is nobody to ask, or it does not answer: why is in the error.
    pub async fn call(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Reply, RequestError> {
        self.parts
            .flow
            .server_requests
            .call(target, event, payload, options, self.order_key())
            .await
    }

    /// Asks one server (the first that the target names) with a value and reads its reply. A refusal is an error with its code
    /// and text.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// use wsmesh_adapter::{CallError, Pick, RequestOptions, ServiceName, Target};
    ///
    /// let auction = Target::AnyOf(ServiceName::new("auction")?, Pick::LeastBusy);
    /// let options = RequestOptions::default();
    /// match adapter.call_typed::<_, u32>(auction, "highestBid", "auction-7", options).await {
    ///     Ok(bid) => println!("{bid}"),
    ///     Err(CallError::Refused { refusal, .. }) if refusal.code == "NOT_FOUND" => println!("no such auction"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no server to ask, or the server does not answer, refuses, or replies with something that is not an `A`.
    pub async fn call_typed<Q: Serialize + ?Sized, A: DeserializeOwned>(
        &self,
        target: Target,
        event: &str,
        question: &Q,
        options: RequestOptions,
    ) -> Result<A, CallError> {
        let payload = Payload::new(question)
            .map_err(PublishError::from)
            .map_err(RequestError::from)?;
        let Reply { server, payload } = self.call(target, event, payload, options).await?;
        if let Some(refusal) = Refusal::of(&payload) {
            return Err(CallError::Refused { server, refusal });
        }
        payload
            .parse()
            .map_err(|problem| CallError::Unreadable { server, problem })
    }
}
