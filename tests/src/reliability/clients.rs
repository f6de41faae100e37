//! Hostile clients of the agent's port: each row's from an address of its own, all rows side by side, while somebody scrapes
//! as Prometheus does.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ase_agent::net::duration::HumanDuration;
use ase_probes::clock;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::{
    bytes::{Bytes, Context},
    daemon::{Daemon, Home},
    outcome::{Outcome, Standing},
    row::Named,
};
use crate::loopback;

/// The time of a client where a row says nothing else: the agent cuts a head that does not end after 10 s.
const WITHIN: Duration = Duration::from_secs(13);
/// What is kept of an answer, in bytes.
const KEPT: usize = 64;
/// The pause between two scrapes.
const EVERY: Duration = Duration::from_millis(100);
/// The longest wait for a scrape before it counts as one that failed.
const SCRAPE: Duration = Duration::from_secs(5);

/// What a hostile client does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    /// In words.
    name: String,
    /// How many of them there are.
    #[serde(default = "one")]
    connections: usize,
    /// What it does.
    client: Vec<Act>,
    /// Whether it reads what comes.
    #[serde(default = "yes")]
    reads: bool,
    /// How long it stays at most.
    #[serde(default)]
    within: Option<HumanDuration>,
    /// What must become of it: `answered CODE`, `closed` without an answer, `open`, or `left` by itself.
    expect: String,
    /// Why the row is known not to hold.
    #[serde(default)]
    open: Option<String>,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl Named for Client {
    fn called(&self) -> String {
        format!("client: {}", self.name)
    }
}

/// One step of a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    /// It sends.
    Send(Bytes),
    /// It sends the same until it is cut.
    Drip(Bytes, HumanDuration),
    /// It waits.
    Wait(HumanDuration),
    /// It says nothing more.
    Hold,
    /// It ends its side.
    HalfClose,
    /// It leaves.
    Leave,
}

/// Plays all rows against one daemon.
///
/// # Errors
/// When the daemon does not start.
pub(super) fn play(rows: Vec<Client>) -> Result<Vec<Outcome>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let home = Home::new()?;
    let mut daemon = home.start()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let scraper = scrape(home.listen, Arc::clone(&is_over));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let played = runtime.block_on(play_all(rows, home.listen));
    is_over.store(true, Ordering::Relaxed);
    let scraped = scraper.join().ok().context("the scraper ends")?;
    let mut outcomes = played?;
    outcomes.push(beside(scraped, &mut daemon));
    Ok(outcomes)
}

async fn play_all(rows: Vec<Client>, daemon: SocketAddr) -> Result<Vec<Outcome>> {
    let mut under_way = JoinSet::new();
    for (place, row) in rows.into_iter().enumerate() {
        let host = u8::try_from(place % 250).unwrap_or(0) + 1;
        under_way.spawn(async move { (place, play_one(row, daemon, Ipv4Addr::new(127, 0, 1, host).into()).await) });
    }
    let mut outcomes = under_way.join_all().await;
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

async fn play_one(row: Client, daemon: SocketAddr, from: IpAddr) -> Outcome {
    let (row, start) = (Arc::new(row), clock::now());
    let mut clients = JoinSet::new();
    for _ in 0..row.connections {
        let row = Arc::clone(&row);
        clients.spawn(async move { converse(&row, daemon, from).await });
    }
    let said = clients.join_all().await;
    // Whoever is one too many makes room for others; what is due must become of the rest.
    let due = said.iter().find(|said| **said == row.expect);
    let said = due.or(said.first()).cloned().unwrap_or_default();
    let misses = if said == row.expect { Vec::new() } else { vec![format!("became of it: {said}")] };
    Outcome {
        kind: "client",
        name: row.name.clone(),
        expected: row.expect.clone(),
        said,
        standing: Standing::Survived,
        misses,
        took: start.elapsed(),
        overrun: Duration::ZERO,
        bytes: 0,
        lost: None,
        recovery: None,
        open: row.open.clone(),
        evidence: Vec::new(),
    }
}

async fn converse(row: &Client, daemon: SocketAddr, from: IpAddr) -> String {
    let connected = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(daemon).await
    };
    let Ok(stream) = connected.await else { return "refused".to_owned() };
    let (mut reader, mut writer) = stream.into_split();
    let (mut heard, within) = (Vec::new(), row.within.map_or(WITHIN, |within| within.0));
    let ended = if row.reads {
        tokio::select! {
            ended = read(&mut reader, &mut heard) => ended,
            () = act(&row.client, &mut writer) => return "left".to_owned(),
            () = tokio::time::sleep(within) => false,
        }
    } else {
        drop(tokio::time::timeout(within, act(&row.client, &mut writer)).await);
        tokio::time::timeout(EVERY, read(&mut reader, &mut heard)).await.unwrap_or(false)
    };
    let status = heard.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok());
    match (status, ended) {
        (Some(status), _) => format!("answered {status}"),
        (None, true) => "closed".to_owned(),
        (None, false) => "open".to_owned(),
    }
}

/// Reads to the end, or to the status of an answer.
async fn read(reader: &mut OwnedReadHalf, heard: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    while heard.len() < KEPT {
        match reader.read(&mut bytes).await {
            Ok(0) | Err(_) => return true,
            Ok(count) => heard.extend_from_slice(&bytes[..count.min(KEPT)]),
        }
    }
    false
}

/// Does the steps; ends only where the client leaves.
async fn act(steps: &[Act], writer: &mut OwnedWriteHalf) {
    let make = |bytes: &Bytes| bytes.make(Context { heard: &[], port: 0, now: Duration::ZERO });
    for step in steps {
        let done = match step {
            Act::Send(bytes) => writer.write_all(&make(bytes)).await,
            Act::Drip(bytes, every) => loop {
                if let Err(error) = writer.write_all(&make(bytes)).await {
                    break Err(error);
                }
                tokio::time::sleep(every.0).await;
            },
            Act::Wait(time) => {
                tokio::time::sleep(time.0).await;
                Ok(())
            }
            Act::Hold => break,
            Act::HalfClose => writer.shutdown().await,
            Act::Leave => return,
        };
        if done.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// What scraping was like meanwhile.
#[derive(Clone, Copy, Debug, Default)]
struct Scraped {
    pages: usize,
    failed: usize,
    slowest: Duration,
}

fn scrape(daemon: SocketAddr, is_over: Arc<AtomicBool>) -> thread::JoinHandle<Scraped> {
    thread::spawn(move || {
        let mut scraped = Scraped::default();
        while !is_over.load(Ordering::Relaxed) {
            let start = clock::now();
            let page = loopback::get_within(SCRAPE, daemon, "/metrics");
            scraped.pages += 1;
            scraped.failed += usize::from(page.is_none());
            scraped.slowest = scraped.slowest.max(start.elapsed());
            thread::sleep(EVERY);
        }
        scraped
    })
}

/// The row of whoever scrapes meanwhile, and of the daemon itself.
fn beside(scraped: Scraped, daemon: &mut Daemon) -> Outcome {
    let Scraped { pages, failed, slowest } = scraped;
    let standing = match (daemon.ended(), daemon.log().contains("panicked")) {
        (_, true) | (Some(_), _) => Standing::Panicked,
        (None, false) if daemon.get("/-/healthy").is_none() => Standing::Hung,
        (None, false) => Standing::Survived,
    };
    let miss = (failed > 0).then(|| format!("{failed} of {pages} scrapes failed"));
    Outcome {
        kind: "client",
        name: "a scrape every 100 ms beside all of them".to_owned(),
        expected: "answered 200".to_owned(),
        said: format!("{} of {pages} answered, the slowest after {} ms", pages - failed, slowest.as_millis()),
        standing,
        misses: miss.into_iter().collect(),
        took: slowest,
        overrun: Duration::ZERO,
        bytes: 0,
        lost: None,
        recovery: None,
        open: None,
        evidence: Vec::new(),
    }
}
