//! Configuration: flags, then environment, then file, then defaults, into one checked value per service.
//!
//! Read once, in [`main`](crate::main()). Everything that is wrong is listed in one go. Nothing here reads globals: the
//! arguments and the environment are handed in.

mod command;
mod common;
mod file;
mod load;
mod problems;
mod profile;
mod show;
mod unknown;
mod values;

pub(crate) use command::{Arguments, HEALTHCHECK, is_answer, parse};
pub use common::CommonConfig;
pub use load::load;
pub(crate) use load::{Loaded, ops_address, read};
pub use problems::Problems;
pub use profile::{LogConfig, LogFormat, LogLevel, Profile};
pub(crate) use values::Environment;
pub use values::Values;
