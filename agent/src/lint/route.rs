//! Routes, route tables and subnets as every reader produces them, whatever shape the export had.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::lint::rule::{AddressTerm, Known};

/// Where a route sends packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Straight out, by the fabric's own way.
    Internet,
    /// Within the virtual network.
    VnetLocal,
    /// A peered network.
    Peering,
    /// The gateway: VPN or ExpressRoute.
    Gateway,
    /// An appliance, by its addresses.
    Appliance(Vec<IpAddr>),
    /// A service, by a service endpoint of the subnet.
    ServiceEndpoint,
    /// Nowhere: packets are dropped.
    Nowhere,
    /// An expression, or a kind that is not known.
    Unknown(String),
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet => f.write_str("Internet"),
            Self::VnetLocal => f.write_str("the virtual network"),
            Self::Peering => f.write_str("a peered network"),
            Self::Gateway => f.write_str("the virtual network gateway"),
            Self::Appliance(addresses) => {
                f.write_str("the appliance")?;
                addresses.iter().try_for_each(|address| write!(f, " {address}"))
            }
            Self::ServiceEndpoint => f.write_str("a service endpoint"),
            Self::Nowhere => f.write_str("nowhere"),
            Self::Unknown(text) => write!(f, "{text}"),
        }
    }
}

/// Who wrote a route; at equal prefixes the greater one wins ("Virtual network traffic routing", how Azure selects a route).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The fabric.
    System,
    /// A gateway, by BGP.
    Bgp,
    /// The customer, in a route table.
    User,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name; routes of the fabric have none.
    pub name: String,
    /// Its destinations: prefixes, or a service tag.
    pub destinations: Vec<AddressTerm>,
    /// Where it sends them.
    pub next_hop: NextHop,
    /// Who wrote it.
    pub origin: Origin,
    /// Whether it is in force; effective views list those that lost, too.
    pub active: bool,
    /// Where it stands in the file.
    pub at: String,
}

/// A route table, or the effective routes of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its resource id, where the export has one.
    pub id: Option<String>,
    /// The region that it is in.
    pub location: Option<String>,
    /// Whether routes that gateways learn by BGP are taken, too.
    pub takes_bgp: Known<bool>,
    /// Its routes in the order of the file.
    pub routes: Vec<Route>,
    /// The ids of the subnets that it is assigned to, where the export says so.
    pub subnets: Vec<String>,
    /// Whether it is the effective view of a network interface, system routes included.
    pub effective: bool,
}

/// A subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnet {
    /// Its name.
    pub name: String,
    /// Its resource id, where the export has one.
    pub id: Option<String>,
    /// The region that its network is in, where the export says so.
    pub location: Option<String>,
    /// Its prefixes.
    pub prefixes: Vec<IpNet>,
    /// Whether `addressPrefix`, the string, is set, and not only the list `addressPrefixes`.
    pub has_single_prefix: bool,
    /// The services that it is delegated to, for example `Microsoft.Web/hostingEnvironments`.
    pub delegations: Vec<String>,
    /// Its service endpoints, for example `Microsoft.Sql`.
    pub service_endpoints: Vec<String>,
    /// The expression that stands for its delegations.
    pub open_delegations: Option<String>,
    /// The expression that stands for its service endpoints.
    pub open_endpoints: Option<String>,
    /// The id of its security group.
    pub group: Option<String>,
    /// Whether the export says that it has no security group.
    pub without_group: bool,
    /// The id of its route table.
    pub table: Option<String>,
    /// How many network interfaces are in it, where the export says so.
    pub interfaces: Option<usize>,
    /// The kinds of resources that its association links name: who lives in it by right.
    pub linked: Vec<String>,
}
