//! How everything stood before a change beside how it stands now: what broke, what got worse or better, what is new or gone.
//! Pure: two states in, changes out; `baseline/page.rs` prints them.

mod page;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    engine::snapshot::Snapshot,
    model::endpoint::{EndpointView, Status},
    readers::{
        VERSION,
        summary::{Summary, rfc3339},
    },
    resolvers::compare::Worry,
};

pub use page::render;

/// A name that leads to a private endpoint, as intended (`ase_dns_comparison`).
const PRIVATE: &str = "private_override";

/// What a state is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An endpoint, by its id.
    Endpoint,
    /// A name that is compared, as both sides resolve it.
    Name,
    /// Something that misleads beside the endpoints, in plain words.
    Misgiving,
}

impl Subject {
    /// Returns the word used in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Name => "name",
            Self::Misgiving => "misgiving",
        }
    }
}

/// How well something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// As it should.
    Good,
    /// It works, but something about it is wrong.
    Impaired,
    /// It does not work.
    Lost,
    /// Nobody knows.
    Unknown,
}

/// How something stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stood {
    /// How well.
    pub rank: Rank,
    /// The class and the severity of an endpoint, in words; empty for the rest.
    pub about: String,
    /// Why, as a label: a cause, or what a name's two answers make together.
    pub why: Option<String>,
}

impl Stood {
    /// As a person would say it.
    fn words(&self, subject: Subject) -> String {
        let word = match (subject, self.rank) {
            (Subject::Endpoint, Rank::Good) => "healthy",
            (Subject::Endpoint, Rank::Impaired) => "degraded",
            (Subject::Endpoint, Rank::Lost) => "failed",
            (Subject::Name | Subject::Misgiving, Rank::Good) => "fine",
            (Subject::Name | Subject::Misgiving, Rank::Impaired) => "worth a look",
            (Subject::Name | Subject::Misgiving, Rank::Lost) => "led astray",
            (_, Rank::Unknown) => "not known",
        };
        self.why.as_ref().map_or(word.to_owned(), |why| format!("{word} ({why})"))
    }
}

/// How everything stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// When, RFC 3339.
    pub at: String,
    /// The version of the agent that looked.
    pub version: String,
    /// Where it stood.
    pub vantage: String,
    /// The profile.
    pub profile: String,
    /// The cloud.
    pub cloud: String,
    /// The edition of the catalogue.
    pub edition: String,
    /// The DNS servers that apps use.
    pub resolvers: Vec<String>,
    /// Whether the whole catalogue was asked, or a part that somebody chose.
    pub is_whole: bool,
    /// What stood how.
    pub stood: BTreeMap<(Subject, String), Stood>,
}

impl Baseline {
    /// How everything stands in a snapshot.
    pub fn of(snapshot: &Snapshot, is_whole: bool) -> Self {
        let catalog = &snapshot.catalog;
        let mut stood: BTreeMap<_, _> = snapshot
            .endpoints
            .iter()
            .map(|view| ((Subject::Endpoint, view.endpoint.id.to_string()), endpoint(view)))
            .collect();
        for view in snapshot.names.iter() {
            let published = view.published.as_ref();
            let rank = published.map_or(Rank::Unknown, |comparison| match comparison.worry {
                Worry::Fine => Rank::Good,
                Worry::Warn => Rank::Impaired,
                Worry::Bad => Rank::Lost,
            });
            let why = published.map(|comparison| comparison.class.label().to_owned());
            stood.insert((Subject::Name, view.name.to_string()), Stood { rank, about: String::new(), why });
        }
        let doubted = Stood { rank: Rank::Impaired, about: String::new(), why: None };
        let misgivings = Summary::of(snapshot).misgivings.into_iter();
        stood.extend(misgivings.map(|words| ((Subject::Misgiving, words), doubted.clone())));
        Self {
            at: rfc3339(snapshot.at),
            version: VERSION.to_owned(),
            vantage: snapshot.agent.vantage.clone(),
            profile: catalog.profile.clone(),
            cloud: catalog.cloud.clone(),
            edition: catalog.edition.clone(),
            resolvers: snapshot.resolvers.custom.iter().map(ToString::to_string).collect(),
            is_whole,
            stood,
        }
    }

    /// Whether it is about another service than this profile and cloud: nothing of it can be compared then.
    ///
    /// # Errors
    /// Both profiles, in words.
    pub fn must_be_of(&self, profile: &str, cloud: &str) -> Result<(), String> {
        if (self.profile.as_str(), self.cloud.as_str()) == (profile, cloud) {
            return Ok(());
        }
        let (before, before_cloud) = (self.profile.escape_debug(), self.cloud.escape_debug());
        Err(format!("is of the profile {before}, cloud {before_cloud}, not of {profile}, cloud {cloud}"))
    }

    /// What is otherwise now. `known` are the ids of the whole catalogue: what was not chosen for this look is not gone.
    pub fn compare(&self, now: &Self, known: &BTreeSet<&str>) -> Comparison {
        let keys: BTreeSet<_> = self.stood.keys().chain(now.stood.keys()).collect();
        let mut comparison = Comparison { notes: self.notes(now), ..Comparison::default() };
        for key in keys {
            let (subject, id) = (key.0, &key.1);
            let (before, after) = (self.stood.get(key), now.stood.get(key));
            let kind = match (before, after) {
                (Some(before), Some(after)) => kind(subject, before, after),
                (None, Some(_)) => self.appeared(subject),
                (Some(_), None) => disappeared(subject, known.contains(id.as_str())),
                (None, None) => None,
            };
            match kind {
                Some(Kind::Unchanged) => comparison.unchanged += usize::from(subject == Subject::Endpoint),
                Some(kind) => comparison.changes.push(Change {
                    kind,
                    subject,
                    id: id.clone(),
                    before: before.cloned(),
                    now: after.cloned(),
                }),
                None => comparison.not_compared += usize::from(subject == Subject::Endpoint),
            }
        }
        comparison.changes.sort_by_key(|change| change.kind);
        let ends = |stood: &&Stood| stood.rank != Rank::Unknown;
        let mut asked = now.stood.iter().filter(|((subject, _), _)| *subject == Subject::Endpoint).peekable();
        comparison.is_blind = asked.peek().is_some() && !asked.map(|(_, stood)| stood).any(|stood| ends(&stood));
        comparison
    }

    fn appeared(&self, subject: Subject) -> Option<Kind> {
        match subject {
            Subject::Endpoint => self.is_whole.then_some(Kind::New),
            Subject::Misgiving => Some(Kind::Worse),
            // It comes with its endpoint.
            Subject::Name => None,
        }
    }

    fn notes(&self, now: &Self) -> Vec<String> {
        let told = [
            ("vantage", &self.vantage, &now.vantage),
            ("edition of the catalogue", &self.edition, &now.edition),
            ("agent", &self.version, &now.version),
            ("DNS servers", &self.resolvers.join(", "), &now.resolvers.join(", ")),
        ];
        let differs = told.into_iter().filter(|(_, before, now)| before != now);
        differs.map(|(what, before, now)| format!("{what}: {now}, before {before}")).collect()
    }
}

fn endpoint(view: &EndpointView) -> Stood {
    let rank = match view.status {
        Status::Healthy => Rank::Good,
        Status::Degraded(_) => Rank::Impaired,
        Status::Failed(_) => Rank::Lost,
        Status::Unknown(_) => Rank::Unknown,
    };
    let about = format!("{}, {}", view.endpoint.class, view.endpoint.severity.label());
    Stood { rank, about, why: view.status.finding().map(|finding| finding.cause.label().to_owned()) }
}

fn disappeared(subject: Subject, is_known: bool) -> Option<Kind> {
    match subject {
        Subject::Endpoint => (!is_known).then_some(Kind::Gone),
        Subject::Misgiving => Some(Kind::Better),
        Subject::Name => None,
    }
}

/// What a change of state is.
fn kind(subject: Subject, before: &Stood, now: &Stood) -> Option<Kind> {
    let is_private = |stood: &Stood| stood.why.as_deref() == Some(PRIVATE);
    Some(match (before.rank, now.rank) {
        (Rank::Good | Rank::Impaired, Rank::Lost) => Kind::Broke,
        (Rank::Good, Rank::Impaired) | (Rank::Unknown, Rank::Lost | Rank::Impaired) => Kind::Worse,
        (Rank::Good | Rank::Impaired | Rank::Lost, Rank::Unknown) => Kind::Untested,
        (Rank::Lost, Rank::Good | Rank::Impaired) | (Rank::Impaired | Rank::Unknown, Rank::Good) => Kind::Better,
        // Content networks answer otherwise each time; that a name leads to a private endpoint is another matter.
        (Rank::Good, Rank::Good) if subject == Subject::Name => {
            if is_private(before) == is_private(now) {
                Kind::Unchanged
            } else {
                Kind::Otherwise
            }
        }
        (Rank::Good, Rank::Good) | (Rank::Unknown, Rank::Unknown) => Kind::Unchanged,
        (Rank::Impaired, Rank::Impaired) | (Rank::Lost, Rank::Lost) => {
            if before.why == now.why {
                Kind::Unchanged
            } else {
                Kind::Otherwise
            }
        }
    })
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It worked, and is lost now.
    Broke,
    /// It still works, but less well; or it is bad, and was not known before.
    Worse,
    /// It was tested before, and could not be now.
    Untested,
    /// It is as bad as before, for another reason; or a name leads elsewhere.
    Otherwise,
    /// It does better.
    Better,
    /// Nobody watched it before.
    New,
    /// Nobody watches it any more.
    Gone,
    /// It stands as before.
    Unchanged,
}

impl Kind {
    /// Those that are listed, the worst first.
    pub const LISTED: [Self; 7] =
        [Self::Broke, Self::Worse, Self::Untested, Self::Otherwise, Self::Better, Self::New, Self::Gone];

    /// Returns the word used in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Broke => "broke",
            Self::Worse => "worse",
            Self::Untested => "untested",
            Self::Otherwise => "otherwise",
            Self::Better => "better",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Unchanged => "unchanged",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Broke => "BROKE",
            Self::Worse => "WORSE",
            Self::Untested => "NOT TESTED NOW",
            Self::Otherwise => "OTHERWISE",
            Self::Better => "BETTER",
            Self::New => "NEW",
            Self::Gone => "GONE",
            Self::Unchanged => "UNCHANGED",
        }
    }
}

/// Something that stands otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: Kind,
    /// What it is.
    pub subject: Subject,
    /// Its id.
    pub id: String,
    /// How it stood; `None` where it is new.
    pub before: Option<Stood>,
    /// How it stands; `None` where it is gone.
    pub now: Option<Stood>,
}

impl Change {
    fn is_new_and_bad(&self) -> bool {
        let is_bad = |stood: &Stood| matches!(stood.rank, Rank::Lost | Rank::Impaired);
        self.kind == Kind::New && self.now.as_ref().is_some_and(is_bad)
    }

    fn words(&self) -> String {
        let words = |stood: &Option<Stood>| stood.as_ref().map(|stood| stood.words(self.subject));
        let about = self.now.as_ref().or(self.before.as_ref()).map(|stood| stood.about.clone()).unwrap_or_default();
        let about = match self.subject {
            Subject::Endpoint => format!("  ({about})"),
            Subject::Name => "  (name)".to_owned(),
            Subject::Misgiving => return self.id.clone(),
        };
        match (words(&self.before), words(&self.now)) {
            (Some(before), Some(now)) => format!("{}{about}: {now}, before {before}", self.id),
            (None, Some(now)) => format!("{}{about}: {now}", self.id),
            (Some(before), None) => format!("{}{about}: before {before}", self.id),
            (None, None) => format!("{}{about}", self.id),
        }
    }
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What stands otherwise, the worst first.
    pub changes: Vec<Change>,
    /// Endpoints that stand as before.
    pub unchanged: usize,
    /// Endpoints that were asked on one side only, because only a part was chosen there.
    pub not_compared: usize,
    /// What is otherwise about the looks themselves.
    pub notes: Vec<String>,
    /// Whether no endpoint could be tested now.
    pub is_blind: bool,
}

impl Comparison {
    /// How many changes are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// The exit code.
    ///
    /// | code | meaning |
    /// |------|---------|
    /// | 0 | nothing broke or got worse |
    /// | 1 | something that worked is lost |
    /// | 2 | nothing broke, but something got worse, could not be tested any more, or is new and not well |
    /// | 3 | no endpoint could be tested |
    pub fn exit_code(&self) -> u8 {
        let has = |kind| self.count(kind) > 0;
        if has(Kind::Broke) {
            1
        } else if self.is_blind {
            3
        } else if has(Kind::Worse) || has(Kind::Untested) || self.changes.iter().any(Change::is_new_and_bad) {
            2
        } else {
            0
        }
    }

    /// The result in one sentence.
    pub fn sentence(&self, since: &str) -> String {
        let counted = Kind::LISTED.map(|kind| (self.count(kind), kind));
        let parts: Vec<String> = counted
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| match kind {
                Kind::Untested => format!("{count} not tested now"),
                other => format!("{count} {}", other.label()),
            })
            .collect();
        let changed = if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") };
        let left = match self.not_compared {
            0 => String::new(),
            many => format!(", {many} not compared because only a part was asked"),
        };
        format!("{changed} since the baseline of {since}; {} unchanged{left}", self.unchanged)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{golden::assert_golden, readers::paper::Look, sample};

    const NARROW: Look = Look { width: Some(80), height: None, colour: false, verbose: false, only_failed: false };

    fn known(baseline: &Baseline) -> BTreeSet<&str> {
        baseline.stood.keys().map(|(_, id)| id.as_str()).collect()
    }

    /// The sample before anything was lost.
    fn well() -> Snapshot {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        snapshot.at = sample::AT - std::time::Duration::from_secs(3600);
        snapshot.names = Arc::default();
        snapshot
    }

    #[test]
    fn what_a_change_did_reads_as_reviewed() {
        let (before, snapshot) = (Baseline::of(&well(), true), sample::snapshot());
        let now = Baseline::of(&snapshot, true);
        let comparison = before.compare(&now, &known(&now));
        assert_golden("tests/golden/baseline-diff.txt", &render(&before, &comparison, &snapshot, NARROW));
        assert_eq!((comparison.exit_code(), comparison.count(Kind::Broke)), (1, 3));
        let back = now.compare(&before, &known(&now));
        assert_eq!((back.exit_code(), back.count(Kind::Broke)), (0, 0));
        assert!(back.count(Kind::Better) >= 4, "{:?}", back.changes);
    }

    #[test]
    fn nothing_changed_where_nothing_changed() {
        let now = Baseline::of(&sample::snapshot(), true);
        let comparison = now.compare(&now, &known(&now));
        assert_eq!((comparison.changes.len(), comparison.exit_code(), comparison.unchanged), (0, 0, 12));
        assert!(comparison.sentence(&now.at).starts_with("nothing changed since the baseline of 2027-01-15T08:00:00Z"));
    }

    fn stood(rank: Rank, why: Option<&str>) -> Stood {
        Stood { rank, about: "https, critical".to_owned(), why: why.map(str::to_owned) }
    }

    fn one(subject: Subject, stood: Option<Stood>) -> Baseline {
        let stood = stood.map(|stood| ((subject, "x:1".to_owned()), stood)).into_iter().collect();
        Baseline { stood, is_whole: true, ..Baseline::default() }
    }

    #[test]
    fn each_pair_of_states_is_one_kind_of_change_with_its_exit_code() {
        let [good, impaired, lost, unknown] =
            [Rank::Good, Rank::Impaired, Rank::Lost, Rank::Unknown].map(|rank| Some(stood(rank, None)));
        let rows = [
            (&good, &lost, Some(Kind::Broke), 1),
            (&impaired, &lost, Some(Kind::Broke), 1),
            (&good, &impaired, Some(Kind::Worse), 2),
            (&unknown, &lost, Some(Kind::Worse), 2),
            (&good, &unknown, Some(Kind::Untested), 3),
            (&lost, &good, Some(Kind::Better), 0),
            (&lost, &impaired, Some(Kind::Better), 0),
            (&unknown, &good, Some(Kind::Better), 0),
            (&lost, &lost, None, 0),
            (&None, &good, Some(Kind::New), 0),
            (&None, &lost, Some(Kind::New), 2),
            (&good, &None, Some(Kind::Gone), 0),
        ];
        for (before, now, kind, code) in rows {
            let (was, is) = (one(Subject::Endpoint, before.clone()), one(Subject::Endpoint, now.clone()));
            let comparison = was.compare(&is, &BTreeSet::new());
            assert_eq!(comparison.changes.first().map(|change| change.kind), kind, "{before:?} {now:?}");
            assert_eq!(comparison.exit_code(), code, "{before:?} {now:?}");
        }
        let other = one(Subject::Endpoint, Some(stood(Rank::Lost, Some("refused"))));
        let comparison = one(Subject::Endpoint, lost.clone()).compare(&other, &BTreeSet::new());
        assert_eq!((comparison.changes[0].kind, comparison.exit_code()), (Kind::Otherwise, 0));
    }

    #[test]
    fn what_was_not_chosen_is_neither_new_nor_gone() {
        let (nothing, something) =
            (one(Subject::Endpoint, None), one(Subject::Endpoint, Some(stood(Rank::Good, None))));
        let comparison = something.compare(&nothing, &["x:1"].into());
        assert_eq!((comparison.changes.len(), comparison.not_compared), (0, 1));
        let part = Baseline { is_whole: false, ..nothing };
        let comparison = part.compare(&something, &["x:1"].into());
        assert_eq!((comparison.changes.len(), comparison.not_compared), (0, 1));
    }

    #[test]
    fn a_name_that_leaves_its_private_endpoint_is_told_and_a_rotating_one_is_not() {
        let name = |why| one(Subject::Name, Some(stood(Rank::Good, Some(why))));
        let kinds = |before, now| name(before).compare(&name(now), &BTreeSet::new()).changes.first().map(|c| c.kind);
        assert_eq!(kinds("identical", "equivalent"), None);
        assert_eq!(kinds("private_override", "identical"), Some(Kind::Otherwise));
        let led = one(Subject::Name, Some(stood(Rank::Lost, Some("private_bypass"))));
        assert_eq!(name(PRIVATE).compare(&led, &BTreeSet::new()).exit_code(), 1);
    }

    #[test]
    fn a_misgiving_that_is_new_is_worse_and_one_that_is_gone_better() {
        let (none, doubt) = (one(Subject::Misgiving, None), one(Subject::Misgiving, Some(stood(Rank::Impaired, None))));
        assert_eq!(none.compare(&doubt, &BTreeSet::new()).exit_code(), 2);
        assert_eq!(doubt.compare(&none, &BTreeSet::new()).changes[0].kind, Kind::Better);
    }

    #[test]
    fn another_vantage_edition_or_list_of_servers_is_told() {
        let before =
            Baseline { vantage: "snet-a".to_owned(), resolvers: vec!["10.0.0.4:53".to_owned()], ..Baseline::default() };
        let notes = before.compare(&Baseline::default(), &BTreeSet::new()).notes;
        assert_eq!(notes, ["vantage: , before snet-a", "DNS servers: , before 10.0.0.4:53"]);
        assert!(before.must_be_of("", "").is_ok());
        let error = before.must_be_of("ase-v2", "public").expect_err("of none");
        assert!(error.ends_with("not of ase-v2, cloud public"), "{error}");
    }
}
