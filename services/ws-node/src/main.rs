//! Starts one ws-node.

fn main() {}
