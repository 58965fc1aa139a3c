//! HTTP API that looks at the whole cluster and sends to its clients.
//!
//! Reading order: `config`, `api` (routes and their bounds), `gather` (from what servers said to answers), `kubernetes`.
//! Stores nothing: every answer is gathered from the live servers at the moment of the request.

mod api;
mod gather;
mod kubernetes;
mod metrics;
mod problem;
mod serve;
mod token;

pub use metrics::{REQUEST_DURATION, REQUESTS};
pub use token::{MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Token, TokenError};
