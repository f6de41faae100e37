//! What went over the wire, message by message with its time, for whoever wants to see an exchange and not only what it
//! means. Nothing is noted unless the [`Egress`](crate::egress::Egress) of an attempt carries a journal.

mod dns;
mod http;
mod reading;
mod records;
mod tls;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use self::reading::{Dialect, Reading};
use crate::{
    clock,
    evidence::{IcmpError, Trouble},
};

/// Bytes kept of one message: a whole flight of a handshake, or the heads of most answers.
const MESSAGE_LIMIT: usize = 4096;
/// Bytes kept of all messages together: some thirty full ones.
const TOTAL_LIMIT: usize = 128 * 1024;
/// Entries kept: an exchange has a few dozen, and a peer that drips bytes must not fill the memory.
const ENTRY_LIMIT: usize = 1000;

/// Where a message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A datagram.
    Udp,
    /// A stretch of a TCP stream, as it was sent or read in one go.
    Tcp,
    /// A stretch of the stream inside TLS, in clear.
    Tls,
}

impl Layer {
    /// Returns the word used in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A message, or as much of it as is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its first bytes, at most 4096.
    pub bytes: Vec<u8>,
    /// How many it has.
    pub length: usize,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A SYN left.
    Connecting,
    /// Somebody accepted the connection.
    Accepted {
        /// The kernel's own round trip of the SYN.
        round_trip: Option<Duration>,
    },
    /// We sent this.
    Sent(Message),
    /// This came.
    Received(Message),
    /// The peer ended its side of the connection.
    Ended,
    /// An ICMP message came for the flow.
    Icmp(IcmpError),
    /// The flow ended by this.
    Failed(Trouble),
}

impl Event {
    /// Returns the word used in documents.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Accepted { .. } => "accepted",
            Self::Sent(_) => "sent",
            Self::Received(_) => "received",
            Self::Ended => "ended",
            Self::Icmp(_) => "icmp",
            Self::Failed(_) => "failed",
        }
    }

    /// The message that was sent or received.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Sent(message) | Self::Received(message) => Some(message),
            Self::Connecting | Self::Accepted { .. } | Self::Ended | Self::Icmp(_) | Self::Failed(_) => None,
        }
    }
}

/// One event of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Time since the journal was begun.
    pub at: Duration,
    /// The flow's number: each connection and each UDP socket has its own, from 1 on.
    pub flow: u32,
    /// The flow's peer.
    pub peer: SocketAddr,
    /// Where it was seen.
    pub layer: Layer,
    /// What happened.
    pub event: Event,
}

/// Notes of all flows of one visit; clones share it.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    entries: Vec<Entry>,
    flows: u32,
    kept: usize,
    left_out: usize,
}

/// Two journals are the same where what is noted in one stands in the other.
impl PartialEq for Journal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Journal {}

impl Journal {
    /// Begins an empty journal, now.
    pub fn begin() -> Self {
        Self(Arc::new(Shared { began: clock::now(), notes: Mutex::default() }))
    }

    /// Everything that was noted so far, in order of time.
    pub fn entries(&self) -> Vec<Entry> {
        self.notes().entries.clone()
    }

    /// How many further events are not kept, because there were more than 1000.
    pub fn left_out(&self) -> usize {
        self.notes().left_out
    }

    /// The page of a new flow.
    pub(crate) fn page(&self, peer: SocketAddr) -> Page {
        let mut notes = self.notes();
        notes.flows += 1;
        Page { journal: self.clone(), flow: notes.flows, peer }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// The part of a message that is kept.
    fn keep(&mut self, bytes: &[u8]) -> Message {
        let room = MESSAGE_LIMIT.min(TOTAL_LIMIT - self.kept).min(bytes.len());
        self.kept += room;
        Message { bytes: bytes[..room].to_vec(), length: bytes.len() }
    }
}

/// Where the events of one flow are noted.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    journal: Journal,
    flow: u32,
    peer: SocketAddr,
}

impl Page {
    /// Notes that bytes were sent.
    pub(crate) fn sent(&self, layer: Layer, bytes: &[u8]) {
        self.write(layer, |notes| Event::Sent(notes.keep(bytes)));
    }

    /// Notes that bytes came.
    pub(crate) fn received(&self, layer: Layer, bytes: &[u8]) {
        self.write(layer, |notes| Event::Received(notes.keep(bytes)));
    }

    /// Notes anything else.
    pub(crate) fn note(&self, layer: Layer, event: Event) {
        self.write(layer, |_| event);
    }

    fn write(&self, layer: Layer, event: impl FnOnce(&mut Notes) -> Event) {
        let at = self.journal.0.began.elapsed();
        let mut notes = self.journal.notes();
        if notes.entries.len() == ENTRY_LIMIT {
            notes.left_out += 1;
            return;
        }
        let event = event(&mut notes);
        notes.entries.push(Entry { at, flow: self.flow, peer: self.peer, layer, event });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ([u8; 4], u16) = ([10, 0, 0, 4], 53);

    #[test]
    fn a_flood_of_bytes_and_of_messages_is_counted_and_not_kept() {
        let journal = Journal::begin();
        let page = journal.page(PEER.into());
        for _ in 0..ENTRY_LIMIT + 5 {
            page.received(Layer::Tcp, &[b'x'; 3 * MESSAGE_LIMIT]);
        }
        let entries = journal.entries();
        assert_eq!((entries.len(), journal.left_out()), (ENTRY_LIMIT, 5));
        let messages = || entries.iter().filter_map(|entry| entry.event.message());
        assert_eq!(messages().map(|message| message.bytes.len()).sum::<usize>(), TOTAL_LIMIT);
        assert!(messages().all(|message| message.length == 3 * MESSAGE_LIMIT));
    }

    #[test]
    fn each_flow_has_a_number_and_its_events_stand_in_order() {
        let journal = Journal::begin();
        let (one, other) = (journal.page(PEER.into()), journal.page(PEER.into()));
        other.note(Layer::Tcp, Event::Connecting);
        one.sent(Layer::Udp, b"question");
        other.note(Layer::Tcp, Event::Ended);
        let entries = journal.entries();
        assert_eq!(entries.iter().map(|entry| entry.flow).collect::<Vec<_>>(), [2, 1, 2]);
        assert!(entries.is_sorted_by_key(|entry| entry.at));
    }
}
