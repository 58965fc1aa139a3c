//! One login or many: how many connections of one client id may live at once, on all ws-nodes together, and which.
//!
//! `login` is what servers tell each other. `contest` decides, for one client on one server: pure state. `claims` is the shell: it publishes, listens and closes.
//! Every connection is claimed once it can be reached; whoever holds the same client answers, and each server closes its own
//! connections that have lost. Nobody is asked whose id nobody else holds: one message a login.

mod claims;
mod contest;
mod login;

use wsmesh_bootstrap::Value;

pub(crate) use claims::Logins;

/// Which of a client's logins stay when there are more than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// The newest stay; older ones are closed with 4012. The default: who comes back while an old connection is half-dead is
    /// let in at once.
    #[default]
    Newest,
    /// The oldest stay; a newcomer is sent away with 1013.
    Oldest,
    /// All stay, whatever the number; nothing is asked or claimed.
    Many,
}

impl Value for LoginPolicy {
    const HINT: &'static str = "newest|oldest|many";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            "many" => Ok(Self::Many),
            other => Err(format!("{other:?} is no login policy: write newest, oldest or many")),
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
