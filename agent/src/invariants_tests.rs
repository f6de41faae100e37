//! The invariants of the risk, each as a property over random histories. [`TABLE`] names them all.
//! `PROPTEST_CASES=20000` makes many more cases than the 96 of a usual run.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::{Cause, Side},
    class::Class,
    clock,
    verdict::{Confidence, Finding, Phase},
};
use proptest::{collection::vec, prelude::*, sample::subsequence};

use crate::{
    early::{burn_rate::BurnRate, phi::Phi},
    engine::{
        room::Bounds,
        schedule::{self, Ended, Rhythm, Schedule},
    },
    model::{assumptions::Assumptions, catalog::Severity, rounds::Rounds, visit::Visit},
    risk::{
        estimate::{Level, Loss, Risk},
        hysteresis::{Counted, Hysteresis, Sample},
        quorum::{self, Member, needed},
        steps::{MOST_STEPS, STEP},
    },
};

/// Each invariant and the property that holds it.
const TABLE: [(&str, &str); 23] = [
    ("the risk is bounded by 0 and 1", "i01_the_risk_is_bounded"),
    ("the risk is 0 if and only if every clock is 0", "i02_no_risk_means_no_clock"),
    ("it does not fall while something is lost", "i03_it_does_not_fall_during_a_loss"),
    ("it never rises in a healthy or unknown step", "i04_it_never_rises_in_a_healthy_or_unknown_step"),
    ("it is monotone in the duration of an outage", "i05_longer_is_never_less"),
    ("it is monotone in the lost share", "i06_more_is_never_less"),
    ("it is monotone in every weight", "i07_heavier_is_never_less"),
    ("it is monotone in every class's risk, also when another class becomes the worst", "i08_any_class_adds"),
    ("the sampling rate changes nothing during an outage", "i09_the_sampling_rate_changes_nothing"),
    ("the order of classes changes nothing", "i10_the_order_of_classes_changes_nothing"),
    ("the order of endpoints changes nothing", "i11_the_order_of_endpoints_changes_nothing"),
    ("a restart changes nothing", "i12_a_restart_changes_nothing"),
    ("the time while the agent was down counts as unknown", "i13_downtime_is_unknown"),
    ("a pause counts for three intervals at most", "i14_a_pause_is_clipped"),
    ("one lost packet alerts nobody", "i15_one_lost_packet_alerts_nobody"),
    ("nor does any pattern in which every confirmation succeeds", "i16_confirmed_health_alerts_nobody"),
    ("a local cause never moves a clock", "i17_a_local_cause_never_moves_a_clock"),
    ("what this machine cannot test never raises a clock", "i18_untested_endpoints_never_raise_a_clock"),
    ("another endpoint that is up never raises the loss", "i19_another_up_endpoint_never_raises_the_loss"),
    ("another endpoint never lowers the quorum", "i20_another_endpoint_never_lowers_the_quorum"),
    ("flapping with a longer share of loss is never less risk", "i21_longer_flaps_are_never_less"),
    ("a level falls at most once in ten minutes", "i22_levels_fall_slowly"),
    ("the same history twice gives the same state", "i23_replay_is_idempotent"),
];

const ROUND: Duration = Duration::from_secs(30);

fn fresh() -> Risk {
    Risk::new(Assumptions::default(), Class::ALL)
}

fn go(risk: &mut Risk, losses: &BTreeMap<Class, Loss>, elapsed: Duration) {
    risk.step(risk.sequence() + 1, losses, elapsed);
}

fn all(loss: Loss) -> BTreeMap<Class, Loss> {
    Class::ALL.map(|class| (class, loss)).into()
}

fn only(class: Class, share: f64) -> BTreeMap<Class, Loss> {
    let mut losses = all(Loss::Known(0.0));
    losses.insert(class, Loss::Known(share));
    losses
}

fn run(losses: &BTreeMap<Class, Loss>, rounds: u32) -> Risk {
    let mut risk = fresh();
    (0..rounds).for_each(|_| go(&mut risk, losses, ROUND));
    risk
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![2 => Just(Loss::Known(0.0)), 3 => (0.0..=1.0f64).prop_map(Loss::Known), 1 => Just(Loss::Unknown)]
}

fn losses() -> impl Strategy<Value = BTreeMap<Class, Loss>> {
    vec(loss(), Class::ALL.len()).prop_map(|list| Class::ALL.into_iter().zip(list).collect())
}

fn history() -> impl Strategy<Value = Vec<BTreeMap<Class, Loss>>> {
    vec(losses(), 1..60)
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(Class::ALL.to_vec())
}

fn counted() -> impl Strategy<Value = Counted> {
    prop::sample::select(vec![
        Counted::Up,
        Counted::Down,
        Counted::Untested { was_down: true },
        Counted::Untested { was_down: false },
    ])
}

fn member() -> impl Strategy<Value = Member> {
    let severity = prop::sample::select(vec![Severity::Info, Severity::Warning, Severity::Critical]);
    (class(), any::<bool>(), severity, counted()).prop_map(|(class, azure, severity, counted)| Member {
        class,
        is_azure_dns: azure && class == Class::Dns,
        severity,
        counted,
    })
}

fn share(losses: &BTreeMap<Class, Loss>, class: Class) -> f64 {
    match losses.get(&class) {
        Some(Loss::Known(share)) => *share,
        Some(Loss::Unknown) | None => 0.0,
    }
}

/// A weighted risk from clocks that stand at these shares of the horizon.
fn standing(shares: &[f64], weights: &BTreeMap<Class, f64>) -> f64 {
    let assumptions = Assumptions { weights: weights.clone(), ..Assumptions::default() };
    let horizon = assumptions.horizon;
    let mut risk = Risk::new(assumptions, Class::ALL);
    let losses = Class::ALL.into_iter().zip(shares.iter().map(|share| Loss::Known(*share))).collect();
    go(&mut risk, &losses, horizon);
    risk.estimate().total
}

/// One endpoint under the real schedule: the first sample of a visit is bad where the pattern says so; its confirmation
/// is bad where `confirmed` says so. Returns the confirmed samples that the risk is told of.
fn scheduled(pattern: &[bool], confirmed: impl Fn(usize) -> bool) -> Vec<Sample> {
    let rhythm = Rhythm {
        interval: ROUND,
        confirm_after: Duration::from_secs(1),
        failing_interval: Duration::from_secs(10),
        sockets: 1,
        courtesy: None,
    };
    let bounds = Bounds { active: 1, sockets: 1 };
    let start: Instant = clock::now();
    let mut schedule = Schedule::new([rhythm], bounds, Rounds::Endless { spread: Duration::ZERO }, start);
    let (mut told, mut visit) = (Vec::new(), 0);
    while visit < pattern.len() {
        let at = schedule.next_due().expect("an endless schedule goes on");
        let due = schedule.take_due(at);
        let confirming = schedule.is_confirming(0);
        let bad = if confirming { confirmed(visit - 1) } else { pattern[visit] };
        visit += usize::from(!confirming);
        let upshot = if bad { schedule::Upshot::Bad } else { schedule::Upshot::Good };
        schedule.finished(due[0].visit, Ended { upshot, asked: true }, at);
        if !schedule.is_confirming(0) {
            told.push(if bad { Sample::Bad } else { Sample::Good });
        }
    }
    told
}

/// Feeds samples of a class's only endpoint to everything that can alert, and says whether anything did.
fn alerts(samples: &[Sample]) -> bool {
    let (mut hysteresis, mut risk, mut burn) = (Hysteresis::default(), fresh(), BurnRate::default());
    let mut phi = Phi::new(ROUND);
    let mut now = Duration::ZERO;
    for sample in samples {
        now += ROUND;
        hysteresis.take(*sample);
        let member = Member {
            class: Class::Sql,
            is_azure_dns: false,
            severity: Severity::Critical,
            counted: hysteresis.counted(),
        };
        let losses = quorum::losses([member]);
        go(&mut risk, &losses, ROUND);
        burn.step(Some(f64::from(u8::from(*sample == Sample::Bad))), ROUND);
        let silent = phi.phi(now).is_some_and(|phi| phi >= crate::early::phi::SUSPECT);
        if *sample == Sample::Good {
            phi.success(now);
        }
        let estimate = risk.estimate();
        if silent || burn.alarm().is_some() || estimate.level > Level::None || estimate.losses[&Class::Sql] > 0.0 {
            return true;
        }
    }
    false
}

fn visit(cause: Cause, side: Side) -> Visit {
    let finding = Finding { side, ..Finding::new(cause, Phase::Connect, Confidence::Likely) };
    Visit { took: Duration::from_secs(1), result: Ok(finding.failed()), ..Visit::nothing_yet(Duration::ZERO) }
}

#[test]
fn every_invariant_has_its_property_and_every_property_its_invariant() {
    let source = include_str!("invariants_tests.rs");
    for (invariant, property) in TABLE {
        assert!(source.contains(&format!("fn {property}(")), "{invariant}: {property} is missing");
    }
    assert_eq!(source.matches("\n    fn i").count(), TABLE.len());
}

/// As many cases as the environment asks for, else few enough for every run of the tests.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(96))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn i01_the_risk_is_bounded(history in history(), seconds in 1u64..100_000) {
        let mut risk = fresh();
        for losses in history {
            go(&mut risk, &losses, Duration::from_secs(seconds));
            let estimate = risk.estimate();
            prop_assert!((0.0..=1.0).contains(&estimate.total));
            prop_assert!(estimate.classes.values().all(|risk| (0.0..=1.0).contains(risk)));
        }
    }

    #[test]
    fn i02_no_risk_means_no_clock(history in history()) {
        let mut risk = fresh();
        for losses in history {
            go(&mut risk, &losses, ROUND);
            let estimate = risk.estimate();
            prop_assert_eq!(estimate.total == 0.0, estimate.lost.values().all(Duration::is_zero));
        }
    }

    #[test]
    fn i03_it_does_not_fall_during_a_loss(shares in vec(0.001..=1.0f64, 1..100), class in class()) {
        let mut risk = fresh();
        let mut before = 0.0;
        for share in shares {
            go(&mut risk, &BTreeMap::from([(class, Loss::Known(share))]), ROUND);
            let after = risk.estimate().total;
            prop_assert!(after >= before);
            before = after;
        }
    }

    #[test]
    fn i04_it_never_rises_in_a_healthy_or_unknown_step(history in history(), calm in vec(any::<bool>(), 1..40)) {
        let mut risk = fresh();
        history.iter().for_each(|losses| go(&mut risk, losses, Duration::from_secs(600)));
        for healthy in calm {
            let before = risk.estimate().total;
            go(&mut risk, &all(if healthy { Loss::Known(0.0) } else { Loss::Unknown }), ROUND);
            prop_assert!(risk.estimate().total <= before);
        }
    }

    #[test]
    fn i05_longer_is_never_less(class in class(), share in 0.0..=1.0f64, rounds in 0u32..500, more in 0u32..500) {
        let risk = |rounds| run(&only(class, share), rounds).estimate().total;
        prop_assert!(risk(rounds) <= risk(rounds + more));
    }

    #[test]
    fn i06_more_is_never_less(class in class(), one in 0.0..=1.0f64, other in 0.0..=1.0f64, rounds in 0u32..500) {
        let risk = |share| run(&only(class, share), rounds).estimate().total;
        prop_assert!(risk(one.min(other)) <= risk(one.max(other)));
    }

    #[test]
    fn i07_heavier_is_never_less(
        shares in vec(0.0..=1.0f64, 7), weights in vec(0.0..=1.0f64, 7), which in 0usize..7, more in 0.0..=1.0f64,
    ) {
        let weights: BTreeMap<_, _> = Class::ALL.into_iter().zip(weights).collect();
        let mut heavier = weights.clone();
        heavier.entry(Class::ALL[which]).and_modify(|weight| *weight = weight.max(more));
        prop_assert!(standing(&shares, &weights) <= standing(&shares, &heavier) + 1e-12);
    }

    #[test]
    fn i08_any_class_adds(shares in vec(0.0..=1.0f64, 7), which in 0usize..7, more in 0.0..=1.0f64) {
        let mut worse = shares.clone();
        worse[which] = worse[which].max(more);
        let weights = Assumptions::default().weights;
        prop_assert!(standing(&shares, &weights) <= standing(&worse, &weights) + 1e-12);
    }

    #[test]
    fn i09_the_sampling_rate_changes_nothing(class in class(), share in 0.001..=1.0f64, minutes in 1u64..300) {
        let risk = |step: u64| {
            let mut risk = fresh();
            (0..minutes * 60 / step).for_each(|_| go(&mut risk, &only(class, share), Duration::from_secs(step)));
            risk.estimate().total
        };
        prop_assert!((risk(10) - risk(30)).abs() < 1e-9);
    }

    #[test]
    fn i10_the_order_of_classes_changes_nothing(history in history(), order in Just(Class::ALL.to_vec()).prop_shuffle()) {
        let (mut one, mut other) = (fresh(), Risk::new(Assumptions::default(), order));
        for losses in &history {
            go(&mut one, losses, ROUND);
            go(&mut other, losses, ROUND);
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn i11_the_order_of_endpoints_changes_nothing(
        (members, shuffled) in vec(member(), 1..40).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        prop_assert_eq!(quorum::losses(members), quorum::losses(shuffled));
    }

    #[test]
    fn i12_a_restart_changes_nothing(before in history(), after in history()) {
        let mut unbroken = fresh();
        before.iter().for_each(|losses| go(&mut unbroken, losses, Duration::from_secs(300)));
        let mut restarted = fresh();
        restarted.recall(&unbroken.memory());
        prop_assert_eq!(restarted.estimate(), unbroken.estimate());
        for losses in &after {
            // What is not remembered is how long a class was in the dark; a test that ends the dark evens that out.
            go(&mut unbroken, losses, ROUND);
            go(&mut restarted, losses, ROUND);
            let (one, other) = (unbroken.estimate(), restarted.estimate());
            prop_assert_eq!((one.total, one.level, one.lost), (other.total, other.level, other.lost));
        }
    }

    #[test]
    fn i13_downtime_is_unknown(history in history(), rounds in 1u32..2000) {
        let mut risk = fresh();
        history.iter().for_each(|losses| go(&mut risk, losses, Duration::from_secs(300)));
        let mut restarted = fresh();
        restarted.recall(&risk.memory());
        (0..rounds).for_each(|_| go(&mut risk, &all(Loss::Unknown), ROUND));
        prop_assert_eq!(restarted.estimate().lost, risk.estimate().lost);
        prop_assert_eq!(restarted.estimate().total, risk.estimate().total);
    }

    #[test]
    fn i14_a_pause_is_clipped(class in class(), hours in 1u64..1000) {
        let pause = Duration::from_secs(hours * 3600).min(STEP * MOST_STEPS);
        let mut risk = fresh();
        go(&mut risk, &only(class, 1.0), pause);
        prop_assert!(risk.estimate().lost[&class] <= ROUND * 3);
        let mut burn = BurnRate::default();
        burn.step(Some(1.0), Duration::from_secs(hours * 3600));
        prop_assert_eq!(burn.alarm(), None);
    }

    #[test]
    fn i15_one_lost_packet_alerts_nobody(rounds in 1usize..200, lost in 0usize..200) {
        let pattern: Vec<bool> = (0..rounds).map(|round| round == lost).collect();
        prop_assert!(!alerts(&scheduled(&pattern, |_| false)));
    }

    #[test]
    fn i16_confirmed_health_alerts_nobody(pattern in vec(any::<bool>(), 1..300)) {
        let samples = scheduled(&pattern, |_| false);
        prop_assert!(samples.iter().all(|sample| *sample == Sample::Good));
        prop_assert!(!alerts(&samples));
        // The harness can alert: the same pattern without any mending does.
        prop_assert!(alerts(&scheduled(&[true; 40], |_| true)));
    }

    #[test]
    fn i17_a_local_cause_never_moves_a_clock(
        samples in vec(prop::sample::select(vec![Sample::Good, Sample::Bad]), 0..30), cause in prop::sample::select(Cause::ALL.to_vec()),
        rounds in 1usize..50,
    ) {
        let local = Sample::of(visit(cause, Side::Local).result);
        prop_assert_eq!(local, Sample::Unknown);
        let mut hysteresis = Hysteresis::default();
        samples.iter().for_each(|sample| hysteresis.take(*sample));
        let mut risk = fresh();
        let mut step = |counted| {
            let member = Member { class: Class::Sql, is_azure_dns: false, severity: Severity::Critical, counted };
            go(&mut risk, &quorum::losses([member]), ROUND);
            risk.estimate().lost[&Class::Sql]
        };
        let before = step(hysteresis.counted());
        for _ in 0..rounds {
            hysteresis.take(local);
            prop_assert_eq!(step(hysteresis.counted()), before);
        }
    }

    #[test]
    fn i18_untested_endpoints_never_raise_a_clock(
        (members, hidden) in vec(member(), 1..30).prop_flat_map(|list| {
            let count = list.len();
            (Just(list), subsequence((0..count).collect::<Vec<_>>(), 0..=count))
        }),
    ) {
        let seen = quorum::losses(members.clone());
        let hide = |(index, member): (usize, &Member)| match member.counted {
            counted if !hidden.contains(&index) => Member { counted, ..*member },
            Counted::Down => Member { counted: Counted::Untested { was_down: true }, ..*member },
            Counted::Up => Member { counted: Counted::Untested { was_down: false }, ..*member },
            Counted::Untested { was_down } => Member { counted: Counted::Untested { was_down }, ..*member },
        };
        let partly = quorum::losses(members.iter().enumerate().map(hide));
        for class in Class::ALL {
            prop_assert!(share(&partly, class) <= share(&seen, class));
            // Nor does it heal what was lost.
            prop_assert!(partly.get(&class) != Some(&Loss::Known(0.0)) || share(&seen, class) == 0.0);
        }
    }

    #[test]
    fn i19_another_up_endpoint_never_raises_the_loss(members in vec(member(), 0..30), added in member()) {
        let added = Member { counted: Counted::Up, ..added };
        let before = quorum::losses(members.clone());
        let after = quorum::losses(members.into_iter().chain([added]));
        prop_assert!(share(&after, added.class) <= share(&before, added.class));
    }

    #[test]
    fn i20_another_endpoint_never_lowers_the_quorum(class in class(), n in 1usize..500) {
        prop_assert!(needed(class, n) <= needed(class, n + 1));
        prop_assert!((1..=n).contains(&needed(class, n)));
    }

    #[test]
    fn i21_longer_flaps_are_never_less(class in class(), period in 2u32..60, down in 1u32..60, longer in 0u32..60) {
        let flapping = |down: u32| {
            let mut risk = fresh();
            for round in 0..600 {
                go(&mut risk, &only(class, if round % period < down { 1.0 } else { 0.0 }), ROUND);
            }
            risk.estimate().total
        };
        prop_assert!(flapping(down) <= flapping(down + longer) + 1e-12);
    }

    #[test]
    fn i22_levels_fall_slowly(outage in 30u32..600, wobble in vec(any::<bool>(), 100..1500)) {
        let mut risk = run(&only(Class::Sql, 1.0), outage);
        let (mut level, mut since_fall) = (risk.estimate().level, Duration::from_secs(3600));
        for lost in wobble {
            go(&mut risk, &only(Class::Sql, if lost { 0.3 } else { 0.0 }), ROUND);
            since_fall += ROUND;
            let now = risk.estimate().level;
            if now < level {
                prop_assert!(since_fall >= Duration::from_secs(600), "{since_fall:?}");
                since_fall = Duration::ZERO;
            }
            level = now;
        }
    }

    #[test]
    fn i23_replay_is_idempotent(history in history(), twice in 0usize..60) {
        let mut once = fresh();
        let mut again = fresh();
        for (number, losses) in (1..).zip(&history) {
            once.step(number, losses, ROUND);
            again.step(number, losses, ROUND);
            for (older, losses) in (1..=number).zip(&history).skip(number as usize / 2).take(twice) {
                again.step(older, losses, ROUND);
            }
        }
        prop_assert_eq!(once, again);
    }
}
