//! The JSON of `ase-agent trace --output json`, described by `docs/trace.schema.json`, and the comparison with an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use ase_probes::{
    hops::Step,
    knock::Answer,
    trace::{Inside, Walk, Width},
};
use serde::{Deserialize, Serialize};

use super::why::Why;
use crate::readers::{
    summary::rfc3339,
    trace::{Remark, Traced},
};

/// The name and version of the shape.
const SCHEMA: &str = "ase-agent/trace/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    target: &'a str,
    address: Option<String>,
    began: String,
    status: &'static str,
    exit_code: u8,
    reason: Option<String>,
    cause: Option<&'static str>,
    side: Option<&'static str>,
    confidence: Option<&'static str>,
    owner: Option<&'static str>,
    next_step: Option<&'static str>,
    evidence: Vec<String>,
    walks: Vec<WalkEntry>,
    mtu: Option<WidthEntry>,
    established: Vec<InsideEntry>,
    names: Option<BTreeMap<String, &'a str>>,
    remarks: Vec<RemarkEntry>,
    changes: Option<&'a [String]>,
}

#[derive(Serialize, Deserialize)]
struct WalkEntry {
    method: String,
    source_port: u16,
    answered_at: Option<u8>,
    hops: Vec<HopEntry>,
}

#[derive(Serialize, Deserialize)]
struct HopEntry {
    hop: u8,
    answer: String,
    from: Option<String>,
    seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct WidthEntry {
    device_bytes: u32,
    passes_bytes: u32,
    up_to_hop: u8,
    narrows: Vec<NarrowEntry>,
    vanishes: Option<VanishesEntry>,
}

#[derive(Serialize, Deserialize)]
struct NarrowEntry {
    before_hop: u8,
    router: Option<String>,
    bytes: u32,
}

#[derive(Serialize, Deserialize)]
struct VanishesEntry {
    before_hop: u8,
    passes_bytes: u32,
    lost_bytes: u32,
}

#[derive(Serialize)]
struct InsideEntry {
    hop: u8,
    sign: &'static str,
    seconds: f64,
}

#[derive(Serialize)]
struct RemarkEntry {
    odd: bool,
    text: String,
}

impl WalkEntry {
    fn of(walk: &Walk) -> Self {
        Self {
            method: walk.method.label().to_owned(),
            source_port: walk.source_port,
            answered_at: walk.path.answered().map(|step| step.hop_limit),
            hops: walk.path.steps.iter().map(HopEntry::of).collect(),
        }
    }
}

impl HopEntry {
    fn of(step: &Step) -> Self {
        let (answer, from) = match &step.knock.answer {
            Answer::Open => ("open", None),
            Answer::Refused => ("refused", None),
            Answer::Icmp(icmp) => (if step.router().is_some() { "time_exceeded" } else { "icmp" }, icmp.offender),
            Answer::Silent => ("silent", None),
            Answer::Unasked(_) => ("unasked", None),
        };
        Self {
            hop: step.hop_limit,
            answer: answer.to_owned(),
            from: from.map(|from| from.to_string()),
            seconds: step.knock.elapsed.as_secs_f64(),
        }
    }
}

impl WidthEntry {
    fn of(width: &Width) -> Self {
        Self {
            device_bytes: width.device,
            passes_bytes: width.mtu(),
            up_to_hop: width.up_to,
            narrows: width
                .narrows
                .iter()
                .map(|narrow| NarrowEntry {
                    before_hop: narrow.hop_limit,
                    router: narrow.router.map(|router| router.to_string()),
                    bytes: narrow.mtu,
                })
                .collect(),
            vanishes: width.swallowed.map(|swallowed| VanishesEntry {
                before_hop: swallowed.hop_limit,
                passes_bytes: swallowed.passes,
                lost_bytes: swallowed.lost,
            }),
        }
    }
}

/// Renders a way as one document, with what changed since an earlier one where that was asked.
pub fn trace_to_json(traced: &Traced<'_>, changes: Option<&[String]>) -> String {
    let (visit, why) = (traced.visit, Why::of(traced.finding()));
    let inside = |inside: &Inside| InsideEntry {
        hop: inside.hop_limit,
        sign: inside.sign.label(),
        seconds: inside.elapsed.as_secs_f64(),
    };
    let document = Document {
        schema: SCHEMA,
        version: crate::readers::VERSION,
        target: traced.target,
        address: traced.address.map(|address| address.to_string()),
        began: rfc3339(visit.began),
        status: traced.status(),
        exit_code: traced.exit_code(),
        reason: visit.result.err().map(|untested| untested.reason()),
        cause: why.cause,
        side: why.side,
        confidence: why.confidence,
        owner: why.owner,
        next_step: why.next_step,
        evidence: visit.evidence(),
        walks: traced.walks.iter().map(WalkEntry::of).collect(),
        mtu: traced.width.map(WidthEntry::of),
        established: traced.inside.iter().map(inside).collect(),
        names: traced.names.map(|names| names.iter().map(|(address, name)| (address.to_string(), &**name)).collect()),
        remarks: traced
            .remarks()
            .into_iter()
            .map(|Remark { is_odd, text }| RemarkEntry { odd: is_odd, text })
            .collect(),
        changes,
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

/// An earlier document, as far as it is compared.
#[derive(Deserialize)]
pub struct Earlier {
    schema: String,
    /// When it was made.
    pub began: String,
    target: String,
    walks: Vec<WalkEntry>,
    mtu: Option<WidthEntry>,
}

/// Reads an earlier document of the same target.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn earlier_trace(text: &str, target: &str) -> Result<Earlier, String> {
    let earlier: Earlier = serde_json::from_str(text).map_err(|error| format!("is no document of `trace`: {error}"))?;
    if earlier.schema != SCHEMA {
        return Err(format!("has the schema {:?}, not {SCHEMA}", earlier.schema));
    }
    if earlier.target != target {
        return Err(format!("is about {:?}, not about {target}", earlier.target));
    }
    Ok(earlier)
}

/// The routers of each hop over all flows, whatever they are made of.
fn routers(walks: &[WalkEntry]) -> BTreeMap<u8, BTreeSet<&str>> {
    let mut routers = BTreeMap::<u8, BTreeSet<&str>>::new();
    for hop in walks.iter().flat_map(|walk| &walk.hops).filter(|hop| hop.answer == "time_exceeded") {
        routers.entry(hop.hop).or_default().extend(hop.from.as_deref());
    }
    routers
}

/// The hops at which the target is answered for by one method, each once.
fn answered(walks: &[WalkEntry], method: &str) -> BTreeSet<u8> {
    walks.iter().filter(|walk| walk.method == method).filter_map(|walk| walk.answered_at).collect()
}

impl Earlier {
    /// The first port from which flows were made then: the same ports are sent the same ways.
    pub fn first_port(&self) -> Option<u16> {
        self.walks.first().map(|walk| walk.source_port)
    }

    /// What is otherwise now. A flow from another port may be sent another way, so that a hop changed only where no router of
    /// before is seen there any more.
    pub fn changes(&self, traced: &Traced<'_>) -> Vec<String> {
        let walks: Vec<_> = traced.walks.iter().map(WalkEntry::of).collect();
        let (before, now) = (routers(&self.walks), routers(&walks));
        let hops: BTreeSet<u8> = before.keys().chain(now.keys()).copied().collect();
        let change = |hop| match (before.get(&hop), now.get(&hop)) {
            (Some(old), Some(new)) if old.is_disjoint(new) => {
                Some(format!("hop {hop}: {}, before {}", listed(new), listed(old)))
            }
            (Some(old), None) => Some(format!("hop {hop}: no router, before {}", listed(old))),
            (None, Some(new)) => Some(format!("hop {hop}: {}, before no router", listed(new))),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let mut changes: Vec<_> = hops.into_iter().filter_map(change).collect();
        for method in ["tcp", "udp"] {
            let (before, now) = (answered(&self.walks, method), answered(&walks, method));
            if before != now {
                changes.push(format!("{method} is answered {}, before {}", at(&now), at(&before)));
            }
        }
        let (before, now) = (self.mtu.as_ref().map(|mtu| mtu.passes_bytes), traced.width.map(Width::mtu));
        if let (Some(before), Some(now)) = (before, now)
            && before != now
        {
            changes.push(format!("packets of {now} bytes pass, before {before}"));
        }
        changes
    }
}

fn listed(routers: &BTreeSet<&str>) -> String {
    routers.iter().map(|router| router.escape_debug().to_string()).collect::<Vec<_>>().join(" or ")
}

fn at(hops: &BTreeSet<u8>) -> String {
    if hops.is_empty() {
        return "nowhere".to_owned();
    }
    format!("at hop {}", hops.iter().map(u8::to_string).collect::<Vec<_>>().join(" or "))
}
