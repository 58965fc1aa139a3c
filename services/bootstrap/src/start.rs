//! `main` of every service.

use std::process::ExitCode;

use crate::service::Service;

/// Starts a service: the whole `main` of its binary.
pub fn main<S: Service>() -> ExitCode {
    ExitCode::SUCCESS
}
