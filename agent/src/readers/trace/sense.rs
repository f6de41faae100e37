//! What a way shows beyond its hops: who answers for the target, where packets end, who balances, who is silent, what passes.

use std::{collections::BTreeSet, net::IpAddr};

use ase_probes::{
    hops::Step,
    knock::Answer,
    trace::{Method, Sign, Walk},
};

use super::Traced;

/// One thing that the way shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether it is worse than it should be.
    pub is_odd: bool,
    /// In one sentence.
    pub text: String,
}

impl Remark {
    fn note(text: String) -> Self {
        Self { is_odd: false, text }
    }

    fn odd(text: String) -> Self {
        Self { is_odd: true, text }
    }
}

/// Everything that the way shows, from its near end to its far one.
pub(super) fn remarks(traced: &Traced<'_>) -> Vec<Remark> {
    let walks = traced.walks;
    let mut remarks = Vec::new();
    remarks.extend(balanced(walks));
    remarks.extend(silent(walks));
    remarks.extend(
        walks
            .iter()
            .any(|walk| walk.path.loops())
            .then(|| Remark::odd("packets come back to a router that they have left: a routing loop".to_owned())),
    );
    remarks.extend(ends(walks));
    remarks.extend(answered(walks));
    remarks.extend(proxied(walks));
    remarks.extend(inside(traced));
    remarks.extend(narrow(traced));
    remarks
}

/// Hops at which the flows meet different routers.
fn balanced(walks: &[Walk]) -> Option<Remark> {
    let routers = |hop| walks.iter().filter_map(|walk| walk.router(hop)).collect::<BTreeSet<IpAddr>>();
    let hops: Vec<u8> = (1..=last_hop(walks)).filter(|hop| routers(*hop).len() > 1).collect();
    let most = hops.iter().map(|hop| routers(*hop).len()).max()?;
    Some(Remark::note(format!("{} balanced over {most} ways, flow by flow", at_hops(&hops))))
}

/// Hops that let packets pass to answers behind them, and say nothing themselves.
fn silent(walks: &[Walk]) -> Option<Remark> {
    let is_silent = |walk: &Walk, hop| {
        let behind = walk.last_heard().is_some_and(|last| last.hop_limit > hop);
        behind && walk.step(hop).is_some_and(|step| step.knock.answer == Answer::Silent)
    };
    let heard = |hop| walks.iter().any(|walk| walk.step(hop).is_some() && !is_silent(walk, hop));
    let hops: Vec<u8> =
        (1..=last_hop(walks)).filter(|hop| walks.iter().any(|walk| is_silent(walk, *hop)) && !heard(*hop)).collect();
    (!hops.is_empty()).then(|| Remark::note(format!("{} passed, but nobody there sends ICMP", at_hops(&hops))))
}

/// Flows that get no answer from the target, each way of ending once.
fn ends(walks: &[Walk]) -> Vec<Remark> {
    let mut told = BTreeSet::new();
    let mut remarks = Vec::new();
    for walk in walks.iter().filter(|walk| !reaches(walk)) {
        let method = walk.method.label();
        let text = match (walk.path.answered(), walk.last_heard()) {
            (Some(Step { hop_limit, knock }), _) => {
                format!("{method} is rejected at hop {hop_limit}: {}", knock.answer)
            }
            (None, Some(last)) => {
                let who = last.router().map(|router| format!(" ({router})")).unwrap_or_default();
                format!("{method} is heard of no more behind hop {}{who}", last.hop_limit)
            }
            (None, None) => format!("{method} is heard of nowhere, not even from the first router"),
        };
        // Closed UDP ports are the rule behind a firewall; that TCP does not arrive is what the trace is about.
        let is_odd = walk.method == Method::Tcp;
        if told.insert(text.clone()) {
            remarks.push(Remark { is_odd, text });
        }
    }
    remarks
}

/// Where the target, or somebody in its place, answers.
fn answered(walks: &[Walk]) -> Vec<Remark> {
    let by = |method| {
        let hops = hops_of(walks, method);
        (!hops.is_empty()).then(|| Remark::note(format!("{} is answered {}", method.label(), at(&hops))))
    };
    [Method::Tcp, Method::Udp].into_iter().filter_map(by).collect()
}

/// Somebody nearer than the target who accepts in its place: packets that he does not take travel on.
fn proxied(walks: &[Walk]) -> Option<Remark> {
    let near = *hops_of(walks, Method::Tcp).first()?;
    let far = walks.iter().filter(|walk| walk.method == Method::Udp).filter_map(Walk::last_heard);
    let far = far.map(|step| step.hop_limit).max().filter(|far| *far > near)?;
    let device = walks.iter().filter(|walk| walk.method == Method::Udp).find_map(|walk| walk.router(near));
    let who = device.map(|router| format!(", where {router} stands,")).unwrap_or_default();
    Some(Remark::odd(format!(
        "whoever answers TCP at hop {near}{who} is hardly the target: UDP travels on to hop {far}"
    )))
}

/// How far an established connection really goes.
fn inside(traced: &Traced<'_>) -> Vec<Remark> {
    if traced.inside.iter().all(|inside| matches!(inside.sign, Sign::Unasked(_))) {
        return Vec::new();
    }
    let acknowledged = traced.inside.iter().find(|inside| inside.sign == Sign::Acknowledged);
    let Some(acknowledged) = acknowledged.map(|inside| inside.hop_limit) else {
        return vec![Remark::odd("packets of an established connection are acknowledged by nobody".to_owned())];
    };
    let text = format!("packets of an established connection are acknowledged at hop {acknowledged}");
    let accepted = hops_of(traced.walks, Method::Tcp);
    if accepted.is_empty() || accepted.contains(&acknowledged) {
        return vec![Remark::note(text)];
    }
    vec![Remark::odd(format!("{text}, while SYNs are answered {}", at(&accepted)))]
}

/// What passes on the way.
fn narrow(traced: &Traced<'_>) -> Vec<Remark> {
    let Some(width) = traced.width else { return Vec::new() };
    let mut remarks: Vec<_> = width
        .narrows
        .iter()
        .map(|narrow| {
            let who = narrow.router.map_or("somebody".to_owned(), |router| router.to_string());
            Remark::note(format!(
                "{who} passes packets of at most {} bytes, and says so before hop {}",
                narrow.mtu, narrow.hop_limit
            ))
        })
        .collect();
    if let Some(swallowed) = width.swallowed {
        remarks.push(Remark::odd(format!(
            "packets of {} bytes and more vanish before hop {} without a word; {} bytes pass",
            swallowed.lost, swallowed.hop_limit, swallowed.passes
        )));
    } else if width.up_to > 0 {
        remarks.push(Remark::note(format!("packets of {} bytes pass to hop {}", width.mtu(), width.up_to)));
    }
    remarks
}

/// Whether the target itself, or somebody in its place, accepts or refuses.
fn reaches(walk: &Walk) -> bool {
    walk.path.answered().is_some_and(|step| matches!(step.knock.answer, Answer::Open | Answer::Refused))
}

/// The hops at which the target answers by this method, each once.
fn hops_of(walks: &[Walk], method: Method) -> BTreeSet<u8> {
    let walks = walks.iter().filter(|walk| walk.method == method && reaches(walk));
    walks.filter_map(|walk| walk.path.answered()).map(|step| step.hop_limit).collect()
}

fn last_hop(walks: &[Walk]) -> u8 {
    walks.iter().filter_map(|walk| walk.path.steps.last()).map(|step| step.hop_limit).max().unwrap_or_default()
}

fn at(hops: &BTreeSet<u8>) -> String {
    let list: Vec<_> = hops.iter().map(u8::to_string).collect();
    format!("at hop {}", list.join(" or "))
}

fn at_hops(hops: &[u8]) -> String {
    let list: Vec<_> = hops.iter().map(u8::to_string).collect();
    match list.as_slice() {
        [one] => format!("hop {one} is"),
        many => format!("hops {} are", many.join(", ")),
    }
}
