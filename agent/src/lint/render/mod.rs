//! Pure renderings of a lint's report: table, JSON, SARIF, Markdown, and the page of findings.

pub mod diff;
pub mod explain;
pub mod json;
pub mod markdown;
pub mod sarif;
pub mod size;
pub mod table;
