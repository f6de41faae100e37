//! What `ase-agent check` shows on a terminal of 80 columns and 24 lines for staged faults: held word by word, and to what
//! somebody at 3 a.m. must find on it.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::process::{binary, require_root, run};

/// Columns and lines of the terminal.
const SCREEN: (usize, usize) = (80, 24);

/// What a screen must tell somebody who has no code: what is broken, who mends it, and what to type.
struct Told {
    broken: &'static str,
    mender: &'static str,
    typed: &'static str,
}

const fn told(broken: &'static str, mender: &'static str, typed: &'static str) -> Told {
    Told { broken, mender, typed }
}

/// By scenario of the group `screen`.
const SCREENS: [(&str, Told); 12] = [
    (
        "certificate-expired",
        told("management.azure.com:443: the peer's certificate", "runs the peer", "openssl s_client"),
    ),
    ("clock-wrong", told("its clock is wrong", "runs this agent's VM", "timedatectl")),
    ("dns-server-dead", told("the DNS server 10.53.0.4", "DNS team", "dig +time=3 @10.53.0.4")),
    ("egress-dropped", told("everything outside this network", "network team", "show-effective-route-table")),
    ("half-of-the-flows-lost", told("some flows always fail", "network team", "show-next-hop")),
    ("https-port-dropped", told("TCP 443 to every host", "network team", "test-ip-flow")),
    ("local-firewall", told("a firewall on this machine", "runs this agent's VM", "sudo nft list ruleset")),
    ("mtu-black-hole", told("small packets pass and large ones vanish", "network team", "openssl s_client")),
    ("name-blocked", told("login.live.com:443", "network team", "-servername login.live.com")),
    ("private-bypass", told("lab-sql.database.windows.net:1433", "DNS team", "--compare lab-sql.database.windows.net")),
    ("sql-port-dropped", told("TCP 1433 to both hosts", "network team", ":1433'")),
    ("tls-inspection", told("an inspecting device", "network team", "openssl x509 -noout -subject -issuer")),
];

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/screens").join(format!("{name}.txt"))
}

/// What the lab's terminals show, by scenario; none where this machine lets nobody play.
fn played() -> Option<BTreeMap<String, String>> {
    if !require_root("play fault scenarios, which open /dev/net/tun") {
        return None;
    }
    let mut rows = rows("screen/");
    // Twice in a row chance does not show half of all flows as one host.
    if let Some(row) = rows.iter_mut().find(|row| row["name"] == BY_CHANCE && !is_as_written(row)) {
        println!("played once more: {BY_CHANCE}, since what it hit by chance looked like this: {row:#}");
        *row = self::rows(&format!("screen/{BY_CHANCE}")).remove(0);
    }
    rows.iter().for_each(|row| assert_eq!(row["misses"].as_array().map(Vec::len), Some(0), "{row:#}"));
    let shown = |row: &Value| Some((row["name"].as_str()?.to_owned(), row["screen"].as_str()?.to_owned()));
    Some(rows.iter().filter_map(shown).collect())
}

/// Whether a row misses nothing, and its screen is as it was written down.
fn is_as_written(row: &Value) -> bool {
    let (screen, golden) = (row["screen"].as_str().unwrap_or_default(), fs::read_to_string(file(BY_CHANCE)));
    row["misses"].as_array().is_some_and(Vec::is_empty)
        && golden.is_ok_and(|golden| steady(BY_CHANCE, screen) == steady(BY_CHANCE, &golden))
}

/// Plays scenarios and returns the rows of the report.
fn rows(which: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    run(Command::new(binary("ase-lab")).args(["scenarios", which, "--jobs", "4", "--report"]).arg(&report));
    let report: Value =
        serde_json::from_slice(&fs::read(&report).expect("the report is written")).expect("the report is JSON");
    report["scenarios"].as_array().expect("a list").clone()
}

/// The words of a screen, with a mark for what is measured anew each time; where lines break depends on that.
fn words(screen: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut before = "";
    for word in screen.split_whitespace() {
        let digits = word.bytes().any(|byte| byte.is_ascii_digit());
        let is_time = word.contains('T') && word.contains(':') && word.contains('-');
        let is_age = before == "of" && digits && word.ends_with("s)");
        let is_measured = ["ms", "ms,", "s", "s,"].contains(&word) && before.bytes().any(|byte| byte.is_ascii_digit());
        if is_measured {
            words.pop();
        }
        words.push(if digits && (is_time || is_age) || is_measured { "#".to_owned() } else { word.to_owned() });
        before = word;
    }
    words
}

/// The leads of an incident's paragraphs that are the same in every run; what it rests on comes in any order.
const LEADS: [&str; 13] = [
    "INCIDENT", "where:", "sure:", "hint:", "owner:", "first:", "next:", "type:", "expect:", "mend:", "but:", "note:",
    "hits:",
];
/// Where half of all flows are lost, which ones is a matter of chance, and with it how sure it is.
const BY_CHANCE: &str = "half-of-the-flows-lost";
/// The paragraphs that differ with it.
const DIFFERS: [&str; 4] = ["sure:", "type:", "note:", "hits:"];

/// What must be the same in every run: the answer, and the first incident without its evidence.
fn steady(name: &str, screen: &str) -> Vec<String> {
    let is_by_chance = name == BY_CHANCE;
    let leads = LEADS.iter().filter(|lead| !(is_by_chance && DIFFERS.contains(lead)));
    let (answer, rest) = screen.split_once("\n\n").unwrap_or((screen, ""));
    let incident = rest.split("\n\n").next().unwrap_or_default();
    let mut kept = if is_by_chance { String::new() } else { format!("{answer}\n") };
    let mut keeps = false;
    for line in incident.lines() {
        let start = line.trim_start();
        let is_lead = leads.clone().any(|lead| start.starts_with(lead));
        // The second line of the heading is not indented, and those of paragraphs by ten.
        let is_continued = !line.starts_with(' ') || line.starts_with("          ");
        keeps = is_lead || keeps && is_continued;
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    words(&if is_by_chance { kept.replace("(confirmed,", "(likely,") } else { kept })
}

#[test]
fn twelve_faults_on_a_small_screen_say_what_is_broken_who_mends_it_and_what_to_type() {
    let Some(played) = played() else { return };
    assert_eq!(played.keys().map(String::as_str).collect::<Vec<_>>(), SCREENS.map(|(name, _)| name));
    for (name, told) in SCREENS {
        let screen = &played[name];
        if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::create_dir_all(file(name).parent().expect("it has a folder")).expect("the folder can be made");
            fs::write(file(name), screen).expect("the golden file can be written");
        }
        let golden = fs::read_to_string(file(name)).unwrap_or_default();
        assert_eq!(steady(name, screen), steady(name, &golden), "{name}: UPDATE_GOLDEN=1 if this is meant\n{screen}");
        fits(name, screen, &told);
    }
}

/// The first screen and the last one each answer all three questions, and no line but a command is wider than it.
fn fits(name: &str, screen: &str, told: &Told) {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let (columns, height) = SCREEN;
    // One line is the shell's own.
    let (first, last) = (&lines[..lines.len().min(height - 1)], &lines[lines.len().saturating_sub(height - 1)..]);
    for shown in [first, last] {
        let text = shown.join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [told.broken, told.mender, told.typed] {
            assert!(text.contains(words), "{name}: ({words}) in\n{}", shown.join("\n"));
        }
    }
    let is_command = |line: &str| ["type:", "mend:"].iter().any(|lead| line.trim_start().starts_with(lead));
    for line in lines.iter().filter(|line| !is_command(line)) {
        assert!(line.chars().count() <= columns, "{name}: {line}");
    }
    let answer: Vec<&str> = lines.iter().copied().take_while(|line| !line.is_empty()).collect();
    assert!(lines.ends_with(&answer), "{name}: the last lines are the first\n{screen}");
}
