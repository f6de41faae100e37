//! HTTP as far as the lab needs it to look at its own programs and to be told by one: no encryption, no second request.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use ase_probes::clock;
use serde_json::Value;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest body that is taken, in bytes: the status of 10 000 endpoints is about 9 MiB.
const MAX_BODY: usize = 64 << 20;

/// Fetches a page; `None` while nobody listens or the answer is not 200.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    get_within(PATIENCE, address, path)
}

/// Fetches a page from somebody who may be slow: `patience` is the longest wait for anything to come.
pub fn get_within(patience: Duration, address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    // In version 1.0 the end of the connection is the end of the body.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.take(MAX_BODY as u64).read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).is_some_and(|code| code == "200").then(|| body.to_owned())
}

/// Fetches a JSON document.
pub fn get_json(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get(address, path)?).ok()
}

/// Writes a text so that it can stand in a query.
pub fn escaped(text: &str) -> String {
    let one =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// What the receiver was told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// When.
    pub at: Instant,
    /// The path: which receiver.
    pub path: String,
    /// Alertmanager's document.
    pub document: Value,
}

impl Notice {
    /// Whether it says that something fires; else it says that all of it is over.
    pub fn is_firing(&self) -> bool {
        self.document["status"] == "firing"
    }

    /// The alerts in it.
    pub fn alerts(&self) -> &[Value] {
        self.document["alerts"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// A webhook receiver. It listens until the process ends.
#[derive(Clone, Debug, Default)]
pub struct Receiver(Arc<Mutex<Vec<Notice>>>);

impl Receiver {
    /// Starts one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let this = Self::default();
        let receiver = this.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A request that breaks off is Alertmanager's to send again.
                drop(receiver.take(stream));
            }
        });
        Ok(this)
    }

    /// What came so far.
    pub fn notices(&self) -> Vec<Notice> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Notice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?.take(MAX_BODY as u64));
        let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if path.is_empty() {
                text.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
            }
            if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.parse()?;
            }
        }
        let mut body = vec![0; MAX_BODY.min(length)];
        reader.read_exact(&mut body)?;
        let notice = Notice { at: clock::now(), path, document: serde_json::from_slice(&body)? };
        self.lock().push(notice);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(())
    }
}
