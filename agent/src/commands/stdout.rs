//! What becomes of a command's words when nobody takes them: a reader that left early is no error, a full disk is.

use std::io::{self, ErrorKind, Write};

use crate::commands::failure::Failure;

/// Writes a text to standard output, its colours only where that is a terminal, and says whether anybody still reads.
///
/// # Errors
/// What the system said, but for a reader that left: it has what it wanted.
pub fn print(text: &str) -> Result<bool, Failure> {
    written(write(&mut anstream::stdout().lock(), text))
}

/// Like [`print()`], with a line end behind the text.
///
/// # Errors
/// As [`print()`].
pub fn print_line(text: &str) -> Result<bool, Failure> {
    print(&format!("{text}\n"))
}

/// Writes a text to standard error. Where even that cannot be written nobody is left to be told.
pub fn complain(text: &str) {
    drop(write(&mut anstream::stderr().lock(), text));
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn written(result: io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Other(format!("standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        assert!(matches!(written(Ok(())), Ok(true)));
        assert!(matches!(written(Err(ErrorKind::BrokenPipe.into())), Ok(false)));
        let full = written(Err(io::Error::from(ErrorKind::StorageFull))).expect_err("the words are lost");
        assert_eq!(full.to_string(), "standard output: no storage space");
    }
}
