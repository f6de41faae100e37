//! Endpoints of the sample that are asked by HTTP, in clear and over TLS.

use super::*;

fn question(host: &str, port: u16, scheme: http::Scheme) -> Probe {
    let (host, path) = (host.to_owned(), "/".to_owned());
    let session = http::Session::default();
    Probe::Http(http::Question { scheme, host, port, path, proof: http::Proof::AnyResponse, session })
}

/// One of two addresses refuses the connection.
pub(super) fn degraded_http() -> EndpointView {
    let (host, finding) = ("crl.microsoft.com", Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely));
    let mut endpoint = endpoint(host, 80, Class::Http, question(host, 80, http::Scheme::Http));
    (endpoint.severity, endpoint.target.addresses) = (Severity::Warning, Addresses::All);
    let answer = Some(http::Answer { status: 200, ..http::Answer::default() });
    let reply = http::Reply { answer, ..http::Reply::default() };
    let times = [(Phase::Connect, MS(4)), (Phase::Request, MS(9)), (Phase::Response, MS(1))];
    let good = outcome(address("203.0.113.20"), 80, &times, Protocol::Http(Box::new(reply)));
    let bad = stopped(address("203.0.113.21"), 80, Trouble::Os { operation: CONNECT, errno: 111 }, MS(4), finding);
    let view = healthy(endpoint, good.clone());
    let mut visit = (**view.last.as_ref().expect("built above")).clone();
    (visit.outcomes, visit.result) = (vec![bad, good], Ok(Verdict::Degraded(finding)));
    EndpointView { status: Status::Degraded(finding), last: Some(Arc::new(visit)), ..view }
}

pub(super) fn healthy_https() -> EndpointView {
    let host = "login.microsoftonline.com";
    let certificate = |subject: &str, issuer: &str, not_after| tls::Certificate {
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        names: vec![host.to_owned()],
        not_before: 1_790_000_000,
        not_after,
        ..tls::Certificate::default()
    };
    let handshake = tls::Handshake {
        version: Some("TLS 1.3"),
        alpn: Some("h2".to_owned()),
        chain: vec![
            certificate("CN=login.microsoftonline.com", "CN=Test Issuing CA", 1_810_000_000),
            certificate("CN=Test Issuing CA", "CN=Test Root", 1_900_000_000),
        ],
        proved: true,
        ..tls::Handshake::default()
    };
    let answer = http::Answer { status: 302, version: "HTTP/2.0", ..http::Answer::default() };
    let reply = http::Reply { tls: Some(handshake), answer: Some(answer), ..http::Reply::default() };
    let times = [(Phase::Connect, MS(6)), (Phase::Tls, MS(14)), (Phase::Request, MS(30)), (Phase::Response, MS(1))];
    healthy(
        endpoint(host, 443, Class::Https, question(host, 443, http::Scheme::Https(tls::Verify::Full))),
        outcome(address("203.0.113.30"), 443, &times, Protocol::Http(Box::new(reply))),
    )
}

/// This machine has no free port, after a time in which the endpoint was healthy.
pub(super) fn untestable_https() -> EndpointView {
    let host = "management.azure.com";
    let finding = Finding::new(Cause::LocalPorts, Phase::Local, Confidence::Confirmed);
    let endpoint = endpoint(host, 443, Class::Https, question(host, 443, http::Scheme::Https(tls::Verify::Full)));
    let trouble = Trouble::Os { operation: CONNECT, errno: 99 };
    let view = healthy(endpoint, stopped(address("203.0.113.31"), 443, trouble, MS(0), finding));
    EndpointView {
        status: Status::Unknown(Untested::Inconclusive(finding)),
        since: AT - Duration::from_secs(40),
        diagnosis: None,
        last_success: Some(AT - Duration::from_secs(41)),
        ..view
    }
}

/// A wildcard's stand-in that is lost without harm to the environment.
pub(super) fn warning_https() -> EndpointView {
    let host = "smarteventlogs.blob.core.windows.net";
    let finding = Finding::new(Cause::DnsNxdomain, Phase::Dns, Confidence::Confirmed);
    let mut endpoint = endpoint(host, 443, Class::Https, question(host, 443, http::Scheme::Https(tls::Verify::Full)));
    endpoint.about.documented_as = Some("*.blob.core.windows.net".to_owned());
    (endpoint.severity, endpoint.about.basis) = (Severity::Warning, Basis::Suggested);
    let visit = Visit {
        began: AT - Duration::from_secs(9),
        took: MS(3),
        phases: Phases::default(),
        outcomes: Vec::new(),
        resolution: Some(resolved(host, &[], vec![denied()])),
        unasked: Vec::new(),
        failed: Vec::new(),
        confirmed_by: 0,
        led_into_silence: false,
        remarks: Vec::new(),
        result: Ok(Verdict::Failed(finding)),
    };
    EndpointView {
        endpoint: Arc::new(endpoint),
        status: Status::Failed(finding),
        since: AT - Duration::from_secs(90_000),
        last: Some(Arc::new(visit)),
        attempts: 10,
        failures: BTreeMap::from([(Cause::DnsNxdomain, 10)]),
        diagnosis: None,
        last_success: None,
        reach: 0,
        handed_over: 0,
    }
}

/// The custom DNS says that a name does not exist.
fn denied() -> Outcome {
    outcome(address("10.0.0.4"), 53, &[(Phase::Dns, MS(3))], answered(dns::Rcode::NxDomain, Vec::new()))
}
