//! The secret that two agents share: read from a file that only its owner may read, used to seal messages, and never shown.

use std::{
    fmt,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use ase_probes::regular_file;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a seal: a whole HMAC-SHA256 (RFC 2104, FIPS 180-4).
pub(super) const SEAL: usize = 32;
/// The shortest secret in bytes: that of the hash (RFC 2104 section 3).
const SHORTEST: usize = 32;
/// The longest secret in bytes; more adds nothing.
const LONGEST: usize = 1024;
/// A larger file holds no secret but something else, in bytes.
const LARGEST: u64 = 64 << 10;

/// The shared secret, ready to seal. Its bytes are not kept, and nothing prints it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(not shown)")
    }
}

impl Key {
    /// Reads the secret: everything in the file but white space at its end.
    ///
    /// # Errors
    /// What is wrong with the file, by its name and never by what is in it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let wrong = |rule: String| format!("--key ({}) {rule}", file.display().to_string().escape_debug());
        let mut opened = regular_file::open(file).map_err(|error| wrong(error.to_string()))?;
        let known = opened.metadata().map_err(|error| wrong(format!("cannot be read: {error}")))?;
        refuse_open_to_others(known.permissions().mode(), known.uid()).map_err(wrong)?;
        let secret = regular_file::read_from(&mut opened, LARGEST).map_err(|error| wrong(error.to_string()))?;
        Self::of(secret.trim_ascii_end()).map_err(wrong)
    }

    /// Takes these bytes as the secret.
    ///
    /// # Errors
    /// That there are too few or too many.
    pub fn of(secret: &[u8]) -> Result<Self, String> {
        if !(SHORTEST..=LONGEST).contains(&secret.len()) {
            let length = secret.len();
            return Err(format!("must hold {SHORTEST} to {LONGEST} bytes of secret, not {length}"));
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|error| error.to_string())
    }

    /// The seal of a message.
    pub(super) fn seal(&self, message: &[u8]) -> [u8; SEAL] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// Whether this is the seal of the message; how long that takes says nothing about either.
    pub(super) fn is_sealed(&self, message: &[u8], seal: &[u8]) -> bool {
        self.0.clone().chain_update(message).verify_slice(seal).is_ok()
    }
}

/// A secret is its owner's alone. A group may read what belongs to root: so files for services are handed out, by packages
/// and by systemd's credentials.
fn refuse_open_to_others(mode: u32, owner: u32) -> Result<(), String> {
    let allowed = if owner == 0 { 0o740 } else { 0o700 };
    if mode & 0o777 & !allowed == 0 {
        return Ok(());
    }
    Err(format!("has mode {:04o} and must not be open to others: chmod 600", mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECRET: &str = "correct horse battery staple 0123456789";

    fn read(text: &str, mode: u32) -> Result<Key, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("key");
        fs::write(&file, text).expect("the folder is writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("the file is ours");
        Key::read(&file)
    }

    #[test]
    fn a_secret_of_its_owner_is_read_and_white_space_behind_it_is_not_part_of_it() {
        let key = read(&format!("{SECRET}\n"), 0o600).expect("a key");
        let same = Key::of(SECRET.as_bytes()).expect("a key");
        assert_eq!(key.seal(b"message"), same.seal(b"message"));
        assert!(read(SECRET, 0o400).is_ok());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_its_mode_and_without_its_secret() {
        for mode in [0o644, 0o604, 0o660, 0o666, 0o601] {
            let error = read(SECRET, mode).expect_err("open to others");
            assert!(error.contains(&format!("has mode {mode:04o}")) && error.contains("chmod 600"), "{error}");
            assert!(!error.contains("horse"), "{error}");
        }
        assert!(refuse_open_to_others(0o100640, 0).is_ok(), "root hands it to a service");
        assert!(refuse_open_to_others(0o100440, 0).is_ok(), "as systemd does");
        assert!(refuse_open_to_others(0o100640, 1000).is_err());
        assert!(refuse_open_to_others(0o100644, 0).is_err());
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "short\n", &"x".repeat(2000)] {
            assert!(read(text, 0o600).expect_err("no secret").contains("32 to 1024 bytes"));
        }
        assert!(Key::read(Path::new("/nonexistent")).expect_err("no file").contains("cannot be read"));
        assert!(Key::read(Path::new("/dev/null")).expect_err("no file").contains("must be a regular file"));
    }

    #[test]
    fn nothing_prints_a_key() {
        let key = Key::of(SECRET.as_bytes()).expect("a key");
        assert_eq!(format!("{key:?}"), "Key(not shown)");
    }

    /// RFC 4231 section 4.8: test case 7.
    #[test]
    fn a_seal_is_the_one_of_the_standard() {
        let key = Key::of(&[0xaa; 131]).expect("a key");
        let message = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
        let seal = key.seal(message);
        assert_eq!(seal[..8], [0x9b, 0x09, 0xff, 0xa7, 0x1b, 0x94, 0x2f, 0xcb]);
        assert!(key.is_sealed(message, &seal));
        assert!(!key.is_sealed(message, &seal[..31]), "a part of a seal is none");
    }
}
