//! Reads a file whole: only a regular one, opened without waiting for anybody, and of bounded size. A pipe would be waited
//! for, a device has no end, and a file that fills the memory is none that this program reads. And puts a file in the place of
//! another in one step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a directory.
    #[error("must be a file, and is a directory")]
    Directory,
    /// It is something that is waited for, or has no end.
    #[error("must be a regular file, and is a pipe, socket or device")]
    Special,
    /// It is larger than any file of its kind.
    #[error("{} must be at most {most} bytes", size.map_or("size".to_owned(), |size| format!("size ({size} bytes)")))]
    Large {
        /// Its size in bytes, where the system says one.
        size: Option<u64>,
        /// The bound in bytes.
        most: u64,
    },
}

impl FileError {
    /// Whether there is nothing of this name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// Whether a file may be opened by somebody else, who would wait at a pipe: only a look, which opens nothing.
///
/// # Errors
/// [`FileError`] for everything that is no regular file.
pub fn check(path: &Path) -> Result<(), FileError> {
    regular(&fs::metadata(path)?)
}

/// Opens a regular file. What it is, is looked at before it is opened, as opening a device may do something, and again
/// afterwards, as another may have taken its place meanwhile.
///
/// # Errors
/// [`FileError`] for everything that is no regular file or cannot be opened.
pub fn open(path: &Path) -> Result<File, FileError> {
    check(path)?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// [`FileError`], also where the file turns out larger than it said.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    read_from(&mut open(path)?, most)
}

/// Reads what [`open`] opened.
///
/// # Errors
/// As [`read`].
pub fn read_from(file: &mut File, most: u64) -> Result<Vec<u8>, FileError> {
    let size = file.metadata()?.len();
    if size > most {
        return Err(FileError::Large { size: Some(size), most });
    }
    bounded(file, most)
}

/// Reads like [`read`], and also what a shell hands over (`/dev/stdin`, and `/dev/fd/63` for `<(command)`): a pipe with
/// somebody at its other end, which is waited for. For commands that end, never for the daemon.
///
/// # Errors
/// As [`read`].
pub fn read_handed_over(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    match read(path, most) {
        Err(FileError::Special) if is_handed_over(path) => bounded(&mut File::open(path)?, most),
        result => result,
    }
}

/// Puts bytes in the place of a file in one step: whoever reads meanwhile sees the old ones or the new ones. Whatever has the
/// name of the draft (that of the file and `.new`) goes: a pipe would be waited for.
///
/// # Errors
/// What the system said.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().write(true).create_new(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// Whether the path names a pipe that was open before this program began.
fn is_handed_over(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_descriptor =
        path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    is_descriptor && fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

fn bounded(file: &mut File, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(FileError::Large { size: None, most }) } else { Ok(bytes) }
}

fn regular(about: &fs::Metadata) -> Result<(), FileError> {
    match about.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(FileError::Directory),
        _ => Err(FileError::Special),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn fifo(path: &Path) {
        let made =
            std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs (Debian package coreutils)");
        assert!(made.success(), "the folder takes a pipe");
    }

    #[test]
    fn only_a_regular_file_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").expect("it is written");
        fifo(&at("pipe"));
        std::os::unix::fs::symlink(at("pipe"), at("link")).expect("it is linked");
        std::os::unix::fs::symlink(at("file"), at("good link")).expect("it is linked");
        let _socket = UnixListener::bind(at("socket")).expect("it is bound");
        assert_eq!(read(&at("file"), 4).expect("it is read"), b"text");
        assert_eq!(read(&at("good link"), 4).expect("it is read"), b"text");
        for special in [at("pipe"), at("link"), at("socket"), "/dev/zero".into(), "/dev/null".into()] {
            assert!(matches!(read(&special, 4), Err(FileError::Special)), "{}", special.display());
            assert!(matches!(read_handed_over(&special, 4), Err(FileError::Special)), "{}", special.display());
        }
        assert!(matches!(read(folder.path(), 4), Err(FileError::Directory)));
        assert!(read(&at("none"), 4).expect_err("there is none").is_missing());
    }

    #[test]
    fn a_file_beyond_its_bound_is_refused_before_it_is_read_or_where_it_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("a file with a hole");
        let error = read(&path, 1 << 20).expect_err("it is a gigabyte");
        assert_eq!(error.to_string(), "size (1073741824 bytes) must be at most 1048576 bytes");
        // Files of the kernel say that they are empty.
        let error = read(Path::new("/proc/self/maps"), 16).expect_err("it goes on");
        assert_eq!(error.to_string(), "size must be at most 16 bytes");
    }

    #[test]
    fn what_a_shell_hands_over_is_read_by_commands_only() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut &writer, b"text").expect("a pipe holds so much");
        drop(writer);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert!(matches!(read(Path::new(&path), 9), Err(FileError::Special)));
        assert_eq!(read_handed_over(Path::new(&path), 9).expect("it is read"), b"text");
    }

    #[test]
    fn a_file_is_replaced_whatever_has_the_name_of_its_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, draft) = (folder.path().join("file"), folder.path().join("file.new"));
        replace(&path, b"one").expect("the folder takes a file");
        fifo(&draft);
        // Whoever opens it waits for nobody: a failure is no hang.
        let _other_end = File::options().read(true).write(true).open(&draft).expect("both ends at once");
        replace(&path, b"two").expect("the pipe goes");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &draft).expect("it is linked");
        replace(&path, b"three").expect("the link goes");
        assert_eq!(fs::read(&path).expect("it is there"), b"three");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
        fs::create_dir(&draft).expect("a folder");
        assert!(replace(&path, b"four").is_err());
    }
}
