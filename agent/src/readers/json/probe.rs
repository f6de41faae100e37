//! The JSON of `ase-agent probe --output json`, described by `docs/probe.schema.json`.

use std::collections::BTreeMap;

use ase_probes::journal::Entry;
use serde::Serialize;

use super::{
    address::{AddressEntry, UnaskedEntry},
    why::Why,
};
use crate::readers::{probe::Trace, summary::rfc3339};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    class: &'static str,
    target: String,
    endpoint: Option<&'a str>,
    question: String,
    began: String,
    seconds: f64,
    status: &'static str,
    exit_code: u8,
    reason: Option<String>,
    cause: Option<&'static str>,
    summary: Option<&'static str>,
    phase: Option<&'static str>,
    side: Option<&'static str>,
    confidence: Option<&'static str>,
    owner: Option<&'static str>,
    next_step: Option<&'static str>,
    phases_seconds: BTreeMap<&'static str, f64>,
    evidence: Vec<String>,
    addresses: Vec<AddressEntry>,
    untested_addresses: Vec<UnaskedEntry>,
    messages: Vec<MessageEntry>,
    messages_left_out: usize,
}

#[derive(Serialize)]
struct MessageEntry {
    at_seconds: f64,
    flow: u32,
    peer: String,
    layer: &'static str,
    event: &'static str,
    length: Option<usize>,
    words: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl MessageEntry {
    fn of(entry: &Entry, words: Vec<String>, with_bytes: bool) -> Self {
        let message = entry.event.message();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            at_seconds: entry.at.as_secs_f64(),
            flow: entry.flow,
            peer: entry.peer.to_string(),
            layer: entry.layer.label(),
            event: entry.event.label(),
            length: message.map(|message| message.length),
            words,
            hex: message.filter(|_| with_bytes).map(|message| hex(&message.bytes)),
        }
    }
}

/// Renders one visit with its messages as one document; their bytes too, if that is wanted.
pub fn probe_to_json(trace: &Trace<'_>, with_bytes: bool) -> String {
    let (visit, target, why) = (trace.visit, trace.target, Why::of(trace.finding()));
    let document = Document {
        schema: "ase-agent/probe/1",
        version: crate::readers::VERSION,
        class: trace.class,
        target: format!("{}:{}", target.host, target.port),
        endpoint: trace.endpoint.map(|id| &*id.0),
        question: trace.question(),
        began: rfc3339(visit.began),
        seconds: visit.took.as_secs_f64(),
        status: trace.status(),
        exit_code: trace.exit_code(),
        reason: visit.result.err().map(|untested| untested.reason()),
        cause: why.cause,
        summary: why.summary,
        phase: why.phase,
        side: why.side,
        confidence: why.confidence,
        owner: why.owner,
        next_step: why.next_step,
        phases_seconds: visit.phases.iter().map(|(phase, time)| (phase.label(), time.as_secs_f64())).collect(),
        evidence: visit.evidence(),
        addresses: visit.outcomes.iter().map(AddressEntry::of).collect(),
        untested_addresses: visit.unasked.iter().map(UnaskedEntry::of).collect(),
        messages: trace.read().into_iter().map(|(entry, words)| MessageEntry::of(entry, words, with_bytes)).collect(),
        messages_left_out: trace.left_out,
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}
