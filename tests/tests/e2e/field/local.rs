//! What goes wrong around the agent on its own machine: readers that leave, full disks, no descriptors, slips of the
//! keyboard.

use std::{
    fs::{File, OpenOptions},
    process::{Output, Stdio},
    sync::mpsc,
};

use ase_agent::commands::cli::Cli;
use clap::{Command, CommandFactory as _};
use serde_json::{Value, json};

use super::world::{CUSTOM_DNS, World};
use crate::process::{agent, free_port, run, wait_for};

/// Every command that prints, in every format; CONFIG and STATE stand for a configuration file and a state directory, FOLDER
/// for one with the files that commands read.
const COMMANDS: [&str; 45] = [
    "check --config CONFIG",
    "check --config CONFIG -v",
    "check --config CONFIG --output json",
    "explain",
    "explain tls_intercepted",
    "profile list",
    "profile show",
    "profile show --output json",
    "config check CONFIG",
    "config show --effective --config CONFIG",
    "config show --config CONFIG --output json",
    "config schema",
    "history --state-dir STATE",
    "history --state-dir STATE --output json",
    "nameresolver web.example --config CONFIG",
    "nameresolver web.example --config CONFIG --output json",
    "nameresolver --compare web.example --config CONFIG",
    "nameresolver --compare web.example --config CONFIG --output json",
    "nameresolver --compare --rounds 3 --every 200ms web.example --config CONFIG",
    "nameresolver --compare --rounds 3 --every 200ms web.example --config CONFIG --output json",
    "nslookup web.example --config CONFIG",
    "nslookup web.example --config CONFIG --output json",
    "preflight --config CONFIG",
    "preflight --config CONFIG --output json",
    "allowlist --config CONFIG",
    "allowlist --config CONFIG --format csv",
    "tcpping -n 1 20.1.1.1:80 --config CONFIG",
    "tcpping -n 1 20.1.1.1:80 --config CONFIG --output json",
    "probe http web.example --config CONFIG -v",
    "probe http web.example --config CONFIG --output json",
    "trace --flows 1 --max-hops 1 20.1.1.1:80 --config CONFIG",
    "doctor --config CONFIG",
    "portal --suffix web.example --app app --config CONFIG",
    "lint FOLDER/groups.json",
    "lint explain",
    "lint diff --before FOLDER/groups.json --after FOLDER/groups.json",
    "import outbound FOLDER/outbound.json",
    "import inbound FOLDER/inbound.json",
    "import environment FOLDER/environment.json --state-dir STATE",
    "plan subnet --plan 20",
    "completions bash",
    "man",
    "--help",
    "check --help",
    "--version",
];

/// Commands that serve until they are ended, and one that is about such a server.
const SERVERS: [&str; 3] = ["run", "witness", "witness knock"];

/// What the commands read that judge exported files and answers of the management API.
fn files() -> [(&'static str, Value); 4] {
    let environment = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/hostingEnvironments/ase";
    [
        (
            "groups.json",
            json!({"type": "Microsoft.Network/networkSecurityGroups", "name": "nsg", "properties": {"securityRules": []}}),
        ),
        (
            "outbound.json",
            json!({"value": [{"category": "SQL", "endpoints": [{"domainName": "asedb.database.windows.net",
                "endpointDetails": [{"ipAddress": "203.0.113.10", "port": 1433, "latency": 1.0, "isAccessible": true}]}]}]}),
        ),
        (
            "inbound.json",
            json!({"value": [{"description": "App Service management", "endpoints": ["203.0.113.20/32"], "ports": ["454", "455"]}]}),
        ),
        (
            "environment.json",
            json!({"id": environment, "name": "ase", "type": "Microsoft.Web/hostingEnvironments", "location": "West Europe",
                "properties": {"status": "Ready", "provisioningState": "Succeeded", "suspended": false}}),
        ),
    ]
}

/// The full names of all commands that have none below them, or do something themselves.
fn leaves(command: &Command, name: &str, found: &mut Vec<String>) {
    let below: Vec<&Command> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if !name.is_empty() && (below.is_empty() || !command.is_subcommand_required_set()) {
        found.push(name.to_owned());
    }
    for command in below {
        leaves(command, format!("{name} {}", command.get_name()).trim(), found);
    }
}

#[test]
fn every_command_is_among_those_whose_reader_leaves() {
    let (mut tree, mut all) = (Cli::command(), Vec::new());
    tree.build();
    leaves(&tree, "", &mut all);
    assert!(all.len() > 20, "{all:?}");
    let is_tried = |name: &str| {
        let below: Vec<&String> = all.iter().filter(|other| other.starts_with(&format!("{name} "))).collect();
        let is_it = |row: &&str| row.starts_with(name) && !below.iter().any(|below| row.starts_with(below.as_str()));
        COMMANDS.iter().any(is_it)
    };
    let lacking: Vec<&String> =
        all.iter().filter(|name| !is_tried(name) && !SERVERS.contains(&name.as_str())).collect();
    assert!(lacking.is_empty(), "not among the commands: {lacking:?}");
}

/// A network with one web server, its configuration, and a state directory in which a daemon has been.
fn with_a_store() -> Option<(World, Vec<Vec<String>>)> {
    let world = World::new()?;
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let state = world.folder.path().join("state").to_string_lossy().into_owned();
    let port = free_port();
    let more = format!("state_dir: {state}\nlisten: 127.0.0.1:{port}");
    let config = world.configuration("{host: web.example, class: http}", &more);
    let daemon = world.program(&agent().to_string_lossy(), &["run", "--config", &config], port);
    wait_for("the store", || {
        (world.agent(&["history", "--state-dir", &state, "--incidents"]).code == Some(0)).then_some(())
    });
    drop(daemon);
    let folder = world.folder.path().to_string_lossy().into_owned();
    for (name, value) in files() {
        std::fs::write(world.folder.path().join(name), value.to_string()).expect("the folder takes a file");
    }
    let filled = |word: &str| word.replace("CONFIG", &config).replace("STATE", &state).replace("FOLDER", &folder);
    let commands = COMMANDS.iter().map(|command| command.split(' ').map(filled).collect()).collect();
    Some((world, commands))
}

fn into(world: &World, arguments: &[String], stdout: Stdio) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = world.command(&agent().to_string_lossy(), &arguments);
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().expect("the agent starts");
    child.wait_with_output().expect("the agent ends")
}

#[test]
fn a_reader_that_leaves_early_changes_neither_the_exit_code_nor_a_word() {
    let Some((world, commands)) = with_a_store() else { return };
    for command in commands {
        let whole = into(&world, &command, Stdio::piped());
        assert!(!whole.stdout.is_empty(), "{command:?} prints");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let left = into(&world, &command, writer.into());
        assert_eq!((left.status.code(), text(&left.stderr)), (whole.status.code(), text(&whole.stderr)), "{command:?}");
    }
}

#[test]
fn a_full_disk_is_said_in_one_line() {
    let Some((world, commands)) = with_a_store() else { return };
    for command in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("the device is there");
        let said = into(&world, &command, full.into());
        let line = "ase-agent: standard output: No space left on device (os error 28)\n";
        assert_eq!((said.status.code(), &*text(&said.stderr)), (Some(1), line), "{command:?}");
    }
}

#[test]
fn rounds_end_when_nobody_reads_any_more() {
    let Some((world, _)) = with_a_store() else { return };
    let config = world.configuration("{host: web.example, class: http}", "");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    // An hour of rounds: the test's end is the proof.
    let command =
        ["nameresolver", "--compare", "--rounds", "1000", "--every", "4s", "web.example", "--config", &config];
    let said = into(&world, &command.map(str::to_owned), writer.into());
    assert_eq!((said.status.code(), &*text(&said.stderr)), (Some(0), ""));
}

#[test]
fn a_daemon_watches_on_where_its_log_cannot_be_written() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    let port = free_port();
    let config = world.configuration("{host: web.example, class: http}", &format!("listen: 127.0.0.1:{port}"));
    let agent = agent().to_string_lossy().into_owned();
    for log in ["2>/dev/full", "2>&-"] {
        let script = format!("exec {agent} run --log-level trace --config {config} {log}");
        drop(world.program("sh", &["-c", &script], port));
    }
}

#[test]
fn a_daemon_that_logs_all_that_it_can_tells_no_cookie_and_no_value_of_a_variable() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    let (tell, heads) = mpsc::channel();
    world.http("20.1.1.1", 80, move |head| {
        drop(tell.send(head.to_owned()));
        let answer = match head.contains("cookie: ") {
            true => "200 OK\r\nContent-Length: 2\r\n\r\nok",
            false => "302 Found\r\nLocation: /in\r\nSet-Cookie: seen=opensesame; path=/\r\nContent-Length: 0\r\n\r\n",
        };
        format!("HTTP/1.1 {answer}").into_bytes()
    });
    let port = free_port();
    let more = format!("listen: 127.0.0.1:{port}");
    let config = world.configuration("{host: 'http://web.example/health?key=${KEY}', expect: {status: [200]}}", &more);
    let agent = agent().to_string_lossy().into_owned();
    let command = ["KEY=very-secret", &agent, "run", "--log-level", "trace", "--config", &config];
    let daemon = world.program("env", &command, port);
    let mut asked = String::new();
    wait_for("both questions", || {
        asked.extend(heads.try_iter());
        (asked.contains("key=very-secret") && asked.contains("cookie: seen=opensesame")).then_some(())
    });
    let log = daemon.log();
    assert!(log.contains("proved itself"), "{log}");
    for secret in ["very-secret", "opensesame"] {
        assert!(!log.contains(secret), "({secret}) in {log}");
    }
}

#[test]
fn without_descriptors_no_dns_server_is_blamed() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let config = world.configuration("{host: web.example, class: http}", "");
    let agent = agent().to_string_lossy().into_owned();
    let mut blamed_this_machine = 0;
    for limit in [3, 5, 6, 8, 9, 10, 11, 12, 14] {
        for command in [
            "check -v",
            "check --output json",
            "nameresolver web.example",
            "nameresolver --compare web.example",
            "nameresolver --compare --rounds 2 --every 200ms web.example",
            "nslookup web.example",
        ] {
            let script = format!("ulimit -n {limit}; exec {agent} {command} --config {config}");
            let said = world.runs("sh", &["-c", &script]);
            for words in ["both_failed", "custom_failed", "azure_failed", "timeout", "No response", "panicked"] {
                assert!(!said.text.contains(words), "{limit} descriptors, {command}: ({words}) in {}", said.text);
            }
            blamed_this_machine += usize::from(said.text.contains("no free file descriptors"));
            let is_well = said.code == Some(0);
            let says_why =
                ["descriptors", "open files", "open shared object"].iter().any(|words| said.text.contains(words));
            assert!(is_well || says_why, "{limit} descriptors, {command}: {}", said.text);
        }
    }
    assert!(blamed_this_machine > 5, "{blamed_this_machine}");
}

#[test]
fn a_slip_in_the_log_level_is_an_error_that_names_what_was_meant() {
    let Some(world) = World::new() else { return };
    let config = world.configuration("{host: 20.1.1.1, class: http}", "");
    for (level, expected) in [
        ("inof", "did you mean `info`?"),
        ("warning", "did you mean `warn`?"),
        ("info,ase_agent=debgu", "did you mean `debug`?"),
        ("info,ase-agent=debug", "did you mean `ase_agent`?"),
        ("", "`` is no level"),
    ] {
        let said = world.agent(&["run", "--config", &config, "--log-level", level]);
        assert_eq!(said.code, Some(64), "{level}: {}", said.text);
        assert!(said.text.contains(&format!("--log-level ({level})")) && said.text.contains(expected), "{}", said.text);
    }
}

#[test]
fn a_port_alone_and_localhost_are_places_to_listen() {
    let Some(world) = World::new() else { return };
    let agent = agent().to_string_lossy().into_owned();
    let port = free_port();
    let plain = world.configuration("{host: 20.1.1.1, class: http}", "");
    for (place, rule) in [("10123", "must be an address with a port"), ("myhost:10123", "must name an address")] {
        let said = world.agent(&["run", "--config", &plain, "--listen", place]);
        assert_eq!(said.code, Some(64), "{}", said.text);
        assert!(said.text.contains(rule), "{}", said.text);
    }
    for (place, address) in [(":", "0.0.0.0"), ("localhost:", "127.0.0.1"), ("*:", "0.0.0.0"), ("[::1]:", "[::1]")] {
        let place = format!("{place}{port}");
        let plain = world.configuration("{host: 20.1.1.1, class: http}", "");
        let program = world.program(&agent, &["run", "--config", &plain, "--listen", &place], port);
        let said = format!("listen={address}:{port}");
        wait_for(&said, || program.log().contains(&said).then_some(()));
        drop(program);
        let by_key = world.configuration("{host: 20.1.1.1, class: http}", &format!("listen: '{place}'"));
        drop(world.program(&agent, &["run", "--config", &by_key], port));
    }
}

#[test]
fn an_empty_environment_variable_counts_as_unset() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    let config = world.configuration("{host: web.example, class: http}", "");
    for (variable, arguments) in [
        ("ASE_AGENT_CONFIG", vec!["config", "check", &*config]),
        ("ASE_AGENT_CONFIG", vec!["profile", "list"]),
        ("ASE_AGENT_CONFIG", vec!["nameresolver", "web.example", CUSTOM_DNS]),
        ("WEBSITE_DNS_SERVER", vec!["nameresolver", "web.example", "--config", &config]),
        ("WEBSITE_DNS_ALT_SERVER", vec!["nameresolver", "web.example", "--config", &config]),
        ("WEBSITE_DNS_ATTEMPTS", vec!["nameresolver", "web.example", "--config", &config]),
        ("WEBSITE_DNS_TIMEOUT", vec!["nameresolver", "web.example", "--config", &config]),
    ] {
        let output = run(world.command(&agent().to_string_lossy(), &arguments).env(variable, ""));
        assert_eq!(output.status.code(), Some(0), "{variable} {arguments:?}: {}", text(&output.stderr));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The device that takes nothing is there.
#[test]
fn the_full_disk_of_these_tests_is_one() {
    use std::io::Write;
    let mut full = File::options().write(true).open("/dev/full").expect("the device is there");
    assert!(full.write_all(b"x").is_err());
}
