//! Starts one ws-node.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<ws_node::WsNodeService>()
}
