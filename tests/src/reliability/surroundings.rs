//! Faults of what a daemon stands on: the clock, the resolver file, the network interface and the memory of its machine.
//! What needs a network of its own has one, in which nothing leads outside.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ase_agent::{
    risk::{
        estimate::{ClockTime, RiskMemory},
        steps::ClockMemory,
    },
    store::{
        Store,
        history::{self, Query},
        rows::StateRow,
    },
};
use ase_probes::{class::Class, clock};
use nix::{sys::signal::Signal, unistd::gettid};
use serde::Deserialize;
use serde_json::Value;

use super::{
    cgroup::Group,
    daemon::{Daemon, END, Home, PATIENCE, Target, settled, wait_for, within},
    outcome::Became,
};
use crate::{
    namespace,
    sim::{
        Behaviour,
        ntp::{self, Mood},
        world::{Shift, World},
    },
};

/// Memory in which no daemon can start, in MiB.
pub(super) const LEAST: u64 = 2;
/// Clients that ask for the metrics and read nothing of them.
const DEAF: usize = 60;
/// The longest outage that a few seconds of loss may come to, in seconds, whatever the clock says.
const SHORT: f64 = 3600.0;
/// The outage that a store remembers whose clock was wrong, in seconds.
const OUTAGE: f64 = 60.0;
/// Times that a resolver file is read anew while it is replaced, and the pause between two.
const READINGS: (u32, Duration) = (60, Duration::from_millis(40));
/// The servers that a resolver file names in turn.
const NAMED: [[&str; 3]; 2] = [["127.0.2.1", "127.0.2.2", "127.0.2.3"], ["127.0.3.1", "127.0.3.2", "127.0.3.3"]];
/// Whom the agent asks while the resolver file names nobody: Azure DNS.
const NOBODY: &str = "168.63.129.16:53";
/// Characters of a comment before each server: a file with three of them takes several reads.
const COMMENT: usize = 16 << 10;
/// Time servers: what all of them say outweighs the one clock here.
const TIME_SERVERS: u8 = 4;

/// How a file gets another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rewrite {
    /// Another file takes its name.
    Renamed,
    /// It is emptied and written again, the first half first.
    InPlace,
}

/// What is open at a daemon that lost the one thing it watches.
fn open(daemon: &Daemon) -> Option<Value> {
    daemon.status()?["incidents"].as_array().filter(|list| list.len() == 1).map(|list| list[0]["id"].clone())
}

/// Kills a daemon once it remembers an incident, and says which.
fn killed_with_an_incident(home: &Home) -> Result<Value> {
    let mut daemon = settled(home)?;
    home.target.close();
    let before = wait_for(PATIENCE, || open(&daemon)).context("there is an incident")?;
    let remembers = || history::read(&home.state(), &Query::default()).is_ok_and(|found| !found.incidents.is_empty());
    wait_for(PATIENCE, || remembers().then_some(())).context("it is remembered")?;
    daemon.signal(Signal::SIGKILL)?;
    daemon.end(END);
    Ok(before)
}

/// Starts a daemon again, and says whether the incident is still the same, and the outage at least as long as it was and
/// not as long as a wrong clock would make it.
fn taken_up(home: &Home, before: &Value, outage: f64) -> Result<Became> {
    let again = home.start()?;
    let start = clock::now();
    let after = wait_for(PATIENCE, || open(&again));
    let lost = || again.metric("ase_dependency_lost_seconds{class=\"tcp\"} ").filter(|lost| *lost >= outage);
    let said = match (after.as_ref() == Some(before), wait_for(PATIENCE, lost)) {
        (true, Some(lost)) if lost < SHORT => "nothing lost",
        (true, Some(_)) => "the outage grew with the clock",
        (true, None) => "the outage is forgotten",
        (false, _) => "the incident is lost",
    };
    let lost = Some(u64::from(said != "nothing lost"));
    Ok(Became { recovery: Some(start.elapsed()), lost, ..Became::said(said) })
}

pub(super) fn restart(home: &Home) -> Result<Became> {
    let before = killed_with_an_incident(home)?;
    taken_up(home, &before, 0.0)
}

/// A clock cannot be set for one process alone: so what it wrote is dated as a wrong clock would have.
pub(super) fn clock_was(home: &Home, ahead: i64) -> Result<Became> {
    let before = killed_with_an_incident(home)?;
    let shifted = |at: Duration| {
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { at.saturating_sub(by) } else { at + by }
    };
    let mut store = Store::open(&home.state(), clock::wall()).context("the store opens")?;
    for mut incident in store.open_incidents().to_vec() {
        (incident.since, incident.published) = (shifted(incident.since), shifted(incident.published));
        store.report(incident);
    }
    let lost = ClockTime { outage: OUTAGE, loss: 1.0, healthy: 0 };
    let risk = RiskMemory { clocks: [(Class::Tcp, lost)].into(), sequence: 1, ..RiskMemory::default() };
    let memory = ClockMemory { risk, ..ClockMemory::default() };
    store.save(StateRow { saved: shifted(clock::wall()), memory });
    ensure!(store.flush(), "the store takes it");
    drop(store);
    taken_up(home, &before, OUTAGE)
}

/// Seen from the agent, time servers that are all behind are a clock of its own that is ahead.
pub(super) fn clock_is(home: &Home, ahead: i64) -> Result<Became> {
    let (world, runtime) = (World::default(), tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
    world.shift(Shift { shift_seconds: -ahead });
    let (mut servers, mut others) = (Vec::new(), String::new());
    for number in 1..=TIME_SERVERS {
        let address = Ipv4Addr::new(127, 0, 1, number);
        servers.push(runtime.block_on(ntp::start((address, 123).into(), Behaviour::new(Mood::Good), world.clone()))?);
        others.push_str(&format!(", {{class: ntp, host: {address}}}"));
    }
    fs::write(home.config(), home.text_for(home.target.address, &others))?;
    let daemon = home.start()?;
    let start = clock::now();
    let incidents = || daemon.status()?["incidents"].as_array().filter(|list| !list.is_empty()).cloned();
    let found = wait_for(PATIENCE, incidents).unwrap_or_default();
    let is_own = !found.is_empty() && found.iter().all(|incident| incident["cause"] == "local_clock");
    let well = || {
        let status = daemon.status()?;
        let mut endpoints = status["endpoints"].as_array()?.iter();
        endpoints.any(|one| one["class"] == "tcp" && one["status"] == "healthy").then_some(())
    };
    let is_well = wait_for(PATIENCE, well).is_some();
    let said = match (is_own, is_well) {
        (true, true) => "blames its own clock",
        (true, false) => "something else is lost too",
        (false, _) => "never blames its own clock",
    };
    Ok(Became { recovery: is_own.then(|| start.elapsed()), ..Became::said(said) })
}

/// The text of a resolver file, in the two parts that it is written in: the first ends within a server.
fn resolver_text(servers: [&str; 3]) -> [String; 2] {
    let comment = format!("# {}\n", "x".repeat(COMMENT));
    let line = |server: &str| format!("{comment}nameserver {server}\n");
    let [first, second, third] = servers;
    let cut = line(second).len() - second.len() - 1;
    let second = line(second);
    [line(first) + &second[..cut], format!("{}{}", &second[cut..], line(third))]
}

fn replace(file: &Path, servers: [&str; 3], rewrite: Rewrite) -> Result<()> {
    let [first, rest] = resolver_text(servers);
    match rewrite {
        Rewrite::Renamed => {
            let beside = file.with_extension("new");
            fs::write(&beside, first + &rest)?;
            fs::rename(beside, file)?;
        }
        Rewrite::InPlace => {
            let mut file = fs::File::create(file)?;
            file.write_all(first.as_bytes())?;
            thread::yield_now();
            file.write_all(rest.as_bytes())?;
        }
    }
    Ok(())
}

/// Whether a reader that came in between may ask these: all servers of one text, or the first ones where it was cut.
fn can_be_asked(asked: &[String], rewrite: Rewrite) -> bool {
    let named = |text: &[&str; 3]| text.iter().map(|server| format!("{server}:53")).collect::<Vec<_>>();
    let texts = NAMED.each_ref().map(named);
    match rewrite {
        Rewrite::Renamed => texts.iter().any(|text| text == asked),
        Rewrite::InPlace => asked == [NOBODY] || texts.iter().any(|text| text.starts_with(asked)),
    }
}

/// The DNS servers that a daemon asks.
fn asked(daemon: &Daemon) -> Option<Vec<String>> {
    let status = daemon.status()?;
    Some(status["resolvers"]["custom"].as_array()?.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
}

/// A daemon that sees a folder of its own as `/etc`, with the certificates of the real one.
fn with_own_etc(home: &Home) -> Result<Daemon> {
    fs::create_dir_all(home.folder.path().join("etc/ssl"))?;
    let script = "mount --bind /etc/ssl etc/ssl && mount --rbind etc /etc && exec \"$@\"";
    let mut command = within(&home.command()?, "unshare", &["-m", "sh", "-c", script, "sh"]);
    command.current_dir(home.folder.path());
    home.start_by(command)
}

pub(super) fn resolver_file(home: &Home, rewrite: Rewrite) -> Result<Became> {
    let file = home.folder.path().join("etc/resolv.conf");
    fs::create_dir_all(home.folder.path().join("etc"))?;
    replace(&file, NAMED[0], rewrite)?;
    fs::write(home.config(), home.text_for(home.target.address, ""))?;
    let daemon = with_own_etc(home)?;
    let (is_over, mut seen) = (AtomicBool::new(false), Vec::new());
    thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            let mut turns = (0..NAMED.len()).cycle();
            while !is_over.load(Ordering::Relaxed) {
                replace(&file, NAMED[turns.next().unwrap_or_default()], rewrite)?;
            }
            replace(&file, NAMED[1], rewrite)
        });
        for _ in 0..READINGS.0 {
            daemon.signal(Signal::SIGHUP)?;
            thread::sleep(READINGS.1);
            seen.extend(asked(&daemon));
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| anyhow::anyhow!("the writer broke"))?
    })?;
    seen.sort();
    seen.dedup();
    if let Some(odd) = seen.iter().find(|asked| !can_be_asked(asked, rewrite)) {
        return Ok(Became::said(format!("asks whom no file named: {}", odd.join(", "))));
    }
    if seen.len() < NAMED.len() {
        return Ok(Became::said("never read anew"));
    }
    let last: Vec<String> = NAMED[1].iter().map(|server| format!("{server}:53")).collect();
    let start = clock::now();
    daemon.signal(Signal::SIGHUP)?;
    let is_back = || (asked(&daemon)? == last && daemon.standing()? == "healthy").then(|| start.elapsed());
    Ok(Became::recovered(wait_for(PATIENCE, is_back)))
}

/// The port of a machine at the other end of a wire, whose near end is `near0` here.
fn across_a_wire() -> Result<TcpListener> {
    let near = gettid();
    let listener = namespace::apart(move || {
        namespace::ip("link add far0 type veth peer name near0")?;
        namespace::ip(&format!("link set near0 netns {near}"))?;
        namespace::ip("addr add 10.77.0.2/24 dev far0")?;
        namespace::ip("link set far0 up")?;
        Ok(TcpListener::bind("10.77.0.2:0")?)
    })?;
    namespace::ip("addr add 10.77.0.1/24 dev near0")?;
    namespace::ip("link set near0 up")?;
    Ok(listener)
}

pub(super) fn interface_down(home: &Home, time: Duration) -> Result<Became> {
    let target = Target::on(across_a_wire()?)?;
    fs::write(home.config(), format!("resolvers: {{custom: [127.0.0.1]}}\n{}", home.text_for(target.address, "")))?;
    let daemon = settled(home)?;
    namespace::ip("link set near0 down")?;
    let is_seen = daemon.until("unknown").is_some();
    thread::sleep(time);
    let sides = || Some(daemon.status()?["incidents"].as_array()?.iter().map(|one| one["side"].clone()).collect());
    let sides: Vec<Value> = sides().unwrap_or_default();
    namespace::ip("link set near0 up")?;
    let recovery = daemon.until("healthy");
    let is_blamed = daemon.log().contains("to=failed") || sides.iter().any(|side| side != "local");
    Ok(match (is_seen, is_blamed) {
        (false, _) => Became::said("never seen"),
        (true, true) => Became::said("the peer was blamed"),
        (true, false) => Became::recovered(recovery),
    })
}

/// Asks for the metrics, and reads nothing of them.
fn deaf(listen: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(listen).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    Some(stream)
}

pub(super) fn memory(home: &Home, most: u64) -> Result<Became> {
    let group = Group::new(most)?;
    let mut daemon = home.start_by(group.around(home)?)?;
    daemon.until("healthy").context("what it watches becomes healthy")?;
    let clients: Vec<TcpStream> = (0..DEAF).filter_map(|_| deaf(home.listen)).collect();
    home.target.close();
    let seen = daemon.until("failed");
    drop(clients);
    let said = match (daemon.ended(), seen) {
        (Some(_), _) => "ended",
        (None, None) => "never seen",
        (None, Some(_)) => "seen",
    };
    // The group goes behind the last process in it.
    drop(daemon);
    Ok(Became { recovery: seen, ..Became::said(said) })
}

pub(super) fn out_of_memory(home: &Home) -> Result<Became> {
    let before = killed_with_an_incident(home)?;
    let group = Group::new(LEAST)?;
    let mut daemon = Daemon::spawn(group.around(home)?, &home.folder.path().join("log"), home.listen)?;
    let ended = daemon.end(END);
    if ended.as_deref() != Some("killed by 9") {
        return Ok(Became::said(format!("in {LEAST} MiB it {}", ended.as_deref().unwrap_or("lives"))));
    }
    taken_up(home, &before, 0.0)
}
