//! `ase-lab field`: the tests of what real servers do, and how many of the numbered cases in `docs/field.md` hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The page that says which test holds which case.
const PAGE: &str = include_str!("../../docs/field.md");
/// Where the tests are in the test program.
const ROOM: &str = "field::";

/// Runs the tests and prints a line for each case that does not hold, and the count.
///
/// # Errors
/// When cargo cannot be run, or runs no test.
pub fn run() -> Result<ExitCode> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.args(["test", "--workspace", "--test", "e2e", "--", ROOM]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = cargo.output().context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let passed: BTreeSet<&str> = text.lines().filter_map(passed).collect();
    ensure!(!passed.is_empty(), "no test passed");
    let cases = cases(PAGE);
    let missing = |tests: &BTreeSet<String>| tests.iter().find(|test| !passed.contains(test.as_str())).cloned();
    let broken: Vec<(u8, String)> = cases.iter().filter_map(|(case, tests)| Some((*case, missing(tests)?))).collect();
    broken.iter().for_each(|(case, test)| println!("case {case} does not hold: {test}"));
    println!("{} of {} cases hold", cases.len() - broken.len(), cases.len());
    Ok(ExitCode::from(u8::from(!broken.is_empty() || !output.status.success())))
}

/// The test that a line says has passed, without the room.
fn passed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")?.strip_prefix(ROOM)
}

/// The numbered cases of the page with their tests.
fn cases(page: &str) -> BTreeMap<u8, BTreeSet<String>> {
    let mut cases: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    let (rows, _) = page.split_once("\n## ").unwrap_or((page, ""));
    for row in rows.lines().filter_map(|line| line.strip_prefix("| ")) {
        let (Some((numbers, _)), Some(last)) = (row.split_once(" | "), row.trim_end_matches(" |").rsplit(" | ").next())
        else {
            continue;
        };
        let tests = || last.split('`').skip(1).step_by(2).map(str::to_owned);
        for number in numbers.split(", ").filter_map(|number| number.trim().parse().ok()) {
            cases.entry(number).or_default().extend(tests());
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn each_of_the_forty_cases_has_tests_that_are_there() {
        let cases = cases(PAGE);
        assert_eq!(cases.keys().copied().collect::<Vec<_>>(), (1..=39).chain([53]).collect::<Vec<_>>());
        for (case, tests) in cases {
            assert!(!tests.is_empty(), "case {case} has a test");
            for test in tests {
                let (file, name) = test.split_once("::").expect("a test is a file and a name");
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/field/{file}.rs"));
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("case {case}: {file}: {error}"));
                assert!(text.contains(&format!("#[test]\nfn {name}()")), "case {case}: {test} is a test");
            }
        }
    }

    #[test]
    fn only_what_passed_counts() {
        assert_eq!(passed("test field::dns::a ... ok"), Some("dns::a"));
        assert_eq!(passed("test field::dns::a ... FAILED"), None);
        assert_eq!(passed("test result: ok. 3 passed; 0 failed"), None);
    }
}
