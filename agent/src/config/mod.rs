//! The configuration: one strict YAML file, a built-in profile and what the host says, completed to [`Settings`].

mod added;
mod build;
mod error;
mod file;
pub mod host;
pub mod profile;
mod question;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ase_probes::{class::Class, egress::Egress, resolve::valid_name, tls::Trust};
use ipnet::IpNet;

pub use error::ConfigError;
use error::{Broken, broken};
use file::File;

use crate::{
    config::{host::Found, profile::Profile},
    model::{
        assumptions::Assumptions,
        settings::{self, Declared, DiagnosisKeys, Pace, ResolverSource, Resolvers, Settings},
    },
    net::{
        duration::show,
        policy::{self, AddressPolicy},
    },
};

/// Azure DNS: the same address in every region and cloud.
const AZURE_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 53);
/// Where the web server listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10123);
/// What a configuration without a file is called.
const BUILT_IN: &str = "built-in defaults";
/// Time between two comparisons of one name unless told otherwise.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// The shortest time between two comparisons of one name.
const SHORTEST_COMPARE: Duration = Duration::from_secs(10);
/// Names compared at most unless told otherwise; each has a series per class.
const MAX_NAMES: usize = 500;
/// A configuration file of this size is none, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads `ADDRESS` or `ADDRESS:PORT` of a DNS server, port 53 by default.
///
/// # Errors
/// The rule that the text breaks.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    build::server("server", text).map_err(|Broken(rule)| rule)
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
    let origin = path.map_or_else(|| BUILT_IN.to_owned(), |path| path.display().to_string());
    let mut file = path.map(|path| read(path, &origin)).transpose()?.unwrap_or_default();
    file.profile = profile.map(str::to_owned).or(file.profile);
    file.cloud = cloud.map(str::to_owned).or(file.cloud);
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let found = host::servers(read(host::RESOLV_CONF).as_deref(), read(host::UPLINK_CONF).as_deref());
    let mut warnings = Vec::new();
    let trust = trust(&file, &mut warnings).map_err(|broken| broken.of(&origin))?;
    let settings = complete(&origin, &file, found.as_ref(), trust).map_err(|broken| broken.of(&origin))?;
    warnings.extend(settings.warnings);
    let state_dir = settings.state_dir.or_else(service_state_dir);
    Ok(Settings { warnings, state_dir, ..settings })
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

/// Checks a configuration file and sums it up in one line.
///
/// # Errors
/// [`ConfigError`] with file, key, value and rule.
pub fn check(path: &Path) -> Result<String, ConfigError> {
    let settings = load(Some(path))?;
    let (catalog, file) = (&settings.catalog, path.display());
    Ok(format!(
        "{file}: good; profile {}, cloud {}, {} endpoints, {} slots not configured",
        catalog.profile,
        catalog.cloud,
        catalog.endpoints.len(),
        catalog.slots.len()
    ))
}

fn read(path: &Path, origin: &str) -> Result<File, ConfigError> {
    let failed = |message: String| ConfigError { origin: origin.to_owned(), at: None, message };
    let size = std::fs::metadata(path).map_err(|error| failed(format!("cannot be read: {error}")))?.len();
    if size > MAX_FILE {
        return Err(failed(format!("size ({size} bytes) must be at most {MAX_FILE} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    parse(&text, origin)
}

fn parse(text: &str, origin: &str) -> Result<File, ConfigError> {
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if is_empty {
        return Ok(File::default());
    }
    serde_saphyr::from_str(text).map_err(|error| error::from_yaml(origin, text, &error))
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

/// Completes a file with the profile and what the host says. Pure but for nothing: all is given.
fn complete(origin: &str, file: &File, found: Option<&Found>, trust: Trust) -> Result<Settings, Broken> {
    let mut warnings = Vec::new();
    let name = file.profile.as_deref().unwrap_or("ase-v2");
    let profile = Profile::load(name, file.cloud.as_deref().unwrap_or("public"));
    let profile = profile.map_err(|error| Broken(error.to_string()))?;
    let resolvers = resolvers(file, found, &mut warnings)?;
    let catalog = build::catalog(&profile, file, &resolvers)?;
    if trust.is_empty() {
        warnings.push("no certificate authority is known: certificates cannot be verified".to_owned());
    }
    let settings = Settings {
        origin: origin.to_owned(),
        catalog: Arc::new(catalog),
        resolvers,
        egress: egress(file)?,
        trust,
        pace: pace(file)?,
        policy: policy(file)?,
        assumptions: assumptions(file)?,
        diagnosis: DiagnosisKeys {
            enabled: file.diagnosis.enabled.unwrap_or(true),
            sql_redirect: file.diagnosis.sql_redirect.unwrap_or(true),
        },
        declared: declared(file)?,
        listen: file.listen.unwrap_or(LISTEN),
        vantage: file.vantage.clone().unwrap_or_else(|| "this host".to_owned()),
        compare_every: compare_every(file)?,
        state_dir: state_dir(file)?,
        warnings,
    };
    let (names, limit) = (settings::names(&settings).len(), file.dns.max_names.unwrap_or(MAX_NAMES));
    if names > limit {
        return broken(
            "dns.max_names",
            limit,
            format!("is less than the {names} names to compare: raise it or remove endpoints"),
        );
    }
    Ok(settings)
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

fn resolvers(file: &File, found: Option<&Found>, warnings: &mut Vec<String>) -> Result<Resolvers, Broken> {
    let azure = match &file.resolvers.azure {
        Some(text) => build::server("resolvers.azure", text)?,
        None => AZURE_DNS,
    };
    let (custom, source) = match (&file.resolvers.custom, found) {
        (Some(list), _) if list.is_empty() => {
            return broken("resolvers.custom", "[]", "must name at least one server, or be left out");
        }
        (Some(list), _) => (custom_servers(list)?, ResolverSource::Config),
        (None, Some(found)) => {
            let servers = found.servers.iter().map(|server| SocketAddr::new(*server, 53)).collect();
            (servers, ResolverSource::File(found.file.to_owned()))
        }
        (None, None) => {
            warnings.push(format!("{} names no DNS server: only Azure DNS is asked", host::RESOLV_CONF));
            (vec![azure], ResolverSource::File(host::RESOLV_CONF.to_owned()))
        }
    };
    Ok(Resolvers { custom, source, azure })
}

fn custom_servers(list: &[String]) -> Result<Vec<SocketAddr>, Broken> {
    let mut servers = Vec::new();
    for text in list {
        let server = build::server("resolvers.custom", text)?;
        if servers.contains(&server) {
            return broken("resolvers.custom", text, "must be named once");
        }
        servers.push(server);
    }
    Ok(servers)
}

fn egress(file: &File) -> Result<Egress, Broken> {
    // IFNAMSIZ in linux/if.h is 16 with the final zero.
    match file.interface.as_deref() {
        Some(name) if name.is_empty() || name.len() > 15 || name.contains(['/', '\0', ' ']) => {
            broken("interface", name.escape_debug(), "must be an interface name of 1 to 15 bytes")
        }
        name => Ok(Egress { source: file.source_address, interface: name.map(str::to_owned) }),
    }
}

fn pace(file: &File) -> Result<Pace, Broken> {
    let keys = &file.pace;
    let concurrency = keys.concurrency.unwrap_or(64);
    if !(1..=1024).contains(&concurrency) {
        return broken("pace.concurrency", concurrency, "must be between 1 and 1024");
    }
    let flows_per_destination = keys.flows_per_destination.unwrap_or(60);
    if flows_per_destination == 0 {
        return broken("pace.flows_per_destination", 0, "must be at least 1");
    }
    let or = |human: Option<crate::net::duration::HumanDuration>, seconds| {
        human.map_or(Duration::from_secs(seconds), |h| h.0)
    };
    Ok(Pace {
        concurrency,
        flows_per_destination,
        confirm_after: or(keys.confirm_after, 1),
        failing_interval: or(keys.failing_interval, 10),
        drain: or(keys.drain, 10),
    })
}

fn policy(file: &File) -> Result<AddressPolicy, Broken> {
    Ok(AddressPolicy {
        allow: prefixes("addresses.allow", &file.addresses.allow)?,
        deny: prefixes("addresses.deny", &file.addresses.deny)?,
    })
}

fn prefixes(key: &str, list: &[String]) -> Result<Vec<IpNet>, Broken> {
    list.iter().map(|text| policy::prefix(text).or_else(|rule| broken(key, text, rule))).collect()
}

fn assumptions(file: &File) -> Result<Assumptions, Broken> {
    let keys = &file.risk;
    let mut assumptions = match (keys.horizon, keys.prior) {
        (Some(horizon), Some(_)) => {
            return broken("risk.horizon", show(horizon.0), "cannot stand beside `risk.prior`: give one of them");
        }
        (Some(horizon), None) => Assumptions { horizon: horizon.0, ..Assumptions::default() },
        (None, Some(prior)) if prior.half >= prior.ninety_five => {
            let rule = format!("must be shorter than ninety_five ({})", show(prior.ninety_five.0));
            return broken("risk.prior.half", show(prior.half.0), rule);
        }
        (None, Some(prior)) => Assumptions::from_prior(prior.half.0, prior.ninety_five.0),
        (None, None) => Assumptions::default(),
    };
    for (name, weight) in &keys.weights {
        let class = Class::from(*name);
        if !(0.0..=1.0).contains(weight) {
            return broken(&format!("risk.weights.{class}"), weight, "must be between 0 and 1");
        }
        assumptions.weights.insert(class, *weight);
    }
    Ok(assumptions)
}

fn declared(file: &File) -> Result<Declared, Broken> {
    let names = |key: &str, list: &[String]| -> Result<BTreeSet<String>, Broken> {
        let name = |text: &String| match valid_name(text) {
            Ok(()) => Ok(text.trim_matches('.').to_ascii_lowercase()),
            Err(rule) => broken(key, text.escape_debug(), format!("must be a name or a suffix: {rule}")),
        };
        list.iter().map(name).collect()
    };
    Ok(Declared {
        private: names("dns.private", &file.dns.private)?,
        managed: names("dns.managed", &file.dns.managed)?,
        sinkholes: file.dns.sinkholes.iter().copied().collect(),
        origins: file.dns.origins.iter().map(origin).collect::<Result<_, _>>()?,
        compared: names("dns.names", &file.dns.names)?,
    })
}

fn origin((name, list): (&String, &Vec<String>)) -> Result<(String, Vec<IpNet>), Broken> {
    let key = format!("dns.origins.{}", name.escape_debug());
    match prefixes(&key, list)? {
        none if none.is_empty() => broken(&key, "[]", "must name at least one prefix"),
        prefixes => Ok((name.clone(), prefixes)),
    }
}

#[cfg(test)]
mod tests;
