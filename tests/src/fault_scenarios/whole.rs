//! What is wrong with a scenario beyond the shape of each key: keys that would be ignored, and words that could never be said.

use anyhow::{Result, ensure};
use ase_probes::cause::Cause;

use super::{
    expect::{AnyOfThem, Endpoints, Expect},
    file::{By, Deed, Scenario},
};

/// Checks a scenario.
pub(super) fn check(scenario: &Scenario) -> Result<()> {
    let has_daemon = scenario.by != By::Check;
    ensure!(has_daemon || scenario.fault.is_none(), "fault must be under before where only check is asked (by: check)");
    ensure!(has_daemon || scenario.then.is_empty(), "then needs a daemon: by (check) must be daemon");
    ensure!(has_daemon || scenario.logs.is_empty(), "logs needs a daemon: by (check) must be daemon");
    ensure!(scenario.flaps.is_none() || scenario.fault.is_some(), "flaps needs a fault that comes and goes");
    let cannot_end = scenario.fault.iter().flat_map(|fault| &fault.guest).any(|fault| !fault.ends_by_itself());
    let is_repaired = scenario.then.iter().any(|step| matches!(step.r#do, Deed::Repair));
    ensure!(
        !cannot_end || !(is_repaired || scenario.flaps.is_some()),
        "fault.guest lasts for ever: it cannot be repaired"
    );
    // Where both are asked, these are for the daemon: its half of the file.
    ensure!(
        has_daemon || scenario.limit.is_none(),
        "limit needs a daemon: check takes as long as it takes (by: check)"
    );
    ensure!(scenario.polite.is_none() || scenario.by == By::Daemon, "polite needs a daemon alone: by must be daemon");
    let has_prelude = has_daemon && (scenario.fault.is_some() || scenario.is_healthy());
    ensure!(scenario.healthy.is_none() || has_prelude, "healthy needs a daemon and a fault that comes after it");
    ensure!(
        scenario.reloaded.is_none() || (has_daemon && scenario.fault.is_some()),
        "reloaded needs a daemon and a fault that comes after it"
    );
    ensure!(scenario.ipv6 || !scenario.with_ipv4, "with_ipv4 needs ipv6: all else has IPv4 anyway");
    let is_judged = !matches!(scenario.expect, Expect::Anything) || scenario.polite.is_some();
    for step in &scenario.then {
        let is_reload = matches!(step.r#do, Deed::Reload(_));
        ensure!(is_judged || !is_reload, "do.reload needs something that lives on: expect (anything) holds nothing");
        ensure!(is_reload || step.visits.is_empty(), "then.visits are those after a reload");
        ensure!(
            step.within.is_none() || matches!(step.r#do, Deed::Repair | Deed::Turn(_)),
            "then.within is for repair and turn: nothing else is waited for"
        );
    }
    let turns = scenario.then.iter().filter_map(|step| match &step.r#do {
        Deed::Turn(turn) => Some(&turn.expect),
        Deed::Reload(_) | Deed::Repair | Deed::Wait => None,
    });
    for expect in turns.chain([&scenario.expect]) {
        let Expect::Incidents(incidents) = expect else { continue };
        for incident in incidents {
            let is_named = match &incident.endpoints {
                Some(Endpoints::These(these)) => !these.is_empty(),
                Some(Endpoints::Word(AnyOfThem::Any)) => true,
                None => false,
            };
            let cause = &incident.cause;
            ensure!(is_named, "expect ({cause}) must name endpoints, or say any where chance decides which they are");
        }
    }
    for label in &scenario.causes {
        ensure!(Cause::from_label(label).is_some(), "causes ({label}) must be causes");
    }
    for word in forbidden(scenario) {
        let is_known = !looks_like_a_cause(word) || Cause::from_label(word).is_some();
        ensure!(is_known, "never ({word}) looks like a cause and is none");
    }
    Ok(())
}

/// Causes and words that may not be said or printed.
fn forbidden(scenario: &Scenario) -> impl Iterator<Item = &String> {
    scenario.never.iter().chain(scenario.check.iter().flat_map(|check| &check.not))
}

/// What the agent must say.
#[cfg(test)]
fn demanded(scenario: &Scenario) -> impl Iterator<Item = &String> {
    scenario.says.iter().chain(scenario.check.iter().flat_map(|check| check.says.iter().chain(&check.first)))
}

/// Words with an underscore between them are the label of a cause.
fn looks_like_a_cause(word: &str) -> bool {
    word.contains('_') && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;
    use crate::fault_scenarios::file::files;

    /// What the agent and its probes can print: their sources without comments and tests, each string in one line.
    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("it can be read").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                sources(&path, text);
            } else if !name.ends_with("tests") {
                let whole = fs::read_to_string(&path).unwrap_or_default();
                let code = whole.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                // A string that goes on in the next line ends this one with a backslash.
                lines.for_each(|line| match line.strip_suffix('\\') {
                    Some(begun) => text.push_str(begun),
                    None => text.extend([line.trim_start(), "\n"]),
                });
            }
        }
    }

    /// Whether the sources can print a word: what is left of it without figures and addresses stands there as it is, or
    /// one of its words is a string of its own, and the other stands beside a place for it.
    fn can_be_printed(sources: &str, word: &str) -> bool {
        let has_figure = |part: &str| part.chars().any(|letter| letter.is_ascii_digit());
        let parts: Vec<&str> = word.split(' ').map(|part| if has_figure(part) { "\n" } else { part }).collect();
        let rest = parts.join(" ");
        rest.split('\n').map(str::trim).filter(|rest| !rest.is_empty()).all(|rest| {
            let is_composed = rest.split_once(' ').is_some_and(|(first, then)| {
                [(first, format!("}} {then}")), (then, format!("{first} {{"))]
                    .iter()
                    .any(|(whole, beside)| sources.contains(&format!("\"{whole}\"")) && sources.contains(beside))
            });
            sources.contains(rest) || is_composed
        })
    }

    #[test]
    fn whatever_must_or_may_not_be_said_could_be_said() {
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        ["agent/src", "probes/src"].into_iter().for_each(|folder| sources(&root.join(folder), &mut text));
        let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in files().expect("the folder is there") {
            let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error:#}"));
            // What is said of exports is composed of their names.
            let demanded = demanded(&scenario).filter(|_| scenario.group != "exports");
            for word in forbidden(&scenario).chain(demanded) {
                words.entry(word.clone()).or_default().push(scenario.path());
            }
        }
        words.retain(|word, _| !can_be_printed(&text, word));
        assert_eq!(words, BTreeMap::new(), "these words are nowhere in the agent's sources");
        for (word, can) in [
            ("was not run for", true),
            ("198.19.0.1:443: connect phase", true),
            ("after 0 ms", true),
            ("stood still", false),
            ("198.19.0.1:443: gremlin phase", false),
        ] {
            assert_eq!(can_be_printed(&text, word), can, "{word}");
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        const POLITE: &str = "polite: {names: [time.example], apart: 64s}";
        for (keys, words) in [
            (format!("by: check\n{POLITE}"), "polite needs a daemon"),
            (format!("by: both\n{POLITE}"), "polite needs a daemon"),
            ("by: check\nlimit: 9s".to_owned(), "limit needs a daemon"),
            ("by: check\nhealthy: 9s".to_owned(), "healthy needs a daemon"),
            ("healthy: 9s".to_owned(), "healthy needs a daemon"),
            ("reloaded: {}".to_owned(), "reloaded needs a daemon"),
            ("then: [{do: repair, visits: {a:443: 1}}]".to_owned(), "then.visits are those after a reload"),
            ("then: [{do: wait, within: 9s}]".to_owned(), "then.within is for repair"),
            ("never: [droped_all]".to_owned(), "never (droped_all)"),
            ("check: {not: [local_stal]}".to_owned(), "never (local_stal)"),
            ("by: check\nlogs: [x]".to_owned(), "logs needs a daemon"),
            ("flaps: {on: 1s, off: 1s, times: 2}".to_owned(), "flaps needs a fault"),
        ] {
            let text = format!("what: x\nrow: 17\nexpect: {{cause: dropped, endpoints: any}}\n{keys}\n");
            let scenario = serde_saphyr::from_str::<Scenario>(&text).expect(&keys);
            let error = check(&scenario).expect_err(&keys).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_incident_names_its_endpoints_or_says_any() {
        for (endpoints, is_whole) in
            [(", endpoints: ['*:443']", true), (", endpoints: any", true), ("", false), (", endpoints: []", false)]
        {
            let text = format!("what: x\nrow: 17\nexpect: {{cause: dropped{endpoints}}}\n");
            let scenario = serde_saphyr::from_str::<Scenario>(&text).expect(endpoints);
            assert_eq!(check(&scenario).is_ok(), is_whole, "{endpoints}");
        }
        let text = "what: x\nrow: 17\nexpect: {cause: dropped, endpoints: all}\n";
        assert!(serde_saphyr::from_str::<Scenario>(text).is_err(), "no other word stands for them");
    }

    #[test]
    fn a_reload_holds_an_incident_or_silence_and_nothing_where_anything_may_be_said() {
        for (expect, is_whole) in [("{cause: dropped, endpoints: any}", true), ("silent", true), ("anything", false)] {
            let text = format!("what: x\nrow: 17\nexpect: {expect}\nthen: [{{do: {{reload: {{}}}}}}]\n");
            let scenario = serde_saphyr::from_str::<Scenario>(&text).expect(expect);
            assert_eq!(check(&scenario).is_ok(), is_whole, "{expect}");
        }
    }
}
