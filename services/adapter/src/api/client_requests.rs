//! Requests to clients: the public method.

use std::time::Duration;

use super::adapter::Adapter;
use crate::error::ClientRequestError;
use crate::wire::{ClientId, Frame, Payload};

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
        let requests = &self.parts.flow.client_requests;
        requests.ask(client, frame, limit, self.order_key()).await
    }
}
