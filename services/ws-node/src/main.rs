//! Starts one ws-node.

use std::process::ExitCode;

/// The system's allocator is slower and returns less memory: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<ws_node::WsNodeService>()
}
