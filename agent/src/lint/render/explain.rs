//! What a finding means, for the terminal and as a page.

use crate::lint::{
    finding::Kind,
    requirements::{Profile, profiles},
};

/// What an id means: a kind, or a kind with a requirement. None when there is no such finding.
pub fn explain(id: &str) -> Option<String> {
    let (kind, requirement) = id.split_once('.').map_or((id, None), |(kind, requirement)| (kind, Some(requirement)));
    let definition = Kind::ALL.iter().map(|kind| kind.definition()).find(|definition| definition.id == kind)?;
    let mut text = format!("{}: {}\n\n{}\n", definition.id, definition.title, definition.text);
    let Some(requirement) = requirement else { return Some(text) };
    let mut found = false;
    for profile in profiles().filter_map(Profile::named) {
        let Some(row) = profile.requirement(requirement) else { continue };
        found = true;
        let source = profile.source_of(row).unwrap_or_default();
        text.push_str(&format!("\n{requirement} ({}): {} [{source}]\n", profile.name, row.breaks));
    }
    let of_routes_or_subnets = ["route", "subnet", "conditional", "input"].contains(&kind);
    (found || of_routes_or_subnets).then_some(text)
}

/// All kinds, one line each.
pub fn list() -> String {
    let line = |kind: &Kind| format!("{:<20} {}\n", kind.id(), kind.definition().title);
    Kind::ALL.iter().map(line).collect()
}

/// The page of all findings and requirements, docs/findings.md.
pub fn page() -> String {
    let mut text = "# Findings of the lint\n\nEvery kind of finding of `ase-agent lint`, and every requirement behind them. Written from the code; a test \
                    holds it to it.\n\n"
        .to_owned();
    for kind in Kind::ALL {
        let definition = kind.definition();
        text.push_str(&format!("## `{}`\n\n{} {}\n\n", definition.id, definition.title, definition.text));
    }
    text.push_str("# Requirements\n");
    for profile in profiles().filter_map(Profile::named).filter(|profile| !profile.requirements.is_empty()) {
        text.push_str(&format!(
            "\n## {}\n\n{}\n\n| requirement | severity | what breaks | source |\n|---|---|---|---|\n",
            profile.name, profile.title
        ));
        for row in &profile.requirements {
            let source = profile.source_of(row).unwrap_or_default();
            text.push_str(&format!("| `{}` | {} | {} | {source} |\n", row.id, row.severity().label(), row.breaks));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::assert_golden;

    #[test]
    fn the_page_of_findings_is_what_the_code_says() {
        assert_golden("../docs/findings.md", &page());
    }

    #[test]
    fn every_id_can_be_explained_and_others_cannot() {
        for kind in Kind::ALL {
            assert!(explain(kind.id()).is_some_and(|text| text.len() > 40));
        }
        assert!(explain("blocked.in-management").is_some_and(|text| text.contains("suspended")));
        assert_eq!(explain("blocked.no-such"), None);
        assert_eq!(explain("no-such"), None);
    }
}
