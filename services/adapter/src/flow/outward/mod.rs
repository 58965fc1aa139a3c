//! The way out: an envelope is made, takes a node, or waits for one; what others may have missed is kept. Knows `state`.

pub(crate) mod debt_book;
pub(crate) mod outage;
pub(crate) mod outbound;
pub(crate) mod route;
pub(crate) mod seal;
pub(crate) mod waiting;
