//! Starts a ws-node with handlers of the program.

use std::time::Duration;

use anyhow::bail;
use serde::de::DeserializeOwned;
use wsmesh_adapter::Options;

use crate::handlers::{
    Client, ClientFault, Closed, HandlerError, HandlerId, Handlers, Handling, IntoReply, RawMessage,
};
use crate::node::WsNode;
use crate::settings::EdgeSettings;

/// A ws-node before its start: see [`WsNode::builder`].
#[must_use]
pub struct WsNodeBuilder {
    options: Options,
    settings: EdgeSettings,
    handlers: Handlers,
    problems: Vec<String>,
}

impl WsNode {
    /// A ws-node whose clients' events this program handles, in addition to rules and built-in events.
    ///
    /// Handlers run on the runtime from which the ws-node is started, never on a shard's thread. Those of one connection run one
    /// after the other, in the order of what happened; those of different connections in parallel. A request is answered by its
    /// deadline, and what its handler still awaits then is dropped; other handlers have 30 s. An event's handler comes before a
    /// rule or a built-in event of the same name. [`WsNode::handlers`] adds and takes out handlers later.
    ///
    /// ```no_run
    /// use serde_json::{Value, json};
    /// use ws_node::{Client, EdgeSettings, Refusal, WsNode};
    /// use wsmesh_adapter::{Options, ServerName, ServiceName};
    ///
    /// # async fn example() -> anyhow::Result<()> {
    /// let options = Options::new(ServerName::new("edge-0")?, ServiceName::new("ws-node")?);
    /// let node = WsNode::builder(options, EdgeSettings::demo())
    ///     .on("double", |_: Client, number: u32| async move { Ok::<_, Refusal>(number * 2) })
    ///     .on("hello", |client: Client, _: Value| async move {
    ///         client.push("welcome", &json!({"you": client.id()})).await?;
    ///         Ok::<_, Refusal>("hello")
    ///     })
    ///     .on_close(|client, closed| async move { println!("{} is gone: {:?}", client.id(), closed.code) })
    ///     .start()?;
    /// # drop(node);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(options: Options, settings: EdgeSettings) -> WsNodeBuilder {
        WsNodeBuilder {
            options,
            settings,
            handlers: Handlers::new(),
            problems: Vec::new(),
        }
    }
}

impl WsNodeBuilder {
    /// Handles an event of clients: see [`Handlers::on`].
    pub fn on<T, F, Fut>(self, event: &str, handler: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let registered = self.handlers.on(event, handler);
        self.noting(registered)
    }

    /// Handles the next event of this name only: see [`Handlers::once`].
    pub fn once<T, F, Fut>(self, event: &str, handler: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let registered = self.handlers.once(event, handler);
        self.noting(registered)
    }

    /// A client is logged in: see [`Handlers::on_connection`].
    pub fn on_connection<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(Client) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.on_connection(handler);
        self
    }

    /// A connection has ended: see [`Handlers::on_close`].
    pub fn on_close<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(Client, Closed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.on_close(handler);
        self
    }

    /// Something is wrong with a connection: see [`Handlers::on_error`].
    pub fn on_error<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(Client, ClientFault) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.on_error(handler);
        self
    }

    /// A client answered a ping: see [`Handlers::on_pong`].
    pub fn on_pong<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(Client, Duration) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.on_pong(handler);
        self
    }

    /// A client sent a message: see [`Handlers::on_message`].
    pub fn on_message<F, Fut>(self, handler: F) -> Self
    where
        F: Fn(Client, RawMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handling> + Send + 'static,
    {
        self.handlers.on_message(handler);
        self
    }

    /// Starts the ws-node. Must be called inside a tokio runtime, which also runs the handlers.
    ///
    /// # Errors
    /// As [`WsNode::start`]; when an event cannot be handled by a program, all of them are named.
    pub fn start(self) -> anyhow::Result<WsNode> {
        if !self.problems.is_empty() {
            bail!(self.problems.join("\n"));
        }
        WsNode::start_with(self.options, self.settings, self.handlers)
    }

    fn noting(mut self, registered: Result<HandlerId, HandlerError>) -> Self {
        self.problems.extend(registered.err().map(|error| error.to_string()));
        self
    }
}
