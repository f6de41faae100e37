//! What `portal` prints: whether an app and its SCM site are found, reached and certified, and which features of the Azure portal
//! break otherwise.

mod sense;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    model::visit::Visit,
    readers::notes::{self, Note, shown},
    resolvers::compare::Answer,
};

/// How clients reach the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// By an internal load balancer: a private address.
    Ilb,
    /// By a public address.
    External,
}

impl Deployment {
    /// The word for it, also in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ilb => "ilb",
            Self::External => "external",
        }
    }
}

/// The version of an environment: debugging has other ports in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// App Service Environment v2.
    V2,
    /// App Service Environment v3.
    V3,
}

/// Which environment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// How clients reach it.
    pub deployment: Deployment,
    /// Its version.
    pub version: Version,
}

/// What is reached at the inbound address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// The app without TLS.
    Http,
    /// The app and the SCM site.
    Https,
    /// FTP, with the connections for its data.
    Ftp,
    /// FTP within TLS, with the connections for its data.
    Ftps,
    /// Debugging from Visual Studio.
    Debugging,
    /// Web deploy.
    WebDeploy,
}

/// The ports of connections for the data of FTP (App Service Environment, "Networking considerations").
pub const DATA_PORTS: std::ops::RangeInclusive<u16> = 10_001..=10_020;

impl Service {
    /// Every service.
    pub const ALL: [Self; 6] = [Self::Http, Self::Https, Self::Ftp, Self::Ftps, Self::Debugging, Self::WebDeploy];

    /// The word for it, also in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ftp => "ftp",
            Self::Ftps => "ftps",
            Self::Debugging => "debugging",
            Self::WebDeploy => "web-deploy",
        }
    }

    /// Its ports in this version, without those for data (App Service Environment, "Networking considerations"; that of v3 has
    /// 4026 in the place of 4020).
    pub fn ports(self, version: Version) -> &'static [u16] {
        match self {
            Self::Http => &[80],
            Self::Https => &[443],
            Self::Ftp => &[21],
            Self::Ftps => &[990],
            Self::Debugging if version == Version::V3 => &[4022, 4024, 4026],
            Self::Debugging => &[4020, 4022, 4024],
            Self::WebDeploy => &[8172],
        }
    }

    /// Whether it needs connections for data.
    pub fn has_data(self) -> bool {
        matches!(self, Self::Ftp | Self::Ftps)
    }
}

/// What a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The app.
    App,
    /// Its SCM site: Kudu and everything behind it.
    Scm,
    /// Any other app: the record `*`.
    Wildcard,
    /// The SCM site of any other app: the record `*.scm`.
    ScmWildcard,
    /// The suffix itself: the record `@`.
    Apex,
}

impl Role {
    /// The word for it, also in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Scm => "scm",
            Self::Wildcard => "*",
            Self::ScmWildcard => "*.scm",
            Self::Apex => "@",
        }
    }
}

/// What one server said of a name.
#[derive(Clone, Debug)]
pub struct Said {
    /// The server.
    pub server: SocketAddr,
    /// Whether it is Azure DNS and not one of the custom ones.
    pub is_azure: bool,
    /// Its answer.
    pub answer: Answer,
}

/// One name with all that was said of it.
#[derive(Clone, Debug)]
pub struct Named {
    /// What it is for.
    pub role: Role,
    /// The name.
    pub name: String,
    /// What the servers said, the custom ones first.
    pub said: Vec<Said>,
}

/// One port that was asked.
#[derive(Clone, Debug)]
pub struct Reached {
    /// What it is for.
    pub service: Service,
    /// Whether it is for the data of FTP, where nobody listens between transfers.
    pub is_data: bool,
    /// The name in whose name it was asked, where that matters.
    pub role: Option<Role>,
    /// The port.
    pub port: u16,
    /// What came of it.
    pub visit: Visit,
}

/// Everything that was learned.
#[derive(Clone, Copy, Debug)]
pub struct Portal<'a> {
    /// How clients reach the environment.
    pub deployment: Deployment,
    /// What the names end with.
    pub suffix: &'a str,
    /// The app.
    pub app: &'a str,
    /// When the look began, since the Unix epoch.
    pub began: Duration,
    /// The inbound address: as it was given, else where the app's name leads.
    pub address: Option<IpAddr>,
    /// Whether the operator gave it.
    pub is_given: bool,
    /// Whether the address policy forbids to reach it.
    pub is_forbidden: bool,
    /// The names.
    pub names: &'a [Named],
    /// The ports.
    pub reached: &'a [Reached],
}

impl Portal<'_> {
    /// The findings: names, ports, the certificate, and what works in the portal.
    pub fn notes(&self) -> Vec<Note> {
        sense::notes(self)
    }

    /// All addresses that any server gave for the app's own names.
    pub(super) fn led_to(&self) -> BTreeSet<IpAddr> {
        let own = self.names.iter().filter(|named| matches!(named.role, Role::App | Role::Scm));
        own.flat_map(|named| &named.said).flat_map(|said| said.answer.addresses.iter().copied()).collect()
    }
}

/// Renders everything.
pub fn render(portal: &Portal<'_>) -> String {
    let how = match portal.deployment {
        Deployment::Ilb => "behind an internal load balancer",
        Deployment::External => "at a public address",
    };
    let address = match (portal.address, portal.is_given) {
        (Some(address), true) => format!("inbound address {address}, as given"),
        (Some(address), false) => format!("inbound address {address}, where the app's name leads"),
        (None, _) => "inbound address unknown: no name leads to one".to_owned(),
    };
    let (app, suffix) = (shown(portal.app), shown(portal.suffix));
    format!("{app} in {suffix}\n{how}, {address}\n\n{}", notes::render(&portal.notes()))
}

/// The endpoints that the daemon watches for the same, as a configuration or to be added to one.
pub fn endpoints(environment: Environment, suffix: &str, app: &str, services: &[Service]) -> String {
    let kind = if environment.deployment == Deployment::Ilb { "private" } else { "public" };
    let mut text = format!(
        "# The app {app} and its SCM site: put these below `endpoints.add` of the configuration.\nendpoints:\n  add:\n"
    );
    let mut add = |host: &str, class: &str, port: u16, purpose: &str| {
        text.push_str(&format!(
            "    - host: {host}\n      class: {class}\n      port: {port}\n      expect_address: {kind}\n      purpose: {purpose}\n"
        ));
    };
    let (site, scm) = (format!("{app}.{suffix}"), format!("{app}.scm.{suffix}"));
    for service in services {
        for port in service.ports(environment.version).iter().copied() {
            match service {
                Service::Http => add(&site, "http", port, "the app without TLS"),
                Service::Https => {
                    add(&site, "https", port, "the app");
                    add(&scm, "https", port, "its SCM site, with Kudu, console and log streaming");
                }
                Service::WebDeploy => add(&scm, "https", port, "web deploy"),
                Service::Ftp => add(&site, "tcp", port, "FTP"),
                Service::Ftps => add(&site, "tcp", port, "FTP within TLS"),
                Service::Debugging => add(&site, "tcp", port, "debugging"),
            }
        }
    }
    text
}

#[cfg(test)]
#[path = "portal/tests.rs"]
pub(super) mod tests;
