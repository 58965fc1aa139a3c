//! The program: puts load on servers and measures them.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmesh_load::start::main()
}
