//! Files that commands read and write: regular files up to a size, read whole; and written in one step, so that whoever reads
//! meanwhile sees the old one or the new one.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use ase_probes::regular_file;

use crate::commands::failure::Failure;

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// The rule that it breaks, to stand behind its name.
pub(super) fn read(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    regular_file::read(file, most).map_err(|error| error.to_string())
}

/// Reads a regular file of text of at most so many bytes.
///
/// # Errors
/// The rule that it breaks, to stand behind its name.
pub(super) fn read_text(file: &Path, most: u64) -> Result<String, String> {
    String::from_utf8(read(file, most)?).map_err(|_| "is no text".to_owned())
}

/// A place where a file can be written: known before the work is done whose result goes there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    /// Tries the place.
    ///
    /// # Errors
    /// The rule that it breaks, to stand behind its name.
    pub(super) fn try_at(path: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("cannot be written: {error}");
        // A link's target is replaced, not the link; a device or a pipe is not replaced at all.
        let path = match fs::canonicalize(path) {
            Ok(path) if !fs::metadata(&path).map_err(cannot)?.is_file() => {
                return Err("exists and is no regular file".to_owned());
            }
            Ok(path) => path,
            Err(_) => path.to_owned(),
        };
        let place = Self { path };
        let (draft, file) = place.draft().map_err(cannot)?;
        drop(file);
        fs::remove_file(draft).map_err(cannot)?;
        Ok(place)
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        self.written(text).map_err(|error| Failure::Other(format!("cannot write {}: {error}", self.path.display())))
    }

    fn written(&self, text: &str) -> std::io::Result<()> {
        let (draft, mut file) = self.draft()?;
        let whole = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        let result = whole.and_then(|()| fs::rename(&draft, &self.path));
        if result.is_err() {
            // What stays behind is a draft that nobody reads; the first error is the one that tells.
            drop(fs::remove_file(&draft));
        }
        result
    }

    /// A new file beside the place: nobody else has its name.
    fn draft(&self) -> std::io::Result<(PathBuf, File)> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{:016x}.new", rand::random::<u64>()));
        let draft = PathBuf::from(name);
        let file = File::options().write(true).create_new(true).open(&draft)?;
        Ok((draft, file))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn only_a_regular_file_that_is_small_enough_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        fs::write(&file, vec![b'x'; 9]).expect("it is written");
        assert_eq!(read(&file, 9).map(|bytes| bytes.len()), Ok(9));
        assert_eq!(read(&file, 8), Err("size (9 bytes) must be at most 8 bytes".to_owned()));
        let made = Command::new("mkfifo").arg(&pipe).status().expect("coreutils are there");
        assert!(made.success());
        for other in [&pipe, &folder.path().to_owned(), &PathBuf::from("/dev/zero")] {
            assert!(read(other, 8).is_err_and(|rule| rule.starts_with("must be a")), "{}", other.display());
        }
        assert!(read(&folder.path().join("none"), 8).is_err_and(|rule| rule.starts_with("cannot be read: ")));
        fs::write(&file, b"\xff").expect("it is written");
        assert_eq!(read_text(&file, 8), Err("is no text".to_owned()));
    }

    #[test]
    fn a_file_is_replaced_in_one_step_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("a.md"), folder.path().join("link.md"));
        Place::try_at(&file).and_then(|place| place.write("one").map_err(|e| e.to_string())).expect("a new file");
        symlink(&file, &link).expect("a link");
        Place::try_at(&link).and_then(|place| place.write("two").map_err(|e| e.to_string())).expect("the link's file");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "two");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn a_place_where_nothing_can_be_written_is_known_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = Place::try_at(&folder.path().join("none/a.md")).map(|_| ());
        assert!(nowhere.is_err_and(|rule| rule.starts_with("cannot be written: ")));
        for other in [folder.path(), Path::new("/dev/null")] {
            assert_eq!(Place::try_at(other).map(|_| ()), Err("exists and is no regular file".to_owned()));
        }
    }
}
