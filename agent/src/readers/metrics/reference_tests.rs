//! The reference of the metrics, made of what the sample renders, and the proof that `docs/metrics.md` is it and lists every
//! metric that the sources name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ase_probes::{class::Class, http, own_process, probe::Probe, verdict::Phase};

use super::{PageCount, Serving, render, render_serving};
use crate::{engine::histogram::Histogram, golden::assert_golden, sample, web::pages::Page};

const INTRODUCTION: &str = "\
# The metrics

Everything on `/metrics`, in its order. This page is made of what the agent renders; [dashboards](../dashboards/README.md) has the
rules that read it, and [causes](causes.md) what the label `cause` says.

- Every series exists from the first scrape, but for what was not met yet: causes, phases, classes of differences, names whose answers
  changed, and diagnoses. The sums over them are there from the start: `ase_probe_failed_total`, phase `total`, `ase_dns_changes_total`.
- What could not be tested is no outage: ask `ase_probe_success == 0 unless ase_probe_unknown == 1`.
- A gauge that the last visit did not measure is `NaN`, which compares with nothing.

| metric | type | labels | what it says |
|---|---|---|---|
";

/// Labels whose values are the user's own, or those of the outside.
const OPEN: [(&str, &str); 9] = [
    ("cause", "one of the [causes](causes.md)"),
    ("cloud", "the cloud of the profile"),
    ("edition", "the date of the profile"),
    ("endpoint", "the id of an endpoint, as `ase-agent profile show` lists it"),
    ("name", "a name that is compared between the custom DNS and Azure DNS"),
    ("profile", "the profile"),
    ("resolver", "address and port of a DNS server"),
    ("server", "a time server, by name or address"),
    ("version", "the agent's version"),
];
/// Labels of incidents, of which a sample has one value each.
const OF_INCIDENTS: [(&str, &str); 3] = [
    ("confidence", "`confirmed`, `likely`, `possible`"),
    ("scope", "`endpoint`, `host`, `port`, `class`, `egress`, `vm`"),
    ("side", "`local`, `path`, `remote`, `unknown`"),
];

/// What one metric is.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Everything that a page can show: the sample, with an endpoint that brings a revocation list, and what the server says of
/// itself.
fn everything() -> String {
    let mut snapshot = sample::snapshot();
    for view in &mut snapshot.endpoints {
        let endpoint = Arc::make_mut(&mut Arc::make_mut(view).endpoint);
        if let Probe::Http(question) = &mut endpoint.target.probe {
            question.proof = http::Proof::Crl;
        }
    }
    let mut observed = Histogram::default();
    observed.observe(std::time::Duration::from_millis(1));
    let met = snapshot.durations.keys().map(|key| (*key, observed)).chain([((Class::Sql, Phase::Tds), observed)]);
    snapshot.durations = Arc::new(met.collect());
    let count = |page: Page| PageCount { page: page.label(), renders: Histogram::default(), requests: 0, bytes: 0 };
    let pages = Page::ALL.into_iter().map(count).collect();
    let serving = Serving { pages, process: own_process::read(), ..Serving::default() };
    render(&snapshot, "0.1.0") + &render_serving(&serving, snapshot.agent.started)
}

/// The families of a text in its order.
fn families(text: &str) -> Vec<(String, Family)> {
    let mut found: Vec<(String, Family)> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let help = help.replace("\\n", " ").replace('|', "\\|");
            found.push((name.to_owned(), Family { help, ..Family::default() }));
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.last_mut().expect("a type follows its help").1.kind = kind.to_owned();
        } else {
            let family = &mut found.last_mut().expect("a sample follows its type").1;
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
            for (label, value) in labels.split("\",").filter_map(|pair| pair.split_once("=\"")) {
                let values = family.labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_end_matches('"').to_owned());
            }
            family.labels.remove("le");
        }
    }
    found
}

/// Values of a label, with the metrics that take them.
type Set<'a> = (BTreeSet<&'a str>, Vec<&'a str>);

/// The closed sets of values of each label, with the metrics that take them: sets that share a value are one.
fn sets(families: &[(String, Family)]) -> BTreeMap<&str, Vec<Set<'_>>> {
    let mut all: BTreeMap<&str, Vec<Set<'_>>> = BTreeMap::new();
    for (name, family) in families {
        for (label, values) in &family.labels {
            let sets = all.entry(label).or_default();
            let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
            match sets.iter_mut().find(|(known, _)| !known.is_disjoint(&values)) {
                Some((known, metrics)) => {
                    known.extend(values);
                    metrics.push(name);
                }
                None => sets.push((values, vec![name])),
            }
        }
    }
    all
}

fn codes<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn page(families: &[(String, Family)]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (name, Family { kind, help, labels }) in families {
        text.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", codes(labels.keys().map(String::as_str))));
    }
    text.push_str("\n## Labels\n\n| label | values |\n|---|---|\n");
    for (label, sets) in sets(families) {
        let told = OPEN.iter().chain(&OF_INCIDENTS).find(|(open, _)| *open == label);
        if let Some((_, words)) = told {
            text.push_str(&format!("| `{label}` | {words} |\n"));
            continue;
        }
        let several = sets.len() > 1;
        for (values, metrics) in sets {
            let of = if several && metrics.len() < 4 {
                format!(" of {}", codes(metrics.into_iter()))
            } else {
                String::new()
            };
            text.push_str(&format!("| `{label}`{of} | {} |\n", codes(values.into_iter())));
        }
    }
    text
}

/// The names of metrics that the sources of this reader write.
fn named() -> BTreeSet<String> {
    let readers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/readers");
    let below = fs::read_dir(readers.join("metrics")).expect("the folder is there");
    let mut files: Vec<PathBuf> = below.map(|entry| entry.expect("the entry is readable").path()).collect();
    files.retain(|path| !path.to_string_lossy().ends_with("_tests.rs"));
    files.push(readers.join("metrics.rs"));
    let code = |path: PathBuf| -> String {
        let text = fs::read_to_string(path).expect("sources are text");
        text.split("mod tests {").next().unwrap_or_default().to_owned()
    };
    let of = |text: &str, prefix: &str| {
        let opening = format!("\"{prefix}");
        let parts = text.split(&opening).skip(1).filter_map(|rest| rest.split_once('"'));
        let names = parts.filter(|(rest, _)| rest.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        names.map(|(rest, _)| format!("{prefix}{rest}")).collect::<Vec<_>>()
    };
    let prefixes = ["ase_", "process_"];
    files.into_iter().map(code).flat_map(|text| prefixes.map(|prefix| of(&text, prefix)).concat()).collect()
}

#[test]
fn the_committed_reference_is_what_is_rendered_and_lists_every_metric() {
    let text = everything();
    let families = families(&text);
    let listed: BTreeSet<String> = families.iter().map(|(name, _)| name.clone()).collect();
    assert!(listed.len() > 60, "{listed:?}");
    assert_eq!(named().difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "named and never rendered");
    for (label, _) in OPEN.iter().chain(&OF_INCIDENTS) {
        assert!(
            families.iter().any(|(_, family)| family.labels.contains_key(*label)),
            "no metric has the label {label}"
        );
    }
    assert_golden("../docs/metrics.md", &page(&families));
}
