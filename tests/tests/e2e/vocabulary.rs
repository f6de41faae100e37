//! The words that rules and dashboards may use: the metrics, labels and closed label values of the golden `/metrics`,
//! what Prometheus itself adds, and what recording rules make. It reads PromQL as far as names go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use ase_agent::resolvers::compare::ComparisonClass;
use ase_probes::cause::Cause;

/// Labels that the scrape adds; `docs/fleet.md` documents the last two.
const OF_THE_SCRAPE: [&str; 4] = ["job", "instance", "environment", "vantage"];
/// Labels whose values form closed sets: a rule that names another value can never match.
const CLOSED: [&str; 9] = ["class", "cause", "level", "window", "scope", "side", "confidence", "phase", "transport"];
/// Causes and the rules' own word for a loss that nothing has named yet.
const UNNAMED: &str = "unnamed";

/// Reads a file of the repository.
pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The place of a file of the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The paths of a folder's files with this extension, in order.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(in_repository(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut found: Vec<String> = entries
        .map(|entry| entry.expect("the entry is readable").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| format!("{folder}/{}", path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8")))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder} has files of kind {extension}");
    found
}

/// Metrics with their labels, and the values of labels.
pub(crate) struct Vocabulary {
    labels: BTreeMap<String, BTreeSet<String>>,
    values: BTreeMap<String, BTreeSet<String>>,
}

impl Vocabulary {
    /// What the agent exports, and these recorded series, which may carry any of its labels.
    pub(crate) fn with_recorded(recorded: &[String]) -> Self {
        let mut words = Self { labels: BTreeMap::new(), values: BTreeMap::new() };
        words.read(&file("agent/tests/golden/metrics.txt"));
        words.promise("up", &[]);
        // The sample behind the golden file fetches no revocation list.
        words.promise("ase_crl_next_update_timestamp_seconds", &[("endpoint", &[])]);
        words.promise("ALERTS", &[("alertname", &[]), ("alertstate", &["pending", "firing"]), ("severity", &[])]);
        words.promise(
            "ase_diagnosis_active",
            &[
                ("class", &[]),
                ("cause", &[]),
                ("scope", &["endpoint", "host", "port", "class", "egress", "vm"]),
                ("side", &["local", "path", "remote", "unknown"]),
                ("confidence", &["confirmed", "likely", "possible"]),
            ],
        );
        let causes = words.values.entry("cause".to_owned()).or_default();
        causes.extend(Cause::ALL.iter().map(|cause| cause.label().to_owned()));
        causes.insert(UNNAMED.to_owned());
        // Only the class that is in force has a series.
        let classes = words.values.entry("class".to_owned()).or_default();
        classes.extend(ComparisonClass::ALL.iter().map(|class| class.label().to_owned()));
        let all = words.every_label();
        words.labels.extend(recorded.iter().map(|name| (name.clone(), all.clone())));
        words
    }

    fn promise(&mut self, metric: &str, labels: &[(&str, &[&str])]) {
        let of_metric = self.labels.entry(metric.to_owned()).or_default();
        for (label, values) in labels {
            of_metric.insert((*label).to_owned());
            let known = self.values.entry((*label).to_owned()).or_default();
            known.extend(values.iter().map(|value| (*value).to_owned()));
        }
    }

    fn read(&mut self, exposition: &str) {
        for line in exposition.lines().filter(|line| !line.starts_with('#')) {
            let end = line.find(['{', ' ']).expect("a sample has a value");
            let matchers = line[end..].strip_prefix('{').map_or_else(Vec::new, |rest| matchers(rest).0);
            let labels = self.labels.entry(line[..end].to_owned()).or_default();
            for matcher in matchers {
                labels.insert(matcher.label.clone());
                self.values.entry(matcher.label).or_default().insert(matcher.value);
            }
        }
    }

    fn every_label(&self) -> BTreeSet<String> {
        let all = self.labels.values().flatten().cloned();
        all.chain(OF_THE_SCRAPE.map(str::to_owned)).collect()
    }

    /// The names of the metrics that an expression reads. `further` labels are its own inventions.
    ///
    /// # Panics
    /// When it names a metric, a label or a closed label's value that does not exist.
    pub(crate) fn check(&self, wherefrom: &str, expression: &str, further: &[&str]) -> BTreeSet<String> {
        let mut metrics = BTreeSet::new();
        for word in words(expression) {
            match word {
                Word::Selector(metric, matchers) => {
                    let labels = self.labels.get(&metric).unwrap_or_else(|| panic!("{wherefrom}: no metric {metric}"));
                    for matcher in matchers {
                        self.check_matcher(&format!("{wherefrom}: {metric}"), labels, &matcher);
                    }
                    metrics.insert(metric);
                }
                Word::Grouping(label) => {
                    let known = self.every_label().contains(&label) || further.contains(&label.as_str());
                    assert!(known, "{wherefrom}: no label {label}");
                }
            }
        }
        assert!(!metrics.is_empty(), "{wherefrom} reads a metric: {expression}");
        metrics
    }

    fn check_matcher(&self, wherefrom: &str, labels: &BTreeSet<String>, matcher: &Matcher) {
        let Matcher { label, value } = matcher;
        let known = labels.contains(label) || OF_THE_SCRAPE.contains(&label.as_str());
        assert!(known, "{wherefrom} has no label {label}");
        let is_literal = !value.is_empty() && !value.contains(['$', '%', '.', '*', '+']);
        if CLOSED.contains(&label.as_str()) && is_literal {
            for one in value.split('|') {
                assert!(self.values[label].contains(one), "{wherefrom}: label {label} is never {one}");
            }
        }
    }

    /// Whether a metric of this name exists.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.labels.contains_key(metric)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Matcher {
    label: String,
    value: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Selector(String, Vec<Matcher>),
    Grouping(String),
}

/// The metrics and grouping labels of an expression, in order.
fn words(expression: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = &text[text.find('"').map_or(text.len(), |end| end + 1)..];
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let is_grouping = ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word);
        if is_grouping && let Some(list) = after.trim_start().strip_prefix('(') {
            let (list, after) = list.split_once(')').expect("a list of labels ends");
            let labels = list.split(',').map(str::trim).filter(|label| !label.is_empty());
            found.extend(labels.map(|label| Word::Grouping(label.to_owned())));
            rest = after;
        } else if word.starts_with("ase_") || word.contains(':') || ["up", "ALERTS"].contains(&word) {
            let (matchers, after) = after.strip_prefix('{').map_or_else(|| (Vec::new(), after), matchers);
            found.push(Word::Selector(word.to_owned(), matchers));
            rest = after;
        }
    }
    found
}

/// The matchers up to the closing brace, and what follows it.
fn matchers(mut rest: &str) -> (Vec<Matcher>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return (found, after);
        }
        let operator = rest.find(['=', '!']).expect("a matcher has an operator");
        let label = rest[..operator].trim().to_owned();
        rest = rest[operator..].trim_start_matches(['=', '!', '~', ' ']);
        let (value, after) = match rest.strip_prefix('"') {
            Some(text) => text.split_once('"').expect("a value ends"),
            // A template puts the quoted value there: `%q`.
            None => rest.split_at(rest.find([',', '}']).expect("a template's matcher ends")),
        };
        found.push(Matcher { label, value: value.to_owned() });
        rest = after;
    }
}

#[test]
fn words_of_an_expression_are_its_metrics_and_grouping_labels() {
    let expression =
        r#"sum by (class) (rate(ase_a_total{cause=~"b|c", x!="up"}[5m])) / on () group_left (y) a:b:c > bool 1"#;
    let matcher = |label: &str, value: &str| Matcher { label: label.to_owned(), value: value.to_owned() };
    let expected = [
        Word::Grouping("class".to_owned()),
        Word::Selector("ase_a_total".to_owned(), vec![matcher("cause", "b|c"), matcher("x", "up")]),
        Word::Grouping("y".to_owned()),
        Word::Selector("a:b:c".to_owned(), Vec::new()),
    ];
    assert_eq!(words(expression), expected);
    assert_eq!(words("ase_b{i=%q,j=\"k\"} == 1").len(), 1);
}

#[test]
fn unknown_metrics_labels_and_values_are_refused() {
    let vocabulary = Vocabulary::with_recorded(&["a:b:c".to_owned()]);
    let refused = |expression: &str| std::panic::catch_unwind(|| vocabulary.check("test", expression, &[])).is_err();
    assert!(!refused(r#"sum by (vantage) (ase_dependency_up{class="sql"}) + a:b:c"#));
    for expression in [
        "ase_no_such_metric",
        r#"ase_dependency_up{endpoint="x"}"#,
        r#"ase_dependency_up{class="sequel"}"#,
        r#"ase_probe_failures_total{cause=~"dropped|lost"}"#,
        "sum by (klass) (ase_dependency_up)",
        "no:such:record",
        "vector(1)",
    ] {
        assert!(refused(expression), "{expression}");
    }
}
