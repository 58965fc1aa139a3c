//! Starts the whole bundle in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<wsmesh_standalone::Standalone>()
}
