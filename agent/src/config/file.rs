//! The shape of the configuration file. Unknown keys are errors; what a value means is decided elsewhere. The first sentence
//! of each key is also its description in `docs/config.schema.json`, which a test makes of these types.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::{
    config::profile::{ClassName, Expect, Level, ResolvedByName, WorkloadName},
    model::catalog,
    net::duration::HumanDuration,
};

/// The whole file. Every key has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// The built-in catalogue: `ase-v2`, `ase-v3`, `vnet-integration`, `apim-classic`, or `custom`, in which nothing is built in.
    #[cfg_attr(test, schemars(schema_with = "super::schema_tests::profiles"))]
    pub(super) profile: Option<String>,
    /// The cloud of the catalogue: `public`, `usgov` or `china`.
    #[cfg_attr(test, schemars(schema_with = "super::schema_tests::clouds"))]
    pub(super) cloud: Option<String>,
    /// Where this agent stands, for example the name of the subnet; part of every report.
    pub(super) vantage: Option<String>,
    /// Where /metrics, /api/v1/status and the reload listen: `ADDRESS:PORT`, `localhost:PORT` or `:PORT`.
    pub(super) listen: Option<String>,
    /// The URL under which people reach this agent's pages; alerts, the status JSON and reports then link to them.
    pub(super) external_url: Option<String>,
    /// Networks whose clients may ask for a reload over HTTP, beside those on this machine.
    pub(super) reload_from: Vec<String>,
    /// The absolute path of the folder in which clocks, incidents and outcomes are remembered.
    pub(super) state_dir: Option<PathBuf>,
    /// Which apps the environment hosts; rows that only others need are left out.
    pub(super) workloads: Option<Vec<WorkloadName>>,
    /// Rows of the catalogue that only some need and that are watched here; `ase-agent profile show` lists the packs.
    #[cfg_attr(test, schemars(schema_with = "super::schema_tests::packs"))]
    pub(super) packs: Option<Vec<String>>,
    /// Hosts that no catalogue can know, by slot; `ase-agent profile show` lists the slots.
    #[cfg_attr(test, schemars(schema_with = "super::schema_tests::slots"))]
    pub(super) slots: BTreeMap<String, Vec<String>>,
    /// Endpoints of your own, and changes to those of the catalogue.
    pub(super) endpoints: Endpoints,
    /// Time between two probes of one endpoint, by class.
    pub(super) intervals: BTreeMap<ClassName, HumanDuration>,
    /// The bound of one probe over all its phases, by class; shorter than the interval.
    pub(super) timeouts: BTreeMap<ClassName, HumanDuration>,
    /// The DNS servers.
    pub(super) resolvers: Resolvers,
    /// How hard the agent works.
    pub(super) pace: PaceKeys,
    /// The authorities that certificates are verified against.
    pub(super) ca: Ca,
    /// The source address of probes.
    pub(super) source_address: Option<IpAddr>,
    /// The interface of probes.
    pub(super) interface: Option<String>,
    /// Which addresses may be asked, beside those that names and redirects may always lead to.
    pub(super) addresses: Addresses,
    /// The comparison of the custom DNS with Azure DNS.
    pub(super) dns: Dns,
    /// What is assumed about suspension.
    pub(super) risk: RiskKeys,
    /// How causes are found out.
    pub(super) diagnosis: DiagnosisFile,
    /// Files that were exported from Azure, which name the rule or route that an incident is due to.
    pub(super) exports: Option<ExportKeys>,
    /// Where each value came from, as `ase-agent config show --output json` writes it. It is not read.
    #[serde(rename = "origins")]
    pub(super) _origins: BTreeMap<String, String>,
}

/// Files that were exported from Azure, and what else is known of their subnet.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExportKeys {
    /// Files of network security groups.
    pub(super) nsg: Option<Texts>,
    /// Files of route tables.
    pub(super) routes: Option<Texts>,
    /// Files of effective rules or routes.
    pub(super) effective: Option<Texts>,
    /// The subnet: files of it, or its prefixes.
    pub(super) subnet: Option<Texts>,
    /// The prefixes of the virtual network.
    pub(super) vnet: Option<Texts>,
    /// Files of service tags.
    pub(super) tags: Option<Texts>,
    /// The group that is assigned to the subnet, where the files hold several.
    pub(super) group: Option<String>,
    /// The route table that is assigned to the subnet, where the files hold several.
    pub(super) table: Option<String>,
    /// How clients reach the apps.
    pub(super) deployment: Option<DeploymentName>,
    /// The service endpoints of the subnet, where no file says them.
    pub(super) service_endpoints: Option<Vec<String>>,
    /// Findings that are set aside, by id, each with its reason.
    pub(super) suppress: BTreeMap<String, String>,
    /// The age from which an export is said to be stale.
    pub(super) stale_after: Option<HumanDuration>,
}

/// How clients reach the apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum DeploymentName {
    /// By an internal load balancer.
    Ilb,
    /// At a public address.
    External,
}

impl DeploymentName {
    /// Whether an internal load balancer serves them.
    pub(super) fn is_internal(self) -> bool {
        self == Self::Ilb
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Texts;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Texts, A::Error> {
                Err(de::Error::custom("must be a text or a list of texts"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct DiagnosisFile {
    /// Whether follow-up measurements are made and incidents are formed.
    pub(super) enabled: Option<bool>,
    /// Whether the redirect ports of SQL gateways are sampled.
    pub(super) sql_redirect: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct RiskKeys {
    /// The outage after which the risk of suspension is taken to be 0.95; not beside `prior`.
    pub(super) horizon: Option<HumanDuration>,
    /// The same by two points, in the place of `horizon`.
    pub(super) prior: Option<Prior>,
    /// How much the loss of a whole class matters, from 0 to 1, by class.
    #[cfg_attr(test, schemars(schema_with = "super::schema_tests::weights"))]
    pub(super) weights: BTreeMap<ClassName, f64>,
}

/// When suspension is assumed with probability 0.5 and 0.95.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Prior {
    /// When suspension is assumed with probability 0.5; shorter than `ninety_five`.
    pub(super) half: HumanDuration,
    /// When suspension is assumed with probability 0.95.
    pub(super) ninety_five: HumanDuration,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dns {
    /// Time between two comparisons of one name, at least 10s.
    pub(super) interval: Option<HumanDuration>,
    /// Names that are compared beside those of the endpoints.
    pub(super) names: Vec<String>,
    /// Names that are compared at most.
    pub(super) max_names: Option<usize>,
    /// Names and suffixes that are meant to be private.
    pub(super) private: Vec<String>,
    /// Further suffixes whose addresses vary by design.
    pub(super) managed: Vec<String>,
    /// Addresses that are sinkholes.
    pub(super) sinkholes: Vec<IpAddr>,
    /// Prefixes that belong to one service, by a name of your own: different addresses in them are no difference.
    pub(super) origins: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Endpoints {
    /// Endpoints of your own.
    pub(super) add: AddedList,
    /// Ids of catalogue rows that are not watched; a `*` stands for any text.
    pub(super) remove: Vec<String>,
    /// Changes by id; a `*` in an id stands for any text.
    pub(super) r#override: BTreeMap<String, Override>,
}

/// Endpoints of the operator's own, each with its place in the list as it was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "Vec<Added>")]
pub(super) struct AddedList(pub(super) Vec<(usize, Added)>);

impl From<Vec<Added>> for AddedList {
    fn from(list: Vec<Added>) -> Self {
        Self(list.into_iter().enumerate().collect())
    }
}

/// An endpoint of the operator's own.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Added {
    /// A name, an address, `host:port` or a URL with http:// or https://.
    pub(super) host: String,
    /// The class it counts in; a URL says it by its scheme.
    pub(super) class: Option<ClassName>,
    /// The port; the default is the one of the class.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(super) port: Option<u16>,
    /// Its name in every report; the default is host and port.
    pub(super) id: Option<String>,
    /// What it is needed for, in a word.
    pub(super) purpose: Option<String>,
    /// What a web server is asked for.
    pub(super) path: Option<String>,
    /// What proves a web server.
    pub(super) expect: Option<Expect>,
    /// Whether the name in the certificate counts (`full`, the default for names) or only its chain.
    pub(super) verify: Option<VerifyName>,
    /// The protocol that a SQL server is asked in first.
    pub(super) tds: Option<TdsName>,
    /// The name that a DNS server is asked for.
    pub(super) question: Option<String>,
    /// The transport of a question to a DNS server.
    pub(super) transport: Option<TransportName>,
    /// How bad its loss is.
    pub(super) severity: Option<Level>,
    /// Time between two probes.
    pub(super) interval: Option<HumanDuration>,
    /// The bound of one probe over all its phases.
    pub(super) timeout: Option<HumanDuration>,
    /// Whether every address of its name is asked, or the first that answers is enough.
    pub(super) addresses: Option<AddressesName>,
    /// Which addresses its name must lead to.
    pub(super) expect_address: Option<ExpectAddressName>,
    /// Whose DNS servers resolve its name: the custom ones, as for apps, or Azure DNS alone, as for what the platform mounts or pulls.
    pub(super) resolved_by: Option<ResolvedByName>,
}

/// What may be changed of any endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Override {
    /// How bad its loss is.
    pub(super) severity: Option<Level>,
    /// Time between two probes.
    pub(super) interval: Option<HumanDuration>,
    /// The bound of one probe over all its phases.
    pub(super) timeout: Option<HumanDuration>,
    /// Whether every address of its name is asked, or the first that answers is enough.
    pub(super) addresses: Option<AddressesName>,
    /// Which addresses its name must lead to.
    pub(super) expect_address: Option<ExpectAddressName>,
    /// Whose DNS servers resolve its name: the custom ones, as for apps, or Azure DNS alone, as for what the platform mounts or pulls.
    pub(super) resolved_by: Option<ResolvedByName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum VerifyName {
    Full,
    Chain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum TdsName {
    #[serde(rename = "7.x")]
    Seven,
    #[serde(rename = "8.0")]
    Eight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportName {
    Udp,
    Tcp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum AddressesName {
    All,
    First,
}

impl From<AddressesName> for catalog::Addresses {
    fn from(name: AddressesName) -> Self {
        match name {
            AddressesName::All => Self::All,
            AddressesName::First => Self::First,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpectAddressName {
    Any,
    Private,
    Public,
}

impl From<ExpectAddressName> for catalog::ExpectAddress {
    fn from(name: ExpectAddressName) -> Self {
        match name {
            ExpectAddressName::Any => Self::Any,
            ExpectAddressName::Private => Self::Private,
            ExpectAddressName::Public => Self::Public,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resolvers {
    /// The servers that apps use, as `ADDRESS` or `ADDRESS:PORT`; the default is what this host uses.
    pub(super) custom: Option<Vec<String>>,
    /// Azure DNS, the reference.
    pub(super) azure: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct PaceKeys {
    /// Visits at most that began less than 200 ms ago.
    #[cfg_attr(test, schemars(range(min = 1, max = 1024)))]
    pub(super) concurrency: Option<usize>,
    /// New flows to one destination in a minute at most.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(super) flows_per_destination: Option<u32>,
    /// Wait before a bad sample is confirmed.
    pub(super) confirm_after: Option<HumanDuration>,
    /// Interval while an endpoint fails, at first.
    pub(super) failing_interval: Option<HumanDuration>,
    /// Time that visits under way get to end when the daemon is told to stop.
    pub(super) drain: Option<HumanDuration>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ca {
    /// Certificates in PEM that are trusted, beside the system's or instead of them.
    pub(super) file: Option<PathBuf>,
    /// Whether the authorities of the system are trusted.
    pub(super) system: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Addresses {
    /// Prefixes that may be asked although they are loopback, link-local or reserved.
    pub(super) allow: Vec<String>,
    /// Prefixes that may never be asked.
    pub(super) deny: Vec<String>,
    /// Ports that redirects may lead to, beside 80, 443 and those of the endpoints.
    pub(super) redirect_ports: Vec<u16>,
}
