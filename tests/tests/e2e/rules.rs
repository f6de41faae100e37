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
/// Where an alert says its runbook is: below the external label, else where the package puts it.
const RUNBOOKS_AT: &str =
    "{{ with $externalLabels.runbooks }}{{ . }}{{ else }}file:///usr/share/ase-agent/dashboards/runbooks{{ end }}";
/// Where an alert links to the agent's pages: below the URL of the configuration, else at the address that is scraped.
const PAGES_AT: &str = "{{ with query (printf \"ase_agent_external_url_info{instance=%q}\" $labels.instance) }}\
                        {{ (. | first).Labels.url }}{{ else }}http://{{ $labels.instance }}{{ end }}";
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
    let quoted = annotation.split("printf \"").skip(1).filter_map(|rest| rest.split_once('"').map(|(query, _)| query));
    // The others are forms of numbers.
    quoted.filter(|text| text.contains('{'))
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
        let links = format!("{TESTS}/pages");
        for path in [TESTS, &*recorded, &*links].into_iter().flat_map(|folder| files(folder, "yml")) {
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
        let is_optional = |key: &&str| ["endpoint", "page"].contains(key);
        let keys: Vec<&str> = rule.annotations.keys().map(String::as_str).filter(|key| !is_optional(key)).collect();
        assert_eq!(keys, ["component", "description", "next_step", "owner", "runbook_url", "summary"], "{name}");
        // Those of the fleet speak of several agents, and one says that there is none.
        let is_of_one = !name.starts_with("AseFleet") && name != "AseAgentAbsent";
        let page = rule.annotations.get("page").map_or("", String::as_str);
        assert_eq!(page.starts_with(PAGES_AT), is_of_one, "{name}");
        assert_eq!(rule.annotations["runbook_url"], format!("{RUNBOOKS_AT}/{name}.md"));
        assert!(!rule.annotations["summary"].ends_with('.'), "{name}");
        let page = file(&format!("{RUNBOOKS}/{name}.md")).replace('`', "");
        let owner = page.split("\n## Who mends it\n").nth(1).and_then(|rest| rest.split("\n## ").next());
        let owner = owner.expect("a page says who mends it").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(rule.annotations["owner"], owner, "{name}: alert and runbook name the same owner");
        filled(&rule.annotations["next_step"]).split("; ").for_each(check_command);
    }
}

/// A template with the labels that the sample of an incident would have.
fn filled(template: &str) -> String {
    let labels = [("class", "sql"), ("cause", "dropped"), ("endpoint", "a.example:443")];
    let mut text = template.replace("{{ if ne $labels.cause \"unnamed\" }}", "");
    for (label, value) in labels {
        text = text.replace(&format!("{{{{ $labels.{label} }}}}"), value);
    }
    if let Some((before, query)) = text.clone().split_once("{{ with query ") {
        let after = query.rsplit_once("{{ . | first | label \"name\" }}{{ end }}").expect("it takes a name").1;
        text = format!("{before} a.example{after}");
    }
    let text = text.replace("{{ end }}", "");
    assert!(!text.contains("{{"), "{template}: {text}");
    text
}

#[test]
fn annotations_name_only_labels_that_their_alert_has() {
    let read = |path: &String| -> TestFile {
        serde_saphyr::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let tests: Vec<Test> = files(TESTS, "yml").iter().map(read).flat_map(|file| file.tests).collect();
    let samples = || tests.iter().flat_map(|test| &test.promql_expr_test).flat_map(|expected| &expected.exp_samples);
    for (name, rule) in alerts() {
        let of_alert = samples().filter(|sample| sample.labels.contains(&format!("alertname=\"{name}\"")));
        let known: Vec<&str> = of_alert.map(|sample| &*sample.labels).collect();
        for (key, text) in &rule.annotations {
            let words = text.split("$labels.").skip(1);
            for label in words.filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
            {
                // The tests of rules leave out which agent it was.
                let is_target = ["instance", "job"].contains(&label);
                let has = known.iter().any(|labels| labels.contains(&format!("{label}=\"")));
                assert!(is_target || has, "{name}: {key} names the label {label}");
            }
        }
    }
}

#[test]
fn one_external_label_moves_every_runbook() {
    if !require("promtool", "prometheus") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write =
        |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("the folder is writable");
    write("alerts.yml", file("dashboards/rules/alerts.yml"));
    for (labels, base) in [
        ("", "file:///usr/share/ase-agent/dashboards/runbooks"),
        ("external_labels: {runbooks: 'https://wiki.example/ase'}", "https://wiki.example/ase"),
    ] {
        // Prometheus expands templates of alerts only; the expected annotations are compared word by word.
        let rule = &alerts()["AseStoreFailing"];
        let text = |key: &str| rule.annotations[key].replace("{{ $labels.instance }}", "a:1").replace('\'', "''");
        let annotations = ["summary", "description", "component", "owner", "next_step"]
            .map(|key| format!("            {key}: '{}'\n", text(key)))
            .concat();
        let expected = format!(
            "{annotations}            page: 'http://a:1/'\n            runbook_url: '{base}/AseStoreFailing.md'\n"
        );
        write(
            "test.yml",
            format!(
                "rule_files: [alerts.yml]\ntests:\n  - interval: 1m\n    {labels}\n    input_series:\n      \
                - {{series: 'ase_store_ok{{job=\"ase-agent\",instance=\"a:1\"}}', values: '0x60'}}\n    alert_rule_test:\n      \
                - eval_time: 59m\n        alertname: AseStoreFailing\n        exp_alerts:\n          \
                - exp_labels: {{severity: warning, job: ase-agent, instance: 'a:1'}}\n            exp_annotations:\n{}",
                expected.replace("            ", "              ")
            ),
        );
        let output = run(Command::new("promtool").args(["test", "rules"]).arg(folder.path().join("test.yml")));
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{base}: {}", String::from_utf8_lossy(&said));
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
