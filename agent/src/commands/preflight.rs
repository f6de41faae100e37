//! `ase-agent preflight`: one verdict before something is deployed or changed, from one look and from exported files.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use ipnet::IpNet;

use crate::{
    commands::{
        check::{look, observe, patience},
        failure::Failure,
        lint::{DeploymentName, prefix, read_into},
        options::{ConfigFile, Output},
        outcome,
        plan::{MOST_INSTANCES, Version},
    },
    config,
    exports::judged::judged,
    lint::{
        finding::Report,
        read::Export,
        size::{FRONT_END_EVERY, Generation, Plan, add_up},
    },
    model::{
        exports::{ExportKind, Exports, STALE_AFTER},
        settings::Settings,
    },
    readers::{
        json,
        preflight::{Exported, Known, Planned, Preflight, render},
    },
};

/// The look ends within this time, so that the verdict stands within 20 s whatever the time-outs are.
const LONGEST: Duration = Duration::from_secs(18);

pub(super) const NOTES: &str = "\
One look as that of `check`, and what exported files say: the DNS servers and what they answer for public and for private names,
every dependency with proof, the clock, exported rules and the subnet. Nothing is changed. Files behind the command stand in
the place of those under `exports` in the configuration.

Exit codes:
  0   go
  1   no-go, or the command itself failed
  2   go with warnings
  3   nothing speaks against it, but something could not be judged
  64  the command line is wrong
  78  the configuration is wrong, or a file is no export

Examples:
  ase-agent preflight
  ase-agent preflight --profile ase-v2 --cloud public --output json
  ase-agent preflight --instances 30 --subnet 10.0.1.0/24
  ase-agent preflight nsg.json routes.json subnet.json --vnet 10.0.0.0/16 --deployment ilb";

/// Arguments of `preflight`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Exports as JSON, as `ase-agent lint` reads them: groups, route tables, subnets, service tags
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Another profile than the configuration names
    #[arg(long)]
    pub profile: Option<String>,
    /// Another cloud than the configuration names
    #[arg(long)]
    pub cloud: Option<String>,
    /// A prefix of the subnet, where no file says it
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub subnet: Vec<IpNet>,
    /// Instances of all plans at their peak: whether they fit in the subnet
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_INSTANCES)))]
    pub instances: Option<u32>,
    /// The version of the environment, by which the sum of its addresses differs
    #[arg(long, value_enum, default_value_t = Version::V2, requires = "instances")]
    pub ase: Version,
    /// A prefix of the virtual network, where no file says it
    #[arg(long, value_name = "PREFIX", value_parser = prefix, requires = "files")]
    pub vnet: Vec<IpNet>,
    /// How clients reach the apps
    #[arg(long, value_enum)]
    pub deployment: Option<DeploymentName>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Write out every reason
    #[arg(long, short)]
    pub verbose: bool,
}

/// Looks, judges and prints; the exit code is the verdict.
///
/// # Errors
/// A bad configuration, or a file that is no export.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(option) = unused(arguments) {
        return Err(Failure::Usage(format!("{option} needs files, or --instances")));
    }
    let (profile, cloud) = (arguments.profile.as_deref(), arguments.cloud.as_deref());
    let mut settings = config::load_profile(arguments.config.config.as_deref(), profile, cloud)?;
    let named = named(arguments, &settings)?;
    let planned = planned(arguments, &settings)?;
    if named.is_some() {
        settings.exports = None;
    }
    let private = settings.declared.private.clone();
    let has_prefix = settings.exports.as_ref().is_some_and(|exports| !exports.subnet.is_empty());
    let within = patience(&settings).min(LONGEST);
    let (snapshot, _daemon) = observe(settings, within)?;
    let wrong = snapshot.exports.as_ref().map(|view| view.reading.wrong.clone()).unwrap_or_default();
    let exported = match (&named, &snapshot.exports) {
        (Some((report, has_subnet)), _) => {
            Some(Exported { report: Some(report), wrong: &[], has_subnet: *has_subnet, is_stale: false })
        }
        (None, Some(view)) => {
            let judged = view.reading.judged.as_deref();
            let is_subnet = |kind| matches!(kind, ExportKind::Subnet | ExportKind::Vnet);
            let has_file = judged.is_some_and(|judged| judged.files.iter().any(|read| is_subnet(read.file.kind)));
            Some(Exported {
                report: judged.map(|judged| &judged.report),
                wrong: &wrong,
                has_subnet: has_prefix || has_file,
                is_stale: view.is_stale(snapshot.at),
            })
        }
        (None, None) => None,
    };
    let (exported, planned) = (exported.as_ref(), planned.as_ref());
    let preflight = Preflight::of(Known { snapshot: &snapshot, exported, private: &private, planned });
    let table = || render(&preflight, &snapshot, look(arguments.verbose));
    let document = || json::preflight_to_json(&preflight, &snapshot);
    outcome::tell(arguments.output, document, table, preflight.verdict().exit_code())
}

/// What says something of a subnet that is neither exported nor planned.
fn unused(arguments: &Arguments) -> Option<&'static str> {
    let is_judged = !arguments.files.is_empty() || arguments.instances.is_some();
    let given = [(!arguments.subnet.is_empty(), "--subnet"), (arguments.deployment.is_some(), "--deployment")];
    given.into_iter().find(|(is_given, _)| *is_given && !is_judged).map(|(_, option)| option)
}

/// The size that is planned, and the subnet that it is planned for: as named, else as exported, else as configured.
fn planned(arguments: &Arguments, settings: &Settings) -> Result<Option<Planned>, Failure> {
    let Some(instances) = arguments.instances else { return Ok(None) };
    let internal = arguments.deployment != Some(DeploymentName::External);
    let generation = match arguments.ase {
        Version::V2 => Generation::V2 { internal, front_end_every: FRONT_END_EVERY },
        Version::V3 => Generation::V3,
    };
    let plan = Plan { instances, flavour: "any".to_owned(), container_apps: 0, zone_redundant: false };
    let mut export = Export::default();
    arguments.files.iter().try_for_each(|file| read_into(&mut export, file))?;
    let exported: Vec<IpNet> = export.subnets.iter().flat_map(|subnet| subnet.prefixes.iter().copied()).collect();
    let configured = settings.exports.iter().flat_map(|exports| exports.subnet.iter().copied()).collect();
    let known = [arguments.subnet.clone(), exported, configured];
    let nets = known.into_iter().find(|nets| !nets.is_empty()).unwrap_or_default();
    let prefix = nets.iter().filter(|net| net.addr().is_ipv4()).map(IpNet::prefix_len).min();
    Ok(Some(Planned { instances, sum: add_up(generation, &[plan]), prefix }))
}

/// What the files behind the command say, and whether the subnet is among them; `None` without any.
fn named(arguments: &Arguments, settings: &Settings) -> Result<Option<(Report, bool)>, Failure> {
    if arguments.files.is_empty() {
        return Ok(None);
    }
    let mut export = Export::default();
    arguments.files.iter().try_for_each(|file| read_into(&mut export, file))?;
    let nothing = Exports {
        files: Vec::new(),
        subnet: Vec::new(),
        vnet: Vec::new(),
        group: None,
        table: None,
        is_internal: None,
        service_endpoints: None,
        suppress: std::collections::BTreeMap::new(),
        stale_after: STALE_AFTER,
    };
    let mut about = settings.exports.clone().unwrap_or(nothing);
    about.files.clear();
    if !arguments.subnet.is_empty() {
        about.subnet.clone_from(&arguments.subnet);
    }
    if !arguments.vnet.is_empty() {
        about.vnet.clone_from(&arguments.vnet);
    }
    about.is_internal = arguments.deployment.map(|name| name == DeploymentName::Ilb).or(about.is_internal);
    let has_subnet = !export.subnets.is_empty() || !about.subnet.is_empty();
    Ok(Some((judged(&about, &settings.catalog, (export, Vec::new()), None).report, has_subnet)))
}
