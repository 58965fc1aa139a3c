//! One login or many: how many connections of one client id may live at once, on all ws-nodes together, and which.
//!
//! `login` is what servers tell each other. `contest` decides for one client on one server: pure state. `claims` publishes,
//! listens and closes. Every connection is claimed once it can be reached; servers that hold the same client answer, and each
//! closes its own connections that have lost. If no other server holds the client, a login costs one message.

mod claims;
mod contest;
mod login;
pub(crate) mod settings;

pub(crate) use claims::Logins;
pub use settings::LoginPolicy;
