//! Starts one ws-node.

use std::process::ExitCode;

/// The system's own takes longer, and gives less back: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<ws_node::WsNodeService>()
}
