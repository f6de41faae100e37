//! Replays the seeds of the fuzz targets: part of the tests of both crates that have doors for fuzzing.

use std::{fs, path::Path};

/// Hands every seed of a target to its door.
pub(crate) fn seeds(target: &str, door: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
    let seeds: Vec<_> =
        fs::read_dir(&folder).expect("the seeds are there").map(|seed| seed.expect("readable")).collect();
    assert!(!seeds.is_empty(), "{} holds seeds", folder.display());
    seeds.iter().for_each(|seed| door(&fs::read(seed.path()).expect("readable")));
}
