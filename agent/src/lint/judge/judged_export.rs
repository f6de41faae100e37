//! One side of a comparison: an export with all that was judged of it, and how each requirement stands there.

use std::collections::BTreeMap;

use crate::lint::{
    addresses::AddressSet,
    change::Standing,
    evaluate::Ruling,
    finding::{Finding, Kind, Report, Severity},
    judge::{Case, Question, gate::Gate, judged, too_many, ways},
    read::Export,
    requirements::Requirement,
    routing::Routing,
    tags::Tag,
    traffic::Direction,
};

/// An export with all that was judged of it.
pub(super) struct JudgedExport<'a> {
    pub(super) case: Case<'a>,
    pub(super) report: Report,
    pub(super) gates: Vec<Gate<'a>>,
    /// The routes in force; none where no table was given.
    pub(super) routing: Option<Routing>,
    pub(super) astray: BTreeMap<&'static str, AddressSet>,
}

impl<'a> JudgedExport<'a> {
    pub(super) fn new(question: &'a Question, export: &'a Export, first: &[Tag]) -> Self {
        let case = Case::new(question, export, first);
        let report = judged(&case);
        // What is wrong with the choice of group and table stands in the report already.
        let mut said = Report::default();
        let groups = case.groups(&mut said).into_iter().filter(|group| !too_many(group, &mut Report::default()));
        let gates = groups.map(|group| Gate::new(group, &case.world)).collect();
        let table = case.table(&mut said);
        let routing = table.map(|table| Routing::new(Some(table), &case.nets.1, &case.world));
        let astray = table.map(|table| ways::astray(&case, table)).unwrap_or_default();
        Self { case, report, gates, routing, astray }
    }

    /// The rules of one direction, group by group.
    pub(super) fn rulings(&self, direction: Direction) -> Vec<&Ruling> {
        self.gates.iter().map(|gate| gate.ruling(direction)).collect()
    }

    /// Whether groups or tables were given and none of them could be chosen.
    pub(super) fn is_undecided(&self) -> bool {
        let export = self.case.export;
        (self.gates.is_empty() && !export.groups.is_empty()) || (self.routing.is_none() && !export.tables.is_empty())
    }

    pub(super) fn requirement(&self, id: &str) -> Option<Requirement> {
        self.case.requirements().into_iter().find(|requirement| requirement.id == id)
    }

    /// The worst finding about a requirement; what stays open is none.
    pub(super) fn worst(&self, id: &str) -> Option<&Finding> {
        let about = self.report.findings.iter().filter(|finding| finding.requirement.as_deref() == Some(id));
        about
            .filter(|finding| finding.kind != Kind::CannotTell || !self.is_open(id))
            .max_by_key(|finding| rank(finding))
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.report.could_not_judge.iter().any(|open| open.requirement.as_deref() == Some(id))
    }

    pub(super) fn standing(&self, id: &str) -> Standing {
        let open = self.report.could_not_judge.iter().find(|open| open.requirement.as_deref() == Some(id));
        match (self.worst(id), open) {
            (Some(finding), None) => of_finding(finding),
            (Some(finding), Some(_)) if finding.severity > Severity::Info => of_finding(finding),
            (_, Some(open)) => {
                Standing { verdict: "could_not_judge".to_owned(), rule: open.rule.clone(), message: open.why.clone() }
            }
            (None, None) => Standing { verdict: "holds".to_owned(), ..Standing::default() },
        }
    }
}

/// What a finding says of what it is about.
pub(super) fn of_finding(finding: &Finding) -> Standing {
    Standing { verdict: finding.kind.id().to_owned(), rule: finding.rule.clone(), message: finding.message.clone() }
}

/// How much worse one finding is than another: by severity, and denied altogether is worse than partly.
pub(super) fn rank(finding: &Finding) -> (Severity, bool) {
    (finding.severity, finding.kind == Kind::Blocked)
}
