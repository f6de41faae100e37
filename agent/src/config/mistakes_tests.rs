//! One bad file per rule with its exact message, and files that cannot be read at all.

use super::{tests::settings, *};

#[test]
fn every_broken_rule_is_named_with_key_and_value() {
    let long = format!("endpoints: {{add: [{{class: tcp, port: 1, host: {}example}}]}}", "abcdefg.".repeat(40));
    let rows: &[(&str, &str)] = &[
        ("profile: ase-v9", "profile (ase-v9) must be one of: ase-v2, ase-v3, vnet-integration, apim-classic, custom"),
        ("cloud: moon", "cloud (moon) must be one of: public, usgov, china"),
        ("intervalls: {dns: 30s}", "test.yaml:1:1: unknown key `intervalls`, did you mean `intervals`?"),
        ("pace:\n  concurency: 3", "test.yaml:2:3: unknown key `concurency`, did you mean `concurrency`?"),
        ("intervals: {dnss: 30s}", "test.yaml:1:13: unknown value `dnss`, did you mean `dns`?"),
        ("intervals: {dns: 30}", "test.yaml:1:18: intervals.dns: duration (30) must be a number with a unit"),
        ("intervals: {dns: 0s}", "test.yaml:1:18: intervals.dns: duration (0s) must be longer than zero"),
        (
            "intervals: {sql: 5s}\nslots: {sql-server: [db.example]}",
            "db.example:1433: timeout (7s) must be shorter than interval (5s)",
        ),
        ("intervals: {ntp: 30s}", "time.windows.com:123: interval (30s) must be at least 64s for class ntp"),
        ("resolvers: {custom: []}", "resolvers.custom ([]) must name at least one server"),
        ("resolvers: {custom: [dns.example]}", "resolvers.custom (dns.example) must be an address"),
        ("resolvers: {azure: '168.63.129.16:0'}", "resolvers.azure (168.63.129.16:0) must be an address"),
        ("slots: {sqlserver: [db.example]}", "slots (sqlserver) is no slot of this profile, did you mean sql-server?"),
        ("slots: {sql-server: []}", "slots.sql-server ([]) must name at least one host"),
        ("slots: {sql-server: ['db.example:0']}", "slots.sql-server (db.example:0) must be a host, or host:port"),
        ("slots: {sql-server: ['bücher.example']}", "must be a name or an address: the name has the character `ü`"),
        (
            "endpoints: {add: [{host: a.example, class: tcp}]}",
            "endpoints.add[0].port (none) must be given for class tcp",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, port: 0}]}",
            "endpoints.add[0].port (0) must be between 1 and 65535",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, path: health}]}",
            "endpoints.add[0].path (health) must start with a slash",
        ),
        (
            "endpoints: {add: [{host: a.example, class: sql, path: /x}]}",
            "endpoints.add[0].path (/x) has no meaning for class sql on port 1433",
        ),
        (
            "endpoints: {add: [{host: a.example, class: monitoring, expect: crl}]}",
            "endpoints.add[0].expect (crl) has no meaning for class monitoring on port 12000",
        ),
        (
            "endpoints: {add: [{host: a.example, class: http, verify: chain}]}",
            "endpoints.add[0].verify (chain) has no meaning for class http on port 80",
        ),
        (
            "endpoints: {add: [{host: a.example, class: tcp, port: 9, tds: '8.0'}]}",
            "endpoints.add[0].tds (8.0) has no meaning for class tcp on port 9",
        ),
        (
            "endpoints: {add: [{host: a.example, class: ntp, question: b.example}]}",
            "endpoints.add[0].question (b.example) has no meaning for class ntp on port 123",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, transport: tcp}]}",
            "endpoints.add[0].transport (tcp) has no meaning for class https on port 443",
        ),
        (
            "endpoints: {add: [{host: 10.0.0.9, class: dns, question: 'a b'}]}",
            "endpoints.add[0].question (a b) must be a name: the name has the character ` `",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, expect: {status: []}}]}",
            "endpoints.add[0].expect.status ([]) must name at least one status",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, expect: {contains: ''}}]}",
            "endpoints.add[0].expect.contains (\"\") must not be empty",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, id: ''}]}",
            "endpoints.add[0].id () must be 1 to 255 visible ASCII characters",
        ),
        (
            "endpoints: {add: [{host: a.example, class: https, id: \"a\\e[2J\"}]}",
            "endpoints.add[0].id (a\\u{1b}[2J) must be 1 to 255 visible ASCII characters",
        ),
        (
            "endpoints: {add: [{host: login.live.com, class: tcp, port: 443}]}",
            "endpoints (login.live.com:443) must be unique",
        ),
        ("slots: {sql-server: [DB.example, db.example.]}", "endpoints (db.example:1433) must be unique"),
        ("resolvers: {custom: [10.0.0.4, '10.0.0.4:53']}", "resolvers.custom (10.0.0.4:53) must be named once"),
        (
            "endpoints: {add: [{host: a.example, class: https, expect: {status: [99]}}]}",
            "endpoints.add[0].expect.status (99) must be between 200 and 599",
        ),
        (
            "endpoints: {add: [{host: dns.example, class: dns}]}",
            "endpoints.add[0].host (dns.example) must be an address for class dns",
        ),
        ("endpoints: {add: [{host: login.live.com, class: https}]}", "endpoints (login.live.com:443) must be unique"),
        ("endpoints: {remove: ['login.life.com:443']}", "matches no endpoint, did you mean login.live.com:443?"),
        (
            "endpoints: {override: {'nothing:1': {severity: info}}}",
            "endpoints.override (nothing:1) matches no endpoint",
        ),
        (&long, "must be a name or an address: the name has"),
        ("pace: {concurrency: 0}", "pace.concurrency (0) must be between 1 and 1024"),
        ("pace: {flows_per_destination: 0}", "pace.flows_per_destination (0) must be at least 1"),
        ("addresses: {allow: [10.0.0.1/8]}", "addresses.allow (10.0.0.1/8) must have no host bits set"),
        ("addresses: {deny: [ten]}", "addresses.deny (ten) must be a prefix in CIDR notation"),
        ("interface: an-interface-name-too-long", "interface (an-interface-name-too-long) must be an interface name"),
        ("dns: {private: ['a b']}", "dns.private (a b) must be a name or a suffix"),
        (
            "risk: {horizon: 4h, prior: {half: 2h, ninety_five: 4h}}",
            "risk.horizon (4h) cannot stand beside `risk.prior`",
        ),
        ("risk: {prior: {half: 4h, ninety_five: 2h}}", "risk.prior.half (4h) must be shorter than ninety_five (2h)"),
        ("risk: {weights: {sql: 1.5}}", "risk.weights.sql (1.5) must be between 0 and 1"),
        ("dns: {interval: 2s}", "dns.interval (2s) must be at least 10s"),
        ("dns: {max_names: 5}", "dns.max_names (5) is less than the"),
        ("listen: here", "test.yaml:1:9: listen (here) must be an address with a port"),
        ("source_address: eth0", "test.yaml:1:17: source_address (eth0) must be an IP address"),
        ("dns: {origins: {front doors: []}}", "dns.origins.front doors ([]) must name at least one prefix"),
        (
            "dns: {origins: {front doors: [10.0.0.1/8]}}",
            "dns.origins.front doors (10.0.0.1/8) must have no host bits set",
        ),
        ("dns: {sinkholes: [a, b]}", "test.yaml:1:19: dns.sinkholes[0] (a) must be an IP address"),
        ("pace: {concurrency: many, drain: 1s}", "test.yaml:1:21: pace.concurrency (many) must be a whole number"),
        ("pace:\n  concurrency: -1 # less", "test.yaml:2:16: pace.concurrency (-1) must be a whole number"),
        (
            "pace: {drain: 9223372036854775807s}",
            "test.yaml:1:15: pace.drain: duration (9223372036854775807s) must be at most",
        ),
        ("resolvers: {custom: 10.0.0.4}", "test.yaml:1:21: resolvers.custom (10.0.0.4) must be a list"),
        ("ca: {system: perhaps}", "test.yaml:1:14: ca.system (perhaps) must be true or false"),
        (
            "endpoints: {add: [{host: a.example, class: https, port: 70000}]}",
            "test.yaml:1:57: endpoints.add[0].port (70000) must be a whole number from 0 to 65535",
        ),
        (
            "endpoints:\n  add:\n    - host: a.example",
            "test.yaml:3:7: endpoints.add[0].class (none) must be given, or the host must be a URL",
        ),
        ("profile: ase-v2\nprofile: ase-v2", "test.yaml:2:1: key `profile` stands there twice"),
        ("pace:\n  drain:\n    - 1s", "test.yaml:3:5: pace.drain must be one value"),
        ("profile: [", "test.yaml:1:10: this is no YAML:"),
        ("profile: \"ase", "test.yaml:1:"),
        ("- a\n- b", "test.yaml:1:1: must be a mapping of keys to values"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        let error = settings(text).expect_err(text).to_string();
        let has_a_line = error.starts_with("test.yaml:") && error.as_bytes().get(10).is_some_and(u8::is_ascii_digit);
        if !(has_a_line && error.contains(expected)) {
            wrong.push(format!("{text}\n  got      {error}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_of_a_file_is_told_in_one_run_with_its_line() {
    let text = "\
pace:
  concurency: 3
  concurrency: 0
  drain: 5
slots:
  sqlserver: [db.example]
  storage-account: [good.example, 'bad host', 'worse:0']
endpoints:
  add:
    - {host: a.example, class: https, port: 70000}
    - {host: b.example, class: tcp}
    - {host: c.example, class: https, path: health}
    - {host: d.example, class: https, timeout: 2m}
  remove: [nothing.example]
timeouts: {https: 40s}
resolvers: {custom: [10.0.0.4, 10.0.0.4, dns.example]}
addresses:
  deny: [10.0.0.1/8]
listen: 10123
dns: {private: ['a..b'], origins: {front: []}}
risk: {weights: {dns: 2}}
";
    let error = settings(text).expect_err("it is full of mistakes");
    let lines: Vec<u64> = error.mistakes.iter().filter_map(|mistake| Some(mistake.at?.0)).collect();
    assert_eq!(lines, [2, 3, 4, 6, 7, 7, 10, 11, 12, 13, 15, 16, 16, 18, 19, 20, 20, 21], "{error}");
    assert_eq!(error.to_string().lines().count(), lines.len(), "{error}");
    assert!(!error.to_string().contains("nothing.example"), "what is missing may be one of the broken ones: {error}");
    assert!(error.to_string().contains("test.yaml:11:7: endpoints.add[1].port (none) must be given"), "{error}");
}

#[test]
fn files_and_authorities_that_cannot_be_read_are_named() {
    let error = load(Some(Path::new("/nonexistent/a.yaml"))).expect_err("no such file").to_string();
    assert!(error.starts_with("/nonexistent/a.yaml: cannot be read:"), "{error}");
    for (odd, rule) in [("/dev/zero", "must be a regular file"), ("/dev", "must be a file, and is a directory")] {
        let error = load(Some(Path::new(odd))).expect_err(odd).to_string();
        assert!(error.starts_with(&format!("{odd}: {rule}")), "{error}");
    }
    let file = |text: &str| source::parse("test.yaml", text, &|_| None).expect("well formed").file;
    let trust_of = |text: &str| trust(&file(text), &mut Vec::new()).expect_err(text).message;
    assert!(trust_of("ca: {file: /nonexistent/ca.pem}").starts_with("ca.file (/nonexistent/ca.pem)"));
    assert!(trust_of("ca: {file: /dev/null}").starts_with("ca.file (/dev/null)"));
    assert!(trust_of("ca: {system: false}").starts_with("ca.system (false) needs a `ca.file`"));
}

#[test]
fn a_second_document_is_named_with_its_line_beside_what_is_wrong_in_the_first() {
    for (text, expected) in [
        ("vantage: x\n---\nlisten: 127.0.0.1:1\n", "test.yaml:2:1: a second document begins here"),
        ("---\nvantage: x\n...\n---\n", "test.yaml:4:1: a second document begins here"),
        ("# nothing\n---\n---\nvantage: x\n", "test.yaml:3:1: a second document begins here"),
        ("pace: {drain: 1}\n---\nlisten: 1\n", "test.yaml:1:15: pace.drain: duration (1)"),
    ] {
        let error = settings(text).expect_err(text).to_string();
        assert!(error.contains(expected) && error.contains("a second document"), "{text}: {error}");
    }
    assert_eq!(settings("vantage: x\n...\n").expect("an end is no beginning").vantage, "x");
}
