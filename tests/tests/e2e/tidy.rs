//! The repository's own rules: which way imports point, and what may stand nowhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// Every Rust file below `folder`, with its path relative to the workspace.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable").map(|e| e.expect("the entry is readable")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the workspace").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("sources are UTF-8")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// The lines of code before a file's tests, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]").filter(|line| !line.trim_start().starts_with("//"))
}

fn files_with(folder: &str, needle: &str) -> Vec<String> {
    let has = |text: &str| code(text).any(|line| line.contains(needle));
    sources(folder).into_iter().filter(|(_, text)| has(text)).map(|(name, _)| name).collect()
}

#[test]
fn probes_know_nothing_of_the_agent() {
    for word in ["ase_agent", "serde", "prometheus"] {
        assert_eq!(files_with("probes/src", word), Vec::<String>::new(), "probes names {word}");
    }
}

#[test]
fn one_file_names_prometheus() {
    assert_eq!(files_with("agent/src", "prometheus::"), ["agent/src/readers/metrics.rs"]);
}

#[test]
fn only_the_store_names_sqlite() {
    for file in files_with("agent/src", "rusqlite") {
        assert!(file.starts_with("agent/src/store"), "{file} names rusqlite");
    }
}

#[test]
fn only_the_edges_name_serde() {
    let edges = [
        "agent/src/config/",
        "agent/src/net/duration.rs",
        "agent/src/readers/json",
        "agent/src/readers/profile.rs",
        "agent/src/web/",
    ];
    for file in files_with("agent/src", "serde") {
        assert!(edges.iter().any(|edge| file.starts_with(edge)), "{file} names serde");
    }
}

#[test]
fn readers_see_the_snapshot_only() {
    for room in ["agent/src/readers", "agent/src/web"] {
        for (name, text) in sources(room).into_iter().filter(|(name, _)| name != "agent/src/readers/profile.rs") {
            for forbidden in ["monitor", "schedule::", "flow_budget::", "config::"] {
                assert!(!code(&text).any(|line| line.contains(forbidden)), "{name} names {forbidden}");
            }
        }
    }
}

#[test]
fn unsafe_code_lives_in_one_module() {
    let blocks = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    for folder in ["probes/src", "agent/src", "tests/src"] {
        for (name, text) in sources(folder) {
            let found = code(&text).any(|line| blocks.iter().any(|block| line.contains(block)));
            assert_eq!(found, name == "probes/src/kernel.rs", "{name}: unsafe code");
        }
    }
}

#[test]
fn nothing_is_half_done() {
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore"), concat!("FIX", "ME")];
    for folder in ["probes", "agent", "tests"] {
        for (name, text) in sources(folder).into_iter().filter(|(name, _)| !name.contains("/target/")) {
            for mark in marks {
                assert!(!text.contains(mark), "{name} holds {mark}");
            }
        }
    }
}

#[test]
fn files_can_be_told_in_one_sentence() {
    let vague = ["utils", "common", "helpers", "manager", "handler", "service", "types"];
    for folder in ["probes/src", "agent/src", "tests/src"] {
        for (name, text) in sources(folder) {
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            assert!(lines <= 450 || name.ends_with("tests.rs"), "{name} has {lines} lines before its tests");
            assert!(text.starts_with("//!"), "{name} does not open with what it knows");
            let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).expect("sources have names");
            assert!(!vague.contains(&stem), "{name} says nothing");
        }
    }
}
