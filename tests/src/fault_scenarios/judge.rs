//! Whether what the agent says is what it must say.

use std::time::Duration;

use ase_agent::{model::contrast::Contrast, net::pattern::matches, resolvers::compare::ComparisonClass};
use ase_probes::cause::Cause;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    expect::{CONFIDENCES, Endpoints, Expect, Expectation, join},
    file::Scenario,
    printed::Check,
};

/// A visit that was under way when the fault began may have begun so long before.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(2);
/// A visit that was under way at the repair may still fail, and its confirmation may come after it: the longest time-out,
/// the pause before the confirmation, and a margin.
const STILL_FAILING: SignedDuration = SignedDuration::from_secs(10);

/// How long something took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    pub(super) whole: Duration,
    /// For how much of it somebody on this machine waited for the processor: scenarios share it, users do not.
    pub(super) starved: Duration,
}

/// What differs from the expectation; empty when it is met.
pub(super) fn misses(scenario: &Scenario, status: &Value) -> Vec<String> {
    let incidents = incidents(status);
    let mut misses = match &scenario.expect {
        Expect::Silence => incidents.iter().map(|incident| format!("{} must not be said", told(incident))).collect(),
        Expect::Anything => Vec::new(),
        Expect::Incidents(expected) => unmet(expected, &incidents, &endpoints(status)),
    };
    let listed = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (id, wanted) in &scenario.statuses {
        let got = listed.iter().find(|endpoint| endpoint["id"] == id.as_str()).map(|endpoint| &endpoint["status"]);
        if got.is_none_or(|got| got != wanted.as_str()) {
            misses.push(format!("{id} is {}, not {wanted}", got.unwrap_or(&Value::Null)));
        }
    }
    let is_strange = |cause: &&str| !scenario.causes.is_empty() && !scenario.causes.iter().any(|one| one == cause);
    for endpoint in listed {
        if let Some(cause) = endpoint["cause"].as_str().filter(is_strange) {
            misses.push(format!("{} has the cause {cause}", endpoint["id"]));
        }
    }
    misses
}

/// The incident that meets the first expectation.
pub(super) fn right<'a>(scenario: &Scenario, status: &'a Value) -> Option<&'a Value> {
    let Expect::Incidents(expected) = &scenario.expect else { return None };
    let first = expected.first()?;
    incidents(status).into_iter().find(|incident| first.is(&incident["cause"]))
}

/// Incidents that claim to be older than the fault.
pub(super) fn too_early(fault: Timestamp, status: &Value) -> Vec<String> {
    let since = |incident: &Value| incident["since"].as_str().and_then(|since| since.parse::<Timestamp>().ok());
    let is_early = |incident: &&Value| since(incident).is_none_or(|since| fault.duration_since(since) > UNDER_WAY);
    let early = incidents(status).into_iter().filter(is_early);
    early.map(|incident| format!("{} since {}, before the fault", told(incident), incident["since"])).collect()
}

/// Lines of one incident's evidence of which one says the opposite of another, or of the comparison of its names.
pub(super) fn contradictions(status: &Value) -> Vec<String> {
    let mut told = Vec::new();
    for incident in incidents(status) {
        let texts = |key: &str| incident[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let lines: Vec<&str> = texts("evidence").collect();
        let both = |contrast: &&Contrast| [true, false].iter().all(|answer| lines.contains(&contrast.words(*answer)));
        let opposites = Contrast::ALL.iter().filter(both).map(|contrast| contrast.words(true).to_owned());
        told.extend(opposites.map(|words| format!("an incident says both this and its opposite: {words}")));
        let says = |(contrast, answer): (Contrast, bool)| lines.contains(&contrast.words(answer));
        let clash = EXCLUSIVE.iter().filter(|(one, other)| says(*one) && says(*other));
        told.extend(clash.map(|(one, other)| {
            format!("an incident says both ({}) and ({})", one.0.words(one.1), other.0.words(other.1))
        }));
        let hint = incident["hint"].as_str().unwrap_or_default();
        if hint.contains(OTHERS_ANSWER) && says((Contrast::SamePortWorks, false)) {
            told.push(format!("nobody works on the port, and the hint says: {hint}"));
        }
        if lines.contains(&Contrast::ResolversDisagree.words(false)) {
            let differing = texts("endpoints").filter(|id| is_compared_badly(status, id));
            told.extend(differing.map(|id| format!("the servers agree on the name, and differ on {id}")));
        }
    }
    told
}

/// Early warnings that two resolvers lead apart, where nothing is wrong: one lost datagram is no sign of that.
pub(super) fn cried_early(scenario: &Scenario, status: &Value) -> Vec<String> {
    let warnings = status["early"]["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_dns = warnings.iter().filter(|warning| scenario.is_healthy() && warning["kind"] == "dns_divergence");
    of_dns.map(|warning| format!("an early warning: {}: {}", warning["subject"], warning["text"])).collect()
}

/// A contrast and how it was answered, as a line of evidence says it.
type Said = (Contrast, bool);

/// Answers that cannot both be true.
const EXCLUSIVE: &[(Said, Said)] = &[
    ((Contrast::SamePortWorks, true), (Contrast::AnythingWorks, false)),
    ((Contrast::OtherPortsWork, true), (Contrast::AnythingWorks, false)),
    ((Contrast::SameHostWorks, true), (Contrast::AnythingWorks, false)),
    ((Contrast::HeldFlowLives, true), (Contrast::HeldFlowReset, true)),
    ((Contrast::PortDecides, true), (Contrast::NewFlowsMixed, false)),
    ((Contrast::NewFlowsMixed, true), (Contrast::NewFlowsPass, true)),
    ((Contrast::PlainDnsPasses, true), (Contrast::SmallDatagramPasses, true)),
    ((Contrast::DnsOverTcpAnswers, true), (Contrast::DnsOverTcpAccepts, false)),
    ((Contrast::CanaryAccepts, true), (Contrast::CanaryRefuses, true)),
];
/// How hints say that other hosts work on the port of a silent one.
const OTHERS_ANSWER: &str = "while others on";

/// Whether the comparison in force of an endpoint's name should worry somebody.
fn is_compared_badly(status: &Value, id: &str) -> bool {
    let host = id.rsplit_once(':').map_or(id, |(host, _)| host);
    let names = status["dns"]["names"].as_array().map(Vec::as_slice).unwrap_or_default();
    let class = names.iter().find(|name| name["name"] == host).and_then(|name| name["class"].as_str());
    ComparisonClass::ALL.iter().any(|one| Some(one.label()) == class && one.cause().is_some())
}

/// Incidents that began after the repair.
pub(super) fn begun_after(repair: Timestamp, status: &Value) -> Vec<String> {
    let since = |incident: &Value| incident["since"].as_str().and_then(|since| since.parse::<Timestamp>().ok());
    let is_late = |incident: &&Value| since(incident).is_none_or(|since| since.duration_since(repair) > STILL_FAILING);
    let late = incidents(status).into_iter().filter(is_late);
    late.map(|incident| format!("{} since {}, after the repair", told(incident), incident["since"])).collect()
}

/// Whether a cause is given to an incident or an endpoint, or, where the word is no cause, whether it is said of one.
/// Alternatives are not said: they are what else it could be.
pub(super) fn says(status: &Value, word: &str) -> bool {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let all = incidents(status).into_iter().chain(endpoints);
    if Cause::from_label(word).is_some() {
        return all.map(|one| &one["cause"]).any(|cause| cause == word);
    }
    let keys = ["summary", "component", "evidence", "hint", "advice"];
    all.flat_map(|one| keys.map(|key| &one[key])).any(|said| holds(said, word))
}

/// Whether a text in a value holds a word.
fn holds(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text.contains(word),
        Value::Array(list) => list.iter().any(|value| holds(value, word)),
        Value::Object(map) => map.values().any(|value| holds(value, word)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What is missing in what `check` printed, and what is too slow.
pub(super) fn lacks(check: &Check, text: &str, took: Took) -> Vec<String> {
    let missing = check.says.iter().filter(|words| !text.contains(*words));
    let mut lacks: Vec<String> = missing.map(|words| format!("check does not print ({words}):\n{text}")).collect();
    let first = text.split_once("INCIDENT").map_or("", |(_, rest)| rest);
    let first = first.split("\n\n").next().unwrap_or_default();
    let missing = check.first.iter().filter(|words| !first.contains(*words));
    lacks.extend(missing.map(|words| format!("check's first incident does not say ({words}): {first}")));
    // A machine that lets everybody wait is granted as much again, and no more.
    let granted = |within: Duration| within + took.starved.min(within);
    if let Some(within) = check.within.filter(|within| took.whole > granted(within.0)) {
        let Took { whole, starved } = took;
        let waited = format!("with the processor busy for {:.1} s of them", starved.as_secs_f64());
        lacks.push(format!("check took {:.1} s, not {} s, {waited}", whole.as_secs_f64(), within.0.as_secs()));
    }
    lacks
}

/// What `check` printed though it must not: its own `not`, and what may never be said. A cause is said of an incident.
pub(super) fn forbidden(scenario: &Scenario, text: &str) -> Vec<String> {
    let own = scenario.check.iter().flat_map(|check| &check.not);
    let is_said = |word: &&String| match Cause::from_label(word) {
        Some(_) => text.contains(&format!("INCIDENT  {word}:")),
        None => text.contains(word.as_str()),
    };
    own.chain(&scenario.never).filter(is_said).map(|word| format!("check prints ({word})")).collect()
}

/// By what an incident is known again.
pub(super) fn known_by(incident: &Value) -> String {
    format!("{} {} since {}", incident["id"], incident["cause"], incident["since"])
}

/// The causes that the agent names, as one word.
pub(super) fn got(status: &Value) -> String {
    join(incidents(status).iter().filter_map(|incident| incident["cause"].as_str()).collect())
}

/// Whether the named causes are the expected ones, each once, beside those that are tolerated.
pub(super) fn names_causes(scenario: &Scenario, status: &Value) -> bool {
    let expected = match &scenario.expect {
        Expect::Silence => return incidents(status).is_empty(),
        Expect::Anything => return true,
        Expect::Incidents(expected) => expected,
    };
    let mut rest: Vec<&Value> = incidents(status);
    for expectation in expected {
        match rest.iter().position(|incident| expectation.is(&incident["cause"])) {
            Some(index) => _ = rest.remove(index),
            None => return false,
        }
    }
    rest.iter().all(|incident| expected.iter().any(|expectation| expectation.tolerates(&incident["cause"])))
}

/// The named causes that are neither expected nor tolerated.
pub(super) fn strangers(scenario: &Scenario, status: &Value) -> Vec<String> {
    let Expect::Incidents(expected) = &scenario.expect else { return Vec::new() };
    let causes = incidents(status).into_iter().map(|incident| &incident["cause"]);
    let is_strange = |cause: &&Value| !expected.iter().any(|one| one.is(cause) || one.tolerates(cause));
    causes.filter(is_strange).filter_map(|cause| cause.as_str().map(str::to_owned)).collect()
}

/// Whether a fault of this machine is blamed on somebody else.
pub(super) fn blames_others(scenario: &Scenario, status: &Value) -> bool {
    let Expect::Incidents(expected) = &scenario.expect else { return false };
    let is_local = |cause: &str| cause.starts_with("local_");
    let all_local = expected.iter().all(|expectation| is_local(&expectation.cause));
    all_local && incidents(status).iter().any(|incident| !incident["cause"].as_str().is_some_and(is_local))
}

/// The incidents of a status document.
pub(super) fn incidents(status: &Value) -> Vec<&Value> {
    status["incidents"].as_array().map(|incidents| incidents.iter().collect()).unwrap_or_default()
}

fn endpoints(status: &Value) -> Vec<&str> {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let watched = endpoints.iter().filter(|endpoint| endpoint["status"] != "not_configured");
    watched.filter_map(|endpoint| endpoint["id"].as_str()).collect()
}

/// Gives every expectation the incident that meets it best, and says what is left.
fn unmet(expected: &[Expectation], incidents: &[&Value], ids: &[&str]) -> Vec<String> {
    let mut rest = incidents.to_vec();
    let mut misses = Vec::new();
    for expectation in expected {
        let ranked = rest.iter().enumerate().min_by_key(|(_, incident)| {
            let is_other = !expectation.is(&incident["cause"]);
            (is_other, differences(expectation, incident, ids).len())
        });
        match ranked.map(|(index, incident)| (index, *incident)) {
            Some((index, incident)) if expectation.is(&incident["cause"]) => {
                misses.extend(differences(expectation, incident, ids));
                rest.remove(index);
            }
            _ => misses.push(format!("{} is not said", expectation.cause)),
        }
    }
    let is_too_much =
        |incident: &&&Value| !expected.iter().any(|expectation| expectation.tolerates(&incident["cause"]));
    misses.extend(rest.iter().filter(is_too_much).map(|incident| format!("{} is too much", told(incident))));
    for cause in expected.iter().flat_map(|expectation| &expectation.not) {
        if incidents.iter().any(|incident| incident["cause"] == cause.as_str()) {
            misses.push(format!("{cause} must not be said"));
        }
    }
    misses
}

fn differences(expectation: &Expectation, incident: &Value, ids: &[&str]) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, wanted) in [("side", &expectation.side), ("scope", &expectation.scope)] {
        let got = incident[key].as_str().unwrap_or("null");
        if let Some(wanted) = wanted.as_ref().filter(|wanted| !wanted.split('|').any(|word| word == got)) {
            differences.push(format!("{key} is {got}, not {wanted}"));
        }
    }
    let component = incident["component"].as_str().unwrap_or("null");
    let is_called = |wanted: &&String| wanted.split('|').any(|pattern| matches(pattern, component));
    if let Some(wanted) = expectation.component.as_ref().filter(|wanted| !is_called(wanted)) {
        differences.push(format!("component is {component}, not {wanted}"));
    }
    let rank = |word: &str| CONFIDENCES.iter().position(|confidence| *confidence == word);
    let confidence = incident["confidence"].as_str().unwrap_or("null");
    if let Some(least) = expectation.confidence.as_ref().filter(|least| rank(confidence) < rank(least)) {
        differences.push(format!("confidence is {confidence}, not {least}"));
    }
    if let Some(Endpoints::These(these)) = &expectation.endpoints {
        let is_expected = |id: &&str| {
            let (out, of): (Vec<_>, Vec<_>) = these.iter().partition(|pattern| pattern.starts_with('!'));
            of.iter().any(|pattern| matches(pattern, id)) && !out.iter().any(|pattern| matches(&pattern[1..], id))
        };
        let mut wanted: Vec<&str> = ids.iter().copied().filter(is_expected).collect();
        let list = |key: &str| {
            let listed = incident[key].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut ids: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
            ids.sort_unstable();
            ids
        };
        wanted.sort_unstable();
        // Endpoints that fail only because of the others may be named, or not.
        let (got, hidden) = (list("endpoints"), list("hides"));
        let own: Vec<&str> = got.iter().copied().filter(|id| !hidden.contains(id)).collect();
        if wanted != got && wanted != own {
            differences.push(format!("endpoints are {}, not {}", got.join(" "), wanted.join(" ")));
        }
    }
    differences
}

/// An incident as one line.
pub(super) fn told(incident: &Value) -> String {
    let word = |key: &str| incident[key].as_str().unwrap_or("null").to_owned();
    let endpoints = incident["endpoints"].as_array().map(Vec::len).unwrap_or_default();
    let keys = ["cause", "side", "scope", "confidence"].map(word);
    format!("{} ({endpoints} endpoints)", keys.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scenario(expect: &str) -> Scenario {
        serde_saphyr::from_str(&format!("what: x\nrow: 17\nexpect: {expect}\n")).expect(expect)
    }

    fn status(incidents: Value) -> Value {
        json!({
            "endpoints": [{"id": "a:443", "status": "failed"}, {"id": "b:443", "status": "failed", "cause": "dropped"}, {"id": "c:80", "status": "healthy"}],
            "incidents": incidents,
        })
    }

    fn dropped() -> Value {
        json!({
            "cause": "dropped", "side": "path", "scope": "port", "confidence": "likely", "endpoints": ["b:443", "a:443"],
            "component": "TCP 443 to every host",
        })
    }

    #[test]
    fn what_is_expected_is_met() {
        let status = status(json!([dropped()]));
        for expect in [
            "{cause: dropped}",
            "{cause: dropped, side: path, scope: port|class, confidence: possible, endpoints: ['*:443']}",
            "{cause: dropped, not: [refused]}",
            "{cause: dropped, endpoints: any}",
            "{cause: dropped}\ncauses: [dropped]",
            "{cause: dropped, component: the zone x|TCP 443 *}",
        ] {
            assert_eq!(misses(&scenario(expect), &status), Vec::<String>::new(), "{expect}");
        }
        assert_eq!(got(&status), "dropped");
    }

    #[test]
    fn every_difference_is_told() {
        let status = status(json!([dropped()]));
        for (expect, words) in [
            ("{cause: refused}", "refused is not said"),
            ("{cause: dropped}\nstatuses: {a:443: degraded}", "a:443 is \"failed\", not degraded"),
            ("{cause: dropped, component: single hosts*}", "component is TCP 443 to every host, not single hosts*"),
            ("{cause: dropped, side: remote}", "side is path, not remote"),
            ("{cause: dropped, confidence: confirmed}", "confidence is likely, not confirmed"),
            ("{cause: dropped, endpoints: ['*:443', '!b:*']}", "endpoints are a:443 b:443, not a:443"),
            ("{cause: dropped, endpoints: [a:443]}", "endpoints are a:443 b:443, not a:443"),
            ("[{cause: dropped}, {cause: dropped}]", "dropped is not said"),
            ("{cause: dropped}\ncauses: [slow]", "\"b:443\" has the cause dropped"),
            ("silent", "dropped path port likely (2 endpoints) must not be said"),
        ] {
            let misses = misses(&scenario(expect), &status);
            assert!(misses.iter().any(|miss| miss.contains(words)), "{misses:?}");
        }
    }

    #[test]
    fn what_is_too_much_counts_unless_it_is_tolerated() {
        let more = json!([dropped(), {"cause": "slow", "side": "path", "scope": "host", "confidence": "likely", "endpoints": ["c:80"]}]);
        assert_eq!(misses(&scenario("{cause: dropped}"), &status(more.clone())).len(), 1);
        assert!(misses(&scenario("{cause: dropped, also: [slow]}"), &status(more)).is_empty());
    }

    #[test]
    fn a_local_fault_must_not_be_blamed_on_others() {
        let expected = scenario("{cause: local_route}");
        assert!(blames_others(&expected, &status(json!([dropped()]))));
        assert_eq!(strangers(&expected, &status(json!([dropped()]))), ["dropped"]);
        assert!(strangers(&scenario("{cause: dropped}"), &status(json!([dropped()]))).is_empty());
        assert!(!blames_others(&expected, &status(json!([]))));
        assert!(!blames_others(&scenario("{cause: refused}"), &status(json!([dropped()]))));
    }

    #[test]
    fn an_incident_older_than_the_fault_is_wrong() {
        let since = |at: &str| status(json!([{"cause": "dropped", "since": at, "endpoints": []}]));
        let fault: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
        assert_eq!(too_early(fault, &since("2026-01-01T00:00:59Z")), Vec::<String>::new());
        assert_eq!(too_early(fault, &since("2026-01-01T00:00:57Z")).len(), 1);
        assert_eq!(too_early(fault, &since("never")).len(), 1);
    }

    #[test]
    fn lines_that_contradict_each_other_or_the_comparison_are_told() {
        let of = |lines: Vec<&str>, class: &str| {
            let incident = json!({"cause": "dropped", "endpoints": ["a.example:443"], "evidence": lines});
            let dns = json!({"names": [{"name": "a.example", "class": class}]});
            contradictions(&json!({"incidents": [incident], "dns": dns})).len()
        };
        let (yes, no) = (Contrast::SamePortWorks.words(true), Contrast::SamePortWorks.words(false));
        let nothing = Contrast::AnythingWorks.words(false);
        assert_eq!((of(vec![yes, nothing], "identical"), of(vec![no, nothing], "identical")), (1, 0));
        let agree = Contrast::ResolversDisagree.words(false);
        assert_eq!((of(vec![yes, no], "identical"), of(vec![yes], "identical")), (1, 0));
        assert_eq!((of(vec![agree], "hijack"), of(vec![agree], "identical")), (1, 0));
    }

    #[test]
    fn where_nothing_is_wrong_no_early_warning_about_names_may_be_given() {
        let of = |expect: &str, kind: &str| {
            let status = json!({"early": {"warnings": [{"kind": kind, "subject": "a.example", "text": "apart"}]}});
            cried_early(&scenario(expect), &status).len()
        };
        assert_eq!((of("silent", "dns_divergence"), of("silent", "certificate_expiry")), (1, 0));
        assert_eq!(of("{cause: dropped}", "dns_divergence"), 0);
    }

    #[test]
    fn an_incident_may_not_begin_after_the_repair() {
        let since = |at: &str| status(json!([{"cause": "dropped", "since": at, "endpoints": []}]));
        let repair: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
        assert_eq!(begun_after(repair, &since("2026-01-01T00:01:09Z")), Vec::<String>::new());
        assert_eq!(begun_after(repair, &since("2026-01-01T00:01:11Z")).len(), 1);
    }

    #[test]
    fn causes_are_said_of_incidents_and_endpoints_and_alternatives_are_not_said() {
        let status = json!({
            "endpoints": [{"id": "a:443", "cause": "refused", "evidence": ["a pause"]}],
            "incidents": [{"cause": "dropped", "component": "the road", "alternatives": [{"cause": "slow", "summary": "a hill"}]}],
        });
        for (word, is_said) in [
            ("refused", true),
            ("dropped", true),
            ("slow", false),
            ("a pause", true),
            ("the road", true),
            ("a hill", false),
        ] {
            assert_eq!(says(&status, word), is_said, "{word}");
        }
    }

    #[test]
    fn what_check_prints_is_judged_by_words_order_and_time() {
        let took = |whole, starved| Took { whole: Duration::from_secs(whole), starved: Duration::from_secs(starved) };
        let text = "2 lost\n\nINCIDENT  dropped: silence\n  where: everything\n\nINCIDENT  slow: late\n";
        let of = |keys: &str| {
            let text = format!("what: x\nrow: 17\nexpect: silent\nnever: [slow, refused]\ncheck: {keys}\n");
            serde_saphyr::from_str::<Scenario>(&text).expect(keys)
        };
        let lacking = |keys: &str| {
            let check = of(keys).check.expect("it is given");
            lacks(&check, text, took(9, 0)).len()
        };
        assert_eq!((lacking("[dropped, slow]"), lacking("[refused]")), (0, 1));
        assert_eq!((lacking("{first: [everything]}"), lacking("{first: [late]}")), (0, 1));
        assert_eq!((lacking("{within: 10s}"), lacking("{within: 8s}")), (0, 1));
        let check = of("{within: 8s}").check.expect("it is given");
        let late = |whole, starved| lacks(&check, text, took(whole, starved)).len();
        assert_eq!((late(9, 2), late(16, 20), late(17, 20)), (0, 0, 1));
        assert_eq!(forbidden(&of("{not: [silence]}"), text), ["check prints (silence)", "check prints (slow)"]);
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(
            matches("*", "a:443") && matches("*:443", "a:443") && matches("a*4*", "a:443") && matches("a:443", "a:443")
        );
        assert!(!matches("*:80", "a:443") && !matches("a", "a:443"));
    }
}
