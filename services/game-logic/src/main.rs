//! Starts one game-logic.

/// The system's allocator is slower and returns less memory: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wsmesh_bootstrap::main::<game_logic::Service>()
}
