//! Starts one game-logic.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wsmesh_bootstrap::main::<game_logic::Service>()
}
