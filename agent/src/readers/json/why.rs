//! Why something is as it is, in the words of its cause: said once for every document that says it.

use ase_probes::verdict::Finding;
use serde::Serialize;

/// Why something is as it is; every field is null where nothing was found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Why {
    pub(super) cause: Option<&'static str>,
    pub(super) summary: Option<&'static str>,
    pub(super) phase: Option<&'static str>,
    pub(super) side: Option<&'static str>,
    pub(super) scope: Option<&'static str>,
    pub(super) confidence: Option<&'static str>,
    pub(super) next_step: Option<&'static str>,
    pub(super) owner: Option<&'static str>,
}

impl Why {
    /// What a finding says in words.
    pub(super) fn of(finding: Option<Finding>) -> Self {
        let Some(finding) = finding else { return Self::default() };
        let definition = finding.cause.definition();
        Self {
            cause: Some(definition.label),
            summary: Some(definition.summary),
            phase: Some(finding.phase.label()),
            side: Some(finding.side.label()),
            scope: None,
            confidence: Some(finding.confidence.label()),
            next_step: Some(definition.next_step),
            owner: Some(definition.owner.label()),
        }
    }
}
