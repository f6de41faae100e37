//! Renders a snapshot as Prometheus text, format 0.0.4: every series of endpoints, certificates, DNS response times and the
//! agent itself, and which are there from the first scrape; the files below have the rest. The only file that names `prometheus`, whose encoder writes the
//! histograms and is the measure of what `page.rs` writes.
//!
//! Three rules hold for every series:
//! - It exists from the first scrape. Four have a label that tells what was seen, and a series only for what was:
//!   `ase_probe_failures_total` for each cause that an endpoint met, beside `ase_probe_failed_total` over all causes;
//!   `ase_probe_duration_seconds` for each phase that a visit of the class met, beside the phase `total`;
//!   `ase_dns_answers_changed_total` for each name whose answers changed, beside `ase_dns_changes_total`; `ase_dns_comparison`
//!   for the class in force. The sums are there from the start, so that `increase()` sees the first event.
//! - What could not be tested is never an outage: while `ase_probe_unknown` or `ase_dependency_unknown` is 1, the paired
//!   `ase_probe_success` or `ase_dependency_up` keeps the last confirmed value, or 0 if there never was one. Alerts
//!   therefore read `ase_probe_success == 0 unless ase_probe_unknown == 1`.
//! - A gauge whose value the last visit did not measure is `NaN`, which compares with nothing and so fires no
//!   alert. Only `ase_endpoint_last_success_timestamp_seconds` is 0 before the first success.

mod early;
mod environment;
mod exports;
mod incidents;
mod names;
mod page;
mod resolver_facts;
mod series;
mod serving;
mod suspension;

use std::collections::BTreeSet;

use ase_probes::{class::Class, http::Scheme, ntp::Packet, probe::Probe, verdict::Phase};
use prometheus::{
    TextEncoder,
    proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{
    engine::{
        histogram::{self, BUCKETS, COARSE},
        snapshot::{ClassView, SelfView, Snapshot},
    },
    model::endpoint::{EndpointView, earliest_expiry},
};
use page::{Labels, Page};
use series::{
    is_good, is_unknown, is_up, newest, packet, reach_ratio, response, root_distance, round_trip, server, transport,
};

pub use serving::{PageCount, Serving, render_serving};

/// The media type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders every metric of a snapshot; `version` is the agent's own.
pub fn render(snapshot: &Snapshot, version: &str) -> String {
    let mut page = Page::for_endpoints(snapshot.endpoints.len());
    endpoints(&mut page, snapshot);
    classes(&mut page, snapshot);
    durations(&mut page, snapshot);
    certificates(&mut page, snapshot);
    time_servers(&mut page, snapshot);
    resolvers(&mut page, snapshot);
    resolver_facts::render(&mut page, snapshot);
    names::render(&mut page, snapshot);
    incidents::render(&mut page, snapshot);
    suspension::render(&mut page, snapshot);
    exports::render(&mut page, snapshot);
    early::render(&mut page, snapshot);
    environment::render(&mut page, snapshot);
    agent(&mut page, snapshot, version);
    page.into_text()
}

fn histograms<'a, const N: usize>(
    page: &mut Page,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels<'a, N>, &'a histogram::Histogram, &'static [f64])>,
) {
    let metrics = values.map(|(labels, counts, bounds)| {
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram(counts, bounds));
        metric
    });
    let family = family(name, help, MetricType::HISTOGRAM, metrics.collect());
    if !family.get_metric().is_empty() {
        let encode = |text: &mut String| TextEncoder::new().encode_utf8(&[family], text);
        page.encoded(|text| encode(text).expect("a family with a name and a metric encodes into a string"));
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn pairs<const N: usize>(labels: Labels<'_, N>) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    labels.into_iter().map(pair).collect()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn endpoints(page: &mut Page, snapshot: &Snapshot) {
    let views = || snapshot.endpoints.iter().map(|view| (of_endpoint(view), &**view));
    page.gauges(
        "ase_probe_success",
        "Whether the endpoint's peer proved itself, confirmed; degraded counts as 1. Keeps its value while ase_probe_unknown is 1.",
        views().map(|(labels, view)| (labels, flag(is_good(view)))),
    );
    page.gauges(
        "ase_probe_unknown",
        "Whether the endpoint could not be tested: not visited yet, a fault of this machine, no flow budget, or forbidden by policy.",
        views().map(|(labels, view)| (labels, flag(is_unknown(view)))),
    );
    page.counters(
        "ase_probe_attempts_total",
        "Visits begun, also when the name did not resolve.",
        views().map(|(labels, view)| (labels, view.attempts)),
    );
    page.counters(
        "ase_probe_failed_total",
        "Visits that failed, whatever the cause.",
        views().map(|(labels, view)| (labels, view.failures.values().sum())),
    );
    page.counters(
        "ase_probe_failures_total",
        "Visits that failed, by cause; a cause has a series once it was met.",
        views().flat_map(|(labels, view)| failures(labels, view)),
    );
    page.gauges(
        "ase_endpoint_last_success_timestamp_seconds",
        "When the endpoint's peer last proved itself; 0 before the first time.",
        views().map(|(labels, view)| (labels, view.last_success.unwrap_or_default().as_secs_f64())),
    );
    page.gauges(
        "ase_probe_round_trip_seconds",
        "Round trip of the last visit as the kernel measured it; NaN if there was none.",
        views().map(|(labels, view)| (labels, round_trip(view).unwrap_or(f64::NAN))),
    );
}

fn of_endpoint(view: &EndpointView) -> Labels<'_, 2> {
    [("class", view.endpoint.class.label()), ("endpoint", &view.endpoint.id.0)]
}

/// The counters of the causes that the endpoint met, in the order of causes.
fn failures<'a>(labels: Labels<'a, 2>, view: &'a EndpointView) -> impl Iterator<Item = (Labels<'a, 3>, u64)> {
    let [class, endpoint] = labels;
    view.failures.iter().map(move |(cause, count)| ([class, endpoint, ("cause", cause.label())], *count))
}

fn classes(page: &mut Page, snapshot: &Snapshot) {
    let of = |class: &ClassView| [("class", class.class.label())];
    page.gauges(
        "ase_dependency_up",
        "Whether the class works: something of it answers and nothing critical failed. Keeps its value while ase_dependency_unknown is 1.",
        snapshot.classes.iter().map(|class| (of(class), flag(is_up(snapshot, class)))),
    );
    page.gauges(
        "ase_dependency_unknown",
        "Whether nothing of the class could be tested, or nothing of it is configured.",
        snapshot.classes.iter().map(|class| (of(class), flag(class.is_up().is_none()))),
    );
    page.gauges(
        "ase_slots_not_configured",
        "Endpoints of the class that only the configuration can name, and that it does not name yet.",
        snapshot.classes.iter().map(|class| (of(class), class.not_configured as f64)),
    );
}

fn durations(page: &mut Page, snapshot: &Snapshot) {
    let totals = snapshot.endpoints.iter().map(|view| (view.endpoint.class, Phase::None));
    let met = snapshot.durations.iter().filter(|(_, histogram)| histogram.count() > 0).map(|(key, _)| *key);
    let keys: BTreeSet<(Class, Phase)> = totals.chain(met).collect();
    let none = histogram::Histogram::default();
    let rows = keys.iter().map(|(class, phase)| {
        let (label, bounds) = match phase {
            Phase::None => ("total", BUCKETS.as_slice()),
            phase => (phase.label(), COARSE.as_slice()),
        };
        let counts = snapshot.durations.get(&(*class, *phase)).unwrap_or(&none);
        ([("class", class.label()), ("phase", label)], counts, bounds)
    });
    histograms(
        page,
        "ase_probe_duration_seconds",
        "Time that visits spent in each phase, once one met it; phase total is the whole visit and there from the start, so it is not to be added to the others.",
        rows,
    );
}

/// How punctual visits begin.
fn delays(page: &mut Page, agent: &SelfView) {
    histograms(
        page,
        "ase_agent_schedule_delay_seconds",
        "Delay of the loop itself for every visit: from when it was due and there was room until it began.",
        std::iter::once(([], &agent.schedule_delays, BUCKETS.as_slice())),
    );
}

/// A histogram with those buckets of [`BUCKETS`] that `bounds` names.
fn histogram(counts: &histogram::Histogram, bounds: &[f64]) -> Histogram {
    let mut below = 0;
    let bucket = |(bound, count): (&f64, &u64)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bounds.contains(bound).then_some(bucket)
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(BUCKETS.iter().zip(&counts.counts).filter_map(bucket).collect());
    histogram.set_sample_count(counts.count());
    histogram.set_sample_sum(counts.sum);
    histogram
}

fn certificates(page: &mut Page, snapshot: &Snapshot) {
    let shows_one = |probe: &Probe| match probe {
        Probe::Http(question) => question.scheme != Scheme::Http,
        Probe::Tds(_) => true,
        Probe::Dns(_) | Probe::Ntp(_) | Probe::Tcp(_) => false,
    };
    let views = snapshot.endpoints.iter().filter(|view| shows_one(&view.endpoint.target.probe));
    page.gauges(
        "ase_tls_certificate_expiry_timestamp_seconds",
        "When the path that verified at the last visit expires: its leaf, or an intermediate that ends before; the leaf where none verified, NaN if none was shown.",
        views.map(|view| {
            let expiry = earliest_expiry(view).map_or(f64::NAN, |expiry| expiry.certificate.not_after as f64);
            ([("endpoint", &*view.endpoint.id.0)], expiry)
        }),
    );
}

fn time_servers(page: &mut Page, snapshot: &Snapshot) {
    let views = snapshot.endpoints.iter().filter(|view| matches!(view.endpoint.target.probe, Probe::Ntp(_)));
    let servers = newest(views.map(|view| (server(&view.endpoint, 123), &**view)));
    let mut gauges = |name: &str, help: &str, value: fn(&Packet) -> f64| {
        let values =
            servers.iter().map(|(server, view)| ([("server", server.as_str())], packet(view).map_or(f64::NAN, value)));
        page.gauges(name, help, values);
    };
    gauges("ase_ntp_offset_seconds", "Server clock minus this machine's clock at the last reply.", |p| p.offset);
    gauges("ase_ntp_delay_seconds", "Round trip of the last reply without the server's own time.", |p| {
        p.delay.as_secs_f64()
    });
    gauges(
        "ase_ntp_root_distance_seconds",
        "Bound of the server's error towards its primary source: half of root delay and delay, plus root dispersion.",
        root_distance,
    );
    gauges("ase_ntp_stratum", "Stratum of the last reply; 0 is a kiss-o'-death.", |p| f64::from(p.stratum));
    page.gauges(
        "ase_ntp_reach_ratio",
        "Share of successes among the last eight visits, or among all while there were fewer.",
        servers.iter().map(|(server, view)| ([("server", server.as_str())], reach_ratio(view))),
    );
}

fn resolvers(page: &mut Page, snapshot: &Snapshot) {
    let views = snapshot.endpoints.iter().filter_map(|view| match &view.endpoint.target.probe {
        Probe::Dns(question) => Some(((server(&view.endpoint, 53), transport(question.transport)), &**view)),
        Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => None,
    });
    let resolvers = newest(views);
    page.gauges(
        "ase_dns_response_seconds",
        "Time from the last question to the resolver's answer; NaN if none came.",
        resolvers.iter().map(|((resolver, transport), view)| {
            ([("resolver", resolver.as_str()), ("transport", *transport)], response(view).unwrap_or(f64::NAN))
        }),
    );
    page.gauges(
        "ase_dns_resolver_up",
        "Whether the resolver answers over this transport, confirmed.",
        resolvers.iter().map(|((resolver, transport), view)| {
            ([("resolver", resolver.as_str()), ("transport", *transport)], flag(is_good(view)))
        }),
    );
}

fn agent(page: &mut Page, snapshot: &Snapshot, version: &str) {
    let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
    let build = [
        ("version", version),
        ("profile", catalog.profile.as_str()),
        ("cloud", catalog.cloud.as_str()),
        ("edition", catalog.edition.as_str()),
    ];
    page.gauges(
        "ase_agent_build_info",
        "The agent's version, its profile, cloud and the edition of its catalogue; always 1.",
        std::iter::once((build, 1.0)),
    );
    page.gauges(
        "ase_agent_external_url_info",
        "The URL under which people reach the agent's pages, as the configuration says it; always 1. Alerts link below it.",
        agent.external_url.iter().map(ToString::to_string).collect::<Vec<_>>().iter().map(|url| ([("url", url.as_str())], 1.0)),
    );
    page.gauge("ase_agent_ready", "Whether every endpoint was visited once.", flag(agent.ready));
    page.gauge("ase_agent_start_time_seconds", "When the agent started.", agent.started.as_secs_f64());
    page.gauge(
        "ase_agent_schedule_lag_seconds",
        "The largest delay of the loop itself in the last minute: a visit was due, there was room, and it did not begin.",
        agent.schedule_lag.as_secs_f64(),
    );
    page.gauge(
        "ase_agent_schedule_wait_seconds",
        "The longest time in the last minute that a visit which was due waited for room.",
        agent.schedule_wait.as_secs_f64(),
    );
    delays(page, agent);
    page.gauge("ase_agent_visits_in_flight", "Visits under way.", agent.in_flight as f64);
    page.gauge(
        "ase_agent_visit_sockets_limit",
        "Sockets that all visits under way may hold, by the limit of open files of the process.",
        agent.sockets as f64,
    );
    page.counters(
        "ase_agent_flow_budget_spent_total",
        "Visits put off because the destination's budget of new flows was spent.",
        std::iter::once(([], agent.budget_spent)),
    );
    page.gauge(
        "ase_agent_config_last_reload_successful",
        "Whether the last reload of the configuration took; the old one stays in force if it did not.",
        flag(agent.reload_ok),
    );
    page.gauge(
        "ase_agent_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was loaded.",
        agent.loaded.as_secs_f64(),
    );
}

#[cfg(test)]
mod reference_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        golden::assert_golden,
        model::{catalog::EndpointId, endpoint::Status, visit::Untested},
        sample,
    };
    use ase_probes::outcome::Protocol;
    use prometheus::proto::{Counter, Gauge};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::{
        io::Write,
        process::{Command, Stdio},
        sync::Arc,
    };

    fn series(text: &str) -> BTreeMap<&str, &str> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').expect("a sample is a series and a value")).collect()
    }

    fn sample_count(text: &str) -> usize {
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    #[test]
    fn the_sample_renders_as_reviewed() {
        assert_golden("tests/golden/metrics.txt", &render(&sample::snapshot(), "0.1.0"));
    }

    /// What the crate's own encoder writes.
    fn encoded(name: &str, help: &str, samples: &[(Vec<LabelPair>, f64)], kind: MetricType) -> String {
        let metrics = samples.iter().map(|(labels, value)| {
            let mut metric = Metric::from_label(labels.clone());
            let (mut gauge, mut counter) = (Gauge::default(), Counter::default());
            gauge.set_value(*value);
            counter.set_value(*value);
            match kind {
                MetricType::GAUGE => metric.set_gauge(gauge),
                _ => metric.set_counter(counter),
            }
            metric
        });
        let family = family(name, help, kind, metrics.collect());
        TextEncoder::new().encode_to_string(&[family]).expect("a family with metrics")
    }

    proptest! {
        #[test]
        fn a_page_is_what_the_crate_would_write(
            help in "(.|\n|\"|\\\\){1,9}", label in any::<String>(), count in 0u64..1 << 53,
            values in proptest::collection::vec(prop_oneof![any::<f64>(), (-9i32..9).prop_map(f64::from)], 1..5),
        ) {
            let labels = [("class", "https"), ("endpoint", label.as_str())];
            let mut page = Page::default();
            page.gauges("ase_some", &help, values.iter().map(|value| (labels, *value)));
            page.counters("ase_more_total", &help, std::iter::once((labels, count)));
            page.gauge("ase_one", &help, values[0]);
            page.gauges("ase_none", &help, std::iter::empty::<(Labels<'_, 1>, f64)>());
            let gauges: Vec<_> = values.iter().map(|value| (pairs(labels), *value)).collect();
            let expected = encoded("ase_some", &help, &gauges, MetricType::GAUGE)
                + &encoded("ase_more_total", &help, &[(pairs(labels), count as f64)], MetricType::COUNTER)
                + &encoded("ase_one", &help, &[(Vec::new(), values[0])], MetricType::GAUGE);
            prop_assert_eq!(page.into_text(), expected);
        }
    }

    #[test]
    fn no_series_appears_twice() {
        let text = render(&sample::snapshot(), "0.1.0");
        assert_eq!(series(&text).len(), sample_count(&text));
    }

    #[test]
    fn two_endpoints_on_one_server_share_its_series_and_the_newer_speaks() {
        let mut snapshot = sample::snapshot();
        let twin = |id: &str, view: &Arc<EndpointView>, later: u64| {
            let mut view = (**view).clone();
            let mut endpoint = (*view.endpoint).clone();
            endpoint.id = EndpointId(id.into());
            view.endpoint = Arc::new(endpoint);
            let mut visit = (**view.last.as_ref().expect("the sample visited it")).clone();
            visit.began += std::time::Duration::from_secs(later);
            if let Protocol::Ntp(reply) = &mut visit.outcomes[0].protocol {
                reply.packet.as_mut().expect("the sample got a reply").offset = 0.5;
            }
            view.last = Some(Arc::new(visit));
            Arc::new(view)
        };
        let resolver = twin("other:53", &snapshot.endpoints[0], 1);
        let clock = twin("other:123", &snapshot.endpoints[3], 1);
        snapshot.endpoints.extend([resolver, clock]);
        let text = render(&snapshot, "0.1.0");
        assert_eq!(series(&text).len(), sample_count(&text));
        assert_eq!(series(&text)["ase_ntp_offset_seconds{server=\"time.windows.com\"}"], "0.5");
    }

    #[test]
    fn every_series_exists_before_the_first_visit_and_stays() {
        let after = sample::snapshot();
        let mut before = after.clone();
        before.durations = Arc::default();
        for view in &mut before.endpoints {
            let view = Arc::make_mut(view);
            (view.status, view.last, view.attempts) = (Status::Unknown(Untested::NotYet), None, 0);
            (view.failures, view.last_success, view.reach) = (BTreeMap::new(), None, 0);
        }
        Arc::make_mut(&mut before.names).iter_mut().for_each(|name| Arc::make_mut(name).changes = 0);
        let (before, after) = (render(&before, "0.1.0"), render(&after, "0.1.0"));
        let names = |text: &str| series(text).keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let late: Vec<_> = names(&after).difference(&names(&before)).cloned().collect();
        let is_met = |name: &String| {
            let of_a_phase = name.starts_with("ase_probe_duration_seconds") && !name.contains("phase=\"total\"");
            of_a_phase
                || ["ase_probe_failures_total{", "ase_dns_answers_changed_total{"].iter().any(|it| name.starts_with(it))
        };
        let (met, late): (Vec<_>, Vec<_>) = late.into_iter().partition(is_met);
        assert_eq!(late, ["ase_probe_duration_seconds"; 0], "these series came late");
        assert!(!met.is_empty(), "the sample has failures");
        let zeros = series(&before);
        assert_eq!((zeros["ase_dns_changes_total"], series(&after)["ase_dns_changes_total"]), ("0", "1"));
        for (name, count) in series(&after).iter().filter(|(name, _)| name.starts_with("ase_probe_failed_total{")) {
            assert_eq!(
                zeros[name], "0",
                "the sum over all causes is there before the first failure, which is {count} now"
            );
        }
    }

    #[test]
    fn a_failure_counts_once_by_its_cause_and_once_in_the_sum() {
        let (snapshot, text) = (sample::snapshot(), render(&sample::snapshot(), "0.1.0"));
        let series = series(&text);
        for view in &snapshot.endpoints {
            let labels = format!("{{class=\"{}\",endpoint=\"{}\"", view.endpoint.class.label(), view.endpoint.id.0);
            let by_cause = format!("ase_probe_failures_total{labels}");
            let of_causes = series.iter().filter(|(name, _)| name.starts_with(&by_cause));
            let sum: u64 = of_causes.map(|(_, value)| value.parse::<u64>().expect("a count")).sum();
            assert_eq!(series[format!("ase_probe_failed_total{labels}}}").as_str()], sum.to_string(), "{labels}");
        }
    }

    /// How many series each family has, the most first.
    fn by_family(text: &str) -> String {
        let mut families: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            *families.entry(name).or_default() += 1;
        }
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        families.iter().map(|(name, count)| format!("{count:>5} {name}\n")).collect()
    }

    #[tokio::test]
    async fn the_page_of_the_built_in_profile_is_small() {
        let settings = crate::config::tests::settings("").expect("the built-in profile");
        let monitor = crate::engine::monitor::Monitor::new(settings, crate::model::rounds::Rounds::One, 1024, [7; 32]);
        let mut snapshot = Snapshot::clone(&monitor.subscribe().borrow());
        let mut observed = crate::engine::histogram::Histogram::default();
        observed.observe(std::time::Duration::from_millis(10));
        // Every phase that a visit of a class can pass.
        let classes: BTreeSet<Class> = snapshot.endpoints.iter().map(|view| view.endpoint.class).collect();
        let phases = |class| match class {
            Class::Dns | Class::Tcp => [Phase::Dns, Phase::Connect].to_vec(),
            Class::Ntp => [Phase::Dns, Phase::Ntp].to_vec(),
            Class::Http | Class::Https | Class::Monitoring => {
                [Phase::Dns, Phase::Connect, Phase::Tls, Phase::Request, Phase::Response].to_vec()
            }
            Class::Sql => [Phase::Dns, Phase::Connect, Phase::Tds, Phase::Tls].to_vec(),
        };
        let met = classes.into_iter().flat_map(|class| phases(class).into_iter().map(move |phase| (class, phase)));
        snapshot.durations = Arc::new(met.map(|key| (key, observed)).collect());
        let text = render(&snapshot, "0.1.0");
        // Before the first comparison no class is in force; later each name has one.
        let series = sample_count(&text) + snapshot.names.len();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(4));
        packed.write_all(text.as_bytes()).expect("memory takes it");
        let packed = packed.finish().expect("memory takes it").len();
        println!("{}", by_family(&text));
        assert!(snapshot.endpoints.len() > 100, "{} endpoints", snapshot.endpoints.len());
        assert!(series <= 1_500 && packed <= 25_000, "{series} series, {packed} bytes");
    }

    #[test]
    fn what_cannot_be_tested_keeps_its_last_confirmed_value() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Unknown(Untested::BudgetSpent));
        let text = render(&snapshot, "0.1.0");
        let series = series(&text);
        let value = |name: &str, endpoint: &str| {
            series[format!("{name}{{class=\"{}\",endpoint=\"{endpoint}\"}}", class_of(&snapshot, endpoint)).as_str()]
        };
        assert_eq!(value("ase_probe_success", "login.microsoftonline.com:443"), "1");
        assert_eq!(value("ase_probe_success", "asedb-a.database.windows.net:1433"), "0");
        assert_eq!(value("ase_probe_unknown", "login.microsoftonline.com:443"), "1");
        assert_eq!(series["ase_dependency_up{class=\"dns\"}"], "1");
        assert_eq!(series["ase_dependency_up{class=\"sql\"}"], "0");
        assert_eq!(series["ase_dependency_unknown{class=\"sql\"}"], "1");
    }

    fn class_of(snapshot: &Snapshot, endpoint: &str) -> &'static str {
        let view = snapshot.endpoints.iter().find(|view| &*view.endpoint.id.0 == endpoint);
        view.expect("the endpoint is in the sample").endpoint.class.label()
    }

    #[test]
    fn a_name_that_breaks_the_format_is_escaped() {
        let mut snapshot = sample::large(1);
        let view = Arc::make_mut(&mut snapshot.endpoints[0]);
        Arc::make_mut(&mut view.endpoint).id = EndpointId("a\"b\\c\nd".into());
        let text = render(&snapshot, "0.1.0");
        assert!(text.contains(r#"ase_probe_success{class="https",endpoint="a\"b\\c\nd"} 1"#), "{text}");
    }

    #[test]
    fn the_buckets_of_a_histogram_accumulate_to_its_count() {
        let mut counts = histogram::Histogram::default();
        for millis in [1, 3, 3, 70_000] {
            counts.observe(std::time::Duration::from_millis(millis));
        }
        let all = histogram(&counts, &BUCKETS);
        let few = histogram(&counts, &COARSE);
        let cumulative = |histogram: &Histogram| -> Vec<_> {
            histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect()
        };
        let expected = [0, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3];
        assert_eq!(cumulative(&all), BUCKETS.into_iter().zip(expected).collect::<Vec<_>>());
        assert_eq!(cumulative(&few), COARSE.into_iter().zip([1, 3, 3, 3, 3, 3, 3]).collect::<Vec<_>>());
        assert_eq!((all.get_sample_count(), few.get_sample_count()), (4, 4));
    }

    #[test]
    fn the_series_of_one_endpoint_are_bounded() {
        let per_endpoint =
            sample_count(&render(&sample::large(11), "0.1.0")) - sample_count(&render(&sample::large(1), "0.1.0"));
        assert!(per_endpoint <= 100, "{per_endpoint} series for ten endpoints");
    }

    #[test]
    fn promtool_finds_nothing_to_say() {
        let mut snapshot = sample::large(3);
        snapshot.endpoints.extend(sample::snapshot().endpoints);
        for text in [render(&sample::snapshot(), "0.1.0"), render(&snapshot, "0.1.0")] {
            let Some((success, said)) = promtool(&text) else { return };
            assert!(success && said.is_empty(), "promtool: {said}");
        }
    }

    #[test]
    fn promtool_would_speak_up() {
        let Some((_, said)) = promtool("# TYPE ase_things counter\nase_things 1\n") else { return };
        assert!(said.contains("_total"), "promtool: {said}");
    }

    /// What `promtool check metrics` says; `None` if it may be absent and is.
    fn promtool(text: &str) -> Option<(bool, String)> {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(_) if std::env::var_os("ASE_ALLOW_SKIP").is_some_and(|value| value == "1") => return None,
            Err(error) => panic!("promtool (Debian package prometheus): {error}; ASE_ALLOW_SKIP=1 skips this test"),
        };
        let mut input = child.stdin.take().expect("piped above");
        input.write_all(text.as_bytes()).expect("promtool reads its input");
        drop(input);
        let output = child.wait_with_output().expect("promtool ends at the end of its input");
        let said = [output.stdout, output.stderr].concat();
        Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}
