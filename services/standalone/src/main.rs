//! Starts the whole bundle in one process.

fn main() {}
