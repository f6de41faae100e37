//! What is put in the place of a good file: eleven kinds of damage to a store that nobody has open, and things that are no
//! configuration.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// One of them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Damage {
    /// Nothing is left in it.
    Empty,
    /// One byte is left.
    Byte,
    /// Its header is spoilt (SQLite file format, section 1.3).
    Header,
    /// A byte in its midst is another one.
    Middle,
    /// Its second half is gone.
    Half,
    /// All of it is zeros.
    Zeros,
    /// It is a text.
    Text,
    /// It is a folder.
    Folder,
    /// It is a pipe.
    Pipe,
    /// It is a link to itself.
    Circle,
    /// Its write-ahead log is junk.
    Log,
}

impl Damage {
    /// Does it.
    ///
    /// # Errors
    /// When the files cannot be changed.
    pub(super) fn befall(self, file: &Path) -> Result<()> {
        let mut bytes = fs::read(file)?;
        let half = bytes.len() / 2;
        let log = file.with_extension("db-wal");
        match self {
            Self::Empty => bytes.clear(),
            Self::Byte => bytes.truncate(1),
            Self::Header => bytes[..100].fill(0x5a),
            Self::Middle => bytes[half..half + 64].fill(0x5a),
            Self::Half => bytes.truncate(half),
            Self::Zeros => bytes.fill(0),
            Self::Text => bytes = b"this is no store\n".repeat(500),
            Self::Log => {
                fs::write(log, b"\x37\x7f\x06\x82junk".repeat(1000))?;
                return Ok(());
            }
            Self::Folder | Self::Pipe | Self::Circle => {}
        }
        drop(fs::remove_file(log));
        fs::remove_file(file)?;
        match self {
            Self::Folder => fs::create_dir(file)?,
            Self::Pipe => pipe(file)?,
            Self::Circle => symlink(file, file)?,
            Self::Empty
            | Self::Byte
            | Self::Header
            | Self::Middle
            | Self::Half
            | Self::Zeros
            | Self::Text
            | Self::Log => {
                fs::write(file, bytes)?;
            }
        }
        Ok(())
    }
}

/// What stands where a file is due.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Thing {
    /// A pipe in which nobody writes.
    Pipe,
    /// Zeros without end.
    Device,
    /// A folder.
    Folder,
    /// Nothing.
    Nothing,
    /// Bytes that are no text.
    Junk,
    /// A file of 2 MiB.
    Huge,
    /// A link to itself.
    Circle,
}

impl Thing {
    /// Puts it in the place of a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn put(self, file: &Path) -> Result<()> {
        if file.symlink_metadata().is_ok_and(|about| about.is_dir()) {
            fs::remove_dir(file)?;
        } else if file.symlink_metadata().is_ok() {
            fs::remove_file(file)?;
        }
        match self {
            Self::Pipe => pipe(file)?,
            Self::Device => symlink("/dev/zero", file)?,
            Self::Folder => fs::create_dir(file)?,
            Self::Nothing => {}
            Self::Junk => fs::write(file, b"\xff\xfe\x00\x01\x80endpoints: {")?,
            Self::Huge => fs::write(file, vec![b' '; 2 << 20])?,
            Self::Circle => symlink(file, file)?,
        }
        Ok(())
    }
}

fn pipe(file: &Path) -> Result<()> {
    let made = Command::new("mkfifo").arg(file).status().context("cannot run mkfifo")?;
    ensure!(made.success(), "mkfifo cannot make {}", file.display());
    Ok(())
}
