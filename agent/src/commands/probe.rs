//! `ase-agent probe`: one question to one peer, with everything that went over the wire.

use std::{process::ExitCode, time::Duration};

use ase_probes::{class::Class, journal::Journal};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        failure::{Failure, runtime},
        options::{ConfigFile, Output},
        outcome,
    },
    config::{self, adhoc::Wish},
    model::target::Addresses,
    net::duration,
    readers::{
        json,
        probe::{Detail, Trace, render},
    },
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// The longest time that somebody at the shell waits for one exchange.
const LONGEST: Duration = Duration::from_secs(60);

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// The kind of question
    #[arg(value_name = "CLASS", value_parser = PossibleValuesParser::new(Class::ALL.map(Class::label))
        .map(|label| Class::from_label(&label).expect("clap admits only labels of classes")))]
    pub class: Class,
    /// Whom to ask: HOST, HOST:PORT or a URL; a DNS server's address, with /tcp behind it for TCP
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Class dns only: ask the server for this name, which must have an address
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Ask every address of the name, not only the first
    #[arg(long)]
    pub all_addresses: bool,
    /// Time for all phases together, at most 60s [default: as the daemon, 3s for dns and ntp, else 7s]
    #[arg(long, value_name = "DURATION", value_parser = patience)]
    pub timeout: Option<Duration>,
    /// Show what is in each message; twice: its bytes too, with whatever secrets they hold
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

fn patience(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text)?;
    if timeout > LONGEST { Err(format!("must be at most {}", duration::show(LONGEST))) } else { Ok(timeout) }
}

/// Asks once and prints; the exit code says what the exchange means.
///
/// # Errors
/// A target that cannot be asked, or a bad configuration.
pub fn run(arguments: &Probe) -> Result<ExitCode, Failure> {
    let Probe { class, name, .. } = arguments;
    if name.is_some() && *class != Class::Dns {
        return Err(Failure::Usage(format!("--name has no meaning for class {class}")));
    }
    let settings = config::load(arguments.config.config.as_deref())?;
    let wish = Wish { class: *class, target: &arguments.target, name: name.as_deref() };
    let (mut target, endpoint) = wish.target(&settings.catalog).map_err(Failure::Usage)?;
    target.timeout = arguments.timeout.unwrap_or(target.timeout);
    if arguments.all_addresses {
        target.addresses = Addresses::All;
    }
    let (visitor, mut terms, runtime) = (Visitor::new(&settings.resolvers), Terms::of(&settings), runtime()?);
    let (occasion, rng) = (Occasion::default(), StdRng::from_seed(rand::random()));
    let journal = Journal::begin();
    terms.egress.journal = Some(journal.clone());
    let visit = runtime.block_on(visitor.visit(&target, &terms, &occasion, rng));
    let trace = Trace {
        class: class.label(),
        target: &target,
        endpoint: endpoint.as_ref(),
        visit: &visit,
        entries: &journal.entries(),
        left_out: journal.left_out(),
    };
    let detail = match arguments.verbose {
        0 => Detail::Kind,
        1 => Detail::Content,
        _ => Detail::Bytes,
    };
    let document = || json::probe_to_json(&trace, detail == Detail::Bytes);
    outcome::tell(arguments.output, document, || render(&trace, detail), trace.exit_code())
}
