//! One login or many: how many connections of one client id may live at once, on all ws-nodes together, and which.
//!
//! `login` is what servers tell each other. `contest` decides for one client on one server: pure state. `claims` publishes,
//! listens and closes. Every connection is claimed once it can be reached; servers that hold the same client answer, and each
//! closes its own connections that have lost. If no other server holds the client, a login costs one message.

mod claims;
mod contest;
mod login;

use wsmesh_bootstrap::Value;

pub(crate) use claims::Logins;

/// Which of a client's logins stay when there are more than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// The newest stay; older ones are closed with 4012. The default: a client that returns while its old connection is
    /// half-dead is accepted at once.
    #[default]
    Newest,
    /// The oldest stay; a newcomer is closed with 1013.
    Oldest,
    /// All stay; nothing is claimed.
    Many,
}

impl Value for LoginPolicy {
    const HINT: &'static str = "newest|oldest|many";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            "many" => Ok(Self::Many),
            other => Err(format!("{other:?} is not a login policy: write newest, oldest or many")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let name = match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Many => "many",
        };
        Some(name.into())
    }
}
