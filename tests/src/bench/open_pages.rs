//! What the page of many endpoints costs: the time to its first byte, its length, how fast its filter answers in a real browser,
//! and what many open pages take from the probing loop and from memory.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ase_agent::net::duration;
use ase_probes::clock;
use clap::Args;

use super::{
    AGENT_NAME,
    endpoints::{AGENT, Endpoints, Kind},
    page::Lag,
    play::start_agent,
    stage::{PATIENCE, Stage},
};
use crate::browser::{Browser, Screen};

/// How often the page is fetched to be timed.
const FETCHES: usize = 30;
/// The pause between two of them: longer than a snapshot lasts, so that each is rendered anew.
const PAUSE: Duration = Duration::from_millis(250);
/// What is typed into the filter, one after the other.
const TYPED: [&str; 9] = ["tcp", "198.18.1.", "", "https", "nobody", "", "7000", "198.18.2.7", ""];
/// From when on memory may hardly grow any more.
const SETTLED: Duration = Duration::from_secs(60);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Time that a page which was refused, or whose stream ended, waits: as browsers do.
const AGAIN: Duration = Duration::from_secs(3);

/// Arguments of `page-load`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Endpoints that are watched, a quarter of each kind
    #[arg(long, value_name = "N", default_value_t = 1000)]
    endpoints: usize,
    /// Pages that are open; the agent tells 50 of changes
    #[arg(long, value_name = "N", default_value_t = 50)]
    pages: usize,
    /// How long they are open
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "10m")]
    lasting: Duration,
    /// The agent's binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Exit with 1 when a figure is more than this many times the one to reach
    #[arg(long, value_name = "FACTOR", default_value_t = 3.0)]
    budget: f64,
}

/// A figure, and the one to reach.
struct Line {
    what: &'static str,
    measured: f64,
    wanted: Option<f64>,
    unit: &'static str,
}

impl Line {
    fn shown(&self) -> String {
        let wanted = self.wanted.map(|wanted| format!("{wanted} {}", self.unit)).unwrap_or_default();
        format!("{:44} {:>12.1} {:5} {wanted:>10}", self.what, self.measured, self.unit)
    }

    fn is_over(&self, factor: f64) -> bool {
        self.wanted.is_some_and(|wanted| self.measured > wanted * factor)
    }
}

/// Measures everything and prints a table.
///
/// # Errors
/// Without root or Chromium, or when a program cannot be started or ends early.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let agent = super::agent(arguments.agent.as_ref())?;
    let mut stage = Stage::set(false)?;
    let endpoints =
        Endpoints { kinds: Kind::ALL.to_vec(), count: arguments.endpoints, interval: Duration::from_secs(5) };
    stage.folder.write("ase-agent.yaml", &endpoints.for_agent(stage.folder.path()))?;
    let agent = stage.bring(&agent)?;
    start_agent(&mut stage, &agent)?;
    stage.until("the agent is ready", PATIENCE, |stage| Ok(stage.page(AGENT, "/-/ready")?.is_some()))?;
    let mut lines = fetched(&stage)?;
    lines.extend(filtered(&stage, arguments.endpoints)?);
    let (kept, minutes) = kept_open(&mut stage, arguments)?;
    lines.extend(kept);
    let (count, pages, lasting) = (arguments.endpoints, arguments.pages, duration::show(arguments.lasting));
    println!("{count} endpoints, {pages} pages open for {lasting}\n");
    println!("{:44} {:>12} {:5} {:>10}", "", "measured", "", "to reach");
    lines.iter().for_each(|line| println!("{}", line.shown()));
    let minutes: Vec<String> = minutes.iter().map(|mib| format!("{mib:.1}")).collect();
    println!("\nresident memory by the minute, median, MiB: {}", minutes.join(" "));
    Ok(ExitCode::from(u8::from(lines.iter().any(|line| line.is_over(arguments.budget)))))
}

/// One fetch: the time to the first byte, to the last, and the length of what came.
struct Fetch {
    first: Duration,
    last: Duration,
    bytes: usize,
}

/// Fetches the page as a browser does, packed.
fn fetch() -> Result<Fetch> {
    let asked = clock::now();
    let mut stream = TcpStream::connect_timeout(&AGENT, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {AGENT}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![0; 1];
    stream.read_exact(&mut answer).context("the agent gives no page")?;
    let first = asked.elapsed();
    stream.read_to_end(&mut answer)?;
    let last = asked.elapsed();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").context("the page has a head")?;
    let told = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    ensure!(told.contains("200 ok") && told.contains("content-encoding: gzip"), "the page came otherwise: {told}");
    Ok(Fetch { first, last, bytes: answer.len() - head - 4 })
}

fn fetched(stage: &Stage) -> Result<Vec<Line>> {
    let fetches = stage.inside(|| {
        let one = |_| {
            thread::sleep(PAUSE);
            fetch()
        };
        (0..FETCHES).map(one).collect::<Result<Vec<_>>>()
    })?;
    let bytes = fetches.iter().map(|fetch| fetch.bytes).max().unwrap_or_default();
    let of = |time: fn(&Fetch) -> Duration| sorted(fetches.iter().map(time).map(millis));
    let (first, last) = (of(|fetch| fetch.first), of(|fetch| fetch.last));
    Ok(vec![
        Line { what: "first byte of the page, median", measured: middle(&first), wanted: Some(100.0), unit: "ms" },
        Line { what: "first byte of the page, longest", measured: longest(&first), wanted: None, unit: "ms" },
        Line { what: "last byte of the page, median", measured: middle(&last), wanted: None, unit: "ms" },
        Line { what: "the page, packed", measured: bytes as f64 / 1000.0, wanted: Some(300.0), unit: "kB" },
    ])
}

/// Types into the filter in a browser, and waits for the picture after it.
fn filtered(stage: &Stage, count: usize) -> Result<Vec<Line>> {
    let process = stage.process().to_string();
    let mut browser = Browser::start(&["nsenter", "-t", &process, "-n", "chromium"])?;
    browser.look_by(Screen { width: 1280, height: 900, scale: 1.0, is_dark: false })?;
    browser.go(&format!("http://{AGENT}/"))?;
    browser.wait_until("document.getElementById('live').textContent === ', live'")?;
    let rows = browser.value("document.querySelectorAll('tr.row').length")?;
    ensure!(rows == count, "the page shows {rows} of {count} endpoints");
    let mut times = Vec::new();
    for text in TYPED {
        let typed = format!(
            "new Promise((done) => {{ const it = document.getElementById('f-text'); const start = performance.now(); \
             it.value = '{text}'; it.dispatchEvent(new Event('input', {{bubbles: true}})); \
             requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); }})"
        );
        times.push(browser.value(&typed)?.as_f64().context("the browser tells a time")?);
    }
    ensure!(browser.complaints.is_empty(), "the browser complained: {:?}", browser.complaints);
    let times = sorted(times.into_iter());
    Ok(vec![
        Line {
            what: "filter, from a key to the next frame, median",
            measured: middle(&times),
            wanted: Some(100.0),
            unit: "ms",
        },
        Line { what: "filter, longest", measured: longest(&times), wanted: None, unit: "ms" },
    ])
}

/// What all open pages were told.
#[derive(Debug, Default)]
struct Told {
    is_over: AtomicBool,
    open: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    fetched: AtomicU64,
    refused: AtomicU64,
}

/// What the open pages cost, and the memory minute by minute.
fn kept_open(stage: &mut Stage, arguments: &Arguments) -> Result<(Vec<Line>, Vec<f64>)> {
    let (told, pages) = (Arc::new(Told::default()), arguments.pages);
    let readers = {
        let told = Arc::clone(&told);
        // Threads are in the namespace of the one that starts them.
        stage.inside(move || {
            Ok((0..pages)
                .map(|_| Arc::clone(&told))
                .map(|told| thread::spawn(move || keep_open(&told)))
                .collect::<Vec<_>>())
        })?
    };
    let start = clock::now();
    stage.until("all pages are open", PATIENCE, |_| Ok(told.open.load(Ordering::Relaxed) == pages as u64))?;
    let lag = |stage: &Stage| {
        Ok::<_, anyhow::Error>(Lag::of(&stage.page(AGENT, "/metrics")?.context("the agent gives its page")?))
    };
    let before = lag(stage)?;
    let memory = watched_memory(stage, start, arguments.lasting)?;
    let after = lag(stage)?;
    told.is_over.store(true, Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    for reader in readers {
        reader.join().map_err(|_| anyhow::anyhow!("a page that was open broke"))?;
    }
    let settled = SETTLED.min(arguments.lasting / 2);
    let minutes = by_minute(&memory, settled);
    let (first, last) =
        minutes.get(1..).and_then(|later| later.first().zip(later.last())).context("memory was looked at")?;
    let most = memory.range(settled..).map(|(_, kib)| mib(*kib)).fold(0.0, f64::max);
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let line = |what, measured, unit| Line { what, measured, wanted: None, unit };
    let lag = after.since(Some(&before));
    let lines = vec![
        Line {
            what: "probing lag, 99th percentile at most",
            measured: lag.quantile_ms(0.99).context("visits were made")?,
            wanted: Some(10.0),
            unit: "ms",
        },
        line("probing lag, longest of the last minute", lag.largest_ms, "ms"),
        line("resident memory in the second minute, median", *first, "MiB"),
        Line { what: "growth until the last minute, medians", measured: last - first, wanted: Some(2.0), unit: "MiB" },
        line("the most that it had grown for a moment", most - first, "MiB"),
        line("messages a second for each page", of(&told.messages) / pages as f64 / seconds, ""),
        line("bytes a second for each page", of(&told.bytes) / pages as f64 / seconds, "B"),
        line("whole pages that open pages fetched", of(&told.fetched), ""),
        line("streams that were refused", of(&told.refused), ""),
    ];
    Ok((lines, minutes))
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The median of each minute (or of what stands for one) in MiB, of readings in KiB. A page that is being rendered is a peak
/// of a moment; what is kept shows in the median.
fn by_minute(memory: &BTreeMap<Duration, u64>, minute: Duration) -> Vec<f64> {
    let number = |since: &Duration| since.as_nanos() / minute.as_nanos().max(1);
    // The reading at the very end belongs to the minute that ends with it.
    let last = memory.keys().last().map(number).unwrap_or_default().saturating_sub(1);
    let mut minutes: BTreeMap<u128, Vec<f64>> = BTreeMap::new();
    for (since, kib) in memory {
        minutes.entry(number(since).min(last)).or_default().push(mib(*kib));
    }
    minutes.into_values().map(|readings| middle(&sorted(readings.into_iter()))).collect()
}

/// Looks at the agent's resident memory until the time is over, in KiB by the time since the start.
fn watched_memory(stage: &mut Stage, start: Instant, lasting: Duration) -> Result<BTreeMap<Duration, u64>> {
    let mut seen = BTreeMap::new();
    loop {
        stage.check()?;
        let (since, memory) = (start.elapsed(), stage.memory()?);
        let (_, memory) = memory.into_iter().find(|(name, _)| *name == AGENT_NAME).context("the agent runs")?;
        seen.insert(since, memory.resident);
        let rest = lasting.saturating_sub(since);
        if rest.is_zero() {
            return Ok(seen);
        }
        thread::sleep(rest.min(LOOK));
    }
}

/// An open page: it hears what changed, fetches the whole page where it is told to, and comes back when its stream ends.
fn keep_open(told: &Told) {
    while !told.is_over.load(Ordering::Relaxed) {
        if hear(told).is_err() && !told.is_over.load(Ordering::Relaxed) {
            told.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(AGAIN);
        }
    }
}

/// Counts a stream for as long as it is open: one that made room for others comes back.
struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    fn new(streams: &'a AtomicU64) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(streams)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hear(told: &Told) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&AGENT, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /events HTTP/1.1\r\nHost: {AGENT}\r\n\r\n")?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    ensure!(line.contains("200"), "the stream is refused: {line}");
    let _open = Open::new(&told.open);
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 || told.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        told.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
        if line.starts_with("data:") {
            told.messages.fetch_add(1, Ordering::Relaxed);
            if line.contains("\"whole\":true") {
                fetch()?;
                told.fetched.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn longest(sorted: &[f64]) -> f64 {
    sorted.last().copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_over_only_beyond_the_budget() {
        let line = |measured, wanted| Line { what: "a figure", measured, wanted, unit: "ms" };
        assert!(line(301.0, Some(100.0)).is_over(3.0) && !line(299.0, Some(100.0)).is_over(3.0));
        assert!(!line(1e9, None).is_over(3.0), "what is only told is never over");
        assert!(line(1.0, Some(100.0)).shown().ends_with("100 ms"));
    }

    #[test]
    fn a_peak_of_a_moment_is_no_growth_of_its_minute() {
        let at = |(second, mib): (u64, u64)| (Duration::from_secs(second), mib * 1024);
        let memory = [(0, 30), (60, 34), (70, 39), (80, 34), (130, 35), (160, 35), (175, 36), (180, 50)].map(at).into();
        assert_eq!(by_minute(&memory, Duration::from_secs(60)), [30.0, 34.0, 36.0]);
    }

    #[test]
    fn the_middle_of_an_odd_number_of_times_is_their_median() {
        let times = sorted([3.0, 1.0, 2.0].into_iter());
        assert_eq!((middle(&times), longest(&times)), (2.0, 3.0));
    }
}
