//! The services' binaries, built once for all tests: `cargo test` does not build the binaries of other packages.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let programs = ["ws-node", "game-logic", "admin", "wsmesh-standalone"];
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--locked", "--quiet"])
        // The features of the whole workspace and its tests, as `cargo test` and the Makefile: nothing is built twice.
        .args(["--workspace", "--example", "first_service"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let status = build
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the services do not build");
    // This test's own binary is in target/debug/deps.
    let own = std::env::current_exe().expect("this test has a path");
    own.ancestors().nth(2).expect("target/debug").to_owned()
});

/// The path of a built binary.
pub(crate) fn binary(name: &str) -> PathBuf {
    FOLDER.join(name)
}
