//! Compares what a reader wrote with the file that was reviewed. `UPDATE_GOLDEN=1` rewrites the file instead.

use std::{env, fs, path::Path};

/// Fails when `text` differs from the file at `path`, relative to this crate.
pub(crate) fn assert_golden(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().expect("the path has a folder")).expect("the folder can be made");
        fs::write(&file, text).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    let (lines, wanted): (Vec<_>, Vec<_>) = (text.lines().collect(), golden.lines().collect());
    for (number, (line, wanted)) in lines.iter().zip(&wanted).enumerate() {
        assert_eq!(line, wanted, "{path}, line {}; run the tests with UPDATE_GOLDEN=1 if this is meant", number + 1);
    }
    assert_eq!(lines.len(), wanted.len(), "{path} has another length; UPDATE_GOLDEN=1 if this is meant");
    assert_eq!(text, golden, "{path} differs in its line ends");
}
