//! The worlds of the scenarios: few endpoints, chosen so that each has partners to compare it with, or the whole built-in
//! profile.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::file::{Scenario, World};
use crate::{azure::SLOTS, guest::CUSTOM_DNS};

/// How often every endpoint is visited where nothing else is wished: more often than a daemon does, for a shorter run.
pub(super) const EVERY: Duration = Duration::from_secs(8);

/// The benchmarking space of IPv6 (RFC 5180).
const BENCHMARK_6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);

/// The agent's configuration for a scenario, with the scenario's own keys put over it.
pub(super) fn configuration(scenario: &Scenario, port: u16, every: Duration) -> Value {
    let mut all = match scenario.world {
        World::Small => small(every, scenario.ipv6),
        World::Builtin => builtin(),
    };
    all["vantage"] = json!("ase-lab");
    all["listen"] = json!(format!("127.0.0.1:{port}"));
    all["resolvers"] = json!({"custom": [CUSTOM_DNS]});
    put_over(&mut all, &Value::Object(scenario.config.clone()));
    if let Some(added) = all["endpoints"]["add"].as_array_mut() {
        added.extend(scenario.add.iter().cloned());
    }
    all
}

/// Few endpoints.
fn small(every: Duration, ipv6: bool) -> Value {
    let every = format!("{}s", every.as_secs());
    let intervals: Map<String, Value> = ["dns", "ntp", "http", "https", "sql", "monitoring"]
        .map(|class| (class.to_owned(), json!(every)))
        .into_iter()
        .collect();
    json!({
        "intervals": intervals,
        "pace": {"flows_per_destination": 600},
        "endpoints": {"remove": ["*:80", "*:443", "*:123", "*:11371"], "add": endpoints(ipv6)},
    })
}

/// The whole built-in profile at its own pace: only the slots are filled.
fn builtin() -> Value {
    let slots: Map<String, Value> = SLOTS.iter().map(|(slot, host)| ((*slot).to_owned(), json!([host]))).collect();
    json!({"slots": slots, "endpoints": {"add": []}})
}

/// Names of different owners, two ports of one host, two hosts of every port.
fn endpoints(ipv6: bool) -> Value {
    let of = |class: &str, host: &str| json!({"class": class, "host": host});
    // By address, because servers of one's own may be asked more often than every 64 seconds.
    let time = |last| {
        let address = IpAddr::from([198, 18, 123, last]);
        of("ntp", &(if ipv6 { in_v6(address) } else { address }).to_string())
    };
    let crl = |host: &str| json!({"class": "http", "host": host, "path": "/lab.crl", "expect": "crl"});
    let marker = json!({"contains": "Microsoft Connect Test"});
    json!([
        time(1),
        time(2),
        time(3),
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

/// The place of a simulated host in the benchmarking space of IPv6 (RFC 5180): its address of IPv4 stands at the end.
pub(super) fn in_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv6Addr::from(u128::from(BENCHMARK_6) | u128::from(u32::from(v4))).into(),
        IpAddr::V6(_) => address,
    }
}

/// Puts values over others: maps are joined, everything else is replaced.
pub(super) fn put_over(all: &mut Value, own: &Value) {
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

    fn scenario(keys: &str) -> Scenario {
        serde_saphyr::from_str(&format!("what: x\nrow: 17\nexpect: silent\n{keys}")).expect(keys)
    }

    #[test]
    fn own_keys_replace_and_join() {
        let own =
            scenario("config: {intervals: {dns: 9s}, vantage: elsewhere}\nadd: [{class: ntp, host: time.example}]");
        let all = configuration(&own, 1, EVERY);
        assert_eq!((&all["intervals"]["dns"], &all["intervals"]["sql"]), (&json!("9s"), &json!("8s")));
        assert_eq!(all["vantage"], "elsewhere");
        let added = all["endpoints"]["add"].as_array().expect("a list");
        assert_eq!((added.len(), &added[added.len() - 1]["host"]), (14, &json!("time.example")));
    }

    #[test]
    fn time_servers_are_of_the_family_of_the_world() {
        let hosts = |keys: &str| {
            let all = configuration(&scenario(keys), 1, EVERY);
            let added = all["endpoints"]["add"].as_array().expect("a list").clone();
            added.iter().filter(|one| one["class"] == "ntp").map(|one| one["host"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(hosts("ipv6: false"), ["198.18.123.1", "198.18.123.2", "198.18.123.3"]);
        assert_eq!(hosts("ipv6: true"), ["2001:2::c612:7b01", "2001:2::c612:7b02", "2001:2::c612:7b03"]);
    }

    #[test]
    fn the_built_in_profile_keeps_its_endpoints_and_its_pace() {
        let all = configuration(&scenario("world: builtin"), 1, EVERY);
        assert!(all["intervals"].is_null() && all["endpoints"]["remove"].is_null() && all["pace"].is_null(), "{all}");
        assert_eq!(all["slots"].as_object().map(Map::len), Some(SLOTS.len()));
    }
}
