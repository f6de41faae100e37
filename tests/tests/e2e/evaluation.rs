//! The detectors on labelled timelines: a short play of `ase-lab evaluate`, with the bounds that must hold.

use ase_lab::evaluate::{Cell, evaluate};

/// How long an unanswered probe takes in the simulation, in seconds.
const PROBE_TIMEOUT: f64 = 7.0;
const OURS: [&str; 4] = ["state", "burn rate", "phi", "state or burn or cusum"];

fn cell(scenario: &'static str, detector: &str) -> Cell {
    let report = evaluate(scenario, 2);
    report.cell(scenario, detector).expect("the scenario has this detector").clone()
}

#[test]
fn up_to_five_percent_loss_alarms_nobody_for_nothing() {
    for scenario in ["quiet", "loss 1 %", "loss 5 %", "one of three dead", "local fault", "restarts"] {
        let report = evaluate(scenario, 1);
        for detector in OURS {
            let cell = report.cell(scenario, detector).expect("a cell");
            assert_eq!(cell.false_alarms_per_day, 0.0, "{scenario}, {detector}: {cell:?}");
        }
        let naive = report.cell(scenario, "one failed probe").expect("a cell");
        assert!(scenario != "loss 5 %" || naive.false_alarms_per_day > 20.0, "the baseline can alarm: {naive:?}");
    }
}

#[test]
fn a_hard_outage_is_seen_within_three_intervals_and_a_timeout() {
    let cell = cell("hard outage", "state");
    assert_eq!((cell.missed, cell.false_alarms_per_day), (0, 0.0));
    assert!(cell.delay_p95.is_some_and(|delay| delay <= 3.0 * 30.0 + PROBE_TIMEOUT), "{cell:?}");
}

#[test]
fn flapping_is_seen_by_the_burn_rate() {
    let cell = cell("flap 1 min", "burn rate");
    assert_eq!(cell.missed, 0);
    assert!(cell.delay_p95.is_some_and(|delay| delay <= 1200.0), "{cell:?}");
}

#[test]
fn creeping_latency_is_seen_by_cusum_alone() {
    let report = evaluate("latency creep", 1);
    assert_eq!(report.cell("latency creep", "cusum").map(|cell| cell.missed), Some(0));
    assert!(report.cell("latency creep", "state").is_some_and(|cell| cell.missed == cell.episodes));
}

#[test]
fn the_risk_foretells_better_than_the_bare_rate() {
    let risk = evaluate("risk", 60).risk.expect("the risk is scored");
    assert!(risk.brier_forecast < risk.brier_climatology, "{risk:?}");
    assert!(risk.brier_forecast < risk.brier_lost_now, "{risk:?}");
}
