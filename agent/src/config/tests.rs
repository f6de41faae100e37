//! Good files, and what is read of them.

use super::*;
use crate::model::catalog::{Addresses, Basis, Host, Severity};
use ase_probes::{class::Class, http, probe::Probe, tls::Verify};

const HOST: &[u8; 4] = &[10, 0, 0, 4];

fn found() -> Found {
    Found { servers: vec![IpAddr::from(*HOST)], file: host::RESOLV_CONF }
}

pub(crate) fn settings(text: &str) -> Result<Settings, ConfigError> {
    with_variables(text, &[])
}

fn with_variables(text: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let source = source::parse("test.yaml", text, &lookup)?;
    complete(&source, Some(&found()), Trust::none(), Findings::default())
}

/// What a file with this text makes, read as a daemon reads it.
pub(crate) fn loaded(text: &str) -> Settings {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("the file takes text");
    load(Some(file.path())).expect("a good configuration")
}

fn endpoint<'a>(settings: &'a Settings, id: &str) -> &'a crate::model::catalog::Endpoint {
    let found = settings.catalog.endpoints.iter().find(|endpoint| *endpoint.id.0 == *id);
    found.unwrap_or_else(|| panic!("{id} is in the catalogue"))
}

#[test]
fn the_url_of_the_pages_is_taken_without_its_last_slash_and_refused_with_a_secret() {
    let good = settings("external_url: HTTPS://Monitor.Example/ase/\n").expect("it is a URL");
    assert_eq!(good.external_url.map(|url| url.to_string()).as_deref(), Some("https://monitor.example/ase"));
    assert_eq!(settings("").expect("nothing is needed").external_url, None);
    for (text, message) in [
        (
            "external_url: 'https://me:pw@a.example/'",
            "test.yaml:1:15: external_url (https://…@a.example/) must hold no user",
        ),
        ("external_url: 'https://a.example/?key=pw'", "external_url (https://a.example/) must hold no query"),
        ("external_url: a.example", "external_url (a.example) must begin with http:// or https://"),
    ] {
        let said = settings(text).expect_err(text).to_string();
        assert!(said.contains(message) && !said.contains("pw"), "{said}");
    }
}

#[test]
fn nothing_is_needed_to_start() {
    let settings = settings("").expect("defaults are good");
    assert_eq!((settings.catalog.profile.as_str(), settings.catalog.cloud.as_str()), ("ase-v2", "public"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:10123");
    assert_eq!(settings.resolvers.azure.to_string(), "168.63.129.16:53");
    let dns: Vec<_> =
        settings.catalog.endpoints.iter().filter(|e| e.class == Class::Dns).map(|e| e.id.to_string()).collect();
    assert_eq!(dns, ["10.0.0.4:53/tcp", "10.0.0.4:53/udp", "168.63.129.16:53/tcp", "168.63.129.16:53/udp"]);
    let slots: Vec<_> = settings.catalog.slots.iter().map(|slot| slot.name.as_str()).collect();
    assert!(
        ["sql-server", "storage-account", "event-hub", "monitoring", "ntp-server"].iter().all(|s| slots.contains(s))
    );
    assert!(settings.catalog.endpoints.iter().all(|endpoint| endpoint.target.timeout < endpoint.interval));
}

#[test]
fn the_custom_profile_watches_what_is_added_and_nothing_else() {
    let text = "profile: custom\nendpoints:\n  add:\n    - {host: api.example, class: https}\n    \
         - {host: 10.0.0.4, class: dns}\n";
    let settings = settings(text).expect("it is a profile");
    let ids: Vec<_> = settings.catalog.endpoints.iter().map(|endpoint| endpoint.id.to_string()).collect();
    assert_eq!(ids, ["10.0.0.4:53/udp", "api.example:443"]);
    assert!(settings.catalog.slots.is_empty());
    assert_eq!(super::settings::names(&settings), ["api.example"]);
    let error = self::settings("profile: custom\nslots: {sql-server: [db.example]}").expect_err("it has no slots");
    assert!(error.to_string().contains("slots (sql-server) is no slot of this profile (it has none)"), "{error}");
    let error = self::settings("profile: custom\ncloud: usgov").expect_err("there is no such cloud").to_string();
    assert_eq!(error, "test.yaml:2:8: cloud (usgov) must be one of: public");
}

#[test]
fn fixed_addresses_are_monitoring_with_the_chain_as_proof() {
    let settings = settings("").expect("defaults are good");
    let fixed = endpoint(&settings, "40.77.24.27:443");
    assert_eq!((fixed.class, fixed.severity), (Class::Monitoring, Severity::Warning));
    let Probe::Http(question) = &fixed.target.probe else { panic!("a web probe is due") };
    assert_eq!(question.scheme, http::Scheme::Https(Verify::Chain));
    let crl = endpoint(&settings, "crl.microsoft.com:80");
    let Probe::Http(question) = &crl.target.probe else { panic!("a web probe is due") };
    assert_eq!(question.proof, http::Proof::Crl);
    let wildcard = endpoint(&settings, "sls.update.microsoft.com:443");
    assert_eq!(wildcard.about.documented_as.as_deref(), Some("*.update.microsoft.com"));
    assert_eq!(wildcard.about.basis, Basis::Suggested);
}

#[test]
fn hosts_of_authorities_are_revocation_hosts_and_those_of_retired_ones_are_information() {
    for cloud in ["public", "usgov", "china"] {
        let settings = settings(&format!("cloud: {cloud}")).expect("it is a cloud");
        let of = |ids: &[&str]| -> Vec<(String, Severity)> {
            ids.iter().map(|id| endpoint(&settings, id)).map(|one| (one.about.purpose.clone(), one.severity)).collect()
        };
        let listed =
            ["www.microsoft.com:80", "crl4.digicert.com:80", "caissuers.microsoft.com:80", "cacerts.geotrust.com:80"];
        assert!(of(&listed).iter().all(|(purpose, _)| purpose == "cert-revocation"), "{cloud}: {:?}", of(&listed));
        let retired = ["www.thawte.com:443", "crl.verisign.com:80", "ocsp.verisign.com:80"];
        assert!(of(&retired).iter().all(|(_, severity)| *severity == Severity::Info), "{cloud}: {:?}", of(&retired));
        if cloud == "china" {
            assert_eq!(of(&["ocsp.digicert.cn:80", "crl.digicert.cn:80", "cacerts.digicert.cn:80"]).len(), 3);
        }
    }
}

#[test]
fn the_configuration_adds_fills_changes_and_removes() {
    let settings = settings(
        "cloud: usgov\nvantage: snet-mirror\nworkloads: [windows]\n\
         slots: {sql-server: [db.example, 'other.example:14330'], storage-account: [acct.example]}\n\
         endpoints:\n  remove: ['wdcp*']\n  override: {'login.live.com:443': {severity: info, addresses: all, interval: 2m}}\n  \
         add:\n    - {host: api.example, class: https, path: /health, expect: {status: [200, 204]}}\n    \
         - {host: 10.1.0.9, class: tcp, port: 9000, id: queue}\nintervals: {https: 1m}\ntimeouts: {https: 9s}\n",
    )
    .expect("the file is good");
    assert_eq!(endpoint(&settings, "db.example:1433").class, Class::Sql);
    assert_eq!(endpoint(&settings, "other.example:14330").class, Class::Sql);
    assert_eq!(endpoint(&settings, "acct.example:80").class, Class::Http);
    assert_eq!(endpoint(&settings, "acct.example:443").class, Class::Https);
    assert!(!settings.catalog.slots.iter().any(|slot| slot.name == "sql-server"));
    assert!(!settings.catalog.endpoints.iter().any(|endpoint| endpoint.id.0.starts_with("wdcp")));
    let changed = endpoint(&settings, "login.live.com:443");
    assert_eq!(
        (changed.severity, changed.target.addresses, changed.interval.as_secs()),
        (Severity::Info, Addresses::All, 120)
    );
    let api = endpoint(&settings, "api.example:443");
    assert_eq!((api.interval.as_secs(), api.target.timeout.as_secs()), (60, 9));
    assert!(
        matches!(&api.target.probe, Probe::Http(q) if q.path == "/health" && q.proof == http::Proof::Status(vec![200, 204]))
    );
    assert_eq!(endpoint(&settings, "queue").target.host, Host::Address(IpAddr::from([10, 1, 0, 9])));
}

#[test]
fn ids_are_the_host_as_it_is_asked_and_the_port() {
    let settings = settings(
        "cloud: china\nslots: {sql-server: [DB.Example., 'fd00::1', '[fd00::2]:14330']}\n\
         endpoints: {add: [{host: 'fd00::53', class: dns}, {host: Api.example, class: https}]}\n",
    )
    .expect("the file is good");
    for id in ["db.example:1433", "[fd00::1]:1433", "[fd00::2]:14330", "api.example:443"] {
        endpoint(&settings, id);
    }
    let Probe::Dns(question) = &endpoint(&settings, "[fd00::53]:53/udp").target.probe else {
        panic!("a question is due")
    };
    assert_eq!(question.name, "management.chinacloudapi.cn", "the cloud's own name is asked for");
}

#[test]
fn linux_rows_are_left_out_where_no_linux_apps_run() {
    let count = |text: &str| settings(text).expect("the file is good").catalog.endpoints.len();
    assert!(count("workloads: [windows]") < count("workloads: [windows, linux]"));
    assert_eq!(count("workloads: [windows, linux]"), count(""));
}

#[test]
fn the_annotated_example_is_good_and_knows_every_key() {
    let text = include_str!("../../../systemd/ase-agent.yaml");
    settings(text).expect("the example loads");
    let all: String =
        text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).map(|line| format!("{line}\n")).collect();
    let complete = settings(&all).unwrap_or_else(|error| panic!("every commented key is valid: {error}"));
    assert_eq!(complete.vantage, "snet-mirror");
}

#[test]
fn ten_thousand_endpoints_are_the_most() {
    let with = |count: usize| {
        let rows = (0..count).map(|n| format!("    - {{host: 127.1.{}.{}, port: 9, class: tcp}}\n", n / 250, n % 250));
        settings(&format!("profile: custom\nendpoints:\n  add:\n{}", rows.collect::<String>()))
    };
    let settings = with(10_000).expect("as many as may be");
    let endpoints = &settings.catalog.endpoints;
    assert_eq!((endpoints.len(), endpoints.capacity()), (10_000, 10_000), "no room is kept for more");
    let error = with(10_001).expect_err("one too many").to_string();
    assert_eq!(error, "test.yaml:3:3: endpoints (10001) must be at most 10000");
}

#[test]
fn what_is_empty_is_the_default() {
    for text in [
        "",
        "---\n",
        "---\n# nothing yet\n",
        "# only this",
        "...\n",
        "~\n",
        "{}\n",
        "slots:\n#  sql-server: [db.example]\n",
        "slots:\n  sql-server:\nendpoints:\n  add:\n  remove:\n  override:\npace: ~\nlisten: null\ndns:\n  private:\n",
        "%YAML 1.2\n---\nslots:\n",
        "vantage:\r\nslots:\r\n",
    ] {
        let settings = settings(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!((&*settings.vantage, settings.listen), ("this host", LISTEN), "{text:?}");
    }
    let error = settings("endpoints:\n  remove:\n    - a*\n    -\n").expect_err("an empty item").to_string();
    assert!(error.contains("test.yaml:4:6: endpoints.remove[1] is an empty item"), "{error}");
}

#[test]
fn variables_stand_for_values_and_their_values_stay_secret() {
    let variables = [("SITE", "hub-west"), ("PORT", "8443"), ("SECRET", "s3cret value"), ("EMPTY", "")];
    let with = |text: &str| with_variables(text, &variables);
    let good = with(
        "vantage: agent in ${SITE}\nendpoints:\n  add:\n    - {host: 'api.${SITE}.example', class: https, port: '${PORT}'}\n    \
         - host: ${NOWHERE:-other.example}\n      class: http\nstate_dir: /var/$${SITE}/$x\n",
    )
    .expect("all are known");
    assert_eq!((&*good.vantage, good.state_dir), ("agent in hub-west", Some("/var/${SITE}/$x".into())));
    endpoint(&Settings { state_dir: None, ..good }, "api.hub-west.example:8443");
    for (text, expected) in [
        ("vantage: ${NONE}", "test.yaml:1:10: vantage (${NONE}) needs the environment variable NONE, which is not set"),
        (
            "slots:\n  sql-server: ['${EMPTY}']",
            "test.yaml:2:16: slots.sql-server[0] (${EMPTY}) needs the environment variable EMPTY",
        ),
        ("vantage: ${SITE", "test.yaml:1:10: vantage (${SITE) must close its `${` by `}`"),
        ("vantage: ${a b}", "vantage (${a b}) must name a variable by letters, digits and underscores"),
        ("pace: {drain: '${SECRET}'}", "test.yaml:1:15: pace.drain (${SECRET}) duration"),
        ("pace: {concurrency: '${SECRET}'}", "pace.concurrency (${SECRET}) must be a whole number"),
        ("slots: {sql-server: ['${SECRET}']}", "slots.sql-server (${SECRET}) must be a name or an address"),
        ("profile: '${SECRET}'", "profile (${SECRET}) must be one of"),
        ("listen: '${SECRET}'", "listen (${SECRET}) must be an address"),
        ("endpoints: {add: [{host: a, class: '${SECRET}'}]}", "test.yaml:1:36: "),
        ("endpoints: {add: [{host: a, class: https, severity: '${SECRET}'}]}", "test.yaml:1:53: "),
        ("source_address: '${SECRET}'", "source_address (${SECRET}) must be an IP address"),
        ("resolvers: {custom: ['${SECRET}']}", "resolvers.custom (${SECRET}) must be an address"),
        ("ca: {system: '${SECRET}'}", "ca.system (${SECRET}) must be true or false"),
    ] {
        let error = with(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n  got      {error}\n  expected {expected}");
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }
}

#[test]
fn a_host_may_be_a_url_or_carry_its_port() {
    let settings = settings(
        "endpoints:\n  add:\n    - host: https://api.example:8443/health?deep=1\n    - {host: 'http://plain.example', class: http}\n    \
         - {host: 'queue.example:9000', class: tcp}\n    - {host: '[fd00::7]:8080', class: http}\n\
         slots: {sql-server: ['db.example:14330', '[fd00::1]'], storage-account: ['https://acct.example/']}\n\
         resolvers: {custom: ['[fd00::53]', '[fd00::54]:5353']}\n",
    )
    .expect("people write them so");
    for id in [
        "plain.example:80",
        "queue.example:9000",
        "[fd00::7]:8080",
        "db.example:14330",
        "[fd00::1]:1433",
        "acct.example:443",
    ] {
        endpoint(&settings, id);
    }
    let Probe::Http(question) = &endpoint(&settings, "api.example:8443").target.probe else {
        panic!("a web probe is due")
    };
    assert_eq!(question.path, "/health?deep=1");
    let servers: Vec<_> = settings.resolvers.custom.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["[fd00::53]:53", "[fd00::54]:5353"]);
    for (text, expected) in [
        (
            "{host: 'https://a.example', class: http}",
            "class (http) differs from the host's, which is a URL of class https",
        ),
        ("{host: 'https://a.example:8443', port: 443}", "port (443) differs from the host's, which is 8443"),
        ("{host: 'https://a.example/x', path: /y}", "path (/y) differs from the host's, which is /x"),
        ("{host: a.example}", "class (none) must be given, or the host must be a URL"),
        (
            "{host: 'fe80::1%eth0', class: https}",
            "host (fe80::1%eth0) must be without its scope: set `interface: eth0`",
        ),
    ] {
        let error = self::settings(&format!("endpoints: {{add: [{text}]}}")).expect_err(text).to_string();
        assert!(error.contains(&format!("endpoints.add[0].{expected}")), "{text}: {error}");
    }
}

#[test]
fn aliases_and_merge_keys_are_read_and_cannot_fill_the_memory() {
    let shared = "endpoints:\n  add:\n    - &base {host: a.example, class: https, severity: info}\n    - {<<: *base, host: b.example}\n";
    assert_eq!(endpoint(&settings(shared).expect("YAML has them"), "b.example:443").severity, Severity::Info);
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, next) in ('a'..'k').zip('b'..='k') {
        bomb.push_str(&format!("{next}: &{next} [*{this}, *{this}, *{this}, *{this}, *{this}, *{this}, *{this}, *{this}, *{this}, *{this}]\n"));
    }
    let error = settings(&bomb).expect_err("ten to the eleventh").to_string();
    assert!(error.contains("aliases make more than 1048576 values here"), "{error}");
    let deep = format!("vantage: {}{}", "[".repeat(500), "]".repeat(500));
    assert!(settings(&deep).expect_err("too deep").to_string().contains("test.yaml:1:"));
}
