//! The flows of a status document of the agent (`/api/v1/status`, `ase-agent check --output json`).

use std::net::SocketAddr;

use ase_probes::class::Class;

use crate::lint::{
    finding::Severity,
    read::{ReadError, node::Node, value},
    seen::SeenFlow,
};

/// Reads the endpoints that were visited; the second list has what says no flow, each with the reason.
///
/// # Errors
/// [`ReadError`], which says what the file is.
pub fn flows(file: &str, bytes: &[u8]) -> Result<(Vec<SeenFlow>, Vec<String>), ReadError> {
    let value = value(file, bytes)?;
    let root = Node::root(&value);
    if !root.text_of("schema").is_some_and(|schema| schema.starts_with("ase-agent/status/")) {
        let what = "no status of this agent: /api/v1/status or `ase-agent check --output json` is wanted".to_owned();
        return Err(ReadError::WrongKind { file: file.to_owned(), what });
    }
    let (mut flows, mut left) = (Vec::new(), Vec::new());
    for endpoint in root.list("endpoints").iter().filter(|endpoint| endpoint.get("last_visit").is_some()) {
        match flow(endpoint) {
            Some(flow) => flows.push(flow),
            None => left.push(format!("{file}: {}: says no class, port or id that a flow needs", endpoint.path)),
        }
    }
    Ok((flows, left))
}

fn flow(endpoint: &Node<'_>) -> Option<SeenFlow> {
    let (id, class) = (endpoint.text_of("id")?, Class::from_label(&endpoint.text_of("class")?)?);
    let port: u16 = endpoint.text_of("port")?.parse().ok().filter(|port| *port != 0)?;
    // An id that somebody chose says no port; the transport stands in it all the same.
    let named = SeenFlow::of_id(&id, class);
    let transport = if id.ends_with("/tcp") { "/tcp" } else { "" };
    let plain = named.or_else(|| SeenFlow::of_id(&format!("endpoint:{port}{transport}"), class))?;
    let listed = endpoint.list("addresses");
    let address = |entry: &Node<'_>| entry.text_of("address")?.parse::<SocketAddr>().ok().map(|at| at.ip());
    let mut addresses: Vec<_> = listed.iter().filter_map(address).collect();
    let is_lost = |entry: &&Node<'_>| entry.text_of("verdict").as_deref() == Some("failed");
    let failed = listed.iter().filter(is_lost).filter_map(address).collect();
    addresses.extend(&plain.addresses);
    addresses.sort();
    addresses.dedup();
    let severity = match endpoint.text_of("severity").as_deref() {
        Some("critical") => Severity::Critical,
        Some("info") => Severity::Info,
        _ => Severity::Warning,
    };
    let worked = matches!(endpoint.text_of("status").as_deref(), Some("healthy" | "degraded"));
    Some(SeenFlow { name: id, port, addresses, failed, severity, worked, ..plain })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lint::traffic::Protocols;

    #[test]
    fn visited_endpoints_are_flows_with_their_addresses_and_others_are_none() {
        let status = json!({"schema": "ase-agent/status/1", "endpoints": [
            {"id": "login.example:443", "class": "https", "port": 443, "severity": "critical", "status": "healthy",
                "last_visit": "2026-01-01T00:00:00Z",
                "addresses": [{"address": "203.0.113.7:443"}, {"address": "[2001:db8::7]:443"}, {"address": "203.0.113.7:443"}]},
            {"id": "clock", "class": "ntp", "port": 123, "severity": "warning", "status": "failed", "last_visit": "x", "addresses": []},
            {"id": "sql-server", "class": "sql", "port": 1433, "status": "not_configured", "last_visit": null}]});
        let (flows, left) = flows("s", status.to_string().as_bytes()).expect("a status");
        assert_eq!((flows.len(), left.len()), (2, 0));
        assert_eq!((flows[0].addresses.len(), flows[0].worked, flows[0].severity), (2, true, Severity::Critical));
        assert_eq!((flows[1].protocols, flows[1].port, flows[1].worked), (Protocols::UDP, 123, false));
    }

    #[test]
    fn what_is_no_status_says_so() {
        for text in ["{}", "[]", "{\"schema\": \"other/1\"}"] {
            let error = flows("s.json", text.as_bytes()).expect_err("it is none").to_string();
            assert!(error.starts_with("s.json: no status"), "{error}");
        }
        assert!(flows("s", b"\xff").is_err() && flows("s", b"{").is_err());
    }
}
