//! Groups, and what must and must not be said of each.

use serde_json::{Value, json};

use super::{Deployment, Question, judge};
use crate::lint::{
    finding::{Kind, Report, Severity, Verdict},
    read::Export,
    requirements::{Peer, Profile, Requirement},
};

pub(super) const SUBNET: &str = "10.20.1.0/24";
pub(super) const VNET: &str = "10.20.0.0/16";

/// A rule in one line: `100 in allow tcp AppServiceManagement>* 454-455 name`.
pub(super) fn rule(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [priority, direction, access, protocol, ends, ports, name] = words.as_slice() else { panic!("{line}") };
    let (source, destination) = ends.split_once('>').expect("source>destination");
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    json!({
        "name": name, "priority": priority.parse::<u32>().expect("a priority"), "access": access, "protocol": protocol,
        "direction": format!("{direction}bound"), "sourceAddressPrefixes": list(source), "sourcePortRange": "*",
        "destinationAddressPrefixes": list(destination), "destinationPortRanges": list(ports),
    })
}

pub(super) fn group(lines: &[&str]) -> Value {
    json!({"name": "nsg-ase", "securityRules": lines.iter().map(|line| rule(line)).collect::<Vec<_>>()})
}

pub(super) fn question(profile: &str) -> Question {
    Question {
        profile: Profile::named(profile).expect("a profile"),
        cloud: "public".to_owned(),
        subnet: vec![SUBNET.parse().expect("a prefix")],
        vnet: vec![VNET.parse().expect("a prefix")],
        service_endpoints: None,
        deployment: Some(Deployment::Ilb),
        app_ports: Vec::new(),
        group: None,
        table: None,
        needs: Vec::new(),
        suppress: Vec::new(),
    }
}

pub(super) fn judged(question: &Question, values: &[Value]) -> Report {
    let mut export = Export::default();
    for value in values {
        export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    }
    judge(question, &export)
}

/// The ids of what is above information, each with its rule: `blocked.out-http@deny`.
pub(super) fn worries(report: &Report) -> Vec<String> {
    let above = report.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let mut ids: Vec<String> =
        above.map(|finding| format!("{}@{}", finding.id(), finding.rule.as_deref().unwrap_or_default())).collect();
    ids.sort();
    ids
}

pub(super) fn of(profile: &str, lines: &[&str]) -> Vec<String> {
    worries(&judged(&question(profile), &[group(lines)]))
}

/// What every v2 group below has, so that each differs in one thing.
pub(super) const BASE: [&str; 3] = [
    "100 In allow tcp AppServiceManagement>* 454-455 management",
    "110 In allow tcp AzureLoadBalancer>* 16001 keep-alive",
    "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra",
];

pub(super) fn base_and(lines: &[&str]) -> Vec<String> {
    of("ase-v2", &[BASE.as_slice(), lines].concat())
}

#[test]
fn what_is_fine_is_fine() {
    let nothing: [String; 0] = [];
    let deny = "4000 Out deny * *>* * deny-all";
    let outbound = [
        "100 Out allow udp *>* 53 dns",
        "110 Out allow udp *>* 123 ntp",
        "120 Out allow tcp *>* 80,443,12000 web",
        "130 Out allow tcp *>Sql 1433 sql",
        "140 Out allow * 10.20.1.0/24>10.20.1.0/24 * intra-out",
    ];
    assert_eq!(base_and(&[]), nothing, "defaults hold the rest");
    assert_eq!(base_and(&[outbound.as_slice(), &[deny]].concat()), nothing, "everything is allowed by name");
    assert_eq!(
        base_and(&["4000 In deny * Internet>* * deny-internet"]),
        nothing,
        "the load balancer is not in Internet"
    );
    assert_eq!(
        base_and(&[
            "4000 In deny tcp *>* * deny-tcp",
            "130 In allow * AzureLoadBalancer>* * lb",
            "140 In allow tcp *>* 80,443 web"
        ]),
        nothing
    );
    assert_eq!(
        base_and(&["200 Out deny * *>192.0.2.0/24,198.51.100.7/32 * unwanted"]),
        nothing,
        "a few unwanted peers are no hole"
    );
    assert_eq!(
        base_and(&["200 Out allow tcp *>13.0.0.0/8 443 some", "300 Out allow tcp *>AzureCloud 443 azure"]),
        nothing
    );
    assert_eq!(base_and(&["200 In deny * 192.0.2.0/24>* * unwanted-clients"]), nothing);
    assert_eq!(base_and(&["200 Out deny tcp *>Internet 25 no-mail"]), nothing);
    assert_eq!(of("ase-v3", &[]), nothing);
    assert_eq!(
        of(
            "ase-v3",
            &[
                "100 In allow tcp AzureLoadBalancer>10.20.1.0/24 80 lb",
                "110 In allow tcp VirtualNetwork>10.20.1.0/24 80,443 web",
                "4096 In deny * *>* * deny-all"
            ]
        ),
        nothing
    );
    assert_eq!(of("vnet-integration", &["100 In deny * *>* * deny-all"]), nothing);
    assert_eq!(
        of(
            "container-apps",
            &[
                "100 In allow tcp VirtualNetwork>10.20.1.0/24 443,31443,80,31080 web",
                "110 In allow tcp AzureLoadBalancer>* 30000-32767 lb",
                "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra",
                "4000 In deny * *>* * no"
            ]
        ),
        nothing
    );
    assert_eq!(of("apim-v2", &[]), nothing);
    assert_eq!(of("custom", &["4000 Out deny * *>* * deny-all"]), nothing);
}

#[test]
fn what_is_lost_names_the_requirement_and_the_rule() {
    let cases: [(&[&str], &[&str]); 18] = [
        (&["200 Out deny tcp *>Internet 443 no-web"], &["blocked.out-https@no-web"]),
        (&["200 Out deny udp *>* 53 no-dns"], &["blocked.out-dns@no-dns", "partly_blocked.out-intra-subnet@no-dns"]),
        (&["200 Out deny udp *>Internet 53 no-dns"], &["partly_blocked.out-dns@no-dns"]),
        (&["200 Out deny * *>Internet 123 no-time"], &["blocked.out-ntp@no-time"]),
        (&["200 Out deny * *>Sql * no-sql"], &["blocked.out-sql@no-sql"]),
        (&["200 Out deny tcp *>Storage,PowerBI * no-storage"], &["partly_blocked.out-https@no-storage"]),
        (&["200 Out deny tcp *>Internet 12000 no-monitoring"], &["blocked.out-monitoring@no-monitoring"]),
        (
            &["200 Out allow tcp *>AzureCloud 443 azure", "300 Out deny tcp *>Internet 443 rest"],
            &["partly_blocked.out-https@rest"],
        ),
        (
            &["200 Out allow udp *>203.0.113.0/24 123 time", "300 Out deny udp *>Internet 123 rest"],
            &["partly_blocked.out-ntp@rest"],
        ),
        (
            &["200 Out allow tcp *>Sql.westeurope 1433 near", "300 Out deny tcp *>Internet 1433 rest"],
            &["partly_blocked.out-sql@rest"],
        ),
        (
            &["200 Out deny * *>AzureCloud * no-azure"],
            &["blocked.out-sql@no-azure", "partly_blocked.out-https@no-azure"],
        ),
        (
            &["200 Out deny * *>VirtualNetwork * apart"],
            &["blocked.out-intra-subnet@apart", "partly_blocked.out-dns@apart"],
        ),
        (&["200 Out deny udp *>10.20.1.0/24 * no-udp"], &["partly_blocked.out-intra-subnet@no-udp"]),
        (&["200 Out deny tcp *>AzurePlatformDNS * no-platform-dns"], &["platform_tag_denied@no-platform-dns"]),
        (&["200 Out deny * *>AzurePlatformLKM * no-kms"], &["platform_tag_denied@no-kms"]),
        (
            &["4000 In deny * *>* * all"],
            &[
                "app_port_closed.app-https@all",
                "app_port_closed.app-http@all",
                "blocked.in-lb-454-455@all",
                "lb_cut@all",
            ],
        ),
        (
            &["130 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"],
            &["blocked.in-lb-454-455@all", "lb_cut@all"],
        ),
        (
            &[
                "130 In allow tcp *>* 80,443 web",
                "140 In allow * AzureLoadBalancer>* 454-455 lb",
                "4000 In deny * *>* * all",
            ],
            &[],
        ),
    ];
    for (lines, expected) in cases {
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        expected.sort();
        assert_eq!(base_and(lines), expected, "{lines:?}");
    }
}

#[test]
fn the_platform_must_come_in() {
    let without_management = &BASE[1..];
    assert_eq!(of("ase-v2", without_management), ["blocked.in-management@DenyAllInBound"]);
    let denied = [
        "100 In deny * AppServiceManagement>* * away",
        "101 In allow tcp AppServiceManagement>* 454-455 management",
        BASE[1],
        BASE[2],
    ];
    assert_eq!(of("ase-v2", &denied), ["blocked.in-management@away", "shadowed@management"]);
    let slip = [&["100 In allow tcp AppServiceManagement>* 444-445 management"], without_management].concat();
    assert_eq!(of("ase-v2", &slip), ["blocked.in-management@DenyAllInBound", "suspicious_port@management"]);
    let half = [&["100 In allow tcp AppServiceManagement>* 454 management"], without_management].concat();
    assert_eq!(of("ase-v2", &half), ["partly_blocked.in-management@DenyAllInBound", "suspicious_port@management"]);
    let udp = [&["100 In allow udp AppServiceManagement>* 454-455 management"], without_management].concat();
    assert_eq!(of("ase-v2", &udp), ["blocked.in-management@DenyAllInBound"]);
    let part =
        [&["100 In allow tcp AppServiceManagement>10.20.1.0/25 454-455 management"], without_management].concat();
    assert_eq!(of("ase-v2", &part), ["partly_blocked.in-management@DenyAllInBound"]);
}

#[test]
fn management_addresses_that_were_copied_are_compared_with_the_documented_ones() {
    let management = crate::lint::requirements::Management::of_cloud("public");
    let listed = |addresses: &[std::net::IpAddr]| {
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("100 In allow tcp {}>* 454-455 management", texts.join(","))
    };
    let all = listed(&management.addresses);
    assert_eq!(of("ase-v2", &[&[all.as_str()], &BASE[1..]].concat()), [""; 0], "the documented minimum");
    let most = listed(&management.addresses[..60]);
    let found = of("ase-v2", &[&[most.as_str()], &BASE[1..]].concat());
    assert_eq!(found, ["copied_addresses@management", "partly_blocked.in-management@DenyAllInBound"]);
}

#[test]
fn only_icmp_missing_within_the_subnet_is_a_warning() {
    let lines = [
        "100 In allow tcp AppServiceManagement>* 454-455 m",
        "110 In allow * AzureLoadBalancer>* * lb",
        "120 In allow tcp 10.20.1.0/24>10.20.1.0/24 * t",
        "121 In allow udp 10.20.1.0/24>10.20.1.0/24 * u",
        "125 In allow tcp *>* 80,443 w",
        "4000 In deny * *>* * all",
    ];
    let report = judged(&question("ase-v2"), &[group(&lines)]);
    let finding = &report.findings[0];
    assert_eq!((finding.id().as_str(), finding.severity), ("partly_blocked.in-intra-subnet", Severity::Warning));
    assert!(finding.message.contains("ICMP"), "{}", finding.message);
    let tcp_only: Vec<&str> = lines.iter().copied().filter(|line| !line.ends_with(" u")).collect();
    let report = judged(&question("ase-v2"), &[group(&tcp_only)]);
    assert_eq!(report.worst(), Some(Severity::Critical), "UDP is missing, too");
}

#[test]
fn a_few_ports_closed_within_the_subnet_are_a_warning() {
    let report = judged(
        &question("ase-v2"),
        &[group(
            &[
                &["100 In deny tcp *>* 22,3389 no-shell"],
                &["101 In allow tcp AppServiceManagement>* 454-455 m"],
                &BASE[1..],
            ]
            .concat(),
        )],
    );
    assert_eq!((worries(&report), report.exit_code()), (vec!["partly_blocked.in-intra-subnet@no-shell".to_owned()], 2));
}

#[test]
fn rules_that_do_nothing_are_named() {
    assert_eq!(
        base_and(&["200 Out deny * Internet>* * deny-internet"]),
        ["ineffective_rule@deny-internet"],
        "source and destination exchanged"
    );
    assert_eq!(base_and(&["200 Out allow * 10.99.0.0/24>* * copied"]), ["ineffective_rule@copied"]);
    assert_eq!(base_and(&["200 In allow * *>10.99.0.0/24 443 elsewhere"]), ["ineffective_rule@elsewhere"]);
    assert_eq!(base_and(&["200 Out allow * *>10.99.0.0/24 * to-own-subnet"]), ["ineffective_rule@to-own-subnet"]);
    assert_eq!(
        base_and(&["200 Out allow tcp *>10.99.0.7/32 3306 database"]),
        [""; 0],
        "a peer's address is no mistake"
    );
    assert_eq!(
        base_and(&["200 Out deny * *>10.0.0.0/13 3389 a", "300 Out allow tcp *>10.3.0.0/16 3389 b"]),
        ["shadowed@b"]
    );
    assert_eq!(
        base_and(&["200 Out deny tcp *>AzureCloud 8080 a", "300 Out allow tcp *>Storage.westeurope 8080 b"]),
        ["shadowed@b"],
        "by the names alone"
    );
    let partly = base_and(&["200 Out deny tcp *>Internet 8080 a", "300 Out allow tcp *>* 8080 b"]);
    assert_eq!(partly, ["shadowed_partly@b"]);
    let report = judged(
        &question("ase-v2"),
        &[group(&[BASE.as_slice(), &["200 In allow * 10.20.1.0/24>10.20.1.0/24 * again"]].concat())],
    );
    let again = report.findings.iter().find(|finding| finding.rule.as_deref() == Some("again")).expect("it is named");
    assert_eq!(
        (again.kind, again.severity, again.by.as_deref()),
        (Kind::IneffectiveRule, Severity::Info, Some("intra"))
    );
}

#[test]
fn a_priority_twice_cannot_be() {
    assert_eq!(base_and(&["100 In allow tcp *>* 80 twin"]), ["input@twin"]);
    assert_eq!(base_and(&["100 Out allow tcp *>* 80 other-direction"]), [""; 0]);
}

#[test]
fn what_belongs_elsewhere_is_information() {
    let kinds = |profile: &str, lines: &[&str]| -> Vec<Kind> {
        let report = judged(&question(profile), &[group(lines)]);
        assert_eq!(report.exit_code(), 0, "{:?}", worries(&report));
        report.findings.iter().map(|finding| finding.kind).collect()
    };
    let management = "100 In allow tcp AppServiceManagement>* 454-455 cargo";
    assert!(kinds("ase-v3", &[management]).contains(&Kind::NotNeeded));
    let integration = kinds("vnet-integration", &[management]);
    assert!(integration.contains(&Kind::NotNeeded) && integration.contains(&Kind::NoEffect));
    assert!(kinds("ase-v2", &[BASE.as_slice(), &["200 In allow tcp *>* 1433 sql"]].concat()).contains(&Kind::TooWide));
    assert!(
        kinds("ase-v2", &[BASE.as_slice(), &["200 In allow tcp *>* 4016-4022 debug"]].concat())
            .contains(&Kind::LegacyPort)
    );
    assert!(kinds("ase-v3", &["100 In allow tcp *>* 443 from-gateway"]).contains(&Kind::TooWide));
    let v3 = judged(&question("ase-v3"), &[group(&["100 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"])]);
    assert!(v3.findings.iter().any(|finding| finding.id() == "conditional.in-lb-21"));
}

#[test]
fn the_apps_own_needs_are_requirements() {
    let needs = |peer| vec![Requirement::of_endpoint("app-mysql".to_owned(), false, 3_306, peer)];
    let outbound = ["4000 Out deny tcp *>* 3306 no-mysql"];
    let asked = Question { needs: needs(Peer::Somewhere), ..question("custom") };
    assert_eq!(worries(&judged(&asked, &[group(&outbound)])), ["blocked.app-mysql@no-mysql"]);
    let partly = judged(&asked, &[group(&["4000 Out deny tcp *>Internet 3306 no-mysql"])]);
    assert_eq!(partly.worst(), Some(Severity::Info), "it may be a server in the network");
}

#[test]
fn ports_of_apps_with_an_address_of_their_own_are_judged_or_impossible() {
    let lines = [
        BASE.as_slice(),
        &["130 In allow * AzureLoadBalancer>* * lb", "140 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"],
    ]
    .concat();
    let external =
        Question { deployment: Some(Deployment::External), app_ports: vec![20_001, 20_003], ..question("ase-v2") };
    assert_eq!(worries(&judged(&external, &[group(&lines)])), ["app_port_closed.app-assigned@all"]);
    let internal = Question { app_ports: vec![20_001], ..question("ase-v2") };
    assert_eq!(worries(&judged(&internal, &[group(&lines)])), ["input.app-assigned@"]);
    let addresses = json!({"serviceIpAddress": "203.0.113.30", "vipMappings": [{"virtualIP": "203.0.113.31", "internalHttpPort": 20003, "internalHttpsPort": 20001}]});
    let external = Question { deployment: Some(Deployment::External), ..question("ase-v2") };
    assert_eq!(worries(&judged(&external, &[group(&lines), addresses])), ["app_port_closed.app-assigned@all"]);
}

#[test]
fn a_finding_can_be_set_aside_with_a_reason() {
    let suppress = vec![("blocked.out-monitoring".to_owned(), "agreed with support".to_owned())];
    let asked = Question { suppress, ..question("ase-v2") };
    let report = judged(&asked, &[group(&[BASE.as_slice(), &["200 Out deny tcp *>Internet 12000 x"]].concat())]);
    assert_eq!((report.exit_code(), report.suppressed.len()), (0, 1));
}

#[test]
fn a_packet_and_both_commands_prove_a_finding() {
    let report =
        judged(&question("ase-v2"), &[group(&[BASE.as_slice(), &["200 Out deny tcp *>Internet 443 no-web"]].concat())]);
    let finding = &report.findings[0];
    let packet = finding.packet.as_ref().expect("a packet");
    assert_eq!((packet.source.as_str(), packet.destination_port, packet.protocol.as_str()), ("10.20.1.4", 443, "TCP"));
    let fix = finding.fix.as_deref().expect("a fix");
    assert!(fix.starts_with("az network nsg rule create") && fix.contains("--priority 199"), "{fix}");
    assert!(finding.confirm.as_deref().is_some_and(|confirm| confirm.contains("test-ip-flow")));
    assert!(finding.source.as_deref().is_some_and(|source| source.contains("2023-11-20")));
}

#[test]
fn what_is_open_to_everybody_for_an_app_gives_the_load_balancer_nothing() {
    let deny = "4000 In deny * *>* * deny-all";
    let cut =
        |rule: &str| base_and(&[rule, "140 In allow tcp *>* 80,443 web", deny]).contains(&"lb_cut@deny-all".to_owned());
    assert!(cut("130 In allow tcp *>* 4016-4022 debugger"));
    assert!(cut("130 In allow tcp *>* 8080 custom"));
    assert!(!cut("130 In allow tcp *>* 1024-65535 everything"));
    assert!(!cut("130 In allow tcp *>* 454-455 probes"));
}

#[test]
fn clients_who_are_let_in_are_whoever_the_owner_wants_and_a_whole_network_is_not_a_few() {
    let deny = ["130 In allow * AzureLoadBalancer>* * lb", "4000 In deny * *>* * deny-all"];
    let with = |rules: &[&str]| base_and(&[rules, deny.as_slice()].concat());
    assert_eq!(with(&["140 In allow tcp 10.90.0.0/16>* 80,443 office"]), [""; 0]);
    assert_eq!(with(&[]), ["app_port_closed.app-http@deny-all", "app_port_closed.app-https@deny-all"]);
    let apps = of("container-apps", &["100 In allow tcp *>10.20.1.4 443 static-address", deny[0], deny[1]]);
    assert!(apps.iter().any(|id| id.ends_with("in-client-443@deny-all")), "{apps:?}");
}

#[test]
fn a_wider_tag_holds_the_documented_addresses_and_one_that_was_retired_is_missed_by_nobody() {
    let rest = ["110 In allow * AzureLoadBalancer>* * lb", "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra"];
    let managed = |sources: &str| {
        let management = format!("100 In allow tcp {sources}>* 454-455 management");
        let last = ["130 In allow tcp *>* 80,443 web", "4000 In deny * *>* * deny-all"];
        worries(&judged(&question("ase-v2"), &[group(&[&[&*management], rest.as_slice(), &last].concat())]))
    };
    assert_eq!(managed("AzureCloud"), [""; 0]);
    let current = crate::lint::requirements::Management::of_cloud("public").current();
    let copied = current.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(managed(&copied), [""; 0]);
}

#[test]
fn where_nothing_was_judged_nothing_is_fine() {
    let report = judge(&question("ase-v2"), &Export::default());
    assert_eq!((report.exit_code(), report.verdict()), (3, Verdict::CouldNotJudge));
}
