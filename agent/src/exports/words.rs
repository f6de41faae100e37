//! What exports say about an incident, in sentences: what does it, what to do next, what to type.

use std::{net::IpAddr, time::Duration};

use crate::{
    exports::said::{ExportVerdict, Part, Said, hops, nowhere, ways},
    lint::{
        judge::passage::{ByRoutes, ByRules, RouteName, RuleName},
        read::last_name,
        route::NextHop,
        rule::Access,
        traffic::show_ports,
    },
    model::diagnosis::Incident,
};

/// Addresses that a sentence names; of the others the number.
const NAMED: usize = 3;

/// All of it in one sentence: what decides, and how far that can be relied on.
pub(super) fn line(said: &Said, incident: &Incident) -> String {
    let worst: Vec<&Part> = said.parts.iter().filter(|part| part.verdict == said.verdict).collect();
    let told = worst.iter().take(2).map(|part| of_part(part)).collect::<Vec<_>>().join("; ");
    let others = said.parts.len() - worst.len();
    let mut line = match said.verdict {
        ExportVerdict::Contradicted => format!("{told}; {}", contradiction(said)),
        ExportVerdict::Allowed => format!("{told}: the suspect is beyond the exports: {}", beyond(&worst)),
        ExportVerdict::Unknown | ExportVerdict::Detour | ExportVerdict::Dropped => told,
    };
    if others > 0 && said.verdict != ExportVerdict::Contradicted {
        line.push_str("; nothing of that kind stops the other flows of this incident");
    }
    if let (Some(false), Some(source)) = (said.is_inside, said.source) {
        line.push_str(&format!(
            "; measured from {source}, outside the exported subnet: it holds here if both have the same group and table"
        ));
    }
    line.push_str(&age(said, incident));
    line
}

/// How old the exports are beside the incident.
fn age(said: &Said, incident: &Incident) -> String {
    let Some(written) = said.written else { return String::new() };
    let older = incident.since.saturating_sub(written);
    match (said.is_stale, older.is_zero()) {
        (true, _) => format!(
            "; the export is stale, {} older than the incident: export again before you rely on it",
            coarse(older)
        ),
        (false, true) => "; exported after it began".to_owned(),
        (false, false) => format!("; exported {} before it began", coarse(older)),
    }
}

fn of_part(part: &Part) -> String {
    if let ByRules::Denied(rule) | ByRules::PartlyDenied(rule) = &part.rules {
        let also =
            nowhere(&part.routes).map(|route| format!("; {} would, too", route_words(route))).unwrap_or_default();
        return format!("{}{also}", denied(rule, part));
    }
    if let Some(route) = nowhere(&part.routes) {
        return format!("{} with next hop None drops it ({}; here {})", of_prefix(route), of_table(route), flow(part));
    }
    match (&part.rules, &part.routes) {
        (ByRules::Open(doubt), _) => {
            let otherwise = match &doubt.otherwise {
                Some((Access::Deny, rule)) => format!("; else {}", denied(rule, part)),
                Some((Access::Allow, rule)) => format!("; else {} allows it", rule_words(rule)),
                None => String::new(),
            };
            format!(
                "whether the exported rules pass {} is not known: {}{otherwise}{}",
                flow(part),
                doubt.why,
                way(part)
            )
        }
        (_, ByRoutes::Open(why)) => {
            format!("where the exported routes send {} is not known: {why}{}", flow(part), passed(part))
        }
        _ if part.verdict == ExportVerdict::Unknown => {
            format!("where the exported routes send {} is not known{}{}", flow(part), way(part), passed(part))
        }
        _ if part.verdict == ExportVerdict::Detour => detour(part),
        _ => format!("{}{}", passed_first(part), way(part)),
    }
}

/// `DenyAllOutbound, priority 4000, drops TCP 12000 to any (group ase-nsg; here to 203.0.113.9)`.
fn denied(rule: &RuleName, part: &Part) -> String {
    let some = if matches!(part.rules, ByRules::PartlyDenied(_)) { "some of " } else { "" };
    format!(
        "{}, drops {some}{} {} to {} (group {}; here to {})",
        rule_words(rule),
        part.protocol,
        show_ports(&part.ports),
        rule.destination,
        rule.group,
        addresses(&part.destinations)
    )
}

fn detour(part: &Part) -> String {
    let away = ways(&part.routes).iter().find(|(_, hop)| matches!(hop, NextHop::Appliance(_) | NextHop::Gateway));
    let Some((route, hop)) = away else { return passed_first(part) };
    format!(
        "{} goes to {hop} by route {} ({} of {}){}{}",
        flow(part),
        route.name,
        route.prefix,
        of_table(route),
        unless(part),
        passed(part)
    )
}

/// That rules let it pass, as a part of a sentence about routes.
fn passed(part: &Part) -> String {
    match &part.rules {
        ByRules::Allowed(rule) => format!("; {} allows it", rule_words(rule)),
        ByRules::NotExported => "; no security group is exported".to_owned(),
        ByRules::Exempt | ByRules::Denied(_) | ByRules::PartlyDenied(_) | ByRules::Open(_) => String::new(),
    }
}

fn passed_first(part: &Part) -> String {
    match &part.rules {
        ByRules::Allowed(rule) => format!("the exported rules allow {} ({})", flow(part), rule_words(rule)),
        ByRules::Exempt => format!(
            "rules and routes do not touch {}, the platform's own; only a rule by its tag could, and none that is exported does",
            flow(part)
        ),
        ByRules::NotExported | ByRules::Denied(_) | ByRules::PartlyDenied(_) | ByRules::Open(_) => {
            format!("no exported rule or route stops {}", flow(part))
        }
    }
}

/// Where routes send it, as a part of a sentence about rules.
fn way(part: &Part) -> String {
    let words: Vec<String> =
        ways(&part.routes).iter().map(|(route, hop)| format!("{} sends it to {hop}", route_words(route))).collect();
    if words.is_empty() { String::new() } else { format!(", and {}{}", words.join(" and "), unless(part)) }
}

fn unless(part: &Part) -> String {
    match &part.routes {
        ByRoutes::Way { unless: Some(route), .. } => {
            format!(", unless it belongs to {}, for which {} is", route.prefix, route.name)
        }
        _ => String::new(),
    }
}

fn contradiction(said: &Said) -> String {
    match said.witnesses.as_slice() {
        [] => "but something of it comes through, which no rule and no next hop None lets: other rules are in force than were exported".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            format!("but {first}{more} would be stopped as well and works: other rules are in force than were exported")
        }
    }
}

/// Who is left where the exports are not to blame.
fn beyond(parts: &[&Part]) -> String {
    let mut suspects = Vec::new();
    if parts.iter().any(|part| part.rules == ByRules::NotExported) {
        suspects.push("the security group, which is not exported");
    }
    if parts.iter().any(|part| part.routes == ByRoutes::NotExported) {
        suspects.push("the route table, which is not exported");
    }
    suspects.push("security admin rules of a network manager");
    suspects.push("an appliance or gateway that no exported route names");
    suspects.push("the peer's own firewall");
    suspects.push("a change since the export");
    suspects.join(", ")
}

/// What to do next, where the exports tell.
pub(super) fn next(said: &Said) -> Option<String> {
    let part = said.parts.iter().find(|part| part.verdict == said.verdict)?;
    let again = if said.is_stale { "export again first, for the export is stale; then " } else { "" };
    let step = match said.verdict {
        ExportVerdict::Dropped => match &part.rules {
            ByRules::Denied(rule) | ByRules::PartlyDenied(rule) => {
                format!("let {} pass in group {} before {}", flow(part), rule.group, rule_words(rule))
            }
            _ => {
                let route = nowhere(&part.routes)?;
                format!("give {} of {} a next hop, or take it out", route_words(route), of_table(route))
            }
        },
        ExportVerdict::Detour => {
            let hop = hops(&part.routes).find(|hop| matches!(hop, NextHop::Appliance(_) | NextHop::Gateway))?;
            format!("look for {} in the rules and the log of {hop}", flow(part))
        }
        ExportVerdict::Contradicted => {
            return Some("export rules and routes again: those that were exported are not in force".to_owned());
        }
        ExportVerdict::Allowed => format!(
            "look beyond the exported rules and routes: security admin rules of a network manager, an appliance on the way, the peer's own \
             firewall for {}",
            flow(part)
        ),
        ExportVerdict::Unknown => return None,
    };
    Some(format!("{again}{step}"))
}

/// What to type to see what decides as it is in force now.
pub(super) fn commands(said: &Said) -> Vec<String> {
    let Some(part) = said.parts.iter().find(|part| part.verdict == said.verdict) else { return Vec::new() };
    let route = nowhere(&part.routes).or_else(|| ways(&part.routes).first().map(|(route, _)| route));
    let shows_rule = |rule: &RuleName| {
        let group = quoted(&rule.group);
        match rule.is_default {
            true => format!("az network nsg rule list -g GROUP --nsg-name {group} --include-default -o table"),
            false => {
                format!("az network nsg rule show -g GROUP --nsg-name {group} -n {}", quoted(last_name(&rule.name)))
            }
        }
    };
    let shows_route = |route: &RouteName| {
        format!(
            "az network route-table route show -g GROUP --route-table-name {} -n {}",
            quoted(&route.table),
            quoted(&route.name)
        )
    };
    let effective = ["list-effective-nsg", "show-effective-route-table"];
    match (said.verdict, &part.rules) {
        (ExportVerdict::Dropped, ByRules::Denied(rule) | ByRules::PartlyDenied(rule)) => vec![shows_rule(rule)],
        (ExportVerdict::Dropped | ExportVerdict::Detour, _) => {
            route.filter(|route| !route.is_system).map(shows_route).into_iter().collect()
        }
        (ExportVerdict::Contradicted | ExportVerdict::Allowed, _) => {
            effective.map(|what| format!("az network nic {what} -g GROUP -n NIC")).to_vec()
        }
        (ExportVerdict::Unknown, _) => Vec::new(),
    }
}

/// A name as a shell takes it; what is in a file is never typed as it stands.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

fn rule_words(rule: &RuleName) -> String {
    match rule.priority {
        Some(priority) => format!("{}, priority {priority}", rule.name),
        None => rule.name.clone(),
    }
}

fn of_prefix(route: &RouteName) -> String {
    format!("route {}", route.prefix)
}

fn of_table(route: &RouteName) -> String {
    if route.is_system {
        "the fabric's own".to_owned()
    } else {
        format!("route {} of table {}", route.name, route.table)
    }
}

fn route_words(route: &RouteName) -> String {
    if route.is_system { route.name.clone() } else { format!("route {} ({})", route.name, route.prefix) }
}

/// `TCP 443 to 203.0.113.9, 203.0.113.10`.
fn flow(part: &Part) -> String {
    format!("{} {} to {}", part.protocol, show_ports(&part.ports), addresses(&part.destinations))
}

fn addresses(all: &[IpAddr]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A duration as coarse as a person would say it: `40s`, `12m`, `3h 5m`, `2d 4h`.
pub fn coarse(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}
