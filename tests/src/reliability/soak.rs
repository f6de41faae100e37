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

/// Memory that the cgroup allows, in MiB: half of what the unit does.
const MOST_MEMORY: u64 = 128;
/// The pause between two samples and scrapes.
const EVERY: Duration = Duration::from_secs(1);
/// The share of the time that is warm-up.
const WARM_UP: f64 = 1.0 / 3.0;
/// Growth of memory that is none, in MiB an hour; it is told apart from noise only after [`LONG_ENOUGH`] of warm time.
const MOST_GROWTH: f64 = 0.5;
/// See [`MOST_GROWTH`], in hours.
const LONG_ENOUGH: f64 = 0.25;
/// More descriptors in the second half of the warm time than in the first, on average: visits come and go, a leak does not.
const MOST_DESCRIPTORS: f64 = 16.0;
/// The same for threads, of which those that read files end after a while.
const MOST_THREADS: f64 = 2.0;
/// The most that the daemon may take in a cgroup, in MiB, and for a scrape there.
const MOST_PEAK: f64 = 110.0;
/// See [`MOST_PEAK`].
const SLOWEST: Duration = Duration::from_millis(250);
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

/// Soaks, and prints what came of it; the exit code is 1 when the daemon ended, or what it takes grows or is too much.
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
    let watched = watch(&mut daemon, plan.lasting);
    let ended = daemon.ended();
    println!(
        "{} endpoints ({} hostile peers), {} hostile clients, {:.1} min: {}",
        plan.endpoints,
        peers.len(),
        plan.clients,
        plan.lasting.as_secs_f64() / 60.0,
        ended.map_or("the daemon lives".to_owned(), |status| format!("THE DAEMON ENDED: {status}"))
    );
    let Watched { samples, slowest, failed } = &watched;
    println!("slowest scrape {} ms, {failed} failed of {}", slowest.as_millis(), samples.len());
    print_slopes(samples);
    let mut wrong = grown(samples);
    if let Some(group) = &group {
        println!("{}", group.told());
        wrong.extend(beyond(&watched, group.peak()));
    }
    wrong.iter().for_each(|wrong| println!("TOO MUCH: {wrong}"));
    drop(daemon);
    drop(group);
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::from(ended.is_some() || !wrong.is_empty())))
}

/// What grows, in words.
fn grown(samples: &[Sample]) -> Vec<String> {
    let warm = warm(samples);
    let (first, second) = warm.split_at(warm.len() / 2);
    let mean = |of: fn(&Sample) -> f64, part: &[Sample]| part.iter().map(of).sum::<f64>() / part.len().max(1) as f64;
    let mut wrong = Vec::new();
    let counted: [(Measure, f64); 2] =
        [(("descriptors", |one| one.descriptors), MOST_DESCRIPTORS), (("threads", |one| one.threads), MOST_THREADS)];
    for ((what, of), most) in counted {
        let more = mean(of, second) - mean(of, first);
        if more > most {
            wrong.push(format!("{more:.1} more {what} in the second half, at most {most} may be"));
        }
    }
    let lasted = warm.last().map_or(0.0, |last| last.at) - warm.first().map_or(0.0, |first| first.at);
    let growth = slope(&warm.iter().map(|sample| (sample.at, sample.rss)).collect::<Vec<_>>());
    if lasted >= LONG_ENOUGH && growth > MOST_GROWTH {
        wrong.push(format!("memory grows by {growth:.2} MiB an hour, at most {MOST_GROWTH} may be"));
    }
    wrong
}

/// What is beyond the limits that hold in a cgroup, in words.
fn beyond(watched: &Watched, peak: Option<f64>) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(peak) = peak.filter(|peak| *peak > MOST_PEAK) {
        wrong.push(format!("the cgroup's peak is {peak:.1} MiB, at most {MOST_PEAK} may be"));
    }
    if watched.slowest >= SLOWEST {
        let (slowest, limit) = (watched.slowest.as_millis(), SLOWEST.as_millis());
        wrong.push(format!("a scrape took {slowest} ms, less than {limit} may be"));
    }
    if watched.failed > 0 {
        wrong.push(format!("{} scrapes failed, none may", watched.failed));
    }
    wrong
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

/// What was seen of the daemon from outside.
#[derive(Clone, Debug, Default)]
struct Watched {
    samples: Vec<Sample>,
    slowest: Duration,
    /// Scrapes that failed.
    failed: usize,
}

fn watch(daemon: &mut Daemon, lasting: Duration) -> Watched {
    let (mut watched, start) = (Watched::default(), clock::now());
    while start.elapsed() < lasting && daemon.ended().is_none() {
        let asked = clock::now();
        watched.failed += usize::from(daemon.get("/metrics").is_none());
        watched.slowest = watched.slowest.max(asked.elapsed());
        watched.samples.extend(sample(daemon.id(), start.elapsed()));
        thread::sleep(EVERY);
    }
    watched
}

/// The samples after the warm-up.
fn warm(samples: &[Sample]) -> &[Sample] {
    &samples[(samples.len() as f64 * WARM_UP) as usize..]
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
    let warm = warm(samples);
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

    /// A look each minute: two hundred descriptors that come and go, and what else there is by the number of the minute.
    fn samples(minutes: usize, of: impl Fn(f64) -> Sample) -> Vec<Sample> {
        let look = |minute: usize| {
            let more = of(minute as f64);
            let descriptors = 200.0 + 20.0 * (minute % 2) as f64 + more.descriptors;
            Sample { at: minute as f64 / 60.0, rss: 30.0 + more.rss, descriptors, threads: 5.0 + more.threads }
        };
        (0..minutes).map(look).collect()
    }

    #[test]
    fn what_grows_is_too_much_and_what_comes_and_goes_is_not() {
        let by = |minutes, of: fn(f64) -> Sample| grown(&samples(minutes, of)).len();
        assert_eq!((by(3, |_| Sample::default()), by(60, |_| Sample::default())), (0, 0));
        let descriptors = |minute: f64| Sample { descriptors: 20.0 * minute, ..Sample::default() };
        let threads = |minute: f64| Sample { threads: 3.0 * minute, ..Sample::default() };
        assert_eq!((by(6, descriptors), by(6, threads)), (1, 1));
        let memory = |minute: f64| Sample { rss: minute / 60.0, ..Sample::default() };
        assert_eq!((by(6, memory), by(60, memory)), (0, 1), "too short to tell memory from noise");
        assert_eq!(by(60, |minute| Sample { rss: 0.4 * minute / 60.0, ..Sample::default() }), 0);
        assert_eq!(grown(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_cgroup_has_limits_of_its_own() {
        let good = Watched { slowest: Duration::from_millis(249), ..Watched::default() };
        assert_eq!((beyond(&good, Some(110.0)), beyond(&good, None)), (Vec::new(), Vec::new()));
        assert_eq!(beyond(&good, Some(111.0)), ["the cgroup's peak is 111.0 MiB, at most 110 may be"]);
        let bad = Watched { slowest: SLOWEST, failed: 1, ..Watched::default() };
        assert_eq!(beyond(&bad, None), ["a scrape took 250 ms, less than 250 may be", "1 scrapes failed, none may"]);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = sample(std::process::id(), Duration::from_secs(1800)).expect("the kernel tells of this process");
        assert!(own.rss > 0.0 && own.descriptors >= 3.0 && own.threads >= 1.0 && own.at == 0.5, "{own:?}");
    }
}
