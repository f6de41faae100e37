//! What is kept of an incident beside its row, for its page: how its cause was told from others, what else it could be, which
//! endpoints it hid, and what was learned of it when; as text with one line for each thing, whose first word says what it is.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    time::Duration,
};

use crate::model::{catalog::EndpointId, diagnosis::Incident};

/// Moments that are kept of one incident: what changes oftener is told by its first changes.
const MOST_MOMENTS: usize = 60;
/// Lines of evidence that are noted when they come.
const PREFIX: &str = "evidence: ";
/// How a moment begins that says what the incident was called at first.
const NAMED: &str = "it was named: ";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The rules that decided, each with what it rests on.
    pub judged: Vec<Judged>,
    /// What else it could be.
    pub others: Vec<Other>,
    /// The ids of the endpoints whose own service was not tested.
    pub hides: Vec<String>,
    /// What was learned when, in order of time.
    pub moments: Vec<Moment>,
    /// When it was last seen, where nobody saw its end: it ended between this and its end as it is told.
    pub last_seen: Option<Duration>,
}

/// A rule that decided for some endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The rule.
    pub rule: String,
    /// What it rests on: observed, inferred or a guess.
    pub origin: String,
    /// For how many endpoints.
    pub endpoints: usize,
    /// The contrasts that were asked and answered.
    pub contrasts: Vec<String>,
}

/// Another cause that was not excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its label.
    pub cause: String,
    /// What would have spoken for it.
    pub settled_by: String,
}

/// Something that was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// When, since the Unix epoch.
    pub at: Duration,
    /// What.
    pub what: String,
}

/// That an incident hit further endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The first of them.
    pub first: String,
    /// How many they are.
    pub endpoints: usize,
}

impl Spread {
    /// Reads what a moment says; `None` where it says something else.
    pub fn of(what: &str) -> Option<Self> {
        let said = what.strip_prefix("it hit ")?.strip_suffix(", too")?;
        let (first, more) = match said.strip_suffix(" more").and_then(|said| said.rsplit_once(" and ")) {
            Some((first, more)) => (first, more.parse().ok()?),
            None => (said, 0),
        };
        Some(Self { first: first.to_owned(), endpoints: 1_usize.saturating_add(more) })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoints {
            0 | 1 => write!(f, "it hit {}, too", self.first),
            all => write!(f, "it hit {} and {} more, too", self.first, all - 1),
        }
    }
}

impl Account {
    /// That of an incident, without what went before.
    pub fn of(incident: &Incident) -> Self {
        let judged = incident.judged.iter().map(|judged| Judged {
            rule: judged.rule.to_owned(),
            origin: judged.origin.label().to_owned(),
            endpoints: judged.endpoints,
            contrasts: judged.contrasts.clone(),
        });
        let others = incident
            .alternatives
            .iter()
            .map(|other| Other { cause: other.cause.label().to_owned(), settled_by: other.words().to_owned() });
        let hides = incident.hides.iter().map(ToString::to_string);
        let (judged, others, hides) = (judged.collect(), others.collect(), hides.collect());
        Self { judged, others, hides, ..Self::default() }
    }

    /// Notes something, while there is room.
    pub fn note(&mut self, at: Duration, what: String) {
        if self.moments.len() < MOST_MOMENTS {
            self.moments.push(Moment { at, what });
        }
    }

    /// Notes what an incident that begins is called. Its confidence may change, and is told anew then.
    pub fn note_name(&mut self, incident: &Incident) {
        let (cause, confidence) = (incident.finding.cause.label(), incident.finding.confidence.label());
        self.note(incident.published, format!("{NAMED}{cause}, {confidence}"));
    }

    /// Goes on from what an earlier process had learned: it knew what the incident was named at first. It was seen again then.
    pub fn follow(&mut self, earlier: Vec<Moment>, seen_again: Duration) {
        let own = std::mem::replace(&mut self.moments, earlier);
        self.note(seen_again, "the agent was started anew, and saw it again".to_owned());
        let own = own.into_iter().filter(|moment| !moment.what.starts_with(NAMED));
        own.for_each(|moment| self.note(moment.at, moment.what));
    }

    /// When it was named at first, where that is known.
    pub fn named(&self) -> Option<Duration> {
        self.moments.iter().find(|moment| moment.what.starts_with(NAMED)).map(|moment| moment.at)
    }

    /// Notes what an incident shows now and did not show before.
    pub fn note_changes(&mut self, before: &Incident, now: &Incident, at: Duration) {
        let (old, new) = (before.finding.confidence.label(), now.finding.confidence.label());
        if old != new {
            self.note(at, format!("it became {new}, and was {old} until then"));
        }
        if before.scope != now.scope || before.component != now.component {
            self.note(at, format!("it was found at {}, scope {}", now.component, now.scope.label()));
        }
        // An outage of everything has ten thousand endpoints.
        let known: BTreeSet<&EndpointId> = before.endpoints.iter().collect();
        let joined: Vec<_> = now.endpoints.iter().filter(|id| !known.contains(id)).collect();
        if let Some(first) = joined.first() {
            self.note(at, Spread { first: first.0.to_string(), endpoints: joined.len() }.to_string());
        }
        for line in &now.evidence {
            let said = format!("{PREFIX}{line}");
            let is_known = before.evidence.iter().any(|known| without_numbers(known) == without_numbers(line))
                || self.moments.iter().any(|moment| without_numbers(&moment.what) == without_numbers(&said));
            if !is_known {
                self.note(at, said);
            }
        }
    }

    /// All of it as text.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| word.replace(['\n', '\r', '\t'], " ")).collect();
            writeln!(text, "{}", words.join("\t")).expect("text takes text");
        };
        for Judged { rule, origin, endpoints, contrasts } in &self.judged {
            line(&["rule", rule, origin, &endpoints.to_string()]);
            contrasts.iter().for_each(|contrast| line(&["contrast", contrast]));
        }
        self.others.iter().for_each(|other| line(&["other", &other.cause, &other.settled_by]));
        self.hides.iter().for_each(|id| line(&["hides", id]));
        for Moment { at, what } in &self.moments {
            line(&["moment", &at.as_millis().to_string(), what]);
        }
        self.last_seen.iter().for_each(|at| line(&["seen", &at.as_millis().to_string()]));
        text
    }

    /// Reads [`Account::to_text`]. Lines of a kind that is not known are a later version's, and left out.
    pub(super) fn from_text(text: &str) -> Self {
        let mut account = Self::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["rule", rule, origin, endpoints] => account.judged.push(Judged {
                    rule: rule.to_owned(),
                    origin: origin.to_owned(),
                    endpoints: endpoints.parse().unwrap_or_default(),
                    contrasts: Vec::new(),
                }),
                ["contrast", contrast] => {
                    account.judged.last_mut().into_iter().for_each(|judged| judged.contrasts.push(contrast.to_owned()));
                }
                ["other", cause, settled_by] => {
                    account.others.push(Other { cause: cause.to_owned(), settled_by: settled_by.to_owned() });
                }
                ["seen", millis] => account.last_seen = millis.parse().ok().map(Duration::from_millis),
                ["hides", id] => account.hides.push(id.to_owned()),
                ["moment", millis, what] => {
                    let at = Duration::from_millis(millis.parse().unwrap_or_default());
                    account.moments.push(Moment { at, what: what.to_owned() });
                }
                _ => {}
            }
        }
        account
    }
}

/// A line without what is another number at each visit: the same seen again is no news.
fn without_numbers(line: &str) -> String {
    line.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn account() -> Account {
        let mut account = Account::of(&sample::snapshot().incidents.open[0]);
        account.hides.push("api.example:443".to_owned());
        account.note(AT(1000), "it was seen".to_owned());
        account.last_seen = Some(AT(1001));
        account
    }

    #[test]
    fn an_account_reads_back_and_leaves_out_what_a_later_version_wrote() {
        let account = account();
        assert!(!account.judged.is_empty() && !account.others.is_empty(), "{account:?}");
        let later = format!("weather\tfine\n{}rule\tR1\n", account.to_text());
        assert_eq!(Account::from_text(&later), account);
        assert_eq!(Account::from_text(""), Account::default());
    }

    #[test]
    fn what_a_peer_says_makes_no_line_of_its_own() {
        let mut account = Account::default();
        account.note(AT(1), "a\nhides\tb\r".to_owned());
        let read = Account::from_text(&account.to_text());
        assert_eq!((read.hides.len(), &*read.moments[0].what), (0, "a hides b "));
    }

    #[test]
    fn what_is_new_is_noted_when_it_comes_and_no_oftener() {
        let snapshot = sample::snapshot();
        let before = &snapshot.incidents.open[0];
        let mut now = Incident::clone(before);
        now.endpoints.push(crate::model::catalog::EndpointId("late.example:1433".into()));
        now.evidence.push("a control port answers".to_owned());
        let mut account = Account::default();
        account.note_changes(before, &now, AT(7));
        let said: Vec<_> = account.moments.iter().map(|moment| &*moment.what).collect();
        assert_eq!(said, ["it hit late.example:1433, too", "evidence: a control port answers"]);
        let mut again = now.clone();
        again.evidence[2] = "203.0.113.41:1433: connect phase: no answer before the deadline after 4003 ms".to_owned();
        account.note_changes(&now, &again, AT(8));
        assert_eq!(account.moments.len(), 2, "other numbers are no news: {:?}", account.moments);
        (0..200).for_each(|turn| account.note(AT(turn), String::new()));
        assert_eq!(account.moments.len(), MOST_MOMENTS);
    }

    proptest! {
        #[test]
        fn any_text_is_an_account_and_what_is_read_reads_back(
            text in "(rule|contrast|other|hides|moment|seen|[0-9]{1,20}|[a-z]{1,3}|[\t\n\r])*",
        ) {
            let read = Account::from_text(&text);
            let again = Account::from_text(&read.to_text());
            prop_assert_eq!(again.to_text(), read.to_text());
        }
    }
}
