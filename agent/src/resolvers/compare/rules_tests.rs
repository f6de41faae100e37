//! Labelled pairs of answers for every rule, and the properties that hold for all pairs.

use super::*;
use crate::resolvers::compare::DnsOutcome;
use ase_probes::cause::Cause;
use proptest::prelude::*;

const NAME: &str = "lab.database.windows.net";
const PL: &str = "lab.privatelink.database.windows.net";
const ZONE: &str = "privatelink.database.windows.net";

fn a(addresses: &[&str]) -> Answer {
    Answer::with(&[], addresses)
}

fn via(chain: &[&str], addresses: &[&str]) -> Answer {
    Answer::with(chain, addresses)
}

fn no(outcome: DnsOutcome) -> Answer {
    Answer::without_addresses(outcome)
}

fn soa(outcome: DnsOutcome, zone: &str) -> Answer {
    Answer { soa_zone: Some(zone.to_owned()), ..no(outcome) }
}

fn plain() -> Circumstances {
    Circumstances {
        managed: ["trafficmanager.net", "core.windows.net"].map(str::to_owned).into(),
        ..Circumstances::default()
    }
}

/// A name that the platform resolves by Azure DNS alone.
fn platform() -> Circumstances {
    Circumstances { of_the_platform: true, ..plain() }
}

fn tls(custom: bool, azure: bool) -> Circumstances {
    Circumstances { tls: Some(TlsConfirmation { custom, azure }), ..plain() }
}

/// Label, C, Z, circumstances, expected class, rule and worry.
type Row = (&'static str, Answer, Answer, Circumstances, Class, u8, Worry);

#[test]
fn it_is_said_whom_a_difference_harms() {
    let nothing = no(DnsOutcome::Nxdomain);
    let reason = |custom: &Answer, azure: &Answer, known: &Circumstances| classify(NAME, custom, azure, known).reason;
    let lost = reason(&a(&["10.0.0.4"]), &nothing, &platform());
    assert!(lost.contains("by Azure DNS alone and does not find it"), "{lost}");
    let alone = Circumstances { no_fallback: true, ..plain() };
    let denied = reason(&nothing, &a(&["20.1.0.1"]), &alone);
    assert!(denied.ends_with("apps here do not fall back to Azure DNS"), "{denied}");
    assert!(!reason(&nothing, &a(&["20.1.0.1"]), &plain()).contains("fall back"));
}

fn failures_and_negatives() -> Vec<Row> {
    use DnsOutcome::{Formerr, Malformed, Nodata, Nxdomain, Refused, Servfail, Timeout};
    use Worry::{Bad, Fine, Warn};
    let conflicting = Answer { conflicting: true, ..a(&["20.1.0.1"]) };
    let canary = Circumstances { intercepted: true, ..plain() };
    let invents = |by| Circumstances { invents: Some(by), ..plain() };
    let expected = Circumstances { expected_private: true, ..plain() };
    vec![
        ("canary answered", a(&["20.1.0.1"]), a(&["20.1.0.1"]), canary.clone(), Class::Intercepted, 0, Bad),
        ("canary beats failure", no(Timeout), no(Timeout), canary, Class::Intercepted, 0, Bad),
        ("custom conflicts", conflicting.clone(), a(&["20.1.0.1"]), plain(), Class::Intercepted, 0, Bad),
        ("azure conflicts", a(&["20.1.0.1"]), conflicting, plain(), Class::Intercepted, 0, Bad),
        ("raced", a(&["20.1.0.1"]), no(Nxdomain), invents(Inventor::Path), Class::Intercepted, 0, Bad),
        ("custom malformed", no(Malformed), a(&["20.1.0.1"]), plain(), Class::CustomFailed, 2, Bad),
        ("custom refuses the form", no(Formerr), a(&["20.1.0.1"]), plain(), Class::CustomFailed, 2, Bad),
        ("azure malformed", no(Nxdomain), no(Malformed), plain(), Class::AzureFailed, 2, Warn),
        ("both time out", no(Timeout), no(Timeout), plain(), Class::BothFailed, 1, Bad),
        ("servfail and timeout", no(Servfail), no(Timeout), plain(), Class::BothFailed, 1, Bad),
        ("refused and servfail", no(Refused), no(Servfail), plain(), Class::BothFailed, 1, Bad),
        ("custom times out", no(Timeout), a(&["20.1.0.1"]), plain(), Class::CustomFailed, 2, Bad),
        ("custom servfail, azure nxdomain", no(Servfail), no(Nxdomain), plain(), Class::CustomFailed, 2, Bad),
        ("custom refused", no(Refused), a(&["10.0.0.4"]), plain(), Class::CustomFailed, 2, Bad),
        ("azure times out", a(&["20.1.0.1"]), no(Timeout), plain(), Class::AzureFailed, 2, Warn),
        ("azure servfail", no(Nxdomain), no(Servfail), plain(), Class::AzureFailed, 2, Warn),
        ("both nxdomain", no(Nxdomain), no(Nxdomain), plain(), Class::IdenticalNegative, 3, Fine),
        ("both nodata", no(Nodata), no(Nodata), plain(), Class::IdenticalNegative, 3, Fine),
        ("nodata and nxdomain", no(Nodata), no(Nxdomain), plain(), Class::IdenticalNegative, 3, Fine),
        ("custom invents", a(&["20.9.9.9"]), no(Nxdomain), invents(Inventor::Custom), Class::NxdomainRewrite, 4, Bad),
        ("azure invents", no(Nxdomain), a(&["20.9.9.9"]), invents(Inventor::Azure), Class::NxdomainRewrite, 4, Bad),
        (
            "the other one invents",
            a(&["20.9.9.9"]),
            no(Nxdomain),
            invents(Inventor::Azure),
            Class::AzureNegative,
            9,
            Warn,
        ),
        ("own zone", a(&["10.0.0.4"]), no(Nxdomain), plain(), Class::PrivateOnly, 5, Warn),
        ("own zone, expected", a(&["10.0.0.4"]), no(Nxdomain), expected, Class::PrivateOnly, 5, Fine),
        ("own zone of the platform's", a(&["10.0.0.4"]), no(Nxdomain), platform(), Class::PrivateOnly, 5, Bad),
        (
            "own zone of the platform's, expected",
            a(&["10.0.0.4"]),
            no(Nxdomain),
            Circumstances { expected_private: true, ..platform() },
            Class::PrivateOnly,
            5,
            Bad,
        ),
        ("azure denies the platform", a(&["20.1.0.1"]), no(Nxdomain), platform(), Class::AzureNegative, 9, Bad),
        (
            "past the platform",
            via(&[PL], &["10.0.0.4"]),
            a(&["20.1.0.1"]),
            platform(),
            Class::PrivateOverride,
            13,
            Warn,
        ),
        ("the platform is well", a(&["20.1.0.1"]), a(&["20.1.0.1"]), platform(), Class::Identical, 11, Fine),
        ("own zone v6", a(&["fd00::4"]), no(Nodata), plain(), Class::PrivateOnly, 5, Warn),
        ("shared address space", a(&["100.64.0.4"]), no(Nxdomain), plain(), Class::PrivateOnly, 5, Warn),
        ("zone missing", no(Nxdomain), via(&[PL], &["10.0.0.4"]), plain(), Class::PrivateZoneMissing, 6, Bad),
        ("zone missing nodata", no(Nodata), a(&["172.16.0.4"]), plain(), Class::PrivateZoneMissing, 6, Bad),
        ("zone gap by soa", soa(Nxdomain, ZONE), a(&["20.1.0.1"]), plain(), Class::PrivateZoneGap, 7, Bad),
        ("zone gap by chain", no(Nxdomain), via(&[PL], &["20.1.0.1"]), plain(), Class::PrivateZoneGap, 7, Bad),
        ("custom denies", no(Nxdomain), a(&["20.1.0.1"]), plain(), Class::CustomNegative, 8, Bad),
        ("custom denies nodata", soa(Nodata, "windows.net"), a(&["20.1.0.1"]), plain(), Class::CustomNegative, 8, Bad),
        ("azure denies", a(&["20.1.0.1"]), no(Nxdomain), plain(), Class::AzureNegative, 9, Warn),
        ("azure nodata", a(&["20.1.0.1"]), no(Nodata), plain(), Class::AzureNegative, 9, Warn),
        ("azure denies, mixed", a(&["20.1.0.1", "10.0.0.4"]), no(Nxdomain), plain(), Class::AzureNegative, 9, Warn),
    ]
}

fn addresses() -> Vec<Row> {
    use Worry::{Bad, Fine, Warn};
    let expected = Circumstances { expected_private: true, ..plain() };
    let known_sink = Circumstances { sinkholes: ["20.6.6.6".parse().expect("a literal")].into(), ..plain() };
    let rotated = Answer { recent: a(&["20.1.0.1", "20.1.0.2"]).addresses, ..a(&["20.1.0.1"]) };
    vec![
        ("zero address", a(&["0.0.0.0"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("loopback", a(&["127.0.0.1"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("documentation space", a(&["192.0.2.7"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("v6 loopback", a(&["::1"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("mapped loopback", a(&["::ffff:127.0.0.1"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("configured sinkhole", a(&["20.6.6.6"]), a(&["20.1.0.1"]), known_sink, Class::Sinkholed, 10, Bad),
        ("one sink among good ones", a(&["20.1.0.1", "0.0.0.0"]), a(&["20.1.0.1"]), plain(), Class::Sinkholed, 10, Bad),
        ("both sink alike", a(&["0.0.0.0"]), a(&["0.0.0.0"]), plain(), Class::Identical, 11, Fine),
        ("mixed custom", a(&["10.0.0.4", "20.1.0.1"]), a(&["20.1.0.1"]), plain(), Class::DivergentUnverified, 10, Warn),
        ("mixed azure", a(&["20.1.0.1"]), a(&["10.0.0.4", "20.1.0.1"]), plain(), Class::DivergentUnverified, 10, Warn),
        ("identical", a(&["20.1.0.1"]), a(&["20.1.0.1"]), plain(), Class::Identical, 11, Fine),
        (
            "identical private",
            via(&[PL], &["10.0.0.4"]),
            via(&[PL], &["10.0.0.4"]),
            plain(),
            Class::Identical,
            11,
            Fine,
        ),
        (
            "identical chain in other case",
            via(&["A.B."], &["20.1.0.1"]),
            via(&["a.b"], &["20.1.0.1"]),
            plain(),
            Class::Identical,
            11,
            Fine,
        ),
        (
            "same address by another name",
            via(&["x.net"], &["20.1.0.1"]),
            via(&["y.net"], &["20.1.0.1"]),
            plain(),
            Class::Equivalent,
            12,
            Fine,
        ),
        ("overlap", a(&["20.1.0.1", "20.1.0.2"]), a(&["20.1.0.2", "20.1.0.3"]), plain(), Class::Equivalent, 12, Fine),
        ("overlap over rounds", a(&["20.1.0.2"]), rotated.clone(), plain(), Class::Equivalent, 12, Fine),
        ("past of the custom side", rotated, a(&["20.1.0.2"]), plain(), Class::DivergentUnverified, 21, Warn),
        (
            "overlap v6 only",
            a(&["20.1.0.1", "2001:4860::1"]),
            a(&["20.1.0.9", "2001:4860::1"]),
            plain(),
            Class::Equivalent,
            12,
            Fine,
        ),
        (
            "private endpoint",
            via(&[PL], &["10.0.0.4"]),
            via(&[PL], &["20.1.0.1"]),
            plain(),
            Class::PrivateOverride,
            13,
            Fine,
        ),
        (
            "privatelink on one side",
            via(&[PL], &["10.0.0.4"]),
            a(&["20.1.0.1"]),
            plain(),
            Class::PrivateOverride,
            13,
            Fine,
        ),
        ("declared private", a(&["10.0.0.4"]), a(&["20.1.0.1"]), expected, Class::PrivateOverride, 13, Fine),
        ("undeclared private", a(&["10.0.0.4"]), a(&["20.1.0.1"]), plain(), Class::PrivateUnexpected, 14, Bad),
        (
            "undeclared private, proved",
            a(&["10.0.0.4"]),
            a(&["20.1.0.1"]),
            tls(true, true),
            Class::PrivateUnexpected,
            14,
            Warn,
        ),
        (
            "undeclared private, refuted",
            a(&["10.0.0.4"]),
            a(&["20.1.0.1"]),
            tls(false, true),
            Class::PrivateUnexpected,
            14,
            Bad,
        ),
        ("link-local", a(&["169.254.1.1"]), a(&["20.1.0.1"]), plain(), Class::PrivateUnexpected, 14, Bad),
        ("bypass", via(&[PL], &["20.1.0.1"]), via(&[PL], &["10.0.0.4"]), plain(), Class::PrivateBypass, 15, Bad),
        ("bypass without chain", a(&["20.1.0.1"]), a(&["10.0.0.4"]), plain(), Class::PrivateBypass, 15, Bad),
        (
            "same canonical name",
            via(&["edge.x.net"], &["20.1.0.1"]),
            via(&["edge.x.net"], &["20.2.0.1"]),
            plain(),
            Class::Equivalent,
            16,
            Fine,
        ),
        (
            "common name in the middle",
            via(&["m.x.net", "e1.cdn.net"], &["20.1.0.1"]),
            via(&["m.x.net", "e2.cdn.net"], &["20.2.0.1"]),
            plain(),
            Class::Equivalent,
            16,
            Fine,
        ),
        (
            "no chain is no common chain",
            a(&["20.1.0.1"]),
            a(&["20.2.0.1"]),
            plain(),
            Class::DivergentUnverified,
            21,
            Warn,
        ),
        (
            "managed suffix",
            via(&["eu.trafficmanager.net"], &["20.1.0.1"]),
            via(&["us.trafficmanager.net"], &["20.2.0.1"]),
            plain(),
            Class::Equivalent,
            17,
            Fine,
        ),
        (
            "managed only on one side",
            via(&["eu.trafficmanager.net"], &["20.1.0.1"]),
            a(&["20.2.0.1"]),
            plain(),
            Class::DivergentUnverified,
            21,
            Warn,
        ),
        (
            "a suffix is whole labels",
            via(&["evil-trafficmanager.net"], &["20.1.0.1"]),
            via(&["us.trafficmanager.net"], &["20.2.0.1"]),
            plain(),
            Class::DivergentUnverified,
            21,
            Warn,
        ),
    ]
}

fn proofs() -> Vec<Row> {
    use Worry::{Bad, Fine, Warn};
    let origin = Circumstances { same_origin: Some("the front doors".to_owned()), ..plain() };
    let stale = Circumstances { stale: true, ..plain() };
    let stale_refuted = Circumstances { stale: true, ..tls(false, true) };
    let stale_unproved = Circumstances { stale: true, ..tls(false, false) };
    let stale_proved = Circumstances { stale: true, ..tls(true, true) };
    let managed = |answer: &str, end: &str| via(&[end], &[answer]);
    let (c, z) = (a(&["20.1.0.1"]), a(&["20.2.0.1"]));
    vec![
        ("same origin", c.clone(), z.clone(), origin, Class::Equivalent, 18, Fine),
        ("both prove the name", c.clone(), z.clone(), tls(true, true), Class::Equivalent, 19, Fine),
        ("only azure proves it", c.clone(), z.clone(), tls(false, true), Class::Hijack, 19, Bad),
        ("neither proves it", c.clone(), z.clone(), tls(false, false), Class::DivergentUnverified, 19, Warn),
        ("only custom proves it", c.clone(), z.clone(), tls(true, false), Class::DivergentUnverified, 19, Warn),
        ("stale without proof", c.clone(), z.clone(), stale.clone(), Class::Stale, 20, Warn),
        ("stale and refuted", c.clone(), z.clone(), stale_refuted.clone(), Class::Stale, 20, Bad),
        ("stale, neither proves the name", c.clone(), z.clone(), stale_unproved, Class::Stale, 20, Warn),
        ("stale but proved", c.clone(), z.clone(), stale_proved, Class::Equivalent, 19, Fine),
        (
            "stale under a managed suffix is rotation",
            managed("20.1.0.1", "a.core.windows.net"),
            managed("20.2.0.1", "b.core.windows.net"),
            stale,
            Class::Equivalent,
            17,
            Fine,
        ),
        (
            "refuted stale beats a managed suffix",
            managed("20.1.0.1", "a.core.windows.net"),
            managed("20.2.0.1", "b.core.windows.net"),
            stale_refuted,
            Class::Stale,
            20,
            Bad,
        ),
        ("nothing known", c, z, plain(), Class::DivergentUnverified, 21, Warn),
    ]
}

#[test]
fn an_answer_that_cannot_be_read_proves_no_interception_and_says_what_is_wrong() {
    let fine = a(&["20.1.0.1"]);
    let broken = Answer { why: Some("it ends too soon".to_owned()), ..no(DnsOutcome::Malformed) };
    let unreadable = classify(NAME, &broken, &fine, &plain());
    assert_eq!((unreadable.class, unreadable.cause()), (Class::CustomFailed, None));
    assert_eq!(unreadable.reason, "custom DNS: malformed (it ends too soon), Azure DNS answers");
    let canary = Circumstances { intercepted: true, ..plain() };
    assert_eq!(classify(NAME, &broken, &fine, &canary).cause(), Some(Cause::DnsIntercepted));
}

#[test]
fn labelled_pairs_have_their_class_rule_and_worry() {
    let rows: Vec<Row> = failures_and_negatives().into_iter().chain(addresses()).chain(proofs()).collect();
    assert!(rows.len() >= 60, "{} pairs", rows.len());
    for (label, custom, azure, known, class, rule, worry) in &rows {
        let got = classify(NAME, custom, azure, known);
        assert_eq!((got.class, got.rule, got.worry), (*class, *rule, *worry), "{label}: {}", got.reason);
    }
    let rules: BTreeSet<u8> = rows.iter().map(|row| row.5).collect();
    assert_eq!(rules, (0..=21).collect(), "every rule has a pair");
}

#[test]
fn a_bypass_names_the_zone_and_the_forwarder() {
    let got = classify(NAME, &via(&[PL], &["20.1.0.1"]), &via(&[PL], &["10.0.0.4"]), &plain());
    assert!(
        got.reason.contains(
            "forward the zone database.windows.net to 168.63.129.16, not privatelink.database.windows.net alone"
        ),
        "{}",
        got.reason
    );
}

fn outcome() -> impl Strategy<Value = DnsOutcome> {
    use DnsOutcome::{Answer, Malformed, Nodata, Nxdomain, Refused, Servfail, Timeout};
    prop_oneof![4 => Just(Answer), 1 => Just(Nodata), 1 => Just(Nxdomain), 1 => Just(Servfail), 1 => Just(Refused), 1 => Just(Timeout), 1 => Just(Malformed)]
}

fn address() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(
        &["20.1.0.1", "20.1.0.2", "20.2.0.1", "10.0.0.4", "10.0.0.5", "0.0.0.0", "fd00::1", "2a01::1"][..],
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    let name = proptest::sample::select(&["x.net", "Y.net", PL, "a.core.windows.net"][..]);
    (outcome(), proptest::collection::vec(name, 0..3), proptest::collection::vec(address(), 1..4)).prop_map(
        |(outcome, chain, addresses)| match outcome {
            DnsOutcome::Answer => via(&chain, &addresses),
            other => no(other),
        },
    )
}

fn circumstances() -> impl Strategy<Value = Circumstances> {
    (any::<[bool; 4]>(), proptest::option::of(any::<(bool, bool)>())).prop_map(
        |([expected, origin, stale, _], proof)| Circumstances {
            expected_private: expected,
            same_origin: origin.then(|| "the front doors".to_owned()),
            stale,
            tls: proof.map(|(custom, azure)| TlsConfirmation { custom, azure }),
            ..plain()
        },
    )
}

proptest! {
    #[test]
    fn what_is_the_same_is_the_same_from_both_sides(c in answer(), z in answer(), known in circumstances()) {
        let symmetric = |got: &Comparison| matches!(got.rule, 1 | 3 | 11 | 12 | 16 | 17 | 18);
        let known = Circumstances { tls: None, stale: false, ..known };
        let sinks = |answer: &Answer| answer.addresses.iter().any(|ip| kind_of(*ip, &BTreeSet::new()) == AddressKind::Sink);
        prop_assume!(!sinks(&c) && !sinks(&z));
        let (there, back) = (classify(NAME, &c, &z, &known), classify(NAME, &z, &c, &known));
        prop_assert!(!symmetric(&there) || there.class == back.class, "{there:?} {back:?}");
    }

    #[test]
    fn bypass_and_override_mirror_each_other(c in answer(), z in answer(), known in circumstances()) {
        let (there, back) = (classify(NAME, &c, &z, &known), classify(NAME, &z, &c, &known));
        if there.rule == 15 { prop_assert!([13, 14].contains(&back.rule)); }
        if [13, 14].contains(&there.rule) { prop_assert_eq!(back.rule, 15); }
        if there.rule == 6 { prop_assert_eq!(back.rule, 5); }
        if there.rule == 8 { prop_assert_eq!(back.rule, 9); }
    }

    #[test]
    fn order_case_and_duplicates_change_nothing(
        mut addresses in proptest::collection::vec(address(), 1..5), z in answer(), known in circumstances(),
    ) {
        let before = classify(NAME, &via(&["Edge.X.net."], &addresses), &z, &known);
        addresses.reverse();
        addresses.push(addresses[0]);
        prop_assert_eq!(classify(NAME, &via(&["edge.x.net"], &addresses), &z, &known), before);
    }

    #[test]
    fn a_common_address_never_makes_it_worse(c in answer(), z in answer(), known in circumstances()) {
        let before = classify(NAME, &c, &z, &known);
        let common = "20.1.0.77";
        let with = |answer: &Answer| {
            let mut more = answer.clone();
            more.addresses.extend(common.parse::<IpAddr>());
            more.recent.extend(common.parse::<IpAddr>());
            more
        };
        let public = |answer: &Answer| answer.addresses.iter().all(|ip| kind_of(*ip, &BTreeSet::new()) == AddressKind::Public);
        if c.outcome == DnsOutcome::Answer && z.outcome == DnsOutcome::Answer && public(&c) && public(&z) {
            let after = classify(NAME, &with(&c), &with(&z), &known);
            prop_assert!(after.worry <= before.worry && after.worry == Worry::Fine, "{before:?} {after:?}");
        }
    }

    #[test]
    fn rotation_over_two_hundred_rounds_is_never_an_alarm(seed in any::<u64>()) {
        let mut history = crate::resolvers::compare::History::default();
        let mut state = seed | 1;
        let mut draw = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; format!("20.1.0.{}", state % 8) };
        for round in 0..200u64 {
            let (c, z) = (draw(), draw());
            let (mut custom, mut azure) = (via(&["e.x.net"], &[&c]), via(&["e.x.net"], &[&z]));
            (custom.recent, azure.recent) =
                history.remember(&custom, &azure, std::time::Duration::from_secs(300 * round));
            let published = history.settle(classify(NAME, &custom, &azure, &plain()));
            prop_assert!(published.is_none_or(|p| p.comparison.worry == Worry::Fine));
        }
    }
}
