//! Patterns in which `*` stands for any text: the ids of endpoints, as the configuration and the lab name them.

/// Whether an id is what a pattern means. Without a star it is the id itself.
pub fn matches(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = id.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.is_empty() || id.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        for (pattern, id, expected) in [
            ("a:443", "a:443", true),
            ("a:443", "a:4433", false),
            ("*", "a:443", true),
            ("*:443", "a:443", true),
            ("*:443", "a:443/udp", false),
            ("a*4*", "a:443", true),
            ("a*a", "a", false),
            ("*.example:*", "www.example:80", true),
            ("*43", "a:43:443", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} {id}");
        }
    }
}
