//! Starts one ws-node.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<ws_node::WsNodeService>()
}
