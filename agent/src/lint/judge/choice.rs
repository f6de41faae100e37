//! Which subnet, groups and table of the exports are judged: what is named, else what the subnet says is assigned, else the
//! only one.

use crate::lint::{
    finding::{Report, Unjudged},
    judge::{
        Case, Question,
        assigned::{self, Given},
    },
    read::{Export, name_of, same_name},
    route::{Subnet, Table},
    rule::Group,
};

/// The subnet of the files: the one of the prefix asked for, the only one that is delegated as the profile wants it, or the
/// only one.
pub(super) fn subnet<'a>(question: &Question, export: &'a Export) -> Option<&'a Subnet> {
    let asked = |subnet: &&Subnet| subnet.prefixes.iter().any(|prefix| question.subnet.contains(prefix));
    let delegated = |subnet: &&Subnet| {
        let wanted = question.profile.subnet.delegation.as_deref();
        wanted.is_some_and(|wanted| subnet.delegations.iter().any(|one| one.eq_ignore_ascii_case(wanted)))
    };
    match export.subnets.as_slice() {
        [only] => Some(only),
        several => several.iter().find(asked).or_else(|| {
            let fitting: Vec<_> = several.iter().filter(delegated).collect();
            if let [one] = fitting.as_slice() { Some(*one) } else { None }
        }),
    }
}

impl<'a> Case<'a> {
    /// The groups that count: the one named or assigned, all of an effective view, the only one.
    pub(super) fn groups(&self, report: &mut Report) -> Vec<&'a Group> {
        let all = &self.export.groups;
        let assigned = self.subnet.and_then(|subnet| subnet.group.as_deref());
        let wanted = self.question.group.as_deref().or(assigned).map(name_of);
        let is_wanted = |group: &&Group| wanted.as_ref().is_some_and(|wanted| same_name(&group.name, wanted));
        let named: Vec<&Group> = all.iter().filter(is_wanted).collect();
        let chosen = match all.as_slice() {
            _ if !named.is_empty() => named,
            [] | [_] => all.iter().collect(),
            several if several.iter().all(|group| group.effective) => return several.iter().collect(),
            several => {
                let names: Vec<_> = several.iter().map(|group| group.name.as_str()).collect();
                report.could_not_judge.push(Unjudged {
                    why: format!(
                        "{} groups ({}): say with --nsg which one is the subnet's",
                        names.len(),
                        names.join(", ")
                    ),
                    ..Unjudged::default()
                });
                return Vec::new();
            }
        };
        for group in &chosen {
            assigned::check(self, &Given::group(group, wanted.as_deref()), report);
        }
        chosen
    }

    /// The table that counts, by the same rules; an effective view before all.
    pub(super) fn table(&self, report: &mut Report) -> Option<&'a Table> {
        let all = &self.export.tables;
        if let Some(effective) = all.iter().find(|table| table.effective) {
            return Some(effective);
        }
        let assigned = self.subnet.and_then(|subnet| subnet.table.as_deref());
        let wanted = self.question.table.as_deref().or(assigned).map(name_of);
        let found = wanted.as_ref().and_then(|name| all.iter().find(|table| same_name(&table.name, name)));
        let only = || if let [only] = all.as_slice() { Some(only) } else { None };
        let chosen = found.or_else(only);
        match chosen {
            Some(table) => assigned::check(self, &Given::table(table, wanted.as_deref()), report),
            None if all.is_empty() => {}
            None => report.could_not_judge.push(Unjudged {
                why: format!("{} route tables: say with --route-table which one is the subnet's", all.len()),
                ..Unjudged::default()
            }),
        }
        chosen
    }
}
