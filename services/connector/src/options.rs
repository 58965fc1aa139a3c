//! The settings of one client: where to connect, heartbeat, reconnecting, limits. Names and defaults follow
//! websocket-cross-server-adapter; each has its unit and its reason.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::token::Provider;
use crate::{OptionsError, TokenIn, Trace, Traces};

/// The minimum of the waits between attempts: shorter waits would flood a server in trouble.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// The maximum capacity of the runtime's queues.
const LONGEST_QUEUE: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// When the task reconnects automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoReconnect {
    /// Always, except after closes and refusals that say not to (a kick, a failed authentication).
    #[default]
    Always,
    /// After errors only, as in websocket-cross-server-adapter. After a close by the server the application calls
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
    /// Where to connect: `ws://` or `wss://`, any path, with or without a query. Of several servers the first is tried first;
    /// when one drains or fails, the next. A delay that a server gives applies only to itself.
    pub urls: Vec<String>,
    /// Added to the query of every URL, in order, URL-encoded (`customParams` of the JavaScript package). Default: none.
    pub params: Vec<(String, String)>,
    /// Added to the upgrade request, for example `Authorization`. Default: none. Browsers cannot send headers, this client can.
    pub headers: Vec<(String, String)>,
    pub(crate) token: Option<Provider>,
    /// How the token of the [provider](Self::token) travels. Default: [`TokenIn::Header`].
    pub token_in: TokenIn,
    pub(crate) traces: Option<Arc<dyn Traces>>,
    /// TLS for `wss://`. Default: the roots of Mozilla, TLS 1.2 and later. Share one among clients: it caches sessions.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Time between heartbeats. Default: 10 s, which stops most proxies from closing the connection. Zero: no heartbeat. The
    /// first one comes after a random part of it, so that many clients do not send at the same time.
    pub ping_interval: Duration,
    /// Time limit for the answer to a heartbeat; after it the connection is closed with code 4002. Default: 2 s.
    pub pong_timeout: Duration,
    /// The heartbeat's text; must match the server's. Default: empty, the smallest frame.
    pub ping_message: String,
    /// When to reconnect automatically. Default: [`AutoReconnect::Always`].
    pub auto_reconnect: AutoReconnect,
    /// The number of attempts that wait at most [`fast_reconnect_interval`](Self::fast_reconnect_interval); after them the
    /// longest wait doubles each time. Default: 3, enough for a ws-node that is replaced.
    pub fast_reconnect_threshold: u32,
    /// The longest wait before the first attempts; the wait is a random part of it (full jitter), so that the clients
    /// of a dead ws-node do not reconnect all at once. Default: 3 s, at least 50 ms.
    pub fast_reconnect_interval: Duration,
    /// The longest wait before any attempt, and the longest that a server can ask for. Default: 120 s, at least 50 ms.
    pub reconnect_max_interval: Duration,
    /// Gives up after this many failed attempts in a row. Default: `None`, never. The count starts again once a connection was
    /// open for [`fast_reconnect_interval`](Self::fast_reconnect_interval).
    pub repeat_limit: Option<u32>,
    /// Time limit for a request (`callbackTimeout` of the JavaScript package), retries included. Default: 5 s.
    pub request_timeout: Duration,
    /// Time until [`on_pending`](crate::Request::on_pending) of a request without a reply is called. Default: 100 ms, a delay
    /// that people notice.
    pub pending_timeout: Duration,
    /// Time limit for one attempt: token, name lookup, TCP, TLS, upgrade and authentication together. Default: 10 s, enough for
    /// several lost packets.
    pub connect_timeout: Duration,
    /// Frames that wait to be written; when it is full, [`Client::emit`](crate::Client::emit) waits. Default: 64, a short burst:
    /// frames that wait here are lost when the connection breaks.
    pub send_queue: usize,
    /// The number of events that are kept while there is no connection, and sent in order on the next one. When it is full,
    /// [`Client::emit`](crate::Client::emit) fails with [`Full`](crate::EmitError::Full). Default: 0, because old events are
    /// often wrong. They are forgotten when the connection is closed for good.
    pub offline_queue: usize,
    /// The queue of one [`Listener`](crate::Listener); when it is full, new items are dropped and counted. Default: 256, some
    /// seconds of a lively room.
    pub listener_queue: usize,
    /// The number of requests that may wait for replies at the same time. Default: 1,024, far more than an application needs.
    pub max_pending: usize,
    /// The largest message that the server may send, in bytes. Default: 1 MiB. A larger one ends the connection with code 1009,
    /// for good: the server would send it again.
    pub max_message_size: usize,
}

impl Options {
    /// The defaults, for this URL. [`or_url`](Self::or_url) adds more URLs.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            params: Vec::new(),
            headers: Vec::new(),
            token: None,
            token_in: TokenIn::Header,
            traces: None,
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

    /// Adds a server to use when the previous ones drain or fail.
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

    /// Calls `provider` for a token before each attempt, so that the token is fresh.
    /// [`Client::refresh_token`](crate::Client::refresh_token) renews it on an open connection. If the provider fails, the
    /// attempt has failed; `None` means: connect without a token. [`token_in`](Self::token_in) says how the token travels.
    ///
    /// ```
    /// use wsmesh_connector::Options;
    ///
    /// async fn log_in() -> Result<String, std::io::Error> {
    ///     # Ok(String::new())
    ///     // Get a token here.
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

    /// Adds the W3C `traceparent` that `current` returns to each event and request, so that the server's trace continues the
    /// application's; `None` leaves it out. Called where the event or request is sent; must be quick. [`traces`](Self::traces) also
    /// learns the event's name and when a request is over.
    #[must_use]
    pub fn traceparent(self, current: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.traces(move |_: &str| current().map(Trace::new))
    }

    /// Begins a trace for each event and request, and ends it. A request that is repeated keeps its trace: one covers all attempts. The
    /// client's own requests (`authenticate`, rooms that are joined again) have traces, too. A panic in it is logged, and what is no
    /// trace context is left out.
    ///
    /// ```
    /// use wsmesh_connector::{Options, Trace};
    ///
    /// let options = Options::new("wss://example.org/chat").traces(|event: &str| {
    ///     let (event, start) = (event.to_owned(), std::time::Instant::now());
    ///     let trace = Trace::new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    ///     Some(trace.on_end(move |error| println!("{event}: {} after {:?}", error.unwrap_or("ok"), start.elapsed())))
    /// });
    /// ```
    #[must_use]
    pub fn traces(mut self, traces: impl Traces + 'static) -> Self {
        self.traces = Some(Arc::new(traces));
        self
    }

    /// One URL with the parameters.
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

    /// Checks the numbers.
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

/// Without possible secrets: the query, the values of parameters and headers.
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

/// A URL without its possible secrets: user, password and query.
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
    fn possible_secrets_in_the_url_are_not_shown() {
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
    fn parameters_are_added_as_the_javascript_package_adds_them() {
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
    fn invalid_options_are_errors_and_secrets_are_not_shown() {
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
