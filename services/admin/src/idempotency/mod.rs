//! `Idempotency-Key`: a request that is repeated with its key is carried out once, and every repeat gets the answer of the first.
//! Follows draft-ietf-httpapi-idempotency-key-header: 409 while the first is still running, 422 for another request with its key.
//!
//! Keys are remembered for two minutes after the answer, in the memory of the admin that took the request, up to a limit; beyond
//! it, requests with a key are rejected, so that a key is never forgotten early. A request that failed before anything was done is
//! not remembered: its repeat is carried out.

mod book;
mod key;

pub(crate) use book::{Answer, Keys, Taken};
pub(crate) use key::{HEADER, key};
