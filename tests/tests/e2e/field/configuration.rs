//! Configuration files as people and tools leave them.

use serde_json::{Value, json};

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

/// A configuration in which much is set, by all means that there are.
const MUCH: &str = "vantage: ${SITE:-hub}\nslots: {sql-server: ['${DATABASE}']}\nintervals: {https: 1m}\nendpoints:\n  \
    add: [{host: 'https://api.example/health?key=${KEY}', expect: {status: [200]}}]\n  \
    override: {'login*': {severity: info}}\nresolvers: {custom: [10.0.0.5]}\n";

/// What a command prints in this world, with the variables of [`MUCH`].
fn printed(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = world.command(&agent().to_string_lossy(), arguments);
    let output = run(command.env("DATABASE", "db.secret.example").env("KEY", "opensesame"));
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn the_effective_configuration_is_read_again_and_tells_no_secret() {
    let Some(world) = World::new() else { return };
    let file = world.file("much.yaml", MUCH).to_string_lossy().into_owned();
    let (code, yaml) = printed(&world, &["config", "show", "--effective", "--config", &file]);
    assert_eq!(code, Some(0), "{yaml}");
    for words in [
        "vantage: \"${SITE:-hub}\"  #",
        "much.yaml:3\n",
        "  custom: [\"10.0.0.5:53\"]  #",
        "\"login.live.com:443\": {severity: info,",
        "drain: 10s  # default\n",
    ] {
        assert!(yaml.contains(words), "({words}) in {yaml}");
    }
    assert!(!yaml.contains("secret") && !yaml.contains("opensesame"), "{yaml}");
    let again = world.file("again.yaml", &yaml).to_string_lossy().into_owned();
    let (_, json) = printed(&world, &["config", "show", "--effective", "--output", "json", "--config", &file]);
    let as_json = world.file("again.json", &json).to_string_lossy().into_owned();
    let shown = |path: &str| printed(&world, &["profile", "show", "--output", "json", "--config", path]).1;
    assert_eq!(shown(&again), shown(&file), "it watches the same");
    assert_eq!(shown(&as_json), shown(&file), "it watches the same");
    for path in [&again, &as_json] {
        let (code, words) = printed(&world, &["config", "check", path]);
        assert_eq!(code, Some(0), "{words}");
    }
}

#[test]
fn every_example_and_every_configuration_that_is_shown_fits_the_schema() {
    let Some(world) = World::new() else { return };
    let (code, schema) = printed(&world, &["config", "schema"]);
    assert_eq!(code, Some(0));
    assert_eq!(schema, include_str!("../../../../docs/config.schema.json"), "it is the committed one");
    let schema: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let example = include_str!("../../../../systemd/ase-agent.yaml");
    let all_keys: String = example.lines().filter_map(|line| line.strip_prefix("#: ")).collect::<Vec<_>>().join("\n");
    let much = world.file("much.yaml", MUCH).to_string_lossy().into_owned();
    let (_, shown) = printed(&world, &["config", "show", "--effective", "--config", &much]);
    let (_, json) = printed(&world, &["config", "show", "--effective", "--output", "json", "--config", &much]);
    let readme = include_str!("../../../../README.md").split("```yaml\n").skip(1).map(|rest| rest.split("```").next());
    let mut texts: Vec<String> =
        readme.flatten().filter(|text| !text.contains("scrape_configs")).map(str::to_owned).collect();
    assert!(!texts.is_empty(), "README.md shows a configuration");
    texts.extend([example.to_owned(), all_keys, MUCH.to_owned(), shown, json]);
    for text in texts {
        let document: Value = serde_saphyr::from_str::<Option<Value>>(&text).expect(&text).unwrap_or_else(|| json!({}));
        let errors: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?} in\n{text}");
    }
}

#[test]
fn empty_critical_slots_are_no_failure_unless_one_is_strict() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let rows = "resolvers: {custom: [10.0.0.4], azure: 168.63.129.16}\n\
        endpoints: {remove: ['*'], add: [{host: web.example, class: http}]}\n";
    let write = |slots: &str| world.file("slots.yaml", format!("{rows}{slots}")).to_string_lossy().into_owned();
    let file = write("");
    let (well, strict) = (["check", "--config", &file], ["check", "--strict", "--config", &file]);
    let said = world.agent(&well);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.starts_with("1 watched and well; ") && said.text.contains("sql-server"), "{}", said.text);
    assert_eq!(world.agent(&strict).code, Some(2), "{}", said.text);
    let custom = world.configuration("{host: web.example, class: http}", "");
    let said = world.agent(&["check", "--strict", "--config", &custom]);
    assert_eq!(said.code, Some(0), "no slot is empty where the profile has none: {}", said.text);
    let broken = world.configuration("{host: gone.example, class: http}", "");
    assert_eq!(world.agent(&["check", "--strict", "--config", &broken]).code, Some(1), "a loss stays a loss");
}
