//! `ase-agent doctor`: whether this machine is a good place to look from.

mod host;

use std::{net::SocketAddr, path::Path, process::ExitCode};

use ase_probes::{
    clock,
    local_facts::{Discipline, LocalFacts},
    tls::Trust,
};
use clap::Args;
use hyper::Uri;

use crate::{
    commands::{
        failure::{Failure, runtime},
        open_files,
        options::{ConfigFile, Output},
        outcome,
        terminal::Line,
    },
    config,
    engine::plan,
    exports::{
        disk,
        mirror::{Mirror, mirror},
    },
    model::settings::Settings,
    readers::{
        doctor::{Examined, Metadata, render},
        json,
        notes::exit_code,
    },
    resolvers::host_files::ResolverWatch,
    web::metadata,
};

/// What the help of `doctor` says beside its options.
pub(super) const NOTES: &str = "\
Nothing is sent but to Azure's metadata service (169.254.169.254), through no proxy, and to that only on a machine of Azure's,
by its chassis, or with --azure; and to a reflector where one is named.

Exit codes:
  0   nothing is in the way
  1   from here nothing can be judged, or certificates cannot
  2   something is worth mending
  3   something could not be found out
  64  the command line is wrong
  78  the configuration is wrong

Examples:
  ase-agent doctor
  ase-agent doctor --config /etc/ase-agent/ase-agent.yaml --output json";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Ask the metadata service although the chassis does not say that this is a machine of Azure's
    #[arg(long)]
    pub azure: bool,
    /// Where the metadata service is
    #[arg(long, value_name = "URL", default_value = metadata::SERVICE, value_parser = metadata::address)]
    pub metadata: Uri,
    /// Ask this reflector by which address this machine leaves: a page that answers with the address alone
    #[arg(long, value_name = "URL", value_parser = metadata::address)]
    pub reflector: Option<Uri>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Looks and prints; the exit code says whether something is in the way.
///
/// # Errors
/// A bad configuration.
pub fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    let settings = config::load(arguments.config.config.as_deref())?;
    let (began, line) = (clock::wall(), Line::begin());
    let root = Path::new("/");
    let is_azure = host::is_azure(root);
    let (metadata, reflected) = runtime()?.block_on(async {
        line.show("looking at this machine");
        let is_asked = is_azure || arguments.azure;
        (described(&arguments.metadata, &settings.trust, is_asked).await, reflected(arguments, &settings.trust).await)
    });
    line.close();
    let peer = settings.resolvers.custom.first().copied().unwrap_or(settings.resolvers.azure);
    let facts = LocalFacts::about(peer, &settings.egress);
    let mirror = mirrored(&settings, metadata.as_ref(), peer, &facts);
    let watch = ResolverWatch::start(settings.state_dir.as_deref());
    let files = open_files::take();
    let (unit, state) = (host::unit(root), host::state(settings.state_dir.as_deref()));
    let examined = Examined {
        began,
        settings: &settings,
        clock: &Discipline::read(),
        dns: watch.seen(),
        facts: &facts,
        visits: plan::visits(&settings, files),
        files,
        unit: &unit,
        state: &state,
        is_azure,
        metadata: metadata.as_ref(),
        mirror: mirror.as_ref(),
        reflected: reflected.as_ref(),
    };
    let notes = examined.notes();
    let document = || json::examined_to_json(&examined, &notes);
    outcome::tell(arguments.output, document, || render(&examined), exit_code(&notes))
}

async fn described(service: &Uri, trust: &Trust, is_asked: bool) -> Option<Metadata> {
    if is_asked { Some(metadata::ask(service, trust).await) } else { None }
}

async fn reflected(arguments: &Doctor, trust: &Trust) -> Option<Result<std::net::IpAddr, String>> {
    match &arguments.reflector {
        Some(reflector) => Some(metadata::reflected(reflector, trust).await),
        None => None,
    }
}

/// Whether the subnet of this machine mirrors the environment's, by the files under `exports`; `None` without any.
fn mirrored(
    settings: &Settings,
    metadata: Option<&Metadata>,
    peer: SocketAddr,
    facts: &LocalFacts,
) -> Option<Result<Mirror, String>> {
    let exports = settings.exports.as_ref()?;
    let told = metadata.and_then(|metadata| metadata.instance.as_ref().ok()?.private.first().copied());
    let own = told.or(facts.source.ok().and_then(Result::ok).filter(|_| !peer.ip().is_loopback()));
    let Some(own) = own else { return Some(Err("the address of this machine is not known".to_owned())) };
    Some(match disk::read(&exports.files) {
        Ok((export, _)) => Ok(mirror(&export, exports, own)),
        Err(wrong) => Err(wrong.join("; ")),
    })
}
