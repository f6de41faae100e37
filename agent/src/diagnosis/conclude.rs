//! Reads the decision table: a symptom and the known contrasts give one cause, what else it could be, and which
//! contrasts would tell; of the exchange's own confidence and the rule's the higher stays.

use std::{collections::BTreeSet, sync::LazyLock};

use ase_probes::{
    cause::Cause,
    verdict::{Finding, Phase},
};

use crate::{
    diagnosis::{
        rules::{RULES, Rule},
        symptom::{Sign, Symptom},
    },
    model::{
        contrast::{Ask, Contrast, ContrastSet, Contrasts},
        diagnosis::{Alternative, Diagnosis, Scope},
    },
};

/// The part of the table that is about one symptom.
#[derive(Debug)]
pub struct Section {
    /// Its rules, in order; the last needs nothing.
    pub rules: Vec<&'static Rule>,
    /// Every contrast that one of them asks for.
    pub asked: ContrastSet,
    /// How those contrasts are answered.
    pub asks: Vec<Ask>,
}

impl Section {
    /// The section of a symptom.
    pub fn of(symptom: Symptom) -> &'static Self {
        static SECTIONS: LazyLock<Vec<Section>> =
            LazyLock::new(|| Symptom::ALL.into_iter().map(Section::collect).collect());
        &SECTIONS[symptom as usize]
    }

    fn collect(symptom: Symptom) -> Self {
        let rules: Vec<&'static Rule> = RULES.iter().filter(|rule| rule.symptoms.contains(&symptom)).collect();
        let asked: ContrastSet = rules.iter().flat_map(|rule| rule.needs.iter().map(|(need, _)| *need)).collect();
        let asks: BTreeSet<Ask> = asked.iter().map(Contrast::ask).collect();
        Self { rules, asked, asks: asks.into_iter().collect() }
    }
}

/// What the table says.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// The rule that decided.
    pub rule: &'static Rule,
    /// The cause with phase, side and confidence.
    pub finding: Finding,
    /// Every cause that the known contrasts do not exclude, the concluded one among them.
    pub candidates: Vec<Cause>,
    /// The contrasts that could still change the cause or its confidence, the most telling first.
    pub open: Vec<Contrast>,
    alternatives: Vec<Alternative>,
    symptom: Symptom,
}

/// The rule that decides: the first of the symptom's whose needs are all known to hold.
pub fn decide(symptom: Symptom, known: &Contrasts) -> Option<&'static Rule> {
    Section::of(symptom).rules.iter().copied().find(|rule| is_met(rule, known))
}

/// How many lines of a diagnosis by this rule are what the rule rests on: they stand first.
pub fn decisive(rule: &str) -> usize {
    let rule = RULES.iter().find(|known| known.id == rule);
    rule.map_or(0, |rule| rule.needs.iter().filter(|(contrast, _)| !contrast.is_circumstance()).count())
}

/// Concludes from one sign and what is known beside it. Total: every sign has exactly one cause.
pub fn conclude(sign: &Sign, known: &Contrasts) -> Conclusion {
    let rules = Section::of(sign.symptom).rules.iter().copied();
    let possible: Vec<&'static Rule> = rules.filter(|rule| is_possible(rule, known)).collect();
    let decided = possible.iter().position(|rule| is_met(rule, known));
    // The last rule of each symptom needs nothing, so that one is always met; a test holds the table to it.
    let decided = decided.unwrap_or(possible.len() - 1);
    let rule = possible[decided];
    let mut open = Vec::new();
    let mut alternatives: Vec<Alternative> = Vec::new();
    let mut candidates = vec![cause(rule, sign.finding)];
    for other in &possible[..decided] {
        let missing: Vec<(Contrast, bool)> =
            other.needs.iter().copied().filter(|(contrast, _)| known.get(*contrast).is_none()).collect();
        let other = cause(other, sign.finding);
        if !candidates.contains(&other) {
            candidates.push(other);
            let alternative =
                |(open, answer): &(Contrast, bool)| Alternative { cause: other, open: *open, answer: *answer };
            alternatives.extend(missing.first().map(alternative));
        }
        for (contrast, _) in missing {
            if !open.contains(&contrast) {
                open.push(contrast);
            }
        }
    }
    Conclusion { rule, finding: finding(rule, sign.finding), candidates, open, alternatives, symptom: sign.symptom }
}

impl Conclusion {
    /// The diagnosis of one endpoint, before it is known what else fails with it.
    pub fn diagnosis(self, known: &Contrasts) -> Diagnosis {
        // What the deciding rule rests on comes first, then whatever else was asked because of this symptom.
        let asked = Section::of(self.symptom).asked;
        let mut contrasts: Vec<_> = known.iter().filter(|(contrast, _)| asked.contains(*contrast)).collect();
        contrasts.retain(|(contrast, _)| !contrast.is_circumstance());
        contrasts.retain(|(contrast, answer)| *answer || rules_mention(self.rule, *contrast) || !contrast.is_dull());
        contrasts.sort_by_key(|(contrast, answer)| (!rules_mention(self.rule, *contrast), !answer));
        Diagnosis {
            finding: self.finding,
            rule: self.rule.id,
            origin: self.rule.origin,
            scope: Scope::Endpoint,
            hint: self.rule.hint,
            contrasts: contrasts.iter().map(|(contrast, answer)| contrast.words(*answer).to_owned()).collect(),
            alternatives: self.alternatives,
        }
    }
}

fn rules_mention(rule: &Rule, contrast: Contrast) -> bool {
    rule.needs.iter().any(|(need, _)| *need == contrast)
}

fn is_possible(rule: &Rule, known: &Contrasts) -> bool {
    rule.needs.iter().all(|(contrast, answer)| known.get(*contrast).is_none_or(|known| known == *answer))
}

fn is_met(rule: &Rule, known: &Contrasts) -> bool {
    rule.needs.iter().all(|(contrast, answer)| known.get(*contrast) == Some(*answer))
}

fn cause(rule: &Rule, alone: Finding) -> Cause {
    rule.cause.unwrap_or(alone.cause)
}

/// What the exchange alone was sure of stays; contrasts only add to it.
fn finding(rule: &Rule, alone: Finding) -> Finding {
    let mut finding = match rule.cause {
        Some(cause) if cause != alone.cause => Finding::new(cause, alone.phase, rule.confidence),
        Some(_) | None => Finding { confidence: alone.confidence.max(rule.confidence), ..alone },
    };
    if finding.cause.is_local() {
        finding.phase = Phase::Local;
    }
    match rule.side {
        Some(side) => finding.on(side),
        None => finding,
    }
}

#[cfg(test)]
#[path = "conclude_tests.rs"]
mod tests;
