//! The shipped alerts: promtool accepts them, each is tested both ways and has its runbook page, and all their words exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use ase_agent::commands::cli::Cli;
use ase_probes::cause::Cause;
use clap::{Parser as _, error::ErrorKind};
use serde::Deserialize;

use crate::{
    process::{require, run},
    vocabulary::{Vocabulary, file, files, in_repository},
};

const RULES: &str = "dashboards/rules";
const TESTS: &str = "dashboards/rules/tests";
const RUNBOOKS: &str = "dashboards/runbooks";
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
/// Labels that alerts make up: what a DNS comparison found, and the label's name in Prometheus.
const OWN_LABELS: [&str; 1] = ["comparison"];
const HEADINGS: [&str; 5] =
    ["## What it means", "## Confirm it", "## Who mends it", "## What to change", "## Check before you change it"];

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Clone, Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    #[serde(default)]
    input_series: Vec<Series>,
    promql_expr_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
}

#[derive(Deserialize)]
struct Expected {
    expr: String,
    exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    labels: String,
}

fn rules() -> Vec<Rule> {
    let read = |path: &String| -> Rules {
        serde_saphyr::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    files(RULES, "yml").iter().map(read).flat_map(|rules| rules.groups).flat_map(|group| group.rules).collect()
}

fn alerts() -> BTreeMap<String, Rule> {
    rules().into_iter().filter_map(|rule| Some((rule.alert.clone()?, rule))).collect()
}

/// The words of the agent and of the recording rules.
pub(crate) fn vocabulary() -> Vocabulary {
    let recorded: Vec<String> = rules().into_iter().filter_map(|rule| rule.record).collect();
    Vocabulary::with_recorded(&recorded)
}

/// The expressions inside the templates of an annotation: `query (printf "…" …)`.
fn queries(annotation: &str) -> impl Iterator<Item = &str> {
    annotation.split("printf \"").skip(1).filter_map(|rest| rest.split_once('"').map(|(query, _)| query))
}

fn promtool(words: &[&str], paths: &[String]) {
    if !require("promtool", "prometheus") {
        return;
    }
    let output = run(Command::new("promtool").args(words).args(paths.iter().map(|path| in_repository(path))));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_accepts_every_rule_without_a_remark() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &files(RULES, "yml"));
}

#[test]
fn every_promtool_test_passes() {
    std::thread::scope(|scope| {
        let recorded = format!("{TESTS}/recorded");
        for path in files(TESTS, "yml").into_iter().chain(files(&recorded, "yml")) {
            scope.spawn(move || promtool(&["test", "rules"], &[path]));
        }
    });
}

#[test]
fn amtool_accepts_the_routes_and_every_silenced_alert_exists() {
    let path = "dashboards/alertmanager.yml";
    if require("amtool", "prometheus-alertmanager") {
        let output = run(Command::new("amtool").arg("check-config").arg(in_repository(path)));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let alerts = alerts();
    let text = file(path);
    let named = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '*');
    for name in named.filter(|word| word.starts_with("Ase")) {
        let exists = match name.strip_suffix(".*") {
            Some(start) => alerts.keys().any(|alert| alert.starts_with(start)),
            None => alerts.contains_key(name),
        };
        assert!(exists, "{path} names {name}");
    }
}

#[test]
fn every_alert_is_tested_both_ways() {
    let vocabulary = vocabulary();
    let read = |path: &String| -> TestFile {
        serde_saphyr::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let tests: Vec<Test> = files(TESTS, "yml").iter().map(read).flat_map(|file| file.tests).collect();
    let alerts = alerts();
    for test in &tests {
        let alert = test.name.split(' ').next().unwrap_or_default();
        assert!(alerts.contains_key(alert), "the test `{}` is about an alert", test.name);
    }
    for (name, rule) in &alerts {
        let reads = vocabulary.check(name, &rule.expr, &OWN_LABELS);
        let (mut fires, mut silent) = (0, 0);
        for test in &tests {
            let [case] = test.promql_expr_test.as_slice() else { panic!("{}: one moment per test", test.name) };
            assert_eq!(case.expr, "count without (job, instance) (ALERTS{alertstate=\"firing\"})", "{}", test.name);
            let label = format!("alertname=\"{name}\"");
            let is_firing = case.exp_samples.iter().any(|sample| sample.labels.contains(&label));
            if test.name.starts_with(&format!("{name} fires ")) {
                assert!(is_firing, "{}", test.name);
                fires += 1;
            } else if test.name.starts_with(&format!("{name} silent ")) {
                // A rule is silent about series that are not there: such a test shows nothing.
                let given =
                    |metric: &String| test.input_series.iter().any(|s| s.series.starts_with(&format!("{metric}{{")));
                let is_recorded = |metric: &String| metric.contains(':');
                assert!(reads.iter().any(|metric| given(metric) || is_recorded(metric)), "{}", test.name);
                let is_about_another = name == "AseDependencyLost" && test.name.contains("beside the lost one");
                assert!(!is_firing || is_about_another, "{}", test.name);
                silent += 1;
            }
        }
        assert!(fires > 0 && silent > 0, "{name}: {fires} tests fire it, {silent} keep it silent");
    }
}

#[test]
fn rules_name_only_what_exists() {
    let vocabulary = vocabulary();
    for rule in rules() {
        let name = rule.record.as_ref().or(rule.alert.as_ref()).expect("a rule records or alerts");
        vocabulary.check(name, &rule.expr, &OWN_LABELS);
        for query in rule.annotations.values().flat_map(|text| queries(text)) {
            vocabulary.check(name, query, &OWN_LABELS);
        }
    }
}

#[test]
fn every_alert_says_what_who_and_where_to_read_on() {
    for (name, rule) in alerts() {
        assert!(name.starts_with("Ase") && !name.contains('_'), "{name}");
        assert!(SEVERITIES.contains(&rule.labels["severity"].as_str()), "{name}");
        let keys: Vec<&str> = rule.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook_url", "summary"], "{name}");
        assert_eq!(rule.annotations["runbook_url"], format!("{RUNBOOKS}/{name}.md"));
        assert!(!rule.annotations["summary"].ends_with('.'), "{name}");
    }
}

#[test]
fn every_alert_has_a_runbook_whose_commands_work() {
    let alerts = alerts();
    let vocabulary = vocabulary();
    let pages: BTreeSet<String> = files(RUNBOOKS, "md").into_iter().collect();
    let expected: BTreeSet<String> = alerts.keys().map(|name| format!("{RUNBOOKS}/{name}.md")).collect();
    assert_eq!(pages, expected, "one page per alert");
    for (name, rule) in &alerts {
        let page = file(&format!("{RUNBOOKS}/{name}.md"));
        assert!(page.starts_with(&format!("# {name}\n\nSeverity: {}\n", rule.labels["severity"])), "{name}");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("ase-agent ")).collect();
        assert!(!commands.is_empty(), "{name} confirms with ase-agent");
        commands.into_iter().for_each(check_command);
        for quoted in page.split('`').skip(1).step_by(2) {
            assert!(!quoted.starts_with("Ase") || alerts.contains_key(quoted), "{name}: no alert {quoted}");
            assert!(!quoted.starts_with("ase_") || vocabulary.has(quoted), "{name}: no metric {quoted}");
        }
    }
}

fn check_command(line: &str) {
    if let Err(error) = Cli::try_parse_from(line.split(' ')) {
        assert_eq!(error.kind(), ErrorKind::DisplayVersion, "{line}: {error}");
    }
    if let Some(cause) = line.strip_prefix("ase-agent explain ") {
        assert!(Cause::ALL.iter().any(|known| known.label() == cause), "{line}");
    }
}
