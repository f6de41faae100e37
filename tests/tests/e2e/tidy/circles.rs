//! Modules of one folder import one another in no circle, at any depth: a file and the folder of its name are one module, and
//! only a parent and what lies below it may know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, sources};

/// A module's name with those above it; none for the crate itself.
type Module = Vec<String>;

/// What each module of a folder imports from the others.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate, without tests.
#[derive(Default)]
struct Modules {
    code: BTreeMap<Module, String>,
    /// What comes to a module by its own `use`, from where: whoever names it there imports it from its first place.
    passed_on: BTreeMap<(Module, String), Module>,
}

impl Modules {
    /// Modules by the names of their files below the crate's folder, with their texts.
    fn of(files: &[(String, String)]) -> Self {
        let of_tests: BTreeSet<Module> =
            files.iter().flat_map(|(name, text)| only_for_tests(&module_of(name), text)).collect();
        let is_of_tests = |module: &Module| (1..=module.len()).any(|length| of_tests.contains(&module[..length]));
        let mut modules = Self::default();
        for (name, text) in
            files.iter().filter(|(name, _)| !name.ends_with("tests.rs") && !is_of_tests(&module_of(name)))
        {
            modules.code.entry(module_of(name)).or_default().extend(code(text).flat_map(|line| [line, "\n"]));
        }
        let mut passed_on = BTreeMap::new();
        for (module, text) in &modules.code {
            for mut used in text.split("use ").skip(1).flat_map(expanded) {
                if used.last() == Some(&"self") {
                    used.pop();
                }
                let Some(name) = used.last().map(|name| (*name).to_owned()) else { continue };
                if !["crate", "super", "self"].contains(&used[0]) {
                    used.insert(0, "self");
                }
                let home = modules.home(module, &used);
                if home != *module {
                    passed_on.insert((module.clone(), name), home);
                }
            }
        }
        Self { passed_on, ..modules }
    }

    /// The module that a path leads to which stands in another.
    fn home(&self, from: &Module, path: &[&str]) -> Module {
        let mut home = if path[0] == "crate" { Module::new() } else { from.clone() };
        let mut rest = if path[0] == "super" { path } else { &path[1..] };
        while rest.first() == Some(&"super") {
            home.pop();
            rest = &rest[1..];
        }
        while let Some(next) = rest.first() {
            home.push((*next).to_owned());
            if !self.code.contains_key(&home) {
                let name = home.pop().expect("it was just pushed");
                return self.passed_on.get(&(home.clone(), name)).cloned().unwrap_or(home);
            }
            rest = &rest[1..];
        }
        home
    }

    /// Every folder with what its modules import from one another.
    fn folders(&self) -> BTreeMap<Module, Imports> {
        let mut folders: BTreeMap<Module, Imports> = BTreeMap::new();
        for (module, text) in &self.code {
            if let Some((name, folder)) = module.split_last() {
                folders.entry(folder.to_vec()).or_default().entry(name.clone()).or_default();
            }
            for to in paths(text).iter().map(|path| self.home(module, path)) {
                let shared = module.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (module.get(shared), to.get(shared)) {
                    let imports = folders.entry(module[..shared].to_vec()).or_default();
                    imports.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        folders
    }
}

/// The module of a file.
fn module_of(name: &str) -> Module {
    let name = name.strip_suffix(".rs").expect("sources end so");
    let mut path: Module = name.split('/').map(str::to_owned).collect();
    path.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    path
}

/// The modules below one that are there for tests only.
fn only_for_tests(module: &Module, text: &str) -> Vec<Module> {
    let lines: Vec<&str> = text.lines().collect();
    let named = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| pair[1].split_once("mod "));
    named.map(|(_, name)| [module.as_slice(), &[name.trim_end_matches(';').to_owned()]].concat()).collect()
}

/// Every path in a text that begins within its own crate.
pub(super) fn paths(text: &str) -> Vec<Vec<&str>> {
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let begins = ["crate::", "super::", "self::"].into_iter().flat_map(|first| text.match_indices(first));
    let begins = begins.map(|(at, _)| at).filter(|at| !text[..*at].ends_with(is_of_a_word));
    begins.flat_map(|at| expanded(&text[at..])).collect()
}

/// The path that a text begins with, one for each entry where it ends in a list.
fn expanded(text: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    expand(text, &[], &mut found);
    found
}

/// Adds the path that goes on here, and returns what is behind it.
fn expand<'a>(text: &'a str, before: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> &'a str {
    if let Some(mut list) = text.strip_prefix('{') {
        loop {
            list = list.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if list.is_empty() || list.starts_with('}') {
                return list.get(1..).unwrap_or_default();
            }
            let behind = expand(list, before, found);
            list = behind.find([',', '}']).map_or("", |end| &behind[end..]);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = [before, &[word]].concat();
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, &path, found),
        None => {
            found.push(path);
            rest
        }
    }
}

/// One way round, where imports lead back to where they began.
fn circle(imports: &Imports) -> Option<Vec<&str>> {
    let mut left: BTreeSet<&str> = imports.keys().map(String::as_str).collect();
    let goes_on = |module: &&str, left: &BTreeSet<&str>| imports[*module].iter().find(|to| left.contains(to.as_str()));
    while let Some(end) = left.iter().find(|module| goes_on(module, &left).is_none()).copied() {
        left.remove(end);
    }
    let mut way = vec![*left.first()?];
    loop {
        let next = goes_on(way.last().expect("it has begun"), &left).expect("only those that go on are left");
        if let Some(start) = way.iter().position(|module| *module == next) {
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}

/// The modules of a crate of this workspace.
fn of_crate(folder: &str) -> Modules {
    let below = |name: &str| name.strip_prefix(folder).expect("below the folder").trim_start_matches('/').to_owned();
    let files: Vec<_> = sources(folder).into_iter().map(|(name, text)| (below(&name), text)).collect();
    Modules::of(&files)
}

/// What the rooms of the agent import from one another, by whichever path: from, to.
pub(super) fn between_rooms() -> BTreeSet<(String, String)> {
    let folders = of_crate("agent/src").folders();
    let arrows = folders.get(&Module::new()).into_iter().flatten();
    arrows.flat_map(|(from, to)| to.iter().map(|to| (from.clone(), to.clone()))).collect()
}

#[test]
fn modules_of_one_folder_import_in_no_circle() {
    for folder in ["probes/src", "agent/src"] {
        let folders = of_crate(folder).folders();
        let circles: Vec<_> = folders.iter().filter_map(|(place, imports)| Some((place, circle(imports)?))).collect();
        assert_eq!(circles, [], "circles of imports below {folder}");
    }
}

#[test]
fn imports_are_seen_at_every_depth() {
    let (probes, agent) = (of_crate("probes/src").folders(), of_crate("agent/src").folders());
    let seen = |folders: &BTreeMap<Module, Imports>, place: &[&str], from: &str, to: &str| {
        let place: Module = place.iter().map(|part| (*part).to_owned()).collect();
        assert!(folders[&place][from].contains(to), "{place:?}: {from} imports {to}: {:?}", folders[&place][from]);
    };
    seen(&probes, &[], "attempt", "egress");
    seen(&agent, &[], "lint", "model");
    seen(&agent, &["exports"], "join", "words");
    seen(&agent, &["lint"], "judge", "regions");
    seen(&agent, &["lint", "judge"], "flows", "gate");
    seen(&agent, &["readers", "page"], "incidents", "told");
}

/// The circles of made-up files, folder by folder.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let folders = Modules::of(&files).folders();
    let told =
        |(place, imports): (&Module, &Imports)| Some(format!("{}: {}", place.join("/"), circle(imports)?.join(" ")));
    folders.iter().filter_map(told).collect()
}

#[test]
fn a_circle_of_imports_is_found() {
    let a = (
        "a.rs",
        "use crate::{\n    b::{C, D},\n    e,\n};\n// use crate::no;\n#[cfg(test)]\nmod tests {\n    use crate::f::G;\n}",
    );
    let (b, f) = (("b.rs", "fn f(_: crate::e::G) {}"), ("f.rs", "use super::a::H;"));
    assert_eq!(circles(&[a, b, f, ("e.rs", "")]), [""; 0]);
    assert_eq!(circles(&[a, b, f, ("e.rs", "use super::b::{self as other, C};")]), [": b e"]);
}

#[test]
fn a_circle_below_a_room_is_found_through_files_of_folders_and_through_what_a_parent_passes_on() {
    let files = [
        ("r/mod.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod seen;\npub use self::b::{B, C};"),
        ("r/a.rs", "mod inner;"),
        ("r/a/inner.rs", "use super::super::B;\nuse super::own;"),
        ("r/b.rs", ""),
        ("r/seen.rs", "use super::b::B;"),
    ];
    assert_eq!(circles(&files), [""; 0]);
    let back = ("r/b.rs", "use crate::r::{a::inner::I, seen::S};");
    assert_eq!(circles(&[files[0], files[1], files[2], back, files[4]]), ["r: a b"]);
}

#[test]
fn a_parent_and_what_lies_below_it_may_know_each_other() {
    let parent = ("r/a.rs", "mod one;\nmod two;\nuse one::One;\npub struct Own;");
    let (one, two) = ("use super::Own;", "use super::super::a::{Own, one};");
    assert_eq!(circles(&[("r/mod.rs", "mod a;"), parent, ("r/a/one.rs", one), ("r/a/two.rs", two)]), [""; 0]);
    let one = "use super::{Own, two::T};";
    assert_eq!(circles(&[("r/mod.rs", "mod a;"), parent, ("r/a/one.rs", one), ("r/a/two.rs", two)]), ["r/a: one two"]);
}
