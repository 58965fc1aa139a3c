//! Starts one ws-node.

use std::process::ExitCode;

/// The system's allocator is slower and returns less memory: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsmesh_bootstrap::debug::tell_heap(statistics);
    wsmesh_bootstrap::main::<ws_node::WsNodeService>()
}

/// What the allocator tells about the heap.
fn statistics() -> Option<String> {
    let told = mimalloc::MiMalloc::stats_json().ok()?;
    told.to_str().ok().map(str::to_owned)
}
