//! Starts one game-logic.

fn main() {}
