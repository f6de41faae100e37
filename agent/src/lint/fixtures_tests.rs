//! The rule sets, tables and subnets of `tests/lint`, each with what must be said of it and what must not.
//!
//! A fixture is one JSON file: `about` says what somebody did, `files` are the exports, `expect` lists the findings as
//! `severity kind.requirement @rule`: those above information exactly, information at least. `must_not` lists kinds or
//! `kind:requirement` that may stand at no severity but in `cannot_tell`, `open` the rules that stay open.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use super::{
    finding::{Finding, Kind, Report, Severity},
    judge::{Deployment, Question, judge},
    read::Export,
    requirements::Profile,
};

/// Fewer than these are a folder that was lost.
const FIXTURES: usize = 100;

fn fixtures() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lint");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read(&path).expect("readable");
        (name, serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    fs::read_dir(&folder).expect("the fixtures are there").map(read).collect()
}

fn texts(fixture: &Value, key: &str) -> Vec<String> {
    let items = fixture[key].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn question(fixture: &Value) -> Question {
    let nets = |key: &str| texts(fixture, key).iter().map(|text| text.parse().expect("a prefix")).collect();
    let ports = fixture["app_ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    Question {
        profile: Profile::named(fixture["profile"].as_str().expect("a profile")).expect("a known profile"),
        cloud: fixture["cloud"].as_str().unwrap_or("public").to_owned(),
        subnet: nets("subnet"),
        vnet: nets("vnet"),
        service_endpoints: fixture["service_endpoints"].is_array().then(|| texts(fixture, "service_endpoints")),
        deployment: match fixture["deployment"].as_str() {
            Some("ilb") => Some(Deployment::Ilb),
            Some("external") => Some(Deployment::External),
            _ => None,
        },
        app_ports: ports.iter().map(|port| u16::try_from(port.as_u64().expect("a number")).expect("a port")).collect(),
        group: fixture["group"].as_str().map(str::to_owned),
        table: fixture["table"].as_str().map(str::to_owned),
        needs: Vec::new(),
        suppress: Vec::new(),
    }
}

fn report(fixture: &Value) -> Report {
    let mut export = Export::default();
    for (at, file) in fixture["files"].as_array().expect("files").iter().enumerate() {
        export.read(&format!("{at}.json"), file.to_string().as_bytes()).expect("it is an export");
    }
    judge(&question(fixture), &export)
}

/// A finding as fixtures write it.
fn words(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let rule = finding.rule.as_ref().map(|rule| format!(" @{rule}")).unwrap_or_default();
    format!("{severity} {}{rule}", finding.id())
}

/// Whether a finding is what a line expects; a line without a rule means any.
fn is_meant(line: &str, finding: &Finding) -> bool {
    let said = words(finding);
    if line.contains(" @") { said == line } else { said.split(" @").next() == Some(line) }
}

/// What is wrong with what is said of a fixture, one line each.
fn faults(fixture: &Value) -> Vec<String> {
    let report = report(fixture);
    let expected = texts(fixture, "expect");
    let missing = expected.iter().filter(|line| !report.findings.iter().any(|finding| is_meant(line, finding)));
    let above = report.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let extra = above.filter(|finding| !expected.iter().any(|line| is_meant(line, finding)));
    let forbidden = texts(fixture, "must_not");
    let is_forbidden = |finding: &&Finding| {
        let requirement = finding.requirement.as_deref().unwrap_or_default();
        let named = |line: &String| match line.split_once(':') {
            Some((kind, about)) => kind == finding.kind.id() && about == requirement,
            None => line == finding.kind.id(),
        };
        finding.kind != Kind::CannotTell && forbidden.iter().any(named)
    };
    let said = report.findings.iter().filter(is_forbidden);
    let open: Vec<&str> = report.could_not_judge.iter().filter_map(|open| open.rule.as_deref()).collect();
    let closed = texts(fixture, "open").into_iter().filter(|rule| !open.contains(&rule.as_str()));
    let verdict = fixture["verdict"].as_str().unwrap_or_default();
    let other = (verdict != report.verdict().label()).then(|| {
        let why: Vec<&str> = report.could_not_judge.iter().map(|open| open.why.as_str()).collect();
        format!("the verdict is {}: {}", report.verdict().label(), why.join("; "))
    });
    missing
        .map(|line| format!("is not said: {line}"))
        .chain(extra.map(|finding| format!("is said, too: {} ({})", words(finding), finding.message)))
        .chain(said.map(|finding| format!("must not be said: {} ({})", words(finding), finding.message)))
        .chain(closed.map(|rule| format!("{rule} is not open")))
        .chain(other)
        .collect()
}

#[test]
fn every_fixture_is_judged_as_it_says() {
    let all = fixtures();
    assert!(all.len() >= FIXTURES, "{} fixtures are there", all.len());
    let of = |(name, fixture): (&String, &Value)| {
        faults(fixture).into_iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = all.iter().flat_map(of).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_of_finding_stands_in_a_fixture() {
    let said: Vec<Kind> =
        fixtures().values().flat_map(|fixture| report(fixture).findings).map(|finding| finding.kind).collect();
    let missing: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !said.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
