//! Events and requests to other servers: the public methods.

use super::adapter::Adapter;
use crate::cluster::{Outcome, Replies, Reply};
use crate::error::{PublishError, RequestError};
use crate::flow::requests::RequestOptions;
use crate::flow::targets::Target;
use crate::wire::{ClientId, Payload};

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

    /// Sends an event to every other server that holds a client, in one message; nobody answers. Gives how many other servers
    /// got it: 0 is a proof that no other has the client, as far as they share a working node with this one. More is a hint:
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
        self.parts
            .flow
            .server_requests
            .emit_to_holders(client, event, payload, self.order_key())
            .await
    }

    /// Sends an event and gives the replies as they come. Dropping them cancels the request.
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
}
