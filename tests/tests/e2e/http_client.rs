//! One HTTP request over loopback, for looking at the agent's own pages.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A status code and a body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) code: u16,
    pub(crate) body: String,
}

/// Sends a request; `None` while nobody listens.
pub(crate) fn request(method: &str, address: SocketAddr, path: &str) -> Option<Response> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { code, body: body.to_owned() })
}

/// Fetches a page.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<Response> {
    request("GET", address, path)
}

/// Fetches the agent's status document.
pub(crate) fn status(address: SocketAddr) -> Option<serde_json::Value> {
    serde_json::from_str(&get(address, "/api/v1/status").filter(|response| response.code == 200)?.body).ok()
}

/// The status of one endpoint and its cause.
pub(crate) fn standing(status: &serde_json::Value, id: &str) -> (String, Option<String>) {
    let endpoints = status["endpoints"].as_array().expect("the document lists endpoints");
    let endpoint = endpoints.iter().find(|endpoint| endpoint["id"] == id).unwrap_or_else(|| panic!("{id} is listed"));
    let text = |key: &str| endpoint[key].as_str().map(str::to_owned);
    (text("status").expect("every endpoint has a status"), text("cause"))
}
