//! The client protocol (frames, error codes, close codes, connect parameters), and the payloads that ws-nodes and
//! services exchange about clients and themselves. Pure data: no sockets, no clocks, no policy.
//!
//! The client protocol is that of *websocket-cross-server-adapter* 1.x, with additions that its clients ignore.

mod callback_id;
mod close;
mod error_code;
pub mod forward;
pub mod frame;
mod params;
pub mod report;

pub use callback_id::{CallbackId, MAX_CALLBACK_ID_BYTES};
pub use close::{CloseCode, Group};
pub use error_code::ErrorCode;
pub use params::{Param, ParamOptions, Params};

/// The README's examples, compiled by its tests only: builds of images do not have the file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
