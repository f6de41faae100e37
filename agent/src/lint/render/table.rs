//! The report for people at a terminal.

use crate::lint::finding::{Finding, Report, Severity, Verdict};

/// Renders it. Information is one line each; what breaks something has its packet, its source and both commands.
pub fn render(report: &Report, profile: &str) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&one(finding));
    }
    for open in &report.could_not_judge {
        let what = open.requirement.as_deref().or(open.rule.as_deref()).unwrap_or("input");
        text.push_str(&format!("OPEN      {what}: {}\n", open.why));
    }
    for (finding, reason) in &report.suppressed {
        text.push_str(&format!("SET ASIDE {}: {reason}\n", finding.id()));
    }
    for note in &report.notes {
        text.push_str(&format!("note      {note}\n"));
    }
    text.push_str(&format!("\n{}\n", summary(report, profile)));
    text
}

fn one(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Critical => "CRITICAL",
        Severity::Warning => "WARNING ",
        Severity::Info => "info    ",
    };
    let rule = finding.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    let mut text = format!("{severity}  {}{rule}: {}\n", finding.id(), finding.message);
    if finding.severity == Severity::Info {
        return text;
    }
    let mut line = |word: &str, what: &Option<String>| {
        if let Some(what) = what {
            text.push_str(&format!("            {word:<8} {what}\n"));
        }
    };
    line("packet", &finding.packet.as_ref().map(ToString::to_string));
    line(
        "at",
        &finding
            .at
            .as_ref()
            .map(|at| format!("{}{at}", finding.resource.as_ref().map(|one| format!("{one}: ")).unwrap_or_default())),
    );
    line("source", &finding.source);
    line("fix", &finding.fix);
    line("confirm", &finding.confirm);
    text
}

/// The result in one line.
pub fn summary(report: &Report, profile: &str) -> String {
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (critical, warning, info) = (count(Severity::Critical), count(Severity::Warning), count(Severity::Info));
    let open = report.could_not_judge.len();
    match report.verdict() {
        Verdict::Fine => format!("{profile}: fine ({info} of information)"),
        Verdict::Findings => {
            format!("{profile}: {critical} critical, {warning} warnings, {info} of information, {open} open")
        }
        Verdict::CouldNotJudge => format!("{profile}: nothing found, but {open} could not be judged"),
    }
}
