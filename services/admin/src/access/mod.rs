//! Who uses the API, and what they may do: callers show a token, a token has a role, a role has rights.
//!
//! `role` and `caller` are what the rest of admin knows. `callers` knows the tokens: of `files` (read by `listing`), of an identity
//! provider (`signed`), of Kubernetes (`reviews`). `door` finds a request's caller, `guard` asks it for the right that a group of
//! routes needs. Tokens are never kept, shown or logged: only their SHA-256 is kept.

mod role;

mod caller;

mod token;

mod listing;

mod files;
mod tokens;

pub(crate) mod settings;

mod questions;
mod reviews;
mod signed;

mod callers;
mod metrics;

mod door;
mod guard;

mod mint;

pub(crate) use caller::Caller;
pub(crate) use callers::Access;
pub(crate) use door::know;
pub(crate) use guard::{guard, guard_streams};
pub(crate) use metrics::AccessMetrics;
pub(crate) use mint::{TOKEN, command, mint};
pub(crate) use role::{Right, Role};
pub use settings::AccessSettings;
pub use token::{MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Token, TokenError};
