//! The published values of the model, and the invariants that hold for every history.

use super::*;
use proptest::prelude::*;

const ROUND: Duration = Duration::from_secs(30);

fn all(loss: f64) -> BTreeMap<Class, Loss> {
    Class::ALL.map(|class| (class, Loss::Known(loss))).into()
}

fn only(class: Class, loss: f64) -> BTreeMap<Class, Loss> {
    let mut losses = all(0.0);
    losses.insert(class, Loss::Known(loss));
    losses
}

fn fresh() -> Risk {
    Risk::new(Assumptions::default(), Class::ALL)
}

fn after(losses: &BTreeMap<Class, Loss>, seconds: u64) -> Risk {
    let mut risk = fresh();
    for _ in 0..seconds / 30 {
        risk.step(risk.sequence() + 1, losses, ROUND);
    }
    risk
}

#[test]
fn one_lost_class_follows_the_published_curve() {
    for (minutes, expected) in [(5, 0.0013), (15, 0.0116), (60, 0.171), (120, 0.527), (240, 0.95)] {
        let got = after(&only(Class::Sql, 1.0), minutes * 60).estimate();
        assert!((got.total - expected).abs() < 0.001, "{minutes} min: {} is not {expected}", got.total);
        assert!((got.classes[&Class::Sql] - got.total).abs() < 1e-12);
    }
}

#[test]
fn six_classes_together_are_worse_than_one_but_not_six_times() {
    let mut risk = Risk::new(Assumptions::default(), Class::ALL.into_iter().filter(|class| *class != Class::Tcp));
    for _ in 0..120 {
        risk.step(risk.sequence() + 1, &all(1.0), ROUND);
    }
    assert!((risk.estimate().total - 0.292).abs() < 0.001, "{}", risk.estimate().total);
}

#[test]
fn levels_rise_at_once_and_fall_slowly() {
    let mut risk = after(&only(Class::Sql, 1.0), 180 * 60);
    assert_eq!(risk.estimate().level, Level::Critical);
    let mut falls = 0;
    let mut level = Level::Critical;
    for round in 0..2000 {
        risk.step(risk.sequence() + 1, &all(0.0), ROUND);
        let now = risk.estimate().level;
        assert!(now <= level, "it only falls, round {round}");
        falls += u32::from(now < level);
        level = now;
    }
    assert_eq!((level, falls), (Level::None, 4));
    assert_eq!(risk.estimate().total, 0.0);
}

#[test]
fn the_time_to_the_horizon_is_that_of_the_first_clock() {
    let estimate = after(&only(Class::Dns, 0.5), 3600).estimate();
    assert_eq!(estimate.lost[&Class::Dns], Duration::from_secs(1800));
    assert_eq!(estimate.to_horizon, Some(Duration::from_secs((4 * 3600 - 1800) * 2)));
    assert_eq!(after(&all(0.0), 3600).estimate().to_horizon, None);
}

#[test]
fn a_prior_gives_its_own_quantiles() {
    let assumptions = Assumptions::from_prior(Duration::from_secs(2 * 3600), Duration::from_secs(4 * 3600));
    let at = |hours: u64| {
        let mut risk = Risk::new(assumptions.clone(), Class::ALL);
        risk.step(risk.sequence() + 1, &only(Class::Sql, 1.0), Duration::from_secs(hours * 3600));
        risk.estimate().total
    };
    assert!((at(2) - 0.5).abs() < 1e-9 && (at(4) - 0.95).abs() < 1e-9);
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![2 => Just(Loss::Known(0.0)), 3 => (0.0..=1.0f64).prop_map(Loss::Known), 1 => Just(Loss::Unknown)]
}

fn losses() -> impl Strategy<Value = BTreeMap<Class, Loss>> {
    proptest::collection::vec(loss(), Class::ALL.len()).prop_map(|list| Class::ALL.into_iter().zip(list).collect())
}

proptest! {
    #[test]
    fn risk_is_bounded_and_moves_only_the_way_it_must(history in proptest::collection::vec(losses(), 1..60)) {
        let mut risk = fresh();
        for losses in history {
            let before = risk.estimate();
            risk.step(risk.sequence() + 1, &losses, Duration::from_secs(300));
            let after = risk.estimate();
            prop_assert!((0.0..=1.0).contains(&after.total));
            prop_assert_eq!(after.total == 0.0, after.lost.values().all(Duration::is_zero));
            for (class, loss) in &losses {
                let (old, new) = (before.classes[class], after.classes[class]);
                match loss {
                    Loss::Known(share) if *share > 0.0 => prop_assert!(new >= old),
                    Loss::Known(_) => prop_assert!(new <= old),
                    Loss::Unknown => prop_assert_eq!(new, old),
                }
            }
        }
    }

    #[test]
    fn more_loss_and_longer_loss_are_never_less_risk(
        share in 0.0..=1.0f64, more in 0.0..=1.0f64, rounds in 1u64..400, extra in 0u64..400,
    ) {
        let (low, high) = (share.min(more), share.max(more));
        let risk = |share, rounds| after(&only(Class::Https, share), rounds * 30).estimate().total;
        prop_assert!(risk(low, rounds) <= risk(high, rounds) + 1e-12);
        prop_assert!(risk(share, rounds) <= risk(share, rounds + extra) + 1e-12);
    }

    #[test]
    fn the_sampling_rate_changes_nothing_during_an_outage(share in 0.01..=1.0f64, minutes in 1u64..200) {
        let run = |step: u64| {
            let mut risk = fresh();
            for _ in 0..minutes * 60 / step {
                risk.step(risk.sequence() + 1, &only(Class::Sql, share), Duration::from_secs(step));
            }
            risk.estimate().total
        };
        prop_assert!((run(10) - run(30)).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_classes_changes_nothing(history in proptest::collection::vec(losses(), 1..20)) {
        let mut forward = Risk::new(Assumptions::default(), Class::ALL);
        let mut backward = Risk::new(Assumptions::default(), Class::ALL.into_iter().rev());
        for losses in &history {
            forward.step(forward.sequence() + 1, losses, ROUND);
            backward.step(backward.sequence() + 1, losses, ROUND);
        }
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn longer_flaps_are_never_less_risk(down in 1u32..20, longer in 0u32..20) {
        let flapping = |down: u32| {
            let mut risk = fresh();
            for round in 0..400 {
                risk.step(risk.sequence() + 1, &only(Class::Dns, if round % 40 < down { 1.0 } else { 0.0 }), ROUND);
            }
            risk.estimate().total
        };
        prop_assert!(flapping(down) <= flapping(down + longer) + 1e-12);
    }
}

#[test]
fn it_says_when_the_next_level_is_reached_and_is_right() {
    let losses = only(Class::Sql, 1.0);
    let fresh_loss = after(&losses, 60);
    let (level, left) = fresh_loss.estimate().to_level.expect("something is lost");
    assert_eq!(level, Level::Info);
    for (elapsed, reached) in
        [(left + Duration::from_secs(1), Level::Info), (left - Duration::from_secs(1), Level::None)]
    {
        let mut later = fresh_loss.clone();
        later.step(later.sequence() + 1, &losses, elapsed);
        assert_eq!(later.estimate().level, reached, "after {elapsed:?}");
    }
    assert_eq!(after(&all(0.0), 60).estimate().to_level, None, "nothing is lost");
    assert_eq!(after(&losses, 4 * 3600).estimate().to_level, None, "there is no level above the last");
}
