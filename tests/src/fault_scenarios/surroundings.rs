//! The world of every scenario: few endpoints, chosen so that each has partners to compare it with.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::guest::CUSTOM_DNS;

/// How often every endpoint is visited where nothing else is wished: more often than a daemon does, for a shorter run.
pub(super) const EVERY: Duration = Duration::from_secs(8);

/// The agent's configuration: the lab's, with a scenario's own keys put over it.
pub(super) fn configuration(own: &Map<String, Value>, port: u16, every: Duration) -> String {
    let every = format!("{}s", every.as_secs());
    let intervals: Map<String, Value> = ["dns", "ntp", "http", "https", "sql", "monitoring"]
        .map(|class| (class.to_owned(), json!(every)))
        .into_iter()
        .collect();
    let mut all = json!({
        "vantage": "ase-lab",
        "listen": format!("127.0.0.1:{port}"),
        "resolvers": {"custom": [CUSTOM_DNS]},
        "intervals": intervals,
        "pace": {"flows_per_destination": 600},
        "endpoints": {"remove": ["*:80", "*:443", "*:123", "*:11371"], "add": endpoints()},
    });
    put_over(&mut all, &Value::Object(own.clone()));
    format!("{all:#}")
}

/// Names of different owners, two ports of one host, two hosts of every port.
fn endpoints() -> Value {
    let of = |class: &str, host: &str| json!({"class": class, "host": host});
    let crl = |host: &str| json!({"class": "http", "host": host, "path": "/lab.crl", "expect": "crl"});
    let marker = json!({"contains": "Microsoft Connect Test"});
    json!([
        // By address, because servers of one's own may be asked more often than every 64 seconds.
        of("ntp", "198.18.123.1"),
        of("ntp", "198.18.123.2"),
        of("ntp", "198.18.123.3"),
        crl("crl.microsoft.com"),
        crl("ocsp.digicert.com"),
        {"class": "http", "host": "www.msftconnecttest.com", "path": "/connecttest.txt", "expect": marker},
        of("https", "login.live.com"),
        of("https", "management.azure.com"),
        of("https", "labstorage.blob.core.windows.net"),
        of("https", "crl.microsoft.com"),
        of("sql", "lab-sql.database.windows.net"),
        of("sql", "lab-two.database.windows.net"),
        of("monitoring", "lab-monitoring.example"),
    ])
}

/// Puts values over others: maps are joined, everything else is replaced.
fn put_over(all: &mut Value, own: &Value) {
    match (all, own) {
        (Value::Object(all), Value::Object(own)) => {
            for (key, value) in own {
                put_over(all.entry(key).or_insert(Value::Null), value);
            }
        }
        (all, own) => *all = own.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_keys_replace_and_join() {
        let own = json!({"intervals": {"dns": "9s"}, "vantage": "elsewhere"});
        let text = configuration(own.as_object().expect("a map"), 1, EVERY);
        let all: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&all["intervals"]["dns"], &all["intervals"]["sql"]), (&json!("9s"), &json!("8s")));
        assert_eq!(all["vantage"], "elsewhere");
    }
}
