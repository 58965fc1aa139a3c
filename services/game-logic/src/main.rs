//! Starts one game-logic.

/// The system's own takes longer, and gives less back: see the root manifest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wsmesh_bootstrap::main::<game_logic::Service>()
}
