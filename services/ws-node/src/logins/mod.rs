//! One login or many: how many connections of one client id may live at once, on all ws-nodes together, and which.
//!
//! `login` is what servers tell each other. `contest` decides, for one client on one server: pure state. `claims` is the shell: it publishes, listens and closes.
//! Every connection is claimed once it can be reached; whoever holds the same client answers, and each server closes its own
//! connections that have lost. Nobody is asked whose id nobody else holds: one message a login.

mod claims;
mod contest;
mod login;
pub(crate) mod settings;

pub(crate) use claims::Logins;
pub use settings::LoginPolicy;
