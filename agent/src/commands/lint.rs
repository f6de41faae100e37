//! `ase-agent lint`: exported rules, routes and subnets judged without asking anybody.

mod diff;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ase_probes::regular_file::{self, FileError};
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::{
    commands::{
        failure::Failure,
        options::{Output, PLAIN_EXIT_CODES},
        stdout,
    },
    config,
    exports::judged,
    lint::{
        finding::Report,
        judge::{Deployment, Question, judge},
        read::Export,
        render::{
            explain::{Explained, explained},
            json, markdown, sarif, table,
        },
        requirements::{Profile, Requirement, profiles},
    },
};

/// Larger files are refused: all service tags are 4 MB, and what is read takes about ten times its size.
const LARGEST_FILE: u64 = 64 << 20;

/// Arguments of `lint`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Lint {
    /// Something else than judging.
    #[command(subcommand)]
    pub command: Option<LintCommand>,
    /// What to judge, and how to print it.
    #[command(flatten)]
    pub input: Input,
}

/// What is judged.
#[derive(Debug, Args)]
pub struct Input {
    /// Exports as JSON: groups, effective rules, route tables, subnets, networks, templates, plans, tag files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// By what and how.
    #[command(flatten)]
    pub terms: Terms,
}

/// By what exports are judged, what no file says, and how the result is printed.
#[derive(Debug, Args)]
pub struct Terms {
    /// By what to judge: ase-v2, ase-v3, vnet-integration, apim-classic, apim-v2, container-apps or custom
    #[arg(long, default_value = "ase-v2")]
    pub profile: String,
    /// The cloud: public, usgov or china
    #[arg(long, default_value = "public", value_parser = ["public", "usgov", "china"])]
    pub cloud: String,
    /// A prefix of the subnet, where no file says it
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub subnet: Vec<IpNet>,
    /// A prefix of the virtual network, where no file says it
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub vnet: Vec<IpNet>,
    /// The subnet's service endpoints, separated by commas, where no file says them; `none` for none
    #[arg(long, value_name = "SERVICES", value_delimiter = ',')]
    pub service_endpoints: Option<Vec<String>>,
    /// How clients reach the apps
    #[arg(long, value_enum)]
    pub deployment: Option<DeploymentName>,
    /// Ports of apps with an address of their own, separated by commas
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub app_ports: Vec<u16>,
    /// The subnet's group, where the files hold several
    #[arg(long, value_name = "NAME")]
    pub nsg: Option<String>,
    /// The subnet's route table, where the files hold several
    #[arg(long, value_name = "NAME")]
    pub route_table: Option<String>,
    /// The file of service tags: Azure's download, or `az network list-service-tags`
    #[arg(long, value_name = "FILE")]
    pub tags: Option<PathBuf>,
    /// A configuration of the agent: what its endpoints need is required, too
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set a finding aside: ID=REASON, or KIND@RULE=REASON
    #[arg(long, value_name = "ID=REASON", value_parser = suppression)]
    pub suppress: Vec<(String, String)>,
    /// How to print the result
    #[arg(long, visible_alias = "output", value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Something else than judging.
#[derive(Debug, Subcommand)]
pub enum LintCommand {
    /// Explain a finding; without an id all kinds are listed
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent lint explain lb_cut\n  ase-agent lint explain --output json"))]
    Explain {
        /// The finding's id, for example blocked.in-management
        id: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Say what a change breaks and mends: every requirement, and every flow that was seen, whose verdict differs
    #[command(after_help = diff::NOTES)]
    Diff(Box<diff::Diff>),
}

/// How clients reach the apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeploymentName {
    /// By an internal load balancer
    Ilb,
    /// By a public address
    External,
}

/// How to print a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For checks of code hosts
    Sarif,
    /// For comments of pull requests
    Markdown,
}

/// Reads a prefix such as `10.0.1.0/24`.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| "a prefix such as 10.0.1.0/24 is wanted".to_owned())?;
    if net.trunc() == net { Ok(net) } else { Err(format!("has bits set behind its prefix: {} is meant", net.trunc())) }
}

fn suppression(text: &str) -> Result<(String, String), String> {
    let (id, reason) = text.split_once('=').unwrap_or((text, ""));
    if reason.trim().is_empty() {
        return Err("ID=REASON is wanted: a finding is set aside for a reason".to_owned());
    }
    Ok((id.trim().to_owned(), reason.trim().to_owned()))
}

/// Judges and prints; the exit code says how it went.
///
/// # Errors
/// A file that cannot be read or is no export, an unknown profile, a bad configuration.
pub fn run(arguments: &Lint) -> Result<ExitCode, Failure> {
    match &arguments.command {
        None => check(&arguments.input),
        Some(LintCommand::Diff(arguments)) => diff::run(arguments),
        Some(LintCommand::Explain { id, output }) => {
            let explained = id.as_deref().map_or_else(|| Ok(Explained::all()), explain)?;
            stdout::print(&match output {
                Output::Table => explained.text(),
                Output::Json => explained.json(),
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn explain(id: &str) -> Result<Explained, Failure> {
    let unknown =
        || Failure::Usage(format!("ID ({}): there is no such finding; see ase-agent lint explain", id.escape_debug()));
    explained(id).ok_or_else(unknown)
}

fn check(input: &Input) -> Result<ExitCode, Failure> {
    let question = question(&input.terms)?;
    let mut export = Export::default();
    for file in input.files.iter().chain(&input.terms.tags) {
        read_into(&mut export, file)?;
    }
    let report = judge(&question, &export);
    stdout::print(&render(&report, input))?;
    Ok(ExitCode::from(report.exit_code()))
}

fn render(report: &Report, input: &Input) -> String {
    let profile = &input.terms.profile;
    match input.terms.format {
        Format::Table => table::render(report, profile),
        Format::Json => json::render(report, profile),
        Format::Sarif => {
            let files: Vec<String> = input.files.iter().map(|file| file.display().to_string()).collect();
            sarif::render(report, &files)
        }
        Format::Markdown => markdown::render(report, profile),
    }
}

fn refused(file: &Path, what: &dyn std::fmt::Display) -> Failure {
    Failure::Input(format!("{}: {what}", file.display()))
}

/// Reads a file into an export.
///
/// # Errors
/// [`Failure::Input`], which names the file.
pub(super) fn read_into(export: &mut Export, file: &Path) -> Result<(), Failure> {
    let bytes = bytes_of(file)?;
    export.read(&file.display().to_string(), &bytes).map_err(|error| Failure::Input(error.to_string()))
}

/// Reads a file whole; a pipe that the shell hands over is one as well.
///
/// # Errors
/// [`Failure::Input`], which names the file.
pub(super) fn bytes_of(file: &Path) -> Result<Vec<u8>, Failure> {
    regular_file::read_handed_over(file, LARGEST_FILE).map_err(|error| match error {
        FileError::Directory => refused(file, &"a directory: give the files in it"),
        FileError::Large { size: Some(size), .. } => {
            refused(file, &format!("{} MB are more than an export has (64 MB)", size >> 20))
        }
        FileError::Large { size: None, .. } => refused(file, &"more than an export has (64 MB)"),
        other => refused(file, &other),
    })
}

fn question(input: &Terms) -> Result<Question, Failure> {
    let known: Vec<_> = profiles().collect();
    let unknown = || {
        Failure::Usage(format!("--profile ({}): one of {} is wanted", input.profile.escape_debug(), known.join(", ")))
    };
    let profile = Profile::named(&input.profile).ok_or_else(unknown)?;
    let none = |services: &Vec<String>| {
        services.iter().filter(|one| !one.eq_ignore_ascii_case("none") && !one.is_empty()).cloned().collect()
    };
    Ok(Question {
        profile,
        cloud: input.cloud.clone(),
        subnet: input.subnet.clone(),
        vnet: input.vnet.clone(),
        service_endpoints: input.service_endpoints.as_ref().map(none),
        deployment: input.deployment.map(|name| match name {
            DeploymentName::Ilb => Deployment::Ilb,
            DeploymentName::External => Deployment::External,
        }),
        app_ports: input.app_ports.clone(),
        group: input.nsg.clone(),
        table: input.route_table.clone(),
        needs: needs(input.config.as_deref())?,
        suppress: input.suppress.clone(),
    })
}

/// What the endpoints that a configuration adds need; those of its profile are required by the profile itself.
fn needs(file: Option<&Path>) -> Result<Vec<Requirement>, Failure> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let settings = config::load(Some(file))?;
    Ok(judged::needs(&settings.catalog))
}
