//! The file of `ase-agent check --baseline save`, described by `docs/baseline.schema.json`, and the JSON of a comparison with
//! it, described by `docs/baseline-diff.schema.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::readers::{
    VERSION,
    baseline::{Baseline, Change, Comparison, Kind, Rank, Stood, Subject},
};

/// The name and version of the file's shape.
const SCHEMA: &str = "ase-agent/baseline/1";
/// The name and version of the comparison's shape.
const DIFF_SCHEMA: &str = "ase-agent/baseline-diff/1";

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    version: String,
    at: String,
    vantage: String,
    profile: String,
    cloud: String,
    edition: String,
    resolvers: Vec<String>,
    whole: bool,
    endpoints: Vec<EndpointEntry>,
    names: Vec<NameEntry>,
    misgivings: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct EndpointEntry {
    id: String,
    about: String,
    status: Status,
    cause: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct NameEntry {
    name: String,
    worry: Option<Worry>,
    class: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Failed,
    Unknown,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Worry {
    Fine,
    Warning,
    Bad,
}

impl From<Rank> for Status {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Good => Self::Healthy,
            Rank::Impaired => Self::Degraded,
            Rank::Lost => Self::Failed,
            Rank::Unknown => Self::Unknown,
        }
    }
}

impl From<Status> for Rank {
    fn from(status: Status) -> Self {
        match status {
            Status::Healthy => Self::Good,
            Status::Degraded => Self::Impaired,
            Status::Failed => Self::Lost,
            Status::Unknown => Self::Unknown,
        }
    }
}

fn worry(rank: Rank) -> Option<Worry> {
    match rank {
        Rank::Good => Some(Worry::Fine),
        Rank::Impaired => Some(Worry::Warning),
        Rank::Lost => Some(Worry::Bad),
        Rank::Unknown => None,
    }
}

fn rank(worry: Option<Worry>) -> Rank {
    match worry {
        Some(Worry::Fine) => Rank::Good,
        Some(Worry::Warning) => Rank::Impaired,
        Some(Worry::Bad) => Rank::Lost,
        None => Rank::Unknown,
    }
}

/// Renders a baseline as the text of its file.
pub fn baseline_to_json(baseline: &Baseline) -> String {
    let of = |wanted: Subject| baseline.stood.iter().filter(move |((subject, _), _)| *subject == wanted);
    let endpoint = |((_, id), stood): (&(Subject, String), &Stood)| EndpointEntry {
        id: id.clone(),
        about: stood.about.clone(),
        status: stood.rank.into(),
        cause: stood.why.clone(),
    };
    let name = |((_, name), stood): (&(Subject, String), &Stood)| NameEntry {
        name: name.clone(),
        worry: worry(stood.rank),
        class: stood.why.clone(),
    };
    let document = Document {
        schema: SCHEMA.to_owned(),
        version: baseline.version.clone(),
        at: baseline.at.clone(),
        vantage: baseline.vantage.clone(),
        profile: baseline.profile.clone(),
        cloud: baseline.cloud.clone(),
        edition: baseline.edition.clone(),
        resolvers: baseline.resolvers.clone(),
        whole: baseline.is_whole,
        endpoints: of(Subject::Endpoint).map(endpoint).collect(),
        names: of(Subject::Name).map(name).collect(),
        misgivings: of(Subject::Misgiving).map(|((_, words), _)| words.clone()).collect(),
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise") + "\n"
}

/// Reads the text of a baseline's file.
///
/// # Errors
/// What is wrong with it, in a sentence that begins behind the file's name.
pub fn baseline_from_json(text: &str) -> Result<Baseline, String> {
    let no_baseline = |error: serde_json::Error| format!("is no baseline of `check --baseline save`: {error}");
    // Whatever else is wrong with a file of another kind, its schema says what it is.
    let head: Head = serde_json::from_str(text).map_err(no_baseline)?;
    if head.schema != SCHEMA {
        return Err(format!("has the schema {:?}, not {SCHEMA}", head.schema));
    }
    let document: Document = serde_json::from_str(text).map_err(no_baseline)?;
    let mut stood = BTreeMap::new();
    let mut add = |subject: Subject, id: String, one: Stood| match stood.insert((subject, id.clone()), one) {
        Some(_) => Err(format!("is no baseline of `check --baseline save`: it names {:?} twice", id)),
        None => Ok(()),
    };
    for EndpointEntry { id, about, status, cause } in document.endpoints {
        add(Subject::Endpoint, id, Stood { rank: status.into(), about, why: cause })?;
    }
    for NameEntry { name, worry, class } in document.names {
        add(Subject::Name, name, Stood { rank: rank(worry), about: String::new(), why: class })?;
    }
    for words in document.misgivings {
        add(Subject::Misgiving, words, Stood { rank: Rank::Impaired, about: String::new(), why: None })?;
    }
    Ok(Baseline {
        at: document.at,
        version: document.version,
        vantage: document.vantage,
        profile: document.profile,
        cloud: document.cloud,
        edition: document.edition,
        resolvers: document.resolvers,
        is_whole: document.whole,
        stood,
    })
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

#[derive(Serialize)]
struct Diff<'a> {
    schema: &'static str,
    version: &'static str,
    sentence: String,
    exit_code: u8,
    before: LookEntry<'a>,
    now: LookEntry<'a>,
    counts: BTreeMap<&'static str, usize>,
    changes: Vec<ChangeEntry<'a>>,
    not_compared: usize,
    notes: &'a [String],
    left_out: &'a [String],
}

#[derive(Serialize)]
struct LookEntry<'a> {
    at: &'a str,
    version: &'a str,
    vantage: &'a str,
    profile: &'a str,
    cloud: &'a str,
    edition: &'a str,
    resolvers: &'a [String],
    whole: bool,
}

#[derive(Serialize)]
struct ChangeEntry<'a> {
    kind: &'static str,
    subject: &'static str,
    id: &'a str,
    before: Option<StoodEntry<'a>>,
    now: Option<StoodEntry<'a>>,
}

#[derive(Serialize)]
struct StoodEntry<'a> {
    status: Status,
    why: Option<&'a str>,
}

impl<'a> LookEntry<'a> {
    fn of(look: &'a Baseline) -> Self {
        Self {
            at: &look.at,
            version: &look.version,
            vantage: &look.vantage,
            profile: &look.profile,
            cloud: &look.cloud,
            edition: &look.edition,
            resolvers: &look.resolvers,
            whole: look.is_whole,
        }
    }
}

impl<'a> ChangeEntry<'a> {
    fn of(change: &'a Change) -> Self {
        let stood = |stood: &'a Option<Stood>| {
            stood.as_ref().map(|stood| StoodEntry { status: stood.rank.into(), why: stood.why.as_deref() })
        };
        Self {
            kind: change.kind.label(),
            subject: change.subject.label(),
            id: &change.id,
            before: stood(&change.before),
            now: stood(&change.now),
        }
    }
}

/// Renders what changed; `left_out` is what the look now did not ask.
pub fn comparison_to_json(before: &Baseline, now: &Baseline, comparison: &Comparison, left_out: &[String]) -> String {
    let counted = Kind::LISTED.map(|kind| (kind.label(), comparison.count(kind)));
    let document = Diff {
        schema: DIFF_SCHEMA,
        version: VERSION,
        sentence: comparison.sentence(&before.at),
        exit_code: comparison.exit_code(),
        before: LookEntry::of(before),
        now: LookEntry::of(now),
        counts: counted.into_iter().chain([(Kind::Unchanged.label(), comparison.unchanged)]).collect(),
        changes: comparison.changes.iter().map(ChangeEntry::of).collect(),
        not_compared: comparison.not_compared,
        notes: &comparison.notes,
        left_out,
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{model::endpoint::Status as Standing, sample};

    fn fits(schema: &str, text: &str) {
        let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
        let document: Value = serde_json::from_str(text).expect("the document is JSON");
        let validator = jsonschema::validator_for(&schema).expect("the schema compiles");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
    }

    #[test]
    fn a_baseline_reads_back_as_it_was_and_fits_its_schema() {
        let baseline = Baseline::of(&sample::snapshot(), true);
        let text = baseline_to_json(&baseline);
        fits(include_str!("../../../../docs/baseline.schema.json"), &text);
        assert_eq!(baseline_from_json(&text), Ok(baseline));
    }

    #[test]
    fn a_comparison_fits_its_schema() {
        let mut snapshot = sample::snapshot();
        let now = Baseline::of(&snapshot, true);
        sample::set_all(&mut snapshot, Standing::Healthy);
        let before = Baseline::of(&snapshot, false);
        let comparison = before.compare(&now, &BTreeSet::new());
        let text = comparison_to_json(&before, &now, &comparison, &["1 name".to_owned()]);
        fits(include_str!("../../../../docs/baseline-diff.schema.json"), &text);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&document["exit_code"], &document["counts"]["broke"]), (&json!(1), &json!(3)));
    }

    #[test]
    fn what_is_no_baseline_says_what_it_is() {
        let good: Value = serde_json::from_str(&baseline_to_json(&Baseline::default())).expect("JSON");
        let changed = |key: &str, value: Value| {
            let mut bad = good.clone();
            bad[key] = value;
            bad.to_string()
        };
        let twice = json!([{"id": "a:1", "about": "", "status": "healthy", "cause": null}, {"id": "a:1", "about": "", "status": "failed", "cause": null}]);
        let rows = [
            (String::new(), "is no baseline"),
            ("[]".to_owned(), "is no baseline"),
            ("{\"schema\": 1}".to_owned(), "is no baseline"),
            (
                "{\"schema\": \"ase-agent/status/1\"}".to_owned(),
                "has the schema \"ase-agent/status/1\", not ase-agent/baseline/1",
            ),
            (changed("schema", json!("ase-agent/baseline/2")), "has the schema \"ase-agent/baseline/2\""),
            (changed("endpoints", json!([{"id": "a:1", "status": "fine"}])), "is no baseline"),
            (changed("endpoints", twice), "twice"),
            (changed("whole", json!("yes")), "is no baseline"),
        ];
        for (text, words) in rows {
            let error = baseline_from_json(&text).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
        let mut grown = good.clone();
        grown["later"] = json!({"more": 1});
        assert!(baseline_from_json(&grown.to_string()).is_ok(), "fields are added within a version");
    }

    proptest! {
        #[test]
        fn a_changed_baseline_is_none_or_reads_back(at in any::<proptest::sample::Index>(), other in "[a-z0-9\"\\\\{}\\[\\],:]?") {
            let mut text = baseline_to_json(&Baseline::of(&sample::snapshot(), true));
            let at = at.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &other);
            }
            if let Ok(read) = baseline_from_json(&text) {
                prop_assert_eq!(baseline_from_json(&baseline_to_json(&read)), Ok(read));
            }
        }
    }
}
