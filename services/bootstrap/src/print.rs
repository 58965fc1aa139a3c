//! Prints the output of a command line to stdout: completely, or with an error. Never panics.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints this to stdout completely. A reader that closes the pipe early is not an error.
///
/// # Errors
/// When it cannot be written, for example because the disk is full.
pub fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    unless_closed(write!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// The result of writing to stdout, where a reader that closed the pipe early is not an error.
pub(crate) fn unless_closed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::anyhow!("cannot write to stdout: {error}")),
        _ => Ok(()),
    }
}
