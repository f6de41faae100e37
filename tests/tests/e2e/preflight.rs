//! `ase-agent preflight` on twelve small networks side by side: the right verdict in each, within its time.
#![allow(clippy::disallowed_methods, reason = "the time that a verdict takes is measured by a clock")]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::field::{
    message::{Question, Reply},
    world::{Said, World},
};

/// A preflight says what it has to say within this time.
const PROMISED: Duration = Duration::from_secs(20);
const WEB: &str = "{host: web.example, class: http, severity: critical, timeout: 2s}";
/// The web server, and something that nobody listens for, of lesser severity.
const LESSER: &str = "{host: web.example, class: http, timeout: 2s}
    {host: 20.1.1.2, class: tcp, port: 9, severity: warning, timeout: 2s}";
const NXDOMAIN: u16 = 3;

/// One network: what is in it, what is asked, and what must be said.
struct Case {
    name: &'static str,
    build: fn(&World) -> Asked,
    verdict: &'static str,
    code: i32,
    /// The check that decides, and words of its first reason.
    because: Option<(&'static str, &'static str)>,
}

/// Endpoints, further lines of the configuration, and further words of the command.
struct Asked {
    endpoints: &'static str,
    more: String,
    words: Vec<String>,
}

fn only(endpoints: &'static str) -> Asked {
    with(endpoints, "")
}

fn with(endpoints: &'static str, more: &str) -> Asked {
    Asked { endpoints, more: more.to_owned(), words: Vec::new() }
}

/// The web server, and both DNS servers that know its name.
fn well(world: &World) -> Asked {
    world.plain_names(&["web.example"]);
    web(world);
    only(WEB)
}

fn web(world: &World) {
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
}

fn at(asked: &Question, name: &str, address: &str) -> Vec<Vec<u8>> {
    let reply = Reply::to(asked);
    let reply = match &*asked.name {
        "web.example" => reply.address("20.1.1.1"),
        known if known == name => reply.address(address),
        _ => reply.code(NXDOMAIN),
    };
    vec![reply.bytes()]
}

/// A private name beside the web server's, at these addresses by the custom DNS and by Azure DNS.
fn private(world: &World, custom: &'static str, azure: &'static str) -> Asked {
    world.two_dns(move |asked| at(asked, "db.corp.example", custom), move |asked| at(asked, "db.corp.example", azure));
    web(world);
    with(WEB, "dns: {names: [db.corp.example], private: [corp.example]}")
}

/// A security group with one rule for what goes out.
fn group(access: &str) -> String {
    json!({"name": "ase-nsg", "securityRules": [{"name": "Web", "priority": 200, "direction": "Outbound", "access": access,
        "protocol": "*", "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*",
        "destinationPortRange": "*"}]})
    .to_string()
}

fn judged_by(world: &World, access: &str) -> Asked {
    let asked = well(world);
    let file = world.file("nsg.json", group(access));
    let words = [&*file.to_string_lossy(), "--subnet", "10.0.1.0/24", "--vnet", "10.0.0.0/16"].map(str::to_owned);
    Asked { words: words.to_vec(), ..asked }
}

fn cases() -> [Case; 12] {
    let case = |name, build, verdict, code, because| Case { name, build, verdict, code, because };
    [
        case("all well", well, "go", 0, None),
        case(
            "a critical dependency refuses",
            |world| {
                world.plain_names(&["web.example"]);
                only(WEB)
            },
            "no_go",
            1,
            Some(("dependencies", "refuse")),
        ),
        case(
            "a lesser dependency refuses",
            |world| {
                well(world);
                only(LESSER)
            },
            "go_with_warnings",
            2,
            Some(("dependencies", "refuse")),
        ),
        case(
            "the custom DNS denies a public name",
            |world| {
                world.two_dns(|asked| vec![Reply::to(asked).code(NXDOMAIN).bytes()], |asked| at(asked, "", ""));
                web(world);
                only(WEB)
            },
            "no_go",
            1,
            Some(("public_names", "web.example")),
        ),
        case(
            "the custom DNS is gone",
            |world| {
                world.dns("168.63.129.16", |asked| at(asked, "", ""));
                web(world);
                only(WEB)
            },
            "no_go",
            1,
            Some(("public_names", "web.example")),
        ),
        case(
            "a private name leads to a private address",
            |world| private(world, "10.0.0.20", "10.0.0.20"),
            "go",
            0,
            None,
        ),
        case(
            "a private name leads to a public address",
            |world| private(world, "20.1.1.3", "10.0.0.20"),
            "no_go",
            1,
            Some(("private_names", "db.corp.example")),
        ),
        case(
            "no way to a critical dependency from this machine",
            |world| {
                well(world);
                only("{host: 20.9.9.9, class: tcp, port: 443, severity: critical, timeout: 2s}")
            },
            "undecided",
            3,
            Some(("dependencies", "no route")),
        ),
        case("exported rules let everything out", |world| judged_by(world, "Allow"), "go", 0, None),
        case(
            "the planned size does not fit in the subnet",
            |world| {
                let words = ["--instances", "30", "--subnet", "10.0.1.0/27"].map(str::to_owned).to_vec();
                Asked { words, ..well(world) }
            },
            "no_go",
            1,
            Some(("subnet", "a /27 has 32 addresses")),
        ),
        case(
            "exported rules deny what is needed",
            |world| judged_by(world, "Deny"),
            "go_with_warnings",
            2,
            Some(("exports", "Web")),
        ),
        case(
            "this machine remembers other DNS servers",
            |world| {
                well(world);
                fs::create_dir(world.folder.path().join("state")).expect("the folder is writable");
                world.file("state/resolvers", "ase-agent/resolvers/1\nservers 10.0.0.77\n");
                with(WEB, &format!("state_dir: {}", world.folder.path().join("state").display()))
            },
            "go_with_warnings",
            2,
            Some(("dns_servers", "restart")),
        ),
    ]
}

/// The preflight of a network, and how long it took.
fn flown(world: &World, asked: &Asked) -> (Said, Duration) {
    let configuration = world.configuration(asked.endpoints, &asked.more);
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let said = world.agent(&[&["preflight", "--config", &configuration, "--output", "json"][..], &words].concat());
    (said, begun.elapsed())
}

fn wrong(case: &Case, said: &Said, took: Duration) -> Option<String> {
    let Ok(document) = serde_json::from_str::<Value>(&said.text) else { return Some(said.text.clone()) };
    let schema: Value = serde_json::from_str(include_str!("../../../docs/preflight.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut wrong: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    if said.code != Some(case.code) || document["verdict"] != case.verdict || document["exit_code"] != case.code {
        wrong.push(format!("{:?} is not {}, {}", said.code, case.verdict, case.code));
    }
    if took >= PROMISED {
        wrong.push(format!("it took {took:?}"));
    }
    if let Some((id, words)) = case.because {
        let checks = document["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let check = checks.iter().find(|check| check["check"] == id).unwrap_or(&Value::Null);
        let decides = check["state"] == document["verdict"]
            || check["state"] == "open" && document["verdict"] == "undecided"
            || check["state"] == "warning" && document["verdict"] == "go_with_warnings";
        if !decides || !check["reasons"][0]["what"].as_str().is_some_and(|what| what.contains(words)) {
            wrong.push(format!("not because of {id} ({words})"));
        }
    }
    (!wrong.is_empty()).then(|| format!("{}: {}\n{document:#}", case.name, wrong.join("; ")))
}

#[test]
fn each_of_twelve_networks_gets_its_verdict_in_time() {
    let fly = |case: Case| {
        thread::spawn(move || {
            let world = World::new()?;
            let asked = (case.build)(&world);
            let (said, took) = flown(&world, &asked);
            Some(wrong(&case, &said, took))
        })
    };
    let flights: Vec<_> = cases().into_iter().map(fly).collect();
    let ended: Vec<_> = flights.into_iter().map(|flight| flight.join().expect("a flight ends")).collect();
    let wrong: Vec<String> = ended.into_iter().flatten().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_file_that_is_no_export_and_an_unknown_profile_are_refused() {
    let Some(world) = World::new() else { return };
    let asked = well(&world);
    let file = world.file("nsg.json", "{").to_string_lossy().into_owned();
    for (words, code, told) in
        [(vec![file], 78, "nsg.json"), (vec!["--profile".to_owned(), "ase-9".to_owned()], 78, "ase-9")]
    {
        let (said, _) = flown(&world, &Asked { endpoints: asked.endpoints, more: asked.more.clone(), words });
        assert!(said.code == Some(code) && said.text.contains(told), "{said:?}");
    }
}
