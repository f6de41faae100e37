//! A fleet: two agents, a Prometheus in agent mode that finds one by file and one by HTTP and sends everything on, and a
//! central Prometheus that evaluates the fleet's rules.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
};

use ase_lab::{loopback::escaped, scaled::scaled};
use serde_json::Value;

use crate::{
    http_client::get,
    process::{Program, agent, free_port, require, run, wait_for},
    vocabulary::{file, in_repository},
};

/// The waits of the shipped rules are divided by this: five minutes become three seconds.
const DIVISOR: u32 = 100;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// An agent at a vantage, with one dependency that the test holds in its hand.
struct Vantage {
    _agent: Program,
    address: SocketAddr,
    dependency: Option<TcpListener>,
}

impl Vantage {
    fn start() -> Self {
        let dependency = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = dependency.local_addr().expect("bound above").port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let configuration = format!(
            "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\nendpoints:\n  add: [{{class: tcp, host: 127.0.0.1, \
             port: {port}, interval: 1s, timeout: 500ms}}]\npace: {{failing_interval: 500ms, confirm_after: 200ms, \
             flows_per_destination: 1000}}\n"
        );
        let path = folder.path().join("agent.yaml");
        fs::write(&path, configuration).expect("the folder is writable");
        let address = loopback(free_port());
        let mut command = Command::new(agent());
        command.args(["run", "--listen", &address.to_string(), "--config"]).arg(path);
        let agent = Program::start(folder, &mut command)
            .until("the agent", || get(address, "/-/ready").is_some_and(|response| response.code == 200));
        Self { _agent: agent, address, dependency: Some(dependency) }
    }

    /// Takes the dependency away: its port refuses from now on.
    fn lose(&mut self) {
        self.dependency = None;
    }
}

/// Answers every question with these targets, as a service for `http_sd_configs`.
fn discovery(targets: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound above");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = BufReader::new(stream.try_clone().expect("a socket can be shared"));
            let is_text = |line: &String| !line.is_empty();
            request.lines().map_while(Result::ok).take_while(is_text).for_each(drop);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            drop(write!(stream, "{head}Content-Length: {}\r\n\r\n{targets}", targets.len()));
        }
    });
    address
}

fn prometheus(files: &[(&str, String)], words: &[&str]) -> (Program, SocketAddr) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("the folder is writable");
        fs::write(path, text).expect("the folder is writable");
    }
    let web = loopback(free_port());
    let mut command = Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--log.level=warn"]).args(words);
    command.arg(format!("--web.listen-address={web}"));
    let program = Program::start(folder, &mut command)
        .until("Prometheus", || get(web, "/-/ready").is_some_and(|response| response.code == 200));
    (program, web)
}

fn value(web: SocketAddr, expression: &str) -> Option<f64> {
    let answer = get(web, &format!("/api/v1/query?query={}", escaped(expression)))?;
    let answer: Value = serde_json::from_str(&answer.body).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn the_shipped_configurations_are_accepted() {
    if !require("promtool", "prometheus") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("targets")).expect("the folder is writable");
    fs::copy(in_repository("dashboards/targets.yml"), folder.path().join("targets/a.yml")).expect("a copy");
    let vantage = folder.path().join("prometheus.yml");
    fs::copy(in_repository("dashboards/prometheus-vantage.yml"), &vantage).expect("a copy");
    for (path, words) in [
        (vantage, &["check", "config", "--agent"][..]),
        (in_repository("dashboards/prometheus-central.yml"), &["check", "config"]),
        (in_repository("dashboards/prometheus.yml"), &["check", "config"]),
    ] {
        let output = run(Command::new("promtool").args(words).arg(&path));
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&said));
    }
}

#[test]
fn one_vantage_is_a_difference_and_two_are_a_loss_of_the_fleet() {
    if !require("prometheus", "prometheus") {
        return;
    }
    let (mut west, mut north) = (Vantage::start(), Vantage::start());
    let rules = |name: &str| (name.to_owned(), scaled(&file(&format!("dashboards/{name}")), DIVISOR));
    let [recording, alerts, fleet] = ["rules/recording.yml", "rules/alerts.yml", "rules/fleet.yml"].map(rules);
    let central = file("dashboards/prometheus-central.yml").replace("15s", "1s");
    let files = [
        ("prometheus.yml", central),
        (recording.0.as_str(), recording.1),
        (alerts.0.as_str(), alerts.1),
        (fleet.0.as_str(), fleet.1),
    ];
    let (_central, central) = prometheus(&files, &["--web.enable-remote-write-receiver", "--storage.tsdb.path=data"]);

    let by_file = file("dashboards/targets.yml");
    let by_file = by_file.split_inclusive("mirror}\n").next().expect("the example names a target");
    let labels = "{\"environment\": \"ase-prod\", \"vantage\": \"northeurope-mirror\"}";
    let by_http = discovery(format!("[{{\"targets\": [\"{}\"], \"labels\": {labels}}}]", north.address));
    let vantage = file("dashboards/prometheus-vantage.yml")
        .replace("15s", "1s")
        .replace("batch_send_deadline: 5s", "batch_send_deadline: 500ms")
        .replace("127.0.0.1:8080", &by_http.to_string())
        .replace("127.0.0.1:9090", &central.to_string());
    let files = [
        ("prometheus.yml", vantage),
        ("targets/west.yml", by_file.replace("10.1.0.4:10123", &west.address.to_string())),
    ];
    let (_vantage, _) = prometheus(&files, &["--enable-feature=agent", "--storage.agent.path=data"]);

    let both = "count(vantage:ase_dependency_lost:confirmed{environment=\"ase-prod\",class=\"tcp\"} == 0)";
    wait_for("both vantages at the central Prometheus", || value(central, both).filter(|count| *count == 2.0));
    let firing = |alert: &str| value(central, &format!("count(ALERTS{{alertstate=\"firing\",alertname=\"{alert}\"}})"));
    assert_eq!(firing("AseFleetVantageMissing").or(firing("AseFleetDependencyLost")), None);

    west.lose();
    wait_for("one vantage differs", || firing("AseFleetVantageDiffers"));
    assert_eq!(firing("AseFleetDependencyLost"), None, "one vantage is no quorum");

    north.lose();
    let lost = "count(ALERTS{alertstate=\"firing\",alertname=\"AseFleetDependencyLost\",environment=\"ase-prod\",class=\"tcp\"})";
    wait_for("the fleet's loss", || value(central, lost));
    wait_for("no more difference", || firing("AseFleetVantageDiffers").is_none().then_some(()));

    drop(west);
    wait_for("a vantage that went silent", || firing("AseFleetVantageMissing"));
}
