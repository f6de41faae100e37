//! SARIF against its standard: by the published schema, by types made from it, and by what the agent writes of it.

use std::{fs, path::Path, process::Command, sync::OnceLock};

use serde_json::{Value, json};

use crate::{
    lint_diff::{agent_says, group, no_web, rule, write},
    process::run,
};

/// The schema that OASIS published, in the sources of the crate that makes its types from it.
fn published_schema() -> Value {
    let cargo = |arguments: &[&str]| {
        let output = run(Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("cargo writes UTF-8")
    };
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo says its host");
    let text = cargo(&["metadata", "--offline", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&text).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").expect("the crate is a dependency");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    let file = manifest.with_file_name("src").join("schema.json");
    let text = fs::read_to_string(&file).expect("the crate has the schema");
    // The pattern of a language has a bracket too many, which is no regular expression. The agent writes no language.
    let text = text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}?$");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// The files of a fixture of `tests/lint` and the arguments that judge them.
fn arguments_of(fixture: &Value, folder: &Path) -> Vec<String> {
    let files = fixture["files"].as_array().expect("files").iter().enumerate();
    let mut all: Vec<String> = files.map(|(at, file)| write(folder, &format!("{at}.json"), file)).collect();
    let mut add = |option: &str, value: &Value| {
        let texts = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
        for text in texts.iter().filter_map(Value::as_str) {
            all.extend([option.to_owned(), text.to_owned()]);
        }
    };
    for (option, key) in [
        ("--profile", "profile"),
        ("--cloud", "cloud"),
        ("--subnet", "subnet"),
        ("--vnet", "vnet"),
        ("--service-endpoints", "service_endpoints"),
        ("--deployment", "deployment"),
        ("--nsg", "group"),
    ] {
        add(option, &fixture[key]);
    }
    all
}

/// Every fixture of the lint in SARIF, with the arguments.
fn of_fixtures() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("lint");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut all = Vec::new();
    for entry in fs::read_dir(root).expect("the fixtures are there") {
        let path = entry.expect("readable").path();
        let fixture: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
        let arguments = arguments_of(&fixture, folder.path());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let name = path.display().to_string();
        all.push((name, sarif(&[&["lint"], arguments.as_slice()].concat())));
    }
    all
}

fn sarif(arguments: &[&str]) -> Value {
    let (code, text, error) = agent_says(&[arguments, &["--format", "sarif"]].concat());
    assert!(matches!(code, Some(0..=3)), "{arguments:?}: {code:?} {error}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {error}"))
}

/// Reports and comparisons: odd names, a suppression, something that cannot be judged, nothing at all.
fn of_commands() -> Vec<(String, Value)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let twin = rule(100, "twin", "Deny", "Inbound", "*", "70000");
    let odd = write(folder.path(), "my group#1 \"\u{fc}\".json", &group(&[no_web(), twin]));
    let fine = write(folder.path(), "fine.json", &group(&[]));
    let unknown = rule(200, "open", "Deny", "Outbound", "[parameters('x')]", "443");
    let open = write(folder.path(), "open.json", &group(&[unknown]));
    let runs: [&[&str]; 7] = [
        &["lint", &odd, "--subnet", "10.0.1.0/24"],
        &["lint", &odd, "--subnet", "10.0.1.0/24", "--suppress", "blocked.out-https=agreed"],
        &["lint", &open, "--subnet", "10.0.1.0/24"],
        &["lint", &fine, "--profile", "custom"],
        &["lint", "diff", &fine, &odd, "--subnet", "10.0.1.0/24"],
        &["lint", "diff", &fine, &open, "--subnet", "10.0.1.0/24"],
        &["lint", "diff", &fine, &fine],
    ];
    runs.into_iter().map(|arguments| (format!("{arguments:?}"), sarif(arguments))).collect()
}

fn all() -> &'static [(String, Value)] {
    static ALL: OnceLock<Vec<(String, Value)>> = OnceLock::new();
    ALL.get_or_init(|| of_commands().into_iter().chain(of_fixtures()).collect())
}

#[test]
fn sarif_follows_the_published_schema_and_its_types_lose_nothing() {
    let schema = published_schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema");
    let none =
        json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"level": "bad"}]}]});
    assert!(!validator.is_valid(&none) && serde_json::from_value::<serde_sarif::sarif::Sarif>(none).is_err());
    for (what, document) in all() {
        let wrong: Vec<_> =
            validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{what}");
        let typed: serde_sarif::sarif::Sarif =
            serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(serde_json::to_value(&typed).expect("it can be written"), *document, "{what}");
    }
}

#[test]
fn sarif_says_what_the_standard_allows_and_nothing_else() {
    let schema: Value = serde_json::from_str(include_str!("sarif.schema.json")).expect("the schema is JSON");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema");
    for (what, document) in all() {
        let wrong: Vec<_> =
            validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{what}");
        for result in document["runs"][0]["results"].as_array().expect("results") {
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
            assert_eq!(document["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }
}

#[test]
fn what_could_not_be_judged_is_a_note() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (access, to, words) in
        [("Deny", "[parameters('x')]", "[parameters('x')]"), ("Allow", "AzureKeyVolt", "AzureKeyVault is meant?")]
    {
        let open = write(folder.path(), "open.json", &group(&[rule(200, "open", access, "Outbound", to, "443")]));
        let document = sarif(&["lint", &open, "--subnet", "10.0.1.0/24", "--vnet", "10.0.0.0/16"]);
        let results = document["runs"][0]["results"].as_array().expect("results");
        let said = |result: &Value| {
            let is_note = result["ruleId"] == "cannot_tell" && result["level"] == "note";
            is_note && result["message"]["text"].as_str().is_some_and(|text| text.contains(words))
        };
        assert!(results.iter().any(said), "{results:?}");
    }
}
