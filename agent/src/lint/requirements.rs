//! What each service needs of its subnet: the embedded lists, read strictly, each row with its document and edition.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use serde::Deserialize;

pub use crate::model::listed::{Document, Level};
use crate::{
    lint::{
        addresses::AddressSet,
        finding::Severity,
        tags::Tag,
        traffic::{Direction, PortSet, Protocols},
    },
    model::listed,
};

/// The embedded lists by profile.
const FILES: [(&str, &str); 7] = [
    ("ase-v2", include_str!("../../profiles/lint/ase-v2.yaml")),
    ("ase-v3", include_str!("../../profiles/lint/ase-v3.yaml")),
    ("vnet-integration", include_str!("../../profiles/lint/vnet-integration.yaml")),
    ("apim-classic", include_str!("../../profiles/lint/apim-classic.yaml")),
    ("apim-v2", include_str!("../../profiles/lint/apim-v2.yaml")),
    ("container-apps", include_str!("../../profiles/lint/container-apps.yaml")),
    ("custom", include_str!("../../profiles/lint/custom.yaml")),
];
const MEMBERS: &str = include_str!("../../profiles/lint/tag-members.yaml");
const MANAGEMENT: &str = include_str!("../../profiles/lint/management-addresses.yaml");

/// The names of the profiles.
pub fn profiles() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// What a service needs of its subnet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    #[serde(rename = "profile")]
    pub name: String,
    /// What it is, one line.
    pub title: String,
    /// Whether inbound rules of the subnet have an effect.
    pub inbound_rules_apply: bool,
    /// Whether the platform manages it through 454 and 455.
    pub management_ports: bool,
    /// The documents, by short name.
    pub sources: BTreeMap<String, Document>,
    /// The traffic that it needs.
    pub requirements: Vec<Requirement>,
    /// The ports that clients of its apps may use.
    pub app_ports: Vec<Ports>,
    /// What it needs of the subnet.
    pub subnet: SubnetNeeds,
    /// What it needs of the routes.
    pub routes: RouteNeeds,
}

/// Traffic that a service needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its stable name.
    pub id: String,
    /// Which way it goes.
    direction: Way,
    /// Its protocols.
    protocols: Vec<ProtocolName>,
    /// The receiver's ports.
    ports: Vec<Ports>,
    /// Who is at the other end.
    pub peer: Peer,
    /// Services that are documented to be among its peers, by their tags.
    #[serde(default)]
    services: Vec<String>,
    /// What its loss means.
    #[serde(default)]
    pub kind: Need,
    /// How bad its loss is.
    severity: Level,
    /// The class of traffic that has to be routed here for it to count (VNet integration).
    pub traffic: Option<String>,
    /// The short name of its document.
    source: String,
    /// What breaks, in words.
    pub breaks: String,
}

/// What the loss of a requirement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// The environment suffers.
    #[default]
    Platform,
    /// Clients of the apps suffer.
    App,
    /// Only who uses a feature suffers.
    Feature,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Peer {
    /// The subnet itself.
    Subnet,
    /// The virtual network.
    Vnet,
    /// Everything that is publicly reachable.
    Internet,
    /// Network and Internet.
    Any,
    /// Who uses the apps: by the kind of deployment.
    Clients,
    /// A service tag.
    Tag(Tag),
    /// An address that nobody said: anywhere in network or Internet.
    Somewhere,
    /// Some prefixes.
    Nets(Vec<IpNet>),
}

impl From<String> for Peer {
    fn from(text: String) -> Self {
        match text.as_str() {
            "subnet" => Self::Subnet,
            "vnet" => Self::Vnet,
            "internet" => Self::Internet,
            "any" => Self::Any,
            "clients" => Self::Clients,
            name => Self::Tag(Tag::named(name)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    In,
    Out,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    Tcp,
    Udp,
    Icmp,
}

/// Ports as the lists write them: `443`, `454-455`, `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Ports(pub u16, pub u16);

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(1, u16::MAX));
        }
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let port = |text: &str| text.parse().map_err(|_| format!("{text} is no port"));
        Ok(Self(port(first)?, port(last)?))
    }
}

/// What a service needs of its subnet's size and form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubnetNeeds {
    /// The short name of its document.
    source: Option<String>,
    /// The longest prefix that it can be created in.
    pub smallest: Option<u8>,
    /// The prefix that its documents recommend.
    pub recommended: Option<u8>,
    /// What about these sizes no document says.
    pub uncertain: Option<String>,
    /// The service that the subnet must be delegated to.
    pub delegation: Option<String>,
    /// Whether the subnet must be delegated to nobody.
    pub no_delegation: bool,
    /// How bad it is that something else is in it; `None` where nothing says that it must be empty.
    pub must_be_empty: Option<Level>,
    /// The kinds of resources that live in it by right, as its association links name them.
    pub lives_as: Vec<String>,
    /// Whether `addressPrefix` must be a string and not the list.
    pub must_be_string: bool,
}

/// What a service needs of its routes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteNeeds {
    /// Whether answers to the management addresses must go straight to the Internet.
    #[serde(default)]
    pub management: bool,
    /// Addresses that must be reached straight, too.
    #[serde(default)]
    pub ip_dependencies: Vec<IpAddr>,
    /// Service endpoints without which an appliance on the way is not supported.
    #[serde(default)]
    pub service_endpoints: Vec<String>,
    /// How bad it is when the subnet's own addresses are routed elsewhere.
    pub own_subnet: Option<Level>,
}

impl Profile {
    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name)?;
        Some(listed::read(text).expect("a test reads every embedded list"))
    }

    /// Whether the service has the subnet to itself, so that no machine of anybody else is in it.
    pub fn subnet_is_its_own(&self) -> bool {
        self.subnet.source.is_some()
    }

    /// A requirement's document with its edition.
    pub fn source_of(&self, requirement: &Requirement) -> Option<String> {
        self.document(&requirement.source)
    }

    /// The document of what the subnet needs, with its edition.
    pub fn source_of_subnet(&self) -> Option<String> {
        self.document(self.subnet.source.as_deref()?)
    }

    fn document(&self, name: &str) -> Option<String> {
        let source = self.sources.get(name)?;
        Some(format!("{}, edition {}", source.document, source.as_of))
    }

    /// The requirement of an id.
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.id == id)
    }
}

impl Requirement {
    /// Something that the configuration of the agent names: apps need it.
    pub fn of_endpoint(id: String, by_datagram: bool, port: u16, peer: Peer) -> Self {
        Self {
            id,
            direction: Way::Out,
            protocols: vec![if by_datagram { ProtocolName::Udp } else { ProtocolName::Tcp }],
            ports: vec![Ports(port, port)],
            peer,
            services: Vec::new(),
            kind: Need::Platform,
            severity: Level::Warning,
            traffic: None,
            source: String::new(),
            breaks: "the configuration names it as an endpoint that apps need".to_owned(),
        }
    }

    /// Ports of apps with an address of their own.
    pub fn of_app_ports(ports: &[u16]) -> Self {
        Self {
            id: "app-assigned".to_owned(),
            direction: Way::In,
            protocols: vec![ProtocolName::Tcp],
            ports: ports.iter().map(|port| Ports(*port, *port)).collect(),
            peer: Peer::Clients,
            services: Vec::new(),
            kind: Need::App,
            severity: Level::Warning,
            traffic: None,
            source: String::new(),
            breaks: "apps with an address of their own (IP-SSL) are served on these ports".to_owned(),
        }
    }

    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        match self.direction {
            Way::In => Direction::Inbound,
            Way::Out => Direction::Outbound,
        }
    }

    /// How bad its loss is.
    pub fn severity(&self) -> Severity {
        self.severity.into()
    }

    /// Its protocols.
    pub fn protocols(&self) -> Protocols {
        self.protocols.iter().fold(Protocols::NONE, |all, name| {
            all.union(match name {
                ProtocolName::Tcp => Protocols::TCP,
                ProtocolName::Udp => Protocols::UDP,
                ProtocolName::Icmp => Protocols::ICMP,
            })
        })
    }

    /// Services that are documented to be among its peers.
    pub fn services(&self) -> Vec<Tag> {
        self.services.iter().map(|name| Tag::named(name)).collect()
    }

    /// The receiver's ports.
    pub fn ports(&self) -> PortSet {
        port_set(&self.ports)
    }
}

/// The union of ports.
pub fn port_set(ports: &[Ports]) -> PortSet {
    ports.iter().map(|Ports(first, last)| (*first, *last)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagementFile {
    document: String,
    as_of: String,
    tag: String,
    public: Vec<IpAddr>,
    usgov: Vec<IpAddr>,
    china: Vec<IpAddr>,
}

/// Documented management addresses that are no longer in the tag (tag file of 2025-10-28).
const RETIRED: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::new(191, 233, 203, 64))];

/// The documented addresses that the platform manages environments from.
#[derive(Clone, Debug)]
pub struct Management {
    /// Where they are documented, with the edition.
    pub source: String,
    /// The tag that holds them, and more.
    pub tag: Tag,
    /// The addresses of the cloud.
    pub addresses: Vec<IpAddr>,
}

impl Management {
    /// Those of a cloud: `public`, `usgov` or `china`.
    pub fn of_cloud(cloud: &str) -> Self {
        let file: ManagementFile = listed::read(MANAGEMENT).expect("a test reads every embedded list");
        let addresses = match cloud {
            "usgov" => file.usgov,
            "china" => file.china,
            _ => file.public,
        };
        let source = format!("{}, edition {}", file.document, file.as_of);
        Self { source, tag: Tag::named(&file.tag), addresses }
    }

    /// As a set.
    pub fn set(&self) -> AddressSet {
        let nets: Vec<IpNet> = self.addresses.iter().map(|address| IpNet::from(*address)).collect();
        AddressSet::of(&nets)
    }

    /// Those that the platform still uses.
    pub fn current(&self) -> AddressSet {
        self.set().minus(&Self::retired())
    }

    /// Documented addresses that have left the tag (tag file of 2025-10-28).
    pub fn retired() -> AddressSet {
        AddressSet::of(&RETIRED.map(IpNet::from))
    }
}

/// One address of each tag that requirements name, to show a packet by.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Where the tags are listed.
    pub document: String,
    /// The edition of that.
    pub as_of: String,
    members: BTreeMap<String, IpAddr>,
}

impl Members {
    /// The embedded ones, of the public cloud.
    pub fn embedded() -> Self {
        listed::read(MEMBERS).expect("a test reads every embedded list")
    }

    /// The addresses by tag.
    pub fn by_tag(&self) -> BTreeMap<Tag, IpAddr> {
        self.members.iter().map(|(name, address)| (Tag::named(name), *address)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_list_is_read_and_its_rows_have_documents() {
        for name in profiles() {
            let profile = Profile::named(name).expect("it is embedded");
            assert_eq!(profile.name, name);
            for requirement in &profile.requirements {
                assert!(profile.source_of(requirement).is_some(), "{name}: {} has a document", requirement.id);
                assert!(!requirement.ports().is_empty() && !requirement.protocols().is_empty());
            }
            let needs = &profile.subnet;
            let has_source = profile.source_of_subnet().is_some();
            assert_eq!(has_source, name != "custom", "{name}: sizes have a document");
            assert!(needs.smallest.is_none_or(|smallest| needs.recommended.is_none_or(|better| better <= smallest)));
        }
        assert!(Members::embedded().by_tag().keys().all(Tag::is_known));
        assert_eq!(Management::of_cloud("public").addresses.len(), 72);
        assert_eq!(Management::of_cloud("usgov").addresses.len(), 10);
        assert_eq!(Management::of_cloud("china").addresses.len(), 2);
    }
}
