//! Scenarios with real DNS servers: each is a data file under `tests/scenarios/dns`, run in namespaces, and judged by
//! what the agent says about it.

mod rounds;
mod servers;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use ase_probes::clock;
use nix::unistd::geteuid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    azure::Authorities,
    guest::{CUSTOM_DNS, Folder, Guest},
    namespace,
};

use servers::Servers;

/// Which scenarios to run, and where to report.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Part of the names to run; empty for all.
    pub filter: String,
    /// The file for the results as JSON.
    pub report: Option<PathBuf>,
}

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// The file's name.
    #[serde(skip)]
    name: String,
    /// What is the case, one line.
    what: String,
    /// The name that is asked.
    ask: String,
    /// The custom DNS, unbound.
    custom: Side,
    /// Azure DNS, knot.
    azure: Side,
    /// Web front ends.
    #[serde(default)]
    web: Web,
    /// A name or suffix that the operator declared private.
    #[serde(default)]
    private: Vec<String>,
    /// Origins that the operator declared.
    #[serde(default)]
    origins: BTreeMap<String, Vec<String>>,
    /// Several rounds, and what changes between them.
    rounds: Option<rounds::Rounds>,
    /// Whether something answers DNS at 192.0.2.1, where no server can be.
    #[serde(default)]
    intercepted: bool,
    /// What the agent must say.
    expect: Expectation,
}

/// A DNS server.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Side {
    /// No real server.
    Absent(Absent),
    /// A server with a root zone of these records.
    Present(Present),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Absent {
    /// Nobody listens.
    None,
    /// A simulated server that knows the asked name, and somebody on the path who answers too.
    Raced,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Present {
    /// Lines of a master file.
    #[serde(default)]
    records: String,
    /// Further lines of unbound's server section.
    #[serde(default)]
    options: String,
}

/// Addresses with an HTTPS front end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Web {
    /// Here a certificate for any name verifies.
    #[serde(default)]
    proves: Vec<std::net::IpAddr>,
    /// Here none does.
    #[serde(default)]
    fails: Vec<std::net::IpAddr>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    class: String,
    worry: Option<String>,
    rule: Option<u8>,
    /// Words that the reason must hold.
    reason: Option<String>,
}

/// What came of a scenario.
struct Outcome {
    scenario: Scenario,
    got: Value,
    seconds: f64,
}

impl Outcome {
    fn comparison(&self, key: &str) -> &Value {
        &self.got["comparison"][key]
    }

    /// What differs from the expectation; empty when it is met.
    fn misses(&self) -> Vec<String> {
        let expect = &self.scenario.expect;
        let mut misses = Vec::new();
        let mut compare = |key: &str, wanted: Option<Value>| {
            let got = self.comparison(key);
            if let Some(wanted) = wanted.filter(|wanted| wanted != got) {
                misses.push(format!("{key} is {got}, not {wanted}"));
            }
        };
        compare("class", Some(json!(expect.class)));
        compare("worry", expect.worry.as_ref().map(|worry| json!(worry)));
        compare("rule", expect.rule.map(|rule| json!(rule)));
        let reason = self.comparison("reason").as_str().unwrap_or_default();
        if let Some(words) = expect.reason.as_ref().filter(|words| !reason.contains(*words)) {
            misses.push(format!("the reason ({reason}) does not hold ({words})"));
        }
        if expect.worry.as_deref() == Some("fine") && self.got["alarms"].as_u64().is_some_and(|alarms| alarms > 0) {
            misses.push(format!("{} of {} rounds alarm", self.got["alarms"], self.got["rounds"]));
        }
        misses
    }
}

/// Runs the chosen scenarios; the exit code is 1 if one is missed.
///
/// # Errors
/// When a file is broken, or the namespaces or servers cannot be started.
pub fn run(choice: &Choice) -> Result<ExitCode> {
    let scenarios = load(&choice.filter)?;
    let is_root = geteuid().is_root();
    let report = choice.report.as_deref().map(fs::File::create).transpose().context("cannot write the report")?;
    namespace::enter()?;
    namespace::ip("link set lo up")?;
    for prefix in ["10.53.0.4/32", "168.63.129.16/32", "198.18.0.0/15", "10.60.0.0/16"] {
        namespace::make_local(prefix)?;
    }
    let authorities = Authorities::new()?;
    let folder = Folder::new(&authorities.lab)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let start = clock::now();
        let mut servers = runtime.block_on(Servers::start(&scenario, &folder, &authorities))?;
        let got = match &scenario.rounds {
            Some(rounds) => rounds::ask(&scenario, rounds, &mut servers, &folder, is_root),
            None => ask(&scenario, &folder, is_root),
        };
        let got = got.with_context(|| scenario.name.clone())?;
        drop(servers);
        let outcome = Outcome { scenario, got, seconds: start.elapsed().as_secs_f64() };
        print_row(&outcome);
        outcomes.push(outcome);
    }
    let document = document(&outcomes);
    let summary = &document["summary"];
    println!(
        "\n{} of {} exact; {} of {} harmless ones silent",
        summary["exact"], summary["total"], summary["healthy_silent"], summary["healthy"]
    );
    if let Some(mut file) = report {
        writeln!(file, "{document:#}").context("cannot write the report")?;
    }
    Ok(ExitCode::from(u8::from(summary["exact"] != summary["total"])))
}

/// Loads the scenarios, ordered by name.
fn load(filter: &str) -> Result<Vec<Scenario>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/dns");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    let mut scenarios = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let text = fs::read_to_string(file)?;
        let mut scenario: Scenario = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
        scenario.name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if scenario.name.contains(filter) {
            scenarios.push(scenario);
        }
    }
    if scenarios.is_empty() {
        bail!("no scenario's name holds ({filter})");
    }
    Ok(scenarios)
}

/// Lets the agent compare the two servers, from the guest's side and without privileges.
fn ask(scenario: &Scenario, folder: &Folder, is_root: bool) -> Result<Value> {
    let mut guest = Guest::start(&command(scenario, folder, &[])?, folder, is_root, Stdio::piped())?;
    guest.begin()?;
    let output = guest.output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the agent ended with {} and no JSON", output.status))
}

/// The agent's command line, with its configuration written.
fn command(scenario: &Scenario, folder: &Folder, more: &[&str]) -> Result<Vec<OsString>> {
    let config = json!({
        "resolvers": { "custom": [CUSTOM_DNS] },
        "dns": { "private": scenario.private, "origins": scenario.origins },
    });
    let config = folder.write("ase-agent.yaml", &format!("{config}\n"))?;
    let words = ["ase-agent", "nameresolver", "--compare", "--output", "json"].iter().chain(more);
    let words = words.map(OsString::from).chain(["--config".into(), config.into_os_string()]);
    Ok(words.chain([OsString::from(&scenario.ask)]).collect())
}

fn print_row(outcome: &Outcome) {
    let misses = outcome.misses();
    let (mark, name) = (if misses.is_empty() { "ok  " } else { "MISS" }, &outcome.scenario.name);
    let class = outcome.comparison("class").as_str().unwrap_or("nothing");
    println!("{mark}  {name:28}  {class:22}  {:5.1} s  {}", outcome.seconds, outcome.scenario.what);
    if !misses.is_empty() {
        misses.iter().for_each(|miss| println!("        {miss}"));
        println!("        custom {}\n        azure  {}", outcome.got["custom"], outcome.got["azure"]);
    }
}

fn document(outcomes: &[Outcome]) -> Value {
    let is_harmless = |outcome: &&Outcome| outcome.scenario.expect.worry.as_deref() == Some("fine");
    let is_silent = |outcome: &&Outcome| outcome.comparison("worry") == "fine";
    let row = |outcome: &Outcome| {
        json!({
            "name": outcome.scenario.name, "group": "dns", "expected": outcome.scenario.expect.class,
            "got": outcome.comparison("class"), "exact": outcome.misses().is_empty(), "seconds": outcome.seconds,
            "evidence": outcome.got,
        })
    };
    json!({
        "summary": {
            "total": outcomes.len(),
            "exact": outcomes.iter().filter(|outcome| outcome.misses().is_empty()).count(),
            "healthy": outcomes.iter().filter(is_harmless).count(),
            "healthy_silent": outcomes.iter().filter(is_harmless).filter(is_silent).count(),
        },
        "scenarios": outcomes.iter().map(row).collect::<Vec<_>>(),
    })
}
