//! A DNS server with a map of names: the custom DNS and Azure DNS of the lab.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::Result;
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::{Behaviour, Running};

/// Time to live of every record, in seconds.
const TTL: u32 = 60;

/// What the server knows of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// How the server treats every question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Good,
    /// It cannot find out.
    ServFail,
    /// It does not want to.
    Refuses,
    /// It says nothing.
    Silent,
    /// It cuts answers over UDP.
    Truncates,
    /// It answers, and somebody on the path answers too, with a denial.
    Raced,
}

/// The names a server knows; lower case, without the final dot.
pub type Zone = BTreeMap<String, Entry>;

/// Starts a server on UDP and TCP.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, zone: Behaviour<Arc<Zone>>, mood: Behaviour<Mood>) -> Result<Vec<Running>> {
    let udp = UdpSocket::bind(address).await?;
    let tcp = TcpListener::bind(udp.local_addr()?).await?;
    let (udp_zone, udp_mood) = (zone.clone(), mood.clone());
    let datagrams = Running::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = udp.recv_from(&mut buffer).await {
            let (zone, mood) = (udp_zone.get(), udp_mood.get());
            if let Some(reply) = answer(&buffer[..len], &zone, mood, true) {
                drop(udp.send_to(&reply, from).await);
            }
            if let Some(denial) = answer(&buffer[..len], &Zone::new(), mood, true).filter(|_| mood == Mood::Raced) {
                drop(udp.send_to(&denial, from).await);
            }
        }
    });
    let streams = Running::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            tokio::spawn(serve(stream, zone.get(), mood.get()));
        }
    });
    Ok(vec![datagrams, streams])
}

async fn serve(mut stream: TcpStream, zone: Arc<Zone>, mood: Mood) -> Option<()> {
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.ok()?;
        let Some(reply) = answer(&question, &zone, mood, false) else {
            return std::future::pending().await;
        };
        stream.write_u16(u16::try_from(reply.len()).ok()?).await.ok()?;
        stream.write_all(&reply).await.ok()?;
    }
}

fn answer(question: &[u8], zone: &Zone, mood: Mood, is_datagram: bool) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let mut reply = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    reply.metadata.recursion_desired = asked.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    match mood {
        Mood::Silent => return None,
        Mood::ServFail => reply.metadata.response_code = ResponseCode::ServFail,
        Mood::Refuses => reply.metadata.response_code = ResponseCode::Refused,
        Mood::Truncates if is_datagram => reply.metadata.truncation = true,
        Mood::Good | Mood::Truncates | Mood::Raced => fill(&mut reply, query.name(), query.query_type(), zone),
    }
    reply.add_query(query);
    if let Some(edns) = asked.edns {
        reply.set_edns(edns);
    }
    reply.to_vec().ok()
}

fn fill(reply: &mut Message, name: &Name, kind: RecordType, zone: &Zone) {
    let asked = name.to_lowercase().to_ascii();
    let Some(entry) = zone.get(asked.trim_end_matches('.')) else {
        reply.metadata.response_code = ResponseCode::NXDomain;
        reply.authorities.extend(authority(name));
        return;
    };
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

/// The SOA record of the name's parent, for answers without addresses.
fn authority(name: &Name) -> Option<Record> {
    let zone = name.base_name();
    let host = Name::from_ascii("ns.lab.").ok()?;
    Some(Record::from_rdata(zone, TTL, RData::SOA(SOA::new(host.clone(), host, 1, 3600, 600, 86400, 60))))
}
