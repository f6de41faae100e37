//! Measurements as tables for people: medians over the rounds, the agent beside the exporter with their ratio.

use std::fmt::Write;

use ase_agent::net::duration::show;

use super::play::{AGENT_NAME, BLACKBOX_NAME, Measurement, PROMETHEUS_NAME, Quantiles, Reading, Subject};

/// The tables of all cases, in the order in which they were measured.
pub(super) fn render(measurements: &[Measurement], cores: usize) -> String {
    let groups = groups(measurements);
    let mut text = String::new();
    let mut add = |title: &str, head: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            write!(text, "\n{title}\n{}", aligned(head, rows)).expect("a string takes all");
        }
    };
    add(
        "CPU per probe in ms: user and system time of each program over the probes made",
        &[
            "case",
            "watched",
            "every",
            "agent",
            "its Prometheus",
            "blackbox",
            "its Prometheus",
            "agent/blackbox",
            "both/both",
        ],
        cases(&groups).into_iter().map(|case| cost(&groups, case)).collect(),
    );
    add(
        "how well it kept its rhythm; gaps are between two arrivals at a server, times in ms (median / 99th percentile)",
        &[
            "case",
            "program",
            "made",
            "expected",
            "missing",
            "healthy",
            "gap error",
            "while read",
            "own lag",
            "largest",
            "waited",
        ],
        groups.iter().map(|group| rhythm(group)).collect(),
    );
    add(
        "what it is like: share of one core, memory in MiB (at the end / peak), pages while probing (median / longest ms, KiB)",
        &["case", "program", "CPU", "memory", "/metrics", "KiB", "/api/v1/status", "KiB"],
        groups.iter().map(|group| likeness(group)).collect(),
    );
    add(
        "the bench's own part: shares of one core, and how late packets left the path in ms (median / 99th percentile)",
        &["case", "program", "path", "servers", "others", "all cores idle", "path late"],
        groups.iter().map(|group| own_part(group, cores)).collect(),
    );
    text
}

/// The rounds of one case and program.
type Group<'a> = Vec<&'a Measurement>;

fn groups(measurements: &[Measurement]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in measurements {
        let is_of =
            |group: &&mut Group<'_>| group[0].plan.case == one.plan.case && group[0].plan.subject == one.plan.subject;
        match groups.iter_mut().find(is_of) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn cases<'a>(groups: &[Group<'a>]) -> Vec<&'a str> {
    let mut cases: Vec<&str> = groups.iter().map(|group| group[0].plan.case.as_str()).collect();
    cases.dedup();
    cases
}

/// The median of what each round has; `None` if none has it.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn of(group: &Group<'_>, value: impl Fn(&Measurement) -> Option<f64>) -> Option<f64> {
    median(group.iter().filter_map(|one| value(one)))
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn cost(groups: &[Group<'_>], case: &str) -> Vec<String> {
    let group = |is_blackbox: bool| {
        let is_it = |group: &&Group<'_>| (group[0].plan.subject == Subject::Blackbox) == is_blackbox;
        groups.iter().filter(|group| group[0].plan.case == case).find(is_it)
    };
    let per_probe = |is_blackbox, program| of(group(is_blackbox)?, |one| one.cpu_per_probe(program));
    let [agent, reader] = [AGENT_NAME, PROMETHEUS_NAME].map(|program| per_probe(false, program));
    let [blackbox, driver] = [BLACKBOX_NAME, PROMETHEUS_NAME].map(|program| per_probe(true, program));
    let sum = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let first = group(false).or(group(true)).map(|group| group[0]);
    let every = first.and_then(|one| one.plan.endpoints.as_ref()).map(|endpoints| show(endpoints.interval));
    vec![
        case.to_owned(),
        first.map(watched).unwrap_or_default(),
        every.unwrap_or_else(|| "by class".to_owned()),
        shown(agent, 3),
        shown(reader, 3),
        shown(blackbox, 3),
        shown(driver, 3),
        shown(ratio(agent, blackbox), 2),
        shown(ratio(sum(agent, reader), sum(blackbox, driver)), 2),
    ]
}

fn watched(one: &Measurement) -> String {
    match &one.plan.endpoints {
        Some(planned) if planned.count != one.watched => format!("{} of {}: its limit", one.watched, planned.count),
        _ => one.watched.to_string(),
    }
}

/// The case and the program that a row is about.
fn names(group: &Group<'_>) -> Vec<String> {
    let program = match group[0].plan.subject {
        Subject::AgentAlone | Subject::Agent => AGENT_NAME,
        Subject::Blackbox => BLACKBOX_NAME,
    };
    vec![group[0].plan.case.clone(), program.to_owned()]
}

fn rhythm(group: &Group<'_>) -> Vec<String> {
    let pair = |value: fn(&Measurement) -> Option<Quantiles>| {
        let [p50, p99] = [of(group, |one| Some(value(one)?.p50)), of(group, |one| Some(value(one)?.p99))];
        joined(p50, p99, 1)
    };
    let lag = |share| of(group, |one| one.lag.as_ref()?.quantile_ms(share));
    let mut row = names(group);
    row.extend([
        shown(of(group, |one| Some(one.made() as f64)), 0),
        shown(of(group, |one| Some(one.expected)), 0),
        percent(of(group, |one| Some(one.missing()))),
        shown(of(group, |one| Some(one.healthy as f64)), 0),
        pair(|one| one.gap_error_ms),
        pair(|one| one.gap_error_reading_ms),
        joined(lag(0.5), lag(0.99), 1),
        shown(of(group, |one| Some(one.lag.as_ref()?.largest_ms)), 1),
        shown(of(group, |one| Some(one.lag.as_ref()?.wait_ms)), 1),
    ]);
    row
}

fn joined(one: Option<f64>, other: Option<f64>, digits: usize) -> String {
    if one.is_none() && other.is_none() {
        "-".to_owned()
    } else {
        format!("{} / {}", shown(one, digits), shown(other, digits))
    }
}

fn likeness(group: &Group<'_>) -> Vec<String> {
    let mut row = names(group);
    let program = row[1].clone();
    let spent = |one: &Measurement| one.spent.get(&program).cloned();
    let mib =
        |value: fn(&super::spent::Memory) -> u64| of(group, |one| Some(value(&spent(one)?.memory) as f64 / 1024.0));
    row.push(percent(of(group, |one| Some(spent(one)?.cpu_seconds / one.seconds))));
    row.push(joined(mib(|memory| memory.resident), mib(|memory| memory.peak), 1));
    for path in ["/metrics", "/api/v1/status"] {
        let page = |value: fn(&Reading) -> f64| of(group, |one| one.readings.get(path).map(value));
        row.push(joined(page(|page| page.median_ms), page(|page| page.longest_ms), 1));
        row.push(shown(page(|page| page.bytes as f64 / 1024.0), 0));
    }
    row
}

fn own_part(group: &Group<'_>, cores: usize) -> Vec<String> {
    let share = |value: fn(&Measurement) -> f64| percent(of(group, |one| Some(value(one) / one.seconds)));
    let mut row = names(group);
    row.extend([
        share(|one| one.lab.path_cpu_seconds),
        share(|one| one.lab.servers_cpu_seconds),
        share(|one| one.lab.others_cpu_seconds),
        format!("{} of {cores}", percent(of(group, |one| Some(one.lab.idle)))),
        joined(of(group, |one| Some(one.lab.path_late_ms.p50)), of(group, |one| Some(one.lab.path_late_ms.p99)), 2),
    ]);
    row
}

/// Columns side by side: names to the left, figures to the right.
fn aligned(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_ones() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".to_owned(), "1000".to_owned()], vec!["longer".to_owned(), "1".to_owned()]];
        assert_eq!(aligned(&["case", "n"], rows), "case       n\na       1000\nlonger     1\n");
    }
}
