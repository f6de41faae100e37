//! What the agent remembers, as a table for people.

use std::time::Duration;

use comfy_table::{Table, presets};

use crate::{
    net::duration::show,
    readers::summary::{count, rfc3339},
    store::{
        history::History,
        rows::{IncidentRow, Label, OutcomeRow, StateRow},
    },
};

/// What of it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Incidents.
    pub incidents: bool,
    /// Outcomes.
    pub outcomes: bool,
}

/// Open incidents that the first line names.
const OPEN_NAMED: usize = 3;

/// Renders what is remembered; `now` is the wall clock.
pub fn render(history: &History, shown: Shown, now: Duration) -> String {
    let mut text = open(history, now);
    match &history.state {
        Some(state) => text.push_str(&clocks(state)),
        None => text.push_str("no clocks were saved yet\n"),
    }
    if shown.incidents {
        text.push_str(&format!("\n{}\n", count(history.incidents.len(), "incident")));
        text.push_str(&incidents(&history.incidents, now));
    }
    if shown.outcomes {
        text.push_str(&format!(
            "\n{} of outcomes\n",
            count(history.outcomes.len(), "stretch").replace("stretchs", "stretches")
        ));
        text.push_str(&outcomes(&history.outcomes));
    }
    if history.damaged > 0 {
        text.push_str(&format!("\n{} left out: they do not fit their seal\n", count(history.damaged, "row")));
    }
    text
}

/// What is broken now, in the first line. Where one endpoint was asked for, what is broken elsewhere is counted, so that
/// nobody takes its silence for that of all.
fn open(history: &History, now: Duration) -> String {
    let open: Vec<&IncidentRow> = history.incidents.iter().filter(|row| row.closed.is_none()).collect();
    let said: Vec<String> = open
        .iter()
        .take(OPEN_NAMED)
        .map(|row| format!("{} at {} for {}", row.cause, row.component, whole(now.saturating_sub(row.since))))
        .collect();
    let at = history.asked.as_ref().map(|asked| format!(" at {asked}")).unwrap_or_default();
    let elsewhere = match history.open_elsewhere {
        0 => String::new(),
        others => format!("; {others} elsewhere"),
    };
    match open.len() {
        0 => format!("no incident is open{at}{elsewhere}\n"),
        many if many > said.len() => {
            let more = many - said.len();
            format!("{} open{at}: {}, and {more} more{elsewhere}\n", count(many, "incident"), said.join("; "))
        }
        many => format!("{} open{at}: {}{elsewhere}\n", count(many, "incident"), said.join("; ")),
    }
}

fn clocks(state: &StateRow) -> String {
    let risk = &state.memory.risk;
    let running = risk.clocks.iter().filter(|(_, time)| time.outage > 0.0);
    let running: Vec<_> =
        running.map(|(class, time)| format!("{class} {}", whole(Duration::from_secs_f64(time.outage)))).collect();
    let lost = if running.is_empty() {
        "no outage on any clock".to_owned()
    } else {
        format!("outage clocks: {}", running.join(", "))
    };
    format!("risk level {} as of {}; {lost}\n", risk.level.label(), rfc3339(state.saved))
}

fn incidents(rows: &[IncidentRow], now: Duration) -> String {
    table(
        &["since", "for", "cause", "side", "scope", "confidence", "what", "endpoints"],
        rows.iter().map(|row| {
            let (lasted, open) = match row.closed {
                Some(closed) => (closed.saturating_sub(row.since), ""),
                None => (now.saturating_sub(row.since), " (open)"),
            };
            let [cause, side, scope, confidence] =
                [&row.cause, &row.side, &row.scope, &row.confidence].map(Clone::clone);
            // Nobody saw its end.
            let least = row.account.last_seen.filter(|_| row.closed.is_some());
            let least = least.map(|seen| format!("{} to ", whole(seen.saturating_sub(row.since)))).unwrap_or_default();
            let lasted = format!("{least}{}{open}", whole(lasted));
            vec![
                rfc3339(row.since),
                lasted,
                cause,
                side,
                scope,
                confidence,
                row.component.clone(),
                row.endpoints.join(" "),
            ]
        }),
    )
}

fn outcomes(rows: &[OutcomeRow]) -> String {
    table(
        &["from", "to", "visits", "result", "cause", "phase", "took", "endpoint"],
        rows.iter().map(|row| {
            let or_dash = |label: &Option<Label>| label.as_deref().unwrap_or("-").to_owned();
            let took = format!("{:.1} ms", row.took.as_secs_f64() * 1e3);
            let (from, to) = (rfc3339(row.began), rfc3339(row.ended));
            let (cause, phase) = (or_dash(&row.cause), or_dash(&row.phase));
            vec![from, to, row.count.to_string(), row.result.to_string(), cause, phase, took, row.endpoint.to_string()]
        }),
    )
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    if table.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().trim_start().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// To the second.
fn whole(duration: Duration) -> String {
    show(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::{
        estimate::{ClockTime, Level, RiskMemory},
        steps::ClockMemory,
    };
    use ase_probes::class::Class;

    const AT: Duration = Duration::from_secs(1_800_000_000);

    fn sample() -> History {
        let clocks =
            [(Class::Sql, ClockTime { outage: 725.0, loss: 1.0, healthy: 0 }), (Class::Dns, ClockTime::default())];
        let risk = RiskMemory { clocks: clocks.into(), level: Level::Info, ..RiskMemory::default() };
        let state = StateRow { saved: AT, memory: ClockMemory { risk, ..ClockMemory::default() } };
        let incident = IncidentRow {
            cause: "dropped".to_owned(),
            side: "path".to_owned(),
            scope: "port".to_owned(),
            confidence: "likely".to_owned(),
            component: "port 1433".to_owned(),
            endpoints: vec!["db:1433".to_owned()],
            since: AT - Duration::from_secs(725),
            ..IncidentRow::default()
        };
        let outcome = OutcomeRow {
            endpoint: "db:1433".into(),
            class: "sql".into(),
            result: "healthy".into(),
            cause: None,
            phase: None,
            began: AT - Duration::from_secs(1000),
            ended: AT - Duration::from_secs(730),
            count: 9,
            took: Duration::from_micros(12_500),
        };
        History {
            state: Some(state),
            incidents: vec![incident],
            outcomes: vec![outcome],
            damaged: 1,
            ..History::default()
        }
    }

    #[test]
    fn the_clocks_come_first_then_incidents_then_outcomes() {
        let text = render(&sample(), Shown { incidents: true, outcomes: true }, AT);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("1 incident open: ") && lines[0].ends_with(" for 12m 5s"), "{text}");
        assert_eq!(lines[1], "risk level info as of 2027-01-15T08:00:00Z; outage clocks: sql 12m 5s");
        assert!(lines[5].contains("12m 5s (open)") && lines[5].ends_with("port 1433  db:1433"), "{text}");
        assert!(lines[9].contains("healthy") && lines[9].contains("12.5 ms"), "{text}");
        assert!(text.ends_with("1 row left out: they do not fit their seal\n"), "{text}");
    }

    #[test]
    fn of_an_incident_whose_end_nobody_saw_it_is_said_how_long_it_lasted_at_least_and_at_most() {
        let mut history = sample();
        let row = &mut history.incidents[0];
        (row.closed, row.account.last_seen) = (Some(AT), Some(row.since + Duration::from_secs(65)));
        let text = render(&history, Shown { incidents: true, outcomes: false }, AT);
        assert!(text.contains("1m 5s to 12m 5s  dropped"), "{text}");
    }

    #[test]
    fn where_one_endpoint_is_asked_for_the_first_line_counts_what_is_open_elsewhere() {
        let shown = Shown { incidents: true, outcomes: true };
        let first = |history: &History| render(history, shown, AT).lines().next().unwrap_or_default().to_owned();
        let quiet = History { asked: Some("dns.example".to_owned()), open_elsewhere: 2, ..History::default() };
        assert_eq!(first(&quiet), "no incident is open at dns.example; 2 elsewhere");
        assert_eq!(first(&History { open_elsewhere: 0, ..quiet.clone() }), "no incident is open at dns.example");
        let lost = History { asked: Some("db".to_owned()), open_elsewhere: 1, ..sample() };
        assert_eq!(first(&lost), "1 incident open at db: dropped at port 1433 for 12m 5s; 1 elsewhere");
    }

    #[test]
    fn nothing_remembered_is_said() {
        let text = render(&History::default(), Shown { incidents: true, outcomes: false }, AT);
        assert_eq!(text, "no incident is open\nno clocks were saved yet\n\n0 incidents\n");
    }
}
