//! Starts one game-logic.

fn main() -> std::process::ExitCode {
    wsmesh_bootstrap::main::<game_logic::Service>()
}
