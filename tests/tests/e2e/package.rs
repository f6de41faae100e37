//! The Debian package in a fresh Debian under a systemd of its own, from installation to purge; what lintian says of it; which
//! C library its program asks for; and the static build that asks for none.

use std::{
    env::consts::ARCH,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    http_client::{get, status},
    private_systemd::{PAGE, PrivateSystemd},
    process::{agent, require, require_root, run, wait_for},
    vocabulary::{file, in_repository},
};

/// The archive that `./test` makes: Debian 12 with its package manager, systemd and the authorities of TLS.
const DEBIAN: &str = "target/debian-root.tar";
/// A memory as the agent wrote it when this was its format, with an incident that was open at its end.
const MEMORY: &str = "tests/tests/golden/memory-1.db";
/// Since when that incident is open.
const SINCE: &str = "2026-11-29T00:04:02.318Z";
/// The version that is upgraded.
const OLDER: &str = "0.0.9";
/// The oldest C library that README promises: Debian 12 has 2.36, Ubuntu 22.04 has 2.35.
const OLDEST_C_LIBRARY: (u32, u32) = (2, 34);
/// How docs/deploy.md links the program statically.
const STATIC: &str =
    "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release -p ase-agent --target x86_64-unknown-linux-gnu";
/// One port of loopback where nobody listens: the incident of the memory goes on.
const CLOSED: &str = "resolvers: {custom: [127.0.0.1]}\nprofile: custom\nendpoints:\n  \
    add: [{class: tcp, host: 127.0.0.1, port: 9, interval: 1s, timeout: 500ms}]\n\
    pace: {failing_interval: 500ms, confirm_after: 200ms, flows_per_destination: 1000}\n";
/// What is written by whoever installs anything: the package manager, the kernel, the journal.
const OF_OTHERS: [&str; 9] =
    ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/lib/dpkg", "/var/lib/apt", "/var/cache"];

/// Builds the package of the agent under test with the shipped script; `None` with a loud skip for want of tools.
fn package(to: &Path) -> Option<PathBuf> {
    if !(require("dpkg-deb", "dpkg") && require("dpkg-shlibdeps", "dpkg-dev") && require("strip", "binutils")) {
        return None;
    }
    let mut script = Command::new(in_repository("systemd/package"));
    script.arg("--binary").arg(agent()).arg("--to").arg(to);
    // Packing takes less time so, and what is packed is the same.
    script.envs([("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")]);
    let output = run(&mut script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The package, built once.
fn built() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let package = package(folder.path())?;
        Some((folder, package))
    });
    built.as_ref().map(|(_, package)| &**package)
}

/// The same package as an older release would be: a lower version, and a configuration file that said something else.
fn older(package: &Path) -> PathBuf {
    let older = package.with_file_name(format!("ase-agent_{OLDER}.deb"));
    let script = r#"set -e; unpacked=$(mktemp -d); trap 'rm -rf "$unpacked"' EXIT; dpkg-deb -R "$1" "$unpacked/root"
        sed -i "s/^Version: .*/Version: $3/" "$unpacked/root/DEBIAN/control"
        sed -i '1s/.*/# The configuration of an older ase-agent./' "$unpacked/root/etc/ase-agent/ase-agent.yaml"
        dpkg-deb --root-owner-group -Zgzip -z1 -b "$unpacked/root" "$2""#;
    let output = run(Command::new("sh").args(["-c", script, "sh"]).arg(package).arg(&older).arg(OLDER));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    older
}

/// A fresh Debian with both packages and the memory in `/given`.
fn booted() -> Option<(PrivateSystemd, String)> {
    let archive = in_repository(DEBIAN);
    if !archive.exists() {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{DEBIAN} is missing: ./test makes it, as root");
        println!("SKIPPED for want of {DEBIAN}, which ./test makes as root");
        return None;
    }
    let package = built()?;
    let debian = PrivateSystemd::boot_debian(&archive, &[package, &older(package), &in_repository(MEMORY)])?;
    Some((debian, package.file_name().expect("it has a name").to_string_lossy().into_owned()))
}

fn install(debian: &PrivateSystemd, package: &str) {
    let apt = "DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --option Dpkg::Options::=--force-confold install";
    debian.does(&format!("{apt} /given/{package}"));
}

fn property(debian: &PrivateSystemd, name: &str) -> String {
    property_of(debian, "ase-agent", name)
}

fn property_of(debian: &PrivateSystemd, unit: &str, name: &str) -> String {
    debian.says(&format!("systemctl show -P {name} {unit}")).trim().to_owned()
}

fn write(debian: &PrivateSystemd, configuration: &str) {
    debian.does(&format!("{{ cat >/etc/ase-agent/ase-agent.yaml <<'END'\n{configuration}END\n}}"));
}

/// Waits until the agent runs and remembers the incident of the memory as its one.
fn until_remembered(debian: &PrivateSystemd) {
    wait_for("the incident of the memory", || {
        debian.inside(|| status(PAGE)).filter(|page| page["store"]["resets"] == 0)?;
        let history = debian.says("ase-agent history --incidents --state-dir /var/lib/ase-agent --output json");
        let incidents = serde_json::from_str::<Value>(&history).ok()?["incidents"].as_array()?.clone();
        let [only] = &*incidents else { return None };
        (only["since"] == SINCE && only["closed"].is_null()).then_some(())
    });
    // It is ready only after its first round.
    wait_for("readiness", || (property(debian, "ActiveState") == "active").then_some(()));
}

/// Every file that is not others', in order.
fn everything(debian: &PrivateSystemd) -> Vec<String> {
    let others: Vec<_> = OF_OTHERS.iter().chain(&["/given"]).map(|path| format!("-path {path}")).collect();
    let listed = debian.says(&format!("find / -xdev \\( {} \\) -prune -o -print", others.join(" -o ")));
    let mut files: Vec<_> = listed.lines().map(str::to_owned).collect();
    files.sort();
    assert!(files.len() > 1000, "a whole Debian has more: {files:?}");
    files
}

#[test]
fn the_package_lives_in_a_fresh_debian_and_leaves_nothing_behind() {
    let Some((debian, package)) = booted() else { return };
    let before = everything(&debian);
    installed_and_configured(&debian);
    upgraded(&debian, &package);
    reloaded(&debian);
    debian.does(&format!("kill -KILL {}", property(&debian, "MainPID")));
    wait_for("a restart", || (property(&debian, "NRestarts") == "1").then_some(()));
    until_remembered(&debian);
    removed_and_installed_again(&debian, &package);
    debian.does("DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet purge ase-agent");
    assert_eq!(debian.says("dpkg-query -W ase-agent").trim(), "dpkg-query: no packages found matching ase-agent");
    assert_eq!(everything(&debian), before, "purging leaves nothing behind");
    assert!(debian.inside(|| get(PAGE, "/metrics")).is_none(), "nobody listens any more");
    assert_eq!(
        debian.says("systemctl is-enabled ase-agent; ls /proc/*/exe -l | grep -c ase-agent").lines().last(),
        Some("0")
    );
}

/// Where the administrator forbids it nothing is started. Then the unit runs with a configuration that asks nobody else, over
/// a memory of an earlier day.
fn installed_and_configured(debian: &PrivateSystemd) {
    debian.does("printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d");
    install(debian, &format!("ase-agent_{OLDER}.deb"));
    assert_eq!((&*property(debian, "ActiveState"), &*property(debian, "UnitFileState")), ("inactive", "enabled"));
    assert_eq!(debian.says("dpkg --verify ase-agent"), "", "every file is as it was packed");
    debian.does("ase-agent config check /etc/ase-agent/ase-agent.yaml");
    debian.does("systemd-analyze verify ase-agent.service ase-agent.socket");
    debian.does("rm /usr/sbin/policy-rc.d; install -D -m 600 /given/memory-1.db /var/lib/private/ase-agent/memory.db");
    write(debian, CLOSED);
    debian.does("systemctl start ase-agent");
    let scrape = debian.inside(|| get(PAGE, "/metrics")).expect("who is started answers");
    assert!(scrape.body.contains("\nase_dependency_up{class=\"tcp\"} 0\n"), "{}", scrape.body);
    until_remembered(debian);
}

/// The new program runs at once, with the configuration and the memory of the old; and that of a witness, where one runs.
fn upgraded(debian: &PrivateSystemd, package: &str) {
    debian.does("umask 077; head -c 32 /dev/urandom | base64 >/etc/ase-agent/witness.key");
    debian.does("systemctl start ase-agent-witness.socket ase-agent-witness.service");
    let processes = || [property(debian, "MainPID"), property_of(debian, "ase-agent-witness", "MainPID")];
    let before = processes();
    install(debian, package);
    for (before, now) in before.iter().zip(processes()) {
        assert!(*before != "0" && now != "0" && *before != now, "the new program runs: {before}, {now}");
    }
    debian.does("systemctl stop ase-agent-witness.socket ase-agent-witness.service; rm /etc/ase-agent/witness.key");
    assert_ne!(debian.says("dpkg-query -W -f '${Version}' ase-agent"), OLDER);
    assert_eq!(debian.says("cat /etc/ase-agent/ase-agent.yaml"), CLOSED, "the configuration is kept");
    let shipped = debian.says("cat /etc/ase-agent/ase-agent.yaml.dpkg-dist");
    assert_eq!(shipped, file("systemd/ase-agent.yaml"), "the new one lies beside it");
    until_remembered(debian);
}

fn reloaded(debian: &PrivateSystemd) {
    let process = property(debian, "MainPID");
    write(debian, &format!("vantage: snet-mirror\n{CLOSED}"));
    debian.does("systemctl reload ase-agent");
    let vantage = || debian.inside(|| status(PAGE)).map(|page| page["agent"]["vantage"].clone());
    wait_for("the new vantage", || (vantage()? == "snet-mirror").then_some(()));
    write(debian, &format!("vantag: elsewhere\n{CLOSED}"));
    let said = debian.says("systemctl reload ase-agent && echo reloaded");
    assert!(said.contains("failed") && !said.contains("reloaded"), "{said}");
    assert_eq!(vantage().expect("it still answers"), "snet-mirror", "the old configuration stays in force");
    write(debian, CLOSED);
    debian.does("systemctl reload ase-agent");
    assert_eq!(property(debian, "MainPID"), process, "no reload is a restart");
}

/// Removing keeps the configuration and the memory; with them the agent starts by itself when it is installed again. A unit
/// that its administrator spoilt is no obstacle.
fn removed_and_installed_again(debian: &PrivateSystemd, package: &str) {
    const SPOILT: &str = "/etc/systemd/system/ase-agent-witness.service.d";
    debian.does(&format!("mkdir -p {SPOILT}; printf '[Service]\\nExecStart=\\n' >{SPOILT}/a.conf"));
    debian.does("systemctl daemon-reload");
    assert_eq!(property_of(debian, "ase-agent-witness", "LoadState"), "bad-setting");
    debian.does("DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet remove ase-agent");
    assert_eq!(property(debian, "LoadState"), "not-found");
    assert!(debian.inside(|| get(PAGE, "/metrics")).is_none(), "it was stopped");
    debian.does(&format!("rm -r {SPOILT}; systemctl daemon-reload"));
    debian.does("test ! -e /usr/bin/ase-agent; test -s /var/lib/private/ase-agent/memory.db");
    assert_eq!(debian.says("cat /etc/ase-agent/ase-agent.yaml"), CLOSED);
    install(debian, package);
    until_remembered(debian);
}

#[test]
fn lintian_has_nothing_to_say_and_the_same_source_makes_the_same_package() {
    let Some(first) = built() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let second = package(folder.path()).expect("it was built before");
    assert!(fs::read(first).expect("it is there") == fs::read(second).expect("it is there"), "two builds differ");
    if require("lintian", "lintian") {
        let output = run(Command::new("lintian").args(["--fail-on", "error,warning"]).arg(first));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_program_runs_with_the_oldest_c_library_that_readme_promises() {
    if !require("objdump", "binutils") {
        return;
    }
    let output = run(Command::new("objdump").arg("-T").arg(agent()));
    let symbols = String::from_utf8(output.stdout).expect("text");
    let version = |word: &str| -> Option<(u32, u32)> {
        let (major, rest) = word.trim_end_matches(')').strip_prefix("GLIBC_")?.split_once('.')?;
        Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
    };
    let asked: Vec<_> = symbols.split(['(', ' ', '\n']).filter_map(version).collect();
    let oldest = asked.into_iter().max().expect("it asks for the C library");
    assert!(oldest <= OLDEST_C_LIBRARY, "it asks for {oldest:?}");
    let (major, minor) = OLDEST_C_LIBRARY;
    assert!(file("README.md").contains(&format!("glibc {major}.{minor}")), "README names it");
}

/// The command of docs/deploy.md, but for the profile: what is linked is the same, and the tests wait less.
#[test]
fn a_static_build_runs_where_nothing_else_is() {
    assert!(file("docs/deploy.md").contains(STATIC), "the command of this test stands there");
    if !require_root("give a program a root of its own") {
        return;
    }
    let target = in_repository("target/static");
    let command = STATIC.replace(" --release", " --quiet").replace("x86_64", ARCH);
    let mut build = Command::new("sh");
    build.args(["-c", &command]).current_dir(in_repository(".")).env("CARGO_TARGET_DIR", &target);
    // Nobody debugs it.
    build.envs([("CARGO_PROFILE_DEV_DEBUG", "false"), ("CARGO_INCREMENTAL", "0")]);
    let output = run(&mut build);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let root = tempfile::tempdir().expect("a temporary folder");
    let built = target.join(format!("{ARCH}-unknown-linux-gnu/debug/ase-agent"));
    fs::copy(built, root.path().join("ase-agent")).expect("the program is there");
    let configuration = CLOSED.replace("port: 9,", &format!("port: {},", address.port()));
    fs::write(root.path().join("one.yaml"), configuration).expect("a configuration");
    fs::create_dir(root.path().join("dev")).expect("a folder");
    // What every container has as well: randomness comes from there.
    let alone = r#"mount --bind /dev "$1/dev" && exec chroot "$1" /ase-agent check --config /one.yaml"#;
    let output = run(Command::new("unshare").args(["--mount", "sh", "-c", alone, "sh"]).arg(root.path()));
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{complaint}");
    assert!(said.starts_with("all well: 1 endpoint"), "{said}");
}

#[test]
fn units_use_nothing_that_the_oldest_systemd_does_not_know() {
    // Specifiers that came after systemd 249, which Ubuntu 22.04 has (systemd.unit(5)).
    const LATER: [&str; 4] = ["%d", "%D", "%y", "%Y"];
    let units = fs::read_dir(in_repository("systemd")).expect("a folder").filter_map(|entry| {
        let path = entry.expect("it can be listed").path();
        path.extension().is_some_and(|kind| kind == "service" || kind == "socket").then_some(path)
    });
    let mut read = 0;
    for unit in units {
        let text = fs::read_to_string(&unit).expect("text");
        read += 1;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(!LATER.iter().any(|later| line.contains(later)), "{}: {line}", unit.display());
        }
    }
    assert_eq!(read, 4);
}
