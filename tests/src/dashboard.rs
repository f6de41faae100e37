//! Dashboards as data: a short description becomes the JSON that Grafana imports, or pictures of its panels over the
//! answers of a real Prometheus.

pub mod answer;
mod grafana;
mod picture;
pub mod show;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

pub use self::{grafana::render, picture::page};

/// The shipped dashboards: name of the file, description.
pub const SHIPPED: [(&str, &str); 4] = [
    ("fleet", include_str!("../../dashboards/grafana/fleet.yaml")),
    ("agent", include_str!("../../dashboards/grafana/agent.yaml")),
    ("dns", include_str!("../../dashboards/grafana/dns.yaml")),
    ("endpoint", include_str!("../../dashboards/grafana/endpoint.yaml")),
];

/// A dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// The stable identifier in links.
    pub uid: String,
    /// The heading.
    pub title: String,
    /// What it is for, one sentence.
    pub description: String,
    /// What can be chosen beside the data source.
    pub variables: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A row of panels.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The heading.
    pub title: String,
    /// The panels, from left to right; they wrap at 24 columns.
    pub panels: Vec<Panel>,
}

/// How a panel shows its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One large value.
    Stat,
    /// Values over time.
    Lines,
    /// Amounts over time, on top of each other.
    Bars,
    /// Which of a few states each series was in, over time.
    States,
    /// One row per series, labels as columns.
    Table,
}

/// A panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The heading.
    pub title: String,
    /// How it shows its series.
    pub kind: Kind,
    /// Grafana's name of the unit.
    pub unit: String,
    /// What it shows and how to read it.
    pub description: String,
    /// Columns of 24.
    pub width: u32,
    /// Grid units of 30 pixels.
    #[serde(default = "default_height")]
    pub height: u32,
    /// The lower end of the axis.
    pub min: Option<f64>,
    /// The upper end of the axis.
    pub max: Option<f64>,
    /// Colours from these values on.
    #[serde(default)]
    pub thresholds: BTreeMap<String, String>,
    /// Words for values.
    #[serde(default)]
    pub values: BTreeMap<String, Word>,
    /// Shows this label's text in the value's place.
    pub show: Option<String>,
    /// Leads to another dashboard with the labels of what was clicked.
    pub link: Option<String>,
    /// The labels that a table shows, in order.
    #[serde(default)]
    pub columns: Vec<String>,
    /// When it rightly shows nothing; absent if it always shows something.
    pub without_series: Option<String>,
    /// What it asks.
    pub queries: Vec<Query>,
}

/// A word for a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Its colour.
    pub color: String,
}

/// A question to Prometheus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// PromQL with Grafana's variables.
    pub expr: String,
    /// The name of a series, with labels in double braces.
    #[serde(default)]
    pub legend: String,
}

fn default_height() -> u32 {
    4
}

impl Dashboard {
    /// Reads a description.
    ///
    /// # Errors
    /// The first key or value that makes no sense.
    pub fn parse(text: &str) -> Result<Self> {
        serde_saphyr::from_str(text).context("the description of a dashboard")
    }

    /// Every panel.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

impl Panel {
    /// Whether it asks about a moment rather than a range.
    pub fn is_instant(&self) -> bool {
        match self.kind {
            Kind::Stat | Kind::Table => true,
            Kind::Lines | Kind::Bars | Kind::States => false,
        }
    }

    /// Thresholds as numbers, in order.
    pub fn steps(&self) -> Vec<(f64, &str)> {
        let mut steps: Vec<(f64, &str)> =
            self.thresholds.iter().filter_map(|(from, color)| Some((from.parse().ok()?, color.as_str()))).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        steps
    }
}

/// Puts values in the place of Grafana's variables, as Grafana does before it asks.
pub fn filled(expression: &str, variables: &BTreeMap<&str, String>) -> String {
    variables.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}
