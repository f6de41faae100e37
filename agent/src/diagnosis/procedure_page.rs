//! The generated part of `docs/decision-procedure.md`: contrasts and rules as tables. Only tests read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use ase_probes::{cause::Cause, verdict::Confidence};

use super::{
    rules::{RULES, Rule},
    symptom::Symptom,
};
use crate::{golden::assert_golden, model::contrast::Contrast};

const PAGE: &str = "../docs/decision-procedure.md";
/// The last line that is written by hand.
const END: &str = "The rest is generated from the code;";

/// A name of the code as words: `SilentConnect` becomes `silent connect`.
fn words(name: impl std::fmt::Debug) -> String {
    let name = format!("{name:?}");
    let mut text = String::new();
    for (place, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && place > 0 {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn contrasts() -> String {
    let row = |contrast: &Contrast| {
        let (name, ask) = (words(contrast), words(contrast.ask()));
        format!("| {name} | {ask} | {} | {} |\n", contrast.words(true), contrast.words(false))
    };
    let rows: String = Contrast::ALL.iter().map(row).collect();
    format!("\n## The contrasts\n\n| contrast | answered by | yes | no |\n|---|---|---|---|\n{rows}")
}

fn rules() -> String {
    let list = |items: Vec<String>| if items.is_empty() { "–".to_owned() } else { items.join(", ") };
    let row = |rule: &Rule| {
        let symptoms = list(rule.symptoms.iter().map(words).collect());
        let need = |(contrast, answer): &(Contrast, bool)| {
            format!("{}{}", if *answer { "" } else { "not: " }, words(contrast))
        };
        let needs = list(rule.needs.iter().map(need).collect());
        let cause = rule.cause.map_or("as the exchange says".to_owned(), |cause| format!("`{}`", cause.label()));
        let side = rule.side.map_or("", |side| side.label());
        let (sure, origin, hint) = (words(rule.confidence), rule.origin.label(), rule.hint.unwrap_or_default());
        format!("| {} | {symptoms} | {needs} | {cause} | {sure} | {side} | {origin} | {hint} |\n", rule.id)
    };
    let rows: String = RULES.iter().map(row).collect();
    format!(
        "\n## The rules\n\nIn order. The side stands where it is not the cause's own.\n\n\
         | rule | symptoms | needs | cause | confidence | side | rests on | look at first |\n\
         |---|---|---|---|---|---|---|---|\n{rows}"
    )
}

/// What would refute each cause: the opposite answers of what its surest rules need. A circumstance refutes nothing.
fn refutations() -> String {
    let mut refuted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for rule in RULES.iter().filter(|rule| rule.confidence > Confidence::Possible) {
        let Some(cause) = rule.cause.filter(|cause| *cause != Cause::None) else { continue };
        let told = rule.needs.iter().filter(|(contrast, _)| !contrast.is_circumstance());
        let told = told.map(|(contrast, answer)| format!("{}: {}", rule.id, contrast.words(!answer)));
        refuted.entry(cause.label()).or_default().extend(told);
    }
    let row = |(cause, by): (&str, BTreeSet<String>)| {
        format!("| `{cause}` | {} |\n", by.into_iter().collect::<Vec<_>>().join("; "))
    };
    let rows: String = refuted.into_iter().filter(|(_, by)| !by.is_empty()).map(row).collect();
    format!(
        "\n## What refutes a cause\n\nThe engine checks each: where one is observed, the rule does not hold.\n\n\
         | cause | refuted by |\n|---|---|\n{rows}"
    )
}

/// Symptoms that prove their cause by themselves: the peer, or a name server, has spoken.
const SPOKEN: [Symptom; 4] =
    [Symptom::CertificateName, Symptom::NameDenied, Symptom::CertificateDates, Symptom::CertificateIssuer];

#[test]
fn nothing_is_confirmed_without_a_control_that_could_refute_it() {
    for rule in RULES.iter().filter(|rule| rule.confidence == Confidence::Confirmed && rule.cause != Some(Cause::None))
    {
        let is_spoken = rule.symptoms.iter().all(|symptom| SPOKEN.contains(symptom));
        let controls = rule.needs.iter().filter(|(contrast, _)| !contrast.is_circumstance());
        assert!(is_spoken || controls.count() > 0, "{} is confirmed by nothing but its symptom", rule.id);
    }
}

#[test]
fn the_procedure_page_holds_every_contrast_and_every_rule_as_the_table_has_them() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page is there");
    let by_hand: Vec<&str> = page.lines().take_while(|line| !line.starts_with(END)).collect();
    let end = page.lines().find(|line| line.starts_with(END)).expect("the page says where it begins to be generated");
    assert_golden(PAGE, &format!("{}\n{end}\n{}{}", by_hand.join("\n"), contrasts(), rules() + &refutations()));
}

#[test]
fn every_measurement_that_a_comment_cites_is_on_the_page() {
    let page = include_str!("../../../docs/decision-procedure.md");
    let cited = include_str!("../model/contrast.rs").split(['(', ')', ',', ' ']).filter(|word| {
        word.strip_prefix('D').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let cited: Vec<&str> = cited.collect();
    assert!(cited.len() > 10, "{cited:?}");
    for number in cited {
        assert!(page.split([' ', ',']).any(|word| word == number), "{number} is not on the page");
    }
}
