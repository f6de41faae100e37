//! DNS as real servers speak it: what they refuse, cut, spoil, explain and lead in a circle, and resolver files as people
//! leave them.

use serde_json::json;

use super::{
    message::{Question, Reply, labels, record},
    world::{CUSTOM_DNS, World},
};

/// The web endpoint of most cases.
const WEB: &str = "{host: web.example, class: http}";
/// A page that proves the endpoint.
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The two codes that say yes without an address and no.
const NXDOMAIN: u16 = 3;

/// A world in which web.example is at 20.1.1.1, by Azure DNS, and by this custom DNS.
fn world(custom: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Option<World> {
    let world = World::new()?;
    world.two_dns(custom, honest);
    world.http("20.1.1.1", 80, |_| PAGE.to_vec());
    Some(world)
}

/// The right answer, byte by byte.
fn good(asked: &Question) -> Reply {
    let reply = Reply::to(asked);
    if asked.name == "web.example" { reply.address("20.1.1.1") } else { reply.code(NXDOMAIN) }
}

fn honest(asked: &Question) -> Vec<Vec<u8>> {
    vec![good(asked).bytes()]
}

/// The name is resolved, the endpoint is well, and nobody is suspected of anything.
fn is_well(world: &World, remark: &str) {
    let said = world.agent(&["nameresolver", "web.example", CUSTOM_DNS]);
    assert!(said.code == Some(0) && said.text.contains("\t20.1.1.1\n"), "{}", said.text);
    assert!(said.text.contains(remark), "{}", said.text);
    let checked = world.check(WEB);
    checked.exits(0).shows(&json!({"status": "healthy", "cause": null}));
    checked.never_says("intercepted").never_says("protocol_violation").never_says("custom_failed");
}

#[test]
fn a_refusal_of_edns_is_followed_by_a_question_without_it() {
    // FORMERR, NOTIMP, SERVFAIL, REFUSED.
    for code in [1, 4, 2, 5] {
        let refuses = move |asked: &Question| {
            let refusal = Reply::to(asked).without_edns().code(code).bytes();
            vec![if asked.has_edns { refusal } else { good(asked).bytes() }]
        };
        let Some(world) = world(refuses) else { return };
        is_well(&world, "answered without EDNS only");
    }
}

#[test]
fn silence_to_edns_is_followed_by_a_question_without_it() {
    let deaf = |asked: &Question| if asked.has_edns { Vec::new() } else { honest(asked) };
    let Some(world) = world(deaf) else { return };
    is_well(&world, "with it no answer came");
}

#[test]
fn only_the_second_server_refuses_edns_and_the_first_is_dead() {
    let Some(world) = World::new() else { return };
    world.resolver_file(b"nameserver 10.0.0.4\nnameserver 10.0.0.5\n");
    world.dns("10.0.0.5", |asked| vec![if asked.has_edns { Reply::to(asked).code(1) } else { good(asked) }.bytes()]);
    world.dns("168.63.129.16", honest);
    world.http("20.1.1.1", 80, |_| PAGE.to_vec());
    let checked = world.check_with(WEB, "resolvers: {custom: [10.0.0.4, 10.0.0.5]}");
    checked.shows(&json!({"status": "healthy"})).never_says("intercepted");
    let said = world.agent(&["nameresolver", "web.example"]);
    assert!(said.code == Some(0) && said.text.contains("Server: 10.0.0.5"), "{}", said.text);
}

#[test]
fn an_answer_cut_in_the_midst_of_a_record_with_tc_is_asked_for_over_tcp() {
    let cuts = |asked: &Question| {
        let mut whole = good(asked).bytes();
        if !asked.over_tcp {
            whole[2] |= 2;
            whole.truncate(whole.len() - 14);
        }
        vec![whole]
    };
    let Some(world) = world(cuts) else { return };
    is_well(&world, "20.1.1.1");
}

#[test]
fn tc_over_tcp_without_a_record_is_no_answer_and_not_a_name_without_addresses() {
    let cuts = |asked: &Question| {
        let mut reply = Reply::to(asked);
        reply.flags |= 0x0200;
        vec![reply.bytes()]
    };
    let Some(world) = world(cuts) else { return };
    let checked = world.check(WEB);
    checked.exits(1).shows(&json!({"status": "failed", "cause": "protocol_violation", "confidence": "likely"}));
    checked.never_says("intercepted").never_says("nodata");
}

#[test]
fn a_count_of_an_option_record_that_is_not_there_spoils_nothing() {
    let counts = |asked: &Question| {
        let mut bytes = good(asked).without_edns().bytes();
        bytes[11] = u8::from(asked.has_edns);
        vec![bytes]
    };
    let Some(world) = world(counts) else { return };
    is_well(&world, "its additional section cannot be read");
}

#[test]
fn two_option_records_spoil_nothing() {
    let doubles = |asked: &Question| {
        let mut reply = good(asked);
        reply.additional.extend(reply.additional.clone());
        vec![reply.bytes()]
    };
    let Some(world) = world(doubles) else { return };
    is_well(&world, "more than one OPT record");
}

#[test]
fn a_datagram_cut_at_512_bytes_without_tc_is_named_as_such() {
    let device = |asked: &Question| {
        let mut reply = Reply::to(asked);
        for last in 1..40 {
            reply = reply.address(&format!("20.1.1.{last}"));
        }
        let mut whole = reply.bytes();
        if !asked.over_tcp {
            whole.truncate(512);
        }
        vec![whole]
    };
    let Some(world) = world(device) else { return };
    let checked = world.check(WEB);
    checked.exits(1).shows(&json!({"cause": "protocol_violation", "side": "path", "confidence": "likely"}));
    checked.says("after 512 bytes without TC").says("over TCP the same server's answer is whole");
    checked.never_says("intercepted").never_says("redirects port 53");
    let compared = world.agent(&["nameresolver", "--compare", "web.example"]);
    assert!(compared.text.contains("custom_failed") && compared.text.contains("over TCP"), "{}", compared.text);
    let app = world.agent(&["nameresolver", "web.example", CUSTOM_DNS]);
    assert!(app.code == Some(1) && app.text.contains("512 bytes"), "an app gets nothing either: {}", app.text);
}

#[test]
fn an_extended_error_is_shown_and_escaped() {
    let explains = |asked: &Question| {
        let text = b"no \x1b[31mauthority";
        let length = u8::try_from(text.len() + 2).expect("short");
        let option = [&[0, 15, 0, length, 0, 22][..], text].concat();
        let mut reply = Reply::to(asked).without_edns().code(2);
        if asked.has_edns {
            reply.additional.push(record(&[0], 41, 0, &option));
        }
        vec![reply.bytes()]
    };
    let Some(world) = world(explains) else { return };
    let words = "No Reachable Authority (22): \"no \\u{1b}[31mauthority\"";
    let checked = world.check(WEB);
    checked.exits(1).shows(&json!({"cause": "dns_servfail", "confidence": "confirmed"})).says(words);
    for arguments in [&["nameresolver", "web.example", CUSTOM_DNS][..], &["nameresolver", "--compare", "web.example"]] {
        let said = world.agent(arguments);
        assert!(said.text.contains(words) && !said.text.contains('\u{1b}'), "{}", said.text);
    }
}

#[test]
fn aliases_in_a_circle_are_the_zones_fault_and_are_shown() {
    let circle = |asked: &Question| {
        let reply = Reply::to(asked);
        vec![
            if asked.name == "web.example" {
                reply.with(5, &labels("b.example")).with_named(&labels("b.example"), 5, &labels("web.example"))
            } else {
                reply.code(NXDOMAIN)
            }
            .bytes(),
        ]
    };
    let Some(world) = world(circle) else { return };
    let checked = world.check(WEB);
    checked.exits(1).shows(&json!({"cause": "dns_nodata", "side": "remote", "confidence": "confirmed"}));
    checked.says("the aliases lead in a circle: b.example -> web.example");
    checked.never_says("intercepted").never_says("protocol_violation");
    let said = world.report(WEB);
    assert!(said.text.contains("DNS team"), "{}", said.text);
}

#[test]
fn a_long_chain_that_ends_at_an_address_is_followed_as_applications_do() {
    let chain = |asked: &Question| {
        if asked.name != "web.example" {
            return honest(asked);
        }
        let name = |n: u32| if n == 0 { labels("web.example") } else { labels(&format!("n{n}.example")) };
        let links = (0..20).fold(Reply::to(asked), |reply, n| reply.with_named(&name(n), 5, &name(n + 1)));
        let end = if asked.kind == 1 { links.with_named(&name(20), 1, &[20, 1, 1, 1]) } else { links };
        vec![end.bytes()]
    };
    let Some(world) = world(chain) else { return };
    is_well(&world, "20 aliases are more than some resolvers follow");
}

#[test]
fn strays_are_counted_and_waited_past_in_any_number() {
    let strays = |asked: &Question| {
        let mut foreign = good(asked).bytes();
        foreign[0] ^= 0xff;
        let count = if asked.over_tcp { 0 } else { 150 };
        [vec![foreign; count], honest(asked)].concat()
    };
    let Some(world) = world(strays) else { return };
    is_well(&world, "20.1.1.1");
}

/// The zone of an environment behind an internal load balancer, as its documentation sets it up: `*` and `@` lead to the
/// load balancer, and the public DNS knows nothing of it.
fn wildcard(asked: &Question, authoritative: bool) -> Vec<Vec<u8>> {
    const ZONE: &str = "contoso.appserviceenvironment.net";
    let mut reply = Reply::to(asked);
    if !asked.name.ends_with(ZONE) {
        return vec![reply.code(NXDOMAIN).bytes()];
    }
    let start = [labels("ns.example"), labels("admin.example"), vec![0; 20]].concat();
    if asked.kind == 1 {
        reply = reply.address("10.0.0.20");
    } else {
        reply.authority.push(record(&labels(ZONE), 6, 60, &start));
    }
    if authoritative {
        reply.flags |= 0x0400;
    }
    vec![reply.bytes()]
}

#[test]
fn the_wildcard_of_an_internal_environment_is_private_only_and_no_invention() {
    const APP: &str = "myapp.contoso.appserviceenvironment.net";
    for authoritative in [true, false] {
        let Some(world) = World::new() else { return };
        let nobody = |asked: &Question| vec![Reply::to(asked).code(NXDOMAIN).bytes()];
        world.two_dns(move |asked| wildcard(asked, authoritative), nobody);
        world.http("10.0.0.20", 80, |_| PAGE.to_vec());
        let compared = world.agent(&["nameresolver", "--compare", APP]);
        assert!(compared.code == Some(2) && compared.text.contains("private_only"), "{}", compared.text);
        let well = world.check(&format!("{{host: {APP}, class: http}}"));
        well.shows(&json!({"status": "healthy"})).never_says("intercepted").never_says("rewrite");
        let dead = world.check(&format!("{{host: {APP}, class: tcp, port: 8172}}"));
        dead.exits(1).shows(&json!({"cause": "refused"})).never_says("intercepted").never_says("invents");
    }
}

#[test]
fn a_server_that_rewrites_what_does_not_exist_is_named_and_no_success() {
    let rewrites = |asked: &Question| vec![Reply::to(asked).address("20.1.1.1").bytes()];
    let Some(world) = world(rewrites) else { return };
    let checked = world.check(WEB);
    checked.exits(2).says("the DNS server 10.0.0.4 invents addresses for names that do not exist");
    checked.never_says("all well");
}

#[test]
fn who_is_merely_faster_than_an_honest_server_is_on_the_path() {
    let raced = |asked: &Question| {
        let forged = Reply::to(asked).address("20.1.1.1").bytes();
        if asked.over_tcp { honest(asked) } else { [vec![forged], honest(asked)].concat() }
    };
    let Some(world) = world(raced) else { return };
    let checked = world.check(WEB);
    checked.exits(2).says("somebody on the path answers before the DNS server 10.0.0.4");
    checked.never_says("invents");
}

#[test]
fn a_server_that_only_leads_to_others_is_passed_over_and_named() {
    let leads = |asked: &Question| {
        let mut reply = Reply::to(asked);
        reply.flags &= !0x0080;
        reply.authority.push(record(&[0], 2, 60, &labels("a.root.example")));
        vec![reply.bytes()]
    };
    let Some(world) = World::new() else { return };
    world.dns(CUSTOM_DNS, leads);
    world.dns("10.0.0.5", honest);
    world.dns("168.63.129.16", honest);
    world.http("20.1.1.1", 80, |_| PAGE.to_vec());
    let both = world.check_with(WEB, "resolvers: {custom: [10.0.0.4, 10.0.0.5]}");
    both.exits(2).shows(&json!({"status": "healthy"})).says("the DNS server 10.0.0.4 does not resolve names");
    let alone = world.check(WEB);
    alone.exits(1).shows(&json!({"cause": "dns_refused"})).says("does not recurse").never_says("nodata");
}

#[test]
fn a_resolver_file_is_bytes_and_is_read_as_the_c_library_reads_it() {
    let at = |address: &'static str| {
        move |asked: &Question| {
            vec![if asked.name == "db.example" { Reply::to(asked).address(address) } else { good(asked) }.bytes()]
        }
    };
    let rows: [(&[u8], &str, &str); 5] = [
        (b"# g\xe9r\xe9 par le r\xe9seau\nnameserver 10.0.0.4\n", "20.1.1.2", ""),
        (b"nameserver 10.0.0.4\r\nsearch corp.example\r\n", "20.1.1.2", "line 1 ends in CR LF"),
        (b"\xef\xbb\xbfnameserver 10.0.0.4\n", "20.1.1.2", "byte order mark"),
        (b"  nameserver 10.0.0.4\nnameserver 10.0.0.5\n", "20.1.1.3", "line 1 is indented"),
        (b"nameserver 10.0.0.4 # the first\xff\n", "20.1.1.2", ""),
    ];
    for (file, address, finding) in rows {
        let Some(world) = World::new() else { return };
        world.resolver_file(file);
        world.two_dns(at("20.1.1.2"), at("20.1.1.2"));
        world.dns("10.0.0.5", at("20.1.1.3"));
        let said = world.agent(&["nameresolver", "db.example"]);
        assert!(said.text.contains(address), "{}", said.text);
        world.http(address, 80, |_| PAGE.to_vec());
        let checked = world.check_with("{host: db.example, class: http}", "# resolvers: of the host");
        let findings = checked.document["dns"]["host"]["findings"].to_string();
        assert!(if finding.is_empty() { findings == "[]" } else { findings.contains(finding) }, "{findings}");
        checked.shows(&json!({"status": "healthy"}));
    }
}

#[test]
fn a_host_without_any_name_server_is_not_well() {
    let Some(world) = World::new() else { return };
    world.resolver_file(b"# nothing yet\nsearch corp.example\n");
    world.two_dns(honest, honest);
    world.http("20.1.1.1", 80, |_| PAGE.to_vec());
    let checked = world.check_with(WEB, "# resolvers: of the host");
    checked.exits(2).says("this host names no DNS server").never_says("all well");
}

#[test]
fn a_privatelink_zone_without_the_record_is_named_as_such() {
    const NAME: &str = "lab.database.windows.net";
    const ALIAS: &str = "lab.privatelink.database.windows.net";
    let Some(world) = World::new() else { return };
    let custom = |asked: &Question| {
        let start = [labels("ns.example"), labels("admin.example"), vec![0; 20]].concat();
        let mut reply = Reply::to(asked).code(NXDOMAIN);
        if asked.name == NAME {
            reply = reply.with(5, &labels(ALIAS));
            reply.authority.push(record(&labels("privatelink.database.windows.net"), 6, 60, &start));
        }
        vec![reply.bytes()]
    };
    let azure = |asked: &Question| {
        let reply = Reply::to(asked);
        vec![
            match (asked.name.as_str(), asked.kind) {
                (NAME, 1) => reply.with(5, &labels(ALIAS)).with_named(&labels(ALIAS), 1, &[20, 1, 1, 1]),
                (NAME, _) => reply,
                _ => reply.code(NXDOMAIN),
            }
            .bytes(),
        ]
    };
    world.two_dns(custom, azure);
    let checked = world.check(&format!("{{host: {NAME}, class: tcp, port: 1433}}"));
    checked.exits(1).shows(&json!({"cause": "dns_nxdomain", "confidence": "confirmed"}));
    checked.says("private_zone_gap").says("hosts the privatelink zone without this record").never_says("shadow");
}

#[test]
fn only_ipv6_is_told_by_a_server_that_refuses_edns_and_is_asked_over_tcp() {
    let Some(world) = World::new() else { return };
    let six = |asked: &Question| {
        let mut reply = Reply::to(asked);
        if asked.has_edns {
            return vec![reply.without_edns().code(4).bytes()];
        }
        if asked.over_tcp {
            return vec![reply.address("fd00::20").bytes()];
        }
        reply.flags |= 0x0200;
        vec![reply.bytes()]
    };
    world.two_dns(six, six);
    world.http("fd00::20", 80, |_| PAGE.to_vec());
    let checked = world.check(WEB);
    checked.shows(&json!({"status": "healthy"})).never_says("intercepted").never_says("dns_no_tcp");
}
