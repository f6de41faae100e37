//! Where the pages of endpoints and incidents are: their paths, under which keys an incident is found again after its end, and
//! the same as links for alerts, reports and other programs where the configuration says how this agent is reached.

use std::{collections::BTreeMap, time::Duration};

use ase_probes::cause::Cause;

use crate::{
    engine::snapshot::Snapshot,
    model::{catalog::EndpointId, diagnosis::Incident},
};

/// How far the moment in a key may be before the beginning or behind the end: another look saw the same a little earlier
/// or later.
const SLACK: Duration = Duration::from_secs(60);

/// A moment at which something was lost for a cause, as `CAUSE-SECONDS` says it (Unix time): the key of an incident for those
/// who do not know its number, as alerts and other processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The cause's label.
    pub cause: &'static str,
    /// When.
    pub at: Duration,
}

impl Loss {
    /// Reads a key; `None` if it is another kind.
    pub fn of_key(key: &str) -> Option<Self> {
        let (cause, seconds) = key.rsplit_once('-')?;
        let cause = Cause::from_label(cause)?.label();
        let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds = is_number.then(|| seconds.parse().ok())?;
        Some(Self { cause, at: Duration::try_from_secs_f64(seconds?).ok()? })
    }

    /// How far an incident's beginning is from it; `None` if the incident has another cause or was not open then.
    pub fn distance(&self, cause: &str, since: Duration, ended: Option<Duration>) -> Option<Duration> {
        let is_open = self.at + SLACK >= since && ended.is_none_or(|ended| self.at <= ended + SLACK);
        (cause == self.cause && is_open).then(|| self.at.abs_diff(since))
    }
}

/// The key under which an incident of this process is found again: the store's, or what it is and when it began.
pub fn incident_key(snapshot: &Snapshot, incident: &Incident) -> String {
    key_among(&snapshot.store.incidents, incident)
}

/// The same where the store remembers incidents under these ids.
pub fn key_among(ids: &BTreeMap<u64, String>, incident: &Incident) -> String {
    let known = ids.get(&incident.id).cloned();
    let told = || format!("{}-{:.3}", incident.finding.cause.label(), incident.since.as_secs_f64());
    known.unwrap_or_else(told)
}

/// Where the page of an incident is.
pub fn incident_path(key: &str) -> String {
    format!("/incident/{}", encoded(key))
}

/// Where the page of an endpoint is. Slashes stay, as in the links of alerts: proxies that take apart what is escaped would make
/// another place of it. They are escaped where they would steer the path themselves.
pub fn endpoint_path(id: &EndpointId) -> String {
    let parts: Vec<&str> = id.0.split('/').collect();
    let steers = parts.iter().any(|part| matches!(*part, "" | "." | ".."));
    let path = if steers { encoded(&id.0) } else { parts.into_iter().map(encoded).collect::<Vec<_>>().join("/") };
    format!("/endpoint/{path}")
}

/// The link to the first page; `None` where the configuration does not say how this agent is reached, as for all links.
pub fn first(snapshot: &Snapshot) -> Option<String> {
    below(snapshot, "/")
}

/// The link to an incident's page.
pub fn incident(snapshot: &Snapshot, incident: &Incident) -> Option<String> {
    below(snapshot, &incident_path(&incident_key(snapshot, incident)))
}

/// The link to an endpoint's page.
pub fn endpoint(snapshot: &Snapshot, id: &EndpointId) -> Option<String> {
    below(snapshot, &endpoint_path(id))
}

/// The link to what is at a path of this agent.
pub fn below(snapshot: &Snapshot, path: &str) -> Option<String> {
    snapshot.agent.external_url.as_ref().map(|url| url.below(path))
}

/// A text as a part of a path (RFC 3986 section 3.3): everything but unreserved characters and the colon is escaped.
fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn an_id_becomes_a_path_that_leads_back_to_it() {
        for (id, path) in [
            ("168.63.129.16:53/udp", "/endpoint/168.63.129.16:53/udp"),
            ("a/../b", "/endpoint/a%2F..%2Fb"),
            ("a//b", "/endpoint/a%2F%2Fb"),
            ("/a", "/endpoint/%2Fa"),
            ("my endpoint?#\"<", "/endpoint/my%20endpoint%3F%23%22%3C"),
        ] {
            assert_eq!(endpoint_path(&EndpointId(id.into())), path);
        }
    }

    #[test]
    fn a_cause_and_a_moment_name_the_incident_that_was_open_then() {
        let loss = Loss::of_key("dropped-1000.500").expect("it is a cause and a moment");
        assert_eq!(loss, Loss { cause: "dropped", at: Duration::from_millis(1_000_500) });
        assert_eq!(loss.distance("dropped", AT(1000), None), Some(Duration::from_millis(500)));
        assert_eq!(loss.distance("dropped", AT(900), Some(AT(1200))), Some(Duration::from_millis(100_500)));
        assert_eq!(loss.distance("refused", AT(1000), None), None, "another cause");
        assert_eq!(loss.distance("dropped", AT(500), Some(AT(900))), None, "it was over");
        assert_eq!(loss.distance("dropped", AT(1100), None), None, "it had not begun");
        for key in
            ["", "1764000000000-1", "dropped", "gremlins-5", "dropped-", "dropped--5", "dropped-1e3", "dropped-1.2.3"]
        {
            assert_eq!(Loss::of_key(key), None, "{key}");
        }
    }

    #[test]
    fn links_are_there_where_the_configuration_says_how_this_agent_is_reached() {
        let mut snapshot = sample::snapshot();
        let lost = std::sync::Arc::clone(&snapshot.incidents.open[0]);
        let link = incident(&snapshot, &lost).expect("the sample is reached from elsewhere");
        let key = link.strip_prefix("https://monitor.example/ase/incident/").expect("it is below the URL").to_owned();
        let loss = Loss::of_key(&key).expect("the sample's store knows no incident");
        assert_eq!(loss.distance(lost.finding.cause.label(), lost.since, None), Some(Duration::ZERO));
        std::sync::Arc::make_mut(&mut snapshot.store.incidents).insert(lost.id, "1764000000000-1".to_owned());
        assert!(incident(&snapshot, &lost).is_some_and(|link| link.ends_with("/incident/1764000000000-1")));
        assert_eq!(first(&snapshot).as_deref(), Some("https://monitor.example/ase/"));
        snapshot.agent.external_url = None;
        assert_eq!((first(&snapshot), incident(&snapshot, &lost)), (None, None));
    }
}
