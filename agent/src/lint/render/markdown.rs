//! The report for the comment of a pull request.

use crate::lint::{
    finding::{Finding, Report},
    render::table,
};

/// Renders it.
pub fn render(report: &Report, profile: &str) -> String {
    let mut text = format!("### {}\n\n", table::summary(report, profile));
    if !report.findings.is_empty() {
        text.push_str("| severity | finding | rule | what |\n|---|---|---|---|\n");
        report.findings.iter().for_each(|finding| text.push_str(&row(finding)));
        text.push('\n');
    }
    for finding in report.findings.iter().filter(|finding| finding.fix.is_some()) {
        let fix = finding.fix.as_deref().unwrap_or_default();
        text.push_str(&format!("<details><summary>{}</summary>\n\n```sh\n{fix}\n", finding.id()));
        if let Some(confirm) = &finding.confirm {
            text.push_str(&format!("{confirm}\n"));
        }
        text.push_str("```\n\n</details>\n");
    }
    for open in &report.could_not_judge {
        text.push_str(&format!("- open: {}\n", cell(&open.why)));
    }
    text
}

fn row(finding: &Finding) -> String {
    let rule = finding.rule.as_deref().map(|rule| format!("`{}`", cell(rule))).unwrap_or_default();
    let packet =
        finding.packet.as_ref().map(|packet| format!(" (`{}`)", cell(&packet.to_string()))).unwrap_or_default();
    format!("| {} | {} | {rule} | {}{packet} |\n", finding.severity.label(), finding.id(), cell(&finding.message))
}

/// Text that stays within a cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('`', "'")
}
