//! One row of the bench: who is asked what, how the peer behaves step by step, and what must be said of it; read from the
//! data files in `tests/reliability`, where one row with `each` stands for one row per variant.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use ase_agent::net::duration::HumanDuration;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{bytes::Bytes, chain::Tls, expected::Expected};

/// The time of one visit where a row says nothing else.
const WITHIN: Duration = Duration::from_secs(2);
/// The same where the peer sends as fast as it can: a busy machine needs a while to move what a limit allows.
const WITHIN_FLOOD: Duration = Duration::from_secs(8);
/// The most that a peer can get rid of where a row says nothing else, in bytes: the largest budget of a probe is 512 KiB for
/// head and body, and up to 6 MiB wait in the agent's socket (tcp(7), `tcp_rmem`).
const MOST: u64 = 8 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A DNS server, for an address.
    Dns,
    /// A name, of a DNS server that is the peer; then the port of whatever address it gives.
    Names,
    /// A time server.
    Ntp,
    /// A page in clear.
    Http,
    /// A page over TLS.
    Https,
    /// SQL Server.
    Sql,
    /// An endpoint of the class monitoring: an accept and what the peer says by itself.
    Monitoring,
    /// A TCP port.
    Tcp,
}

impl Kind {
    /// The word in the table.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Names => "names",
            Self::Ntp => "ntp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Sql => "sql",
            Self::Monitoring => "monitoring",
            Self::Tcp => "tcp",
        }
    }
}

/// How the question differs from the usual one of its kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Ask {
    /// DNS: any answer of the server will do.
    #[serde(default)]
    pub(super) server: bool,
    /// DNS: over TCP.
    #[serde(default)]
    pub(super) tcp: bool,
    /// HTTP: the statuses that prove it.
    #[serde(default)]
    pub(super) status: Vec<u16>,
    /// HTTP: the text that proves it.
    #[serde(default)]
    pub(super) contains: Option<String>,
    /// HTTP: a revocation list is due.
    #[serde(default)]
    pub(super) crl: bool,
    /// SQL: TLS first.
    #[serde(default)]
    pub(super) strict: bool,
}

/// Who listens at the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Listens {
    /// The peer.
    #[default]
    Peer,
    /// Nobody.
    Nobody,
    /// A socket whose queue is full: what knocks is dropped.
    Full,
}

/// One step of a peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// It reads.
    Read(Until),
    /// It sends.
    Send(Bytes),
    /// It sends the same again and again.
    Flood(Flood),
    /// It sends from another port; over UDP only.
    Elsewhere(Bytes),
    /// It waits.
    Wait(HumanDuration),
    /// It does nothing more, and reads nothing more, until the agent leaves.
    Hold,
    /// It ends its side and reads on until the agent leaves.
    HalfClose,
    /// It ends the connection by FIN.
    Close,
    /// It ends the connection by RST.
    Reset,
    /// It shakes hands; what follows happens inside.
    Tls(Tls),
    /// It shakes hands inside TDS packets; what follows happens inside.
    TdsTls(Tls),
}

/// How far a peer reads.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Until {
    /// Whatever comes first.
    Some,
    /// To the empty line behind the head of a request.
    Head,
    /// A message with its length in two bytes before it.
    Framed,
}

/// What is sent again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flood {
    /// What.
    pub(super) send: Bytes,
    /// How often at most; without it, for as long as the agent takes it.
    #[serde(default)]
    pub(super) times: Option<usize>,
    /// The pause between two.
    #[serde(default)]
    pub(super) every: Option<HumanDuration>,
}

/// One row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// What the peer does, in words.
    pub(super) name: String,
    /// What is asked.
    pub(super) kind: Kind,
    /// How the question differs.
    #[serde(default)]
    pub(super) ask: Ask,
    /// The time of the visit.
    #[serde(default)]
    within: Option<HumanDuration>,
    /// Who listens.
    #[serde(default)]
    pub(super) listens: Listens,
    /// What the peer does with every connection; with every datagram where it is asked over UDP.
    #[serde(default)]
    pub(super) peer: Vec<Step>,
    /// What a peer that is asked over UDP does with TCP connections to the same port; without it nobody listens there.
    #[serde(default)]
    pub(super) stream: Option<Vec<Step>>,
    /// What must be said.
    pub(super) expect: Expected,
    /// Words that the evidence must hold.
    #[serde(default)]
    pub(super) says: Option<String>,
    /// The most that the peer can get rid of, in bytes.
    #[serde(default)]
    most: Option<u64>,
    /// Why this row is known not to hold.
    #[serde(default)]
    pub(super) open: Option<String>,
}

impl Row {
    /// The time of the visit.
    pub(super) fn within(&self) -> Duration {
        let usual = if self.floods() { WITHIN_FLOOD } else { WITHIN };
        self.within.map_or(usual, |within| within.0)
    }

    /// Whether the peer sends as fast as it can.
    pub(super) fn floods(&self) -> bool {
        let floods = |step: &Step| matches!(step, Step::Flood(flood) if flood.every.is_none());
        self.peer.iter().chain(self.stream.iter().flatten()).any(floods)
    }

    /// The most that the peer can get rid of, in bytes.
    pub(super) fn most(&self) -> u64 {
        self.most.unwrap_or(MOST)
    }

    /// Whether it is asked over UDP.
    pub(super) fn is_udp(&self) -> bool {
        match self.kind {
            Kind::Dns => !self.ask.tcp,
            Kind::Names | Kind::Ntp => true,
            Kind::Http | Kind::Https | Kind::Sql | Kind::Monitoring | Kind::Tcp => false,
        }
    }
}

/// What has a name that nothing else in its folder may have.
pub(super) trait Named: DeserializeOwned {
    /// The name, with its kind.
    fn called(&self) -> String;
}

impl Named for Row {
    fn called(&self) -> String {
        format!("{}: {}", self.kind.label(), self.name)
    }
}

/// Reads all rows of a folder, in the order of its files' names; none where there is no such folder.
///
/// # Errors
/// A file that cannot be read, a row that is none, two rows of one name.
pub(super) fn read<T: Named>(folder: &Path) -> Result<Vec<T>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut rows: Vec<T> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        rows.extend(parse(&text).with_context(|| file.display().to_string())?);
    }
    let mut names = BTreeSet::new();
    for name in rows.iter().map(T::called) {
        ensure!(names.insert(name.clone()), "two rows are called `{name}`");
    }
    Ok(rows)
}

/// Reads one file.
///
/// # Errors
/// What is no row, with its name.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    let document: Vec<Map<String, Value>> = serde_saphyr::from_str(text)?;
    let mut rows = Vec::new();
    for template in document {
        for row in variants(template)? {
            let name = row.get("name").map(Value::to_string).unwrap_or_default();
            rows.push(serde_json::from_value(Value::Object(row)).with_context(|| format!("row {name}"))?);
        }
    }
    Ok(rows)
}

/// A row, or one for each element of its list `each`, in which `$KEY` stands for the element's value.
fn variants(mut template: Map<String, Value>) -> Result<Vec<Map<String, Value>>> {
    let each = match template.remove("each") {
        None => return Ok(vec![template]),
        Some(Value::Array(each)) => each,
        Some(other) => bail!("each ({other}) must be a list"),
    };
    let mut made = Vec::new();
    for variant in each {
        let Value::Object(variant) = variant else { bail!("each ({variant}) must list maps") };
        let filled = template.iter().map(|(key, value)| (key.clone(), filled(value, &variant)));
        made.push(filled.collect());
    }
    Ok(made)
}

/// A value with the variant's words in it: `$KEY` alone becomes the value, within a text its text.
fn filled(value: &Value, variant: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            if let Some(whole) = text.strip_prefix('$').and_then(|key| variant.get(key)) {
                return whole.clone();
            }
            let mut text = text.clone();
            for (key, value) in variant {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text = text.replace(&format!("${key}"), &shown);
            }
            Value::String(text)
        }
        Value::Array(list) => Value::Array(list.iter().map(|value| filled(value, variant)).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), filled(value, variant))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_stands_for_one_per_variant() {
        let text = "- {name: cut after $at of $what, kind: dns, each: [{at: 3, what: x}, {at: 12, what: z}],\n   \
            peer: [{send: {changed: {of: {dns: {}}, cut: $at}}}], expect: failed protocol_violation}\n\
            - {name: alone, kind: tcp, expect: healthy}\n";
        let rows: Vec<Row> = parse(text).expect(text);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["cut after 3 of x", "cut after 12 of z", "alone"]);
        assert_eq!((rows[0].within(), rows[0].is_udp(), rows[2].is_udp()), (WITHIN, true, false));
    }

    #[test]
    fn what_is_no_row_is_named() {
        for (text, words) in [
            ("- {name: a, kind: dns, expect: fine}", "fine"),
            ("- {name: a, kind: gopher, expect: healthy}", "gopher"),
            ("- {name: a, kind: dns, expect: healthy, colour: red}", "colour"),
            ("- {name: a, kind: dns, expect: healthy, each: 3}", "must be a list"),
        ] {
            let error = format!("{:#}", parse::<Row>(text).expect_err(text));
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn every_row_of_the_bench_is_whole() {
        let rows: Vec<Row> = read(&super::super::folder()).expect("the rows can be read");
        assert!(rows.len() >= 200, "{} rows", rows.len());
        for row in &rows {
            assert!(!row.is_udp() || row.listens != Listens::Full, "{}: datagrams have no queue of knocks", row.name);
        }
    }
}
