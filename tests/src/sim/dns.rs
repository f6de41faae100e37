//! A DNS server with a map of names: the custom DNS and Azure DNS of the lab.

mod broken;
mod mood;

pub use self::mood::{Breakage, EdnsRefusal, Mood, Stream};

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use ase_probes::clock;
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Behaviour, End, Running,
    listening::{self, Datagram},
};

/// Time to live of every record, in seconds.
const TTL: u32 = 60;
/// What a datagram may hold for a client without EDNS, in bytes (RFC 1035 section 4.2.1).
const SMALL: usize = 512;

/// What the server knows of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    /// The canonical names below it, in order.
    pub chain: Vec<String>,
    /// The addresses at the end.
    pub addresses: Vec<IpAddr>,
}

impl Entry {
    /// A name with these addresses.
    pub fn at(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { chain: Vec::new(), addresses: addresses.into_iter().collect() }
    }
}

/// The names a server knows; lower case, without the final dot.
pub type Zone = BTreeMap<String, Entry>;

/// The answers of the present second, for servers that limit them.
#[derive(Debug)]
struct Rate(Mutex<(Instant, u32)>);

impl Rate {
    /// Whether one more answer is within the limit of this second.
    fn allows(&self, per_second: u32) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.0.elapsed() >= Duration::from_secs(1) {
            *second = (clock::now(), 0);
        }
        second.1 += 1;
        second.1 <= per_second
    }
}

/// How often each name was asked for, for servers that give its addresses in turn.
#[derive(Debug, Default)]
struct Turns(Mutex<BTreeMap<String, usize>>);

impl Turns {
    /// The zone as this question finds it: one of the addresses of each name that rotates.
    fn next(&self, question: &[u8], names: &Zone) -> Zone {
        let Some(name) = asked_name(question) else { return names.clone() };
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(name.clone()).or_default();
        *turn += 1;
        let one = |entry: &Entry| Entry {
            addresses: entry.addresses.iter().copied().cycle().nth(*turn).into_iter().collect(),
            ..entry.clone()
        };
        names.get(&name).map(|entry| Zone::from([(name, one(entry))])).unwrap_or_default()
    }

    /// The mood as this question finds it.
    fn of(&self, question: &[u8], mood: Mood) -> Mood {
        match mood {
            Mood::Rotates { names } => Mood::Says { names: self.next(question, &names) },
            other => other,
        }
    }
}

/// The name that a question asks for addresses of IPv4.
fn asked_name(question: &[u8]) -> Option<String> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first().filter(|query| query.query_type() == RecordType::A)?;
    Some(query.name().to_lowercase().to_ascii().trim_end_matches('.').to_owned())
}

/// The first address of a name.
pub fn first(zone: &Zone, name: &str) -> Option<IpAddr> {
    zone.get(name)?.addresses.first().copied()
}

/// Starts a server on UDP and TCP.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, zone: Behaviour<Arc<Zone>>, mood: Behaviour<Mood>) -> Result<Vec<Running>> {
    let rate = Arc::new(Rate(Mutex::new((clock::now(), 0))));
    let turns = Arc::new(Turns::default());
    let names = zone.clone();
    let datagrams = listening::udp(address, mood.clone(), Mood::is_absent, move |question, mood| {
        let mood = turns.of(&question.bytes, mood);
        by_datagram(question, names.get(), mood, Arc::clone(&rate))
    });
    let streams = listening::tcp(address, mood, Mood::refuses_streams, move |stream, mood| {
        let zone = zone.get();
        async move { by_stream(stream, zone, mood).await.unwrap_or_default() }
    });
    Ok(vec![datagrams.await?, streams.await?])
}

async fn by_datagram(question: Datagram, zone: Arc<Zone>, mood: Mood, rate: Arc<Rate>) {
    if matches!(mood, Mood::RateLimited { per_second } if !rate.allows(per_second)) {
        return;
    }
    tokio::time::sleep(mood.delay()).await;
    let Some(reply) = answer(&question.bytes, &zone, &mood, true) else { return };
    question.answer(&reply).await;
    match mood {
        Mood::Twice => question.answer(&reply).await,
        Mood::Raced => {
            if let Some(denial) = answer(&question.bytes, &Zone::new(), &mood, true) {
                question.answer(&denial).await;
            }
        }
        _ => {}
    }
}

async fn by_stream(mut stream: TcpStream, zone: Arc<Zone>, mood: Mood) -> Option<()> {
    if mood.stream() == Stream::Silent {
        return End::Silence.of(stream).await.ok();
    }
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.ok()?;
        tokio::time::sleep(mood.delay()).await;
        let Some(reply) = answer(&question, &zone, &mood, false) else {
            return std::future::pending().await;
        };
        // One write: two make two segments, and Nagle's delay between them.
        let length = u16::try_from(reply.len()).ok()?.to_be_bytes();
        stream.write_all(&[&length[..], &reply].concat()).await.ok()?;
    }
}

fn answer(question: &[u8], zone: &Zone, mood: &Mood, is_datagram: bool) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let name = query.name().to_lowercase().to_ascii();
    let name = name.trim_end_matches('.');
    if let (Mood::EdnsIntolerant { refusal }, Some(_)) = (mood, &asked.edns) {
        return broken::edns_refused(*refusal, &asked);
    }
    let mut reply = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    reply.metadata.recursion_desired = asked.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    match mood {
        Mood::Silent | Mood::Absent => return None,
        Mood::ServFail | Mood::ServFailSlowly { .. } => reply.metadata.response_code = ResponseCode::ServFail,
        Mood::Refuses => reply.metadata.response_code = ResponseCode::Refused,
        Mood::Truncates { .. } if is_datagram => reply.metadata.truncation = true,
        Mood::Fails { names } if mood::concerns(names, name) => {
            reply.metadata.response_code = ResponseCode::ServFail;
        }
        Mood::Denies { names } if mood::concerns(names, name) => deny(&mut reply, query.name()),
        Mood::Empties { names } if mood::concerns(names, name) => reply.authorities.extend(authority(query.name())),
        Mood::Says { names } => {
            let said = names.get(name).map(|entry| mood::said(zone, name, entry));
            fill(&mut reply, query.name(), query.query_type(), said.as_ref().unwrap_or(zone));
        }
        Mood::Rewrites { address, lost } if !zone.contains_key(name) || lost.iter().any(|of| of == name) => {
            let invented = Zone::from([(name.to_owned(), Entry::at([*address]))]);
            fill(&mut reply, query.name(), query.query_type(), &invented);
        }
        Mood::Chains { length, wide } => {
            fill(&mut reply, query.name(), query.query_type(), &mood::chained(zone, name, *length, *wide));
        }
        _ => fill(&mut reply, query.name(), query.query_type(), zone),
    }
    reply.add_query(query);
    if let Some(edns) = asked.edns {
        reply.set_edns(edns);
    }
    let room = reply.edns.as_ref().map_or(SMALL, |edns| usize::from(edns.max_payload()).max(SMALL));
    let mut bytes = reply.to_vec().ok()?;
    if is_datagram && bytes.len() > room {
        reply.metadata.truncation = true;
        reply.answers.clear();
        bytes = reply.to_vec().ok()?;
    }
    Some(if let Mood::Broken { how } = mood { broken::made(bytes, *how) } else { bytes })
}

fn fill(reply: &mut Message, name: &Name, kind: RecordType, zone: &Zone) {
    let asked = name.to_lowercase().to_ascii();
    let Some(entry) = zone.get(asked.trim_end_matches('.')) else { return deny(reply, name) };
    let mut owner = name.clone();
    for alias in &entry.chain {
        let Ok(target) = Name::from_ascii(format!("{alias}.")) else { return };
        reply.answers.push(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(target.clone()))));
        owner = target;
    }
    let data = entry.addresses.iter().filter_map(|address| match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
        _ => None,
    });
    let before = reply.answers.len();
    reply.answers.extend(data.map(|data| Record::from_rdata(owner.clone(), TTL, data)));
    if reply.answers.len() == before {
        reply.authorities.extend(authority(name));
    }
}

fn deny(reply: &mut Message, name: &Name) {
    reply.metadata.response_code = ResponseCode::NXDomain;
    reply.authorities.extend(authority(name));
}

/// The SOA record of the name's parent, for answers without addresses.
fn authority(name: &Name) -> Option<Record> {
    let zone = name.base_name();
    let host = Name::from_ascii("ns.lab.").ok()?;
    Some(Record::from_rdata(zone, TTL, RData::SOA(SOA::new(host.clone(), host, 1, 3600, 600, 86400, 60))))
}
