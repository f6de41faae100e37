//! Makes the visits of the bench: the agent's own visitor asks each row's peer, many rows side by side, each under its
//! deadline and a guard that tells a hang from an answer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use ase_agent::{
    model::{
        settings::{ResolverSource, Resolvers},
        target::{Addresses, ExpectAddress, Host, ResolvedBy, Target},
        visit::Visit,
    },
    net::policy::{AddressPolicy, prefix},
    visit::{
        flow_budget::SharedFlows,
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};
use ase_probes::{
    clock, dns,
    egress::Egress,
    http, ntp,
    probe::Probe,
    tcp, tds,
    tls::{Trust, Verify},
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

use super::{
    chain::{Identities, NAME},
    expected::Said,
    outcome::{Outcome, Standing},
    peer::{NAMED, Peer},
    row::{Kind, Row},
};

/// Rows that are played at once, and those of them whose peers send as fast as they can.
const AT_ONCE: usize = 32;
const FLOODS_AT_ONCE: usize = 6;
/// How far behind its deadline a visit may end on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a visit is waited for behind its deadline before it counts as one that hangs.
const GUARD: Duration = Duration::from_secs(10);
/// Time for a peer that speaks first, as the agent gives it to endpoints of the class monitoring.
const GREETING: Duration = Duration::from_millis(300);
/// Flows to one peer, more than any visit needs.
const FLOWS: u32 = 100;

/// Panics of this process so far, on whatever thread.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Plays rows and returns what came of each, in their order, and how many panics there were, on whatever thread.
///
/// # Errors
/// When the authorities cannot be made or a peer finds no port.
pub(super) fn play(rows: Vec<Row>) -> Result<(Vec<Outcome>, usize)> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Peers have threads of their own, so that none delays the agent but by what it sends.
    let peers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcomes = runtime.block_on(play_all(rows, peers.handle()))?;
    peers.shutdown_background();
    // A visit that hangs is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok((outcomes, PANICS.load(Ordering::Relaxed)))
}

async fn play_all(rows: Vec<Row>, peers: &Handle) -> Result<Vec<Outcome>> {
    let identities = Arc::new(Identities::new()?);
    let trust = trusting(&identities)?;
    let (calm, floods) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(FLOODS_AT_ONCE)));
    let mut under_way = JoinSet::new();
    for (place, row) in rows.into_iter().enumerate() {
        let room = Arc::clone(if row.floods() { &floods } else { &calm });
        let (stage, trust) = (Stage { identities: Arc::clone(&identities), peers: peers.clone() }, trust.clone());
        under_way.spawn(async move {
            let _room = room.acquire().await.context("nobody closes it")?;
            anyhow::Ok((place, play_one(&row, &stage, &trust).await.with_context(|| row.name.clone())?))
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = under_way.join_next().await {
        outcomes.push(done.context("a row's own play panicked")??);
    }
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn trusting(identities: &Identities) -> Result<Trust> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, identities.trusted())?;
    Ok(Trust::none().with_pem_file(&file)?)
}

/// Where peers live.
struct Stage {
    identities: Arc<Identities>,
    peers: Handle,
}

async fn play_one(row: &Row, stage: &Stage, trust: &Trust) -> Result<Outcome> {
    let (played, identities) = (row.clone(), Arc::clone(&stage.identities));
    let peer = stage.peers.spawn(async move { Peer::start(&played, &identities).await }).await??;
    let (target, visitor, terms) = (target(row, peer.address), visitor(peer.address), terms(trust)?);
    let start = clock::now();
    let visit = async move { visitor.visit(&target, &terms, &Occasion::default(), StdRng::from_seed([7; 32])).await };
    let mut visit = tokio::spawn(visit);
    let done = tokio::time::timeout(row.within() + GUARD, &mut visit).await;
    let took = start.elapsed();
    let (standing, visit) = match done {
        Err(_) => (Standing::Hung, None),
        Ok(Err(_)) => (Standing::Panicked, None),
        Ok(Ok(visit)) if took > row.within() + MARGIN => (Standing::Hung, Some(visit)),
        Ok(Ok(visit)) => (Standing::Survived, Some(visit)),
    };
    Ok(outcome(row, peer.sent(), (standing, took), visit.as_ref()))
}

fn outcome(row: &Row, sent: u64, (standing, took): (Standing, Duration), visit: Option<&Visit>) -> Outcome {
    let said = visit.map_or_else(|| Said::nothing(standing.label()), Said::of);
    let evidence = visit.map(Visit::evidence).unwrap_or_default();
    let mut misses = Vec::new();
    if !row.expect.is(&said) {
        misses.push(format!("said: {said}"));
    }
    if let Some(words) = row.says.as_ref().filter(|words| !evidence.iter().any(|line| line.contains(*words))) {
        misses.push(format!("the evidence does not hold ({words})"));
    }
    if sent > row.most() {
        misses.push(format!("the peer got rid of {sent} bytes, more than {}", row.most()));
    }
    Outcome {
        kind: row.kind.label(),
        name: row.name.clone(),
        expected: row.expect.to_string(),
        said: said.to_string(),
        standing,
        misses,
        overrun: took.saturating_sub(row.within()),
        took,
        bytes: sent,
        lost: None,
        recovery: None,
        open: row.open.clone(),
        evidence,
    }
}

fn target(row: &Row, peer: SocketAddr) -> Target {
    let host = match row.kind {
        Kind::Names => Host::Name(NAME.to_owned()),
        Kind::Dns | Kind::Ntp | Kind::Http | Kind::Https | Kind::Sql | Kind::Monitoring | Kind::Tcp => {
            Host::Address(peer.ip())
        }
    };
    Target {
        host,
        port: peer.port(),
        probe: probe(row, peer.port()),
        addresses: Addresses::First,
        expect_address: ExpectAddress::Any,
        resolved_by: ResolvedBy::Custom,
        timeout: row.within(),
    }
}

fn probe(row: &Row, port: u16) -> Probe {
    match row.kind {
        Kind::Dns => Probe::Dns(dns_question(row)),
        Kind::Ntp => Probe::Ntp(ntp::Question),
        Kind::Http => Probe::Http(page(row, http::Scheme::Http, port)),
        Kind::Https => Probe::Http(page(row, http::Scheme::Https(Verify::Full), port)),
        Kind::Sql => {
            let flavour = if row.ask.strict { tds::Flavour::Tds8 } else { tds::Flavour::Tds7 };
            Probe::Tds(tds::Question { host: NAME.to_owned(), flavour })
        }
        Kind::Names | Kind::Monitoring => Probe::Tcp(tcp::Question { listen: GREETING }),
        Kind::Tcp => Probe::Tcp(tcp::Question::default()),
    }
}

fn dns_question(row: &Row) -> dns::Question {
    let transport = if row.ask.tcp { dns::Transport::Tcp } else { dns::Transport::Udp };
    match row.ask.server {
        true => dns::Question::liveness(NAME.to_owned(), transport),
        false => dns::Question::address(NAME.to_owned(), dns::RecordType::A, transport),
    }
}

fn page(row: &Row, scheme: http::Scheme, port: u16) -> http::Question {
    let proof = match &row.ask {
        ask if ask.crl => http::Proof::Crl,
        ask if !ask.status.is_empty() => http::Proof::Status(ask.status.clone()),
        ask => ask.contains.clone().map_or(http::Proof::AnyResponse, http::Proof::Contains),
    };
    let (host, path, session) = (NAME.to_owned(), "/".to_owned(), http::Session::default());
    http::Question { scheme, host, port, path, proof, session }
}

fn visitor(server: SocketAddr) -> Visitor {
    Visitor::new(&Resolvers { custom: vec![server], source: ResolverSource::Config, azure: server })
}

/// Only the address of the peers of names is allowed to names, as their word is judged.
fn terms(trust: &Trust) -> Result<Terms> {
    let named = prefix(&format!("{}/32", IpAddr::from(NAMED))).map_err(anyhow::Error::msg)?;
    Ok(Terms {
        policy: AddressPolicy { allow: vec![named], ..AddressPolicy::default() },
        egress: Egress::default(),
        trust: trust.clone(),
        flows: Arc::new(SharedFlows::new(FLOWS)),
        rests: Arc::default(),
    })
}
