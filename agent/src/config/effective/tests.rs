//! What is shown of a configuration is read again and means the same.

use super::*;
use crate::config::{Findings, Found, complete, host, source};
use ase_probes::tls::Trust;

const VARIABLES: [(&str, &str); 4] =
    [("SITE", "hub-of-secrets"), ("DATABASE", "db-secret.example"), ("EVERY", "45s"), ("KEY", "opensesame")];

/// A configuration with something of everything.
const FULL: &str = "\
vantage: ${SITE}
workloads: [windows]
slots: {sql-server: ['${DATABASE}'], storage-account: [acct.example]}
endpoints:
  add:
    - {host: 'https://api.example:8443/health?key=${KEY}', expect: {contains: 'all: \"well\"'}}
    - {host: fd00::53, class: dns, transport: tcp, interval: 1m}
    - {host: 10.1.0.9, class: tcp, port: 9000, id: queue, severity: info}
    - {host: db2.example, class: sql, tds: '8.0', interval: '${EVERY}'}
  remove: ['wdcp*']
  override: {'*:443': {timeout: 9s}, 'login*': {severity: info}, 'login.live.com:443': {addresses: all, interval: 2d}}
intervals: {https: 1m}
timeouts: {http: 5s}
resolvers: {custom: [10.0.0.4, '10.0.0.5:5353']}
pace: {concurrency: 32}
addresses: {deny: [198.51.100.0/24]}
dns: {private: [corp.example], origins: {front doors: [203.0.113.0/25]}, sinkholes: [203.0.113.99]}
risk: {prior: {half: 2h, ninety_five: 4h}, weights: {tcp: 0.5}}
diagnosis: {sql_redirect: false}
external_url: https://monitor.example/ase
exports: {nsg: nsg.json, subnet: [10.0.1.0/24], deployment: ilb, suppress: {default_only: known}, stale_after: 2d}
";

fn settings(text: &str) -> (Source, Settings) {
    let lookup = |name: &str| VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let source = source::parse("test.yaml", text, &lookup).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let found = Found { servers: vec![[10, 0, 0, 4].into()], file: host::RESOLV_CONF };
    let settings = complete(&source, Some(&found), Trust::none(), Findings::default());
    let settings = settings.unwrap_or_else(|error| panic!("{error}\n{text}"));
    (source, settings)
}

fn shown(text: &str, which: Which) -> Effective {
    let (source, settings) = settings(text);
    Effective::of(&source, &settings, which).expect("it was good")
}

/// What is in force where a file sets nothing, in JSON; the few files of exports are there for the keys beside them.
pub(in crate::config) fn shown_defaults() -> String {
    shown("exports: {nsg: nsg.json, subnet: [10.0.1.0/24], deployment: ilb}", Which::Effective).to_json()
}

/// All that the agent runs with, but for where it was read from.
fn meaning(text: &str) -> String {
    let (_, read) = settings(text);
    let resolvers = (read.resolvers.custom, read.resolvers.azure);
    let (pace, policy, risk, diagnosis) = (read.pace, read.policy, read.assumptions, read.diagnosis);
    let rest =
        (read.declared, read.compare_every, read.state_dir, read.listen, read.vantage, read.exports, read.external_url);
    format!("{:#?}\n{resolvers:?}{:?}{pace:?}{policy:?}{risk:?}{diagnosis:?}{rest:?}", read.catalog, read.egress)
}

#[test]
fn what_is_shown_means_the_same_when_it_is_read_again() {
    for text in ["", "cloud: china", "profile: custom", FULL] {
        let whole = shown(text, Which::Effective);
        assert_eq!(meaning(&whole.to_yaml()), meaning(text), "{}", whole.to_yaml());
        assert_eq!(meaning(&whole.to_json()), meaning(text), "{}", whole.to_json());
        assert_eq!(meaning(&shown(text, Which::Written).to_yaml()), meaning(text));
    }
}

#[test]
fn what_is_shown_again_is_shown_the_same() {
    let without_comments = |yaml: String| -> String {
        let words = |line: &str| line.split("  #").next().unwrap_or_default().to_owned() + "\n";
        yaml.lines().filter(|line| !line.starts_with('#')).map(words).collect()
    };
    let once = shown(FULL, Which::Effective).to_yaml();
    let twice = shown(&once, Which::Effective).to_yaml();
    assert_eq!(without_comments(once), without_comments(twice));
}

#[test]
fn no_value_of_a_variable_is_shown() {
    for text in [shown(FULL, Which::Effective).to_yaml(), shown(FULL, Which::Written).to_json()] {
        for (name, value) in VARIABLES {
            assert!(!text.contains(value) && text.contains(&format!("${{{name}}}")), "{name}: {text}");
        }
    }
}

#[test]
fn every_value_says_where_it_came_from() {
    let yaml = shown(FULL, Which::Effective).to_yaml();
    for line in [
        "vantage: \"${SITE}\"  # test.yaml:1\n",
        "listen: \"127.0.0.1:10123\"  # default\n",
        "  event-hub:  # not filled, not watched\n",
        "  https: 1m  # test.yaml:12\n",
        "  flows_per_destination: 60  # default\n",
        "    \"login.live.com:443\": {severity: info, interval: 48h, timeout: 9s, addresses: all, expect_address: any, \
         resolved_by: custom}  # expect_address, resolved_by: default; the rest: test.yaml:11\n",
        "    \"crl.microsoft.com:80\": {severity: critical, interval: 30s, timeout: 5s, addresses: first, \
         expect_address: any, resolved_by: custom}  # severity: profile; timeout: test.yaml:13; the rest: default\n",
    ] {
        assert!(yaml.contains(line), "({line}) in\n{yaml}");
    }
    let yaml = shown("", Which::Effective).to_yaml();
    assert!(yaml.contains("  custom: [\"10.0.0.4:53\"]  # /etc/resolv.conf\n"), "{yaml}");
    let json: Value = serde_json::from_str(&shown(FULL, Which::Effective).to_json()).expect("it is JSON");
    assert_eq!(json["origins"]["pace.concurrency"], "test.yaml:15");
    assert_eq!(json["origins"]["endpoints.override.login.live.com:443.interval"], "test.yaml:11");
    assert_eq!(json["origins"]["endpoints.add[1].interval"], "test.yaml:7");
}

#[test]
fn only_what_the_file_sets_is_shown_where_no_more_is_asked_for() {
    let yaml = shown("pace: {drain: 5s}\nslots: {sql-server: [db.example]}\n", Which::Written).to_yaml();
    let lines: Vec<_> = yaml.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["slots:", "  sql-server: [db.example]  # test.yaml:2", "pace:", "  drain: 5s  # test.yaml:1"]);
}

#[test]
fn every_key_of_the_file_is_shown() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/config.schema.json")).expect("the schema is JSON");
    let document: Value = serde_json::from_str(&shown(FULL, Which::Effective).to_json()).expect("it is JSON");
    for key in schema["properties"].as_object().expect("the schema lists the keys").keys() {
        assert!(document.get(key).is_some(), "{key} is missing in what `config show` prints");
    }
}
