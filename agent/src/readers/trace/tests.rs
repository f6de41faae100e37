//! Ways as they are met: plain ones, balanced ones, with a proxy in them, with a silent hop, cut off, too narrow.

use std::time::Duration;

use ase_probes::{
    cause::Cause,
    evidence::IcmpError,
    hops::{Path, Step},
    knock::{Answer, Knock},
    trace::{Method, Narrow, Sign, Swallowed},
    verdict::{Confidence, Phase},
};

use super::*;
use crate::{model::visit::Judgement, readers::json};

const TARGET: &str = "web.example:443";

fn visit(result: Judgement) -> Visit {
    Visit { took: Duration::from_millis(3), result, ..Visit::nothing_yet(Duration::from_secs(1_800_000_000)) }
}

/// A flow whose hops are written as `1` for the router 10.0.0.1, `.` for silence, `o` for open, `r` for refused.
fn walk(method: Method, source_port: u16, hops: &str) -> Walk {
    let icmp = |last| IcmpError {
        v6: false,
        kind: 11,
        code: 0,
        mtu: 0,
        offender: Some(IpAddr::from([10, 0, 0, last])),
        from_self: false,
    };
    let step = |(hop_limit, sign): (u8, char)| Step {
        hop_limit,
        knock: Knock {
            answer: match sign {
                '.' => Answer::Silent,
                'o' => Answer::Open,
                'r' => Answer::Refused,
                digit => {
                    Answer::Icmp(icmp(digit.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).expect("a digit")))
                }
            },
            elapsed: Duration::from_micros(u64::from(hop_limit) * 500),
            retransmitted: false,
        },
    };
    Walk { method, source_port, path: Path { steps: (1u8..).zip(hops.chars()).map(step).collect() } }
}

fn plain() -> Vec<Walk> {
    vec![walk(Method::Tcp, 40_000, "12o"), walk(Method::Tcp, 40_016, "12o"), walk(Method::Udp, 40_032, "12r")]
}

fn traced<'a>(visit: &'a Visit, walks: &'a [Walk]) -> Traced<'a> {
    let address = Some(([20, 1, 1, 1], 443).into());
    Traced { target: TARGET, visit, address, walks, width: None, inside: &[], names: None }
}

/// The exit code, and the remarks, odd ones with a mark before them.
fn sense(walks: &[Walk]) -> (u8, Vec<String>) {
    let visit = visit(Ok(Verdict::Healthy));
    let traced = traced(&visit, walks);
    let line = |remark: Remark| format!("{}{}", if remark.is_odd { "! " } else { "" }, remark.text);
    (traced.exit_code(), traced.remarks().into_iter().map(line).collect())
}

#[test]
fn a_plain_way_is_a_table_and_says_where_it_ends() {
    let visit = visit(Ok(Verdict::Healthy));
    let walks = plain();
    assert_eq!(
        render(&traced(&visit, &walks), Look::default()),
        "way to web.example:443 at 20.1.1.1\n\
         flows     a tcp 40000, b tcp 40016, c udp 40032\n\n\
         \x20hop  who                                            time  flows\n\
         \x20  1  10.0.0.1                                   0.500 ms  all\n\
         \x20  2  10.0.0.2                                   1.000 ms  all\n\
         \x20  3  accepts as 20.1.1.1                        1.500 ms  ab\n\
         \x20     refuses as 20.1.1.1                        1.500 ms  c\n\n\
         - tcp is answered at hop 3\n\
         - udp is answered at hop 3\n\
         connect   accepted\n"
    );
    assert_eq!(sense(&walks).0, 0);
}

/// Sixteen TCP flows over two ways and one of UDP, to a peer of IPv6 with a long name.
fn many() -> (Vec<Walk>, BTreeMap<IpAddr, String>) {
    let way =
        |number: u16| walk(Method::Tcp, 40_000 + 16 * number, if number.is_multiple_of(3) { "123o" } else { "124o" });
    let mut walks: Vec<Walk> = (0..16).map(way).collect();
    walks.push(walk(Method::Udp, 40_256, "12."));
    let names = BTreeMap::from([
        ([10, 0, 0, 2].into(), "edge-2.contoso.example".to_owned()),
        ([10, 0, 0, 3].into(), format!("{}.example", "a-very-long-label-of-a-router".repeat(2))),
        ([20, 1, 1, 1].into(), "web\u{1b}[2J.example".to_owned()),
    ]);
    (walks, names)
}

#[test]
fn sixteen_flows_and_long_names_fit_eighty_columns_and_colour_changes_no_word() {
    let (visit, (walks, names)) = (visit(Ok(Verdict::Healthy)), many());
    let traced = Traced { names: Some(&names), ..traced(&visit, &walks) };
    let narrow = Look { width: Some(80), ..Look::default() };
    let text = render(&traced, narrow);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("   2  10.0.0.2 edge-2.contoso.example                1.000 ms  all\n"), "{text}");
    assert!(text.contains("   3  10.0.0.3 ") && text.contains("\n      10.0.0.4  "), "{text}");
    assert!(text.contains("  adgjmp\n") && text.contains("  bcefhiklno\n"), "{text}");
    assert!(text.contains("web\u{fffd}[2J.example") && !text.contains('\u{1b}'), "{text}");
    let coloured = render(&traced, Look { colour: true, ..narrow });
    assert!(coloured.contains('\u{1b}'), "{coloured}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), text);
    let wide = render(&traced, Look { width: Some(200), ..Look::default() });
    assert!(wide.lines().any(|line| line.contains("label-of-a-router") && line.ends_with("adgjmp")), "{wide}");
}

#[test]
fn a_way_longer_than_the_terminal_is_high_shows_its_far_end_while_hops_answer() {
    let walks = [walk(Method::Tcp, 40_000, "12345678912345678912345678."), walk(Method::Udp, 40_016, "12")];
    let hops = Hops { target: TARGET, address: ([20, 1, 1, 1], 443).into(), walks: &walks, names: &NAMELESS };
    let look = Look { width: Some(80), height: Some(24), ..Look::default() };
    let text = render_live(&hops, look);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 22, "one line is left for what is waited for, one for the shell: {text}");
    assert_eq!(&lines[..2], ["way to web.example:443 at 20.1.1.1", "flows     a tcp 40000, b udp 40016"]);
    assert!(lines[3].starts_with(" hop  who ") && lines[4].starts_with("  10  10.0.0.1 "), "{text}");
    assert!(lines[21].starts_with("  27  silent"), "{text}");
    assert!(
        render_live(&hops, Look::default()).contains("\n   1  10.0.0.1 "),
        "a terminal of unknown height shows all"
    );
}

#[test]
fn flows_on_several_ways_and_silent_hops_are_told_and_are_not_odd() {
    let walks =
        [walk(Method::Tcp, 40_000, "12.4o"), walk(Method::Tcp, 40_016, "13.4o"), walk(Method::Udp, 40_032, "12.4.")];
    assert_eq!(
        sense(&walks),
        (
            0,
            vec![
                "hop 2 is balanced over 2 ways, flow by flow".to_owned(),
                "hop 3 is passed, but nobody there sends ICMP".to_owned(),
                "udp is heard of no more behind hop 4 (10.0.0.4)".to_owned(),
                "tcp is answered at hop 5".to_owned(),
            ]
        )
    );
}

#[test]
fn whoever_accepts_nearer_than_udp_travels_is_not_the_target() {
    let walks = [walk(Method::Tcp, 40_000, "1o"), walk(Method::Udp, 40_016, "1234r")];
    let (code, remarks) = sense(&walks);
    let odd = "! whoever answers TCP at hop 2, where 10.0.0.2 stands, is hardly the target: UDP travels on to hop 5";
    assert_eq!((code, remarks.last().map(String::as_str)), (2, Some(odd)));
}

#[test]
fn a_flow_that_does_not_arrive_and_a_loop_are_odd() {
    let walks =
        [walk(Method::Tcp, 40_000, "12o"), walk(Method::Tcp, 40_016, "12....."), walk(Method::Udp, 40_032, "12r")];
    let (code, remarks) = sense(&walks);
    assert_eq!((code, remarks[0].as_str()), (2, "! tcp is heard of no more behind hop 2 (10.0.0.2)"));
    let (code, remarks) = sense(&[walk(Method::Tcp, 40_000, "1212")]);
    assert_eq!((code, remarks[0].as_str()), (2, "! packets come back to a router that they have left: a routing loop"));
}

#[test]
fn what_passes_is_said_and_what_vanishes_is_odd() {
    let (visit, walks) = (visit(Ok(Verdict::Healthy)), plain());
    let narrow = Narrow { hop_limit: 2, router: Some([10, 0, 0, 1].into()), mtu: 1400 };
    let mut width = Width { device: 1500, narrows: vec![narrow], swallowed: None, up_to: 3 };
    let remarks = |width: &Width| {
        let traced = Traced { width: Some(width), ..traced(&visit, &walks) };
        (traced.exit_code(), traced.remarks().split_off(2).into_iter().map(|remark| remark.text).collect::<Vec<_>>())
    };
    let passes = "10.0.0.1 passes packets of at most 1400 bytes, and says so before hop 2";
    assert_eq!(remarks(&width), (0, vec![passes.to_owned(), "packets of 1400 bytes pass to hop 3".to_owned()]));
    width.swallowed = Some(Swallowed { hop_limit: 3, passes: 1300, lost: 1301 });
    let vanish = "packets of 1301 bytes and more vanish before hop 3 without a word; 1300 bytes pass";
    assert_eq!(remarks(&width), (2, vec![passes.to_owned(), vanish.to_owned()]));
    assert_eq!(width.mtu(), 1300);
}

#[test]
fn connections_that_end_nearer_than_their_syn_are_odd() {
    let (visit, walks) = (visit(Ok(Verdict::Healthy)), plain());
    let told = |signs: &[Sign]| {
        let inside = |(hop_limit, sign): (u8, &Sign)| Inside { hop_limit, sign: sign.clone(), elapsed: Duration::ZERO };
        let inside: Vec<_> = (1u8..).zip(signs).map(inside).collect();
        let traced = Traced { inside: &inside, ..traced(&visit, &walks) };
        let last = traced.remarks().pop().expect("a remark");
        (traced.exit_code(), last.text)
    };
    let (code, text) = told(&[Sign::Icmp, Sign::Icmp, Sign::Acknowledged]);
    assert_eq!((code, text.as_str()), (0, "packets of an established connection are acknowledged at hop 3"));
    let (code, text) = told(&[Sign::Icmp, Sign::Acknowledged, Sign::Acknowledged]);
    assert_eq!(code, 2);
    assert_eq!(
        text,
        "packets of an established connection are acknowledged at hop 2, while SYNs are answered at hop 3"
    );
    let (code, text) = told(&[Sign::Icmp, Sign::Silent, Sign::Silent]);
    assert_eq!((code, text.as_str()), (2, "packets of an established connection are acknowledged by nobody"));
}

#[test]
fn a_peer_that_does_not_accept_fails_with_its_cause() {
    let walks = [walk(Method::Tcp, 40_000, "1.....")];
    let finding = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
    for (result, code, words) in [
        (Ok(Verdict::Failed(finding)), 1, "connect   failed: dropped (path, possible): "),
        (Err(Untested::BudgetSpent), 3, "connect   unknown: the budget"),
    ] {
        let visit = visit(result);
        let traced = traced(&visit, &walks);
        assert_eq!(traced.exit_code(), code);
        assert!(render(&traced, Look::default()).contains(words), "{}", render(&traced, Look::default()));
        assert!(render(&traced, Look::default()).contains("! tcp is heard of no more behind hop 1 (10.0.0.1)"));
    }
    let visit = visit(Err(Untested::Forbidden([169, 254, 169, 254].into())));
    let nothing = Traced { address: None, walks: &[], ..traced(&visit, &[]) };
    assert!(
        render(&nothing, Look::default()).starts_with("no way to web.example:443\n\nconnect   unknown: "),
        "{}",
        render(&nothing, Look::default())
    );
}

#[test]
fn the_document_is_compared_with_one_of_before() {
    let (visit, before) = (visit(Ok(Verdict::Healthy)), plain());
    let width = Width { device: 1500, narrows: Vec::new(), swallowed: None, up_to: 3 };
    let text = json::trace_to_json(&Traced { width: Some(&width), ..traced(&visit, &before) }, None);
    let earlier = json::earlier_trace(&text, TARGET).expect("its own document");
    assert_eq!(earlier.changes(&Traced { width: Some(&width), ..traced(&visit, &before) }), Vec::<String>::new());
    let now = [walk(Method::Tcp, 50_000, "134o"), walk(Method::Udp, 50_016, "13.r")];
    let narrow = Narrow { hop_limit: 2, router: None, mtu: 1400 };
    let width = Width { device: 1500, narrows: vec![narrow], swallowed: None, up_to: 3 };
    let changes = earlier.changes(&Traced { width: Some(&width), ..traced(&visit, &now) });
    assert_eq!(
        changes,
        [
            "hop 2: 10.0.0.3, before 10.0.0.2",
            "hop 3: 10.0.0.4, before no router",
            "tcp is answered at hop 4, before at hop 3",
            "udp is answered at hop 4, before at hop 3",
            "packets of 1400 bytes pass, before 1500",
        ]
    );
    for (text, target, words) in [
        ("{}", TARGET, "is no document of `trace`"),
        (&*text, "other.example:443", "is about \"web.example:443\", not about other.example:443"),
        (&text.replace("trace/1", "trace/9"), TARGET, "has the schema"),
    ] {
        let error = json::earlier_trace(text, target).err().expect("another document");
        assert!(error.contains(words), "{error}");
    }
    assert!(render_changes("2027", &changes, Look::default()).starts_with("since     2027:\n          hop 2: "));
    assert_eq!(render_changes("2027", &[], Look::default()), "since     2027: nothing changed\n");
}
