//! Route tables, effective routes, subnets and networks, in every form that exports have.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::lint::{
    read::{
        node::{Node, is_expression},
        words::{self, Problems},
    },
    route::{NextHop, Origin, Route, Subnet, Table},
    rule::{AddressTerm, Known},
};

/// A route table with its routes.
pub(super) fn table(node: &Node<'_>, problems: &mut Problems) -> Table {
    let routes = ["routes", "route"].iter().filter_map(|name| node.get(name)).flat_map(|list| list.items());
    let mut routes: Vec<Route> = routes.map(|item| route(&item, Origin::User, problems)).collect();
    let unlisted = ["routes", "route"].iter().find_map(|name| node.unlisted(name));
    let whole = || node.opaque().map(|expression| (node.clone(), expression));
    routes.extend(unlisted.or_else(whole).map(|(place, expression)| unknown_route(&place, &expression)));
    Table {
        name: node.text_of("name").unwrap_or_default(),
        id: node.text_of("id"),
        location: node.text_of("location"),
        takes_bgp: takes_bgp(node),
        routes,
        subnets: node
            .list("subnets")
            .iter()
            .filter_map(|subnet| subnet.reference("id").or_else(|| subnet.text()))
            .collect(),
        effective: false,
    }
}

/// Terraform's newer field is the inverse of the older one and of Azure's.
fn takes_bgp(node: &Node<'_>) -> Known<bool> {
    let field = |name: &str| {
        node.get(name).map(|found| match found.value {
            Value::Bool(flag) => Known::Value(*flag),
            other => Known::Expression(other.to_string()),
        })
    };
    let inverted = field("disableBgpRoutePropagation").map(|known| match known {
        Known::Value(flag) => Known::Value(!flag),
        Known::Expression(text) => Known::Expression(text),
    });
    field("bgpRoutePropagationEnabled").or(inverted).unwrap_or(Known::Value(true))
}

/// The routes of a network interface, the fabric's own included.
pub(super) fn effective(items: &[Node<'_>], problems: &mut Problems) -> Table {
    let routes = items.iter().map(|item| route(item, Origin::System, problems)).collect();
    let name = "effective routes".to_owned();
    let takes_bgp = Known::Value(true);
    Table { name, id: None, location: None, takes_bgp, routes, subnets: Vec::new(), effective: true }
}

/// A list that stands for a table of its own: `az network route-table route list`.
pub(super) fn list(items: &[Node<'_>], problems: &mut Problems) -> Table {
    let routes = items.iter().map(|item| route(item, Origin::User, problems)).collect();
    let takes_bgp = Known::Value(true);
    Table {
        name: "routes".to_owned(),
        id: None,
        location: None,
        takes_bgp,
        routes,
        subnets: Vec::new(),
        effective: false,
    }
}

/// A route of which nothing is known: it may take anything anywhere.
pub(super) fn unknown_route(node: &Node<'_>, expression: &str) -> Route {
    Route {
        name: expression.to_owned(),
        destinations: vec![AddressTerm::Expression(expression.to_owned())],
        next_hop: NextHop::Unknown(expression.to_owned()),
        origin: Origin::User,
        active: true,
        at: node.path.clone(),
    }
}

/// A table that holds one route, which is a resource of its own.
pub(super) fn one_of(table: String, route: Route) -> Table {
    let takes_bgp = Known::Value(true);
    Table {
        name: table,
        id: None,
        location: None,
        takes_bgp,
        routes: vec![route],
        subnets: Vec::new(),
        effective: false,
    }
}

/// One route; `origin` counts where it does not say who wrote it.
pub(super) fn route(node: &Node<'_>, origin: Origin, problems: &mut Problems) -> Route {
    if let Some(expression) = node.opaque() {
        return unknown_route(node, &expression);
    }
    let name = node.text_of("name").unwrap_or_default();
    let listed = node.texts(&["addressPrefix", "addressPrefixes", "destinationServiceTags"]);
    let destinations: Vec<AddressTerm> = listed.iter().map(|item| words::address(item, &name, problems)).collect();
    let given = node.texts(&["nextHopIpAddress", "nextHopIpAddresses", "nextHopInIpAddress"]);
    let addresses: Vec<IpAddr> = given.iter().filter_map(|item| item.text()?.parse().ok()).collect();
    let next_hop = next_hop(&node.text_of("nextHopType").unwrap_or_default(), addresses);
    if origin == Origin::User && matches!(next_hop, NextHop::Appliance(_)) {
        without_address(node, &name, &given, problems);
    }
    let origin = match node.text_of("source").unwrap_or_default().to_ascii_lowercase().as_str() {
        "user" => Origin::User,
        "virtualnetworkgateway" => Origin::Bgp,
        "default" => Origin::System,
        _ => origin,
    };
    let active = !node.text_of("state").is_some_and(|state| state.eq_ignore_ascii_case("invalid"));
    let open =
        destinations.iter().find_map(|term| if let AddressTerm::Expression(text) = term { Some(text) } else { None });
    // What it takes is not known, so where any packet goes is not known either.
    let next_hop = open.map_or(next_hop.clone(), |text| NextHop::Unknown(format!("{next_hop} for {text}")));
    if destinations.is_empty() {
        let severity = crate::lint::finding::Severity::Critical;
        problems.note(node, &name, severity, "the route has no address prefix".to_owned());
    }
    let name = if name.is_empty() { format!("{} route to {next_hop}", origin_word(origin)) } else { name };
    Route { name, destinations, next_hop, origin, active, at: node.path.clone() }
}

/// An appliance needs an address of its own; an expression stands for one.
fn without_address(node: &Node<'_>, name: &str, given: &[Node<'_>], problems: &mut Problems) {
    let severity = crate::lint::finding::Severity::Critical;
    let is_none = |text: &String| text.parse::<IpAddr>().is_err() && !is_expression(text);
    match given.iter().filter_map(Node::text).find(is_none) {
        Some(text) => {
            problems.note(node, name, severity, format!("{:?} is no address of an appliance", words::shorten(&text)))
        }
        None if given.is_empty() => {
            problems.note(node, name, severity, "the route leads to an appliance and names no address".to_owned());
        }
        None => {}
    }
}

fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::System => "system",
        Origin::Bgp => "BGP",
        Origin::User => "user",
    }
}

fn next_hop(text: &str, addresses: Vec<IpAddr>) -> NextHop {
    match text.to_ascii_lowercase().as_str() {
        "internet" => NextHop::Internet,
        "vnetlocal" => NextHop::VnetLocal,
        "vnetpeering" | "vnetglobalpeering" | "globalvnetpeering" => NextHop::Peering,
        "virtualnetworkgateway" => NextHop::Gateway,
        "virtualappliance" => NextHop::Appliance(addresses),
        "virtualnetworkserviceendpoint" => NextHop::ServiceEndpoint,
        "none" => NextHop::Nowhere,
        _ => NextHop::Unknown(text.to_owned()),
    }
}

/// A subnet.
pub(super) fn subnet(node: &Node<'_>, problems: &mut Problems) -> Subnet {
    let name = node.text_of("name").unwrap_or_default();
    let single = node.text_of("addressPrefix").filter(|text| !text.is_empty());
    let prefixes = prefixes(node, &["addressPrefix", "addressPrefixes"], problems);
    let service = |item: &Node<'_>| item.text().or_else(|| item.text_of("service"));
    let group = node.reference("networkSecurityGroup").or_else(|| node.text_of("networkSecurityGroupId"));
    let endpoints = ["serviceEndpoints", "serviceEndpoint"].iter().flat_map(|list| node.list(list));
    let delegations = ["delegations", "delegation"].iter().flat_map(|list| node.list(list));
    let links = ["serviceAssociationLinks", "resourceNavigationLinks"].iter().flat_map(|list| node.list(list));
    let delegated = |item: &Node<'_>| {
        let inner = item.list("serviceDelegation").first().and_then(|inner| inner.text_of("name"));
        item.text_of("serviceName").or(inner).or_else(|| item.opaque())
    };
    let (delegations, open_delegations) = known(delegations.filter_map(|item| delegated(&item)));
    let (service_endpoints, open_endpoints) = known(endpoints.filter_map(|item| service(&item)));
    let whole = |names: [&str; 2]| names.iter().find_map(|name| node.unlisted(name)).map(|(_, text)| text);
    Subnet {
        id: node.text_of("id"),
        location: node.text_of("location"),
        has_single_prefix: single.is_some() || is_terraform(node),
        prefixes,
        delegations,
        service_endpoints,
        open_delegations: open_delegations.or_else(|| whole(["delegations", "delegation"])),
        open_endpoints: open_endpoints.or_else(|| whole(["serviceEndpoints", "serviceEndpoint"])),
        without_group: node.has("networkSecurityGroup") && node.get("networkSecurityGroup").is_none(),
        group: group.or_else(|| node.text_of("securityGroup")).filter(|id| !id.is_empty()),
        table: node.reference("routeTable").or_else(|| node.text_of("routeTableId")),
        linked: links.filter_map(|link| link.text_of("linkedResourceType")).collect(),
        interfaces: node.get("ipConfigurations").filter(|list| list.value.is_array()).map(|list| list.items().len()),
        name,
    }
}

/// The names of a list that are known, and the first expression among them.
fn known(names: impl Iterator<Item = String>) -> (Vec<String>, Option<String>) {
    let (open, known): (Vec<String>, Vec<String>) = names.partition(|name| is_expression(name));
    (known, open.into_iter().next())
}

/// Terraform knows the list only; what Azure makes of it the plan does not say.
fn is_terraform(node: &Node<'_>) -> bool {
    node.value.as_object().is_some_and(|map| map.contains_key("address_prefixes"))
}

/// The prefixes under some names.
pub(super) fn prefixes(node: &Node<'_>, names: &[&str], problems: &mut Problems) -> Vec<IpNet> {
    let listed = node.texts(names);
    let terms = listed.iter().filter(|item| !item.text().is_some_and(|text| is_expression(&text)));
    terms
        .filter_map(|item| match words::address(item, "", problems) {
            AddressTerm::Net(net) => Some(net),
            AddressTerm::Any
            | AddressTerm::Tag(_)
            | AddressTerm::Expanded(..)
            | AddressTerm::Interfaces(_)
            | AddressTerm::Expression(_) => None,
        })
        .collect()
}
