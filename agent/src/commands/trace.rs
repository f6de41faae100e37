//! `ase-agent trace`: the way to a peer by several flows, who answers there, what passes, and what changed.

mod live;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path as File, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    egress::Shape,
    hops::{Path, Step},
    knock::Answer,
    trace::{Inside, Limits, Method, Walk, Width, inside, walk, width},
    verdict::Verdict,
};
use clap::Args;
use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};

use self::live::Live;
use crate::{
    commands::{
        check,
        failure::{Failure, runtime},
        files,
        options::{ConfigFile, Output},
        outcome,
        terminal::Line,
    },
    config::{self, adhoc::Peer},
    model::visit::Visit,
    readers::{
        json::{Earlier, earlier_trace, trace_to_json},
        trace::{Traced, render, render_changes},
    },
    resolvers::host_names::Asker,
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// The ordinary connect at the start: as long as any handshake gets.
const ACCEPT: Duration = Duration::from_secs(4);
/// Everything behind it: thirty silent hops of two packets take 54 s.
const WALKS: Duration = Duration::from_secs(60);
/// The names of everybody on the way.
const NAMES: Duration = Duration::from_secs(3);
/// Between the first ports of two flows: each may have to pass over some that are taken.
const APART: u16 = 16;
/// The first of the ports from which flows are made, and how many: the range that Linux gives out.
const PORTS: (u16, u16) = (33_000, 24_000);
/// A document of `trace` has some 10 KB.
const LARGEST: u64 = 1 << 20;

/// Arguments of `trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// The way to whom: HOST, HOST:PORT or HOST PORT; the port is 443 by default
    #[arg(value_name = "HOST[:PORT]", num_args = 1..=2, required = true)]
    pub peer: Vec<String>,
    /// TCP flows, each from a source port of its own
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub flows: u16,
    /// Hops that are followed at most
    #[arg(long, value_name = "HOPS", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub max_hops: u8,
    /// Also send inside established connections, one byte in each, to see how far those come
    #[arg(long)]
    pub established: bool,
    /// Also ask the DNS servers for the names of those who answer, for 3 s at most
    #[arg(long)]
    pub names: bool,
    /// Say what changed since this document of an earlier `trace --output json`
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Traces and prints; the exit code says whether the target answers and whether anything on the way is odd.
///
/// # Errors
/// A peer that cannot be asked, a bad configuration, or a bad document of before.
pub fn run(arguments: &Trace) -> Result<ExitCode, Failure> {
    let peer = Peer::read(&arguments.peer, 443).map_err(Failure::Usage)?;
    let target = peer.to_string();
    let earlier = arguments.baseline.as_deref().map(|file| read(file, &target)).transpose()?;
    let settings = config::load(arguments.config.config.as_deref())?;
    let line = Line::begin();
    let first_port = earlier.as_ref().and_then(Earlier::first_port);
    let (terms, servers) = (Terms::of(&settings), &*settings.resolvers.custom);
    let tracer = Tracer { arguments, target: &target, terms: &terms, servers, line: &line, first_port };
    let way = runtime()?.block_on(async {
        let (visitor, rng) = (Visitor::new(&settings.resolvers), StdRng::from_seed(rand::random()));
        line.show(&format!("waiting for {target}"));
        tracer.follow(visitor.visit(&peer.accept(ACCEPT), &terms, &Occasion::default(), rng).await).await
    });
    line.close();
    let traced = Traced {
        target: &target,
        visit: &way.visit,
        address: way.address,
        walks: &way.walks,
        width: way.width.as_ref(),
        inside: &way.inside,
        names: way.names.as_ref(),
    };
    let changes = earlier.as_ref().map(|earlier| earlier.changes(&traced));
    let table = || {
        let since = earlier.as_ref().map(|earlier| earlier.began.escape_debug().to_string());
        let changed = since.zip(changes.as_deref());
        let changed = changed.map(|(since, changes)| render_changes(&since, changes, check::look(false)));
        render(&traced, check::look(false)) + &changed.unwrap_or_default()
    };
    outcome::tell(arguments.output, || trace_to_json(&traced, changes.as_deref()), table, traced.exit_code())
}

fn read(file: &File, target: &str) -> Result<Earlier, Failure> {
    let wrong = |rule: String| Failure::Input(format!("--baseline ({}) {rule}", file.display()));
    let text = files::read_text(file, LARGEST).map_err(wrong)?;
    earlier_trace(&text, target).map_err(wrong)
}

/// What was learned.
struct Way {
    visit: Visit,
    address: Option<SocketAddr>,
    walks: Vec<Walk>,
    width: Option<Width>,
    inside: Vec<Inside>,
    names: Option<BTreeMap<IpAddr, String>>,
}

struct Tracer<'a> {
    arguments: &'a Trace,
    target: &'a str,
    terms: &'a Terms,
    /// Whom names are asked of.
    servers: &'a [SocketAddr],
    line: &'a Line,
    /// The first port of the trace that is compared with.
    first_port: Option<u16>,
}

impl Tracer<'_> {
    /// Follows the way to the address that an ordinary connect was made to.
    async fn follow(&self, visit: Visit) -> Way {
        let address = visit.outcomes.first().map(|outcome| outcome.address);
        let names = self.arguments.names.then(BTreeMap::new);
        let mut way = Way { visit, address, walks: Vec::new(), width: None, inside: Vec::new(), names };
        let Some(address) = address else { return way };
        let any = || PORTS.0 + rand::rng().random_range(0..PORTS.1);
        let port = self.first_port.filter(|port| (PORTS.0..PORTS.0 + PORTS.1).contains(port)).unwrap_or_else(any);
        let shape = Shape { source_port: Some(port), ..Shape::default() };
        let (deadline, egress) = (Deadline::within(WALKS), &self.terms.egress);
        let attempt = Attempt { address, deadline, egress, nonce: rand::random(), shape };
        let answers = matches!(way.visit.result, Ok(Verdict::Healthy));
        way.walks = self.walk(&attempt, answers).await;
        let heard = hops_heard(&way.walks);
        let plain = Attempt { shape: Shape::default(), ..attempt };
        self.line.show("waiting for large packets");
        way.width = if heard.is_empty() { None } else { width(&plain, &heard).await };
        if let Some(last) = accepted_at(&way.walks).filter(|_| self.arguments.established) {
            self.line.show("waiting for answers inside established connections");
            way.inside = join_all((1..=last).map(|hop_limit| inside(&plain, hop_limit))).await;
        }
        if self.arguments.names {
            way.names = Some(self.names(&way.walks, address.ip()).await);
        }
        way
    }

    /// All flows side by side, each hop by hop.
    async fn walk(&self, attempt: &Attempt<'_>, answers: bool) -> Vec<Walk> {
        // Firewalls seldom let datagrams through, whether the target accepts connections or not.
        let limits =
            |method| Limits { hops: self.arguments.max_hops, tries: 2, answers: answers && method == Method::Tcp };
        let first = attempt.shape.source_port.unwrap_or_default();
        let methods = (0..self.arguments.flows).map(|_| Method::Tcp).chain([Method::Udp]);
        let port = |number| first + APART * number;
        let flows: Vec<_> = methods
            .zip(0u16..)
            .map(|(method, number)| Walk { method, source_port: port(number), path: Path::default() })
            .collect();
        let live = Live::begin(self.line, self.target, attempt.address, flows.clone());
        let walks = flows.iter().enumerate().map(|(number, flow)| {
            let live = &live;
            async move {
                let shape = Shape { source_port: Some(flow.source_port), ..attempt.shape };
                let attempt = Attempt { shape, ..*attempt };
                let walk = walk(&attempt, flow.method, limits(flow.method), &|walk| live.saw(number, walk)).await;
                live.ended(number);
                walk
            }
        });
        join_all(walks).await
    }

    /// The names of everybody who answered.
    async fn names(&self, walks: &[Walk], target: IpAddr) -> BTreeMap<IpAddr, String> {
        let routers = walks.iter().flat_map(|walk| &walk.path.steps).filter_map(Step::router);
        let addresses: BTreeSet<IpAddr> = routers.chain([target]).collect();
        self.line.show(&format!("waiting for the names of {} addresses", addresses.len()));
        let (servers, egress) = (self.servers, &self.terms.egress);
        Asker { servers, egress, within: NAMES, nonce: rand::random() }.names(&addresses).await
    }
}

/// The hops that answered small datagrams.
fn hops_heard(walks: &[Walk]) -> Vec<u8> {
    let steps = walks.iter().filter(|walk| walk.method == Method::Udp).flat_map(|walk| &walk.path.steps);
    let heard = |step: &&Step| matches!(step.knock.answer, Answer::Icmp(_) | Answer::Open | Answer::Refused);
    steps.filter(heard).map(|step| step.hop_limit).collect()
}

/// The furthest hop at which a TCP flow was accepted.
fn accepted_at(walks: &[Walk]) -> Option<u8> {
    let answered = walks.iter().filter(|walk| walk.method == Method::Tcp).filter_map(|walk| walk.path.answered());
    answered.filter(|step| step.knock.answer == Answer::Open).map(|step| step.hop_limit).max()
}
