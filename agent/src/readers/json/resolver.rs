//! The JSON of `nameresolver`: what an app gets, and both sides with what their difference means.

use ase_probes::outcome::Outcome;
use serde_json::{Value, json};

use crate::{
    readers::nameresolver,
    resolvers::{
        compare::{Answer, Comparison, Equivalence, Worry},
        names::NameView,
        survey::Survey,
        worker::Resolved,
    },
};

/// Renders what an app gets.
pub fn resolved_to_json(name: &str, resolved: &Resolved) -> String {
    let answer = resolved.answer.as_ref();
    let evidence: Vec<String> = resolved.outcomes.iter().flat_map(Outcome::evidence).collect();
    let document = json!({
        "schema": "ase-agent/nameresolver/1",
        "name": name,
        "resolved": nameresolver::is_resolved(resolved),
        "server": resolved.server.to_string(),
        "rcode": answer.map(|answer| answer.rcode.to_string()),
        "addresses": answer.map(|answer| answer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "aliases": answer.map(|answer| &answer.chain),
        "extended_errors": answer.map(|answer| {
            answer.extended_errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        }),
        "ttl_seconds": answer.and_then(|answer| answer.min_ttl).map(|ttl| ttl.as_secs()),
        "tries": resolved.tries,
        "fell_back_to_azure": resolved.fell_back,
        "evidence": evidence,
    });
    format!("{document:#}")
}

/// Renders both sides.
pub fn survey_to_json(survey: &Survey) -> String {
    format!("{:#}", survey_value(survey))
}

/// Renders one round of many on one line: the survey, its number and the comparison in force.
pub fn round_to_json(round: u32, view: &NameView) -> String {
    let mut document = view.last.as_ref().map_or(Value::Null, |survey| survey_value(survey));
    document["round"] = json!(round);
    document["in_force"] = json!(view.published.as_ref().map(comparison));
    document.to_string()
}

/// One survey as JSON.
pub(super) fn survey_value(survey: &Survey) -> Value {
    json!({
        "schema": "ase-agent/comparison/1",
        "name": survey.name,
        "custom": { "server": survey.server.to_string(), "answer": side(&survey.custom) },
        "azure": { "answer": side(&survey.azure) },
        "comparison": comparison(&survey.comparison),
        "annotations": survey.annotations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn comparison(comparison: &Comparison) -> Value {
    json!({
        "class": comparison.class.label(),
        "worry": match comparison.worry { Worry::Fine => "fine", Worry::Warn => "warning", Worry::Bad => "bad" },
        "rule": comparison.rule,
        "equivalence": comparison.equivalence.map(equivalence),
        "reason": comparison.reason,
        "advice": comparison.class.advice(),
    })
}

fn equivalence(why: Equivalence) -> &'static str {
    match why {
        Equivalence::Overlap => "overlap",
        Equivalence::SameChain => "same_chain",
        Equivalence::Managed => "managed",
        Equivalence::SameOrigin => "same_origin",
        Equivalence::TlsConfirmed => "tls_confirmed",
    }
}

fn side(answer: &Answer) -> Value {
    json!({
        "outcome": answer.outcome.label(),
        "chain": answer.chain,
        "addresses": answer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "zone": answer.soa_zone,
        "authoritative": answer.authoritative,
        "ttl_seconds": answer.ttl.map(|ttl| ttl.as_secs()),
        "response_seconds": answer.response.map(|time| time.as_secs_f64()),
        "why": answer.why,
        "remarks": answer.remarks,
    })
}
