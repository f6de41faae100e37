//! The configuration as it is used: every key with the value in force and where that came from, in a form that can be read
//! again and means the same. What a variable of the environment stands for is not shown, only its name.

mod endpoints;
mod written;

use std::path::Path;

use ase_probes::class::Class;
use serde_json::{Value, json};

use super::{
    ConfigError, MAX_NAMES,
    file::{ExportKeys, File, Texts},
    profile::Profile,
    profile_of,
    question::{class_name, default_interval, default_timeout},
    read,
    source::Source,
};
use crate::{
    config::profile::WorkloadName,
    model::{
        exports::STALE_AFTER,
        settings::{ResolverSource, Settings},
    },
    net::duration::{HumanDuration, show},
};

/// Which values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What the file sets.
    Written,
    /// All that is in force: defaults, what the host says and the rows of the profile too.
    Effective,
}

/// A configuration that can be shown.
#[derive(Debug)]
pub struct Effective {
    /// What it is, one line each.
    head: Vec<String>,
    keys: Shown,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Value(Value, Origin),
    Keys(Vec<(String, Shown)>),
    /// Keys of one thing among many of its kind.
    Row(Vec<(&'static str, Value, Origin)>),
    Items(Vec<Shown>),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// This line of the file.
    File(String),
    /// Something else.
    Elsewhere(String),
}

/// What nobody set.
const DEFAULT: &str = "default";

impl Effective {
    /// Loads a configuration as [`super::load`] does, to be shown.
    ///
    /// # Errors
    /// [`ConfigError`] with file, key, value and rule.
    pub fn load(path: Option<&Path>, which: Which) -> Result<Self, ConfigError> {
        let (source, settings) = read(path, None, None)?;
        Self::of(&source, &settings, which)
    }

    /// Shows what was read and what became of it.
    pub(super) fn of(source: &Source, settings: &Settings, which: Which) -> Result<Self, ConfigError> {
        let profile = profile_of(&source.file).map_err(|error| source.error([error]))?;
        let account = Account { source, settings, profile: &profile, which };
        let catalog = &settings.catalog;
        let facts = format!(
            "Configuration of ase-agent: {} over profile {}, cloud {}, edition {}.",
            settings.origin, catalog.profile, catalog.cloud, catalog.edition
        );
        let what =
            "Behind each value stands where it came from. What a variable of the environment stands for is not shown.";
        let mut head = vec![facts, what.to_owned()];
        head.extend(settings.warnings.iter().map(|warning| format!("warning: {warning}")));
        let keys = match which {
            Which::Effective => account.whole(),
            Which::Written => pruned(account.whole()).unwrap_or(Shown::Keys(Vec::new())),
        };
        Ok(Self { head, keys })
    }
}

/// What is known about the values.
struct Account<'a> {
    source: &'a Source,
    settings: &'a Settings,
    profile: &'a Profile,
    which: Which,
}

impl Account<'_> {
    fn file(&self) -> &File {
        &self.source.file
    }

    /// A value, as the file writes it where a variable stands in it, and where it came from.
    fn told(&self, path: &[&str], value: Value, otherwise: &str) -> (Value, Origin) {
        match self.source.node(path) {
            Some(node) => {
                let place = format!("{}:{}", self.source.origin, node.at.0);
                (node.with_variables().unwrap_or(value), Origin::File(place))
            }
            None => (value, Origin::Elsewhere(otherwise.to_owned())),
        }
    }

    fn value(&self, path: &[&str], value: Value, otherwise: &str) -> Shown {
        let (value, origin) = self.told(path, value, otherwise);
        Shown::Value(value, origin)
    }

    /// The keys of one section, each with its value and what it comes from where the file does not set it.
    fn section(&self, name: &str, keys: &[(&str, Value)]) -> (String, Shown) {
        let of = |(key, value): &(&str, Value)| ((*key).to_owned(), self.value(&[name, key], value.clone(), DEFAULT));
        (name.to_owned(), Shown::Keys(keys.iter().map(of).collect()))
    }

    /// One value for each class.
    fn by_class(&self, path: &[&str], of: impl Fn(Class) -> Value) -> Shown {
        let one = |class: Class| {
            let path: Vec<&str> = path.iter().copied().chain([class.label()]).collect();
            (class.label().to_owned(), self.value(&path, of(class), DEFAULT))
        };
        Shown::Keys(Class::ALL.into_iter().map(one).collect())
    }

    fn whole(&self) -> Shown {
        let (file, settings) = (self.file(), self.settings);
        let top = |key: &str, value: Value, otherwise: &str| (key.to_owned(), self.value(&[key], value, otherwise));
        let interval = |class: Class| lasting(file.intervals.get(&class_name(class)), default_interval(class));
        let timeout = |class: Class| lasting(file.timeouts.get(&class_name(class)), default_timeout(class));
        let state_dir = settings.state_dir.as_ref().map(|path| path.display().to_string());
        let of_state_dir = if state_dir.is_some() { "STATE_DIRECTORY of the service manager" } else { DEFAULT };
        let egress = &settings.egress;
        let mut keys = vec![
            top("profile", json!(settings.catalog.profile), DEFAULT),
            top("cloud", json!(settings.catalog.cloud), DEFAULT),
            top("vantage", json!(settings.vantage), DEFAULT),
            top("listen", json!(settings.listen.to_string()), DEFAULT),
            top("external_url", json!(settings.external_url.as_ref().map(ToString::to_string)), DEFAULT),
            top("reload_from", json!(file.reload_from), DEFAULT),
            top("state_dir", json!(state_dir), of_state_dir),
            top("workloads", workloads(file), DEFAULT),
            top("packs", packs(settings), "profile"),
            ("slots".to_owned(), self.slots()),
            ("endpoints".to_owned(), self.endpoints()),
            ("intervals".to_owned(), self.by_class(&["intervals"], interval)),
            ("timeouts".to_owned(), self.by_class(&["timeouts"], timeout)),
            ("resolvers".to_owned(), self.resolvers()),
            self.section("pace", &pace(settings)),
            self.section(
                "ca",
                &[
                    ("system", json!(file.ca.system.unwrap_or(true))),
                    ("file", json!(file.ca.file.as_ref().map(|path| path.display().to_string()))),
                ],
            ),
            top("source_address", json!(egress.source.map(|address| address.to_string())), DEFAULT),
            top("interface", json!(egress.interface), DEFAULT),
            self.section(
                "addresses",
                &[
                    ("allow", json!(file.addresses.allow)),
                    ("deny", json!(file.addresses.deny)),
                    ("redirect_ports", json!(file.addresses.redirect_ports)),
                ],
            ),
            ("dns".to_owned(), self.dns()),
            ("risk".to_owned(), self.risk()),
            self.section(
                "diagnosis",
                &[
                    ("enabled", json!(settings.diagnosis.enabled)),
                    ("sql_redirect", json!(settings.diagnosis.sql_redirect)),
                ],
            ),
        ];
        keys.extend(file.exports.as_ref().map(|exports| self.exports(exports)));
        Shown::Keys(keys)
    }

    fn exports(&self, keys: &ExportKeys) -> (String, Shown) {
        let texts = |texts: &Option<Texts>| json!(texts.as_ref().map(|texts| &texts.0));
        let deployment = keys.deployment.map(|deployment| if deployment.is_internal() { "ilb" } else { "external" });
        self.section(
            "exports",
            &[
                ("nsg", texts(&keys.nsg)),
                ("routes", texts(&keys.routes)),
                ("effective", texts(&keys.effective)),
                ("subnet", texts(&keys.subnet)),
                ("vnet", texts(&keys.vnet)),
                ("tags", texts(&keys.tags)),
                ("group", json!(keys.group)),
                ("table", json!(keys.table)),
                ("deployment", json!(deployment)),
                ("service_endpoints", json!(keys.service_endpoints)),
                ("suppress", json!(keys.suppress)),
                ("stale_after", lasting(keys.stale_after.as_ref(), STALE_AFTER)),
            ],
        )
    }

    fn slots(&self) -> Shown {
        let one = |slot: &super::profile::SlotRow| {
            let hosts = self.file().slots.get(&slot.name);
            (slot.name.clone(), self.value(&["slots", &slot.name], json!(hosts), "not filled, not watched"))
        };
        Shown::Keys(self.profile.slots.iter().map(one).collect())
    }

    fn resolvers(&self) -> Shown {
        let resolvers = &self.settings.resolvers;
        let custom: Vec<String> = resolvers.custom.iter().map(ToString::to_string).collect();
        let from = match &resolvers.source {
            ResolverSource::Config => DEFAULT,
            ResolverSource::File(file) => file,
        };
        Shown::Keys(vec![
            ("custom".to_owned(), self.value(&["resolvers", "custom"], json!(custom), from)),
            ("azure".to_owned(), self.value(&["resolvers", "azure"], json!(resolvers.azure.to_string()), DEFAULT)),
        ])
    }

    fn dns(&self) -> Shown {
        let (dns, settings) = (&self.file().dns, self.settings);
        let sinkholes: Vec<String> = dns.sinkholes.iter().map(ToString::to_string).collect();
        let (name, section) = self.section(
            "dns",
            &[
                ("interval", json!(show(settings.compare_every))),
                ("names", json!(dns.names)),
                ("max_names", json!(dns.max_names.unwrap_or(MAX_NAMES))),
                ("private", json!(dns.private)),
                ("managed", json!(dns.managed)),
                ("sinkholes", json!(sinkholes)),
            ],
        );
        let origin = |(service, prefixes): (&String, &Vec<String>)| {
            (service.clone(), self.value(&[&*name, "origins", service], json!(prefixes), DEFAULT))
        };
        let Shown::Keys(mut keys) = section else { return section };
        keys.push(("origins".to_owned(), Shown::Keys(dns.origins.iter().map(origin).collect())));
        Shown::Keys(keys)
    }

    fn risk(&self) -> Shown {
        let (risk, assumptions) = (&self.file().risk, &self.settings.assumptions);
        let horizon = risk.prior.is_none().then(|| show(assumptions.horizon));
        let prior = risk.prior.map_or(Shown::Keys(Vec::new()), |prior| {
            let of = |key, time: HumanDuration| {
                (String::from(key), self.value(&["risk", "prior", key], json!(show(time.0)), DEFAULT))
            };
            Shown::Keys(vec![of("half", prior.half), of("ninety_five", prior.ninety_five)])
        });
        let weight = |class: Class| json!(assumptions.weight(class));
        let mut keys = Vec::new();
        keys.extend(horizon.map(|text| ("horizon".to_owned(), self.value(&["risk", "horizon"], json!(text), DEFAULT))));
        keys.extend(risk.prior.map(|_| ("prior".to_owned(), prior)));
        keys.push(("weights".to_owned(), self.by_class(&["risk", "weights"], weight)));
        Shown::Keys(keys)
    }
}

fn lasting(written: Option<&HumanDuration>, default: std::time::Duration) -> Value {
    json!(show(written.map_or(default, |human| human.0)))
}

/// The packs that are watched.
fn packs(settings: &Settings) -> Value {
    let watched = settings.catalog.packs.iter().filter(|pack| pack.is_watched);
    json!(watched.map(|pack| &pack.name).collect::<Vec<_>>())
}

fn workloads(file: &File) -> Value {
    let word = |name: &WorkloadName| match name {
        WorkloadName::Linux => "linux",
        WorkloadName::Windows => "windows",
    };
    let all = [WorkloadName::Linux, WorkloadName::Windows];
    json!(file.workloads.as_deref().unwrap_or(&all).iter().map(word).collect::<Vec<_>>())
}

fn pace(settings: &Settings) -> [(&'static str, Value); 5] {
    let pace = &settings.pace;
    [
        ("concurrency", json!(pace.concurrency)),
        ("flows_per_destination", json!(pace.flows_per_destination)),
        ("confirm_after", json!(show(pace.confirm_after))),
        ("failing_interval", json!(show(pace.failing_interval))),
        ("drain", json!(show(pace.drain))),
    ]
}

/// What of it the file sets; nothing where it sets none of it.
fn pruned(shown: Shown) -> Option<Shown> {
    match shown {
        Shown::Value(_, Origin::Elsewhere(_)) => None,
        Shown::Value(_, Origin::File(_)) => Some(shown),
        Shown::Keys(entries) => {
            let kept: Vec<_> = entries.into_iter().filter_map(|(key, part)| Some((key, pruned(part)?))).collect();
            (!kept.is_empty()).then_some(Shown::Keys(kept))
        }
        Shown::Row(cells) => {
            let kept: Vec<_> = cells.into_iter().filter(|(.., origin)| matches!(origin, Origin::File(_))).collect();
            (!kept.is_empty()).then_some(Shown::Row(kept))
        }
        Shown::Items(items) => {
            let kept: Vec<_> = items.into_iter().filter_map(pruned).collect();
            (!kept.is_empty()).then_some(Shown::Items(kept))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
