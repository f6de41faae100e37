//! `portal` in a network of its own: the records of a private zone, real certificates, and the fragment for the daemon.

use serde_json::Value;

use crate::{
    field::{
        message::{Question, Reply},
        pki::{Pki, Wish},
        world::World,
    },
    process::{agent, run},
};

const SUFFIX: &str = "contoso.appserviceenvironment.net";
/// The inbound address.
const INBOUND: &str = "10.0.0.20";

/// A zone with a wildcard, a record for the suffix, and one for SCM sites if that is wanted.
fn zone(with_scm: bool) -> impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + Clone + 'static {
    move |asked| {
        let reply = Reply::to(asked);
        let is_scm = asked.name.ends_with(&format!(".scm.{SUFFIX}"));
        let is_known = asked.name.ends_with(SUFFIX) && (with_scm || !is_scm);
        vec![if is_known { reply.address(INBOUND) } else { reply.code(3) }.bytes()]
    }
}

/// Looks at the app `testapp`; returns the exit code and the document, which fits its schema.
fn portal(world: &World, words: &[&str]) -> (Option<i32>, Value) {
    let ca = world.folder.path().join("ca.pem");
    let more = format!("ca: {{system: false, file: {}}}", ca.display());
    let configuration = world.configuration("{host: 20.1.1.9, class: tcp, port: 9}", &more);
    let words =
        [&["portal", "--suffix", SUFFIX, "--app", "testapp", "--config", &*configuration, "--output", "json"], words];
    let output = run(&mut world.command(&agent().to_string_lossy(), &words.concat()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{notes}"));
    let schema: Value = serde_json::from_str(include_str!("../../../docs/portal.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    (output.status.code(), document)
}

/// How bad a finding is, by what it is about.
fn level<'a>(document: &'a Value, subject: &str) -> &'a str {
    let findings = document["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["subject"] == subject);
    found.and_then(|finding| finding["level"].as_str()).unwrap_or_else(|| panic!("no {subject} in {document:#}"))
}

#[test]
fn records_ports_and_certificates_decide_whether_the_portal_works() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.two_dns(zone(true), zone(false));
    let names = |names: &str| format!("subjectAltName={names}\nbasicConstraints=CA:FALSE");
    let both = names(&format!("DNS:*.{SUFFIX},DNS:*.scm.{SUFFIX}"));
    pki.issue("both", "ca", Wish { extensions: &both, ..Wish::default() });
    let server = pki.serve(443, &["both"], &[]);
    world.tcp(INBOUND, 990, drop);
    let (code, document) = portal(&world, &["--with", "ftps"]);
    // Azure DNS lacks the record for SCM sites, and nothing else is wrong.
    assert_eq!((code, &document["address"]), (Some(2), &INBOUND.into()), "{document:#}");
    for (subject, expected) in [
        ("testapp.contoso.appserviceenvironment.net", "ok"),
        ("testapp.scm.contoso.appserviceenvironment.net", "warning"),
        ("record *", "ok"),
        ("record *.scm", "warning"),
        ("record @", "ok"),
        ("https app 443", "ok"),
        ("https scm 443", "ok"),
        ("ftps 990", "ok"),
        ("data 10001-10020", "ok"),
        ("cert app", "ok"),
        ("cert scm", "ok"),
        ("portal", "warning"),
    ] {
        assert_eq!(level(&document, subject), expected, "{subject}: {document:#}");
    }
    drop(server);
    let one = names(&format!("DNS:*.{SUFFIX}"));
    pki.issue("one", "ca", Wish { extensions: &one, ..Wish::default() });
    let _server = pki.serve(443, &["one"], &[]);
    let (code, document) = portal(&world, &[]);
    assert_eq!(code, Some(1), "{document:#}");
    assert_eq!((level(&document, "cert app"), level(&document, "cert scm")), ("ok", "critical"), "{document:#}");
    assert_eq!(level(&document, "portal"), "critical");
}

#[test]
fn the_endpoints_for_the_daemon_are_a_configuration_by_themselves() {
    let Some(world) = World::new() else { return };
    let words = ["portal", "--suffix", SUFFIX, "--app", "testapp", "--with", "ftp,web-deploy", "--endpoints"];
    let said = world.agent(&words);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let file = world.file("portal.yaml", &said.text);
    let checked = world.agent(&["config", "check", &file.to_string_lossy()]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.text, said.text);
}
