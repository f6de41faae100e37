//! Tables and properties of the decision table.

use std::collections::BTreeSet;

use ase_probes::{
    cause::Cause,
    verdict::{Confidence, Finding, Phase},
};
use proptest::prelude::*;

use super::*;
use crate::model::{contrast::Contrast::*, diagnosis::Origin};

fn sign(symptom: Symptom, alone: Cause) -> Sign {
    let finding = Finding::new(alone, Phase::Connect, Confidence::Possible);
    Sign { symptom, finding, peer: None, is_resolving: false }
}

fn known(answers: &[(Contrast, bool)]) -> Contrasts {
    answers.iter().copied().collect()
}

#[test]
fn the_table_is_total_and_its_numbers_are_unique() {
    for symptom in Symptom::ALL {
        let rules = &Section::of(symptom).rules;
        let last = rules.last().unwrap_or_else(|| panic!("{symptom:?} has no rule"));
        assert!(last.needs.is_empty(), "{symptom:?}: the last rule ({}) must need nothing", last.id);
        let early = rules.iter().filter(|rule| rule.needs.is_empty()).count();
        assert_eq!(early, 1, "{symptom:?}: a rule after one that needs nothing can never win");
    }
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len());
}

#[test]
fn every_symptom_has_its_own_section() {
    for symptom in Symptom::ALL {
        let section = Section::of(symptom);
        assert!(section.rules.iter().all(|rule| rule.symptoms.contains(&symptom)), "{symptom:?}");
    }
}

#[test]
fn only_what_an_endpoint_shows_itself_is_observed() {
    for rule in RULES {
        let by_neighbours = rule.needs.iter().any(|(need, _)| need.ask() == Ask::Neighbours);
        let observed = rule.cause.is_none() || (!by_neighbours && rule.confidence > Confidence::Possible);
        assert_eq!(rule.origin == Origin::Observed, observed, "{}", rule.id);
    }
    let origin = |id: &str| RULES.iter().find(|rule| rule.id == id).map(|rule| rule.origin);
    assert_eq!(origin("R64a"), Some(Origin::Guess), "nothing answers, and nothing says why");
    assert_eq!(origin("R34c"), Some(Origin::Inferred), "a bundle of authorities is judged by many hosts");
}

#[test]
fn the_block_page_of_another_host_confirms_nothing_about_a_hello_that_is_cut() {
    for symptom in [Symptom::CutAtHello, Symptom::SilentAtHello, Symptom::LostAtHello, Symptom::ClosedAtSqlHello] {
        let said = |answers: &[(Contrast, bool)]| {
            let finding = conclude(&sign(symptom, Cause::TlsBlocked), &known(answers)).finding;
            (finding.cause, finding.confidence)
        };
        let elsewhere = [(PlainHttpBlocked, true), (HostHttpBlocked, false)];
        assert_eq!(said(&elsewhere), (Cause::TlsBlocked, Confidence::Likely), "{symptom:?}");
        let control = [elsewhere[0], elsewhere[1], (OtherNamePasses, true)];
        assert_eq!(said(&control), (Cause::TlsBlocked, Confidence::Confirmed), "{symptom:?}: the name decides");
        let here = [(PlainHttpBlocked, true), (HostHttpBlocked, true)];
        assert_eq!(said(&here), (Cause::TlsBlocked, Confidence::Confirmed), "{symptom:?}: the same host");
    }
}

#[test]
fn an_answer_that_is_slow_to_come_is_no_sign_of_a_blocker() {
    let said = |answers: &[(Contrast, bool)]| {
        let finding = conclude(&sign(Symptom::SilentAtHello, Cause::TlsBlocked), &known(answers)).finding;
        (finding.cause, finding.confidence)
    };
    assert_eq!(said(&[(AnswerBegan, true)]), (Cause::Dropped, Confidence::Possible), "it came, and not in time");
    assert_eq!(said(&[(AnswerBegan, false)]), (Cause::TlsBlocked, Confidence::Possible));
    assert_eq!(said(&[(AnswerBegan, true), (OtherNamePasses, true)]), (Cause::TlsBlocked, Confidence::Confirmed));
    assert_eq!(said(&[(AnswerBegan, true), (RoundTripGrew, true)]), (Cause::Slow, Confidence::Likely));
}

#[test]
fn a_port_where_nobody_finds_a_place_is_explained_by_a_table_that_is_full_for_all() {
    let full = [(HandshakesRepeatOnPorts, true), (SamePortWorks, false), (AsksThePlatform, false)];
    for symptom in [Symptom::SilentConnect, Symptom::SilentNtp] {
        let said = |works| {
            let known = known(&[&full[..], &[(OtherPortsWork, works)]].concat());
            conclude(&sign(symptom, Cause::Dropped), &known).finding
        };
        assert_eq!((said(true).cause, said(true).confidence), (Cause::FlowTableFull, Confidence::Possible));
        assert_eq!(said(false).cause, Cause::Dropped, "{symptom:?}: the way is gone");
    }
}

#[test]
fn silence_is_never_confirmed() {
    for rule in RULES.iter().filter(|rule| rule.cause == Some(Cause::Dropped)) {
        assert!(rule.confidence < Confidence::Confirmed, "{}", rule.id);
    }
}

#[test]
fn nothing_between_is_suspected_where_the_platforms_own_address_is_silent() {
    for symptom in [Symptom::SilentDns, Symptom::SilentConnect] {
        for same_port in [true, false] {
            let answers =
                [(AsksThePlatform, true), (SamePortWorks, same_port), (OtherPortsWork, true), (AnythingWorks, true)];
            let concluded = conclude(&sign(symptom, Cause::Dropped), &known(&answers));
            let hint = concluded.rule.hint.expect("it says what to look at");
            assert!(hint.contains("AzurePlatformDNS"), "{symptom:?}: {hint}");
        }
    }
}

#[test]
fn a_privatelink_zone_without_the_record_is_no_zone_that_shadows_a_name() {
    let gap = known(&[(PrivateZoneGap, true), (AzureResolves, true), (AzureAnswersPrivate, false)]);
    let concluded = conclude(&sign(Symptom::NameDenied, Cause::DnsNxdomain), &gap);
    let hint = concluded.rule.hint.expect("it says what to do");
    assert!(hint.contains("privatelink") && !hint.contains("shadow"), "{hint}");
}

#[test]
fn every_contrast_can_change_something() {
    let asked: BTreeSet<Contrast> = RULES.iter().flat_map(|rule| rule.needs.iter().map(|(need, _)| *need)).collect();
    let idle: Vec<_> = Contrast::ALL.iter().filter(|contrast| !asked.contains(contrast)).collect();
    assert!(idle.is_empty(), "no rule needs {idle:?}");
}

#[test]
fn the_silence_matrix_is_told_apart() {
    let silent = |answers: &[(Contrast, bool)]| {
        let conclusion = conclude(&sign(Symptom::SilentConnect, Cause::Dropped), &known(answers));
        (conclusion.rule.id, conclusion.finding.cause, conclusion.finding.confidence)
    };
    type Row = (&'static [(Contrast, bool)], &'static str, Cause, Confidence);
    let rows: &[Row] = &[
        (&[], "R64", Cause::Dropped, Confidence::Possible),
        (&[(SamePortWorks, false), (OtherPortsWork, true)], "R64g", Cause::Dropped, Confidence::Likely),
        (&[(HeldFlowLives, true), (OtherPortsWork, true)], "R64c", Cause::Dropped, Confidence::Likely),
        (&[(HeldFlowLives, true), (OtherPortsWork, false)], "R64d", Cause::Dropped, Confidence::Likely),
        (&[(HeldFlowLives, false), (OtherPortsWork, false)], "R64e", Cause::Dropped, Confidence::Likely),
        (&[(OtherPortsWork, false), (ControlAnswers, true)], "R64f", Cause::Dropped, Confidence::Likely),
        (&[(CanaryAcceptedBefore, true), (OtherPortsWork, false)], "R64b", Cause::Dropped, Confidence::Likely),
        (&[(SamePortWorks, true), (SameHostWorks, true)], "R64h", Cause::Dropped, Confidence::Likely),
        (&[(Intermittent, true), (PortDecides, true)], "R61", Cause::FlowHashLoss, Confidence::Confirmed),
        (&[(Intermittent, true), (NewFlowsMixed, true)], "R62a", Cause::FlowTableFull, Confidence::Likely),
        (
            &[(OwnHandshakesRepeat, true), (NewFlowsPass, false), (PortDecides, false)],
            "R62g",
            Cause::FlowTableFull,
            Confidence::Likely,
        ),
        (
            &[
                (ByDatagram, false),
                (AlwaysConnects, false),
                (Intermittent, true),
                (NewFlowsPass, false),
                (PortDecides, false),
            ],
            "R62i",
            Cause::FlowTableFull,
            Confidence::Likely,
        ),
        (&[(OwnHandshakesRepeat, true), (NewFlowsPass, true)], "R64", Cause::Dropped, Confidence::Possible),
        (&[(Intermittent, true), (NewFlowsPass, true)], "R64", Cause::Dropped, Confidence::Possible),
        (&[(SamePortWorks, true), (NewFlowsMixed, true)], "R62o", Cause::FlowTableFull, Confidence::Likely),
        (&[(SamePortWorks, true), (PortDecides, true)], "R61o", Cause::FlowHashLoss, Confidence::Confirmed),
        (&[(SomeFlowsDie, true), (OtherPortsWork, true)], "R61p", Cause::FlowHashLoss, Confidence::Likely),
        (&[(TrackingFull, true)], "R11t", Cause::LocalFirewall, Confidence::Likely),
        (&[(TrackingFull, false), (LinkUp, false)], "R06", Cause::NextHopDown, Confidence::Confirmed),
        (&[(LinkUp, false)], "R06", Cause::NextHopDown, Confidence::Confirmed),
        (
            &[(ControlAnswers, false), (AnythingWorks, false), (LinkUp, true)],
            "R64a",
            Cause::LocalFirewall,
            Confidence::Possible,
        ),
    ];
    for (answers, id, cause, confidence) in rows {
        assert_eq!(silent(answers), (*id, *cause, *confidence), "{answers:?}");
    }
}

#[test]
fn what_is_open_is_asked_and_what_cannot_matter_is_not() {
    let open = |symptom, answers: &[(Contrast, bool)]| conclude(&sign(symptom, Cause::Dropped), &known(answers)).open;
    let usual = [(Intermittent, false), (OwnHandshakesRepeat, false), (SomeFlowsDie, false)];
    let steady = open(Symptom::SilentConnect, &[&usual[..], &[(SamePortWorks, false)]].concat());
    assert!(!steady.contains(&PortDecides), "sixteen flows are not spent where a whole port fails: {steady:?}");
    let alone = open(Symptom::SilentConnect, &[&usual[..], &[(SamePortWorks, true)]].concat());
    assert!(alone.contains(&PortDecides), "one silent host among others may be one instance of several: {alone:?}");
    let losing = open(Symptom::SilentConnect, &[(SomeFlowsDie, true), (SamePortWorks, false)]);
    assert!(losing.contains(&PortDecides), "a port that loses flows may be lost as a whole by now: {losing:?}");
    assert!(steady.contains(&ControlAnswers) && steady.contains(&OtherPortsWork), "{steady:?}");
    let settled = [
        SmallSegmentsPass,
        Intermittent,
        LossyPath,
        OnlyHandshakesRepeat,
        RoundTripGrew,
        FullSegmentsArrived,
        SomeFlowsDie,
    ];
    let settled = settled.map(|contrast| (contrast, contrast == SmallSegmentsPass));
    assert_eq!(open(Symptom::SilentAtHello, &settled), []);
}

#[test]
fn where_source_ports_decide_at_several_hosts_loss_beside_it_hides_nothing() {
    let of =
        |symptom, answers: &[(Contrast, bool)]| conclude(&sign(symptom, Cause::Dropped), &known(answers)).finding.cause;
    let (loss, both) = ([(LossyPath, true)], [(LossyPath, true), (SomeFlowsDie, true)]);
    for symptom in [Symptom::SilentConnect, Symptom::SilentAtHello, Symptom::SilentDns] {
        assert_eq!((of(symptom, &both), of(symptom, &loss)), (Cause::FlowHashLoss, Cause::PacketLoss), "{symptom:?}");
    }
    assert_eq!(of(Symptom::Passed, &both), Cause::PacketLoss, "what passes has lost packets, and no flow");
}

#[test]
fn a_silent_host_is_no_case_of_names_that_lead_apart_unless_they_lead_astray() {
    for (symptom, otherwise) in [(Symptom::SilentConnect, Cause::Dropped), (Symptom::RefusedConnect, Cause::Refused)] {
        let of = |answers: &[(Contrast, bool)]| conclude(&sign(symptom, otherwise), &known(answers)).finding.cause;
        assert_eq!(
            of(&[(ResolversDisagree, true), (LedAstray, false)]),
            otherwise,
            "addresses differ from place to place"
        );
        assert_eq!(of(&[(ResolversDisagree, true), (LedAstray, true)]), Cause::DnsDivergent);
    }
}

#[test]
fn sampled_ports_that_are_silent_where_flows_die_anyway_are_no_rule_for_these_ports() {
    for (some_die, id) in [(false, "R51"), (true, "R00a")] {
        let answers = known(&[(RedirectPortsSilent, true), (SomeFlowsDie, some_die)]);
        assert_eq!(conclude(&sign(Symptom::Gateway, Cause::None), &answers).rule.id, id);
    }
}

#[test]
fn a_wrong_clock_here_is_no_fault_of_the_peer() {
    let mut dates = sign(Symptom::CertificateDates, Cause::TlsCertInvalid);
    dates.finding.phase = Phase::Tls;
    let ours = conclude(&dates, &known(&[(ClockWrong, true), (DatesHold, true)])).finding;
    assert_eq!((ours.cause, ours.phase, ours.side.label()), (Cause::LocalClock, Phase::Local, "local"));
    assert_eq!(conclude(&dates, &known(&[(ClockWrong, false)])).finding.confidence, Confidence::Confirmed);
}

#[test]
fn a_wrong_clock_here_excuses_no_certificate_that_is_over_by_every_clock() {
    let mut dates = sign(Symptom::CertificateDates, Cause::TlsCertInvalid);
    dates.finding.phase = Phase::Tls;
    let theirs = conclude(&dates, &known(&[(ClockWrong, true), (DatesHold, false)])).finding;
    assert_eq!((theirs.cause, theirs.side.label()), (Cause::TlsCertInvalid, "remote"));
    assert_eq!(theirs.confidence, Confidence::Confirmed);
    let overdue = sign(Symptom::ListOverdue, Cause::None);
    let of = |hold| conclude(&overdue, &known(&[(ClockWrong, true), (DatesHold, hold)])).finding.cause;
    assert_eq!((of(true), of(false)), (Cause::LocalClock, Cause::None));
    let time = sign(Symptom::TimeDiffers, Cause::NtpWrongTime);
    assert_eq!(conclude(&time, &known(&[(ClockWrong, true)])).finding.cause, Cause::LocalClock);
}

#[test]
fn what_fails_at_its_right_address_was_led_there_by_nobody() {
    for (symptom, otherwise) in [(Symptom::RefusedConnect, Cause::Refused), (Symptom::OddAnswer, Cause::HttpStatus)] {
        let of = |is_right| {
            let answers = known(&[(DnsCanaryAnswers, true), (RightAddress, is_right)]);
            conclude(&sign(symptom, otherwise), &answers).finding.cause
        };
        assert_eq!((of(true), of(false)), (otherwise, Cause::DnsIntercepted), "{symptom:?}");
    }
    let compared = sign(Symptom::NamesCompared, Cause::DnsDivergent);
    assert_eq!(conclude(&compared, &known(&[(DnsCanaryAnswers, true)])).finding.cause, Cause::DnsIntercepted);
}

fn any_contrasts() -> impl Strategy<Value = Vec<(Contrast, bool)>> {
    let one = (0..Contrast::ALL.len(), any::<bool>()).prop_map(|(index, answer)| (Contrast::ALL[index], answer));
    proptest::collection::vec(one, 0..24)
}

fn any_sign() -> impl Strategy<Value = Sign> {
    (0..Symptom::ALL.len(), 0..Cause::ALL.len())
        .prop_map(|(symptom, cause)| sign(Symptom::ALL[symptom], Cause::ALL[cause]))
}

fn any_local() -> impl Strategy<Value = Cause> {
    proptest::sample::select(Cause::ALL.iter().copied().filter(|cause| cause.is_local()).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn every_sign_has_one_cause_from_the_closed_set(sign in any_sign(), answers in any_contrasts()) {
        let conclusion = conclude(&sign, &known(&answers));
        prop_assert!(Cause::ALL.contains(&conclusion.finding.cause));
        prop_assert!(conclusion.candidates.contains(&conclusion.finding.cause));
    }

    #[test]
    fn the_order_in_which_evidence_arrives_does_not_matter(sign in any_sign(), answers in any_contrasts()) {
        let unique: std::collections::BTreeMap<Contrast, bool> = answers.into_iter().collect();
        let forward: Contrasts = unique.iter().map(|(c, a)| (*c, *a)).collect();
        let backward: Contrasts = unique.iter().rev().map(|(c, a)| (*c, *a)).collect();
        prop_assert_eq!(conclude(&sign, &forward).finding, conclude(&sign, &backward).finding);
    }

    #[test]
    fn more_evidence_never_leads_outside_the_candidates(
        sign in any_sign(), answers in any_contrasts(), next in 0..Contrast::ALL.len(), answer: bool,
    ) {
        let mut known = known(&answers);
        let before = conclude(&sign, &known);
        prop_assume!(known.get(Contrast::ALL[next]).is_none());
        known.learn(Contrast::ALL[next], answer);
        let after = conclude(&sign, &known);
        prop_assert!(before.candidates.contains(&after.finding.cause), "{before:?} {after:?}");
    }

    #[test]
    fn a_fault_of_this_machine_stays_one_whatever_the_contrasts(answers in any_contrasts(), cause in any_local()) {
        let conclusion = conclude(&sign(Symptom::Settled, cause), &known(&answers));
        prop_assert_eq!(conclusion.finding.cause, cause);
    }
}

#[test]
fn what_decided_stands_first_and_of_that_what_was_seen_before_what_was_not() {
    let answers = known(&[(FullSegmentsArrived, false), (SmallSegmentsPass, true), (CanaryAccepts, false)]);
    let conclusion = conclude(&sign(Symptom::SilentAtHello, Cause::TlsBlocked), &answers);
    let rule = conclusion.rule.id;
    let diagnosis = conclusion.diagnosis(&answers);
    assert_eq!((diagnosis.finding.cause, decisive(rule)), (Cause::MtuBlackhole, 2), "{diagnosis:?}");
    let first = [SmallSegmentsPass.words(true), FullSegmentsArrived.words(false)];
    assert_eq!(diagnosis.contrasts[..2], first, "{diagnosis:?}");
    assert_eq!(decisive("R64"), 0, "a rule that needs nothing rests on the exchange alone");
}
