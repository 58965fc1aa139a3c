//! Starts the whole bundle in one process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<wsmesh_standalone::Standalone>()
}
