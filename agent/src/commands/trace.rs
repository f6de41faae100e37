//! `ase-agent trace`: the way to a peer by several flows, who answers there, what passes, and what changed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    egress::Shape,
    hops::Step,
    knock::Answer,
    regular_file,
    trace::{Inside, Limits, Method, Walk, Width, inside, walk, width},
    verdict::Verdict,
};
use clap::Args;
use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        cli::{ConfigFile, Output},
        failure::{Failure, runtime},
        stdout,
        terminal::Line,
    },
    config::{self, adhoc::Peer},
    model::visit::Visit,
    readers::{
        json::{Earlier, earlier_trace, trace_to_json},
        trace::{Traced, render, render_changes},
    },
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// The ordinary connect at the start: as long as any handshake gets.
const ACCEPT: Duration = Duration::from_secs(4);
/// Everything behind it: thirty silent hops of two packets take 54 s.
const WALKS: Duration = Duration::from_secs(60);
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
    let (visitor, terms) = (Visitor::new(&settings.resolvers), Terms::of(&settings));
    let line = Line::begin();
    let way = runtime()?.block_on(async {
        let rng = StdRng::from_seed(rand::random());
        let visit = visitor.visit(&peer.accept(ACCEPT), &terms, &Occasion::default(), rng).await;
        let first_port = earlier.as_ref().and_then(Earlier::first_port);
        Tracer { arguments, terms: &terms, line: &line, first_port }.follow(visit).await
    });
    line.close();
    let traced = Traced {
        target: &target,
        visit: &way.visit,
        address: way.address,
        walks: &way.walks,
        width: way.width.as_ref(),
        inside: &way.inside,
    };
    let changes = earlier.as_ref().map(|earlier| earlier.changes(&traced));
    let _read = match (arguments.output, earlier.as_ref().zip(changes.as_deref())) {
        (Output::Json, _) => stdout::print_line(&trace_to_json(&traced, changes.as_deref()))?,
        (Output::Table, None) => stdout::print(&render(&traced))?,
        (Output::Table, Some((earlier, changes))) => {
            stdout::print(&(render(&traced) + &render_changes(&earlier.began.escape_debug().to_string(), changes)))?
        }
    };
    Ok(ExitCode::from(traced.exit_code()))
}

fn read(file: &Path, target: &str) -> Result<Earlier, Failure> {
    let wrong = |rule: String| Failure::Input(format!("--baseline ({}) {rule}", file.display()));
    let bytes = regular_file::read(file, LARGEST).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no text in UTF-8".to_owned()))?;
    earlier_trace(&text, target).map_err(wrong)
}

/// What was learned.
struct Way {
    visit: Visit,
    address: Option<SocketAddr>,
    walks: Vec<Walk>,
    width: Option<Width>,
    inside: Vec<Inside>,
}

struct Tracer<'a> {
    arguments: &'a Trace,
    terms: &'a Terms,
    line: &'a Line,
    /// The first port of the trace that is compared with.
    first_port: Option<u16>,
}

impl Tracer<'_> {
    /// Follows the way to the address that an ordinary connect was made to.
    async fn follow(&self, visit: Visit) -> Way {
        let address = visit.outcomes.first().map(|outcome| outcome.address);
        let mut way = Way { visit, address, walks: Vec::new(), width: None, inside: Vec::new() };
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
        self.line.show("how large a packet passes");
        way.width = if heard.is_empty() { None } else { width(&plain, &heard).await };
        if let Some(last) = accepted_at(&way.walks).filter(|_| self.arguments.established) {
            self.line.show("how far established connections come");
            way.inside = join_all((1..=last).map(|hop_limit| inside(&plain, hop_limit))).await;
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
        let flows: Vec<_> = methods
            .zip(0u16..)
            .map(|(method, number)| {
                let shape = Shape { source_port: Some(first + APART * number), ..attempt.shape };
                (method, Attempt { shape, ..*attempt })
            })
            .collect();
        let told = |step: &Step| self.line.show(&format!("hop {}: {}", step.hop_limit, step.knock));
        join_all(flows.iter().map(|(method, attempt)| walk(attempt, *method, limits(*method), &told))).await
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
