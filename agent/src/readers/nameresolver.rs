//! What `nameresolver` and `nslookup` print: the layout that people know from the App Service console, and the long
//! form with both sides beside each other. In the short layout nothing else goes to standard output.

use std::fmt::Write;

use ase_probes::{
    cause::Cause,
    dns::{Answer, Rcode, Reply},
    outcome::Outcome,
};

use crate::resolvers::{
    compare::{self, Comparison, Worry},
    names::NameView,
    survey::Survey,
    worker::Resolved,
};

/// Renders what an app would get, in the console's layout: `Name` is the last name of the chain, `Aliases` the chain
/// without the asked name. The lines for SERVFAIL, REFUSED and silence are in nslookup's words; the console's own are
/// not documented.
pub fn render(name: &str, resolved: &Resolved) -> String {
    let server = resolved.server.ip();
    let mut text = format!("Server: {server}\n\n");
    match (fault(resolved), failure(resolved.answer.as_ref())) {
        (Some(fault), _) => _ = writeln!(text, "*** {server} was not asked for {name}: {}", fault.definition().summary),
        (None, None) => text.push_str(&addresses(name, resolved.answer.as_ref())),
        (None, Some(words)) => _ = writeln!(text, "*** {server} can't find {name}: {words}"),
    }
    text
}

/// The fault of this machine for which no server was asked.
fn fault(resolved: &Resolved) -> Option<Cause> {
    let causes = resolved.outcomes.iter().map(|outcome| outcome.verdict.finding().map(|finding| finding.cause));
    let is_local = |cause: &Option<Cause>| cause.is_some_and(Cause::is_local);
    let first = causes.clone().next().flatten()?;
    (resolved.answer.is_none() && causes.clone().all(|cause| is_local(&cause))).then_some(first)
}

/// What is worth knowing beside the answer, line by line, for standard error: the short layout has no place for it.
pub fn remarks(resolved: &Resolved) -> Vec<String> {
    let told = |outcome: &Outcome| match outcome.dns_answer() {
        Some(_) => outcome.dns_reply().map(Reply::remarks).unwrap_or_default(),
        None => outcome.evidence(),
    };
    let of = |outcome| told(outcome).into_iter().map(|line| format!("DNS {}: {line}", outcome.address));
    resolved.outcomes.iter().flat_map(of).collect()
}

/// Whether the name was resolved to an address.
pub fn is_resolved(resolved: &Resolved) -> bool {
    failure(resolved.answer.as_ref()).is_none()
}

fn failure(answer: Option<&Answer>) -> Option<&'static str> {
    let Some(answer) = answer else { return Some("No response from server") };
    match answer.rcode {
        Rcode::NoError if answer.is_referral() => Some("Query refused"),
        Rcode::NoError if answer.addresses.is_empty() => Some("No address records"),
        Rcode::NoError => None,
        Rcode::NxDomain => Some("Non-existent domain"),
        Rcode::ServFail => Some("Server failed"),
        Rcode::Refused => Some("Query refused"),
        Rcode::FormErr => Some("Format error"),
        Rcode::NotImp => Some("Not implemented"),
        Rcode::BadVers | Rcode::Other(_) => Some("Unspecified error"),
    }
}

fn addresses(name: &str, answer: Option<&Answer>) -> String {
    let Some(answer) = answer else { return String::new() };
    let last = answer.chain.last().map_or(name, String::as_str);
    let mut text = format!("Non-authoritative answer:\nName: {last}\nAddresses: \n");
    answer.addresses.iter().for_each(|address| _ = writeln!(text, "\t{address}"));
    if !answer.chain.is_empty() {
        text.push_str("Aliases: \n");
        answer.chain.iter().for_each(|alias| _ = writeln!(text, "\t{alias}"));
    }
    text
}

/// Renders both sides beside each other, with the class, the reason and what to do.
pub fn render_comparison(survey: &Survey) -> String {
    let Survey { name, server, custom, azure, comparison, .. } = survey;
    let mut text = format!("{name}\n\n");
    let (left, right) =
        (side("custom DNS", &server.ip().to_string(), custom), side("Azure DNS", "168.63.129.16", azure));
    let width = left.iter().map(String::len).max().unwrap_or(0) + 3;
    for row in 0..left.len().max(right.len()) {
        let cell = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
        _ = writeln!(text, "{}", format!("{:width$}{}", cell(&left), cell(&right)).trim_end());
    }
    let worry = match comparison.worry {
        Worry::Fine => "fine",
        Worry::Warn => "warning",
        Worry::Bad => "bad",
    };
    _ = writeln!(text, "\n{}: {} (rule {})", worry, comparison.class.label(), comparison.rule);
    _ = writeln!(text, "why: {}", comparison.reason);
    if let Some(advice) = comparison.class.advice() {
        _ = writeln!(text, "do:  {advice}");
    }
    for (side, answer) in [("custom DNS", custom), ("Azure DNS", azure)] {
        answer.remarks.iter().for_each(|remark| _ = writeln!(text, "note: {side}: {remark}"));
    }
    survey.annotations.iter().for_each(|annotation| _ = writeln!(text, "note: {annotation}"));
    text
}

/// Renders one round of many: what it shows alone, and what is in force after it.
pub fn render_round(round: u32, view: &NameView) -> String {
    let class = |comparison: &Comparison| format!("{} (rule {})", comparison.class.label(), comparison.rule);
    let shown = view.last.as_ref().map_or_else(String::new, |survey| class(&survey.comparison));
    let in_force = view.published.as_ref().map_or_else(|| "nothing yet".to_owned(), class);
    format!("round {round:>4}  {shown:36}  in force: {in_force}\n")
}

fn side(title: &str, server: &str, answer: &compare::Answer) -> Vec<String> {
    let mut lines = vec![format!("{title} ({server})"), format!("  {}", answer.outcome.label())];
    lines.extend(answer.chain.iter().map(|alias| format!("  -> {alias}")));
    lines.extend(answer.addresses.iter().map(|address| format!("  {address}")));
    lines.extend(answer.soa_zone.iter().map(|zone| format!("  zone {zone}")));
    lines.extend(answer.why.iter().map(|why| format!("  {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(rcode: Rcode, chain: &[&str], addresses: &[&str]) -> Resolved {
        let answer = Answer {
            rcode,
            authoritative: false,
            truncated: false,
            recursion_available: true,
            authentic: false,
            chain: chain.iter().map(|name| (*name).to_owned()).collect(),
            dead_end: None,
            addresses: addresses.iter().map(|ip| ip.parse().expect("a literal")).collect(),
            hosts: Vec::new(),
            min_ttl: None,
            soa_zone: None,
            edns_payload: None,
            extended_errors: Vec::new(),
            oddity: None,
            length: 64,
        };
        let server = ([168, 63, 129, 16], 53).into();
        Resolved { server, answer: Some(answer), tries: 1, fell_back: false, outcomes: Vec::new() }
    }

    #[test]
    fn an_answer_has_the_layout_of_the_console() {
        let chain = ["ak.privatelink.msidentity.com", "www.tm.ak.prd.aadg.trafficmanager.net"];
        let got =
            render("login.microsoftonline.com", &resolved(Rcode::NoError, &chain, &["40.126.35.87", "20.190.163.18"]));
        assert_eq!(
            got,
            "Server: 168.63.129.16\n\nNon-authoritative answer:\nName: www.tm.ak.prd.aadg.trafficmanager.net\n\
             Addresses: \n\t40.126.35.87\n\t20.190.163.18\nAliases: \n\tak.privatelink.msidentity.com\n\
             \twww.tm.ak.prd.aadg.trafficmanager.net\n"
        );
    }

    #[test]
    fn a_name_without_aliases_has_no_alias_block() {
        let got = render("a.example", &resolved(Rcode::NoError, &[], &["10.0.0.4"]));
        assert!(got.ends_with("Name: a.example\nAddresses: \n\t10.0.0.4\n"), "{got}");
    }

    #[test]
    fn failures_have_the_familiar_line() {
        for (rcode, words) in [
            (Rcode::NxDomain, "Non-existent domain"),
            (Rcode::ServFail, "Server failed"),
            (Rcode::Refused, "Query refused"),
            (Rcode::NoError, "No address records"),
        ] {
            let got = render("x.example", &resolved(rcode, &[], &[]));
            assert_eq!(got, format!("Server: 168.63.129.16\n\n*** 168.63.129.16 can't find x.example: {words}\n"));
        }
        let silent = Resolved { answer: None, ..resolved(Rcode::NoError, &[], &[]) };
        assert!(!is_resolved(&silent));
        assert!(render("x.example", &silent).contains("No response from server"));
    }
}
