//! What a finding means, for the terminal, for programs and as a page.

use serde_json::json;

use crate::lint::{
    finding::Kind,
    requirements::{Profile, profiles},
};

/// What an id stands for: kinds, and what they mean for one requirement.
pub struct Explained {
    /// One kind, or all of them.
    pub kinds: Vec<Kind>,
    /// The requirement that the id names, in each profile that has it.
    pub requirements: Vec<Required>,
}

/// A requirement of a profile.
pub struct Required {
    /// Its id.
    pub id: String,
    /// The profile.
    pub profile: String,
    /// What breaks where it is not met.
    pub breaks: String,
    /// Where that is documented.
    pub source: String,
}

/// What an id means: a kind, or a kind with a requirement. None when there is no such finding.
pub fn explained(id: &str) -> Option<Explained> {
    let (kind, requirement) = id.split_once('.').map_or((id, None), |(kind, requirement)| (kind, Some(requirement)));
    let kind = *Kind::ALL.iter().find(|one| one.id() == kind)?;
    let requirements = requirement.map(requirements).unwrap_or_default();
    let of_routes_or_subnets = ["route", "subnet", "conditional", "input"].contains(&kind.id());
    let is_known = requirement.is_none() || !requirements.is_empty() || of_routes_or_subnets;
    is_known.then(|| Explained { kinds: vec![kind], requirements })
}

fn requirements(id: &str) -> Vec<Required> {
    let of = |profile: Profile| {
        let row = profile.requirement(id)?;
        Some(Required {
            id: id.to_owned(),
            breaks: row.breaks.clone(),
            source: profile.source_of(row).unwrap_or_default().to_owned(),
            profile: profile.name,
        })
    };
    profiles().filter_map(Profile::named).filter_map(of).collect()
}

impl Explained {
    /// Every kind.
    pub fn all() -> Self {
        Self { kinds: Kind::ALL.to_vec(), requirements: Vec::new() }
    }

    /// For people: one kind whole, or a line for each.
    pub fn text(&self) -> String {
        let [kind] = &self.kinds[..] else {
            return self.kinds.iter().map(|kind| format!("{:<20} {}\n", kind.id(), kind.definition().title)).collect();
        };
        let definition = kind.definition();
        let mut text = format!("{}: {}\n\n{}\n", definition.id, definition.title, definition.text);
        for one in &self.requirements {
            text.push_str(&format!("\n{} ({}): {} [{}]\n", one.id, one.profile, one.breaks, one.source));
        }
        text
    }

    /// For programs, described by `docs/findings.schema.json`.
    pub fn json(&self) -> String {
        let kind = |kind: &Kind| {
            let definition = kind.definition();
            json!({"kind": definition.id, "title": definition.title, "text": definition.text})
        };
        let requirement = |one: &Required| json!({"requirement": one.id, "profile": one.profile, "breaks": one.breaks, "source": one.source});
        let document = json!({
            "schema": "ase-agent/findings/1",
            "kinds": self.kinds.iter().map(kind).collect::<Vec<_>>(),
            "requirements": self.requirements.iter().map(requirement).collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }
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
            assert!(explained(kind.id()).is_some_and(|one| one.text().len() > 40));
        }
        assert!(explained("blocked.in-management").is_some_and(|one| one.text().contains("suspended")));
        assert!(explained("blocked.no-such").is_none() && explained("no-such").is_none());
        assert_eq!(Explained::all().text().lines().count(), Kind::ALL.len());
    }

    #[test]
    fn what_programs_read_fits_its_schema() {
        let schema = serde_json::from_str(include_str!("../../../../docs/findings.schema.json")).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        for explained in [Explained::all(), explained("blocked.in-management").expect("a finding")] {
            let document = serde_json::from_str(&explained.json()).expect("JSON");
            let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?} in {document:#}");
        }
    }
}
