//! `ase-agent import`: answers of the management API from files and from a server on loopback that stands in for it.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    http_client::{get, status},
    process::{Program, agent, free_port, run},
};

const ID: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg/providers/Microsoft.Web/hostingEnvironments/ase-1";
/// What must be found nowhere.
const TOKEN: &str = "eyTOKEN-b7f3c0ffee-MUST-NOT-BE-SEEN";

fn write(folder: &Path, name: &str, value: &Value) -> String {
    let file = folder.join(name);
    fs::write(&file, value.to_string()).expect("the folder is writable");
    file.display().to_string()
}

fn import(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(agent());
    command.arg("import").args(arguments).env_remove("ASE_AGENT_CONFIG").env_remove("STATE_DIRECTORY");
    let output = run(&mut command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn dependency(name: &str, port: u16, address: &str, accessible: bool) -> Value {
    json!({"category": "Regional Service", "endpoints": [{"domainName": name,
        "endpointDetails": [{"ipAddress": address, "port": port, "latency": 3.25, "isAccessible": accessible}]}]})
}

fn outbound() -> Value {
    json!({"value": [
        dependency("asedb-7.database.windows.net", 1433, "203.0.113.10", true),
        dependency("asestore7.blob.core.windows.net", 443, "203.0.113.11", true),
        dependency("login.live.com", 443, "203.0.113.12", true),
        dependency("gr-prod-mwh.example.net", 443, "203.0.113.13", true)], "nextLink": null})
}

#[test]
fn dependencies_become_a_configuration_that_the_agent_accepts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = write(folder.path(), "outbound.json", &outbound());
    let file = folder.path().join("ase-agent.yaml").display().to_string();
    let (code, text, error) = import(&["outbound", &answer, "--into", &file]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("the environment reaches 4 of 4"), "{text}");
    let check = run(Command::new(agent()).args(["config", "check", &file]));
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let written = fs::read_to_string(&file).expect("it was written");
    for line in [
        "sql-server:",
        "- \"asedb-7.database.windows.net\"",
        "- \"asestore7.blob.core.windows.net:443\"",
        "host: \"gr-prod-mwh.example.net\"",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
    assert!(!written.contains("login.live.com"), "the profile has it");
    fs::write(&file, "mine").expect("the folder is writable");
    let (code, _, error) = import(&["outbound", &answer, "--into", &file]);
    assert!(code == Some(78) && error.contains("--overwrite"), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine", "never silently");
    let (code, ..) = import(&["outbound", &answer, "--into", &file, "--overwrite"]);
    assert_eq!((code, fs::read_to_string(&file).ok()), (Some(0), Some(written)));
    let (code, printed, _) = import(&["outbound", &answer]);
    let piped = folder.path().join("piped.yaml");
    fs::write(&piped, &printed).expect("the folder is writable");
    let check = run(Command::new(agent()).args(["config", "check", &piped.display().to_string()]));
    assert!(code == Some(0) && check.status.success(), "what is printed is a configuration, too: {printed}");
}

#[test]
fn the_environments_view_is_compared_with_the_agents() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = write(
        folder.path(),
        "outbound.json",
        &json!([
            dependency("a.example.net", 443, "203.0.113.1", false),
            dependency("b.example.net", 443, "203.0.113.2", true)
        ]),
    );
    let seen = |id: &str, status: &str| {
        json!({"id": id, "class": "https", "port": 443, "status": status, "last_visit": "2026-01-01T00:00:00Z",
        "severity": "critical", "addresses": []})
    };
    let status = write(
        folder.path(),
        "status.json",
        &json!({"schema": "ase-agent/status/1",
        "endpoints": [seen("a.example.net:443", "healthy"), seen("b.example.net:443", "failed")]}),
    );
    let (code, text, error) = import(&["outbound", &answer, "--seen", &status]);
    assert_eq!(code, Some(2), "{error}");
    assert!(text.contains("# a.example.net:443 (203.0.113.1), 3.2 ms from the environment: the agent reaches it and the environment does not"), "{text}");
    assert!(
        text.contains("# b.example.net:443") && text.contains("the environment reaches it and the agent does not"),
        "{text}"
    );
}

#[test]
fn inbound_answers_are_compared_and_the_lint_reads_what_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = write(
        folder.path(),
        "in.json",
        &json!({"value": [
        {"description": "App Service management", "endpoints": ["203.0.113.20/32", "13.66.140.0/32"], "ports": ["454", "455"]},
        {"description": "App Service Environment subnet", "endpoints": ["10.0.1.0/24"], "ports": ["All"]}], "nextLink": null}),
    );
    let file = folder.path().join("inbound.json").display().to_string();
    let (code, text, error) = import(&["inbound", &answer, "--into", &file]);
    assert!(code == Some(0) && text.contains("management: 2 addresses; 1 of them are not documented"), "{text}{error}");
    let lint = run(Command::new(agent()).args(["lint", &file, "--profile", "custom"]));
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
    let (code, _, error) = import(&["inbound", &write(folder.path(), "out.json", &outbound())]);
    assert!(code == Some(78) && error.contains("outbound dependencies"), "{error}");
    let (code, _, error) = import(&["outbound", &answer]);
    assert!(code == Some(78) && error.contains("import inbound"), "{error}");
}

fn resource(suspended: bool, kind: &str) -> Value {
    json!({"id": ID, "name": "ase-1", "type": "Microsoft.Web/hostingEnvironments", "kind": kind,
        "properties": {"status": "Ready", "suspended": suspended}})
}

fn addresses(outbound: &str) -> Value {
    json!({"id": format!("{ID}/capacities/virtualip"), "name": "virtualip", "type": "Microsoft.Web/hostingEnvironments/capacities",
        "properties": {"serviceIpAddress": outbound, "internalIpAddress": null, "outboundIpAddresses": [outbound], "vipMappings": []}})
}

#[test]
fn a_suspension_is_critical_at_once_and_a_change_of_addresses_is_an_event_with_two_readings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().display().to_string();
    let told = |suspended, kind: &str, address: &str| {
        let files = [
            write(folder.path(), "e.json", &resource(suspended, kind)),
            write(folder.path(), "a.json", &addresses(address)),
        ];
        import(&["environment", &files[0], &files[1], "--state-dir", &state])
    };
    let (code, text, error) = told(false, "ASEV2", "203.0.113.30");
    assert!(
        code == Some(0) && text.contains("public inbound: 203.0.113.30") && text.contains("app-assigned: none"),
        "{text}{error}"
    );
    let (code, text, _) = told(false, "ASEV2", "203.0.113.30");
    assert!(code == Some(0) && text.contains("nothing new"), "{text}");
    let (code, text, _) = told(true, "ASEV2", "203.0.113.30");
    assert!(
        code == Some(1) && text.contains("SUSPENDED") && text.contains("CRITICAL  the environment is suspended"),
        "{text}"
    );
    let (code, text, _) = told(true, "ASEV2", "203.0.113.30");
    assert!(code == Some(1) && !text.contains("CRITICAL"), "an event once, the exit code as long as it lasts: {text}");
    let (code, text, _) = told(false, "ASEV2", "203.0.113.77");
    assert!(code == Some(2) && text.contains("suspended and restored") && text.contains("still ASEV2"), "{text}");
    let (code, text, _) = told(false, "ASEV3", "203.0.113.78");
    assert!(code == Some(2) && text.contains("migrated: kind went from ASEV2 to ASEV3"), "{text}");
    fs::write(folder.path().join("environment.json"), "{").expect("the folder is writable");
    let (code, _, error) = told(false, "ASEV3", "203.0.113.78");
    assert!(code == Some(78) && error.contains("environment.json"), "damage is no beginning: {error}");
}

/// What a question gets: status, headers, body.
type Answer = (u16, &'static str, String);

/// A server on loopback that stands in for the token service and the management API.
struct Fake {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<String, Vec<Answer>>>>,
}

impl Fake {
    /// Answers by the path without its query, each in turn; the last answer stays.
    fn start(answers: BTreeMap<String, Vec<Answer>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let at = listener.local_addr().expect("bound above");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers));
        let (log, known) = (Arc::clone(&asked), Arc::clone(&answers));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
                log.lock().expect("nobody died").push(request);
                let mut known = known.lock().expect("nobody died");
                let (status, headers, body) = match known.get_mut(&path) {
                    Some(several) if several.len() > 1 => several.remove(0),
                    Some(one) => one[0].clone(),
                    None => (404, "", error("NotFound", "nothing here")),
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                    body.len()
                );
                drop(stream.write_all(format!("{head}{body}").as_bytes()));
            }
        });
        Self { at, asked, answers }
    }

    fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("nobody died").insert(path.to_owned(), vec![answer]);
    }

    fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody died").clone()
    }
}

fn error(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message}}).to_string()
}

fn token() -> (String, Vec<Answer>) {
    ("/token".to_owned(), vec![(200, "", json!({"access_token": TOKEN, "token_type": "Bearer"}).to_string())])
}

/// Imports from a fake with these answers, and looks for the token in everything that it leaves behind.
fn live(what: &str, fake: &Fake) -> (Option<i32>, String, String) {
    live_in(tempfile::tempdir().expect("a temporary folder").path(), what, fake)
}

fn holds_no_token(place: &str, bytes: &[u8]) {
    assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "the token is in {place}");
}

fn live_in(folder: &Path, what: &str, fake: &Fake) -> (Option<i32>, String, String) {
    let output = folder.join("written").display().to_string();
    let state = folder.join("state");
    fs::create_dir(&state).expect("the folder is writable");
    let (token_service, management, state_dir) =
        (format!("{}/token", fake.url()), fake.url(), state.display().to_string());
    let mut arguments = vec![
        what,
        "--live",
        "--id",
        ID,
        "--token-service",
        &token_service,
        "--management",
        &management,
        "--into",
        &output,
    ];
    if what == "environment" {
        arguments.extend(["--state-dir", &state_dir]);
    }
    let (code, text, error) = import(&arguments);
    holds_no_token("what it printed", text.as_bytes());
    holds_no_token("what it said of mistakes", error.as_bytes());
    for file in files_below(folder) {
        holds_no_token(&file.display().to_string(), &fs::read(&file).expect("it is readable"));
    }
    (code, text, error)
}

/// A daemon that remembers what was imported says it everywhere, and nowhere the token.
fn a_daemon_shows_the_environment_without_the_token(state: &Path) {
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        "resolvers: {{custom: [127.0.0.1]}}\nstate_dir: {}\nprofile: custom\n\
         endpoints:\n  add: [{{class: tcp, host: 127.0.0.1, port: {}, interval: 1s, timeout: 500ms}}]\n",
        state.display(),
        listen.port()
    );
    fs::write(folder.path().join("agent.yaml"), text).expect("the folder is writable");
    let mut command = Command::new(agent());
    command.args(["run", "--config", "agent.yaml", "--listen", &listen.to_string(), "--log-level", "trace"]);
    let daemon = Program::start(folder, command.env_remove("STATE_DIRECTORY"))
        .until("the environment in the status", || {
            status(listen).is_some_and(|status| status["environment"].is_object())
        });
    let pages = ["/metrics", "/api/v1/status", "/"].map(|path| (path, get(listen, path).expect("it listens").body));
    assert!(pages[0].1.contains("ase_environment_suspended") && pages[1].1.contains("203.0.113.30"));
    assert!(pages.iter().all(|(_, body)| !body.is_empty()));
    assert!(daemon.log().contains("suspended"), "{}", daemon.log());
    pages.iter().for_each(|(path, body)| holds_no_token(path, body.as_bytes()));
    holds_no_token("the log", daemon.log().as_bytes());
    for file in files_below(state) {
        holds_no_token(&file.display().to_string(), &fs::read(&file).expect("it is readable"));
    }
}

/// While the management API is silent, the command holds the token; it dies then as hard as a program can.
#[test]
fn the_token_reaches_no_core_dump() {
    let fake = Fake::start([token()].into());
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let management = format!("http://{}", silent.local_addr().expect("bound above"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""]).arg(agent());
    command.args(["import", "outbound", "--live", "--id", ID, "--token-service"]).arg(format!("{}/token", fake.url()));
    command.arg("--management").arg(&management).current_dir(folder.path()).env_remove("ASE_AGENT_CONFIG");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
    let (mut asked, _) = silent.accept().expect("it asks with its token");
    let mut request = [0; 4096];
    let read = asked.read(&mut request).expect("a request");
    assert!(String::from_utf8_lossy(&request[..read]).contains(TOKEN), "it holds the token now");
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, Signal::SIGABRT).expect("it runs");
    let status = child.wait().expect("it was started");
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SIGABRT as i32), false), "{status:?}");
    assert!(files_below(folder.path()).is_empty(), "nothing was left where it ran");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("the folder is readable").map(|entry| entry.expect("it is readable").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn dependencies() -> String {
    format!("{ID}/outboundNetworkDependenciesEndpoints")
}

#[test]
fn live_follows_pages_with_the_token_and_without_showing_it() {
    let first = |next: &str| {
        json!({"value": [dependency("a.example.net", 443, "203.0.113.1", true)], "nextLink": next}).to_string()
    };
    let last = json!({"value": [dependency("b.example.net", 443, "203.0.113.2", true)], "nextLink": null}).to_string();
    // The address of the next page is known only when the server is there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let elsewhere = format!("http://{}/steal", listener.local_addr().expect("bound above"));
    let luring = Fake::start([token(), (dependencies(), vec![(200, "", first(&elsewhere))])].into());
    let (code, _, error) = live("outbound", &luring);
    assert!(code == Some(1) && error.contains("it is not followed"), "{error}");
    listener.set_nonblocking(true).expect("a socket takes it");
    assert!(listener.accept().is_err(), "the token was not carried elsewhere");

    let fake = Fake::start([token(), ("/page2".to_owned(), vec![(200, "", last)])].into());
    let link = format!("{}/page2?x=1", fake.url());
    fake.answer(&dependencies(), (200, "", first(&link)));
    let (code, text, error) = live("outbound", &fake);
    assert!(code == Some(0) && text.contains("reaches 2 of 2"), "{text}{error}");
    let asked = fake.asked();
    assert!(
        asked[0].contains("metadata: true") && asked[0].contains("resource=https%3A%2F%2Fmanagement.azure.com%2F"),
        "{}",
        asked[0]
    );
    assert!(asked[1].contains("api-version=") && asked[1].contains(&format!("authorization: Bearer {TOKEN}")));
    assert_eq!(asked.len(), 3);
}

#[test]
fn every_refusal_says_what_is_missing_and_who_can_give_it() {
    let refused = |status, headers: &'static str, body: String| {
        Fake::start([token(), (dependencies(), vec![(status, headers, body)])].into())
    };
    let denied = error("AuthorizationFailed", "The client does not have authorization to perform action");
    let cases = [
        (
            refused(401, "", error("InvalidAuthenticationToken", &format!("the token {TOKEN} is bad"))),
            "refused the token (401)",
        ),
        (refused(403, "", denied.clone()), "permission gap (403)"),
        (
            refused(403, "", denied.clone()),
            "Microsoft.Web/hostingEnvironments/outboundNetworkDependenciesEndpoints/read",
        ),
        (refused(403, "", denied), "--role Reader --scope /subscriptions/"),
        (refused(404, "", error("ResourceNotFound", "gone")), "no such environment"),
        (
            refused(429, "retry-after: 17\r\n", error("TooManyRequests", "slow down")),
            "(429), for 17 s: TooManyRequests: slow down",
        ),
        (refused(503, "", "not JSON".to_owned()), "503"),
        (refused(503, "", String::new()), "a fault of the platform"),
        (refused(302, "location: http://192.0.2.1/\r\n", String::new()), "302"),
        (refused(200, "", "not JSON".to_owned()), "no JSON"),
    ];
    for (fake, expected) in cases {
        let (code, _, error) = live("outbound", &fake);
        assert!(code == Some(1) && error.contains(expected), "{expected}: {code:?} {error}");
    }
}

#[test]
fn without_a_token_nothing_is_asked_of_the_management() {
    let of = |status, body: String| Fake::start([("/token".to_owned(), vec![(status, "", body)])].into());
    let cases = [
        (of(400, error("invalid_request", "Identity not found")), "no managed identity"),
        (of(404, String::new()), "no managed identity"),
        (of(429, String::new()), "too many questions"),
        (of(500, String::new()), "a fault of the platform"),
        (of(200, format!("{{\"accessToken\": \"{TOKEN}\"}}")), "no access_token"),
        (of(200, format!("{TOKEN} is no JSON")), "no JSON"),
        (of(200, json!({"access_token": format!("{TOKEN}\n")}).to_string()), "no header can hold"),
    ];
    for (fake, expected) in cases {
        let (code, _, error) = live("outbound", &fake);
        assert!(code == Some(1) && error.contains(expected), "{expected}: {error}");
        assert_eq!(fake.asked().len(), 1, "only the token service was asked");
    }
    let (code, _, error) = import(&[
        "outbound",
        "--live",
        "--id",
        ID,
        "--token-service",
        "http://127.0.0.1:1/",
        "--management",
        "http://127.0.0.1:1",
    ]);
    assert!(code == Some(1) && error.contains("127.0.0.1:1"), "{error}");
}

#[test]
fn live_is_asked_for_and_a_token_leaves_the_machine_over_tls_only() {
    let (code, _, error) = import(&["outbound"]);
    assert!(code == Some(64) && error.contains("FILE"), "{error}");
    let (code, ..) = import(&["outbound", "--live"]);
    assert_eq!(code, Some(64), "an id is wanted");
    let (code, _, error) = import(&["outbound", "--live", "--id", "/subscriptions/x/../y"]);
    assert!(code == Some(64) && error.contains("hostingEnvironments"), "{error}");
    let (code, _, error) = import(&["outbound", "--live", "--id", ID, "--management", "http://192.0.2.1"]);
    assert!(code == Some(64) && error.contains("https only"), "{error}");
}

#[test]
fn live_takes_the_environment_of_either_version() {
    let body = |value: Value| vec![(200, "", value.to_string())];
    let two = Fake::start(
        [
            token(),
            (ID.to_owned(), body(resource(true, "ASEV2"))),
            (format!("{ID}/capacities/virtualip"), body(addresses("203.0.113.30"))),
        ]
        .into(),
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, text, error) = live_in(folder.path(), "environment", &two);
    assert!(code == Some(1) && text.contains("SUSPENDED") && text.contains("outbound: 203.0.113.30"), "{text}{error}");
    a_daemon_shows_the_environment_without_the_token(&folder.path().join("state"));
    let networking = json!({"id": format!("{ID}/configurations/networking"), "name": "networking", "type": "Microsoft.Web/hostingEnvironments/configurations",
        "properties": {"externalInboundIpAddresses": ["203.0.113.41"], "internalInboundIpAddresses": [], "windowsOutboundIpAddresses": ["203.0.113.40"]}});
    let three = Fake::start(
        [
            token(),
            (ID.to_owned(), body(resource(false, "ASEV3"))),
            (format!("{ID}/configurations/networking"), body(networking)),
        ]
        .into(),
    );
    let (code, text, error) = live("environment", &three);
    assert!(code == Some(0) && text.contains("public inbound: 203.0.113.41"), "{text}{error}");
}
