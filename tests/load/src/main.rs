//! Puts load on servers and says what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_load::start::main()
}
