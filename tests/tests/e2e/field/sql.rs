//! SQL servers as they are: old ones, ones that force strict encryption, ones without any.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::json;

use super::{
    pki::{P384, P521, Pki, RSA_1024, RSA_2048, Wish},
    world::{Checked, World},
};

const DB: &str = "{host: db.example, class: sql}";
/// Packet types of MS-TDS 2.2.3.1.1: the server's reply, and PRELOGIN with the TLS records behind it.
const REPLY: u8 = 0x04;
const PRELOGIN: u8 = 0x12;
/// Answers to the option ENCRYPTION (MS-TDS 2.2.6.5).
const OFF: u8 = 0;
const ON: u8 = 1;
const NOT_SUPPORTED: u8 = 2;

fn check(world: &World, authorities: &str) -> Checked {
    let file = world.folder.path().join(format!("{authorities}.pem"));
    world.check_with(DB, &format!("ca: {{system: false, file: {}}}", file.display()))
}

/// One packet, the only one of its message.
fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(8 + payload.len()).expect("a test's packet is short").to_be_bytes();
    [&[kind, 1, high, low, 0, 0, 1, 0], payload].concat()
}

/// The payload of the client's next packet; `None` at its end, or where it speaks another protocol.
fn payload(client: &mut impl Read) -> Option<Vec<u8>> {
    let mut header = [0; 8];
    client.read_exact(&mut header).ok()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let mut payload = vec![0; (header[0] == PRELOGIN).then_some(length)?.checked_sub(8)?];
    client.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// Answers PRELOGIN: version 12.0.6436 and this encryption.
fn greets(client: &mut (impl Read + Write), encryption: u8) -> Option<()> {
    payload(client)?;
    let options = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 12, 0, 0x19, 0x24, 0, 0, encryption];
    client.write_all(&packet(REPLY, &options)).ok()
}

/// Answers PRELOGIN, and passes the TLS inside TDS packets on to a server of plain TLS. Alerts are kept back where asked.
fn fronts(mut client: TcpStream, server: TcpStream, keeps_alerts: bool) {
    if greets(&mut client, ON).is_none() {
        return;
    }
    let (mut from, mut to) = (server.try_clone().expect("a socket can be shared"), server);
    let mut back = client.try_clone().expect("a socket can be shared");
    let answers = thread::spawn(move || {
        let mut bytes = [0; 4000];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if keeps_alerts && bytes[0] == 0x15 {
                break;
            }
            drop(back.write_all(&packet(PRELOGIN, &bytes[..count])));
        }
        drop(back.shutdown(Shutdown::Both));
    });
    while let Some(records) = payload(&mut client) {
        drop(to.write_all(&records));
    }
    drop(to.shutdown(Shutdown::Write));
    drop(answers.join());
}

fn db(key: &'static [&'static str]) -> Wish<'static> {
    Wish {
        key,
        subject: "/CN=db.example",
        extensions: "basicConstraints=CA:FALSE\nsubjectAltName=DNS:db.example",
        ..Wish::default()
    }
}

/// A network with a SQL server whose TLS is openssl's, under these arguments; what is said of it.
fn served(wish: Wish<'_>, arguments: &[&str], keeps_alerts: bool) -> Option<Checked> {
    let world = World::new()?;
    let pki = Pki::new(&world)?;
    world.plain_names(&["db.example"]);
    pki.issue("leaf", "ca", wish);
    let _server = pki.serve(4433, &["leaf"], arguments);
    let dial = world.dialer("127.0.0.1", 4433);
    world.tcp("20.1.1.1", 1433, move |stream| fronts(stream, dial(), keeps_alerts));
    Some(check(&world, "ca"))
}

fn blames(checked: &Checked, cause: &str, side: &str) {
    let incident = &checked.document["incidents"][0];
    assert_eq!((&incident["cause"], &incident["side"]), (&json!(cause), &json!(side)), "{:#}", checked.document);
}

#[test]
fn a_server_of_today_is_well() {
    let Some(checked) = served(db(RSA_2048), &[], false) else { return };
    checked.exits(0).shows(&json!({"status": "healthy"}));
}

#[test]
fn a_server_of_old_suites_that_closes_without_an_alert_is_not_blocked() {
    let suites = "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:AES256-SHA256";
    let Some(checked) = served(db(RSA_2048), &["-tls1_2", "-cipher", suites], true) else { return };
    checked
        .exits(1)
        .shows(&json!({"cause": "tls_rejected"}))
        .says("TLS 1.2, cipher suite 0xc0")
        .never_says("appliance");
    blames(&checked, "tls_rejected", "remote");
}

#[test]
fn a_server_that_closes_at_every_hello_is_not_blocked() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["db.example"]);
    world.tcp("20.1.1.1", 1433, |mut stream| {
        if greets(&mut stream, ON).is_some() {
            drop(payload(&mut stream));
        }
    });
    let checked = world.check(DB);
    checked.exits(1).shows(&json!({"cause": "tls_rejected"})).says("older versions").never_says("appliance");
    blames(&checked, "tls_rejected", "remote");
}

#[test]
fn a_server_of_old_versions_is_beyond_this_agent() {
    let arguments = &["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    let Some(checked) = served(db(RSA_2048), arguments, false) else { return };
    checked.exits(2).shows(&json!({"status": "unknown"})).says("TLS 1.0, cipher suite").never_says("refuse");
    blames(&checked, "local_limit", "local");
}

#[test]
fn the_certificate_of_a_server_that_has_none_is_shown_with_the_reason() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["db.example"]);
    let fallback = Wish { key: RSA_1024, subject: "/CN=SSL_Self_Signed_Fallback", ..db(RSA_1024) };
    pki.issue("fallback", "fallback", fallback);
    let _server = pki.serve(4433, &["fallback"], &["-tls1_2", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    let dial = world.dialer("127.0.0.1", 4433);
    world.tcp("20.1.1.1", 1433, move |stream| fronts(stream, dial(), false));
    let checked = check(&world, "ca");
    checked
        .exits(1)
        .shows(&json!({"cause": "tls_cert_invalid"}))
        .says("it is self-signed")
        .says("CN=SSL_Self_Signed_Fallback, RSA key of 1024 bits, signed by itself");
    blames(&checked, "tls_cert_invalid", "remote");
}

#[test]
fn a_server_with_a_key_on_p_384_is_well_and_one_on_p_521_beyond_this_agent() {
    let Some(checked) = served(db(P384), &["-tls1_2"], false) else { return };
    checked.exits(0).shows(&json!({"status": "healthy"}));
    let checked = served(db(P521), &["-tls1_2"], false).expect("the rights are there");
    checked.exits(2).shows(&json!({"status": "unknown"})).says("the peer answers: TLS 1.2").never_says("refuse");
    blames(&checked, "local_limit", "local");
}

#[test]
fn a_server_that_wants_a_certificate_has_proved_itself() {
    let arguments = &["-tls1_2", "-Verify", "1", "-verify_return_error"];
    let Some(checked) = served(db(RSA_2048), arguments, false) else { return };
    checked.exits(0).shows(&json!({"status": "healthy"})).says("the server asks for a certificate of the client's");
}

#[test]
fn strict_encryption_is_found_out() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["db.example"]);
    pki.issue("leaf", "ca", db(RSA_2048));
    let config = Arc::new(strict(&pki));
    world.tcp("20.1.1.1", 1433, move |stream| {
        if !speaks_tls(&stream) {
            return;
        }
        let tls = ServerConnection::new(Arc::clone(&config)).expect("a good configuration");
        let mut stream = StreamOwned::new(tls, stream);
        drop(greets(&mut stream, ON).and_then(|()| payload(&mut stream)));
    });
    let checked = check(&world, "ca");
    checked
        .exits(0)
        .shows(&json!({"status": "healthy"}))
        .says("it forces strict encryption")
        .says("TLS 1.3 with tds/8.0");
    // The proof is the certificate, there as well.
    pki.authority("other", Wish::default());
    let checked = check(&world, "other");
    checked.exits(1).shows(&json!({"cause": "tls_cert_invalid"})).says("it forces strict encryption");
}

/// TLS with the application protocol of TDS 8.0.
fn strict(pki: &Pki<'_>) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_file(pki.path("leaf.pem")).expect("openssl wrote it")];
    let key = PrivateKeyDer::from_pem_file(pki.path("leaf.key")).expect("openssl wrote it");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key fits the certificate");
    config.alpn_protocols = vec![b"tds/8.0".to_vec()];
    config
}

/// Whether the client begins by a TLS record; nothing is taken of it.
fn speaks_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    stream.peek(&mut first).is_ok_and(|count| count == 1) && first[0] == 0x16
}

#[test]
fn a_server_that_closes_at_everything_is_a_reset() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["db.example"]);
    world.tcp("20.1.1.1", 1433, |mut stream| drop(payload(&mut stream)));
    let checked = world.check(DB);
    checked.exits(1).shows(&json!({"cause": "reset"})).never_says("strict");
}

#[test]
fn a_server_without_encryption_is_said_to_be_one() {
    for encryption in [NOT_SUPPORTED, OFF] {
        let Some(world) = World::new() else { return };
        world.plain_names(&["db.example"]);
        world.tcp("20.1.1.1", 1433, move |mut stream| {
            if greets(&mut stream, encryption).is_some() {
                drop(payload(&mut stream));
            }
        });
        let checked = world.check(DB);
        checked
            .exits(1)
            .shows(&json!({"status": "failed"}))
            .says("the server has no certificate, or its encryption is off")
            .says("DBA")
            .never_says("handshake")
            .never_says("alert");
        blames(&checked, "tls_rejected", "remote");
    }
}
