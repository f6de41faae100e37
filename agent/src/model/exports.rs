//! What the configuration says of files that were exported from Azure: which they are, what else is known of the subnet, and
//! from which age on they are stale.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ipnet::IpNet;

/// What a file is said to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExportKind {
    /// A security group.
    Nsg,
    /// A route table.
    Routes,
    /// The effective rules or routes of a network interface.
    Effective,
    /// A subnet.
    Subnet,
    /// The virtual network.
    Vnet,
    /// Service tags.
    Tags,
}

impl ExportKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Nsg, Self::Routes, Self::Effective, Self::Subnet, Self::Vnet, Self::Tags];

    /// Returns the key of the configuration, below `exports`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nsg => "nsg",
            Self::Routes => "routes",
            Self::Effective => "effective",
            Self::Subnet => "subnet",
            Self::Vnet => "vnet",
            Self::Tags => "tags",
        }
    }

    /// Whether it holds rules or routes, which may have changed in Azure since.
    pub fn ages(self) -> bool {
        matches!(self, Self::Nsg | Self::Routes | Self::Effective)
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportFile {
    /// What it is said to hold.
    pub kind: ExportKind,
    /// Where it is.
    pub path: PathBuf,
}

/// What was exported from Azure, and what else is known of the subnet that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exports {
    /// The files, rules before routes before the rest.
    pub files: Vec<ExportFile>,
    /// The subnet's prefixes, where no file says them.
    pub subnet: Vec<IpNet>,
    /// The network's prefixes, where no file says them.
    pub vnet: Vec<IpNet>,
    /// The subnet's security group, where the files hold several.
    pub group: Option<String>,
    /// The subnet's route table, where the files hold several.
    pub table: Option<String>,
    /// Whether apps are reached by an internal load balancer, where that is said.
    pub is_internal: Option<bool>,
    /// The subnet's service endpoints, where no file says them.
    pub service_endpoints: Option<Vec<String>>,
    /// Findings that are set aside, by id, each with the reason.
    pub suppress: BTreeMap<String, String>,
    /// Rules and routes that are older than an incident by more than this are stale.
    pub stale_after: Duration,
}

/// The age from which on exports are stale unless the configuration says otherwise: what a nightly job exports is up to a
/// day old.
pub const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);
