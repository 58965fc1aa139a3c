//! Starts the whole bundle in one process.

use std::process::ExitCode;

/// The system's own takes longer, and gives less back: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<wsmesh_standalone::Standalone>()
}
