//! Early warnings as series: what moves before a class is lost. The parameters are in `early/*.rs` with their sources.

use std::collections::BTreeMap;

use ase_probes::{class::Class, http::Proof, probe::Probe};

use super::{
    Page, flag,
    series::{newest, server},
};
use crate::{
    early::{ClassEarly, burn_rate::Window},
    engine::snapshot::Snapshot,
    model::endpoint::{EndpointView, addresses, crl},
    readers::warnings::{self, Kind},
};

/// Adds the series. Those that need a past are there where the snapshot has one.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    detectors(page, snapshot);
    counts(page, snapshot);
    expiry(page, snapshot);
    drift(page, snapshot);
    let found = warnings::of(snapshot);
    page.gauges(
        "ase_early_warnings",
        "Early warnings in force, by kind; the status JSON names each.",
        Kind::ALL.into_iter().map(|kind| {
            let count = found.iter().filter(|warning| warning.kind == kind).count();
            ([("kind", kind.label())], count as f64)
        }),
    );
    store(page, snapshot);
}

fn detectors(page: &mut Page, snapshot: &Snapshot) {
    let Some(early) = &snapshot.early else { return };
    let burn = early.classes.iter().flat_map(|(class, early)| {
        let rates = Window::ALL.into_iter().zip(early.burn);
        rates.map(move |(window, rate)| ([("class", class.label()), ("window", window.label())], rate))
    });
    page.gauges(
        "ase_failure_burn_rate_ratio",
        "Share of the window in which the class was lost over the 0.5 % that may be; unobserved time counts as not lost.",
        burn,
    );
    let mut of_class = |name: &str, help: &str, value: fn(&ClassEarly) -> f64| {
        page.gauges(name, help, early.classes.iter().map(|(class, early)| ([("class", class.label())], value(early))));
    };
    of_class(
        "ase_success_gap_suspicion_phi",
        "How surprising the silence since the class's last success is, -log10 of its probability; 8 is suspect; NaN before the first.",
        |early| early.phi.unwrap_or(f64::NAN),
    );
    of_class(
        "ase_latency_cusum_ratio",
        "Worst cumulative rise of round trips in the class over its threshold; 1 is an alarm, at most 2; NaN while it learns.",
        |early| early.latency.unwrap_or(f64::NAN),
    );
    of_class(
        "ase_agent_blind",
        "Whether nothing of the class could be tested for three default intervals (90 s).",
        |early| flag(early.is_blind()),
    );
}

fn counts(page: &mut Page, snapshot: &Snapshot) {
    let mut by_class: BTreeMap<Class, (usize, usize)> =
        snapshot.classes.iter().map(|class| (class.class, (0, 0))).collect();
    for view in &snapshot.endpoints {
        let (healthy, probed) = addresses(view);
        let sum = by_class.entry(view.endpoint.class).or_default();
        *sum = (sum.0 + healthy, sum.1 + probed);
    }
    let counts: Vec<_> = by_class.into_iter().map(|(class, sum)| ([("class", class.label())], sum)).collect();
    page.gauges(
        "ase_addresses_probed",
        "Addresses of the class that the last visits tested.",
        counts.iter().map(|(labels, (_, probed))| (*labels, *probed as f64)),
    );
    page.gauges(
        "ase_addresses_healthy",
        "Addresses of the class that answered as they should at the last visits.",
        counts.iter().map(|(labels, (healthy, _))| (*labels, *healthy as f64)),
    );
}

fn expiry(page: &mut Page, snapshot: &Snapshot) {
    let fetches_list = |view: &&EndpointView| match &view.endpoint.target.probe {
        Probe::Http(question) => question.proof == Proof::Crl,
        Probe::Dns(_) | Probe::Ntp(_) | Probe::Tds(_) | Probe::Tcp(_) => false,
    };
    page.gauges(
        "ase_crl_next_update_timestamp_seconds",
        "When the successor of the revocation list that the last visit brought is due; NaN if it brought none.",
        snapshot.endpoints.iter().map(|view| &**view).filter(fetches_list).map(|view| {
            let due = crl(view).and_then(|crl| crl.next_update).map_or(f64::NAN, |seconds| seconds as f64);
            ([("endpoint", &*view.endpoint.id.0)], due)
        }),
    );
}

fn drift(page: &mut Page, snapshot: &Snapshot) {
    let Some(early) = &snapshot.early else { return };
    let views = snapshot.endpoints.iter().filter(|view| matches!(view.endpoint.target.probe, Probe::Ntp(_)));
    let servers = newest(views.map(|view| (server(&view.endpoint, 123), &**view)));
    page.gauges(
        "ase_ntp_drift_ratio",
        "Seconds per second by which the server's offset grew over the last hour; NaN while too little is known.",
        servers.iter().map(|(server, view)| {
            let slope = early.drifts.get(&view.endpoint.id).copied().unwrap_or(f64::NAN);
            ([("server", server.as_str())], slope)
        }),
    );
}

fn store(page: &mut Page, snapshot: &Snapshot) {
    let store = &snapshot.store;
    page.gauge(
        "ase_store_ok",
        "Whether the memory under the state directory takes what it is given; NaN without a state directory.",
        store.ok.map_or(f64::NAN, flag),
    );
    page.counters(
        "ase_store_resets_total",
        "Times a damaged or newer store was set aside, as far as its remains are still in the state directory.",
        std::iter::once(([], store.resets)),
    );
    page.counters(
        "ase_store_dropped_total",
        "Outcomes that were not remembered because the disk was too slow.",
        std::iter::once(([], store.dropped)),
    );
}
