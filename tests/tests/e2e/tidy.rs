//! The repository's own rules: which way imports point, and what may stand nowhere.

mod circles;

use std::{
    collections::BTreeSet,
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

/// The lines before a file's tests. The name of a file with tests ends nothing.
fn before_tests(text: &str) -> impl Iterator<Item = &str> {
    let names_a_file = |next: &str| next.contains("mod ") && next.ends_with(';');
    let next = text.lines().skip(1).chain([""]);
    let is_before = move |(line, next): &(&str, &str)| *line != "#[cfg(test)]" || names_a_file(next);
    text.lines().zip(next).take_while(is_before).map(|(line, _)| line)
}

/// The lines of code before a file's tests, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    before_tests(text).filter(|line| !line.trim_start().starts_with("//"))
}

fn files_with(folder: &str, needle: &str) -> Vec<String> {
    let has = |text: &str| code(text).any(|line| line.contains(needle));
    sources(folder).into_iter().filter(|(_, text)| has(text)).map(|(name, _)| name).collect()
}

/// The rooms of the agent, the highest first: each imports only from rooms below it.
const ROOMS: [&str; 17] = [
    "commands",
    "web",
    "readers",
    "engine",
    "diagnosis",
    "store",
    "early",
    "risk",
    "resolvers",
    "witness",
    "visit",
    "exports",
    "config",
    "imports",
    "lint",
    "model",
    "net",
];

/// The first word behind each `crate::` in a file's code: the rooms that it imports.
fn imported(text: &str) -> BTreeSet<String> {
    let code = code(text).collect::<Vec<_>>().join("\n");
    code.split("crate::").skip(1).flat_map(first_words).collect()
}

/// The first word of a path, or of each path in a brace.
fn first_words(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let Some(inside) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut words, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return words,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                words.push(word(&inside[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    words
}

/// Every arrow between rooms, as the code draws it: from, to. A path that goes up to the crate counts as one from there.
fn arrows() -> BTreeSet<(String, String)> {
    let of_rooms = |(from, to): &(String, String)| [from, to].iter().all(|room| ROOMS.contains(&room.as_str()));
    let mut arrows: BTreeSet<_> = circles::between_rooms().into_iter().filter(of_rooms).collect();
    for room in ROOMS {
        for (_, text) in sources(&format!("agent/src/{room}")).iter().filter(|(name, _)| !name.ends_with("tests.rs")) {
            let others = imported(text).into_iter().filter(|to| to != room && ROOMS.contains(&to.as_str()));
            arrows.extend(others.map(|to| (room.to_owned(), to)));
        }
    }
    arrows
}

/// The rooms and their arrows as ARCHITECTURE.md draws them: a row for each room, a mark below each room that it imports.
/// Marks stand right of the diagonal only, as arrows run down only.
fn drawing() -> String {
    let arrows = arrows();
    let mut drawn = format!("{:>11}", "");
    ROOMS.iter().for_each(|room| drawn.push_str(&format!(" {:<3}", &room[..3])));
    for (floor, room) in ROOMS.iter().enumerate() {
        drawn.push_str(&format!("\n{room:>11}"));
        for (other, to) in ROOMS.iter().enumerate() {
            let mark = match arrows.contains(&((*room).to_owned(), (*to).to_owned())) {
                true => "*",
                false if other == floor => "\\",
                false => ".",
            };
            drawn.push_str(&format!(" {mark:<3}"));
        }
    }
    drawn.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_drawing_of_the_rooms_is_the_code() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map is there");
    let drawing = drawing();
    assert!(text.contains(&drawing), "ARCHITECTURE.md should draw the rooms so:\n{drawing}");
    for room in ROOMS {
        assert!(text.contains(&format!("\n| `{room}/` |")), "ARCHITECTURE.md has a sentence for {room}");
    }
}

/// The first sentence of a file's opening: what it knows.
fn opening(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    paragraph.split_once(". ").map_or(paragraph.clone(), |(first, _)| format!("{first}."))
}

/// Every source file with its first sentence, folder by folder: docs/map.md.
fn map() -> String {
    let mut text = "# Where things are\n\nEvery source file with the first sentence of its own text. A test writes this page anew with `UPDATE_GOLDEN=1` \
                    and fails\nwhere it differs from the code. [ARCHITECTURE.md](../ARCHITECTURE.md) says how the folders hang together.\n"
        .to_owned();
    for folder in ["agent/src", "probes/src", "tests/src"] {
        let mut files = sources(folder);
        files.retain(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/sample"));
        files.sort();
        let mut heading = String::new();
        for (name, source) in files {
            let below = name.strip_prefix(folder).expect("it lies below").trim_start_matches('/');
            let room = below.split_once('/').map_or(folder.to_owned(), |(room, _)| format!("{folder}/{room}"));
            if room != heading {
                text.push_str(&format!("\n## `{room}`\n\n"));
                heading = room;
            }
            text.push_str(&format!("- [`{below}`](../{name}): {}\n", opening(&source)));
        }
    }
    text
}

#[test]
fn the_map_names_every_file() {
    let page = root().join("docs/map.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&page, map()).expect("the page can be written");
    }
    assert!(fs::read_to_string(&page).unwrap_or_default() == map(), "docs/map.md is not what the code says");
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let text = "use crate::{\n    model::{a::B, c},\n    net::d,\n};\nfn f() { crate::store::open() }\n// crate::web\n";
    assert_eq!(imported(text), ["model", "net", "store"].map(str::to_owned).into());
}

#[test]
fn the_name_of_a_file_with_tests_does_not_end_the_code() {
    let text = "#[cfg(test)]\nmod a_tests;\nuse crate::net;\n#[cfg(test)]\nmod tests {\n    use crate::web;\n}\n";
    assert_eq!(imported(text), ["net".to_owned()].into());
}

#[test]
fn a_room_imports_only_from_rooms_below_it() {
    let floor = |name: &str| ROOMS.iter().position(|room| *room == name);
    let up: Vec<_> = arrows().into_iter().filter(|(from, to)| floor(from) > floor(to)).collect();
    assert_eq!(up, [], "arrows that run up");
    let mut folders: Vec<String> = fs::read_dir(root().join("agent/src"))
        .expect("the folder is readable")
        .map(|entry| entry.expect("the entry is readable").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("it has a name").to_string_lossy().into_owned())
        .filter(|name| name != "sample")
        .collect();
    folders.sort();
    let mut rooms = ROOMS.map(str::to_owned);
    rooms.sort();
    assert_eq!(folders, rooms, "every folder is a room of the list");
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
fn files_are_opened_where_pipes_and_devices_are_refused() {
    // The kernel's own files, a folder that is synced, spare descriptors, two files that are looked at where they are
    // opened, and what only tests read.
    let others = [
        "local_facts.rs",
        "doctor/host.rs",
        "witness/half_open.rs",
        "database.rs",
        "failure.rs",
        "golden.rs",
        "procedure_page.rs",
        "tests.rs",
    ];
    for needle in ["fs::read(", "read_to_string(", "File::open("] {
        for file in ["agent/src", "probes/src"].into_iter().flat_map(|folder| files_with(folder, needle)) {
            let is_other = others.iter().any(|other| file.ends_with(other));
            assert!(is_other || file == "probes/src/regular_file.rs", "{file} opens files by itself ({needle})");
        }
    }
}

#[test]
fn only_the_edges_name_serde() {
    let edges = [
        "agent/src/config/",
        "agent/src/imports/",
        "agent/src/lint/fixtures_tests.rs",
        "agent/src/lint/judge/diff_tests.rs",
        "agent/src/lint/judge/loss_tests.rs",
        "agent/src/lint/judge/other_readers_tests.rs",
        "agent/src/lint/judge/refused_tests.rs",
        "agent/src/exports/join_tests.rs",
        "agent/src/lint/judge/passage_tests.rs",
        "agent/src/lint/judge/surroundings_tests.rs",
        "agent/src/lint/judge/tests.rs",
        "agent/src/lint/judge/unknowns_tests.rs",
        "agent/src/lint/judge/ways_tests.rs",
        "agent/src/lint/judge/what_if_tests.rs",
        "agent/src/lint/read/",
        "agent/src/lint/render/",
        "agent/src/lint/requirements.rs",
        "agent/src/model/listed.rs",
        "agent/src/net/duration.rs",
        "agent/src/readers/json",
        "agent/src/readers/profile.rs",
        "agent/src/readers/witness.rs",
        "agent/src/web/",
    ];
    for file in files_with("agent/src", "serde") {
        assert!(edges.iter().any(|edge| file.starts_with(edge)), "{file} names serde");
    }
}

#[test]
fn readers_see_the_snapshot_only() {
    let owners = [
        ["crate", "engine", "monitor"],
        ["crate", "engine", "schedule"],
        ["crate", "engine", "state"],
        ["crate", "diagnosis", "shell"],
        ["crate", "resolvers", "shell"],
        ["crate", "visit", "flow_budget"],
    ];
    for room in ["agent/src/readers", "agent/src/web"] {
        // What an agent would send is told from its settings and its budgets, not from a snapshot.
        for (name, text) in sources(room).into_iter().filter(|(name, _)| name != "agent/src/readers/profile.rs") {
            let code = code(&text).collect::<Vec<_>>().join("\n");
            let paths = circles::paths(&code);
            let is_owner =
                |path: &&Vec<&str>| owners.iter().any(|owner| path.starts_with(owner)) || path[1] == "config";
            assert_eq!(paths.iter().find(is_owner), None, "{name} names what is not in a snapshot");
        }
    }
    let paths = circles::paths("use crate::{diagnosis::{self, shell::Diagnosing}, engine::state};");
    assert!(owners[2..4].iter().all(|owner| paths.iter().any(|path| path.starts_with(owner))), "{paths:?}");
}

/// The rooms whose files act: they talk to people, to whoever asks, or to nothing but the system.
const ACTING: [&str; 3] = ["commands", "web", "store"];

/// The files of the other rooms that read a clock, the environment or a file, start a task, wait, or write to the log: the
/// shells, and whoever measures.
const SHELLS: [&str; 28] = [
    "config/mod.rs",
    "config/source.rs",
    "diagnosis/measure.rs",
    "diagnosis/procedure_page.rs",
    "diagnosis/shell.rs",
    "engine/announce.rs",
    "engine/environment.rs",
    "engine/machine.rs",
    "engine/monitor.rs",
    "engine/publishing.rs",
    "engine/pulse.rs",
    "engine/state.rs",
    "engine/surroundings.rs",
    "exports/disk.rs",
    "exports/watch.rs",
    "resolvers/dhcp_lease.rs",
    "resolvers/host_files.rs",
    "resolvers/shell.rs",
    "resolvers/survey.rs",
    "resolvers/trial.rs",
    "resolvers/worker.rs",
    "visit/flow_budget.rs",
    "visit/rests.rs",
    "visit/visitor.rs",
    "witness/half_open.rs",
    "witness/key.rs",
    "witness/knock.rs",
    "witness/listener.rs",
];

/// Files beside tests that only tests compile.
const WORLDS_OF_TESTS: [&str; 2] = ["engine/state/peers.rs", "engine/state/world.rs"];

/// What a file that only decides cannot name: the first of them that its code does.
fn acts(text: &str) -> Option<&'static str> {
    let words = ["clock::", "tokio", "tracing", "fs::", "std::env", "Instant::now", "SystemTime::now", "thread::spawn"];
    let has_word = |line: &str, word: &str| {
        let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
        line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_of_a_word))
    };
    words.into_iter().find(|word| code(text).any(|line| has_word(line, word)))
}

#[test]
fn who_decides_names_no_clock_task_file_or_log() {
    for room in ROOMS.into_iter().filter(|room| !ACTING.contains(room)) {
        for (name, text) in sources(&format!("agent/src/{room}")) {
            let below = name.strip_prefix("agent/src/").expect("it lies there");
            let is_of_tests = name.ends_with("tests.rs") || WORLDS_OF_TESTS.contains(&below);
            if !is_of_tests && !SHELLS.contains(&below) {
                assert_eq!(acts(&text), None, "{name} decides, and no shell of the list");
            }
        }
    }
    assert_eq!(acts("fn f() { ase_probes::clock::now() }"), Some("clock::"));
    assert_eq!(acts("use std::{fs, net};\nfn f() { fs::read(x) }"), Some("fs::"));
    assert_eq!(acts("// clock::now()\nfn f() { prefs::read(x) }\n#[cfg(test)]\nmod tests { use tokio; }"), None);
}

#[test]
fn the_architecture_names_every_file_of_the_probes() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    let list = page.split("### The files of the probes").nth(1).and_then(|rest| rest.split("```").nth(1));
    let named: BTreeSet<&str> = list.expect("a list").split_whitespace().filter(|word| word.ends_with(".rs")).collect();
    let found = fs::read_dir(root().join("probes/src")).expect("the folder is there");
    let found = found.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    let of_tests = ["lib.rs", "fixture.rs", "fuzzing.rs"];
    let found: BTreeSet<String> = found
        .filter(|name| name.ends_with(".rs") && !name.ends_with("_tests.rs") && !of_tests.contains(&name.as_str()))
        .collect();
    assert_eq!(named, found.iter().map(String::as_str).collect());
}

#[test]
fn every_file_of_the_agent_belongs_to_a_room() {
    let beside = ["golden", "invariants_tests", "lib", "main", "sample"];
    for (name, _) in sources("agent/src") {
        let below = name.strip_prefix("agent/src/").expect("it lies there");
        let is_known = below.contains('/') || beside.contains(&below.trim_end_matches(".rs"));
        assert!(is_known, "{name} lies in no room");
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
fn what_the_agent_prints_goes_through_one_place() {
    // The macros end the process by a panic where nobody takes the words.
    for macros in ["print!(", "println!("] {
        for (name, text) in sources("agent/src").into_iter().chain(sources("probes/src")) {
            assert!(!code(&text).any(|line| line.contains(macros)), "{name} prints past commands/stdout.rs");
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
            let lines = before_tests(&text).count();
            assert!(lines <= 450 || name.ends_with("tests.rs"), "{name} has {lines} lines before its tests");
            assert!(text.starts_with("//!"), "{name} does not open with what it knows");
            let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).expect("sources have names");
            assert!(!vague.contains(&stem), "{name} says nothing");
        }
    }
}

/// The files that a file names as its modules.
fn modules(name: &str, text: &str) -> Vec<PathBuf> {
    let file = Path::new(name);
    let folder = file.parent().expect("a source lies in a folder");
    let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| file.ends_with(root));
    let below = if is_root { folder.to_owned() } else { file.with_extension("") };
    let (mut found, mut placed) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            placed = Some(folder.join(path));
        } else if let Some(module) =
            line.strip_suffix(';').and_then(|line| line.split_once("mod ")).map(|(_, name)| name)
        {
            let usual = [below.join(format!("{module}.rs")), below.join(module).join("mod.rs")];
            found.extend(placed.take().map_or(usual.to_vec(), |path| vec![path]));
        }
    }
    found
}

#[test]
fn every_source_is_compiled() {
    for folder in ["probes/src", "agent/src", "tests/src", "tests/tests/e2e"] {
        let sources = sources(folder);
        let named: BTreeSet<PathBuf> = sources.iter().flat_map(|(name, text)| modules(name, text)).collect();
        for (name, _) in &sources {
            let is_root = ["lib.rs", "main.rs"].iter().any(|root| *name == format!("{folder}/{root}"));
            assert!(is_root || named.contains(Path::new(name)), "no file says `mod` of {name}: nobody compiles it");
        }
    }
}

#[test]
fn tests_are_cut_by_what_they_test() {
    for folder in ["probes/src", "agent/src", "tests/src", "tests/tests"] {
        for (name, text) in sources(folder) {
            let is_of_tests = name.ends_with("tests.rs") || folder == "tests/tests";
            let others = if is_of_tests { 0 } else { before_tests(&text).count() };
            let lines = text.lines().count() - others;
            assert!(lines <= 600, "{name} has {lines} lines of tests: put those of one thing into a file of their own");
        }
    }
}
