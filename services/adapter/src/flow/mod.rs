//! The way of a message: out through a node that everyone concerned hears, or waiting for one; in from a node to clients,
//! listeners and requests. Knows `wire`, `local`, `cluster` and `nodes`; nothing here knows `life` or `api`.

pub(crate) mod choices;
pub(crate) mod hearing;
pub(crate) mod lapse;
pub(crate) mod lapses;
pub(crate) mod members;
pub(crate) mod server_info;
pub(crate) mod tasks;
pub(crate) mod unix_time;

pub(crate) mod foundation;

pub(crate) mod debt_book;
pub(crate) mod outage;
pub(crate) mod outbound;
pub(crate) mod route;
pub(crate) mod seal;
pub(crate) mod waiting;

pub(crate) mod local_clients;
pub(crate) mod subscriptions;

pub(crate) mod answers;
pub(crate) mod client_requests;
pub(crate) mod dispatch;
pub(crate) mod event;
pub(crate) mod holders;
pub(crate) mod inbound;
pub(crate) mod queries;
pub(crate) mod request_options;
pub(crate) mod requests;
pub(crate) mod target;
pub(crate) mod targets;

pub(crate) mod catchup;
pub(crate) mod wanted;

pub(crate) mod parts;
