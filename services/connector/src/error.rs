//! Errors, one small enum per operation.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio_tungstenite::tungstenite;
use wsmesh_protocol::{CloseCode, Group};

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// There is no URL.
    #[error("no URL is given: begin with Options::new(\"wss://example.org/chat\")")]
    NoUrl,
    /// The URL cannot be read.
    #[error("the URL is not valid: {0}; use ws://host:port/path or wss://…")]
    Url(#[source] url::ParseError),
    /// The URL is not that of a WebSocket.
    #[error("the URL begins with {0}:// and must begin with ws:// or wss://")]
    Scheme(String),
    /// A header's name or value is not valid.
    #[error("the header {0:?} cannot be sent: its name or value has characters that HTTP does not allow")]
    Header(String),
    /// The URL cannot be made a request.
    #[error("the URL cannot be requested: {0}")]
    Request(#[source] Box<tungstenite::Error>),
    /// A setting is zero but must not be.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// A wait between attempts is so short that clients would flood a server in trouble.
    #[error("{0} must be at least {1:?}: shorter waits would flood a server that is in trouble")]
    Short(&'static str, Duration),
    /// A setting is larger than can work.
    #[error("{0} must be at most {1}")]
    Large(&'static str, usize),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
}

/// Why an event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// There is no connection now; nothing was sent.
    #[error("the connection is not open")]
    NotOpen,
    /// The queue of frames to be written is full, or without a connection the
    /// [`offline_queue`](crate::Options::offline_queue); nothing was sent.
    #[error("too many frames wait to be sent")]
    Full,
    /// An event needs a name.
    #[error("the event has no name")]
    EmptyEvent,
    /// The payload cannot be JSON.
    #[error("the payload cannot be JSON: {0}")]
    Payload(#[source] serde_json::Error),
}

impl EmitError {
    /// The `errorCode`, as of [`RequestError::code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOpen => "WS_NOT_OPEN",
            Self::Full => "WS_FULL",
            Self::EmptyEvent | Self::Payload(_) => "BAD_PAYLOAD",
        }
    }
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no connection now; nothing was sent.
    #[error("the connection is not open")]
    NotOpen,
    /// The connection broke; the server may have done the work.
    #[error("the connection broke before the reply came")]
    Disconnected,
    /// No reply came in time; the server may have done the work.
    #[error("no reply within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The limit of waiting requests is reached; nothing was sent.
    #[error("{0} requests wait for replies, the limit is reached")]
    TooMany(usize),
    /// The server refused the request.
    #[error("{text} ({code})")]
    Refused {
        /// Stable, see [`ErrorCode`](wsmesh_protocol::ErrorCode); services may have their own.
        code: String,
        /// For people.
        text: String,
    },
    /// An event needs a name.
    #[error("the event has no name")]
    EmptyEvent,
    /// The payload cannot be JSON.
    #[error("the payload cannot be JSON: {0}")]
    Payload(#[source] serde_json::Error),
}

impl RequestError {
    /// The `errorCode`: that of websocket-cross-server-adapter where it has one, the server's when it refused.
    pub fn code(&self) -> &str {
        match self {
            Self::NotOpen => "WS_NOT_OPEN",
            Self::Disconnected => "WS_DISCONNECTED",
            Self::Timeout(_) => "CALLBACK_TIMEOUT",
            Self::TooMany(_) => "TOO_MANY_PENDING",
            Self::Refused { code, .. } => code,
            Self::EmptyEvent | Self::Payload(_) => "BAD_PAYLOAD",
        }
    }
}

/// Why a token was not renewed. The connection keeps its old token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is no token provider, or it returned no token.
    #[error("there is no token; set a provider with Options::token")]
    NoToken,
    /// The token provider failed.
    #[error("the token provider failed: {0}")]
    Provider(#[source] Arc<dyn Error + Send + Sync>),
    /// The server did not accept the token.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a connection ended, or could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// The server closed it.
    #[error("the server closed the connection: {} {reason}", u16::from(*.code))]
    Closed {
        /// Why; 1005 when the server gave no code.
        code: CloseCode,
        /// A short text, or the delay before a reconnect.
        reason: String,
    },
    /// The server refused the upgrade.
    #[error("the server refused the connection: HTTP {status} {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of the answer's body.
        text: String,
        /// The delay before another attempt, if the server gave one.
        retry_after: Option<Duration>,
    },
    /// There is no token to connect with: its provider failed.
    #[error("there is no token to connect with: {0}")]
    Token(#[source] Arc<dyn Error + Send + Sync>),
    /// The server does not accept the token in the first message.
    #[error("the server does not accept the token: {text} ({code})")]
    Unauthenticated {
        /// The server's `errorCode`.
        code: String,
        /// For people.
        text: String,
    },
    /// The attempt took too long, the token included.
    #[error("no connection within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The heartbeat was not answered in time.
    #[error("no pong in time")]
    PongTimeout,
    /// The network, TLS, or a server that does not speak WebSocket.
    #[error("{0}")]
    Transport(#[source] Arc<tungstenite::Error>),
}

impl ConnectionError {
    pub(crate) fn transport(error: tungstenite::Error) -> Self {
        Self::Transport(Arc::new(error))
    }

    /// What a client should do now. After HTTP errors that waiting does not change it should not reconnect.
    pub fn group(&self) -> Group {
        match self {
            Self::Closed { code, .. } => code.group(),
            Self::Refused {
                status: 404 | 408 | 425 | 429 | 500..,
                ..
            } => Group::ComeBackAfterDelay,
            Self::Refused { status: 400..=499, .. } => Group::DoNotComeBack,
            Self::Unauthenticated { .. } => Group::DoNotComeBack,
            // The server would send it again; the close said 1009.
            Self::Transport(error) if matches!(**error, tungstenite::Error::Capacity(_)) => Group::DoNotComeBack,
            Self::Refused { .. } | Self::Token(_) | Self::Timeout(_) | Self::PongTimeout | Self::Transport(_) => {
                Group::ComeBackNow
            }
        }
    }

    /// The code with which the server refused a token in the first message.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Unauthenticated { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the client is the cause, so that another server would not help.
    pub(crate) fn is_about_client(&self) -> bool {
        match self {
            Self::Closed { code, .. } => matches!(
                code,
                CloseCode::AuthenticationFailed
                    | CloseCode::AuthenticationTimeout
                    | CloseCode::SlowConsumer
                    | CloseCode::RateLimit
            ),
            Self::Refused { status, .. } => *status == 429,
            Self::Token(_) | Self::Unauthenticated { .. } => true,
            Self::Timeout(_) | Self::PongTimeout | Self::Transport(_) => false,
        }
    }

    /// The delay before another attempt that the server gave, for itself.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Closed { reason, .. } => CloseCode::parse_delay(reason).map(Duration::from_millis),
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
