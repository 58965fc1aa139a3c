//! Starts one admin.

fn main() {}
