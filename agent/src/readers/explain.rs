//! Says everything about a cause, on the terminal and as the causes page. It looks at no snapshot.

use std::fmt::Write;

use ase_probes::cause::{Cause, Side};

/// How other tools name the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The type of a network error report (W3C Network Error Logging section 6).
    pub nel: Option<&'static str>,
    /// The exit code of curl (`curl(1)`, EXIT CODES).
    pub curl: Option<u8>,
}

/// Explains one cause: a few lines for a terminal.
pub fn explain(cause: Cause) -> String {
    let definition = cause.definition();
    let mut text = format!("{}: {}\n\n", definition.label, definition.summary);
    for (key, value) in facts(cause) {
        let _ = writeln!(text, "  {key:<11} {value}");
    }
    text
}

/// Lists every cause of a loss with its summary, one line each.
pub fn list() -> String {
    let line = |cause: &Cause| format!("{:<21} {}\n", cause.label(), cause.definition().summary);
    losses().map(line).collect()
}

/// The causes page: `docs/causes.md`.
pub fn causes_page() -> String {
    let mut page = HEAD.to_owned();
    for side in [Side::Local, Side::Path, Side::Remote, Side::Unknown] {
        let causes: Vec<_> = losses().filter(|cause| cause.definition().side == side).collect();
        let _ = writeln!(page, "\n## {}\n\n{}", title(side), meaning(side));
        for cause in causes {
            let _ = writeln!(page, "\n### `{}`\n\n{}.\n", cause.label(), capitalised(cause.definition().summary));
            for (key, value) in facts(*cause).into_iter().filter(|(key, _)| *key != "side") {
                let _ = writeln!(page, "- {key}: {value}");
            }
        }
    }
    page
}

/// How other tools name this cause, where they have a name for it.
pub fn elsewhere(cause: Cause) -> Elsewhere {
    let (nel, curl) = match cause {
        Cause::None => (Some("ok"), Some(0)),
        Cause::LocalFdLimit | Cause::LocalFirewall | Cause::LocalSetup => (Some("abandoned"), Some(2)),
        Cause::LocalStall => (Some("abandoned"), None),
        Cause::LocalPorts => (Some("abandoned"), Some(45)),
        Cause::LocalRoute => (Some("tcp.address_unreachable"), Some(7)),
        Cause::NextHopDown | Cause::Unreachable => (Some("tcp.address_unreachable"), Some(7)),
        Cause::Rejected | Cause::Refused => (Some("tcp.refused"), Some(7)),
        Cause::Dropped => (Some("tcp.timed_out"), Some(28)),
        Cause::Reset => (Some("tcp.reset"), Some(56)),
        Cause::TlsBlocked => (Some("tcp.reset"), Some(35)),
        Cause::DnsNoReply => (Some("dns.unreachable"), Some(6)),
        Cause::DnsServfail | Cause::DnsRefused | Cause::DnsNoTcp => (Some("dns.failed"), Some(6)),
        Cause::DnsNxdomain | Cause::DnsNodata => (Some("dns.name_not_resolved"), Some(6)),
        Cause::DnsDivergent => (Some("dns.address_changed"), None),
        Cause::TlsIntercepted => (Some("tls.cert.authority_invalid"), Some(60)),
        Cause::TlsCertInvalid => (Some("tls.cert.invalid"), Some(60)),
        Cause::TlsRejected => (Some("tls.protocol.error"), Some(35)),
        Cause::HttpBlocked | Cause::HttpStatus => (Some("http.error"), Some(22)),
        Cause::ProtocolViolation => (Some("http.response.invalid"), Some(8)),
        Cause::MtuBlackhole | Cause::PacketLoss | Cause::FlowHashLoss | Cause::FlowTableFull | Cause::Slow => {
            (None, Some(28))
        }
        Cause::Unknown
        | Cause::LocalClock
        | Cause::LocalLimit
        | Cause::AsymmetricReply
        | Cause::ProxiedBlind
        | Cause::DnsIntercepted
        | Cause::NtpDenied
        | Cause::NtpUnsynced
        | Cause::NtpWrongTime
        | Cause::SqlRedirectBlocked => (None, None),
    };
    Elsewhere { nel, curl }
}

const HEAD: &str = "# Causes

Why a dependency is lost, as the `cause` label of `ase_probe_failures_total`, the field `cause` of the JSON and the
heading of the report. The set is closed and labels never change. `ase-agent explain CAUSE` prints the same text.
This page is generated from `probes/src/cause.rs`.
";

/// Every cause but `none`, which is no loss.
pub fn losses() -> impl Iterator<Item = &'static Cause> {
    Cause::ALL.iter().filter(|cause| **cause != Cause::None)
}

fn facts(cause: Cause) -> Vec<(&'static str, String)> {
    let definition = cause.definition();
    let other = elsewhere(cause);
    let mut facts = vec![
        ("side", format!("{} ({})", definition.side.label(), meaning_in_short(definition.side))),
        ("owner", definition.owner.words()),
        ("next step", definition.next_words()),
        ("check first", definition.check_first.to_owned()),
    ];
    facts.extend(other.nel.map(|kind| ("NEL type", kind.to_owned())));
    facts.extend(other.curl.map(|code| ("curl exit", code.to_string())));
    facts
}

fn title(side: Side) -> &'static str {
    match side {
        Side::Local => "On this machine",
        Side::Path => "On the path",
        Side::Remote => "At the peer",
        Side::Unknown => "Not to be told from one exchange",
    }
}

fn meaning(side: Side) -> &'static str {
    match side {
        Side::Local => {
            "The agent's own machine prevented the test. The endpoint is unknown, and the fault never counts against it."
        }
        Side::Path => "Something between this machine and the peer: routes, rules, appliances.",
        Side::Remote => "The peer itself, or the DNS server that was asked.",
        Side::Unknown => "More than one place would look the same in one exchange.",
    }
}

fn meaning_in_short(side: Side) -> &'static str {
    match side {
        Side::Local => "this machine; never counts against the dependency",
        Side::Path => "between this machine and the peer",
        Side::Remote => "at the peer or the DNS server asked",
        Side::Unknown => "one exchange cannot tell",
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::assert_golden;

    #[test]
    fn the_committed_causes_page_is_the_generated_one() {
        assert_golden("../docs/causes.md", &causes_page());
    }

    #[test]
    fn every_cause_is_on_the_page_once_and_in_the_list_once() {
        let (page, list) = (causes_page(), list());
        assert_eq!(list.lines().count(), Cause::ALL.len() - 1);
        for cause in losses() {
            assert_eq!(page.matches(&format!("### `{}`\n", cause.label())).count(), 1, "{cause}");
            let starts = list.lines().filter(|line| line.split(' ').next() == Some(cause.label()));
            assert_eq!(starts.count(), 1, "{cause}");
        }
    }

    #[test]
    fn an_explanation_names_the_owner_and_the_next_step() {
        for cause in Cause::ALL {
            let (text, definition) = (explain(*cause), cause.definition());
            for part in [definition.label, definition.summary, definition.next_step, definition.owner.label()] {
                assert!(text.contains(part), "{cause} lacks {part}");
            }
        }
    }

    #[test]
    fn the_causes_that_curl_knows_lead_to_its_codes() {
        assert_eq!(elsewhere(Cause::Dropped), Elsewhere { nel: Some("tcp.timed_out"), curl: Some(28) });
        assert_eq!(elsewhere(Cause::DnsNxdomain), Elsewhere { nel: Some("dns.name_not_resolved"), curl: Some(6) });
        assert_eq!(elsewhere(Cause::ProxiedBlind), Elsewhere { nel: None, curl: None });
    }
}
