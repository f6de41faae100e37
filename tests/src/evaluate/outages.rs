//! How well the risk foretells a suspension. Nobody knows how long an environment survives, so each simulated outage
//! draws its own limit from the assumed distribution, and a second run from another one, to see what a wrong assumption
//! costs.

use std::{fmt::Write as _, time::Duration};

use ase_agent::{
    model::assumptions::Assumptions,
    risk::estimate::{Level, Loss, Risk},
};
use ase_probes::class::Class;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use serde::Serialize;

use super::score::quantile;

/// The step of the simulation.
const STEP: Duration = Duration::from_secs(300);
/// Steps in the hour that a forecast looks ahead.
const AHEAD: usize = 12;
/// Outages per simulated day of the other scenarios.
const PER_DAY: u32 = 10;

/// How well the risk foretells.
#[derive(Clone, Debug, Serialize)]
pub struct RiskScore {
    /// Outages that were simulated.
    pub outages: u32,
    /// How many ended in a suspension.
    pub suspended: u32,
    /// Brier score of the chance, by the risk's own model, of a suspension within the next hour.
    pub brier_forecast: f64,
    /// The same where limits are log-normal with the same median and 95th percentile, but the model stays.
    pub brier_other_prior: f64,
    /// Brier score of the estimated risk itself as that chance.
    pub brier_risk: f64,
    /// Baseline: always the mean rate.
    pub brier_climatology: f64,
    /// Baseline: certain while a class is lost, impossible while none is.
    pub brier_lost_now: f64,
    /// Seconds between level page and the suspension: 5th percentile, median.
    pub lead_p5: Option<f64>,
    /// The median of it.
    pub lead_median: Option<f64>,
    /// Suspensions before level page was reached.
    pub unannounced: u32,
    /// Ten bins of the forecast: forecasts, mean forecast, observed rate.
    pub reliability: Vec<(u32, f64, f64)>,
}

/// One forecast and what came of it.
#[derive(Clone, Copy, Debug)]
struct Forecast {
    chance: f64,
    risk: f64,
    lost: bool,
    came: bool,
}

#[derive(Debug, Default)]
struct Run {
    forecasts: Vec<Forecast>,
    leads: Vec<f64>,
    suspended: u32,
    unannounced: u32,
}

/// Simulates outages and scores the risk on them.
pub(super) fn score(days: u32) -> RiskScore {
    let outages = days * PER_DAY;
    let mut run = simulate(outages, weibull);
    let other = simulate(outages, log_normal);
    run.leads.sort_by(f64::total_cmp);
    let rate = mean(run.forecasts.iter().map(|forecast| f64::from(u8::from(forecast.came))));
    RiskScore {
        outages,
        suspended: run.suspended,
        brier_forecast: brier(&run, |forecast| forecast.chance),
        brier_other_prior: brier(&other, |forecast| forecast.chance),
        brier_risk: brier(&run, |forecast| forecast.risk),
        brier_climatology: brier(&run, |_| rate),
        brier_lost_now: brier(&run, |forecast| f64::from(u8::from(forecast.lost))),
        lead_p5: quantile(&run.leads, 0.05),
        lead_median: quantile(&run.leads, 0.5),
        unannounced: run.unannounced,
        reliability: reliability(&run.forecasts),
    }
}

/// Outages of ten minutes to eight hours, some of them flapping, each with a limit of its own.
fn simulate(outages: u32, limit: fn(&mut StdRng) -> f64) -> Run {
    let mut rng = StdRng::seed_from_u64(20);
    let mut run = Run::default();
    for _ in 0..outages {
        let limit = limit(&mut rng);
        let length = 600.0 * 48f64.powf(rng.random::<f64>());
        let duty = if rng.random_bool(0.25) { rng.random_range(0.3..1.0) } else { 1.0 };
        outage(&mut run, length, duty, limit, &mut rng);
    }
    run
}

fn outage(run: &mut Run, length: f64, duty: f64, limit: f64, rng: &mut StdRng) {
    let mut risk = Risk::new(Assumptions::default(), [Class::Sql]);
    let (mut at, mut paged, mut states) = (0.0, None, Vec::new());
    let quiet = rng.random_range(3600.0..7200.0);
    let suspended = loop {
        if at >= length + quiet {
            break None;
        }
        let lost = at < length && rng.random_bool(duty);
        risk.step(risk.sequence() + 1, &[(Class::Sql, Loss::Known(f64::from(u8::from(lost))))].into(), STEP);
        at += STEP.as_secs_f64();
        let estimate = risk.estimate();
        if estimate.level >= Level::Page && paged.is_none() {
            paged = Some(at);
        }
        let clock = estimate.lost[&Class::Sql].as_secs_f64();
        if clock > limit {
            break Some(at);
        }
        let gone = |clock: f64| 1.0 - (-(20f64.ln()) * (clock / estimate.horizon.as_secs_f64()).powi(2)).exp();
        let soon = if lost { gone(clock + 3600.0) } else { gone(clock) };
        states.push(((soon - gone(clock)) / (1.0 - gone(clock)).max(1e-9), estimate.total, lost));
    };
    let steps = states.len();
    for (step, (chance, risk, lost)) in states.into_iter().enumerate() {
        let came = suspended.is_some() && steps - step <= AHEAD;
        run.forecasts.push(Forecast { chance, risk, lost, came });
    }
    if let Some(at) = suspended {
        run.suspended += 1;
        match paged.filter(|paged| *paged < at) {
            Some(paged) => run.leads.push(at - paged),
            None => run.unannounced += 1,
        }
    }
}

/// The assumed distribution: shape 2, 0.95 at four hours.
fn weibull(rng: &mut StdRng) -> f64 {
    4.0 * 3600.0 * (-(1.0 - rng.random::<f64>()).ln() / 20f64.ln()).sqrt()
}

/// The same median (1.92 h) and 95th percentile (4 h), but log-normal.
fn log_normal(rng: &mut StdRng) -> f64 {
    let median = 4.0 * 3600.0 * (2f64.ln() / 20f64.ln()).sqrt();
    let sigma = (4.0 * 3600.0 / median).ln() / 1.644_853_627;
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    median * (sigma * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).exp()
}

fn brier(run: &Run, chance: impl Fn(&Forecast) -> f64) -> f64 {
    mean(run.forecasts.iter().map(|forecast| (chance(forecast) - f64::from(u8::from(forecast.came))).powi(2)))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    sum / f64::from(count.max(1))
}

fn reliability(forecasts: &[Forecast]) -> Vec<(u32, f64, f64)> {
    let bin = |number: usize| {
        let of_bin: Vec<_> =
            forecasts.iter().filter(|forecast| ((forecast.chance * 10.0) as usize).min(9) == number).collect();
        let chance = mean(of_bin.iter().map(|forecast| forecast.chance));
        let came = mean(of_bin.iter().map(|forecast| f64::from(u8::from(forecast.came))));
        (of_bin.len() as u32, chance, came)
    };
    (0..10).map(bin).collect()
}

impl RiskScore {
    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!("\n{} simulated outages, {} suspended\n", self.outages, self.suspended);
        let minutes = |seconds: Option<f64>| {
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} min", seconds / 60.0))
        };
        let rows = [
            ("Brier score, suspended within the hour: forecast by the model", format!("{:.4}", self.brier_forecast)),
            ("  limits log-normal, model unchanged", format!("{:.4}", self.brier_other_prior)),
            ("  estimated risk itself", format!("{:.4}", self.brier_risk)),
            ("  baseline: mean rate", format!("{:.4}", self.brier_climatology)),
            ("  baseline: certain while a class is lost", format!("{:.4}", self.brier_lost_now)),
            ("lead from level page to suspension, median", minutes(self.lead_median)),
            ("  5th percentile", minutes(self.lead_p5)),
            ("  suspended before level page", self.unannounced.to_string()),
        ];
        for (what, value) in rows {
            writeln!(text, "{what:<64}{value}").expect("text takes text");
        }
        text.push_str("reliability: forecasts, mean forecast, observed rate\n");
        for (count, chance, came) in &self.reliability {
            writeln!(text, "  {count:>6}  {chance:.3}  {came:.3}").expect("text takes text");
        }
        text
    }
}
