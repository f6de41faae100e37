//! What the page says of early warnings, of exported rules, and of the agent itself: how it does, what it watches with which
//! catalogue, from where.

use askama::Template;

use super::{
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, millis, texts},
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{VERSION, exports as exported, profile, summary::span, warnings as early},
};

#[derive(Template)]
#[template(path = "warnings.html", whitespace = "minimize")]
struct Warnings {
    lines: Vec<Warning>,
    /// Those that an open incident tells as well, and which.
    told: Vec<Text>,
}

struct Warning {
    kind: &'static str,
    class: &'static str,
    subject: Option<Text>,
    text: Text,
}

/// The early warnings in force.
pub(super) fn warnings(snapshot: &Snapshot) -> Html {
    let (told, own): (Vec<_>, Vec<_>) = early::of(snapshot).into_iter().partition(|warning| warning.part_of.is_some());
    let told = told.iter().map(|warning| {
        let about = warning.subject.as_deref().or(warning.class.map(|class| class.label())).unwrap_or_default();
        let part_of = warning.part_of.map(|incident| incident.to_string()).unwrap_or_default();
        Text::from(format!("{} {about}: {part_of}", warning.kind.label()))
    });
    let told = told.collect();
    let lines = own.into_iter().map(|warning| Warning {
        kind: warning.kind.label(),
        class: warning.class.map_or("", |class| class.label()),
        subject: warning.subject.map(Text::from),
        text: Text::from(warning.text),
    });
    Html::of(&Warnings { lines: lines.collect(), told })
}

#[derive(Template)]
#[template(path = "exports.html", whitespace = "minimize")]
struct Exports {
    lines: Vec<Text>,
}

/// What was exported from Azure, where the configuration names exports.
pub(super) fn exports(snapshot: &Snapshot) -> Html {
    Html::of(&Exports { lines: texts(exported::lines(snapshot)) })
}

#[derive(Template)]
#[template(path = "agent.html", whitespace = "minimize")]
struct Agent {
    facts: Vec<Fact>,
    warnings: Vec<Text>,
    environment: Option<Text>,
    retired: Text,
}

struct Fact {
    name: &'static str,
    standing: Option<Standing>,
    text: Text,
    at: Option<When>,
}

impl Fact {
    fn plain(name: &'static str, text: impl AsRef<str>) -> Self {
        Self { name, standing: None, text: Text::from(text), at: None }
    }

    fn judged(name: &'static str, standing: Standing, text: impl AsRef<str>) -> Self {
        Self { standing: Some(standing), ..Self::plain(name, text) }
    }
}

/// How the agent does.
pub(super) fn own_health(snapshot: &Snapshot) -> Html {
    let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
    let started = Fact { at: Some(When::of(agent.started)), ..Fact::plain("Started", "") };
    let lag = format!("{} at most in the last minute", millis(agent.schedule_lag));
    let late = agent.schedule_lag.as_millis() > 1000;
    let reload = if agent.reload_ok { GOOD.said("in force") } else { BAD.said("last reload refused") };
    let (profile, cloud) = (&catalog.profile, &catalog.cloud);
    let facts = vec![
        Fact::plain("Version", VERSION),
        Fact::plain("Seen from", &agent.vantage),
        Fact::plain("Catalogue", format!("{profile}, cloud {cloud}, edition {}", catalog.edition)),
        started,
        Fact::judged("Ready", if agent.ready { GOOD.said("yes") } else { NONE.said("not yet") }, ready(snapshot)),
        Fact { at: Some(When::of(agent.loaded)), ..Fact::judged("Configuration", reload, &agent.origin) },
        Fact::judged("Late visits", if late { PART.said("late") } else { GOOD.said("on time") }, lag),
        memory(snapshot),
    ];
    Html::of(&Agent {
        facts,
        warnings: texts(std::collections::BTreeSet::from_iter(&agent.warnings)),
        environment: environment(snapshot).map(Text::from),
        retired: Text::from(profile::retired(catalog).unwrap_or_default()),
    })
}

fn ready(snapshot: &Snapshot) -> &'static str {
    if snapshot.agent.ready { "every endpoint was visited" } else { "not every endpoint was visited once" }
}

fn memory(snapshot: &Snapshot) -> Fact {
    match snapshot.store.ok {
        None => Fact::judged(
            "Memory",
            NONE.said("off"),
            "no state directory: nothing is kept beyond the end of the process",
        ),
        Some(false) => Fact::judged("Memory", BAD.said("not written"), "the state directory takes nothing"),
        Some(true) => {
            let recalled = snapshot.store.recalled;
            let away = |saved| span(snapshot.agent.started.saturating_sub(saved));
            let text = recalled.map_or("clocks began at zero".to_owned(), |saved| {
                format!("took up the clocks of an earlier process, {} old", away(saved))
            });
            Fact::judged("Memory", GOOD.said("written"), text)
        }
    }
}

/// What the management API said, where it was imported.
fn environment(snapshot: &Snapshot) -> Option<String> {
    let environment = &snapshot.environment.as_ref()?.environment;
    let status = environment.status.as_deref().unwrap_or("unknown");
    let suspended = match environment.suspended {
        Some(true) => ", SUSPENDED",
        Some(false) => ", not suspended",
        None => "",
    };
    Some(format!("{}: status {status}{suspended}", environment.name))
}
