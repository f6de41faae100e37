//! An environment as the management API describes it: kind, state, whether it is suspended, and its addresses of four kinds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    imports::answer::Page,
    lint::read::{ReadError, node::Node},
};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// Clients and the platform come in here.
    PublicInbound,
    /// The environment goes out from here.
    Outbound,
    /// The internal load balancer.
    InternalLoadBalancer,
    /// Addresses that apps have to themselves (IP-SSL).
    AppAssigned,
}

impl AddressKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::PublicInbound, Self::Outbound, Self::InternalLoadBalancer, Self::AppAssigned];

    /// Its name in files.
    pub fn label(self) -> &'static str {
        match self {
            Self::PublicInbound => "public_inbound",
            Self::Outbound => "outbound",
            Self::InternalLoadBalancer => "internal_load_balancer",
            Self::AppAssigned => "app_assigned",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::PublicInbound => "public inbound",
            Self::Outbound => "outbound",
            Self::InternalLoadBalancer => "internal load balancer",
            Self::AppAssigned => "app-assigned",
        }
    }

    /// The fields that hold its addresses, in the answers of both versions.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::PublicInbound => &["serviceIpAddress", "externalInboundIpAddresses"],
            Self::Outbound => &["outboundIpAddresses", "windowsOutboundIpAddresses", "linuxOutboundIpAddresses"],
            Self::InternalLoadBalancer => &["internalIpAddress", "internalInboundIpAddresses"],
            Self::AppAssigned => &["vipMappings"],
        }
    }
}

/// The addresses of an environment by kind; a kind that no answer told is left out.
pub type Addresses = BTreeMap<AddressKind, BTreeSet<IpAddr>>;

/// An environment. What no answer told is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// For example `ASEV2` or `ASEV3`.
    pub kind: Option<String>,
    /// For example `Ready` or `Scaling`; there is no such word for suspended.
    pub status: Option<String>,
    /// Whether it is suspended.
    pub suspended: Option<bool>,
    /// Its addresses.
    pub addresses: Addresses,
}

/// Reads the answers about one environment: the resource, its addresses (`capacities/virtualip`), its networking
/// configuration, in any order. `wanted` chooses one where a list has several. The second list has what could not be read.
///
/// # Errors
/// [`ReadError`], which says what a page is instead, or that the answers are about several environments.
pub fn read(pages: &[Page], wanted: Option<&str>) -> Result<(Environment, Vec<String>), ReadError> {
    let (mut found, mut left): (Vec<Environment>, Vec<String>) = (Vec::new(), Vec::new());
    for page in pages {
        for item in page.items() {
            let part = of_item(page, &item, &mut left)?;
            match found
                .iter_mut()
                .find(|known| part.name.is_empty() || known.name.is_empty() || known.name == part.name)
            {
                Some(known) => merge(known, part),
                None => found.push(part),
            }
        }
    }
    if let Some(name) = wanted {
        found.retain(|one| one.name.eq_ignore_ascii_case(name));
    }
    let Some(page) = pages.first() else { return Ok((Environment::default(), left)) };
    match found.len() {
        0 => Err(page.wrong("no environment of that name among the answers")),
        1 => Ok((found.swap_remove(0), left)),
        _ => {
            let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
            Err(page.wrong(format!("several environments ({}): say with --name which one is meant", names.join(", "))))
        }
    }
}

fn of_item(page: &Page, item: &Node<'_>, left: &mut Vec<String>) -> Result<Environment, ReadError> {
    let fields = AddressKind::ALL.iter().flat_map(|kind| kind.fields());
    let told = fields.chain(&["suspended", "networkingConfiguration"]).any(|field| item.has(field));
    if !told {
        let kind = item.text_of("type").map_or_else(String::new, |kind| format!(" (type {kind})"));
        return Err(page.wrong(format!("no environment and no addresses of one{kind}")));
    }
    let inner = item.get("networkingConfiguration");
    let mut addresses = Addresses::new();
    for kind in AddressKind::ALL {
        for node in [Some(item), inner.as_ref()].into_iter().flatten() {
            read_addresses(page, node, kind, &mut addresses, left);
        }
    }
    let is_part = item.text_of("type").is_some_and(|kind| kind.matches('/').count() > 1);
    let id = item.text_of("id").unwrap_or_default();
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case("hostingEnvironments"));
    let by_id = parts.nth(1).map(str::to_owned);
    let name = item.text_of("name").filter(|_| !is_part || by_id.is_none());
    let suspended = item.get("suspended");
    Ok(Environment {
        name: by_id.or(name).filter(|name| !name.eq_ignore_ascii_case("virtualip")).unwrap_or_default(),
        kind: item.text_of("kind"),
        status: item.text_of("status"),
        suspended: suspended
            .and_then(|flag| flag.value.as_bool().or_else(|| flag.text()?.to_ascii_lowercase().parse().ok())),
        addresses,
    })
}

/// A field that is there and null says that there is none of that kind.
fn read_addresses(page: &Page, node: &Node<'_>, kind: AddressKind, addresses: &mut Addresses, left: &mut Vec<String>) {
    for field in kind.fields().iter().filter(|field| node.has(field)) {
        let known = addresses.entry(kind).or_default();
        let listed = match kind {
            AddressKind::AppAssigned => {
                node.list(field).iter().filter_map(|mapping| mapping.get("virtualIP")).collect::<Vec<_>>()
            }
            AddressKind::PublicInbound | AddressKind::Outbound | AddressKind::InternalLoadBalancer => {
                node.texts(&[field])
            }
        };
        for item in listed {
            let text = item.text().unwrap_or_default();
            match text.parse() {
                Ok(address) => drop(known.insert(address)),
                Err(_) => left.push(format!("{}: {}: no address", page.from, item.path)),
            }
        }
    }
}

fn merge(known: &mut Environment, part: Environment) {
    if known.name.is_empty() {
        known.name = part.name;
    }
    known.kind = known.kind.take().or(part.kind);
    known.status = known.status.take().or(part.status);
    known.suspended = known.suspended.or(part.suspended);
    for (kind, addresses) in part.addresses {
        known.addresses.entry(kind).or_default().extend(addresses);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pages(values: &[Value]) -> Vec<Page> {
        values.iter().map(|value| Page::read("x.json", value.to_string().as_bytes()).expect("JSON")).collect()
    }

    const ID: &str = "/subscriptions/S/resourceGroups/R/providers/Microsoft.Web/hostingEnvironments/ase-1";

    fn resource(suspended: bool) -> Value {
        json!({"id": ID, "name": "ase-1", "type": "Microsoft.Web/hostingEnvironments", "kind": "ASEV2",
            "properties": {"status": "Ready", "suspended": suspended}})
    }

    fn addresses() -> Value {
        json!({"id": format!("{ID}/capacities/virtualip"), "name": "virtualip", "type": "Microsoft.Web/hostingEnvironments/capacities",
            "properties": {"serviceIpAddress": "203.0.113.30", "internalIpAddress": null, "outboundIpAddresses": ["203.0.113.30", "203.0.113.31"],
                "vipMappings": [{"virtualIP": "203.0.113.32", "internalHttpPort": 20003}]}})
    }

    #[test]
    fn resource_and_addresses_are_one_environment_in_any_order() {
        for order in [[resource(true), addresses()], [addresses(), resource(true)]] {
            let (one, left) = read(&pages(&order), None).expect("an environment");
            assert_eq!((one.name.as_str(), one.kind.as_deref(), one.suspended), ("ase-1", Some("ASEV2"), Some(true)));
            let counts: Vec<_> = one.addresses.iter().map(|(kind, set)| (kind.label(), set.len())).collect();
            assert_eq!(
                counts,
                [("public_inbound", 1), ("outbound", 2), ("internal_load_balancer", 0), ("app_assigned", 1)]
            );
            assert!(left.is_empty());
        }
    }

    #[test]
    fn version_3_has_its_addresses_in_the_networking_configuration() {
        let v3 = json!({"name": "ase-3", "kind": "ASEV3", "properties": {"suspended": false, "networkingConfiguration": {
            "windowsOutboundIpAddresses": ["203.0.113.40"], "linuxOutboundIpAddresses": ["203.0.113.41"],
            "externalInboundIpAddresses": ["203.0.113.42"], "internalInboundIpAddresses": []}}});
        let (one, _) = read(&pages(&[v3]), None).expect("an environment");
        assert_eq!(one.addresses[&AddressKind::Outbound].len(), 2);
        assert!(!one.addresses.contains_key(&AddressKind::AppAssigned), "nobody told");
    }

    #[test]
    fn several_environments_are_not_guessed_between_and_other_answers_are_refused() {
        let list = json!({"value": [resource(false), {"name": "ase-2", "properties": {"suspended": true}}]});
        let error = read(&pages(std::slice::from_ref(&list)), None).expect_err("two").to_string();
        assert!(error.contains("ase-1, ase-2"), "{error}");
        assert_eq!(read(&pages(&[list]), Some("ASE-2")).expect("one").0.suspended, Some(true));
        let disk = json!({"type": "Microsoft.Compute/disks", "name": "d"});
        assert!(read(&pages(&[disk]), None).expect_err("a disk").to_string().contains("Microsoft.Compute/disks"));
        let (_, left) =
            read(&pages(&[json!({"name": "a", "serviceIpAddress": "nine"})]), None).expect("an environment");
        assert_eq!(left, ["x.json: serviceIpAddress: no address"]);
    }
}
