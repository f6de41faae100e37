//! The product live on loopback: a small Azure on high ports, the agent on top, and faults that come and go.

use std::{fs, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use ase_agent::{commands::daemon, config, net::duration};
use ase_probes::clock;
use clap::Args;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::{
    azure::{Authorities, Azure, BYPASSED, Moods, Place, Stopped},
    free_port::free_port,
    sim::{dns, tds, web},
};

/// How long a fault lasts, and how long the pause after it.
const FAULT: Duration = Duration::from_secs(20);
/// The pause between two faults.
const PAUSE: Duration = Duration::from_secs(10);
/// The largest status document that is read, in bytes.
const MAX_STATUS: usize = 4 << 20;

const LOGIN: &str = "login.lab.example";
const MANAGEMENT: &str = "management.lab.example";
const CRL: &str = "crl.lab.example";

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the agent's page listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10123")]
    listen: SocketAddr,
    /// End after this time, for example 5m; without it Ctrl-C ends the demo
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasting: Option<Duration>,
}

/// A fault of the script: what happens, and the cause that the agent should name.
struct Fault {
    story: &'static str,
    cause: &'static str,
    inject: fn(&Moods),
    mend: fn(&Moods),
}

/// The script, told again and again.
const SCRIPT: [Fault; 5] = [
    Fault {
        story: "a firewall denies HTTPS to login.lab.example by name: the handshake is cut after the server name",
        cause: "tls_blocked",
        inject: |moods| set_web(moods, LOGIN, &web::Mood::FirewallDenies),
        mend: |moods| set_web(moods, LOGIN, &web::Mood::Good),
    },
    Fault {
        story: "the same firewall denies HTTP to crl.lab.example: it answers 470 in the server's place",
        cause: "http_blocked",
        inject: |moods| set_web(moods, CRL, &web::Mood::FirewallDenies),
        mend: |moods| set_web(moods, CRL, &web::Mood::Good),
    },
    Fault {
        story: "TLS inspection is switched on for management.lab.example",
        cause: "tls_intercepted",
        inject: |moods| set_web(moods, MANAGEMENT, &web::Mood::Inspected),
        mend: |moods| set_web(moods, MANAGEMENT, &web::Mood::Good),
    },
    Fault {
        story: "the firewall accepts connections to SQL 1433 itself and drops the rest: a TCP check would stay green",
        cause: "dropped",
        inject: |moods| moods.sql.iter().for_each(|sql| sql.set(tds::Mood::Silent)),
        mend: |moods| moods.sql.iter().for_each(|sql| sql.set(tds::Mood::Good)),
    },
    Fault {
        story: "the custom DNS loses its forwarder: SERVFAIL for every name",
        cause: "dns_servfail",
        inject: |moods| moods.custom_dns.set(dns::Mood::ServFail),
        mend: |moods| moods.custom_dns.set(dns::Mood::Good),
    },
];

fn set_web(moods: &Moods, host: &str, mood: &web::Mood) {
    moods.web.get(host).into_iter().flatten().for_each(|behaviour| behaviour.set(mood.clone()));
}

/// Runs the demo.
///
/// # Errors
/// When an address cannot be bound.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(show(arguments))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("ase-lab-demo-").tempdir()?;
    let authorities = Authorities::new()?;
    let (ca, file) = (folder.path().join("ca.pem"), folder.path().join("ase-agent.yaml"));
    fs::write(&ca, authorities.lab.pem())?;
    fs::write(&file, configuration(arguments.listen, &ca.display().to_string())?)?;
    let settings = config::load(Some(&file))?;
    let listener = daemon::bind(&settings).await.context("choose another address with --listen")?;
    let address = listener.local_addr()?;
    let azure = Azure::start(&settings, Place::Loopback, &authorities, &Stopped::default()).await?;
    introduce(address, &file.display().to_string());
    let load = move || config::load(Some(&file));
    let lasting = arguments.lasting;
    let end = async move {
        match lasting {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = daemon::run(settings, listener, load, end) => ended?,
        () = tell(address, &azure.moods) => {}
    }
    Ok(())
}

fn introduce(address: SocketAddr, file: &str) {
    println!("A small simulated Azure runs on loopback, and ase-agent watches it.\n");
    println!("  page       http://{address}/");
    println!("  metrics    http://{address}/metrics");
    println!("  status     http://{address}/api/v1/status");
    println!("  the same from a shell:  cargo run --release -q -- check --config {file}\n");
    println!("Faults come and go; Ctrl-C ends the demo.\n");
}

/// Tells the script for ever.
async fn tell(address: SocketAddr, moods: &Moods) {
    for fault in SCRIPT.iter().cycle() {
        tokio::time::sleep(PAUSE).await;
        println!("fault   {}", fault.story);
        (fault.inject)(moods);
        let start = clock::now();
        match tokio::time::timeout(FAULT, named(address, fault.cause)).await {
            Ok(endpoints) => {
                let seconds = start.elapsed().as_secs_f64();
                println!("agent   {} after {seconds:.1} s: {}", fault.cause, endpoints.join(", "));
                tokio::time::sleep(FAULT.saturating_sub(start.elapsed())).await;
            }
            Err(_) => println!("agent   has not named {} within {} s", fault.cause, FAULT.as_secs()),
        }
        (fault.mend)(moods);
        println!("mended\n");
    }
}

/// Waits until the agent's status names this cause, and returns the endpoints that it names it for.
async fn named(address: SocketAddr, cause: &str) -> Vec<String> {
    loop {
        let status = status(address).await.unwrap_or_default();
        let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lost = endpoints.iter().filter(|endpoint| endpoint["cause"] == cause && endpoint["status"] == "failed");
        let ids: Vec<String> = lost.filter_map(|endpoint| endpoint["id"].as_str().map(str::to_owned)).collect();
        if !ids.is_empty() {
            return ids;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn status(address: SocketAddr) -> Result<Value> {
    let stream = tokio::net::TcpSocket::new_v4()?.connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/api/v1/status").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let body = Limited::new(response.into_body(), MAX_STATUS).collect().await.map_err(anyhow::Error::from_boxed)?;
    connection.abort();
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

/// The agent's configuration: the built-in profile's own endpoints give way to ones on loopback.
fn configuration(listen: SocketAddr, ca: &str) -> Result<String> {
    let port = free_port;
    Ok(format!(
        "vantage: ase-lab demo
listen: {listen}
resolvers: {{custom: [\"127.0.0.1:{}\"], azure: \"127.0.0.1:{}\"}}
ca: {{file: {ca}, system: false}}
addresses: {{allow: [127.0.0.0/8], deny: [192.0.2.0/24]}}
dns: {{interval: 10s, names: [{BYPASSED}]}}
intervals: {{dns: 5s, http: 5s, https: 5s, sql: 5s, monitoring: 5s}}
timeouts: {{dns: 2s, http: 2s, https: 2s, sql: 2s, monitoring: 2s}}
pace: {{failing_interval: 2s, drain: 3s, flows_per_destination: 120}}
slots:
  sql-server: [\"sql.lab.example:{}\"]
  monitoring: [\"monitoring.lab.example:{}\"]
endpoints:
  remove: [\"*:80\", \"*:443\", \"*:123\", \"*:11371\"]
  add:
    - {{class: https, host: {LOGIN}, port: {}, purpose: identity}}
    - {{class: https, host: {MANAGEMENT}, port: {}, purpose: management}}
    - {{class: http, host: {CRL}, port: {}, path: /lab.crl, expect: crl, purpose: cert-revocation}}
    - {{class: http, host: connect.lab.example, port: {}, path: /connecttest.txt, expect: {{contains: Microsoft Connect Test}}, purpose: general, severity: warning}}
    - {{class: ntp, host: time.lab.example, port: {}, purpose: time}}
",
        port()?,
        port()?,
        port()?,
        port()?,
        port()?,
        port()?,
        port()?,
        port()?,
        port()?,
    ))
}
