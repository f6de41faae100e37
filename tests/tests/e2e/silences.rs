//! What silences what, asked of a real Alertmanager with the shipped configuration.

use std::{collections::BTreeSet, fs, net::SocketAddr, process::Command};

use ase_lab::loopback::get_json;
use serde_json::Value;

use crate::{
    http_client::get,
    process::{Program, free_port, require, run, wait_for},
    vocabulary::file,
};

/// What fires together, and what of it is heard. Each case has an environment of its own.
const CASES: [(&str, &[&str], &[&str]); 12] = [
    (
        "the way out is the parent of every class",
        &["AseEgressLost a", "AseDependencyLost a sql dropped", "AseDnsLost a dns dropped", "AseEndpointLost a https"],
        &["AseEgressLost"],
    ),
    (
        "another vantage's loss is heard",
        &["AseEgressLost a", "AseDependencyLost b sql dropped"],
        &["AseDependencyLost", "AseEgressLost"],
    ),
    (
        "lost DNS silences what shares its cause or cannot resolve, and nothing else",
        &[
            "AseDnsLost a dns dropped",
            "AseDependencyLost a https dropped",
            "AseDependencyLost a http dns_servfail",
            "AseDependencyLost a ntp unnamed",
            "AseDependencyLost a sql rejected",
        ],
        &["AseDnsLost", "AseDependencyLost sql"],
    ),
    (
        "an offline machine says only that",
        &[
            "AseProberOffline a",
            "AseAgentBlind a",
            "AseDependencyLost a sql dropped",
            "AseEgressLost a",
            "AseDnsLost a dns dropped",
        ],
        &["AseProberOffline"],
    ),
    (
        "a blind agent says nothing else",
        &["AseAgentBlind a", "AseDependencyLost a sql dropped", "AseTlsIntercepted a https tls_intercepted"],
        &["AseAgentBlind"],
    ),
    (
        "an agent that is down is the whole message",
        &["AseAgentDown a", "AseAgentBlind a", "AseAgentBehind a", "AseDependencyLost a sql dropped"],
        &["AseAgentDown"],
    ),
    (
        "a lost class stands for its signs",
        &[
            "AseDependencyLost a sql dropped",
            "AseEndpointLost a sql",
            "AseFailureBurnFast a sql",
            "AseSuccessGap a sql",
            "AseEndpointLost a https",
        ],
        &["AseDependencyLost", "AseEndpointLost https"],
    ),
    (
        "interception stands for the loss that it causes",
        &[
            "AseTlsIntercepted a https tls_intercepted",
            "AseDependencyLost a https tls_intercepted",
            "AseDependencyLost a sql dropped",
        ],
        &["AseTlsIntercepted", "AseDependencyLost sql"],
    ),
    (
        "interception of DNS stands for its signs",
        &[
            "AseDnsIntercepted a - dns_intercepted",
            "AseDnsLost a dns dns_intercepted",
            "AseDnsDivergence a - dns_divergent",
        ],
        &["AseDnsIntercepted"],
    ),
    (
        "the fleet stands for its vantages, class by class",
        &[
            "AseFleetDependencyLost - sql",
            "AseDependencyLost a sql dropped",
            "AseDependencyLost b sql reset",
            "AseDependencyLost b https reset",
        ],
        &["AseFleetDependencyLost", "AseDependencyLost https"],
    ),
    (
        "the highest level is heard",
        &["AseSuspensionRiskCritical a", "AseSuspensionRiskHigh a", "AseSuspensionRiskElevated a", "AseHorizonNear a"],
        &["AseSuspensionRiskCritical"],
    ),
    (
        "expired is more than soon",
        &["AseCertificateExpiresNow a", "AseCertificateExpiresSoon a", "AseCertificateExpiresSoon b"],
        &["AseCertificateExpiresNow", "AseCertificateExpiresSoon"],
    ),
];

/// The alerts of all cases as Alertmanager takes them.
fn all() -> Value {
    let keys = ["alertname", "instance", "class", "cause"];
    let alert = |case: usize, text: &str| {
        let given = keys.iter().zip(text.split(' ')).filter(|(_, value)| *value != "-");
        let mut labels: serde_json::Map<String, Value> =
            given.map(|(key, value)| ((*key).to_owned(), value.into())).collect();
        labels.insert("environment".to_owned(), format!("case-{case}").into());
        serde_json::json!({ "labels": labels })
    };
    let cases = CASES.iter().enumerate();
    cases.flat_map(|(case, (_, alerts, _))| alerts.iter().map(move |text| alert(case, text))).collect()
}

/// The alerts of a case that nothing silences, as their names and, where they have one, classes.
fn heard(alerts: &Value, case: usize) -> BTreeSet<String> {
    let of_case = |alert: &&Value| alert["labels"]["environment"] == format!("case-{case}");
    let alerts = alerts.as_array().expect("a list").iter().filter(of_case);
    let label = |alert: &Value, key: &str| alert["labels"][key].as_str().unwrap_or_default().to_owned();
    alerts.map(|alert| format!("{} {}", label(alert, "alertname"), label(alert, "class"))).collect()
}

#[test]
fn larger_things_silence_what_follows_from_them_and_nothing_else() {
    if !(require("prometheus-alertmanager", "prometheus-alertmanager") && require("curl", "curl")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("alertmanager.yml"), file("dashboards/alertmanager.yml"))
        .expect("the folder is writable");
    let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("prometheus-alertmanager");
    command.args(["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="]);
    // Nobody listens at the shipped receivers, which this test does not need.
    command.args(["--log.level=error".to_owned(), format!("--web.listen-address={web}")]);
    let alertmanager = Program::start(folder, &mut command)
        .until("Alertmanager", || get(web, "/-/ready").is_some_and(|response| response.code == 200));
    fs::write(alertmanager.folder.path().join("alerts.json"), all().to_string()).expect("the folder is writable");
    let post = ["-sSf", "-H", "Content-Type: application/json", "--data", "@alerts.json"];
    let posted = run(Command::new("curl")
        .args(post)
        .arg(format!("http://{web}/api/v2/alerts"))
        .current_dir(alertmanager.folder.path()));
    assert!(posted.status.success(), "{}", String::from_utf8_lossy(&posted.stderr));
    for (case, (what, _, expected)) in CASES.iter().enumerate() {
        wait_for(what, || {
            let found = heard(&get_json(web, "/api/v2/alerts?active=true&silenced=false&inhibited=false")?, case);
            let is_expected = |name: &&str| found.iter().any(|one| one.starts_with(name));
            (found.len() == expected.len() && expected.iter().all(is_expected)).then_some(())
        });
    }
}
