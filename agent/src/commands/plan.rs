//! `ase-agent plan`: how large a subnet has to be, before anything is created in it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    commands::{failure::Failure, lint, options::Output, stdout},
    lint::{
        read::Export,
        render::size as layout,
        size::{FRONT_END_EVERY, Generation, Plan, add_up},
    },
};

/// What can be planned.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Add up the addresses that an environment takes of its subnet
    #[command(
        after_help = "Exit codes:\n  0   the sum was printed; with --current: the subnet is large enough\n  1   with --current: it is too \
        small\n  64  the command line is wrong\n  78  the file is no subnet\n\nExamples:\n  ase-agent plan subnet --plan 20\n  \
        ase-agent plan subnet --plan 25:windows:5 --plan 40:linux/I1v2 --zone-redundant\n  \
        ase-agent plan subnet --ase v2 --external --plan 30 --current subnet.json"
    )]
    Subnet(SubnetPlan),
}

/// Arguments of `plan subnet`.
#[derive(Debug, Args)]
pub struct SubnetPlan {
    /// The version of the environment
    #[arg(long, value_enum, default_value_t = Version::V3)]
    pub ase: Version,
    /// A plan at its peak: INSTANCES, INSTANCES:SYSTEM/SIZE, or INSTANCES:SYSTEM/SIZE:APPS with its apps in Windows containers
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    pub plan: Vec<Plan>,
    /// With v2: a public load balancer, which takes one address less
    #[arg(long)]
    pub external: bool,
    /// With v2: instances for each further front end (frontEndScaleFactor)
    #[arg(long, value_name = "COUNT", default_value_t = FRONT_END_EVERY, value_parser = clap::value_parser!(u32).range(5..=15))]
    pub front_end_every: u32,
    /// With v3: the plans are spread over availability zones
    #[arg(long)]
    pub zone_redundant: bool,
    /// The subnet that there is, as exported
    #[arg(long, value_name = "FILE")]
    pub current: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// The version of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// App Service Environment v2
    V2,
    /// App Service Environment v3
    V3,
}

/// More instances than any environment has; a slip of the pen beyond.
pub(super) const MOST_INSTANCES: u32 = 10_000;

fn plan(text: &str) -> Result<Plan, String> {
    let mut parts = text.splitn(3, ':');
    let number = |text: &str| {
        let number = text.parse::<u32>().ok().filter(|number| *number <= MOST_INSTANCES);
        number.ok_or_else(|| format!("{text:?} is no number up to {MOST_INSTANCES}"))
    };
    let instances = number(parts.next().unwrap_or_default())?;
    let flavour = parts.next().unwrap_or("any").to_ascii_lowercase();
    let container_apps = parts.next().map_or(Ok(0), number)?;
    Ok(Plan { instances, flavour, container_apps, zone_redundant: false })
}

/// Adds up and prints.
///
/// # Errors
/// A file that is no subnet.
pub fn run(command: &PlanCommand) -> Result<ExitCode, Failure> {
    let PlanCommand::Subnet(asked) = command;
    let generation = match asked.ase {
        Version::V2 => Generation::V2 { internal: !asked.external, front_end_every: asked.front_end_every },
        Version::V3 => Generation::V3,
    };
    if let (Generation::V2 { .. }, Some(option)) = (generation, only_v3(asked)) {
        return Err(Failure::Usage(format!("{option}: version 2 has no such thing, only version 3 (--ase v3)")));
    }
    let plans: Vec<Plan> =
        asked.plan.iter().map(|plan| Plan { zone_redundant: asked.zone_redundant, ..plan.clone() }).collect();
    let sum = add_up(generation, &plans);
    let current = asked.current.as_deref().map(prefix_of).transpose()?;
    stdout::print(&match asked.output {
        Output::Table => layout::table(&sum, current),
        Output::Json => layout::json(&sum, current),
    })?;
    let is_small = current.is_some_and(|prefix| !layout::fits(&sum, prefix));
    Ok(ExitCode::from(u8::from(is_small)))
}

/// What was asked that only version 3 has.
fn only_v3(asked: &SubnetPlan) -> Option<&'static str> {
    let has_containers = asked.plan.iter().any(|plan| plan.container_apps > 0);
    if asked.zone_redundant {
        Some("--zone-redundant")
    } else {
        has_containers.then_some("--plan with Windows containers")
    }
}

/// The prefix length of the one subnet in a file.
fn prefix_of(file: &Path) -> Result<u8, Failure> {
    let mut export = Export::default();
    lint::read_into(&mut export, file)?;
    let widths = export
        .subnets
        .first()
        .map(|subnet| subnet.prefixes.iter().filter(|net| net.addr().is_ipv4()).map(ipnet::IpNet::prefix_len));
    widths
        .and_then(Iterator::min)
        .filter(|_| export.subnets.len() == 1)
        .ok_or_else(|| Failure::Input(format!("{}: one subnet with an IPv4 prefix is wanted", file.display())))
}
