//! Whether the subnet that this machine is in mirrors the environment's, by an export of both: the same group, the same route
//! table, the same service endpoints. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    lint::{read::Export, route::Subnet},
    model::exports::Exports,
};

/// What an export says of the two subnets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// It has no subnet with this machine's address.
    OwnMissing,
    /// It has no subnet that can be the environment's.
    EnvironmentMissing,
    /// It has both: their names, and what differs, in plain words.
    Compared {
        /// This machine's.
        own: String,
        /// The environment's.
        environment: String,
        /// What differs; empty where one mirrors the other.
        differences: Vec<String>,
    },
}

/// Compares the subnet that holds this address with the environment's: the one whose prefix the configuration names, else the one
/// that is delegated to environments, else the only other one.
pub fn mirror(export: &Export, known: &Exports, stands: IpAddr) -> Mirror {
    let is_own = |subnet: &&Subnet| subnet.prefixes.iter().any(|prefix| prefix.contains(&stands));
    let others: Vec<&Subnet> = export.subnets.iter().filter(|subnet| !is_own(subnet)).collect();
    let named = |subnet: &&&Subnet| subnet.prefixes.iter().any(|prefix| known.subnet.contains(prefix));
    let delegated = |subnet: &&&Subnet| {
        subnet.delegations.iter().any(|service| service.eq_ignore_ascii_case("Microsoft.Web/hostingEnvironments"))
    };
    let only = if let [one] = others[..] { Some(one) } else { None };
    let environment = others.iter().find(named).or(others.iter().find(delegated)).copied().or(only);
    let Some(own) = export.subnets.iter().find(is_own) else { return Mirror::OwnMissing };
    let Some(environment) = environment else { return Mirror::EnvironmentMissing };
    let mut differences = Vec::new();
    differences.extend(id_differs("security group", &own.group, &environment.group));
    differences.extend(id_differs("route table", &own.table, &environment.table));
    let services = |subnet: &Subnet| subnet.service_endpoints.iter().map(|name| name.to_ascii_lowercase()).collect();
    let (ours, theirs): (BTreeSet<String>, BTreeSet<String>) = (services(own), services(environment));
    if ours != theirs {
        let list = |names: &BTreeSet<String>| {
            if names.is_empty() { "none".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
        };
        differences.push(format!("service endpoints here {}, there {}", list(&ours), list(&theirs)));
    }
    Mirror::Compared { own: own.name.clone(), environment: environment.name.clone(), differences }
}

/// Ids are compared without regard to case, as Azure does.
fn id_differs(what: &str, own: &Option<String>, environment: &Option<String>) -> Option<String> {
    let lower = |id: &Option<String>| id.as_ref().map(|id| id.to_ascii_lowercase());
    let short = |id: &Option<String>| {
        id.as_ref().map_or("none".to_owned(), |id| id.rsplit('/').next().unwrap_or_default().to_owned())
    };
    let differs = lower(own) != lower(environment);
    differs.then(|| format!("{what} here {}, there {}", short(own), short(environment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn known(subnet: &[&str]) -> Exports {
        Exports {
            files: Vec::new(),
            subnet: subnet.iter().map(|prefix| prefix.parse().expect("a prefix")).collect(),
            vnet: Vec::new(),
            group: None,
            table: None,
            is_internal: None,
            service_endpoints: None,
            suppress: BTreeMap::new(),
            stale_after: crate::model::exports::STALE_AFTER,
        }
    }

    fn subnet(name: &str, prefix: &str, group: &str, table: &str) -> Subnet {
        let id = |kind: &str, name: &str| (!name.is_empty()).then(|| format!("/subscriptions/1/{kind}/{name}"));
        Subnet {
            name: name.to_owned(),
            id: None,
            location: None,
            prefixes: vec![prefix.parse().expect("a prefix")],
            has_single_prefix: true,
            delegations: Vec::new(),
            service_endpoints: Vec::new(),
            group: id("networkSecurityGroups", group),
            table: id("routeTables", table),
            interfaces: None,
            ..Subnet::default()
        }
    }

    fn compared(subnets: Vec<Subnet>, named: &[&str]) -> Mirror {
        let export = Export { subnets, ..Export::default() };
        mirror(&export, &known(named), IpAddr::from([10, 0, 2, 7]))
    }

    fn differences(subnets: Vec<Subnet>, named: &[&str]) -> Vec<String> {
        match compared(subnets, named) {
            Mirror::Compared { differences, .. } => differences,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mirror_has_the_same_group_routes_and_endpoints() {
        let environment = subnet("ase", "10.0.1.0/24", "ASE-nsg", "ase-routes");
        let own = subnet("mirror", "10.0.2.0/28", "ase-NSG", "ase-routes");
        assert_eq!(differences(vec![environment.clone(), own.clone()], &[]), Vec::<String>::new());
        let other = Subnet { service_endpoints: vec!["Microsoft.Sql".to_owned()], table: None, ..own };
        assert_eq!(
            differences(vec![environment, other], &[]),
            ["route table here none, there ase-routes", "service endpoints here microsoft.sql, there none"]
        );
    }

    #[test]
    fn the_environment_s_subnet_is_the_named_one_then_the_delegated_one_then_the_only_other_one() {
        let own = subnet("mirror", "10.0.2.0/28", "a", "");
        let mut delegated = subnet("v3", "10.0.3.0/24", "b", "");
        delegated.delegations.push("microsoft.web/hostingenvironments".to_owned());
        let named = subnet("v2", "10.0.1.0/24", "c", "");
        let all = vec![own.clone(), delegated, named.clone()];
        assert_eq!(differences(all.clone(), &["10.0.1.0/24"]), ["security group here a, there c"]);
        assert_eq!(differences(all, &[]), ["security group here a, there b"]);
        let third = subnet("other", "10.0.4.0/24", "d", "");
        assert_eq!(compared(vec![own.clone(), named.clone(), third], &[]), Mirror::EnvironmentMissing);
        assert_eq!(compared(vec![named], &[]), Mirror::OwnMissing);
        assert_eq!(compared(vec![own], &[]), Mirror::EnvironmentMissing);
    }
}
