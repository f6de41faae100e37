//! Every example of every `--help` and every command of the agent's in the documents, run as it stands in the subnet with the
//! simulated Azure around it; and the completions, read by a real shell.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    docs,
    process::{agent, binary, require, run},
    vocabulary::file,
};

/// Where the packaged configuration is, which the examples name.
const PACKAGED: &str = "/etc/ase-agent/ase-agent.yaml";
/// Where the packaged daemon remembers.
const PACKAGED_STATE: &str = "/var/lib/ase-agent";
/// Examples that are about the user's own hosts and files, which no lab has, and the code with which they end.
const ELSEWHERE: [(&str, i32); 17] = [
    ("ase-agent tcpping -n 1 -w 10 myserver.database.windows.net:1433", 1),
    ("ase-agent tcpping -t -s 20 10.0.0.4 8080", 1),
    ("ase-agent nameresolver myserver.database.windows.net 10.0.0.4", 1),
    ("ase-agent probe sql myserver.database.windows.net:1433 -vv", 1),
    ("ase-agent trace 10.0.0.4 1433 --output json", 1),
    // Nobody filled the critical slots.
    ("ase-agent preflight", 2),
    ("ase-agent preflight --profile ase-v2 --cloud public --output json", 2),
    ("ase-agent preflight --instances 30 --subnet 10.0.1.0/24", 2),
    ("ase-agent preflight nsg.json routes.json subnet.json --vnet 10.0.0.0/16 --deployment ilb", 2),
    ("ase-agent doctor", 2),
    ("ase-agent doctor --config /etc/ase-agent/ase-agent.yaml --output json", 2),
    ("ase-agent portal --suffix contoso.appserviceenvironment.net --app testapp", 1),
    (
        "ase-agent portal --suffix contoso.appserviceenvironment.net --app testapp --address 10.0.1.11 --with ftps,web-deploy",
        1,
    ),
    ("ase-agent portal --suffix contoso.p.azurewebsites.net --app testapp --deployment external --output json", 1),
    ("ase-agent witness --listen 454,455,16001,80 --key witness.key", 1),
    ("ase-agent witness knock 10.0.1.4 --ports 454,455,16001,80 --key witness.key", 1),
    ("ase-agent witness knock 10.0.1.4 --ports 443,123/udp --key witness.key --output json", 1),
];

/// Examples that need answers of the management API, or two states of a whole network: the tests of those commands have them.
const OF_THE_PLATFORM: [&str; 2] = ["ase-agent import ", "ase-agent lint diff "];

/// Statuses that were saved on two days, as `allowlist` reads them.
const STATUSES: &str = "ase-agent check --class ntp --output json >mon.json; cp mon.json tue.json\n";

/// The help of a command, by the words before `--help`.
fn help(words: &[&str]) -> String {
    let output = run(Command::new(agent()).args(words).arg("--help"));
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every example of a help and of those below it.
fn examples(words: &[&str], found: &mut Vec<String>) {
    let help = help(words);
    let lines = help.lines().skip_while(|line| !matches!(*line, "Examples:" | "Example:")).skip(1);
    found.extend(lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
    for command in commands(&help) {
        examples(&[words, &[&*command]].concat(), found);
    }
}

/// The agent's commands in the shell blocks of the documents, without what is piped into or out of them.
fn documented() -> Vec<String> {
    let lines = docs::files("md").into_iter().flat_map(|document| docs::commands(&file(&document)));
    let simple: Vec<Vec<String>> = lines.flat_map(|line| docs::simple(&line)).collect();
    simple.into_iter().filter(|words| words[0] == "ase-agent").map(|words| words.join(" ")).collect()
}

/// Lanes in which commands of documents run one after the other: all at once would be a load that no environment sees.
const LANES: usize = 3;

#[test]
fn every_example_of_every_help_and_of_the_documents_does_what_it_says() {
    if !require("ip", "iproute2") {
        return;
    }
    let mut all = Vec::new();
    examples(&[], &mut all);
    all.retain(|line| line.starts_with("ase-agent ") && !OF_THE_PLATFORM.iter().any(|front| line.starts_with(front)));
    all.sort();
    all.dedup();
    assert!(all.len() > 30, "{all:#?}");
    let helps = all.len();
    let mut documented = documented();
    documented.retain(|line| !all.contains(line) && !OF_THE_PLATFORM.iter().any(|front| line.starts_with(front)));
    documented.sort();
    documented.dedup();
    assert!(documented.len() > 30, "{documented:#?}");
    all.append(&mut documented);
    let folder = ase_lab::programs::open_folder().expect("a folder for everybody");
    // What the daemon remembers is there for those that look back.
    let (daemons, others): (Vec<_>, Vec<_>) =
        all.iter().enumerate().take(helps).partition(|(_, example)| is_daemon(example));
    // Each of these asks everything: many at once would be a load that no environment sees.
    let (looks, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, example)| looks(example));
    let ran = |lines: &[(usize, &String)], end| {
        lines.iter().map(|(number, example)| started(*number, example) + end).collect::<String>()
    };
    let lanes: String = (0..LANES)
        .map(|lane| {
            let in_it: Vec<_> = all.iter().enumerate().skip(helps + lane).step_by(LANES).collect();
            format!("{{ {}}} &\n", ran(&in_it, "\n"))
        })
        .collect();
    let ahead = ran(&daemons, "\nwait\n") + STATUSES;
    let script = format!("{ahead}{{ {}}} &\n{lanes}{}", ran(&looks, "\n"), ran(&others, " &\n"));
    for (name, text) in exports() {
        fs::write(folder.path().join(name), text.to_string()).expect("the folder is writable");
    }
    let key = "(umask 077; head -c 32 /dev/urandom | base64 >witness.key)";
    let folder_line = format!("cd {}; mkdir state; export STATE_DIRECTORY=$PWD/state; {key}", folder.path().display());
    let script = format!("{folder_line}\n{script}wait\n");
    fs::write(folder.path().join("all.sh"), script).expect("the folder is writable");
    let file = folder.path().join("all.sh").to_string_lossy().into_owned();
    let mut lab = Command::new(binary("ase-lab"));
    let output = run(lab.args(["subnet", "--", "sh", &file]).stdin(Stdio::null()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let elsewhere = BTreeMap::from(ELSEWHERE);
    let mut wrong = Vec::new();
    for (number, example) in all.iter().enumerate() {
        let read = |kind: &str| fs::read_to_string(folder.path().join(format!("{number}.{kind}"))).unwrap_or_default();
        let (code, expected) = (read("code"), elsewhere.get(&**example).copied().unwrap_or(0));
        let is_mute = example.contains("man1") || is_daemon(example);
        if code.trim() != expected.to_string() || (read("out").is_empty() && !is_mute) {
            wrong.push(format!("{example}: {code}, not {expected}: {}{}", read("out"), read("err")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(elsewhere.keys().all(|example| all.iter().any(|known| known == example)), "an example went: {all:#?}");
}

/// Whether an example is a look at the whole catalogue.
fn looks(example: &str) -> bool {
    let is_whole = !example.contains("--class") && !example.contains("--endpoint");
    let looks =
        ["ase-agent check", "ase-agent preflight", "ase-agent allowlist --failed", "ase-agent allowlist --format csv"];
    is_whole && looks.iter().any(|front| example.starts_with(front))
}

/// What the examples read: a baseline of nothing, and for `lint` and `plan` a group without faults but for its defaults, its
/// routes, its subnet, the service tags, and a plan of Terraform's with the same group.
fn exports() -> [(&'static str, Value); 6] {
    let management = json!({"name": "management", "priority": 100, "access": "Allow", "direction": "Inbound",
        "protocol": "Tcp", "sourceAddressPrefix": "AppServiceManagement", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "454-455"});
    let planned =
        json!({"name": "ase-nsg", "location": "westeurope", "resource_group_name": "ase", "security_rule": []});
    [
        (
            "before.json",
            json!({"schema": "ase-agent/baseline/1", "version": "0.1.0", "at": "2026-01-01T00:00:00Z", "vantage": "this host",
            "profile": "ase-v2", "cloud": "public", "edition": "2023-11-20", "resolvers": [], "whole": false,
            "endpoints": [], "names": [], "misgivings": []}),
        ),
        ("nsg.json", json!({"name": "ase-nsg", "securityRules": [management]})),
        (
            "routes.json",
            json!({"name": "ase-routes", "routes": [{"name": "internet", "addressPrefix": "0.0.0.0/0",
            "nextHopType": "Internet"}]}),
        ),
        ("subnet.json", json!({"name": "ase", "addressPrefix": "10.0.1.0/24"})),
        (
            "ServiceTags_Public.json",
            json!({"changeNumber": 1, "cloud": "Public", "values": [{"name": "AppServiceManagement",
            "id": "AppServiceManagement", "properties": {"addressPrefixes": ["13.64.0.0/16"]}}]}),
        ),
        (
            "plan.json",
            json!({"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": {"root_module": {
            "resources": [{"type": "azurerm_network_security_group", "name": "ase", "values": planned}]}}}),
        ),
    ]
}

/// Whether it runs until it is told to stop.
fn is_daemon(example: &str) -> bool {
    example.contains(" run ") || example.starts_with("ase-agent witness --listen")
}

/// The line that runs an example, with its code and its words in files. The daemon is ended after a while.
fn started(number: usize, example: &str) -> String {
    let limit = if is_daemon(example) { "timeout --preserve-status -s TERM 3 " } else { "timeout 60 " };
    let example = example.replace(PACKAGED, "\"$ASE_LAB_CONFIG\"").replace(PACKAGED_STATE, "\"$STATE_DIRECTORY\"");
    format!("{{ set +e; {limit}{example} >{number}.out 2>{number}.err; echo $? >{number}.code; }}")
}

#[test]
fn a_shell_reads_the_completions_and_knows_every_command() {
    if !require("bash", "bash") {
        return;
    }
    let script = "eval \"$(\"$1\" completions bash)\"; COMP_WORDS=(ase-agent ''); COMP_CWORD=1; \
        name=$(complete -p ase-agent | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); \
        $name ase-agent '' ase-agent; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = run(Command::new("bash").args(["-c", script, "bash"]).arg(agent()));
    let offered = String::from_utf8_lossy(&output.stdout).into_owned();
    let known = commands(&help(&[]));
    assert!(known.len() > 10, "{known:?}");
    for command in known {
        assert!(offered.lines().any(|line| line == command), "{command} is not in {offered}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let output = run(Command::new(agent()).args(["completions", shell]));
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("tcpping"), "{shell}");
    }
}

#[test]
fn the_manual_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(Command::new(agent()).arg("man").arg(folder.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for command in commands(&help(&[])) {
        let page = fs::read_to_string(folder.path().join(format!("ase-agent-{command}.1"))).expect("a page");
        assert!(page.contains("Exit codes:"), "{command}");
    }
}
