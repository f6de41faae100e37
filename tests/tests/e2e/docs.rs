//! What the documents say: every link leads somewhere, every command is one that the programs take, every promise of
//! SECURITY.md is held by tests that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ase_agent::commands::cli::Cli;
use clap::{Parser as _, error::ErrorKind};

use crate::{
    process::{binary, run},
    vocabulary::{file, in_repository},
};

/// Folders with documents, and with tests.
const FOLDERS: [&str; 6] = ["agent", "dashboards", "docs", "probes", "systemd", "tests"];
/// What is made anew by others, and not read.
const MADE: [&str; 2] = ["target", "corpus"];
/// Programs of others that documents call. What is not here was misspelled, or has to be said in ./test's list or to the reader.
const OTHERS: [&str; 17] = [
    "apt",
    "az",
    "cargo",
    "cd",
    "cp",
    "curl",
    "dpkg-deb",
    "journalctl",
    "kill",
    "mkdir",
    "nft",
    "prometheus",
    "rustup",
    "sed",
    "systemctl",
    "systemd/package",
    "promtool",
];
/// Words before a command that change who runs it, or with what.
const BEFORE: [&str; 1] = ["sudo"];

/// Every file with this extension at the top and below the folders.
pub(crate) fn files(extension: &str) -> Vec<String> {
    let root = in_repository("").canonicalize().expect("the repository is there");
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    let mut found: Vec<PathBuf> = entries(&root).into_iter().filter(|path| path.is_file()).collect();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            let is_made = path.file_name().is_some_and(|name| MADE.iter().any(|made| *made == name));
            match path.is_dir() {
                true if !is_made => folders.push(path),
                true => {}
                false => found.push(path),
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    let relative = |path: PathBuf| path.strip_prefix(&root).expect("below the repository").display().to_string();
    let mut found: Vec<String> = found.into_iter().map(relative).collect();
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("the entry is readable").path()).collect()
}

/// A document without its code: fenced blocks and what stands between backticks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with("    ") {
            let outside = line.split('`').enumerate().map(|(number, part)| if number % 2 == 0 { part } else { "x" });
            kept.extend(outside);
            kept.push('\n');
        }
    }
    kept
}

/// The targets of a document's links and pictures: `[…](target)`.
fn targets(text: &str) -> Vec<String> {
    let text = prose(text).replace('\n', " ");
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target.trim().to_owned()).collect()
}

/// The anchors that a renderer makes of headings: letters, digits, hyphens, underscores; blanks become hyphens.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let headings = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    let letters = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    };
    headings.map(|line| line.trim_start_matches('#').trim().chars().filter_map(letters).collect()).collect()
}

/// What is wrong with a link of a document; `None` when it leads somewhere.
fn fault(document: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let folder = Path::new(document).parent().expect("a document lies in a folder");
    let to = if path.is_empty() { PathBuf::from(document) } else { folder.join(path) };
    let place = in_repository(&to.display().to_string());
    if !place.exists() {
        return Some(format!("{document}: {target} is not there"));
    }
    let known = || anchors(&fs::read_to_string(&place).expect("a page with anchors is text"));
    let is_good = anchor.is_none_or(|anchor| known().contains(anchor));
    (!is_good).then(|| format!("{document}: {target} has no such heading"))
}

#[test]
fn every_link_of_every_document_leads_to_a_file_and_a_heading() {
    let documents = files("md");
    assert!(documents.len() > 60, "{documents:?}");
    let of = |document: &String| {
        targets(&file(document)).iter().filter_map(|target| fault(document, target)).collect::<Vec<_>>()
    };
    let faults: Vec<String> = documents.iter().flat_map(of).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_to_nothing_is_found() {
    let text = "# A `b` c\n[x](docs/map.md) `[y](no.md)`\n```sh\n# no heading\n```\n[z](#a-b-c) ![p](a.png)";
    assert_eq!(targets(text), ["docs/map.md", "#a-b-c", "a.png"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c".to_owned()]));
    assert_eq!(fault("README.md", "docs/map.md"), None);
    assert!(fault("README.md", "docs/no.md").is_some() && fault("README.md", "CHANGELOG.md#never").is_some());
}

/// The commands of a document's shell blocks, a line each, without comments.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = |block: &str| {
        let block = block.replace("\\\n", " ");
        let lines = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>()
    };
    blocks.flat_map(lines).collect()
}

/// The simple commands of a line: what stands between pipes and `&&`, as words, without redirections and assignments.
pub(crate) fn simple(line: &str) -> Vec<Vec<String>> {
    let words = words(line);
    let parts = words.split(|word| word == "|" || word == "&&");
    let is_assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let kept = |part: &[String]| {
        let end = part.iter().position(|word| word == ">" || word == ">>").unwrap_or(part.len());
        let start = part[..end].iter().position(|word| !is_assignment(word) && !BEFORE.contains(&word.as_str()));
        part[start.unwrap_or(end)..end].to_vec()
    };
    parts.map(kept).filter(|part| !part.is_empty()).collect()
}

/// The words of a line as a shell splits it: blanks within quotes are no borders.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(mark), c) if mark == c => quote = None,
            (None, '\'' | '"') => (quote, is_open) = (Some(c), true),
            (None, ' ') => {
                if is_open {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            (_, c) => {
                word.push(c);
                is_open = true;
            }
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

/// Why nobody takes this command; `None` when its program does.
fn refusal(command: &[String]) -> Option<String> {
    let (program, rest) = command.split_first().expect("a command has a word");
    let name = program.rsplit('/').next().unwrap_or_default();
    match (name, rest.first().map(String::as_str)) {
        ("ase-agent", _) => of_agent(command),
        ("ase-lab", _) => of_lab(rest),
        ("cargo", Some("lab")) => of_lab(&rest[1..]),
        ("cargo", Some("demo")) => of_lab(&[&["demo".to_owned()], &rest[1..]].concat()),
        ("cargo", Some("run")) => of_lab(rest.split(|word| word == "--").nth(1).unwrap_or_default()),
        _ if OTHERS.contains(&program.as_str()) => None,
        _ => Some(format!("nobody knows {program}")),
    }
}

fn of_agent(command: &[String]) -> Option<String> {
    let error = Cli::try_parse_from(command).err()?;
    let is_asked = matches!(error.kind(), ErrorKind::DisplayVersion | ErrorKind::DisplayHelp);
    (!is_asked).then(|| error.to_string())
}

/// The lab reads its arguments up to the help that is asked for behind them; what it runs is a command itself.
fn of_lab(arguments: &[String]) -> Option<String> {
    let own: Vec<_> = arguments.iter().take_while(|word| *word != "--").collect();
    let output = run(Command::new(binary("ase-lab")).args(&own).arg("--help").stdin(Stdio::null()));
    if !output.status.success() {
        return Some(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let inner = arguments.get(own.len() + 1..).unwrap_or_default();
    if inner.first().is_some_and(|program| program == "ase-agent") { of_agent(inner) } else { None }
}

#[test]
fn every_command_of_every_document_is_one_that_its_program_takes() {
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for document in files("md") {
        for line in commands(&file(&document)) {
            for command in simple(&line) {
                *seen.entry(command[0].rsplit('/').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
                faults.extend(refusal(&command).map(|fault| format!("{document}: {line}: {fault}")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen["ase-agent"] > 60 && seen["ase-lab"] > 5 && seen["cargo"] > 3, "{seen:?}");
}

#[test]
fn a_command_that_nobody_takes_is_found() {
    let text =
        "```sh\nsudo RUST_LOG=x target/debug/ase-agent check --clas sql > 'a b' # why\nase-agent check | no-such\n```";
    let lines = commands(text);
    assert_eq!(lines.len(), 2);
    assert_eq!(simple(&lines[0]), [vec!["target/debug/ase-agent", "check", "--clas", "sql"]]);
    assert!(refusal(&simple(&lines[0])[0]).is_some());
    let [check, unknown] = &*simple(&lines[1]) else { panic!("two commands: {lines:?}") };
    assert!(refusal(check).is_none() && refusal(unknown).is_some());
}

/// The names of all tests: functions below an attribute that makes them one, also those of `proptest!`.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files("rs") {
        let text = file(&path);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("#[") && line.contains("test"))
        {
            let function = lines[number..].iter().take(4).find_map(|line| line.split_once("fn "));
            names.extend(function.and_then(|(_, rest)| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn every_promise_of_the_security_page_names_tests_that_exist() {
    let page = file("SECURITY.md");
    let promises = page.split("and the test that holds it").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows: Vec<&str> =
        promises.expect("the page has promises").lines().filter(|line| line.starts_with("| ")).collect();
    let tests = tests();
    assert!(rows.len() > 15 && tests.len() > 1000, "{} promises, {} tests", rows.len(), tests.len());
    for row in &rows[1..] {
        let held_by = row.trim_end_matches('|').rsplit('|').next().expect("a row has columns");
        let named: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row}: no test");
        for name in named {
            assert!(tests.contains(name), "SECURITY.md: there is no test {name}");
        }
    }
}
