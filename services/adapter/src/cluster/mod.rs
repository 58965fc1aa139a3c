//! The other servers: which ones are alive, what they missed, and the listeners and requests of this one. State without
//! I/O; knows `wire` only.

mod apart;
mod beacon;
mod channel_filter;
mod deadline;
mod debts;
mod dedup;
mod events;
mod foreign;
mod key_book;
mod replies;
mod requests;
mod roster;

pub(crate) use apart::Apart;
pub(crate) use beacon::{Beacon, FORMAT, Parting};
pub(crate) use channel_filter::ChannelFilter;
pub(crate) use deadline::Deadline;
pub(crate) use debts::{Debts, Owed};
pub(crate) use dedup::{Dedup, Seen};
pub use events::ListenerId;
pub(crate) use events::{Dispatched, Listeners};
pub(crate) use foreign::{Claim, Foreign, Standing};
pub use key_book::MAX_KEY_BYTES;
pub(crate) use key_book::{Answered, Entered, Key, KeyBook, Run};
pub use replies::{Outcome, Replies};
pub use requests::Reply;
pub(crate) use requests::Requests;
pub(crate) use roster::{Change, Roster, beacon_interval};
