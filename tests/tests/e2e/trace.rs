//! `trace` over six routers, without privileges and in both families: the balancing one, the silent one, the proxy, the
//! narrow link, and where packets end; and what Debian's own tools see of the same way.

use std::process::Output;

use ase_probes::clock;
use serde_json::Value;

use crate::{
    process::require,
    routers::{OPEN, PROXIED, Routers, TARGETS, Who},
};

/// Traces and reads the document, which fits its schema.
fn trace(routers: &Routers, words: &[&str]) -> (Option<i32>, Value) {
    let output = routers.run_agent(&[&["trace", "--output", "json"], words].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{notes}"));
    let schema: Value = serde_json::from_str(include_str!("../../../docs/trace.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    (output.status.code(), document)
}

/// The routers and answers at a hop over all flows of a method, each once, in order.
fn at_hop(document: &Value, method: &str, hop: u64) -> Vec<String> {
    let walks = document["walks"].as_array().expect("walks").iter().filter(|walk| walk["method"] == method);
    let hops = walks.flat_map(|walk| walk["hops"].as_array().expect("hops"));
    let words = hops.filter(|step| step["hop"] == hop).map(|step| match step["from"].as_str() {
        Some(router) => router.to_owned(),
        None => step["answer"].as_str().unwrap_or_default().to_owned(),
    });
    let mut words: Vec<_> = words.collect();
    words.sort();
    words.dedup();
    words
}

/// The sentences, odd ones with a mark before them.
fn remarks(document: &Value) -> Vec<String> {
    let all = document["remarks"].as_array().expect("remarks").iter();
    let mark = |remark: &Value| if remark["odd"] == true { "! " } else { "" };
    all.map(|remark| format!("{}{}", mark(remark), remark["text"].as_str().unwrap_or_default())).collect()
}

/// The end of a link, in the family of the target.
fn end(target: &str, number: u8, host: u8) -> String {
    if target.contains(':') { format!("fd09:{number}::{host}") } else { format!("10.9.{number}.{host}") }
}

#[test]
fn every_hop_of_both_families_is_found_and_what_is_special_about_it() {
    let Some(routers) = Routers::new() else { return };
    for target in TARGETS {
        let (code, document) = trace(&routers, &[target, "443", "--flows", "16", "--established"]);
        assert_eq!((code, &document["status"]), (Some(0), &"accepted".into()), "{document:#}");
        let end = |number, host| end(target, number, host);
        // A router says who it is by the address from which it answers; in IPv6 that is the one at which the packet came in.
        let fourth = if target.contains(':') { vec![end(5, 2), end(6, 2)] } else { vec![end(5, 2)] };
        let balanced = if target.contains(':') { "hops 3, 4 are" } else { "hop 3 is" };
        for (hop, expected) in [
            (1, vec![end(1, 2)]),
            (2, vec![end(2, 2)]),
            (3, vec![end(3, 2), end(4, 2)]),
            (4, fourth.clone()),
            (5, vec!["silent".to_owned()]),
            (6, vec!["open".to_owned()]),
        ] {
            assert_eq!(at_hop(&document, "tcp", hop), expected, "hop {hop}: {document:#}");
        }
        assert_eq!(at_hop(&document, "udp", 6), ["refused"], "{document:#}");
        let mtu = &document["mtu"];
        assert_eq!((&mtu["device_bytes"], &mtu["passes_bytes"]), (&1500.into(), &1400.into()), "{mtu:#}");
        assert!(fourth.iter().any(|router| mtu["narrows"][0]["router"] == **router), "{mtu:#}");
        assert_eq!(mtu["up_to_hop"], 6, "{mtu:#}");
        let signs: Vec<_> =
            document["established"].as_array().expect("a list").iter().map(|one| &one["sign"]).collect();
        assert_eq!(signs, ["icmp", "icmp", "icmp", "icmp", "silent", "acknowledged"], "{document:#}");
        let remarks = remarks(&document);
        for words in [
            &*format!("{balanced} balanced over 2 ways, flow by flow"),
            "hop 5 is passed, but nobody there sends ICMP",
            "tcp is answered at hop 6",
            "udp is answered at hop 6",
            "packets of an established connection are acknowledged at hop 6",
            "packets of 1400 bytes pass to hop 6",
        ] {
            assert!(remarks.iter().any(|remark| remark == words), "no ({words}) in {remarks:#?}");
        }
    }
}

#[test]
fn a_flow_keeps_to_one_of_the_ways() {
    let Some(routers) = Routers::new() else { return };
    let (_, document) = trace(&routers, &[TARGETS[0], "--flows", "16"]);
    let walks = document["walks"].as_array().expect("walks");
    let port = walks[0]["source_port"].as_u64().expect("a port");
    assert!(walks.iter().all(|walk| walk["hops"].as_array().is_some_and(|hops| hops.len() == 6)), "{document:#}");
    let ports: std::collections::BTreeSet<_> = walks.iter().filter_map(|walk| walk["source_port"].as_u64()).collect();
    assert!(ports.len() == 17 && ports.contains(&port), "each flow has a port of its own: {ports:?}");
}

#[test]
fn a_transparent_proxy_is_told_from_the_target() {
    let Some(routers) = Routers::new() else { return };
    let port = PROXIED.to_string();
    for target in TARGETS {
        let (code, document) = trace(&routers, &[target, &port, "--established"]);
        assert_eq!(code, Some(2), "{document:#}");
        assert_eq!(at_hop(&document, "tcp", 2), ["open"], "{document:#}");
        let router = end(target, 2, 2);
        let odd = format!(
            "! whoever answers TCP at hop 2, where {router} stands, is hardly the target: UDP travels on to hop 6"
        );
        let remarks = remarks(&document);
        assert!(remarks.contains(&odd), "{remarks:#?}");
        assert!(remarks.iter().any(|line| line.ends_with("connection are acknowledged at hop 2")), "{remarks:#?}");
    }
}

#[test]
fn where_packets_end_is_said_whether_somebody_says_so_or_not() {
    let Some(routers) = Routers::new() else { return };
    routers.cut(OPEN, "drop");
    let (code, document) = trace(&routers, &[TARGETS[0], "443"]);
    assert_eq!((code, &document["cause"]), (Some(1), &"dropped".into()), "{document:#}");
    // Its hop limit ends at the fourth router before the rule sees a packet.
    let odd = "! tcp is heard of no more behind hop 4 (10.9.5.2)".to_owned();
    assert!(remarks(&document).contains(&odd), "{:#?}", remarks(&document));

    let Some(routers) = Routers::new() else { return };
    routers.cut(OPEN, "reject with icmpx admin-prohibited");
    let (code, document) = trace(&routers, &[TARGETS[0], "443"]);
    assert_eq!((code, &document["status"]), (Some(1), &"failed".into()), "{document:#}");
    let rejected = "! tcp is rejected at hop 5: ICMP type 3 code 13 from 10.9.5.2".to_owned();
    assert!(remarks(&document).contains(&rejected), "{:#?}", remarks(&document));
}

#[test]
fn large_packets_that_vanish_without_a_word_are_measured() {
    let Some(routers) = Routers::new() else { return };
    routers.swallow();
    let (code, document) = trace(&routers, &[TARGETS[0], "443", "--flows", "1"]);
    assert_eq!(code, Some(2), "{document:#}");
    let vanishes = &document["mtu"]["vanishes"];
    assert_eq!(vanishes["before_hop"], 4, "{document:#}");
    let sizes = (vanishes["passes_bytes"].as_u64(), vanishes["lost_bytes"].as_u64());
    let (Some(passes), Some(lost)) = sizes else { panic!("two sizes: {document:#}") };
    assert!(passes <= 1300 && lost > 1300 && lost - passes <= 8, "{passes} {lost}");
}

#[test]
fn what_changed_since_an_earlier_trace_is_said() {
    let Some(routers) = Routers::new() else { return };
    let (_, before) = trace(&routers, &[TARGETS[0], "443", "--flows", "8"]);
    let file = routers.file("before.json", &before.to_string());
    let (_, same) = trace(&routers, &[TARGETS[0], "443", "--flows", "8", "--baseline", &file]);
    assert_eq!(same["changes"], serde_json::json!([]), "{same:#}");
    routers.cut(OPEN, "drop");
    let (code, now) = trace(&routers, &[TARGETS[0], "443", "--flows", "8", "--baseline", &file]);
    let changes = now["changes"].to_string();
    assert_eq!(code, Some(1));
    assert!(changes.contains("tcp is answered nowhere, before at hop 6"), "{changes}");
    let output = routers.run_agent(&["trace", TARGETS[0], "80", "--baseline", &file]);
    assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is about \"20.9.0.9:443\", not about 20.9.0.9:80"));
    routers.unbalance();
    let (_, one) = trace(&routers, &[TARGETS[0], "443", "--flows", "8"]);
    assert_eq!(at_hop(&one, "tcp", 3), ["10.9.4.2"], "{one:#}");
}

#[test]
fn the_table_fits_a_terminal_and_names_every_hop() {
    let Some(routers) = Routers::new() else { return };
    for target in TARGETS {
        let output = routers.run_agent(&["trace", target, "--flows", "2"]);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        for hop in 1..=6 {
            assert!(text.lines().any(|line| line.starts_with(&format!("{hop:>4}  "))), "no hop {hop} in {text}");
        }
        assert!(text.contains(&format!("accepts as {target}")), "{text}");
        assert!(output.stderr.is_empty() && !text.contains('\u{1b}'), "nothing moves in a pipe: {text}");
        let rows = text.split("\n\n").nth(1).unwrap_or_default();
        let longest = rows.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 80), "{text}");
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Whether a tool's line is about this hop: it begins with its number.
fn is_about(line: &str, hop: u64) -> bool {
    let number: String = line.trim_start().chars().take_while(char::is_ascii_digit).collect();
    number.parse() == Ok(hop)
}

#[test]
fn debians_tools_see_the_same_routers() {
    let tools = [("traceroute", "traceroute"), ("tracepath", "iputils-tracepath"), ("mtr", "mtr-tiny")];
    if !tools.into_iter().all(|(tool, package)| require(tool, package)) {
        return;
    }
    let Some(routers) = Routers::new() else { return };
    for target in TARGETS {
        let start = clock::now();
        let (_, document) = trace(&routers, &[target, "443", "--flows", "16"]);
        println!("{target}: ase-agent trace, 16 flows of TCP and 1 of UDP: {:?}", start.elapsed());
        for (who, words) in [
            (Who::Nobody, &["traceroute", "-n", "-w", "1", "-q", "1"][..]),
            (Who::Nobody, &["tracepath", "-n", "-m", "8"]),
            (Who::Root, &["traceroute", "-n", "-w", "1", "-q", "1", "-T", "-p", "443"]),
            (Who::Root, &["mtr", "-n", "-r", "-c", "1", "-T", "-P", "443"]),
        ] {
            let start = clock::now();
            let text = printed(&routers.run_as(who, words[0], &[&words[1..], &[target]].concat()));
            println!("{target}: {} as {who:?}: {:?}\n{text}", words.join(" "), start.elapsed());
            for hop in [1, 2, 3, 4] {
                let known = at_hop(&document, "tcp", hop);
                let words: Vec<_> =
                    text.lines().filter(|line| is_about(line, hop)).flat_map(str::split_whitespace).collect();
                let is_known = words.iter().any(|word| known.iter().any(|router| router == word));
                assert!(is_known, "hop {hop}, {known:?}: {text}");
            }
            assert_eq!(text.contains("pmtu 1400"), words[0] == "tracepath", "{text}");
        }
    }
}
