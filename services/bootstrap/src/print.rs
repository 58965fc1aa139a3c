//! What a command line prints to stdout: written to the end, or an error. Never a panic.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Writes this to stdout, all of it. A reader that has gone before the end wanted no more: that is no error.
///
/// # Errors
/// When it cannot be written: the disk behind stdout is full, for example.
pub fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    unless_unwanted(write!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// What became of writing to stdout.
pub(crate) fn unless_unwanted(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::anyhow!("cannot write to stdout: {error}")),
        _ => Ok(()),
    }
}
