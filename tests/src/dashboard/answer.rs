//! What Prometheus answers to a panel's question: series with their points.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Panel, filled};
use crate::loopback::{escaped, get_json};

/// One series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its legend.
    pub name: String,
    /// Time since the Unix epoch in seconds, and value.
    pub points: Vec<(f64, f64)>,
}

/// The range that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Its end since the Unix epoch.
    pub end: Duration,
    /// Its length.
    pub length: Duration,
    /// The time between two points.
    pub step: Duration,
}

/// Asks what a panel asks.
///
/// # Errors
/// When Prometheus does not answer, or refuses the question.
pub fn of_panel(
    prometheus: SocketAddr,
    panel: &Panel,
    range: Range,
    variables: &BTreeMap<&str, String>,
) -> Result<Vec<Series>> {
    let mut found = Vec::new();
    for query in &panel.queries {
        let expression = escaped(&filled(&query.expr, variables));
        let end = range.end.as_secs_f64();
        let path = if panel.is_instant() {
            format!("/api/v1/query?query={expression}&time={end}")
        } else {
            let (start, step) = (end - range.length.as_secs_f64(), range.step.as_secs_f64());
            format!("/api/v1/query_range?query={expression}&start={start}&end={end}&step={step}")
        };
        let answer = get_json(prometheus, &path).with_context(|| format!("Prometheus refuses {}", query.expr))?;
        let Some(result) = answer["data"]["result"].as_array() else { bail!("{}: {answer}", query.expr) };
        found.extend(result.iter().map(|series| of_series(series, &query.legend)));
    }
    found.retain(|series| !series.points.is_empty());
    found.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.labels.cmp(&b.labels)));
    Ok(found)
}

fn of_series(series: &Value, legend: &str) -> Series {
    let labels: BTreeMap<String, String> = series["metric"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let one = std::slice::from_ref(&series["value"]);
    let points = series["values"].as_array().map_or(one, Vec::as_slice).iter().filter_map(|point| {
        let value: f64 = point[1].as_str()?.parse().ok()?;
        (!value.is_nan()).then_some((point[0].as_f64()?, value))
    });
    Series { name: named(legend, &labels), points: points.collect(), labels }
}

/// A legend with the labels in their places.
fn named(legend: &str, labels: &BTreeMap<String, String>) -> String {
    let mut name =
        labels.iter().fold(legend.to_owned(), |text, (label, value)| text.replace(&format!("{{{{{label}}}}}"), value));
    // A label that a series does not have is empty, as in Grafana.
    while let Some((before, rest)) = name.split_once("{{")
        && let Some((_, after)) = rest.split_once("}}")
    {
        name = format!("{before}{after}");
    }
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_takes_the_labels_that_are_there() {
        let labels = BTreeMap::from([("class".to_owned(), "sql".to_owned())]);
        assert_eq!(named("{{vantage}} {{class}}", &labels), "sql");
        assert_eq!(named("plain", &labels), "plain");
    }

    #[test]
    fn values_that_are_no_numbers_are_no_points() {
        let series =
            serde_json::json!({"metric": {"class": "sql"}, "values": [[1.0, "NaN"], [2.0, "0.5"], [3.0, "+Inf"]]});
        assert_eq!(of_series(&series, "").points, [(2.0, 0.5), (3.0, f64::INFINITY)]);
    }
}
