//! What came of all scenarios: a line each while they run, then the confusions, the accuracy and the misses.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{file::Scenario, gate, judge, play::Played};

/// What came of one scenario.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) what: String,
    /// The causes that must be named, or `silent`.
    pub(crate) expected: String,
    /// The causes that were named last.
    pub(crate) got: String,
    /// Whether everything was as it must be: cause, side, scope, confidence, endpoints, and nothing else said.
    pub(crate) exact: bool,
    /// Whether the cause was as it must be.
    pub(crate) cause_exact: bool,
    /// Whether nothing may be said here.
    pub(crate) healthy: bool,
    /// Whether nothing was said.
    pub(crate) silent: bool,
    /// Whether a fault of this machine was blamed on somebody else, be it for a moment.
    pub(crate) local_blamed: bool,
    /// Causes that were named on the way, or still are, and are wrong.
    pub(crate) wrong_in_passing: Vec<String>,
    /// From the first failing visit to the right incident in the status, in seconds.
    pub(crate) seconds_to_diagnosis: Option<f64>,
    /// What was said in between: seconds from the fault, and the incidents.
    pub(crate) course: Vec<(f64, String)>,
    pub(crate) misses: Vec<String>,
    /// What was said though it may never be, by the daemon at any moment or by `check`.
    pub(crate) never_violated: Vec<String>,
    /// What did not live on through a reload.
    pub(crate) unsteady: Vec<String>,
    /// Time servers that were asked too often.
    pub(crate) impolite: Vec<String>,
    /// Whether it could not be played.
    pub(crate) broken: bool,
    /// The file that it was played from, as group and name; none for the comparisons of resolvers.
    pub(crate) file: Option<String>,
    /// How long `check` took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_seconds: Option<f64>,
    /// What `check` showed on a terminal, where the file asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) screen: Option<String>,
    pub(crate) evidence: Value,
}

impl Row {
    /// The row of a scenario that was played.
    pub(super) fn of(scenario: &Scenario, played: &Played) -> Self {
        let watch = &played.watch;
        let mut misses = judge::misses(scenario, &played.status);
        misses.extend([&watch.wrong, &watch.unsteady, &watch.impolite].into_iter().flatten().cloned());
        misses.extend(played.began.iter().flat_map(|began| judge::too_early(*began, &played.status)));
        let unheard = scenario.says.iter().filter(|word| !watch.heard.contains(*word));
        misses.extend(unheard.map(|word| format!("the daemon never said ({word})")));
        let mut never_violated: Vec<String> =
            watch.never.iter().map(|word| format!("the agent said ({word})")).collect();
        if let Some((text, took)) = &played.check {
            misses.extend(scenario.check.iter().flat_map(|check| judge::lacks(check, text, *took)));
            never_violated.extend(judge::forbidden(scenario, text));
        }
        let has_screen = scenario.check.as_ref().is_some_and(|check| check.screen);
        let screen = played.check.as_ref().filter(|_| has_screen).map(|(text, _)| text.clone());
        let got = judge::got(&played.status);
        let is_silent = judge::incidents(&played.status).is_empty() && !watch.has_cried;
        let cause_exact = judge::names_causes(scenario, &played.status) && !watch.has_cried;
        let seconds_to_diagnosis = judge::right(scenario, &played.status).and_then(seconds);
        Self {
            group: scenario.group.clone(),
            name: scenario.name.clone(),
            what: scenario.what.clone(),
            expected: scenario.expected(),
            got,
            exact: misses.is_empty(),
            cause_exact,
            healthy: scenario.is_healthy(),
            silent: is_silent,
            local_blamed: watch.has_blamed,
            wrong_in_passing: watch.in_passing.iter().cloned().collect(),
            seconds_to_diagnosis,
            course: watch.course.clone(),
            misses,
            never_violated,
            unsteady: watch.unsteady.clone(),
            impolite: watch.impolite.clone(),
            broken: false,
            file: Some(scenario.file.clone()),
            check_seconds: played.check.as_ref().map(|(_, took)| took.whole.as_secs_f64()),
            screen,
            evidence: evidence(&played.status),
        }
    }

    /// Whether everything was as it must be: exact, and nothing said that may never be.
    pub(crate) fn is_strict(&self) -> bool {
        self.exact && self.never_violated.is_empty()
    }

    /// In one line, what was not as it must be: the last lines are what is left of a long text that was cut.
    fn missed(&self) -> Option<String> {
        let never = self.never_violated.iter().map(|told| format!("NEVER: {told}"));
        let told: Vec<String> = never.chain(self.misses.iter().cloned()).collect();
        (!told.is_empty()).then(|| format!("not right: {}/{}: {}", self.group, self.name, told.join("; ")))
    }

    /// One line, and what is wrong.
    pub(super) fn print(&self, number: usize) {
        let mark = match (self.is_strict(), self.cause_exact) {
            (true, _) => "ok  ",
            (false, true) => "part",
            (false, false) => "MISS",
        };
        let time = self.seconds_to_diagnosis.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
        let title = format!("{}/{}", self.group, self.name);
        println!("{number:3}  {mark}  {title:44}  {:24}  {time:>7}  {}", self.got, self.what);
    }
}

/// From the first failing visit to the published incident.
fn seconds(incident: &Value) -> Option<f64> {
    let at = |key: &str| incident[key].as_str()?.parse::<Timestamp>().ok();
    Some(at("published")?.duration_since(at("since")?).as_secs_f64())
}

/// What the agent bases its word on: the incidents, and every endpoint that is not healthy.
fn evidence(status: &Value) -> Value {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ill =
        endpoints.iter().filter(|endpoint| endpoint["status"] != "healthy" && endpoint["status"] != "not_configured");
    let brief = |endpoint: &Value| {
        let keys = ["id", "status", "cause", "phase", "side", "scope", "confidence", "evidence"];
        keys.iter().map(|key| ((*key).to_owned(), endpoint[key].clone())).collect::<serde_json::Map<_, _>>()
    };
    json!({"incidents": status["incidents"], "endpoints": ill.map(brief).collect::<Vec<_>>()})
}

/// The report as a document.
pub(super) fn document(rows: &[Row], took: Duration) -> Value {
    let count = |is: fn(&&Row) -> bool| rows.iter().filter(is).count();
    json!({
        "summary": {
            "total": rows.len(),
            "files": rows.iter().filter_map(|row| row.file.as_ref()).collect::<BTreeSet<_>>().len(),
            "exact": count(|row| row.exact),
            "strict": count(|row| row.is_strict()),
            "never_violated": count(|row| !row.never_violated.is_empty()),
            "cause_exact": count(|row| row.cause_exact),
            "healthy": count(|row| row.healthy),
            "healthy_silent": count(|row| row.healthy && row.silent),
            "local_blamed": count(|row| row.local_blamed),
            "unsteady": count(|row| !row.unsteady.is_empty()),
            "impolite": count(|row| !row.impolite.is_empty()),
            "broken": count(|row| row.broken),
            "falls_short": gate::falls_short(rows),
            "wrong_in_passing": count(|row| !row.wrong_in_passing.is_empty()),
            "median_seconds_to_diagnosis": median(rows),
            "seconds": took.as_secs_f64(),
        },
        "scenarios": rows,
    })
}

fn median(rows: &[Row]) -> Option<f64> {
    let mut times: Vec<f64> = rows.iter().filter_map(|row| row.seconds_to_diagnosis).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Prints confusions, accuracy, and misses with their evidence.
pub(super) fn print(rows: &[Row], took: Duration) {
    for row in rows.iter().filter(|row| !row.is_strict()) {
        println!("\n{}/{}: {}", row.group, row.name, row.what);
        row.never_violated.iter().for_each(|told| println!("    NEVER: {told}"));
        row.misses.iter().for_each(|miss| println!("    {miss}"));
        row.course.iter().for_each(|(seconds, said)| println!("    after {seconds:.1} s: {said}"));
        print_evidence(&row.evidence);
    }
    let mut confusions: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.cause_exact) {
        *confusions.entry((&row.expected, &row.got)).or_default() += 1;
    }
    if !confusions.is_empty() {
        println!("\nconfusions:           expected  named");
        confusions.iter().for_each(|((expected, got), count)| println!("{count:5} {expected:>24}  {got}"));
    }
    let mut groups: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for row in rows {
        let (exact, cause, total) = groups.entry(&row.group).or_default();
        *exact += usize::from(row.is_strict());
        *cause += usize::from(row.cause_exact);
        *total += 1;
    }
    println!("\ngroup        total  strict  cause exact");
    for (group, (exact, cause, total)) in groups {
        println!("{group:12} {total:5}  {exact:6}  {cause:5}  {:5.1} %", 100.0 * cause as f64 / total as f64);
    }
    let document = document(rows, took);
    let summary = &document["summary"];
    println!(
        "\n{} of {} strictly right, {} with the exact cause; {} of {} healthy ones silent; {} local faults blamed on others; \
         {} said what may never be said; {} named another cause for a while",
        summary["strict"],
        summary["total"],
        summary["cause_exact"],
        summary["healthy_silent"],
        summary["healthy"],
        summary["local_blamed"],
        summary["never_violated"],
        summary["wrong_in_passing"]
    );
    if let Some(median) = median(rows) {
        println!("median time from the first failing visit to the right incident: {median:.1} s");
    }
    println!("took {:.0} s", took.as_secs_f64());
    rows.iter().filter_map(Row::missed).for_each(|line| println!("{line}"));
}

fn print_evidence(evidence: &Value) {
    for incident in judge::incidents(evidence) {
        println!("    says {}: {}", judge::told(incident), incident["endpoints"]);
        let lines = incident["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(Value::as_str).for_each(|line| println!("         {line}"));
    }
    for endpoint in evidence["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let word = |key: &str| endpoint[key].as_str().unwrap_or("-");
        println!("    {} {} {} {}", word("id"), word("status"), word("cause"), endpoint["evidence"]);
    }
}
