//! The shape of the configuration file. Unknown keys are errors; what a value means is decided elsewhere.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::{
    config::profile::{ClassName, Expect, Level, WorkloadName},
    net::duration::HumanDuration,
};

/// The whole file. Every key has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) profile: Option<String>,
    pub(super) cloud: Option<String>,
    pub(super) vantage: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) workloads: Option<Vec<WorkloadName>>,
    pub(super) slots: BTreeMap<String, Vec<String>>,
    pub(super) endpoints: Endpoints,
    pub(super) intervals: BTreeMap<ClassName, HumanDuration>,
    pub(super) timeouts: BTreeMap<ClassName, HumanDuration>,
    pub(super) resolvers: Resolvers,
    pub(super) pace: PaceKeys,
    pub(super) ca: Ca,
    pub(super) source_address: Option<IpAddr>,
    pub(super) interface: Option<String>,
    pub(super) addresses: Addresses,
    pub(super) dns: Dns,
    pub(super) risk: RiskKeys,
    pub(super) diagnosis: DiagnosisFile,
    pub(super) exports: Option<ExportKeys>,
}

/// Files that were exported from Azure, and what else is known of their subnet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExportKeys {
    pub(super) nsg: Option<Texts>,
    pub(super) routes: Option<Texts>,
    pub(super) effective: Option<Texts>,
    pub(super) subnet: Option<Texts>,
    pub(super) vnet: Option<Texts>,
    pub(super) tags: Option<Texts>,
    pub(super) group: Option<String>,
    pub(super) table: Option<String>,
    pub(super) deployment: Option<DeploymentName>,
    pub(super) service_endpoints: Option<Vec<String>>,
    pub(super) suppress: BTreeMap<String, String>,
    pub(super) stale_after: Option<HumanDuration>,
}

/// How clients reach the apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeploymentName {
    Ilb,
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
#[serde(deny_unknown_fields, default)]
pub(super) struct DiagnosisFile {
    pub(super) enabled: Option<bool>,
    pub(super) sql_redirect: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RiskKeys {
    pub(super) horizon: Option<HumanDuration>,
    pub(super) prior: Option<Prior>,
    pub(super) weights: BTreeMap<ClassName, f64>,
}

/// When suspension is assumed with probability 0.5 and 0.95.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prior {
    pub(super) half: HumanDuration,
    pub(super) ninety_five: HumanDuration,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dns {
    pub(super) interval: Option<HumanDuration>,
    pub(super) names: Vec<String>,
    pub(super) max_names: Option<usize>,
    pub(super) private: Vec<String>,
    pub(super) managed: Vec<String>,
    pub(super) sinkholes: Vec<IpAddr>,
    pub(super) origins: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Endpoints {
    pub(super) add: AddedList,
    pub(super) remove: Vec<String>,
    pub(super) r#override: BTreeMap<String, Override>,
}

/// Endpoints of the operator's own, each with its place in the list as it was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<Added>")]
pub(super) struct AddedList(pub(super) Vec<(usize, Added)>);

impl From<Vec<Added>> for AddedList {
    fn from(list: Vec<Added>) -> Self {
        Self(list.into_iter().enumerate().collect())
    }
}

/// An endpoint of the operator's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Added {
    pub(super) host: String,
    pub(super) class: Option<ClassName>,
    pub(super) port: Option<u16>,
    pub(super) id: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) path: Option<String>,
    pub(super) expect: Option<Expect>,
    pub(super) verify: Option<VerifyName>,
    pub(super) tds: Option<TdsName>,
    pub(super) question: Option<String>,
    pub(super) transport: Option<TransportName>,
    pub(super) severity: Option<Level>,
    pub(super) interval: Option<HumanDuration>,
    pub(super) timeout: Option<HumanDuration>,
    pub(super) addresses: Option<AddressesName>,
    pub(super) expect_address: Option<ExpectAddressName>,
}

/// What may be changed of any endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Override {
    pub(super) severity: Option<Level>,
    pub(super) interval: Option<HumanDuration>,
    pub(super) timeout: Option<HumanDuration>,
    pub(super) addresses: Option<AddressesName>,
    pub(super) expect_address: Option<ExpectAddressName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum VerifyName {
    Full,
    Chain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum TdsName {
    #[serde(rename = "7.x")]
    Seven,
    #[serde(rename = "8.0")]
    Eight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportName {
    Udp,
    Tcp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AddressesName {
    All,
    First,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpectAddressName {
    Any,
    Private,
    Public,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resolvers {
    pub(super) custom: Option<Vec<String>>,
    pub(super) azure: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PaceKeys {
    pub(super) concurrency: Option<usize>,
    pub(super) flows_per_destination: Option<u32>,
    pub(super) confirm_after: Option<HumanDuration>,
    pub(super) failing_interval: Option<HumanDuration>,
    pub(super) drain: Option<HumanDuration>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ca {
    pub(super) file: Option<PathBuf>,
    pub(super) system: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Addresses {
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}
