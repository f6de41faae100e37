//! `az deployment … what-if --no-pretty-print`: what stands once the deployment is done, read from the changes it foretells.

use serde_json::{Value, json};

use crate::lint::{
    read::{
        Export,
        expression::{name_of, same_name},
        node::Node,
        routes, rules,
        template::{self, Parent},
        words::Problems,
    },
    route::Table,
};

/// A resource by its id: the type and the name of its parent, if it is a child, and its own.
struct Place {
    parent: Option<(String, String)>,
    kind: String,
    name: String,
}

/// What of a network a lint reads, by type.
const TYPES: [&str; 6] = [
    "microsoft.network/networksecuritygroups",
    "microsoft.network/networksecuritygroups/securityrules",
    "microsoft.network/routetables",
    "microsoft.network/routetables/routes",
    "microsoft.network/virtualnetworks",
    "microsoft.network/virtualnetworks/subnets",
];

/// The changes that a what-if foretells; none where it is something else.
pub(super) fn changes<'a>(root: &Node<'a>) -> Option<Vec<Node<'a>>> {
    let list = root.list("changes");
    let first = list.first()?;
    (first.has("resourceId") && first.has("changeType")).then_some(list)
}

/// Reads what stands after the deployment.
pub(super) fn read(root: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let all = changes(root).unwrap_or_default();
    let placed = all.iter().filter_map(|change| {
        let id = change.text_of("resourceId")?;
        Some((place(&id).or_else(|| computed(&id))?, change))
    });
    let mut placed: Vec<_> = placed.filter(|(place, _)| TYPES.contains(&place.kind.as_str())).collect();
    // A child says more of itself than its parent does.
    placed.sort_by_key(|(place, _)| place.parent.is_some());
    if placed.is_empty() {
        export.notes.push(format!("{}none of the changes is about a group, a table, a network or a subnet", root.path));
    }
    for (place, change) in placed {
        one(&place, change, export, problems);
    }
}

fn place(id: &str) -> Option<Place> {
    let (_, own) = id.rsplit_once("/providers/")?;
    match own.trim_end_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        [space, kind, name] => {
            Some(Place { parent: None, kind: format!("{space}/{kind}").to_ascii_lowercase(), name: (*name).to_owned() })
        }
        [space, kind, parent, child, name] => Some(Place {
            parent: Some((format!("{space}/{kind}").to_ascii_lowercase(), (*parent).to_owned())),
            kind: format!("{space}/{kind}/{child}").to_ascii_lowercase(),
            name: (*name).to_owned(),
        }),
        _ => None,
    }
}

/// A resource whose id only the deployment computes: its type stands in the expression, its parent may be any.
fn computed(id: &str) -> Option<Place> {
    let plain = id.to_ascii_lowercase();
    let kind = TYPES.iter().filter(|kind| plain.contains(**kind)).max_by_key(|kind| kind.len())?;
    let parent = kind.matches('/').count() > 1;
    let parent = kind.rsplit_once('/').filter(|_| parent).map(|(parent, _)| (parent.to_owned(), id.to_owned()));
    Some(Place { parent, kind: (*kind).to_owned(), name: name_of(id) })
}

fn one(place: &Place, change: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let what = change.text_of("changeType").unwrap_or_default();
    let is = |word: &str| what.eq_ignore_ascii_case(word);
    let parent = place.parent.as_ref().map(|(kind, name)| (kind.clone(), known_name(export, kind, name)));
    if let Some((_, parent)) = &parent {
        without(export, place, parent);
    }
    if is("Delete") {
        if parent.is_none() {
            export.notes.push(format!("{} is deleted by this deployment: it is not judged", place.name));
        }
        return;
    }
    // Where nothing changes, what stood before is what stands after.
    let unchanged = || change.get("before").filter(|_| is("NoChange") || is("Ignore"));
    let state = change.get("after").or_else(unchanged).filter(|state| state.value.is_object());
    let (mut value, path) = match state {
        Some(state) => (state.value.clone(), state.path),
        None => (unseen(place, &what, change), change.path.clone()),
    };
    value["name"] = json!(place.name);
    value["type"] = json!(place.kind);
    let node = Node { value: &value, path };
    if let Some((_, parent)) = &parent {
        rest(export, place, parent, change);
    }
    let parent = parent.map(|(kind, name)| Parent { kind, name });
    template::one(&node, parent.as_ref(), 0, export, problems);
}

/// A resource of which the what-if does not show what it becomes.
fn unseen(place: &Place, what: &str, change: &Node<'_>) -> Value {
    let why = change.text_of("unsupportedReason").map(|reason| format!(", {reason}")).unwrap_or_default();
    let words = format!("[what-if says {what} of {} and not what it becomes{why}]", place.name);
    json!({"id": change.text_of("resourceId"), "properties": words})
}

/// The name that a group or table has in its own change: ids differ in case, and what an expression names may be the only one.
fn known_name(export: &Export, kind: &str, name: &str) -> String {
    let groups: Vec<&String> = export.groups.iter().map(|group| &group.name).collect();
    let tables: Vec<&String> = export.tables.iter().map(|table| &table.name).collect();
    let all = if kind.ends_with("/routetables") { tables } else { groups };
    let only = || all.first().filter(|_| all.len() == 1 && name.contains('[')).copied();
    all.iter().copied().find(|known| same_name(known, name)).or_else(only).cloned().unwrap_or_else(|| name.to_owned())
}

/// Takes a child out of what its parent says of it.
fn without(export: &mut Export, place: &Place, parent: &str) {
    match place.kind.rsplit('/').next() {
        Some("securityrules") => {
            let of_parent = export.groups.iter_mut().filter(|group| group.name == parent);
            of_parent.for_each(|group| group.rules.retain(|rule| !rule.name.eq_ignore_ascii_case(&place.name)));
        }
        Some("routes") => {
            let of_parent = export.tables.iter_mut().filter(|table| table.name == parent);
            of_parent.for_each(|table| table.routes.retain(|route| !route.name.eq_ignore_ascii_case(&place.name)));
        }
        _ => {
            let network = format!("/virtualnetworks/{parent}/").to_ascii_lowercase();
            export.subnets.retain(|subnet| {
                let elsewhere = subnet.id.as_ref().is_some_and(|id| !id.to_ascii_lowercase().contains(&network));
                elsewhere || !subnet.name.eq_ignore_ascii_case(&place.name)
            });
        }
    }
}

/// Where a rule or route is changed and its group or table stands in no change, the others of that are not known.
fn rest(export: &mut Export, place: &Place, parent: &str, change: &Node<'_>) {
    let words = format!("[the rest of {parent}, which stands in no change]");
    match place.kind.rsplit('/').next() {
        Some("securityrules") if !export.groups.iter().any(|group| group.name == parent) => {
            export.add_rule(parent, rules::unknown_rule(change, words));
        }
        Some("routes") if !export.tables.iter().any(|table: &Table| table.name == parent) => {
            export.add_table(routes::one_of(parent.to_owned(), routes::unknown_route(change, &words)));
        }
        _ => {}
    }
}
