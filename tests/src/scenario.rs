//! Scenarios with real DNS servers: each is a data file under `tests/scenarios/dns`, run in namespaces, and judged by
//! what the agent says about it.

mod by_check;
mod rounds;
mod servers;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    azure::Authorities,
    fault_scenarios::Row,
    guest::{CUSTOM_DNS, Folder, Guest},
    namespace,
};

use servers::Servers;

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
    /// Whether `check` is asked, which also tries the servers, and not `nameresolver --compare`.
    #[serde(default)]
    by_check: bool,
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
    /// Words that the remarks on the custom DNS must hold, where `check` is asked.
    remark: Option<String>,
}

/// What came of a scenario.
struct Outcome {
    scenario: Scenario,
    got: Value,
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
        let remarks = self.got["remarks"].to_string();
        if let Some(words) = expect.remark.as_ref().filter(|words| !remarks.contains(*words)) {
            misses.push(format!("the remarks ({remarks}) do not hold ({words})"));
        }
        if expect.worry.as_deref() == Some("fine") && self.got["alarms"].as_u64().is_some_and(|alarms| alarms > 0) {
            misses.push(format!("{} of {} rounds alarm", self.got["alarms"], self.got["rounds"]));
        }
        misses
    }

    fn row(&self) -> Row {
        let scenario = &self.scenario;
        let got = self.comparison("class").as_str().unwrap_or("nothing").to_owned();
        let misses = self.misses();
        let is_fine = |worry: Option<&str>| worry == Some("fine");
        Row {
            group: "dns".to_owned(),
            name: scenario.name.clone(),
            what: scenario.what.clone(),
            expected: scenario.expect.class.clone(),
            exact: misses.is_empty(),
            cause_exact: got == scenario.expect.class,
            healthy: is_fine(scenario.expect.worry.as_deref()),
            silent: is_fine(self.comparison("worry").as_str()),
            got,
            misses,
            evidence: json!({ "custom": self.got["custom"], "azure": self.got["azure"], "comparison": self.got["comparison"] }),
            ..Row::default()
        }
    }
}

/// Runs the scenarios whose names hold a word.
///
/// # Errors
/// When a file is broken, or the namespaces or servers cannot be started.
pub(crate) fn rows(word: &str) -> Result<Vec<Row>> {
    let scenarios = load(word)?;
    let is_root = geteuid().is_root();
    namespace::enter()?;
    namespace::ip("link set lo up")?;
    for prefix in ["10.53.0.4/32", "168.63.129.16/32", "198.18.0.0/15", "10.60.0.0/16"] {
        namespace::make_local(prefix)?;
    }
    let authorities = Authorities::new()?;
    let folder = Folder::new(&authorities.lab)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for scenario in scenarios {
        let mut servers = runtime.block_on(Servers::start(&scenario, &folder, &authorities))?;
        let got = match &scenario.rounds {
            Some(rounds) => rounds::ask(&scenario, rounds, &mut servers, &folder, is_root),
            None if scenario.by_check => by_check::ask(&scenario, &folder, is_root),
            None => ask(&scenario, &folder, is_root),
        };
        let got = got.with_context(|| scenario.name.clone())?;
        drop(servers);
        rows.push(Outcome { scenario, got }.row());
    }
    Ok(rows)
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
