//! The admin that scenarios start beside their servers: the service as it is, in a process that can be killed.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<admin::Admin>()
}
