//! Starts one admin.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<admin::Admin>()
}
