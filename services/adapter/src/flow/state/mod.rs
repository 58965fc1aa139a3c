//! What a server knows while it runs: who takes part, which nodes are heard and usable, what was lost. The other folders of
//! `flow` read it; it knows none of them.

pub(crate) mod choices;
pub(crate) mod foundation;
pub(crate) mod hearing;
pub(crate) mod lapse;
pub(crate) mod lapses;
pub(crate) mod members;
pub(crate) mod server_info;
pub(crate) mod tasks;
pub(crate) mod unix_time;
