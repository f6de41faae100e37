//! What a resource is called by an expression of a template: the name that a reference means, and the parent of a child.

use crate::lint::read::node::{is_expression, last_name};

/// The arguments of a call, if the whole expression is one of this function: `[resourceId('type', parameters('name'))]`.
fn arguments<'a>(expression: &'a str, function: &str) -> Option<Vec<&'a str>> {
    let call = expression.strip_prefix('[')?.strip_suffix(']')?.trim();
    let (name, rest) = call.split_once('(')?;
    let inner = rest.strip_suffix(')').filter(|_| name.trim().eq_ignore_ascii_case(function))?;
    let (mut depth, mut quoted, mut start, mut found) = (0usize, false, 0, Vec::new());
    for (at, letter) in inner.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                found.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(inner[start..].trim());
    (depth == 0 && !quoted).then_some(found)
}

/// The text of an argument that is nothing but a text.
fn literal(argument: &str) -> Option<&str> {
    argument.strip_prefix('\'')?.strip_suffix('\'').filter(|text| !text.contains('\''))
}

/// An argument as a field would have it: a text, or an expression in brackets.
fn as_field(argument: &str) -> String {
    literal(argument).map_or_else(|| format!("[{argument}]"), str::to_owned)
}

/// The name of the resource that an id means: its last part, or the last argument of `resourceId`, which is an expression
/// itself where a template computes the name.
pub(crate) fn name_of(id: &str) -> String {
    if !is_expression(id) {
        return last_name(id).to_owned();
    }
    arguments(id, "resourceId")
        .and_then(|arguments| arguments.last().map(|last| as_field(last)))
        .unwrap_or_else(|| id.to_owned())
}

/// Whether two names are one: case does not count, nor do blanks in an expression.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    let both = is_expression(one) && is_expression(other);
    if both { plain(one).eq_ignore_ascii_case(&plain(other)) } else { one.eq_ignore_ascii_case(other) }
}

/// The name of the resource that a child resource belongs to: of `parent/child`, also where `format` or `concat` joins them.
pub(super) fn parent_of(name: &str) -> String {
    if !is_expression(name) {
        return name.split_once('/').map_or(name, |(parent, _)| parent).to_owned();
    }
    let formatted = arguments(name, "format").and_then(|arguments| first_of_format(&arguments));
    let joined = || arguments(name, "concat").and_then(|arguments| first_of_concat(&arguments));
    formatted.or_else(joined).unwrap_or_else(|| name.to_owned())
}

/// The part before the first `/` of what `format` writes.
fn first_of_format(arguments: &[&str]) -> Option<String> {
    let (pattern, values) = arguments.split_first()?;
    let (first, _) = literal(pattern)?.split_once('/')?;
    if let Some(number) = first.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return values.get(number.parse::<usize>().ok()?).map(|value| as_field(value));
    }
    if !first.contains('{') {
        return Some(first.to_owned());
    }
    let used = values.iter().enumerate().take_while(|(at, _)| first.contains(&format!("{{{at}}}")));
    let used: Vec<&str> = used.map(|(_, value)| *value).collect();
    Some(format!("[format('{first}', {})]", used.join(", ")))
}

/// The part before the first `/` of what `concat` joins.
fn first_of_concat(arguments: &[&str]) -> Option<String> {
    let mut before: Vec<String> = Vec::new();
    for argument in arguments {
        match literal(argument).and_then(|text| text.split_once('/')) {
            Some(("", _)) => break,
            Some((end, _)) => {
                before.push(format!("'{end}'"));
                break;
            }
            None => before.push((*argument).to_owned()),
        }
    }
    match before.as_slice() {
        [] => None,
        [only] => Some(as_field(only)),
        several => Some(format!("[concat({})]", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_means_the_name_that_the_resource_computes() {
        let id = |name: &str| format!("[resourceId('Microsoft.Network/networkSecurityGroups', {name})]");
        assert_eq!(name_of(&id("'edge'")), "edge");
        assert_eq!(name_of(&id("parameters('edge')")), "[parameters('edge')]");
        assert_eq!(name_of(&id("format('{0}-edge', parameters('site'))")), "[format('{0}-edge', parameters('site'))]");
        assert_eq!(name_of("/subscriptions/s/networkSecurityGroups/edge"), "edge");
        let output = "[reference('inner').outputs.id.value]";
        assert_eq!(name_of(output), output, "what a deployment returns stays open");
        assert!(same_name("[format('{0}-a',parameters('b'))]", "[format('{0}-a', parameters('b'))]"));
        assert!(!same_name("[parameters('a')]", "[parameters('b')]"));
    }

    #[test]
    fn a_child_belongs_to_the_parent_that_its_name_begins_with() {
        for (name, parent) in [
            ("edge/first", "edge"),
            ("[format('{0}/{1}', 'edge', 'first')]", "edge"),
            ("[format('{0}/{1}', parameters('edge'), 'first')]", "[parameters('edge')]"),
            ("[format('edge/{0}', copyIndex())]", "edge"),
            ("[format('{0}-edge/{1}', parameters('site'), 'x')]", "[format('{0}-edge', parameters('site'))]"),
            ("[concat(parameters('edge'), '/first')]", "[parameters('edge')]"),
            ("[concat('edge/', parameters('rule'))]", "edge"),
            ("[concat('a-', parameters('site'), '/', 'x')]", "[concat('a-', parameters('site'))]"),
        ] {
            assert_eq!(parent_of(name), parent, "{name}");
        }
    }
}
