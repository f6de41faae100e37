//! `ase-agent tcpping`: connect again and again as an app would, in the console's lines; then say what the accept is worth.

use std::{process::ExitCode, time::Duration};

use ase_probes::clock;
use clap::Args;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        failure::{Failure, runtime},
        options::{ConfigFile, Output},
        stdout,
    },
    config::{self, adhoc::Peer},
    model::visit::Visit,
    readers::{json, tcpping as layout},
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// From one try to the next, so that nobody takes it for an attack.
const PAUSE: Duration = Duration::from_secs(1);
/// Visits that are kept for what is said at the end, so that `-t` needs no more memory than any other count.
const KEPT: usize = 1000;

/// Arguments of `tcpping`.
#[derive(Debug, Args)]
pub struct Tcpping {
    /// Whom to connect to: HOST, HOST:PORT or HOST PORT
    #[arg(value_name = "HOST[:PORT]", num_args = 1..=2, required = true)]
    pub peer: Vec<String>,
    /// How often to try
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Try until interrupted
    #[arg(short = 't', conflicts_with = "count")]
    pub forever: bool,
    /// Stop after so many seconds
    #[arg(short = 's', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Seconds that one try waits at most
    #[arg(short = 'w', value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub wait: u64,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Connects and prints; the exit code says whether all tries, some or none succeeded.
///
/// # Errors
/// A peer that cannot be asked, or a bad configuration.
pub fn run(arguments: &Tcpping) -> Result<ExitCode, Failure> {
    let peer = Peer::read(&arguments.peer, 80).map_err(Failure::Usage)?;
    let settings = config::load(arguments.config.config.as_deref())?;
    let caller = Caller { visitor: Visitor::new(&settings.resolvers), terms: Terms::of(&settings) };
    runtime()?.block_on(async {
        let series = caller.connect_again_and_again(&peer, arguments).await?;
        let proof = caller.prove(&peer, &series.tally).await;
        let _read = match arguments.output {
            Output::Json => {
                let name = peer.to_string();
                stdout::print_line(&json::tcpping_to_json(&name, &series.tally, &series.visits, proof.as_ref()))?
            }
            Output::Table => stdout::print_line(&layout::render_end(&series.tally))?,
        };
        if arguments.output == Output::Table {
            stdout::complain(&layout::render_failures(&series.visits));
        }
        if arguments.output == Output::Table && series.tally.good > 0 {
            stdout::complain(&layout::render_worth(proof.as_ref()));
        }
        Ok(ExitCode::from(series.tally.exit_code()))
    })
}

/// The tries so far.
#[derive(Default)]
struct Series {
    tally: layout::Tally,
    /// The newest tries, at most [`KEPT`].
    visits: Vec<Visit>,
}

impl Series {
    fn add(&mut self, visit: Visit) -> layout::Try {
        let one = layout::Try::of(&visit);
        self.tally.add(one);
        if self.visits.len() == KEPT {
            self.visits.remove(0);
        }
        self.visits.push(visit);
        one
    }
}

struct Caller {
    visitor: Visitor,
    terms: Terms,
}

impl Caller {
    /// Tries until the count, the time or an interrupt ends it; each line appears with its try.
    async fn connect_again_and_again(&self, peer: &Peer, arguments: &Tcpping) -> Result<Series, Failure> {
        let target = peer.accept(Duration::from_secs(arguments.wait));
        let ends = arguments.seconds.map(|seconds| clock::now() + Duration::from_secs(seconds));
        let count = if arguments.forever { u32::MAX } else { arguments.count };
        let mut series = Series::default();
        while series.tally.made < count {
            let within = ends.map(|ends| ends.saturating_duration_since(clock::now()));
            let occasion = Occasion { within, ..Occasion::default() };
            let visit = tokio::select! {
                visit = self.visitor.visit(&target, &self.terms, &occasion, StdRng::from_seed(rand::random())) => visit,
                _ = tokio::signal::ctrl_c() => break,
            };
            let one = series.add(visit);
            let line = layout::render_try(&peer.to_string(), one);
            if arguments.output == Output::Table && !stdout::print_line(&line)? {
                break;
            }
            if series.tally.made == count || ends.is_some_and(|ends| clock::now() + PAUSE >= ends) {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        Ok(series)
    }

    /// Asks the peer's own protocol once, where somebody accepted and the protocol is known.
    async fn prove(&self, peer: &Peer, tally: &layout::Tally) -> Option<Visit> {
        let target = peer.proof().filter(|_| tally.good > 0)?;
        let rng = StdRng::from_seed(rand::random());
        Some(self.visitor.visit(&target, &self.terms, &Occasion::default(), rng).await)
    }
}
