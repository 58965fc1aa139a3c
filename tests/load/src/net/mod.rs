//! Many sockets on few threads. A `Worker` owns its connections and turns events of the kernel into calls of a [`Duty`], the
//! work of a mode.

mod connection;
mod frames;
pub mod limits;
mod sockets;
pub mod target;
mod timer;
mod worker;

pub use sockets::{Identity, Net};
pub use worker::{Duty, Turn, Worker};

/// How a connection, or the attempt to make one, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// No TCP connection: the error of the operating system.
    Unreachable(String),
    /// The server answered with another status than 101.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        text: String,
        /// The delay before another attempt in seconds, if it gave one.
        retry_after_s: Option<u64>,
    },
    /// The server sent a close frame.
    Closed {
        /// Its code, if there was one.
        code: Option<u16>,
        /// Its reason, perhaps empty.
        reason: String,
    },
    /// It ended without a close frame, or with a protocol error: the reason.
    Broken(String),
}

impl End {
    /// The label under which such ends are counted.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Unreachable(error) => format!("unreachable: {error}"),
            Self::Refused { status, text, .. } => format!("status {status}: {text}"),
            Self::Closed {
                code: Some(code),
                reason,
            } if reason.is_empty() || reason.starts_with("retry-after-ms=") => {
                format!("close code {code}")
            }
            Self::Closed {
                code: Some(code),
                reason,
            } => format!("close code {code}: {reason}"),
            Self::Closed { code: None, .. } => "close frame without a code".to_owned(),
            Self::Broken(what) => what.clone(),
        }
    }
}
