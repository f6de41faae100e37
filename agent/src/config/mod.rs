//! The configuration: one strict YAML file, a built-in profile and what the host says, completed to [`Settings`] with
//! the defaults that belong to no class: where it listens, the pace, the confirmation after 1 s, flows for each destination.

mod added;
pub mod adhoc;
pub mod adopted;
mod build;
mod document;
pub mod effective;
mod environment;
mod error;
mod exports;
mod file;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod profile;
mod question;
mod reading;
mod source;
mod written_host;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ase_probes::{class::Class, egress::Egress, resolve::valid_name, tls::Trust};
use ipnet::IpNet;

pub use error::{At, ConfigError, Mistake};
use error::{Broken, Findings, broken};
use file::File;
use source::Source;

use crate::{
    config::{
        host::Found,
        profile::{Profile, ProfileError},
    },
    model::{
        assumptions::Assumptions,
        settings::{self, Declared, DiagnosisKeys, Pace, ResolverSource, Resolvers, Settings},
    },
    net::{
        duration::show,
        external_url::ExternalUrl,
        listen,
        policy::{self, AddressPolicy},
    },
};

/// Azure DNS: the same address in every region and cloud.
const AZURE_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 53);
/// Where the web server listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10123);
/// Time between two comparisons of one name unless told otherwise.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// The shortest time between two comparisons of one name.
const SHORTEST_COMPARE: Duration = Duration::from_secs(10);
/// Names compared at most unless told otherwise; each has a series per class.
const MAX_NAMES: usize = 500;

/// Reads `ADDRESS` or `ADDRESS:PORT` of a DNS server, port 53 by default.
///
/// # Errors
/// The rule that the text breaks.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    build::server("server", text).map_err(|broken| broken.message)
}

/// Loads a configuration file, or the built-in defaults, and completes it from the host.
///
/// # Errors
/// [`ConfigError`] with file, key, value and rule.
pub fn load(path: Option<&Path>) -> Result<Settings, ConfigError> {
    load_profile(path, None, None)
}

/// Like [`load`], with another profile or cloud than the file names.
///
/// # Errors
/// [`ConfigError`] with file, key, value and rule.
pub fn load_profile(path: Option<&Path>, profile: Option<&str>, cloud: Option<&str>) -> Result<Settings, ConfigError> {
    read(path, profile, cloud).map(|(_, settings)| settings)
}

/// What the file says, and what becomes of it on this host.
fn read(path: Option<&Path>, profile: Option<&str>, cloud: Option<&str>) -> Result<(Source, Settings), ConfigError> {
    let mut source = path.map(source::load).transpose()?.unwrap_or_default();
    let file = &mut source.file;
    file.profile = profile.map(str::to_owned).or(file.profile.take());
    file.cloud = cloud.map(str::to_owned).or(file.cloud.take());
    let found = host::servers(host::file(host::RESOLV_CONF).as_deref(), host::file(host::UPLINK_CONF).as_deref());
    let (mut warnings, mut findings) = (Vec::new(), Findings::default());
    let trust = findings.keep(trust(&source.file, &mut warnings)).unwrap_or_else(Trust::none);
    exports::check_files(&source.file, &exports::folder_of(&source.origin), &mut findings);
    let settings = complete(&source, found.as_ref(), trust, findings)?;
    warnings.extend(settings.warnings);
    let state_dir = settings.state_dir.or_else(service_state_dir);
    Ok((source, Settings { warnings, state_dir, ..settings }))
}

/// The directory that the service manager made for the unit (systemd.exec(5), `StateDirectory=`); the first of several.
pub fn service_state_dir() -> Option<PathBuf> {
    let value = std::env::var_os("STATE_DIRECTORY")?;
    let first = value.to_str()?.split(':').next()?;
    (!first.is_empty()).then(|| first.into())
}

fn state_dir(file: &File) -> Result<Option<PathBuf>, Broken> {
    match &file.state_dir {
        Some(path) if !path.is_absolute() => broken("state_dir", path.display(), "must be an absolute path"),
        path => Ok(path.clone()),
    }
}

/// What a file makes, in one line.
pub fn summary(path: &Path, settings: &Settings) -> String {
    let (catalog, file) = (&settings.catalog, path.display());
    format!(
        "{file}: good; profile {}, cloud {}, {} endpoints, {} slots not configured",
        catalog.profile,
        catalog.cloud,
        catalog.endpoints.len(),
        catalog.slots.len()
    )
}

/// The authorities: the system's, and those of a file beside or instead of them.
fn trust(file: &File, warnings: &mut Vec<String>) -> Result<Trust, Broken> {
    let base = if file.ca.system.unwrap_or(true) {
        let (trust, noticed) = Trust::system();
        warnings.extend(noticed);
        trust
    } else {
        Trust::none()
    };
    match &file.ca.file {
        None if base.is_empty() && file.ca.system == Some(false) => {
            broken("ca.system", "false", "needs a `ca.file`: without any authority no certificate verifies")
        }
        None => Ok(base),
        Some(path) => base.with_pem_file(path).or_else(|error| broken("ca.file", path.display(), error)),
    }
}

/// Completes a file with the profile and what the host says, or names all that is wrong with it. Pure: all is given.
fn complete(
    source: &Source,
    found: Option<&Found>,
    trust: Trust,
    mut findings: Findings,
) -> Result<Settings, ConfigError> {
    let (file, mut warnings) = (&source.file, Vec::new());
    let profile = profile_of(file).map_err(|error| source.error(findings.0.iter().cloned().chain([error])))?;
    let resolvers = resolvers(file, found, &mut warnings, &mut findings);
    let whole = source.has_read_everything_of(&["endpoints", "slots", "workloads"]);
    let catalog = build::catalog(&profile, file, &resolvers, (whole, &mut findings));
    if trust.is_empty() {
        warnings.push("no certificate authority is known: certificates cannot be verified".to_owned());
    }
    let settings = Settings {
        origin: source.origin.clone(),
        catalog: Arc::new(catalog),
        resolvers,
        egress: findings.keep(egress(file)).unwrap_or_default(),
        trust,
        pace: pace(file, &mut findings),
        policy: policy(file, &mut findings),
        assumptions: assumptions(file, &mut findings),
        diagnosis: DiagnosisKeys {
            enabled: file.diagnosis.enabled.unwrap_or(true),
            sql_redirect: file.diagnosis.sql_redirect.unwrap_or(true),
        },
        declared: declared(file, &mut findings),
        listen: findings.keep(listen(file)).unwrap_or(LISTEN),
        external_url: findings.keep(external_url(file)).flatten(),
        reload_from: findings.keep_all(prefixes("reload_from", &file.reload_from)),
        vantage: file.vantage.clone().unwrap_or_else(|| "this host".to_owned()),
        compare_every: findings.keep(compare_every(file)).unwrap_or(COMPARE_EVERY),
        state_dir: findings.keep(state_dir(file)).flatten(),
        exports: exports::exports(file, &exports::folder_of(&source.origin), &mut findings),
        warnings,
    };
    findings.keep(few_names(file, &settings));
    if findings.0.is_empty() && source.mistakes.is_empty() { Ok(settings) } else { Err(source.error(findings.0)) }
}

fn profile_of(file: &File) -> Result<Profile, Broken> {
    let (name, cloud) = (file.profile.as_deref().unwrap_or("ase-v2"), file.cloud.as_deref().unwrap_or("public"));
    Profile::load(name, cloud).map_err(|error| match error {
        ProfileError::Unknown(..) | ProfileError::LintOnly(..) => {
            Broken { places: vec!["profile".to_owned()], ..Broken::whole(error) }
        }
        ProfileError::Cloud(..) => Broken { places: vec!["cloud".to_owned()], ..Broken::whole(error) },
        ProfileError::Broken(_) => Broken::whole(error),
    })
}

fn listen(file: &File) -> Result<SocketAddr, Broken> {
    let rule_of = |rule| Broken { places: vec!["listen".to_owned()], ..Broken::whole(format!("listen {rule}")) };
    file.listen.as_deref().map_or(Ok(LISTEN), |text| listen::parse(text).map_err(rule_of))
}

fn external_url(file: &File) -> Result<Option<ExternalUrl>, Broken> {
    let read = |text: &str| {
        ExternalUrl::parse(text).or_else(|rule| broken("external_url", ExternalUrl::without_secrets(text), rule))
    };
    file.external_url.as_deref().map(read).transpose()
}

fn few_names(file: &File, settings: &Settings) -> Result<(), Broken> {
    let (names, limit) = (settings::names(settings).len(), file.dns.max_names.unwrap_or(MAX_NAMES));
    if names <= limit {
        return Ok(());
    }
    let rule = format!("is less than the {names} names to compare: raise it or remove endpoints");
    broken("dns.max_names", limit, rule)
}

/// Comparing is a background task: asked faster than this it would look like an attack on the resolvers.
fn compare_every(file: &File) -> Result<Duration, Broken> {
    match file.dns.interval.map_or(COMPARE_EVERY, |human| human.0) {
        short if short < SHORTEST_COMPARE => {
            broken("dns.interval", show(short), format!("must be at least {}", show(SHORTEST_COMPARE)))
        }
        interval => Ok(interval),
    }
}

fn resolvers(file: &File, found: Option<&Found>, warnings: &mut Vec<String>, findings: &mut Findings) -> Resolvers {
    let azure = file.resolvers.azure.as_ref();
    let azure = azure.and_then(|text| findings.keep(build::server("resolvers.azure", text))).unwrap_or(AZURE_DNS);
    let (custom, source) = match (&file.resolvers.custom, found) {
        (Some(list), _) => (custom_servers(list, findings), ResolverSource::Config),
        (None, Some(found)) => {
            let servers = found.servers.iter().map(|server| SocketAddr::new(*server, 53)).collect();
            (servers, ResolverSource::File(found.file.to_owned()))
        }
        (None, None) => {
            warnings.push(format!("{} names no DNS server: only Azure DNS is asked", host::RESOLV_CONF));
            (vec![azure], ResolverSource::File(host::RESOLV_CONF.to_owned()))
        }
    };
    Resolvers { custom, source, azure }
}

fn custom_servers(list: &[String], findings: &mut Findings) -> Vec<SocketAddr> {
    let key = "resolvers.custom";
    if list.is_empty() {
        findings.keep::<()>(broken(key, "[]", "must name at least one server, or be left out"));
    }
    let mut servers = Vec::new();
    for text in list {
        match findings.keep(build::server(key, text)) {
            Some(server) if servers.contains(&server) => {
                findings.keep::<()>(broken(key, text, "must be named once"));
            }
            server => servers.extend(server),
        }
    }
    servers
}

fn egress(file: &File) -> Result<Egress, Broken> {
    // IFNAMSIZ in linux/if.h is 16 with the final zero.
    match file.interface.as_deref() {
        Some(name) if name.is_empty() || name.len() > 15 || name.contains(['/', '\0', ' ']) => {
            broken("interface", name.escape_debug(), "must be an interface name of 1 to 15 bytes")
        }
        name => Ok(Egress { source: file.source_address, interface: name.map(str::to_owned), journal: None }),
    }
}

fn pace(file: &File, findings: &mut Findings) -> Pace {
    let keys = &file.pace;
    let concurrency = keys.concurrency.unwrap_or(64);
    if !(1..=1024).contains(&concurrency) {
        findings.keep::<()>(broken("pace.concurrency", concurrency, "must be between 1 and 1024"));
    }
    let flows_per_destination = keys.flows_per_destination.unwrap_or(60);
    if flows_per_destination == 0 {
        findings.keep::<()>(broken("pace.flows_per_destination", 0, "must be at least 1"));
    }
    let or = |human: Option<crate::net::duration::HumanDuration>, seconds| {
        human.map_or(Duration::from_secs(seconds), |h| h.0)
    };
    Pace {
        concurrency,
        flows_per_destination,
        confirm_after: or(keys.confirm_after, 1),
        failing_interval: or(keys.failing_interval, 10),
        drain: or(keys.drain, 10),
    }
}

fn policy(file: &File, findings: &mut Findings) -> AddressPolicy {
    AddressPolicy {
        allow: findings.keep_all(prefixes("addresses.allow", &file.addresses.allow)),
        deny: findings.keep_all(prefixes("addresses.deny", &file.addresses.deny)),
        redirect_ports: file.addresses.redirect_ports.iter().copied().collect(),
    }
}

fn prefixes(key: &str, list: &[String]) -> impl Iterator<Item = Result<IpNet, Broken>> {
    list.iter().map(move |text| policy::prefix(text).or_else(|rule| broken(key, text, rule)))
}

fn assumptions(file: &File, findings: &mut Findings) -> Assumptions {
    let keys = &file.risk;
    let mut assumptions = findings.keep(horizon(keys)).unwrap_or_default();
    for (name, weight) in &keys.weights {
        let class = Class::from(*name);
        if !(0.0..=1.0).contains(weight) {
            findings.keep::<()>(broken(&format!("risk.weights.{class}"), weight, "must be between 0 and 1"));
        }
        assumptions.weights.insert(class, *weight);
    }
    assumptions
}

fn horizon(keys: &file::RiskKeys) -> Result<Assumptions, Broken> {
    match (keys.horizon, keys.prior) {
        (Some(horizon), Some(_)) => {
            broken("risk.horizon", show(horizon.0), "cannot stand beside `risk.prior`: give one of them")
        }
        (Some(horizon), None) => Ok(Assumptions { horizon: horizon.0, ..Assumptions::default() }),
        (None, Some(prior)) if prior.half >= prior.ninety_five => {
            let rule = format!("must be shorter than ninety_five ({})", show(prior.ninety_five.0));
            broken("risk.prior.half", show(prior.half.0), rule)
        }
        (None, Some(prior)) => Ok(Assumptions::from_prior(prior.half.0, prior.ninety_five.0)),
        (None, None) => Ok(Assumptions::default()),
    }
}

fn declared(file: &File, findings: &mut Findings) -> Declared {
    let mut names = |key: &str, list: &[String]| -> BTreeSet<String> {
        let name = |text: &String| match valid_name(text) {
            Ok(()) => Ok(text.trim_matches('.').to_ascii_lowercase()),
            Err(rule) => broken(key, text.escape_debug(), format!("must be a name or a suffix: {rule}")),
        };
        findings.keep_all(list.iter().map(name)).into_iter().collect()
    };
    Declared {
        private: names("dns.private", &file.dns.private),
        managed: names("dns.managed", &file.dns.managed),
        compared: names("dns.names", &file.dns.names),
        sinkholes: file.dns.sinkholes.iter().copied().collect(),
        origins: file.dns.origins.iter().map(|(name, list)| (name.clone(), origin(name, list, findings))).collect(),
    }
}

fn origin(name: &str, list: &[String], findings: &mut Findings) -> Vec<IpNet> {
    let key = format!("dns.origins.{}", name.escape_debug());
    if list.is_empty() {
        findings.keep::<()>(broken(&key, "[]", "must name at least one prefix"));
    }
    findings.keep_all(prefixes(&key, list))
}

#[cfg(test)]
mod mistakes_tests;
#[cfg(test)]
mod packs_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
pub(crate) mod tests;
