//! `ase-agent witness knock`: a sealed challenge at each port of a witness, and what that proves.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use ase_probes::{clock, deadline::Deadline, local_facts::LocalFacts, resolve::Resolver};
use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        failure::{Failure, runtime},
        options::{ConfigFile, Output},
        outcome,
        terminal::Line,
    },
    config::{self, adhoc::Peer},
    model::{settings::Settings, target::Host},
    net::policy::Reached,
    readers::{
        json,
        knock::{Knocks, render},
        notes::exit_code,
    },
    visit::terms::Terms,
    witness::{
        key::Key,
        knock::Knocker,
        port::{self, Port},
    },
};

/// What the help of `witness knock` says beside its options.
pub(super) const NOTES: &str = "\
Where the witness answers at one port, it is asked what came at those that stay silent: so the way in is told from the way
back.

Exit codes:
  0   the witness answered at every port
  1   a port is refused, dropped, or answered by somebody else
  2   it answered at every port, but a port is translated or the clocks differ
  3   nothing could be judged: this machine could not knock
  64  the command line is wrong
  78  the configuration or the file with the key is wrong

Examples:
  ase-agent witness knock 10.0.1.4 --ports 454,455,16001,80 --key witness.key
  ase-agent witness knock 10.0.1.4 --ports 443,123/udp --key witness.key --output json";

/// Time for the name of the witness, and for one DNS server.
const NAME: Duration = Duration::from_secs(6);
const SERVER: Duration = Duration::from_secs(2);

/// Arguments of `witness knock`.
#[derive(Debug, Args)]
pub struct Knock {
    /// Where the witness is: a name or an address
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Ports to knock at, separated by commas, /udp behind those of UDP
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port::parse, required = true)]
    pub ports: Vec<Port>,
    /// The file with the secret that the witness has, too
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Knocks and prints; the exit code says whether every port was answered.
///
/// # Errors
/// A host or a key that cannot be used, a bad configuration, a name without an address.
pub(super) fn run(arguments: &Knock) -> Result<ExitCode, Failure> {
    let ports = port::each_once(&arguments.ports).map_err(|rule| Failure::Usage(format!("--ports: {rule}")))?;
    let peer = Peer::read(std::slice::from_ref(&arguments.host), ports[0].number).map_err(Failure::Usage)?;
    let key = Key::read(&arguments.key).map_err(Failure::Input)?;
    let settings = config::load(arguments.config.config.as_deref())?;
    let (began, line) = (clock::wall(), Line::begin());
    let (address, knocked) = runtime()?.block_on(async {
        let mut rng = StdRng::from_seed(rand::random());
        let address = find(&peer.host, &settings, rng.next_u64()).await?;
        line.show(&format!("waiting for {address}"));
        let knocker = Knocker { key: &key, address, egress: &settings.egress };
        Ok::<_, Failure>((address, knocker.knock(&ports, rng).await))
    })?;
    line.close();
    let facts = LocalFacts::about(SocketAddr::new(address, ports[0].number), &settings.egress);
    let source = facts.source.ok().and_then(Result::ok);
    let knocks = Knocks { host: &peer.host.to_string(), address, source, began, knocked: &knocked };
    let notes = knocks.notes();
    let document = || json::knocks_to_json(&knocks, &notes);
    outcome::tell(arguments.output, document, || render(&knocks), exit_code(&notes))
}

/// The address of the witness: the first that the configured servers give and the policy allows.
async fn find(host: &Host, settings: &Settings, nonce: u64) -> Result<IpAddr, Failure> {
    let terms = Terms::of(settings);
    let (found, reached) = match host {
        Host::Address(address) => (vec![*address], Reached::Literal),
        Host::Name(name) => {
            let resolver = Resolver { servers: settings.resolvers.custom.clone(), timeout: SERVER, attempts: 1 };
            let resolution = resolver.resolve(name, &terms.egress, Deadline::within(NAME), nonce).await;
            if let Some(finding) = resolution.finding {
                let definition = finding.cause.definition();
                return Err(Failure::Other(format!("{name}: {}: {}", definition.label, definition.summary)));
            }
            (terms.order(&resolution.addresses, &mut Vec::new()), Reached::Name)
        }
    };
    let refused = || Failure::Other(format!("the address policy forbids every address of {host}"));
    found.into_iter().find(|address| terms.allows(*address, reached)).ok_or_else(refused)
}
