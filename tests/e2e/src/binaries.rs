//! The services' binaries, built once for all tests: `cargo test` does not build the binaries of other packages.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let packages = ["ws-node", "game-logic", "admin", "wsmesh-standalone"];
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--locked", "--quiet"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let status = build
        .args(packages.iter().flat_map(|package| ["-p", package]))
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
