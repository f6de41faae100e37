//! `ase-lab faults --soak`: a daemon among healthy and hostile endpoints and clients for a while, in a memory cgroup where
//! that is wanted; what its memory, descriptors and threads do per hour after the warm-up, and the slowest scrape.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Result;
use ase_probes::clock;
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpSocket, runtime::Runtime};

use super::{
    cgroup::Group,
    chain::Identities,
    daemon::{Daemon, Home},
    peer::Peer,
    row::{Kind, Listens, Row},
};

/// Memory that the cgroup allows, in MiB, as the unit does.
const MOST_MEMORY: u64 = 128;
/// The pause between two samples and scrapes.
const EVERY: Duration = Duration::from_secs(1);
/// The share of the time that is warm-up.
const WARM_UP: f64 = 1.0 / 3.0;
/// How long a hostile client holds its connection before it begins anew, if it is not cut.
const HOLDS: Duration = Duration::from_secs(20);

/// What is soaked, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) lasting: Duration,
    pub(super) endpoints: usize,
    pub(super) clients: usize,
    pub(super) in_cgroup: bool,
}

/// One look at the daemon.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Since the start, in hours.
    at: f64,
    rss: f64,
    descriptors: f64,
    threads: f64,
}

/// Soaks, and prints what came of it; the exit code is 1 when the daemon ended.
///
/// # Errors
/// When the daemon or the cgroup cannot be made.
pub(super) fn run(plan: Plan, rows: &[Row]) -> Result<ExitCode> {
    let (home, runtime) = (Home::new()?, tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
    let peers = peers(&runtime, rows)?;
    fs::write(home.config(), configuration(&home, plan.endpoints, &peers))?;
    let group = if plan.in_cgroup { Some(Group::new(MOST_MEMORY)?) } else { None };
    if let Some(group) = &group {
        println!("{}", group.limit());
    }
    let command = match &group {
        Some(group) => group.around(&home)?,
        None => home.command()?,
    };
    let mut daemon = home.start_by(command)?;
    (0..plan.clients).for_each(|number| drop(runtime.spawn(pester(home.listen, number))));
    let (samples, slowest, failed) = watch(&mut daemon, plan.lasting);
    let ended = daemon.ended();
    println!(
        "{} endpoints ({} hostile peers), {} hostile clients, {:.1} min: {}",
        plan.endpoints,
        peers.len(),
        plan.clients,
        plan.lasting.as_secs_f64() / 60.0,
        ended.map_or("the daemon lives".to_owned(), |status| format!("THE DAEMON ENDED: {status}"))
    );
    println!("slowest scrape {} ms, {failed} failed of {}", slowest.as_millis(), samples.len());
    print_slopes(&samples);
    if let Some(group) = &group {
        println!("{}", group.told());
    }
    drop(daemon);
    drop(group);
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::from(ended.is_some())))
}

/// The hostile peers: every row that is asked over TCP, says something else than that it is well, and does not send as fast
/// as it can.
fn peers(runtime: &Runtime, rows: &[Row]) -> Result<Vec<(Kind, Peer)>> {
    let identities = Arc::new(Identities::new()?);
    let is_asked = |kind| matches!(kind, Kind::Http | Kind::Https | Kind::Sql | Kind::Monitoring);
    let hostile = rows.iter().filter(|row| is_asked(row.kind) && row.listens == Listens::Peer && !row.floods());
    hostile.map(|row| Ok((row.kind, runtime.block_on(Peer::start(row, &identities))?))).collect()
}

/// Every second endpoint is healthy, the others lead to the hostile peers in turn.
fn configuration(home: &Home, endpoints: usize, peers: &[(Kind, Peer)]) -> String {
    let mut text = format!(
        "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\nstate_dir: {}\n\
         pace: {{flows_per_destination: 1000000}}\nendpoints:\n  add:\n",
        home.state().display()
    );
    for number in 0..endpoints {
        let hostile = peers.get((number / 2) % peers.len().max(1)).filter(|_| number % 2 == 1);
        let (class, port) = match hostile {
            Some((kind, peer)) => (kind.label(), peer.address.port()),
            None => ("tcp", home.target.address.port()),
        };
        text.push_str(&format!(
            "    - {{id: e{number}, class: {class}, host: 127.0.0.1, port: {port}, interval: 10s, timeout: 3s}}\n"
        ));
    }
    text
}

/// A client that begins a request, ends none, and comes again.
async fn pester(daemon: SocketAddr, number: usize) {
    let host = u8::try_from(number % 200).unwrap_or(0) + 1;
    loop {
        let talk = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::new(127, 0, 3, host), 0).into())?;
            let mut stream = socket.connect(daemon).await?;
            let start: &[u8] =
                if number.is_multiple_of(3) { b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" } else { b"GET /met" };
            stream.write_all(start).await?;
            // What was asked for is not read but for a byte.
            stream.read_u8().await?;
            std::future::pending::<std::io::Result<()>>().await
        };
        drop(tokio::time::timeout(HOLDS, talk).await);
        tokio::time::sleep(EVERY).await;
    }
}

fn watch(daemon: &mut Daemon, lasting: Duration) -> (Vec<Sample>, Duration, usize) {
    let (mut samples, mut slowest, mut failed, start) = (Vec::new(), Duration::ZERO, 0, clock::now());
    while start.elapsed() < lasting && daemon.ended().is_none() {
        let asked = clock::now();
        failed += usize::from(daemon.get("/metrics").is_none());
        slowest = slowest.max(asked.elapsed());
        samples.extend(sample(daemon.id(), start.elapsed()));
        thread::sleep(EVERY);
    }
    (samples, slowest, failed)
}

/// What the kernel says of a process (proc(5)).
fn sample(process: u32, at: Duration) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let number =
        |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as f64;
    let rss: f64 = number("VmRSS:")?;
    Some(Sample { at: at.as_secs_f64() / 3600.0, rss: rss / 1024.0, descriptors, threads: number("Threads:")? })
}

/// What is measured, and how it is read from a sample.
type Measure = (&'static str, fn(&Sample) -> f64);

fn print_slopes(samples: &[Sample]) {
    let warm = &samples[(samples.len() as f64 * WARM_UP) as usize..];
    let measures: [Measure; 3] =
        [("MiB resident", |one| one.rss), ("descriptors", |one| one.descriptors), ("threads", |one| one.threads)];
    for (what, of) in measures {
        let points: Vec<(f64, f64)> = warm.iter().map(|sample| (sample.at, of(sample))).collect();
        let most = samples.iter().map(of).fold(0.0, f64::max);
        let last = points.last().map_or(0.0, |point| point.1);
        let slope = slope(&points);
        println!("{what:<13} at most {most:>8.1}, at the end {last:>8.1}, {slope:>+8.2} per hour after the warm-up");
    }
}

/// The slope of the straight line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if spread > 0.0 { common / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line() {
        let line: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        assert!((slope(&line) - 2.0).abs() < 1e-9);
        assert_eq!((slope(&[]), slope(&[(1.0, 5.0)])), (0.0, 0.0));
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = sample(std::process::id(), Duration::from_secs(1800)).expect("the kernel tells of this process");
        assert!(own.rss > 0.0 && own.descriptors >= 3.0 && own.threads >= 1.0 && own.at == 0.5, "{own:?}");
    }
}
