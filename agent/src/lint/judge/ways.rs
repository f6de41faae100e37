//! Whether the routes take what the service needs where it has to go, and leave its own subnet alone.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::lint::{
    addresses::AddressSet,
    finding::{Finding, Kind, Packet, Report, Severity, Unjudged},
    judge::{Case, endpoints::has, flows, mend},
    read::last_name,
    requirements::Level,
    route::{NextHop, Origin, Route, Table},
    routing::{Routing, Way},
    rule::AddressTerm,
    tags::Tag,
};

/// So many addresses of the Internet are no list of unwanted ones: a /8.
const LARGE: u128 = 1 << 24;

/// Checks a table.
pub(super) fn check(case: &Case<'_>, table: &Table, report: &mut Report) {
    let routing = Routing::new(Some(table), &case.nets.1, &case.world);
    let look = Look { case, table, routing: &routing };
    let needs = &case.profile().routes;
    if let Some(level) = needs.own_subnet {
        look.own_subnet(level, report);
    }
    if needs.management {
        look.management(report);
        look.public(report);
    }
    if needs.management || needs.own_subnet.is_some() {
        look.without_route(report);
    }
}

/// What goes astray of each requirement: the destinations whose way is not the wanted one.
pub(super) fn astray(case: &Case<'_>, table: &Table) -> BTreeMap<&'static str, AddressSet> {
    let routing = Routing::new(Some(table), &case.nets.1, &case.world);
    let look = Look { case, table, routing: &routing };
    let union = |ways: Vec<Way>| ways.into_iter().map(|way| way.destinations).collect::<AddressSet>();
    let of = |wanted: &AddressSet| union(look.astray(wanted));
    let leaves = |way: &Way| !routing.hops(way).iter().all(|hop| matches!(hop, NextHop::VnetLocal));
    let own = routing.ways(&case.world.subnet).into_iter().filter(leaves).collect();
    BTreeMap::from([
        ("management", of(&look.wanted_management())),
        ("ip-dependencies", of(&look.ip_addresses())),
        ("own-subnet", union(own)),
    ])
}

/// A table of the case, ready to be looked at.
pub(super) struct Look<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) table: &'a Table,
    pub(super) routing: &'a Routing,
}

impl Look<'_> {
    pub(super) fn finding(&self, requirement: &str, severity: Severity, message: String) -> Finding {
        Finding {
            requirement: Some(requirement.to_owned()),
            resource: Some(self.table.name.clone()),
            source: self
                .case
                .profile()
                .sources
                .get("FW")
                .map(|source| format!("{}, edition {}", source.document, source.as_of)),
            ..Finding::new(Kind::Route, severity, message)
        }
    }

    /// A finding about a way, named by its route and shown by a packet.
    fn of_way(&self, way: &Way, finding: Finding) -> Finding {
        self.of_packet(way, (49_152, 443), finding)
    }

    /// The same, by the ports of the packet.
    pub(super) fn of_packet(
        &self,
        way: &Way,
        (source_port, destination_port): (u16, u16),
        finding: Finding,
    ) -> Finding {
        let route = &self.routing.routes[way.routes[0]];
        let packet = Packet {
            direction: "Outbound".to_owned(),
            protocol: "TCP".to_owned(),
            source: flows::end(&self.case.world, &self.case.world.subnet),
            source_port,
            destination: flows::end(&self.case.world, &way.destinations),
            destination_port,
        };
        let confirm = mend::next_hop(&packet, self.resource_group());
        let (rule, at) = (Some(route.name.clone()), Some(route.at.clone()));
        Finding { rule: rule.clone(), by: rule, at, packet: Some(packet), confirm: Some(confirm), ..finding }
    }

    /// The resource group of the table, or a word for it.
    fn resource_group(&self) -> &str {
        mend::resource_group(self.table.id.as_deref())
    }

    pub(super) fn hop(&self, way: &Way) -> String {
        self.routing.hops(way).iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// Whether a way leads straight out. What an endpoint takes never meets the tunnel.
    fn is_straight(&self, way: &Way) -> bool {
        self.routing.hops(way).iter().all(|hop| matches!(hop, NextHop::Internet | NextHop::ServiceEndpoint))
    }

    /// Whether only a deployment knows where a way leads, or a route of which nothing says what it is for may lead it straight.
    pub(super) fn is_open(&self, way: &Way) -> bool {
        let mends = |route: &Route| matches!(route.next_hop, NextHop::Internet | NextHop::Unknown(_));
        self.routing.hops(way).iter().any(|hop| matches!(hop, NextHop::Unknown(_)))
            || self.routing.doubts(way).any(mends)
    }

    fn own_subnet(&self, level: Level, report: &mut Report) {
        for way in self.routing.ways(&self.case.world.subnet) {
            let route = &self.routing.routes[way.routes[0]];
            let stays = matches!(route.next_hop, NextHop::VnetLocal | NextHop::Unknown(_));
            let fabric = route.origin == Origin::System && !self.table.effective;
            let mends = |route: &Route| matches!(route.next_hop, NextHop::VnetLocal | NextHop::Unknown(_));
            if stays || fabric || self.routing.doubts(&way).any(mends) {
                continue;
            }
            // Without the network's prefixes a shorter route may be beaten by the network's own.
            let shorter = |term: &AddressTerm| matches!(term, AddressTerm::Net(net) if self.case.nets.0.iter().any(|own| net.prefix_len() < own.prefix_len()));
            if self.case.nets.1.is_empty() && route.destinations.iter().any(shorter) {
                report.could_not_judge.push(Unjudged {
                    requirement: Some("own-subnet".to_owned()),
                    rule: Some(route.name.clone()),
                    at: Some(route.at.clone()),
                    why: "whether it beats the network's own route depends on the network's prefixes (--vnet)"
                        .to_owned(),
                });
                continue;
            }
            let message = format!(
                "{} sends the subnet's own addresses to {}: traffic between its instances leaves the subnet",
                route.name,
                self.hop(&way)
            );
            report.findings.push(self.of_way(&way, self.finding("own-subnet", level.into(), message)));
        }
    }

    /// Public destinations that no route of an interface is for. Azure always lists a default route, so the view was cut or
    /// these packets are dropped.
    fn without_route(&self, report: &mut Report) {
        let everywhere = self.case.world.internet.intersection(&AddressSet::every_v4());
        let routed: AddressSet = self.routing.ways(&everywhere).into_iter().map(|way| way.destinations).collect();
        let left = everywhere.minus(&routed);
        if left.is_empty() {
            return;
        }
        report.could_not_judge.push(Unjudged {
            requirement: Some("internet".to_owned()),
            why: format!(
                "no effective route is for {}: the list was cut, or the fabric drops it",
                flows::show_set(&self.case.world, &left)
            ),
            ..Unjudged::default()
        });
    }

    /// The ways of destinations that do not lead straight out, as far as that is known.
    fn astray(&self, wanted: &AddressSet) -> Vec<Way> {
        self.routing.ways(wanted).into_iter().filter(|way| !self.is_straight(way) && !self.is_open(way)).collect()
    }

    /// The management addresses: this environment's own list, else the documented ones.
    fn wanted_management(&self) -> AddressSet {
        let own = self
            .case
            .export
            .inbound
            .iter()
            .filter(|entry| entry.description.to_ascii_lowercase().contains("management"));
        let listed: Vec<IpNet> = own.flat_map(|entry| entry.endpoints.clone()).collect();
        if listed.is_empty() { self.case.management.current() } else { AddressSet::of(&listed) }
    }

    /// The addresses that must be reached straight, too.
    fn ip_addresses(&self) -> AddressSet {
        let all: Vec<IpNet> =
            self.case.profile().routes.ip_dependencies.iter().map(|address: &IpAddr| (*address).into()).collect();
        AddressSet::of(&all)
    }

    /// Answers to the platform must leave by the way the question came in.
    fn management(&self, report: &mut Report) {
        let management = &self.case.management;
        let tag = self.case.world.term(&AddressTerm::Tag(management.tag.clone())).sure;
        let wanted = self.wanted_management();
        let lost = self.astray(&wanted);
        let count: u128 = lost.iter().map(|way| way.destinations.count()).sum();
        if let Some(way) = lost.iter().max_by_key(|way| way.destinations.count()) {
            let message = format!(
                "{count} of {} management addresses go to {} by {}: answers leave by another way than the question came, and the \
                 environment cannot be managed; route the tag {} to Internet",
                wanted.count(),
                self.hop(way),
                self.routing.routes[way.routes[0]].name,
                management.tag
            );
            let fix = format!(
                "az network route-table route create -g {} --route-table-name {} -n app-service-management --address-prefix {} \
                 --next-hop-type Internet",
                self.resource_group(),
                last_name(&self.table.name),
                management.tag
            );
            let finding = Finding { fix: Some(fix), ..self.finding("management", Severity::Critical, message) };
            report.findings.push(self.of_way(way, finding));
            return;
        }
        if let Some(way) = self.astray(&tag.minus(&wanted)).first() {
            let message = format!(
                "all {} documented management addresses go to Internet, but other addresses of the tag {} go to {}: the list is the \
                 documented minimum ({}), the tag is safer",
                wanted.count(),
                management.tag,
                self.hop(way),
                management.source
            );
            report.findings.push(self.of_way(way, self.finding("management", Severity::Info, message)));
        }
    }

    /// Where everything else goes, and what must not go there.
    fn public(&self, report: &mut Report) {
        let everywhere = self.case.world.internet.intersection(&AddressSet::every_v4());
        let main = self.routing.ways(&everywhere).into_iter().max_by_key(|way| way.destinations.count());
        let Some(main) = main.filter(|way| !self.is_straight(way)) else {
            self.lost_parts(&everywhere, report);
            return self.services(report);
        };
        if self.is_open(&main) {
            report.could_not_judge.push(Unjudged {
                requirement: Some("ip-dependencies".to_owned()),
                rule: Some(self.routing.routes[main.routes[0]].name.clone()),
                at: Some(self.routing.routes[main.routes[0]].at.clone()),
                why: format!("where it leads ({}) only a deployment knows", self.hop(&main)),
            });
            return;
        }
        if self.routing.hops(&main).contains(&&NextHop::Nowhere) {
            let message = format!(
                "{} drops everything that is not routed otherwise: the environment loses what it depends on",
                self.routing.routes[main.routes[0]].name
            );
            report.findings.push(self.of_way(&main, self.finding("internet", Severity::Critical, message)));
            return;
        }
        self.ip_dependencies(&main, report);
        self.endpoints(&main, report);
        self.lost_parts(&everywhere, report);
    }

    /// Large parts of the Internet that are dropped, though most of it is not.
    fn lost_parts(&self, everywhere: &AddressSet, report: &mut Report) {
        let is_large = |way: &&Way| way.destinations.count() >= LARGE;
        let dropped = |way: &&Way| self.routing.hops(way).contains(&&NextHop::Nowhere);
        let ways = self.routing.ways(everywhere);
        for way in ways.iter().filter(is_large).filter(dropped) {
            let message = format!(
                "{} drops {}: whatever the environment depends on there is lost",
                self.routing.routes[way.routes[0]].name,
                flows::show_set(&self.case.world, &way.destinations)
            );
            report.findings.push(self.of_way(way, self.finding("internet", Severity::Critical, message)));
        }
    }

    /// Services that a route by their tag takes away, though everything else goes straight out. What an endpoint takes goes
    /// past every route.
    fn services(&self, report: &mut Report) {
        let needed = &self.case.profile().routes.service_endpoints;
        let endpoint_of = |tag: &Tag| needed.iter().find(|one| one.rsplit('.').next() == Some(tag.service()));
        for route in self.table.routes.iter().filter(|route| route.origin == Origin::User) {
            for tag in route
                .destinations
                .iter()
                .filter_map(|term| if let AddressTerm::Tag(tag) = term { Some(tag) } else { None })
            {
                let Some(endpoint) = endpoint_of(tag) else { continue };
                let why = match (&route.next_hop, &self.case.service_endpoints) {
                    (NextHop::Internet | NextHop::ServiceEndpoint | NextHop::Unknown(_), _) => continue,
                    (_, Some(present)) if has(present, endpoint) => continue,
                    (NextHop::Nowhere, _) => format!("{} drops {tag}, which the environment depends on", route.name),
                    (hop, Some(_)) => format!(
                        "{} sends {tag} to {hop} and the subnet lacks the service endpoint {endpoint}: {tag} through an appliance is not supported",
                        route.name
                    ),
                    (hop, None) => {
                        report.could_not_judge.push(endpoints_unsaid(route, &format!("{tag} goes to {hop}")));
                        continue;
                    }
                };
                let rule = Some(route.name.clone());
                report.findings.push(Finding {
                    rule: rule.clone(),
                    by: rule,
                    at: Some(route.at.clone()),
                    ..self.finding("service-endpoints", Severity::Critical, why)
                });
            }
        }
    }

    fn ip_dependencies(&self, main: &Way, report: &mut Report) {
        let lost: Vec<Way> = self.astray(&self.ip_addresses());
        let Some(way) = lost.first() else { return };
        let missing: AddressSet = lost.iter().map(|way| way.destinations.clone()).collect();
        let message = format!(
            "{} go to {}: the page wants them routed straight to Internet (80, 443; the tag AzureMonitor covers them), and a firewall must pass \
             UDP 123 and TCP 12000 to any address",
            flows::show_set(&self.case.world, &missing),
            self.hop(main)
        );
        report.findings.push(self.of_way(way, self.finding("ip-dependencies", Severity::Warning, message)));
    }

    /// Through an appliance Sql, Storage and EventHub are supported by service endpoints only.
    fn endpoints(&self, main: &Way, report: &mut Report) {
        let needed = &self.case.profile().routes.service_endpoints;
        let Some(present) = &self.case.service_endpoints else {
            let route = &self.routing.routes[main.routes[0]];
            report.could_not_judge.push(endpoints_unsaid(route, &format!("everything goes to {}", self.hop(main))));
            return;
        };
        let missing: Vec<&str> = needed.iter().map(String::as_str).filter(|wanted| !has(present, wanted)).collect();
        if missing.is_empty() {
            return;
        }
        let critical = missing.iter().any(|one| one.ends_with("Sql") || one.ends_with("Storage"));
        let message = format!(
            "everything goes to {} and the subnet lacks the service endpoints {}: SQL, storage and event hub through an appliance are not \
             supported{}",
            self.hop(main),
            missing.join(", "),
            if missing.contains(&"Microsoft.Sql") {
                "; the endpoint for Sql counts for every Azure SQL server that is reached from the subnet"
            } else {
                ""
            }
        );
        let severity = if critical { Severity::Critical } else { Severity::Warning };
        let fix = format!(
            "az network vnet subnet update {} --service-endpoints {}",
            mend::subnet_arguments(self.case.subnet),
            union(present, &missing)
        );
        let finding = Finding { fix: Some(fix), ..self.finding("service-endpoints", severity, message) };
        report.findings.push(self.of_way(main, finding));
    }
}

/// Where a route leads is no fault if the subnet has an endpoint, and nobody said whether it has.
fn endpoints_unsaid(route: &Route, leads: &str) -> Unjudged {
    Unjudged {
        requirement: Some("service-endpoints".to_owned()),
        rule: Some(route.name.clone()),
        at: Some(route.at.clone()),
        why: format!("{leads}: say which service endpoints the subnet has (its file, or --service-endpoints)"),
    }
}

fn union(present: &[String], missing: &[&str]) -> String {
    present.iter().map(String::as_str).chain(missing.iter().copied()).collect::<Vec<_>>().join(" ")
}
