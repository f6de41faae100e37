//! `ase-agent allowlist`: what has to be allowed, in the form of whoever allows it; or what of it is blocked now, as a message.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::{
    commands::{
        check::{look, observe, patience},
        failure::Failure,
        files,
        lint::prefix,
        options::ConfigFile,
        stdout,
    },
    config,
    imports::{
        environment::AddressKind,
        memory::{FILE as ENVIRONMENT, Memory},
    },
    model::{catalog::Catalog, settings::Settings},
    readers::{
        VERSION,
        allowlist::{self, Observations, Observed, Requirement, Sighting, Sources, azure, csv, message, table},
        json,
    },
    store::{
        addresses::Addresses,
        history::{Query, read},
    },
};

/// Larger statuses are refused, in bytes: that of 10 000 endpoints is 20 MB.
const LARGEST: u64 = 64 << 20;

pub(super) const NOTES: &str = "\
Without --look and --failed nothing is sent: the list is the catalogue's. Addresses come from statuses that were saved
(`curl -s http://127.0.0.1:10123/api/v1/status >one.json`, now and then), from the state directory of a daemon, which remembers
them for 90 days, or from a look now; they are what was seen, and change.
No command that is printed is run; capitals in it stand for names that this machine cannot know.

Exit codes:
  0   it was printed; with --failed: nothing is blocked
  1   it could not be done; with --failed: something is blocked
  2   with --failed: something is lost, but by nothing that a rule could mend
  64  the command line is wrong
  78  the configuration or a file is wrong

Examples:
  ase-agent allowlist
  ase-agent allowlist --format csv --look
  ase-agent allowlist --format azure-firewall --source 10.0.1.0/24
  ase-agent allowlist --failed --source 10.0.1.0/24 --public 203.0.113.41";

/// Arguments of `allowlist`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How to print it
    #[arg(long, visible_alias = "output", value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Only what is blocked now, as a message to the network team; looks now unless --seen says how it is
    #[arg(long)]
    pub failed: bool,
    /// Look now, to see which addresses the names have
    #[arg(long)]
    pub look: bool,
    /// A status that was saved, or the state directory of an agent (repeatable)
    #[arg(long, value_name = "PLACE")]
    pub seen: Vec<PathBuf>,
    /// A prefix of the subnet from which the flows come (repeatable) [default: that of `exports.subnet`]
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub source: Vec<IpNet>,
    /// An address as which flows leave to the Internet (repeatable) [default: that of `ase-agent import environment`]
    #[arg(long, value_name = "ADDRESS")]
    pub public: Vec<IpAddr>,
    /// Another profile than the configuration names
    #[arg(long)]
    pub profile: Option<String>,
    /// Another cloud than the configuration names
    #[arg(long)]
    pub cloud: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Write out every address
    #[arg(long, short)]
    pub verbose: bool,
}

/// How to print a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
    /// A group of rule collections of an Azure Firewall policy, as a resource of a template
    AzureFirewall,
    /// Commands for an Azure Firewall policy
    Az,
}

/// Collects and prints.
///
/// # Errors
/// A bad configuration, or a place where nothing is remembered.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (profile, cloud) = (arguments.profile.as_deref(), arguments.cloud.as_deref());
    let settings = config::load_profile(arguments.config.config.as_deref(), profile, cloud)?;
    let Remembered { mut looks, worked, kept } = remembered(&arguments.seen)?;
    let sources = sources(arguments, &settings);
    let (catalog, vantage) = (settings.catalog.clone(), settings.vantage.clone());
    if arguments.look || (arguments.failed && looks.is_empty()) {
        let within = patience(&settings);
        looks.push(Sighting::of(&observe(settings, within)?.0));
    }
    looks.sort_by_key(|look| look.at);
    let known = Observations { looks: &looks, worked: Some(&worked), kept: &kept };
    let mut requirements = allowlist::of(&catalog, known);
    if arguments.failed {
        requirements.retain(|one| !one.blocked.is_empty() || !one.otherwise_lost.is_empty());
    }
    let code = if arguments.failed { message::exit_code(&requirements) } else { 0 };
    let list = List { requirements: &requirements, sources: &sources, catalog: &catalog, vantage: &vantage };
    stdout::print(&list.rendered(arguments))?;
    Ok(ExitCode::from(code))
}

struct List<'a> {
    requirements: &'a [Requirement],
    sources: &'a Sources,
    catalog: &'a Catalog,
    vantage: &'a str,
}

impl List<'_> {
    fn rendered(&self, arguments: &Arguments) -> String {
        let Self { requirements, sources, catalog, vantage } = *self;
        let (profile, cloud, edition) = (&catalog.profile, &catalog.cloud, &catalog.edition);
        let title = format!("profile {profile}, cloud {cloud}, edition {edition}");
        // What is blocked is a part of a list; rules are written for that part alone.
        let blocked: Vec<Requirement>;
        let ruled: &[Requirement] = if arguments.failed {
            blocked = requirements.iter().filter(|one| !one.blocked.is_empty()).cloned().collect();
            &blocked
        } else {
            requirements
        };
        match (arguments.format, arguments.failed) {
            (Format::Table, false) => table::render(requirements, sources, &title, look(arguments.verbose)),
            (Format::Table, true) => {
                let title = format!("seen from {vantage} by ase-agent {VERSION}; {title}");
                message::render(requirements, sources, &title, look(arguments.verbose))
            }
            (Format::Csv, _) => csv::render(ruled),
            (Format::Json, _) => json::allowlist_to_json(requirements, sources, catalog) + "\n",
            (Format::AzureFirewall, _) => json::firewall_to_json(ruled, sources) + "\n",
            (Format::Az, _) => azure::commands(ruled, sources),
        }
    }
}

/// What was saved, or is remembered.
#[derive(Default)]
struct Remembered {
    looks: Vec<Sighting>,
    worked: BTreeMap<String, Observed>,
    kept: Vec<Addresses>,
}

/// Statuses are looks; a state directory says when endpoints worked, and at which addresses they were asked over days.
fn remembered(places: &[PathBuf]) -> Result<Remembered, Failure> {
    let mut all = Remembered::default();
    for place in places {
        if place.is_dir() {
            of_store(place, &mut all.worked)?;
            all.kept.push(Addresses::read(place));
        } else {
            let read = files::read_text(place, LARGEST).and_then(|text| json::look_from_json(&text));
            all.looks.push(read.map_err(|rule| Failure::Input(format!("--seen ({}) {rule}", place.display())))?);
        }
    }
    Ok(all)
}

fn of_store(folder: &Path, worked: &mut BTreeMap<String, Observed>) -> Result<(), Failure> {
    let query = Query { since: Duration::ZERO, endpoint: None };
    let history = read(folder, &query).map_err(|error| Failure::Input(error.to_string()))?;
    for outcome in history.outcomes.iter().filter(|outcome| matches!(&*outcome.result, "healthy" | "degraded")) {
        let (first, last) = (outcome.began, outcome.ended);
        let all = worked.entry(outcome.endpoint.to_string()).or_insert(Observed { first, last });
        (all.first, all.last) = (all.first.min(first), all.last.max(last));
    }
    Ok(())
}

/// What the command line says, else what is known of the subnet and the environment.
fn sources(arguments: &Arguments, settings: &Settings) -> Sources {
    let subnet = if arguments.source.is_empty() {
        settings.exports.as_ref().map(|exports| exports.subnet.clone()).unwrap_or_default()
    } else {
        arguments.source.clone()
    };
    let public: BTreeSet<IpAddr> =
        if arguments.public.is_empty() { imported(settings) } else { arguments.public.iter().copied().collect() };
    Sources { subnet, public: public.into_iter().collect() }
}

/// The environment's outbound addresses, as they were imported last.
fn imported(settings: &Settings) -> BTreeSet<IpAddr> {
    let file = settings.state_dir.as_ref().map(|folder| folder.join(ENVIRONMENT));
    let bytes = file.and_then(|file| files::read(&file, 1 << 20).ok());
    let memory = bytes.and_then(|bytes| Memory::from_json(&bytes));
    let outbound = memory.and_then(|memory| memory.environment.addresses.get(&AddressKind::Outbound).cloned());
    outbound.map(|addresses| addresses.into_iter().collect()).unwrap_or_default()
}
