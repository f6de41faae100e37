//! A journal's entries in words, one after the other: which protocol speaks in which flow, and where its records begin.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Entry, Event, Layer, Message, dns, http,
    records::{Cutter, Head},
    tls,
};
use crate::evidence::Millis;

/// The protocol of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// DNS over either transport.
    Dns,
    /// NTP.
    Ntp,
    /// HTTP, with or without TLS.
    Http,
    /// TDS with TLS inside or around it.
    Tds,
    /// Unknown: a bare connection.
    Any,
}

/// Reads the entries of one journal in order; streams are cut into records as they come.
#[derive(Clone, Debug)]
pub struct Reading {
    dialect: Dialect,
    port: u16,
    streams: BTreeMap<(u32, Layer, bool), Stream>,
    http2: BTreeSet<u32>,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    cutter: Cutter,
    is_encrypted: bool,
}

impl Reading {
    /// For a visit whose question is in this protocol, to this port; datagrams to other ports resolve names.
    pub fn new(dialect: Dialect, port: u16) -> Self {
        Self { dialect, port, streams: BTreeMap::new(), http2: BTreeSet::new() }
    }

    /// The next entry in words: the first line says what it is, those behind it what is in it.
    pub fn lines(&mut self, entry: &Entry) -> Vec<String> {
        let lines = match &entry.event {
            Event::Connecting => vec!["connecting".to_owned()],
            Event::Accepted { round_trip: Some(time) } => vec![format!("accepted, round trip {}", Millis(*time))],
            Event::Accepted { round_trip: None } => vec!["accepted".to_owned()],
            Event::Ended => vec!["the peer ended its side".to_owned()],
            Event::Icmp(icmp) => vec![icmp.to_string()],
            Event::Failed(trouble) => vec![trouble.to_string()],
            Event::Sent(message) => self.message(entry, message, true),
            Event::Received(message) => self.message(entry, message, false),
        };
        if lines.is_empty() { vec!["part of a record".to_owned()] } else { lines }
    }

    fn message(&mut self, entry: &Entry, message: &Message, is_ours: bool) -> Vec<String> {
        let Message { bytes, length } = message;
        match (entry.layer, self.dialect) {
            (Layer::Udp, Dialect::Ntp) if entry.peer.port() == self.port => dns::packet(bytes),
            (Layer::Udp, _) => dns::message(bytes),
            (Layer::Tcp | Layer::Tls, Dialect::Dns) => framed(bytes),
            (Layer::Tcp | Layer::Tls, dialect) => {
                if entry.layer == Layer::Tls && bytes.starts_with(http::PREFACE) {
                    self.http2.insert(entry.flow);
                }
                let is_http2 = entry.layer == Layer::Tls && self.http2.contains(&entry.flow);
                let stream = self.streams.entry((entry.flow, entry.layer, is_ours)).or_default();
                if is_http2 {
                    return stream.http2(message);
                }
                match dialect {
                    Dialect::Tds if stream.is_begun() || tls::is_packet(bytes) => stream.tds(message),
                    Dialect::Http | Dialect::Tds if stream.is_begun() || tls::is_record(bytes) => stream.tls(message),
                    _ => http::head(bytes, *length).unwrap_or_else(|| vec![http::bytes(bytes, *length)]),
                }
            }
        }
    }
}

impl Stream {
    fn is_begun(&self) -> bool {
        self.cutter.is_begun()
    }

    fn http2(&mut self, message: &Message) -> Vec<String> {
        let Some(rest) = message.bytes.strip_prefix(http::PREFACE) else {
            return self.cutter.cut(message, http::FRAME_HEAD, http::frame);
        };
        let rest = Message { bytes: rest.to_vec(), length: message.length - http::PREFACE.len() };
        let mut lines = vec!["HTTP/2: the client's preface".to_owned()];
        lines.extend(self.cutter.cut(&rest, http::FRAME_HEAD, http::frame));
        lines
    }

    fn tls(&mut self, message: &Message) -> Vec<String> {
        let is_encrypted = &mut self.is_encrypted;
        self.cutter.cut(message, tls::RECORD_HEAD, |record| tls::record(record, is_encrypted))
    }

    /// Packets, and TLS without them once the handshake is done.
    fn tds(&mut self, message: &Message) -> Vec<String> {
        self.cutter.cut(message, tls::PACKET_HEAD, |record| match record {
            record if tls::is_record(record) => {
                let Head { length, words } = tls::record(record, &mut true);
                Head { length: (length + tls::RECORD_HEAD).saturating_sub(tls::PACKET_HEAD), words }
            }
            record => tls::packet(record),
        })
    }
}

/// A DNS message behind its length (RFC 7766 section 8), or one of the two alone.
fn framed(bytes: &[u8]) -> Vec<String> {
    match bytes {
        [a, b] => vec![format!("a length: {} bytes follow", u16::from_be_bytes([*a, *b]))],
        [a, b, message @ ..] if usize::from(u16::from_be_bytes([*a, *b])) == message.len() => dns::message(message),
        message => dns::message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn entry(layer: Layer, port: u16, event: Event) -> Entry {
        Entry { at: Duration::ZERO, flow: 1, peer: ([10, 0, 0, 4], port).into(), layer, event }
    }

    fn whole(bytes: &[u8]) -> Message {
        Message { bytes: bytes.to_vec(), length: bytes.len() }
    }

    #[test]
    fn datagrams_to_the_time_server_are_time_and_others_are_names() {
        let mut reading = Reading::new(Dialect::Ntp, 123);
        let packet = [&[0x23][..], &[0; 47]].concat();
        let sent = |port| entry(Layer::Udp, port, Event::Sent(whole(&packet)));
        assert_eq!(reading.lines(&sent(123)), ["NTP question, version 4"]);
        assert_ne!(reading.lines(&sent(53)), ["NTP question, version 4"]);
    }

    #[test]
    fn records_in_both_directions_of_a_connection_are_cut_apart() {
        let mut reading = Reading::new(Dialect::Http, 443);
        let mut lines = |event| reading.lines(&entry(Layer::Tcp, 443, event));
        assert_eq!(lines(Event::Sent(whole(&[0x17, 3, 3, 0, 2, 9]))), ["TLS: encrypted, 2 bytes"]);
        assert_eq!(lines(Event::Received(whole(&[0x15, 3, 3, 0, 2, 2, 40]))), ["TLS: alert 40, fatal"]);
        assert_eq!(lines(Event::Sent(whole(&[9, 0x17]))), ["1 more bytes of the record before"]);
        assert_eq!(lines(Event::Sent(whole(&[3, 3, 0, 0]))), ["TLS: encrypted, 0 bytes"]);
        assert_eq!(lines(Event::Ended), ["the peer ended its side"]);
    }

    #[test]
    fn an_answer_in_clear_where_tls_was_asked_is_shown_as_what_it_is() {
        let mut reading = Reading::new(Dialect::Http, 443);
        let page = Event::Received(whole(b"HTTP/1.1 403 Forbidden\r\n\r\n"));
        assert_eq!(reading.lines(&entry(Layer::Tcp, 443, page)), ["HTTP/1.1 403 Forbidden"]);
        let mut reading = Reading::new(Dialect::Any, 22);
        let greeting = Event::Received(whole(b"SSH-2.0-x\r\n"));
        assert_eq!(reading.lines(&entry(Layer::Tcp, 22, greeting)), ["11 bytes: SSH-2.0-x\\r\\n"]);
    }

    #[test]
    fn http2_is_known_by_its_preface_in_both_directions() {
        let mut reading = Reading::new(Dialect::Http, 443);
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let ours = [http::PREFACE, &settings].concat();
        let sent = reading.lines(&entry(Layer::Tls, 443, Event::Sent(whole(&ours))));
        assert_eq!(sent, ["HTTP/2: the client's preface", "HTTP/2: SETTINGS, 0 bytes"]);
        let came = reading.lines(&entry(Layer::Tls, 443, Event::Received(whole(&settings))));
        assert_eq!(came, ["HTTP/2: SETTINGS, 0 bytes"]);
    }
}
