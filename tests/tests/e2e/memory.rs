//! The memory under kill -9, restarts and damage, with the real binaries.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use ase_agent::store::{
    FILE,
    history::{self, Query},
};
use ase_lab::remember::{self, state};
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    http_client::{get, status},
    process::{Program, agent, binary, free_port, run, wait_for},
};

/// Incidents that a store keeps ([what is remembered](../../../docs/memory.md)).
const MOST_INCIDENTS: u64 = 2000;

/// How often the writer is killed.
const KILLS: usize = 200;

/// Lets the writer run until it has committed `steps` steps, then a random while longer, and kills it. Returns the last
/// step that it said is on the disk.
fn killed(folder: &Path, steps: usize, longer: Duration) -> (String, u64) {
    let mut command = Command::new(binary("ase-lab"));
    let mut child = command.arg("remember").arg(folder).stdout(Stdio::piped()).spawn().expect("the writer starts");
    let output = BufReader::new(child.stdout.take().expect("piped above"));
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            drop(tell.send(line));
        }
    });
    let mut lines: Vec<String> = (0..=steps).filter_map(|_| told.recv_timeout(Duration::from_secs(30)).ok()).collect();
    std::thread::park_timeout(longer);
    child.kill().expect("the writer can be killed");
    drop(child.wait());
    reader.join().expect("the reader ends with the writer");
    lines.extend(told.try_iter());
    let greeting = lines.first().cloned().expect("the writer greets");
    let last = lines.iter().skip(1).filter_map(|line| line.parse().ok()).max().unwrap_or(0);
    (greeting, last)
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_committed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut rng = StdRng::from_seed([9; 32]);
    // The kills begin where retention does, so that a slow machine crosses that line too.
    let mut acknowledged = MOST_INCIDENTS - 10;
    remember::fill(folder.path(), acknowledged).expect("the store can be filled");
    for kill in 0..KILLS {
        let longer = Duration::from_micros(rng.random_range(0..20_000));
        let (greeting, last) = killed(folder.path(), rng.random_range(0..3), longer);
        let found = history::read(folder.path(), &Query::default());
        let found = found.unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        assert!(greeting.ends_with("resets 0"), "kill {kill}: {greeting}");
        acknowledged = last.max(acknowledged);
        let saved = found.state.as_ref().map_or(0, |state| state.memory.risk.sequence);
        // One step may be on the disk that the writer did not come to say.
        assert!(saved == acknowledged || saved == acknowledged + 1, "kill {kill}: saved {saved}, said {acknowledged}");
        assert!(saved == 0 || found.state == Some(state(saved)), "kill {kill}: {:?}", found.state);
        assert_eq!(found.damaged, 0, "kill {kill}");
        // The incident of a step may be on the disk before the clocks of that step are: they are two orders, and the
        // writer commits whatever is in its queue. Retention counts it, so the newest incident is where counting begins.
        let ids: BTreeSet<u64> = found.incidents.iter().filter_map(|incident| incident.id.parse().ok()).collect();
        let newest = ids.last().copied().unwrap_or(0);
        assert!(newest == saved || newest == saved + 1, "kill {kill}: incident {newest}, clocks {saved}");
        let oldest = newest.saturating_sub(MOST_INCIDENTS - 1).max(1);
        assert!(
            ids.iter().copied().eq(oldest..=newest),
            "kill {kill}: {} incidents, not the newest from {oldest} to {newest}",
            ids.len()
        );
        acknowledged = saved;
    }
    assert!(acknowledged > MOST_INCIDENTS + KILLS as u64 / 2, "{acknowledged} steps in {KILLS} runs");
}

/// An agent that watches one closed port of loopback and remembers.
struct Remembering {
    listen: SocketAddr,
    target: u16,
    state: tempfile::TempDir,
}

impl Remembering {
    fn new() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self { listen, target: free_port(), state: tempfile::tempdir().expect("a temporary folder") }
    }

    fn start(&self) -> Program {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "resolvers: {{custom: [127.0.0.1]}}\nstate_dir: {}\nprofile: custom\nendpoints:\n  add: [{{class: tcp, host: 127.0.0.1, port: {}, interval: 1s, timeout: 500ms}}]\n\
             pace: {{failing_interval: 200ms, confirm_after: 200ms, flows_per_destination: 1000}}\n",
            self.state.path().display(),
            self.target
        );
        fs::write(folder.path().join("agent.yaml"), text).expect("the folder is writable");
        let mut command = Command::new(agent());
        command
            .args(["run", "--config", "agent.yaml", "--listen", &self.listen.to_string()])
            .env_remove("STATE_DIRECTORY");
        Program::start(folder, &mut command).until("the agent", || get(self.listen, "/-/healthy").is_some())
    }

    fn history(&self) -> Value {
        let output =
            run(Command::new(agent()).args(["history", "--output", "json", "--state-dir"]).arg(self.state.path()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("the history is JSON")
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.history()).filter(|history| holds(history)))
    }
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn an_incident_outlives_kill_9_goes_on_and_ends() {
    let remembering = Remembering::new();
    let first = remembering.start();
    wait_for("an incident", || status(remembering.listen).filter(|status| count(&status["incidents"]) == 1));
    let before = remembering.until("the incident in the store", |history| count(&history["incidents"]) == 1);
    drop(first);
    let mut second = remembering.start();
    wait_for("the incident again", || status(remembering.listen).filter(|status| count(&status["incidents"]) == 1));
    let _peer = std::net::TcpListener::bind(("127.0.0.1", remembering.target)).expect("the port is free");
    let after = remembering.until("its end", |history| history["incidents"][0]["closed"].is_string());
    assert_eq!(count(&after["incidents"]), 1, "{after}");
    assert_eq!(after["incidents"][0]["id"], before["incidents"][0]["id"]);
    assert_eq!(after["incidents"][0]["since"], before["incidents"][0]["since"]);
    let ended = run(Command::new("sh").args(["-c", &format!("kill -TERM {}", second.id())]));
    assert!(ended.status.success());
    assert_eq!(second.exit_code(), Some(0));
    let last = remembering.history();
    let outcomes = last["outcomes"].as_array().expect("a list");
    assert!(outcomes.iter().any(|row| row["result"] == "healthy"), "the last stretch is written at the end: {last}");
    assert!(outcomes.iter().any(|row| row["cause"] == "refused"), "{last}");
    assert_eq!(last["clocks"]["level"], "none");
}

#[test]
fn the_addresses_that_a_daemon_asked_are_handed_over_from_its_folder_and_from_a_saved_status() {
    let remembering = Remembering::new();
    let _peer = std::net::TcpListener::bind(("127.0.0.1", remembering.target)).expect("the port is free");
    let mut daemon = remembering.start();
    let seen = wait_for("a visit", || status(remembering.listen).filter(|status| status["summary"]["healthy"] == 1));
    let saved = remembering.state.path().join("monday.json");
    fs::write(&saved, seen.to_string()).expect("the folder is writable");
    let ended = run(Command::new("sh").args(["-c", &format!("kill -TERM {}", daemon.id())]));
    assert!(ended.status.success());
    assert_eq!(daemon.exit_code(), Some(0));
    let config = daemon.folder.path().join("agent.yaml");
    let list = |place: &Path| {
        let mut command = Command::new(agent());
        command.args(["allowlist", "--format", "json", "--config"]).arg(&config).arg("--seen").arg(place);
        run(command.env_remove("STATE_DIRECTORY"))
    };
    for place in [remembering.state.path(), &saved] {
        let output = list(place);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).expect("the list is JSON");
        let entry = &document["requirements"][0];
        assert_eq!(entry["ports"], serde_json::json!([remembering.target]), "{document}");
        let address = &entry["addresses"][0];
        assert_eq!(address["address"], "127.0.0.1", "{document}");
        assert!(address["first_seen"].as_str() <= address["last_seen"].as_str(), "{address}");
        assert_eq!((count(&entry["addresses"]), &entry["changes"]), (1, &serde_json::json!(0)), "{entry}");
    }
    let nothing = tempfile::tempdir().expect("a temporary folder");
    assert_ne!(list(nothing.path()).status.code(), Some(0), "nobody remembers anything there");
}

#[test]
fn a_damaged_store_is_set_aside_and_the_agent_runs_on() {
    let remembering = Remembering::new();
    let path = remembering.state.path().join(FILE);
    for (number, damage) in
        [|bytes: &mut Vec<u8>| bytes.truncate(5000), |bytes: &mut Vec<u8>| bytes[20] ^= 8].iter().enumerate()
    {
        drop(remembering.start());
        wait_for("a store", || fs::metadata(&path).ok().filter(|data| data.len() > 5000));
        let mut bytes = fs::read(&path).expect("the store is there");
        damage(&mut bytes);
        drop(fs::remove_file(path.with_extension("db-wal")));
        fs::write(&path, bytes).expect("the store can be changed");
        let agent = remembering.start();
        let page = get(remembering.listen, "/metrics").expect("the agent answers").body;
        assert!(page.contains(&format!("\nase_store_resets_total {}\n", number + 1)), "damage {number}");
        assert!(page.contains("\nase_store_ok 1\n"));
        assert!(agent.log().contains("the store is damaged"), "{}", agent.log());
    }
}
