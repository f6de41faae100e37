//! Configuration files as people and tools leave them.

use super::world::World;
use crate::process::{agent, run};

/// What `config check` says of a file with these bytes: its exit code and its words.
fn said_of(world: &World, bytes: &[u8]) -> (Option<i32>, String) {
    let file = world.file("odd.yaml", bytes).to_string_lossy().into_owned();
    let said = world.agent(&["config", "check", &file]);
    (said.code, said.text.replace(&file, "FILE"))
}

#[test]
fn a_file_in_which_everything_is_commented_out_is_the_default() {
    let Some(world) = World::new() else { return };
    for text in [
        "---\n# nothing yet\n",
        "---",
        "vantage: x\nslots:\n#  sql-server: [db.example]\n",
        "endpoints:\n  add:\n#    - host: a.example\n",
        "pace:\ndns:\nrisk:\nca:\naddresses:\nresolvers:\ndiagnosis:\nintervals:\ntimeouts:\nworkloads:\n",
    ] {
        let (code, words) = said_of(&world, text.as_bytes());
        assert!(code == Some(0) && words.starts_with("FILE: good; profile ase-v2"), "{text:?}: {words}");
    }
}

#[test]
fn a_second_document_is_named_with_its_line() {
    let Some(world) = World::new() else { return };
    for text in ["vantage: x\n---\nlisten: 127.0.0.1:10123\n", "---\n---\nlisten: 127.0.0.1:10123\n"] {
        let (code, words) = said_of(&world, text.as_bytes());
        let expected = "ase-agent: FILE:2:1: a second document begins here: one file holds one document\n";
        assert_eq!((code, &*words), (Some(78), expected), "{text:?}");
    }
}

#[test]
fn marks_line_ends_and_encodings_of_other_systems_are_read() {
    let Some(world) = World::new() else { return };
    let text = "vantage: hub\r\nslots:\r\n  sql-server: [db.example]\r\n";
    let wide = |order: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
    };
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        text.replace("\r\n", "\r").into_bytes(),
        wide(u16::to_le_bytes, text),
        wide(u16::to_be_bytes, text),
    ] {
        let (code, words) = said_of(&world, &bytes);
        assert!(code == Some(0) && words.contains("good"), "{bytes:?}: {words}");
    }
    let (code, words) = said_of(&world, b"vantage: hub\n# caf\xe9\n");
    assert_eq!((code, &*words), (Some(78), "ase-agent: FILE:2:6: this byte is no UTF-8: save the file as UTF-8\n"));
    let (code, words) = said_of(&world, b"\xef\xbb\xbfpace:\r\n  concurency: 3\r\n");
    assert!(code == Some(78) && words.contains("FILE:2:3: unknown key `concurency`"), "{words}");
}

#[test]
fn all_mistakes_are_told_in_one_run_each_on_its_line() {
    let Some(world) = World::new() else { return };
    let text = b"pace: {concurrency: 0}\nslots: {sqlserver: [a.example]}\nintervalls: {}\nlisten: nowhere\n\
        endpoints:\n  add:\n    - {host: a b, class: https}\n    - {host: b.example, class: htps}\n";
    let (code, words) = said_of(&world, text);
    let lines: Vec<&str> =
        words.lines().filter_map(|line| line.strip_prefix("ase-agent: FILE:")?.split(':').next()).collect();
    assert_eq!((code, lines), (Some(78), vec!["1", "2", "3", "4", "7", "8"]), "{words}");
}

#[test]
fn a_variable_of_the_environment_stands_for_its_value_and_its_value_is_never_told() {
    let Some(world) = World::new() else { return };
    let file =
        world.file("with-variables.yaml", "vantage: ${SITE}\nlisten: '${LISTEN}'\n").to_string_lossy().into_owned();
    let check = |site: &str, listen: &str| {
        let mut command = world.command(&agent().to_string_lossy(), &["config", "check", &file]);
        let output = run(command.env("SITE", site).env("LISTEN", listen));
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(check("hub", ":10123").0, Some(0));
    let (code, words) = check("", "very-secret");
    assert_eq!(code, Some(78), "{words}");
    assert!(
        words.contains(":1:10: vantage (${SITE}) needs the environment variable SITE, which is not set"),
        "{words}"
    );
    assert!(!words.contains("very-secret"), "{words}");
    let (code, words) = check("hub", "very-secret");
    assert!(
        code == Some(78) && words.contains(":2:9: listen (${LISTEN}) must be") && !words.contains("very-secret"),
        "{words}"
    );
}

#[test]
fn durations_of_days_and_hosts_as_people_write_them() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 8080, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    for row in [
        "{host: 'http://web.example:8080/health'}",
        "{host: 'http://web.example:8080', class: http, interval: 2d}",
        "{host: 'web.example:8080', class: http, interval: 1d12h}",
        "{host: web.example, port: 8080, class: http, interval: 1w}",
    ] {
        world.check(row).exits(0);
    }
    world.http("fd00::20", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    world.check("{host: '[fd00::20]', class: http}").exits(0);
    world.check("{host: 'http://[fd00::20]:80/'}").exits(0);
}
