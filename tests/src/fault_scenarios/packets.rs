//! What saying why costs in the good case: the same healthy world with diagnosis and without, counted packet by packet.

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ase_agent::net::duration;
use clap::Args;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{file::Scenario, stage::Stage, surroundings::EVERY};
use crate::namespace;

/// The most that packets may grow by, in percent.
const MOST: f64 = 5.0;

/// Arguments of `packets`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How long packets are counted
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    lasting: Duration,
}

/// Packets by protocol and port.
#[derive(Debug, Serialize, Deserialize)]
struct Counted(BTreeMap<String, (u64, u64)>);

impl Counted {
    fn total(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }
}

/// Counts both worlds side by side and prints by how much the one with diagnosis has more; the exit code is 1 if that is
/// too much.
///
/// # Errors
/// Without root, or when a world cannot be built.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    ensure!(
        geteuid().is_root(),
        "packets are counted in a fault box, which needs root: only root may open /dev/net/tun"
    );
    let seconds = arguments.lasting.as_secs_f64();
    let (with, without) = thread::scope(|scope| {
        let with = scope.spawn(|| count_apart(seconds, true));
        let without = count_apart(seconds, false);
        (without_panic(with.join()), without)
    });
    print(&with?, &without?, seconds)
}

fn without_panic<T>(joined: thread::Result<Result<T>>) -> Result<T> {
    joined.unwrap_or_else(|_| anyhow::bail!("counting broke"))
}

/// Counts in a process of its own.
fn count_apart(seconds: f64, is_diagnosing: bool) -> Result<Counted> {
    let output = Command::new(std::env::current_exe()?)
        .args(["count-packets", &seconds.to_string(), &is_diagnosing.to_string()])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the count")?;
    serde_json::from_slice(&output.stdout).context("the count broke")
}

/// Counts the packets of a healthy world in this process, with the intervals that the agent has by default.
///
/// # Errors
/// When the world cannot be built.
pub fn count(seconds: f64, is_diagnosing: bool) -> Result<ExitCode> {
    namespace::die_with_parent()?;
    let text = "what: nothing is wrong\nrow: healthy\nexpect: silent\n";
    let mut scenario: Scenario = serde_saphyr::from_str(text)?;
    let usual = json!({
        "intervals": {"dns": "30s", "ntp": "64s", "http": "30s", "https": "30s", "sql": "30s", "monitoring": "30s"},
        "diagnosis": {"enabled": is_diagnosing},
    });
    scenario.config = usual.as_object().cloned().unwrap_or_default();
    let mut stage = Stage::build(&scenario, EVERY)?;
    stage.begin()?;
    thread::sleep(Duration::from_secs_f64(seconds));
    let status = stage.status()?;
    let ill = status["summary"]["failed"].as_u64();
    ensure!(ill == Some(0), "the world is not healthy: {}", status["summary"]);
    let engine = stage.fault_box.engine();
    let counted = engine.counts().iter().map(|((protocol, port), count)| {
        let name = if *protocol == "icmp" { (*protocol).to_owned() } else { format!("{protocol} {port}") };
        (name, (count.packets, count.bytes))
    });
    let counted: Value = json!(Counted(counted.collect()));
    println!("{counted}");
    Ok(ExitCode::SUCCESS)
}

fn print(with: &Counted, without: &Counted, seconds: f64) -> Result<ExitCode> {
    println!("{:12}  {:>9}  {:>9}", "packets", "without", "with");
    let names: std::collections::BTreeSet<&String> = with.0.keys().chain(without.0.keys()).collect();
    for name in names {
        let of = |counted: &Counted| counted.0.get(name).map_or(0, |count| count.0);
        println!("{name:12}  {:9}  {:9}", of(without), of(with));
    }
    let ((more, more_bytes), (base, base_bytes)) = (with.total(), without.total());
    ensure!(base > 0, "no packet was counted");
    let growth = |more: u64, base: u64| 100.0 * (more as f64 / base as f64 - 1.0);
    let packets = growth(more, base);
    println!("{:12}  {base:9}  {more:9}  {packets:+.1} %", "all");
    println!("{:12}  {base_bytes:9}  {more_bytes:9}  {:+.1} %", "bytes", growth(more_bytes, base_bytes));
    println!("in {seconds:.0} s; diagnosis may cost {MOST} % of packets while nothing is wrong");
    Ok(ExitCode::from(u8::from(packets > MOST)))
}
