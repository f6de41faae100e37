//! What a person gets wrong is named, and nothing is half started.

use std::{fs, net::TcpListener, process::Command};

use crate::process::{agent, run};

/// Runs the agent and returns its exit code and what it said on standard error.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(Command::new(agent()).args(arguments).env_remove("ASE_AGENT_CONFIG"));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_bad_configuration_ends_with_78_and_names_file_line_key_and_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bad.yaml");
    let path = file.display().to_string();
    for (text, expected) in [
        ("pace:\n  concurency: 3\n", format!("{path}:2:3: unknown key `concurency`, did you mean `concurrency`?")),
        ("timeouts: {https: 40s}\n", "timeout (40s) must be shorter than interval (30s)".to_owned()),
        ("resolvers: {custom: []}\n", format!("{path}:1:21: resolvers.custom ([]) must name at least one server")),
        ("ca: {file: /nonexistent/ca.pem}\n", format!("{path}:1:12: ca.file (/nonexistent/ca.pem)")),
        ("profile: [\n", format!("{path}:")),
        (
            "profile: custom\nexports: {nsg: [/nonexistent/nsg.json]}\n",
            format!("{path}:2:17: exports.nsg (/nonexistent/nsg.json) is not there"),
        ),
        (
            "profile: custom\nexports: {routes: /proc}\n",
            "exports.routes (/proc) must be a file, and is a directory".to_owned(),
        ),
    ] {
        fs::write(&file, text).expect("the folder is writable");
        for arguments in [&["config", "check", &path][..], &["check", "--config", &path], &["run", "--config", &path]] {
            let (code, error) = said(arguments);
            assert_eq!(code, Some(78), "{arguments:?} {text}: {error}");
            assert!(error.contains(&expected), "{arguments:?} {text}: {error}");
        }
    }
}

#[test]
fn a_pipe_a_device_or_a_hole_of_a_gigabyte_as_a_file_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert!(run(Command::new("mkfifo").arg(at("pipe"))).status.success(), "mkfifo runs");
    fs::File::create(at("hole")).and_then(|file| file.set_len(1 << 30)).expect("the folder is writable");
    fs::write(at("ca.yaml"), format!("ca: {{file: {}}}\n", at("pipe"))).expect("the folder is writable");
    for (file, expected) in [
        (at("pipe"), "must be a regular file, and is a pipe, socket or device"),
        ("/dev/zero".to_owned(), "must be a regular file, and is a pipe, socket or device"),
        (at("hole"), "size (1073741824 bytes) must be at most 1048576 bytes"),
        (at("ca.yaml"), "must be a regular file, and is a pipe, socket or device"),
    ] {
        for arguments in [&["config", "check", &file][..], &["check", "--config", &file], &["run", "--config", &file]] {
            let (code, error) = said(arguments);
            assert!(code == Some(78) && error.contains(expected), "{arguments:?}: {code:?} {error}");
        }
    }
    for arguments in [&["lint", &at("pipe")][..], &["lint", "/dev/zero"], &["import", "outbound", &at("pipe")]] {
        let (code, error) = said(arguments);
        assert!(code == Some(78) && error.contains("must be a regular file"), "{arguments:?}: {code:?} {error}");
    }
}

#[test]
fn an_export_that_cannot_be_judged_is_refused_by_config_check_with_file_key_and_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, export) = (folder.path().join("agent.yaml"), folder.path().join("nsg.json"));
    fs::write(&file, "profile: custom\nexports: {nsg: nsg.json}\n").expect("the folder is writable");
    let path = file.display().to_string();
    for (text, expected) in [
        ("", "is empty"),
        ("{\"name\": ", "cannot be judged: no JSON"),
        ("{\"name\": \"t\", \"routes\": []}", "holds something else (route table): it belongs under routes"),
    ] {
        fs::write(&export, text).expect("the folder is writable");
        let (code, error) = said(&["config", "check", &path]);
        assert_eq!(code, Some(78), "{text}: {error}");
        let words = format!("{path}: exports.nsg ({}) {expected}", export.display());
        assert!(error.contains(&words), "{text}: {error}");
    }
    fs::write(&export, "{\"name\": \"g\", \"securityRules\": []}").expect("the folder is writable");
    assert_eq!(said(&["config", "check", &path]), (Some(0), String::new()));
}

#[test]
fn a_port_in_use_ends_with_1_and_names_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = taken.local_addr().expect("bound above").to_string();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("agent.yaml");
    fs::write(&file, "profile: custom\n").expect("the folder is writable");
    let (code, error) = said(&["run", "--config", &file.display().to_string(), "--listen", &address]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {address} (key `listen`)")), "{error}");
}

#[test]
fn a_wrong_command_line_ends_with_64_and_says_what_is_valid() {
    for (arguments, expected) in [
        (&["chekc"][..], "check"),
        (&["check", "--class", "dnss"], "dns"),
        (&["explain", "gremlins"], "no such cause"),
        (&["nameresolver", "10.0.0.4"], "is an address already"),
        (&["nameresolver", "bücher.example"], "xn--"),
        (&["nameresolver", "a..example"], "the label"),
        (&["nameresolver", "a b.example"], "the character ` `; letters"),
        (&["nameresolver", "a\u{1b}.example"], "the character `\\u{1b}`"),
        (&["nameresolver", "a.example.."], "the label"),
        (&["nameresolver", "."], "the name is empty"),
        (&["nameresolver", "fd00::4"], "is an address already"),
        (&["nslookup", "10.0.0.4"], "is an address already"),
        (&["nameresolver", "a.example", "not-a-server"], "must be an address"),
        (&["nameresolver", ""], "the name is empty"),
        (&["nameresolver", "--rounds", "3", "a.example"], "--compare"),
        (&["nameresolver", "--compare", "--rounds", "3", "--every", "1ms", "a.example"], "at least 200ms"),
    ] {
        let (code, error) = said(arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let long = format!("{}example", "abcdefg.".repeat(40));
    assert!(said(&["nameresolver", &long]).1.contains("at most 253"));
}

#[test]
fn help_teaches_by_example() {
    for command in ["run", "check", "nameresolver"] {
        let output = run(Command::new(agent()).args([command, "--help"]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Example"), "{command}: {text}");
    }
}
