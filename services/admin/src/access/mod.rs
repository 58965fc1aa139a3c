//! Who uses the API, and what they may do: callers show a token, a token has a role, a role has rights.
//!
//! `role` and `caller` are what the rest of admin knows; `door` finds a request's caller, `guard` asks it for the right that a
//! group of routes needs. Tokens are never kept, shown or logged: only their SHA-256 is.

mod role;

mod caller;

mod token;

mod door;
mod guard;

pub(crate) use caller::Caller;
pub(crate) use door::{Access, know};
pub(crate) use guard::guard;
pub(crate) use role::{Right, Role};
pub use token::{MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Token, TokenError};
