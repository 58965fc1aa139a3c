//! The settings of one client: where to connect, heartbeat, reconnecting, limits. The names and defaults are the
//! original's where it has them; each says its unit and its reason.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::token::Provider;
use crate::{OptionsError, TokenIn};

/// Clients that wait for less between attempts would flood a server that is in trouble.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// The most that the queues of the runtime can hold.
const LONGEST_QUEUE: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// When the task connects again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoReconnect {
    /// After everything, except closes and refusals that say not to come back (a kick, a failed authentication).
    #[default]
    Always,
    /// As the original: after errors only. After a close by the server the application calls
    /// [`reconnect`](crate::Client::reconnect).
    AfterError,
    /// Never: the application calls [`reconnect`](crate::Client::reconnect) or [`connect`](crate::Client::connect).
    Never,
}

/// The settings of one client. Start from [`Options::new`] and change fields.
///
/// ```
/// use std::time::Duration;
/// use wsmesh_connector::Options;
///
/// let mut options = Options::new("wss://example.org/chat").param("id", "888");
/// options.ping_interval = Duration::from_secs(30);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Where to connect: `ws://` or `wss://`, any path, with or without a query. Of several servers the first is tried
    /// first, and after one that drains or fails the next; the time to come back that a server gives is for itself.
    pub urls: Vec<String>,
    /// Added to the query of every URL, in order, encoded (the original's `customParams`). Default: none.
    pub params: Vec<(String, String)>,
    /// Added to the upgrade request, say `Authorization`. Default: none. Browsers cannot send them, this client can.
    pub headers: Vec<(String, String)>,
    pub(crate) token: Option<Provider>,
    /// How the token of the [provider](Self::token) travels. Default: [`TokenIn::Header`].
    pub token_in: TokenIn,
    pub(crate) traceparent: Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>,
    /// TLS for `wss://`. Default: the roots of Mozilla, TLS 1.2 and later. Share one among clients: it caches sessions.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Time from one heartbeat to the next. Default: 10 s, which keeps most proxies from closing. Zero: no heartbeat.
    /// The first one comes after a random part of it, so that clients that came together do not beat together.
    pub ping_interval: Duration,
    /// How long the answer to a heartbeat may take; then the connection is closed with code 4002. Default: 2 s.
    pub pong_timeout: Duration,
    /// The heartbeat's text; must be the server's. Default: empty, the smallest frame there is.
    pub ping_message: String,
    /// When to connect again without being asked. Default: [`AutoReconnect::Always`].
    pub auto_reconnect: AutoReconnect,
    /// So many attempts wait at most [`fast_reconnect_interval`](Self::fast_reconnect_interval); after them each wait may
    /// be twice as long as the one before. Default: 3, enough for a ws-node that is replaced.
    pub fast_reconnect_threshold: u32,
    /// The longest wait before the first attempts; the wait is a random part of it (full jitter), so that the clients
    /// of a ws-node that died do not come at once. Default: 3 s, at least 50 ms.
    pub fast_reconnect_interval: Duration,
    /// The longest wait before any attempt, and the most that a server can ask for. Default: 120 s, at least 50 ms.
    pub reconnect_max_interval: Duration,
    /// It gives up after so many attempts in a row that led to nothing. Default: none, it never gives up. The count
    /// starts again once a connection stood for [`fast_reconnect_interval`](Self::fast_reconnect_interval).
    pub repeat_limit: Option<u32>,
    /// How long a request waits for its reply (the original's `callbackTimeout`), retries included. Default: 5 s.
    pub request_timeout: Duration,
    /// How long until a request tells [`on_pending`](crate::Request::on_pending) that it still waits. Default: 100 ms,
    /// what people notice.
    pub pending_timeout: Duration,
    /// How long one attempt may take: token, name, TCP, TLS, upgrade and authentication together. Default: 10 s, several lost packets.
    pub connect_timeout: Duration,
    /// Frames that wait to be written; [`Client::emit`](crate::Client::emit) waits when it is full. Default: 64, a short
    /// burst: what waits here is lost when the connection breaks.
    pub send_queue: usize,
    /// Events that are kept while there is no connection, and sent in order once the next one stands; with more of them
    /// [`Client::emit`](crate::Client::emit) fails with [`Full`](crate::EmitError::Full). Default: 0, none: what was said
    /// minutes ago is often wrong now. Forgotten when the connection is closed for good.
    pub offline_queue: usize,
    /// What waits in one [`Listener`](crate::Listener); when it is full, new items are left out and counted. Default:
    /// 256, some seconds of a lively room.
    pub listener_queue: usize,
    /// Requests that wait for a reply at the same time. Default: 1,024, far more than a reply in time can need.
    pub max_pending: usize,
    /// Largest message that the server may send, in bytes. Default: 1 MiB. A larger one ends the connection with code
    /// 1009, for good: the server would send it again.
    pub max_message_size: usize,
}

impl Options {
    /// The defaults, for this URL. More of them: [`or_url`](Self::or_url).
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            params: Vec::new(),
            headers: Vec::new(),
            token: None,
            token_in: TokenIn::Header,
            traceparent: None,
            tls: None,
            ping_interval: Duration::from_secs(10),
            pong_timeout: Duration::from_secs(2),
            ping_message: String::new(),
            auto_reconnect: AutoReconnect::Always,
            fast_reconnect_threshold: 3,
            fast_reconnect_interval: Duration::from_secs(3),
            reconnect_max_interval: Duration::from_secs(120),
            repeat_limit: None,
            request_timeout: Duration::from_secs(5),
            pending_timeout: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(10),
            send_queue: 64,
            offline_queue: 0,
            listener_queue: 256,
            max_pending: 1024,
            max_message_size: 1024 * 1024,
        }
    }

    /// Adds a server to go to when those before it drain or fail.
    ///
    /// ```
    /// use wsmesh_connector::Options;
    ///
    /// let options = Options::new("wss://a.example.org/chat").or_url("wss://b.example.org/chat");
    /// ```
    #[must_use]
    pub fn or_url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Adds a parameter to the query of every URL.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((key.into(), value.into()));
        self
    }

    /// Adds a header to the upgrade request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Asks `provider` for a token before each attempt, so that none is stale; a token with a fixed life can be renewed in
    /// place by [`Client::refresh_token`](crate::Client::refresh_token). When it fails, the attempt counts as failed; `None`
    /// means: connect without. Where the token goes: [`token_in`](Self::token_in).
    ///
    /// ```
    /// use wsmesh_connector::Options;
    ///
    /// async fn log_in() -> Result<String, std::io::Error> {
    ///     # Ok(String::new())
    ///     // Ask whoever gives tokens here.
    /// }
    /// let options = Options::new("wss://example.org/chat").token(log_in);
    /// ```
    #[must_use]
    pub fn token<F, Fut, T, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Option<String>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.token = Some(Provider::new(provider));
        self
    }

    /// Puts the W3C `traceparent` that `current` gives into each event and request, so that the server's trace continues
    /// the application's; `None` leaves it out. Called where the event or request is sent; must be quick.
    #[must_use]
    pub fn traceparent(mut self, current: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.traceparent = Some(Arc::new(current));
        self
    }

    /// The whole of one URL, with the parameters.
    pub(crate) fn full_url(&self, url: &str) -> Result<Url, OptionsError> {
        let mut url = Url::parse(url).map_err(OptionsError::Url)?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(OptionsError::Scheme(url.scheme().to_owned()));
        }
        url.set_fragment(None);
        if !self.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.params);
        }
        Ok(url)
    }

    /// Whether the numbers make sense together.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        if self.urls.is_empty() {
            return Err(OptionsError::NoUrl);
        }
        let positive = [
            ("pong_timeout", !self.pong_timeout.is_zero()),
            ("request_timeout", !self.request_timeout.is_zero()),
            ("pending_timeout", !self.pending_timeout.is_zero()),
            ("connect_timeout", !self.connect_timeout.is_zero()),
            ("send_queue", self.send_queue > 0),
            ("listener_queue", self.listener_queue > 0),
            ("max_pending", self.max_pending > 0),
            ("max_message_size", self.max_message_size > 0),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, fine)| !fine) {
            return Err(OptionsError::Zero(name));
        }
        let waits = [
            ("fast_reconnect_interval", self.fast_reconnect_interval),
            ("reconnect_max_interval", self.reconnect_max_interval),
        ];
        if let Some((name, _)) = waits.iter().find(|(_, wait)| *wait < LEAST_WAIT) {
            return Err(OptionsError::Short(name, LEAST_WAIT));
        }
        let queues = [("send_queue", self.send_queue), ("listener_queue", self.listener_queue)];
        match queues.iter().find(|(_, length)| *length > LONGEST_QUEUE) {
            Some((name, _)) => Err(OptionsError::Large(name, LONGEST_QUEUE)),
            None => Ok(()),
        }
    }
}

/// Without what may be secret: the query, the parameters' values, the headers' values.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |pairs: &[(String, String)]| pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        f.debug_struct("Options")
            .field("urls", &self.urls.iter().map(|url| shown(url)).collect::<Vec<_>>())
            .field("params", &keys(&self.params))
            .field("headers", &keys(&self.headers))
            .field("ping_interval", &self.ping_interval)
            .field("auto_reconnect", &self.auto_reconnect)
            .finish_non_exhaustive()
    }
}

/// A URL without user, password and query, which may be secret.
fn shown(url: &str) -> String {
    let public = url.split(['?', '#']).next().unwrap_or_default();
    match (public.split_once("://"), public.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => public.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_the_url_is_not_shown() {
        for (url, public) in [
            ("ws://host/chat?token=x", "\"ws://host/chat\""),
            ("ws://me:se/cret@host/chat#x", "\"ws://host/chat\""),
            ("wss://me@host", "\"wss://host\""),
        ] {
            let debug = format!("{:?}", Options::new(url));
            assert!(debug.contains(public) && !debug.contains("cret"), "{debug}");
        }
    }

    #[test]
    fn parameters_are_added_as_the_original_adds_them() {
        let options = Options::new("ws://host/chat")
            .param("id", "888")
            .param("name", "sam & co");
        let url = options.full_url(&options.urls[0]).expect("a URL");
        assert_eq!(url.as_str(), "ws://host/chat?id=888&name=sam+%26+co");
        let more = Options::new("ws://host/?a=1#x").param("b", "2");
        assert_eq!(
            more.full_url(&more.urls[0]).expect("a URL").as_str(),
            "ws://host/?a=1&b=2"
        );
    }

    #[test]
    fn what_cannot_work_is_refused_and_what_is_secret_is_not_shown() {
        let read = |url: &str| Options::new(url).full_url(url);
        assert!(matches!(read("no url"), Err(OptionsError::Url(_))));
        assert!(matches!(read("http://host/"), Err(OptionsError::Scheme(_))));
        let mut options = Options::new("ws://host/?token=geheim")
            .param("token", "geheim")
            .header("Authorization", "geheim");
        options.urls.clear();
        assert!(matches!(options.check(), Err(OptionsError::NoUrl)));
        options = options.or_url("ws://host/?token=geheim");
        options.send_queue = 0;
        assert!(matches!(options.check(), Err(OptionsError::Zero("send_queue"))));
        options.send_queue = usize::MAX;
        assert!(matches!(options.check(), Err(OptionsError::Large("send_queue", _))));
        options.send_queue = 1;
        options.reconnect_max_interval = Duration::from_millis(49);
        let error = options.check().expect_err("too short").to_string();
        assert!(
            error.starts_with("reconnect_max_interval must be at least 50ms"),
            "{error}"
        );
        assert!(!format!("{options:?}").contains("geheim"));
    }
}
