//! Configuration: makes one checked value per service of flags, environment, file and defaults, in this order.
//!
//! It is read once, in [`main`](crate::main()). All problems are listed together. Nothing here reads globals: the caller
//! passes the arguments and the environment.

mod command;
mod common;
mod file;
mod load;
mod log;
mod profile;
mod show;
mod unknown;

pub(crate) use command::{Arguments, HEALTHCHECK, common, declared, is_answer, is_tool, parse, tool};
pub use common::CommonConfig;
pub(crate) use load::{Loaded, ops_address, read};
pub use load::{configure, load};
pub use log::{LogConfig, LogFormat, LogLevel};
pub use profile::Profile;
pub(crate) use unknown::is_service_link;
