//! The daemon's life: ready, failing, mending, reloading, draining.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::Command,
};

use crate::{
    http_client::{get, request, standing, status},
    process::{Program, agent, free_port, run, wait_for},
};

/// An agent that watches one TCP port of loopback.
struct Watched {
    agent: Program,
    address: SocketAddr,
    target: u16,
}

impl Watched {
    fn start(log_format: &str) -> Self {
        Self::start_by(Command::new(agent()), log_format)
    }

    /// In a shell that limits itself first.
    fn start_limited(limit: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(agent());
        Self::start_by(shell, "logfmt")
    }

    fn start_by(mut command: Command, log_format: &str) -> Self {
        let (listen, target) = (free_port(), free_port());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("agent.yaml");
        fs::write(&file, configuration(target, "1s")).expect("the folder is writable");
        let address = SocketAddr::from(([127, 0, 0, 1], listen));
        command.args(["run", "--config"]).arg(&file).args([
            "--listen",
            &address.to_string(),
            "--log-format",
            log_format,
        ]);
        let agent = Program::start(folder, &mut command).until("the agent", || get(address, "/-/healthy").is_some());
        Self { agent, address, target }
    }

    fn id(&self) -> String {
        format!("127.0.0.1:{}", self.target)
    }

    fn until(&self, wanted: &str) {
        wait_for(wanted, || status(self.address).filter(|status| standing(status, &self.id()).0 == wanted));
    }

    fn signal(&self, name: &str) {
        let sent = run(Command::new("sh").args(["-c", &format!("kill -{name} {}", self.agent.id())]));
        assert!(sent.status.success(), "the signal is sent");
    }

    fn configure(&self, text: &str) {
        fs::write(self.agent.folder.path().join("agent.yaml"), text).expect("the folder is writable");
    }

    fn metric(&self, line: &str) -> bool {
        get(self.address, "/metrics").is_some_and(|response| response.body.lines().any(|found| found == line))
    }
}

fn configuration(target: u16, interval: &str) -> String {
    format!(
        "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\nendpoints:\n  add: [{{class: tcp, host: 127.0.0.1, port: {target}, interval: {interval}, timeout: 500ms}}]\n\
         pace: {{failing_interval: 200ms, confirm_after: 200ms, flows_per_destination: 1000}}\n"
    )
}

#[test]
fn a_loss_is_confirmed_and_named_and_its_end_is_seen() {
    let watched = Watched::start("logfmt");
    watched.until("failed");
    let now = status(watched.address).expect("the agent answers");
    assert_eq!(standing(&now, &watched.id()).1.as_deref(), Some("refused"));
    assert!(watched.metric("ase_dependency_up{class=\"tcp\"} 0"));
    let _peer = std::net::TcpListener::bind(("127.0.0.1", watched.target)).expect("the port is free");
    watched.until("healthy");
    assert!(watched.metric("ase_dependency_up{class=\"tcp\"} 1"));
    let log = watched.agent.log();
    assert!(log.contains("cause=refused") && log.contains("to=healthy"), "{log}");
}

#[test]
fn it_is_ready_after_the_first_full_round() {
    let watched = Watched::start("json");
    wait_for("ready", || get(watched.address, "/-/ready").filter(|response| response.code == 200));
    let log = watched.agent.log();
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    assert_eq!(get(watched.address, "/nowhere").map(|response| response.code), Some(404));
    assert_eq!(get(watched.address, "/-/reload").map(|response| response.code), Some(405));
}

#[test]
fn a_soft_limit_of_open_files_is_raised_and_a_hard_one_holds() {
    let visits = |limit: &str| {
        let watched = Watched::start_limited(limit);
        let page = get(watched.address, "/metrics").expect("the agent answers").body;
        ["process_max_fds ", "ase_agent_visit_sockets_limit "].map(|name| {
            let value = page.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok());
            value.unwrap_or_else(|| panic!("{name}: {page}"))
        })
    };
    let [files, sockets] = visits("ulimit -Sn 256");
    assert!(files >= 1024.0 && sockets > 256.0, "{files} files, {sockets} sockets");
    assert_eq!(visits("ulimit -n 256"), [256.0, 128.0]);
}

#[test]
fn a_good_configuration_is_taken_and_a_bad_one_is_refused() {
    let watched = Watched::start("logfmt");
    let reload = || request("POST", watched.address, "/-/reload").expect("the agent answers");
    watched.configure("pace: {concurrency: 0}\n");
    let refused = reload();
    assert_eq!(refused.code, 500);
    assert!(refused.body.contains("pace.concurrency (0) must be between 1 and 1024"), "{}", refused.body);
    assert!(watched.metric("ase_agent_config_last_reload_successful 0"));
    watched.until("failed");
    watched.configure(&configuration(watched.target, "2s").replace("class: tcp", "class: tcp, id: renamed"));
    watched.signal("HUP");
    wait_for("the new endpoint", || {
        get(watched.address, "/metrics").filter(|page| page.body.contains("endpoint=\"renamed\""))
    });
    assert!(watched.metric("ase_agent_config_last_reload_successful 1"));
    assert!(watched.agent.log().contains("configuration not reloaded, the old one stays in force"));
}

#[test]
fn sigterm_drains_and_ends_with_0() {
    let mut watched = Watched::start("logfmt");
    watched.until("failed");
    watched.signal("TERM");
    assert_eq!(watched.agent.exit_code(), Some(0));
    assert!(watched.agent.log().trim_end().ends_with("message=stopped"), "{}", watched.agent.log());
}

#[test]
fn a_second_sigterm_leaves_out_the_wait_for_visits_under_way() {
    let mut watched = Watched::start("logfmt");
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = silent.local_addr().expect("it is bound").port();
    watched.configure(&format!(
        "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\npace: {{drain: 10m}}\nendpoints:\n  \
         add: [{{class: https, host: 127.0.0.1, port: {port}, interval: 20m, timeout: 10m}}]\n"
    ));
    watched.signal("HUP");
    let (_held, _) = silent.accept().expect("the visit begins");
    watched.signal("TERM");
    wait_for("the drain", || watched.agent.log().contains("message=draining").then_some(()));
    watched.signal("TERM");
    assert_eq!(watched.agent.exit_code(), Some(0));
    let log = watched.agent.log();
    assert!(log.contains("a second signal") && log.trim_end().ends_with("message=stopped"), "{log}");
}
