//! What services know about a client's connections, and what they attach to them, wherever the client is connected.

use serde::Serialize;

use super::adapter::Adapter;
use crate::error::ClientOrderError;
use crate::wire::{ClientContext, ClientId};

impl Adapter {
    /// What is known about the connections of a client, wherever they are, newest first. Empty: it is not connected.
    ///
    /// # Errors
    /// When it cannot be known where the client is, or one of its servers does not say: see [`ClientOrderError`].
    pub async fn client(&self, client: &ClientId) -> Result<Vec<ClientContext>, ClientOrderError> {
        Ok(self.contexts(client))
    }

    /// What is known about the connections of a client to this server, newest first.
    pub fn contexts(&self, client: &ClientId) -> Vec<ClientContext> {
        self.parts.flow.clients.contexts(client)
    }

    /// Replaces what is attached to a client, on each of its connections, wherever they are; `None` removes it. Returns whether
    /// the client is connected.
    ///
    /// # Errors
    /// When the value is larger than [`MAX_DATA_BYTES`](crate::MAX_DATA_BYTES) as JSON, or cannot be JSON; when it cannot be
    /// known where the client is, or one of its servers does not do it: see [`ClientOrderError`].
    pub async fn set_client_data<T: Serialize + ?Sized>(
        &self,
        client: &ClientId,
        data: Option<&T>,
    ) -> Result<bool, ClientOrderError> {
        let data = data.map(serde_json::value::to_raw_value).transpose();
        let data = data.map_err(|error| crate::PublishError::from(crate::PayloadError::from(error)))?;
        Ok(self.parts.flow.clients.hub().set_data(client, data))
    }
}
