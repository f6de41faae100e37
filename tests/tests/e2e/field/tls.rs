//! TLS and certificates as real servers have them.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::{
    pki::{AUTHORITY, BRAINPOOL, ED448, OVER, P256, P384, P521, Pki, RSA_1024, RSA_2048, RSA_PSS, Wish},
    world::{Checked, World},
};

const WEB: &str = "{host: web.example, class: https}";
const LEAF: &str = "subjectAltName=DNS:web.example\nbasicConstraints=CA:FALSE";

/// Checks `web.example` with the authorities of this file alone.
fn check(world: &World, authorities: &str) -> Checked {
    let file = world.folder.path().join(format!("{authorities}.pem"));
    let checked = world.check_with(WEB, &format!("ca: {{system: false, file: {}}}", file.display()));
    // No text may be one that a program's own types print.
    checked.never_says(" { ").never_says("Error(").never_says("Context");
    checked
}

/// The first incident has these values; where there is none, the endpoint's own finding is asked.
fn blames(checked: &Checked, expected: &Value) {
    let incident = &checked.document["incidents"][0];
    for (key, value) in expected.as_object().expect("a mapping") {
        assert_eq!(&incident[key], value, "{key} of {:#}", checked.document);
    }
}

/// One certificate for `web.example` by `ca`, served with these further arguments, and what is said of it.
fn served(wish: Wish<'_>, more: &[&str]) -> Option<Checked> {
    let world = World::new()?;
    let pki = Pki::new(&world)?;
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", wish);
    let _server = pki.serve(443, &["leaf"], more);
    Some(check(&world, "ca"))
}

fn is_well(checked: &Checked) {
    checked.exits(0).shows(&json!({"status": "healthy", "cause": null}));
}

fn is_beyond(checked: &Checked, words: &str) {
    checked
        .exits(2)
        .shows(&json!({"status": "unknown"}))
        .says(words)
        .never_says("refuse")
        .never_says("does not verify");
    blames(checked, &json!({"cause": "local_limit", "side": "local"}));
}

fn is_invalid(checked: &Checked, words: &str) {
    checked.exits(1).shows(&json!({"status": "failed", "cause": "tls_cert_invalid"})).says(words);
    blames(checked, &json!({"cause": "tls_cert_invalid", "side": "remote"}));
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_is_named() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    for extensions in [LEAF, "basicConstraints=critical,CA:TRUE\nsubjectAltName=DNS:web.example"] {
        pki.authority("self", Wish { extensions, subject: "/CN=one", ..Wish::default() });
        let _server = pki.serve(443, &["self"], &[]);
        is_well(&check(&world, "self"));
        is_invalid(&check(&world, "ca"), "it is self-signed");
    }
    pki.authority("self", Wish { extensions: AUTHORITY, subject: "/CN=one", validity: OVER, ..Wish::default() });
    let _server = pki.serve(443, &["self"], &[]);
    is_invalid(&check(&world, "self"), "it has expired");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_trusted_where_it_is_named_itself() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", Wish::default());
    pki.authority("other", Wish::default());
    let _server = pki.serve(443, &["leaf"], &[]);
    is_well(&check(&world, "leaf"));
    is_invalid(&check(&world, "other"), "no trusted authority issued it");
}

#[test]
fn a_certificate_without_alternative_names_is_said_to_be_one() {
    let no_names = Wish { extensions: "basicConstraints=CA:FALSE", ..Wish::default() };
    let Some(checked) = served(no_names, &[]) else { return };
    is_invalid(&checked, "it has no subject alternative name");
    checked.never_says("other names");
    let other = served(Wish { subject: "/CN=else.example", ..no_names }, &[]).expect("the rights are there");
    is_invalid(&other, "it is for other names");
}

#[test]
fn keys_and_signatures_that_usual_clients_know_are_well() {
    let sha512 = &["sha512"][..];
    let pss = &["sha256", "rsa_padding_mode:pss", "rsa_pss_saltlen:32"][..];
    let rows: [(&str, Wish<'_>, Wish<'_>); 8] = [
        ("P-521", Wish::default(), Wish { key: P521, ..Wish::default() }),
        ("SHA-512 under P-256", Wish::default(), Wish { signed: sha512, ..Wish::default() }),
        ("SHA-512 under P-384", Wish { key: P384, ..Wish::default() }, Wish { signed: sha512, ..Wish::default() }),
        ("SHA-256 under P-521", Wish { key: P521, ..Wish::default() }, Wish { key: P384, ..Wish::default() }),
        ("SHA-512 under P-521", Wish { key: P521, ..Wish::default() }, Wish { signed: sha512, ..Wish::default() }),
        ("PSS under RSA", Wish { key: RSA_2048, ..Wish::default() }, Wish { signed: pss, ..Wish::default() }),
        ("PSS alone", Wish { key: RSA_PSS, signed: pss, ..Wish::default() }, Wish { signed: pss, ..Wish::default() }),
        ("a key for PSS", Wish::default(), Wish { key: RSA_PSS, ..Wish::default() }),
    ];
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    for (what, root, leaf) in rows {
        pki.authority("root", root);
        pki.issue("leaf", "root", leaf);
        for version in ["-tls1_3", "-tls1_2"] {
            let _server = pki.serve(443, &["leaf"], &[version]);
            let checked = check(&world, "root");
            match (what, version) {
                ("a key for PSS", "-tls1_2") => is_beyond(&checked, "RSASSA-PSS key of 2048 bits"),
                // In TLS 1.2 a key's curve must be one that keys are agreed on with (RFC 8422 section 5.1).
                ("P-521", "-tls1_2") => is_beyond(&checked, "the peer answers: TLS 1.2"),
                _ => assert_eq!(checked.code, Some(0), "{what} {version}: {:#}", checked.document),
            }
        }
    }
}

#[test]
fn what_this_agent_cannot_check_is_its_own_limit() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    let weak = &["-cipher", "DEFAULT:@SECLEVEL=0"][..];
    let rows: [(&str, Wish<'_>, Wish<'_>, &[&str]); 5] = [
        ("RSA key of 1024 bits", Wish::default(), Wish { key: RSA_1024, ..Wish::default() }, weak),
        ("RSA key of 1024 bits", Wish { key: RSA_1024, ..Wish::default() }, Wish::default(), weak),
        ("Ed448", Wish::default(), Wish { key: ED448, ..Wish::default() }, &[]),
        ("brainpoolP256r1", Wish { key: BRAINPOOL, ..Wish::default() }, Wish::default(), &[]),
        (
            "RSA with SHA-1",
            Wish { key: RSA_2048, ..Wish::default() },
            Wish { signed: &["sha1"], ..Wish::default() },
            weak,
        ),
    ];
    for (words, root, leaf, more) in rows {
        pki.authority("root", root);
        pki.issue("leaf", "root", leaf);
        for version in ["-tls1_3", "-tls1_2"] {
            let _server = pki.serve(443, &["leaf"], &[&[version], more].concat());
            is_beyond(&check(&world, "root"), words);
        }
        // What is wrong with it besides outweighs what cannot be judged.
        let _server = pki.serve(443, &["leaf"], more);
        is_invalid(&check(&world, "ca"), "no trusted authority issued it");
    }
}

#[test]
fn a_certificate_of_the_first_version_cannot_be_judged() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", Wish::default());
    pki.openssl(&[
        "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "9", "-out", "leaf.pem",
    ]);
    let _server = pki.serve(443, &["leaf"], &[]);
    is_beyond(&check(&world, "ca"), "X.509 version 1");
}

#[test]
fn a_constraint_on_directory_names_cannot_be_judged_and_one_on_host_names_can() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    let subject = "/C=IT/O=Lab/CN=web.example";
    let limited =
        |names: &str| format!("{AUTHORITY}\nnameConstraints=critical,@nc\n[nc]\n{names}\n[dn]\nC=IT\nO=Lab\n");
    for (names, is_well_named) in [
        ("permitted;DNS.1=example\npermitted;dirName.1=dn", true),
        ("permitted;dirName.1=dn", true),
        ("permitted;DNS.1=else.example\npermitted;dirName.1=dn", false),
        ("permitted;DNS.1=else.example", false),
    ] {
        let extensions = &limited(names);
        pki.issue("middle", "ca", Wish { subject: "/C=IT/O=Lab/CN=Issuing", extensions, ..Wish::default() });
        pki.issue("leaf", "middle", Wish { subject, ..Wish::default() });
        let _server = pki.serve(443, &["leaf", "middle"], &[]);
        let checked = check(&world, "ca");
        if is_well_named {
            is_beyond(&checked, "directory names");
        } else {
            is_invalid(&checked, "its name lies outside what its authority may certify");
        }
    }
}

#[test]
fn a_server_that_wants_a_certificate_has_proved_itself() {
    for version in ["-tls1_3", "-tls1_2"] {
        let Some(checked) = served(Wish::default(), &[version, "-Verify", "1", "-verify_return_error"]) else { return };
        is_well(&checked);
        checked.says("the server asks for a certificate of the client's").never_says("protocol_violation");
    }
}

#[test]
fn a_server_that_would_like_a_certificate_is_well() {
    let Some(checked) = served(Wish::default(), &["-verify", "1"]) else { return };
    is_well(&checked);
}

#[test]
fn an_unknown_server_that_wants_a_certificate_has_proved_nothing() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.authority("other", Wish::default());
    pki.issue("leaf", "other", Wish::default());
    for version in ["-tls1_3", "-tls1_2"] {
        let _server = pki.serve(443, &["leaf"], &[version, "-Verify", "1", "-verify_return_error"]);
        is_invalid(&check(&world, "ca"), "no trusted authority issued it");
    }
}

/// The end of validity of the chain, as the document says it.
fn ends(checked: &Checked) -> &Value {
    &checked.document["endpoints"][0]["certificate"]["chain_expires"]
}

#[test]
fn a_cross_sign_that_nobody_needs_is_no_warning() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.authority("gone", Wish::default());
    let middle = Wish { subject: "/CN=Middle", extensions: AUTHORITY, ..Wish::default() };
    pki.issue("middle", "ca", middle);
    pki.issue("leaf", "middle", Wish::default());
    let soon = ["20200101000000Z", "20270101000000Z"];
    // One that is over, one of a root that is gone, and one that is trusted as well and ends before the leaf.
    for (by, validity) in [("gone", OVER), ("gone", soon), ("ca", soon)] {
        pki.sign("cross", "middle", by, Wish { validity, ..middle });
        for chain in [["leaf", "cross", "middle"], ["leaf", "middle", "cross"]] {
            let _server = pki.serve(443, &chain, &[]);
            let checked = check(&world, "ca");
            is_well(&checked);
            checked.never_says("2020-01-01T").never_says("2027-01-01T");
            assert_eq!(ends(&checked), "2098-01-01T00:00:00Z");
        }
    }
}

#[test]
fn the_end_of_a_needed_authority_is_named() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    let middle = Wish { subject: "/CN=Middle", extensions: AUTHORITY, ..Wish::default() };
    pki.issue("middle", "ca", Wish { validity: ["20200101000000Z", "20970101000000Z"], ..middle });
    pki.issue("leaf", "middle", Wish::default());
    let server = pki.serve(443, &["leaf", "middle"], &[]);
    let checked = check(&world, "ca");
    is_well(&checked);
    checked.says("verifies until 2097-01-01T00:00:00Z, when CN=Middle of its chain ends");
    assert_eq!(ends(&checked), "2097-01-01T00:00:00Z");
    drop(server);
    pki.sign("middle", "middle", "ca", Wish { validity: OVER, ..middle });
    let _server = pki.serve(443, &["leaf", "middle"], &[]);
    is_invalid(&check(&world, "ca"), "CN=Middle of its chain expired 2020-01-01T00:00:00Z");
}

#[test]
fn a_mark_before_the_authorities_is_passed_over() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.authority("other", Wish::default());
    pki.issue("leaf", "ca", Wish::default());
    let text = format!("\u{feff}{}\u{feff}{}", pki.read("other.pem"), pki.read("ca.pem")).replace('\n', "\r\n");
    world.file("marked.pem", text);
    let _server = pki.serve(443, &["leaf"], &[]);
    is_well(&check(&world, "marked"));
}

#[test]
fn a_server_of_old_versions_or_suites_is_beyond_this_agent() {
    let old = "-cipher";
    for more in [
        &["-tls1", old, "DEFAULT:@SECLEVEL=0"][..],
        &["-tls1_1", old, "DEFAULT:@SECLEVEL=0"],
        &["-tls1_2", old, "ECDHE-ECDSA-AES256-SHA384"],
        &["-tls1_2", "-curves", "secp521r1"],
    ] {
        let Some(checked) = served(Wish { key: if more.len() == 3 { P256 } else { P384 }, ..Wish::default() }, more)
        else {
            return;
        };
        is_beyond(&checked, "the peer answers: TLS 1.");
    }
}

#[test]
fn an_old_server_that_ends_without_an_alert_is_not_blocked() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", Wish { key: RSA_2048, ..Wish::default() });
    let _server = pki.serve(4433, &["leaf"], &["-tls1_2", "-cipher", "AES256-SHA256:AES128-SHA"]);
    let dial = world.dialer("127.0.0.1", 4433);
    world.tcp("20.1.1.1", 443, move |stream| without_alerts(stream, dial()));
    let checked = check(&world, "ca");
    checked.exits(1).shows(&json!({"cause": "tls_rejected"})).says("older versions").never_says("appliance");
    blames(&checked, &json!({"cause": "tls_rejected", "side": "remote"}));
}

/// Passes bytes on to a server, and ends where that one would send an alert.
fn without_alerts(mut client: TcpStream, mut server: TcpStream) {
    let mut bytes = [0; 16384];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        drop(server.write_all(&bytes[..count]));
        match server.read(&mut bytes) {
            Ok(count @ 1..) if bytes[0] != 0x15 => drop(client.write_all(&bytes[..count])),
            Ok(_) | Err(_) => return,
        }
    }
}

#[test]
fn an_alert_behind_a_broken_pipe_is_read_each_time() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", Wish::default());
    let _server = pki.serve(4433, &["leaf"], &["-tls1_2"]);
    let dial = world.dialer("127.0.0.1", 4433);
    world.tcp("20.1.1.1", 443, move |stream| one_flight_and_an_alert(stream, dial()));
    for _ in 0..8 {
        let checked = check(&world, "ca");
        checked.exits(1).shows(&json!({"cause": "tls_rejected"})).says("TLS alert 80").never_says("rule denies");
        blames(&checked, &json!({"cause": "tls_rejected", "side": "remote"}));
    }
}

/// Passes on a server's first flight; at the first bytes of the client's next, an alert (80, internal_error) and an end.
fn one_flight_and_an_alert(mut client: TcpStream, mut server: TcpStream) {
    let mut bytes = [0; 16384];
    let Ok(count @ 1..) = client.read(&mut bytes) else { return };
    drop(server.write_all(&bytes[..count]));
    let Ok(count @ 1..) = server.read(&mut bytes) else { return };
    drop(client.write_all(&bytes[..count]));
    let Ok(1..) = client.read(&mut bytes[..5]) else { return };
    drop(client.write_all(&[0x15, 3, 3, 0, 2, 2, 80]));
}
