//! The agent against real servers: unbound, knot, chrony and nginx, on free ports of loopback.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use ase_lab::authority::Authority;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http_client::{get, status},
    process::{Program, accepts, agent, free_port, require, run, wait_for},
};

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("ase-e2e-").tempdir().expect("a temporary folder")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("the folder is writable");
    path.display().to_string()
}

/// unbound with a few local names.
fn unbound(port: u16) -> Program {
    let folder = folder();
    let config = format!(
        "server:\n  interface: 127.0.0.1\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  \
         pidfile: \"\"\n  do-daemonize: no\n  use-syslog: no\n  module-config: \"iterator\"\n  \
         local-zone: \"example.\" static\n  local-data: \"login.example. 60 IN A 127.0.0.1\"\n  \
         local-data: \"web.example. 60 IN A 127.0.0.1\"\n  local-data: \"two.example. 60 IN A 127.0.0.1\"\n  local-data: \"two.example. 60 IN A 127.0.0.9\"\n  local-zone: \"refused.test.\" refuse\n\
         remote-control:\n  control-enable: no\n",
        folder.path().display()
    );
    let path = write(&folder, "unbound.conf", &config);
    Program::start(folder, Command::new("/usr/sbin/unbound").args(["-d", "-c", &path]))
        .until("unbound", || accepts(local(port)))
}

/// knot with one zone.
fn knot(port: u16) -> Program {
    let folder = folder();
    let path = folder.path().display().to_string();
    write(
        &folder,
        "example.zone",
        "$ORIGIN example.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\nlogin A 127.0.0.1\nalias CNAME login\n",
    );
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: {path}\ndatabase:\n  storage: {path}\nlog:\n  - target: stderr\n    any: warning\n\
         zone:\n  - domain: example\n    storage: {path}\n    file: example.zone\n"
    );
    let config = write(&folder, "knot.conf", &config);
    Program::start(folder, Command::new("/usr/sbin/knotd").args(["-c", &config])).until("knot", || accepts(local(port)))
}

/// chronyd as a local reference that never touches this machine's clock.
fn chrony(port: u16) -> Program {
    let folder = folder();
    let pid = folder.path().join("pid");
    let config = format!(
        "port {port}\nbindaddress 127.0.0.1\ncmdport 0\nbindcmdaddress /\nlocal stratum 5\nallow 127.0.0.0/8\npidfile {}\n",
        pid.display()
    );
    let config = write(&folder, "chrony.conf", &config);
    let user = String::from_utf8_lossy(&run(Command::new("id").arg("-un")).stdout).trim().to_owned();
    Program::start(folder, Command::new("/usr/sbin/chronyd").args(["-x", "-d", "-U", "-u", &user, "-f", &config]))
        .until("chrony", || pid.exists())
}

/// nginx with HTTP, and HTTPS over HTTP/1.1 and HTTP/2, under a certificate of the lab's authority.
fn nginx(clear: u16, encrypted: u16, authority: &Authority) -> Program {
    let folder = folder();
    let path = folder.path().display().to_string();
    let (certificate, key) = authority.leaf_pem("web.example").expect("a leaf can be made");
    write(&folder, "leaf.pem", &certificate);
    write(&folder, "key.pem", &key);
    write(&folder, "ca.pem", &authority.pem());
    fs::write(folder.path().join("lab.crl"), authority.crl().expect("a list can be signed")).expect("writable");
    let config = format!(
        "daemon off;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {path}/b;\n  proxy_temp_path {path}/p;\n  fastcgi_temp_path {path}/f;\n  uwsgi_temp_path {path}/u;\n  scgi_temp_path {path}/s;\n  \
         root {path};\n  server {{\n    listen 127.0.0.1:{clear};\n    listen 127.0.0.1:{encrypted} ssl http2;\n    server_name web.example;\n    \
         ssl_certificate {path}/leaf.pem;\n    ssl_certificate_key {path}/key.pem;\n    \
         location = /connecttest.txt {{ return 200 'Microsoft Connect Test'; }}\n    location = /moved {{ return 302 /connecttest.txt; }}\n    \
         location = /broken {{ return 500; }}\n    location = /denied {{ return 403; }}\n  }}\n}}\n"
    );
    let config = write(&folder, "nginx.conf", &config);
    Program::start(folder, Command::new("/usr/sbin/nginx").args(["-p", &path, "-e", "error.log", "-c", &config]))
        .until("nginx", || accepts(local(clear)) && accepts(local(encrypted)))
}

/// Checks these endpoints once, with unbound as the resolver, and returns the exit code and the document.
fn check(resolver: u16, ca: Option<&Path>, endpoints: &str) -> (Option<i32>, Value) {
    let folder = folder();
    let ca = ca.map(|ca| format!("ca: {{file: {}, system: false}}\n", ca.display())).unwrap_or_default();
    let config = format!(
        "resolvers: {{custom: [\"127.0.0.1:{resolver}\"], azure: \"127.0.0.1:{resolver}\"}}\naddresses: {{allow: [127.0.0.0/8], deny: [192.0.2.0/24]}}\n{ca}\
         profile: custom\nendpoints:\n  add:\n{endpoints}"
    );
    let config = write(&folder, "agent.yaml", &config);
    let output = run(Command::new(agent()).args(["check", "--output", "json", "--config", &config]));
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("check prints JSON: {text}{error}"));
    (output.status.code(), document)
}

/// The standing of each endpoint: id, status, cause.
fn standings(document: &Value) -> Vec<(String, String, String)> {
    let text = |endpoint: &Value, key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
    let endpoints = document["endpoints"].as_array().expect("the document lists endpoints").iter();
    let watched = endpoints.filter(|endpoint| endpoint["status"] != "not_configured");
    watched.map(|endpoint| (text(endpoint, "id"), text(endpoint, "status"), text(endpoint, "cause"))).collect()
}

fn standing<'a>(all: &'a [(String, String, String)], id: &str) -> (&'a str, &'a str) {
    let found = all.iter().find(|row| row.0 == id).unwrap_or_else(|| panic!("{id} is in {all:?}"));
    (&found.1, &found.2)
}

#[test]
fn unbound_and_knot_are_healthy_and_a_dead_port_is_refused() {
    if !(require("unbound", "unbound") && require("knotd", "knot")) {
        return;
    }
    let (one, two, dead) = (free_port(), free_port(), free_port());
    let (_unbound, _knot) = (unbound(one), knot(two));
    let row = |port: u16, transport: &str, name: &str| {
        format!(
            "    - {{class: dns, host: 127.0.0.1, port: {port}, transport: {transport}, question: {name}, id: {port}-{transport}-{name}}}\n"
        )
    };
    let rows = [
        row(one, "udp", "login.example"),
        row(one, "tcp", "nothing.example"),
        row(one, "udp", "x.refused.test"),
        row(two, "udp", "alias.example"),
        row(two, "tcp", "login.example"),
        row(two, "udp", "elsewhere.test"),
        row(dead, "udp", "login.example"),
        row(dead, "tcp", "login.example"),
    ];
    let (code, document) = check(one, None, &rows.concat());
    let all = standings(&document);
    assert_eq!(code, Some(1), "{all:?}");
    for (id, status, cause) in [
        (format!("{one}-udp-login.example"), "healthy", ""),
        (format!("{one}-tcp-nothing.example"), "healthy", ""),
        (format!("{one}-udp-x.refused.test"), "failed", "dns_refused"),
        (format!("{two}-udp-alias.example"), "healthy", ""),
        (format!("{two}-tcp-login.example"), "healthy", ""),
        (format!("{two}-udp-elsewhere.test"), "failed", "dns_refused"),
        (format!("{dead}-udp-login.example"), "failed", "refused"),
        (format!("{dead}-tcp-login.example"), "failed", "refused"),
    ] {
        assert_eq!(standing(&all, &id), (status, cause), "{id}");
    }
}

#[test]
fn chrony_tells_the_time() {
    if !(require("chronyd", "chrony") && require("unbound", "unbound")) {
        return;
    }
    let (dns, ntp) = (free_port(), free_port());
    let (_unbound, _chrony) = (unbound(dns), chrony(ntp));
    let (code, document) = check(dns, None, &format!("    - {{class: ntp, host: login.example, port: {ntp}}}\n"));
    assert_eq!(code, Some(0), "{:?}", standings(&document));
    let evidence = document["endpoints"][0]["evidence"].to_string();
    assert!(evidence.contains("NTP reply echoes our timestamp: stratum 5"), "{evidence}");
}

#[test]
fn nginx_proves_itself_over_http_https_and_http2() {
    if !(require("nginx", "nginx-light") && require("unbound", "unbound")) {
        return;
    }
    let authority = Authority::new("e2e root").expect("an authority can be made");
    let (dns, clear, encrypted) = (free_port(), free_port(), free_port());
    let (_unbound, nginx) = (unbound(dns), nginx(clear, encrypted, &authority));
    let ca = nginx.folder.path().join("ca.pem");
    let row = |class: &str, port: u16, id: &str, rest: &str| {
        format!("    - {{class: {class}, host: web.example, port: {port}, id: {id}, {rest}}}\n")
    };
    let rows = [
        row("http", clear, "text", "path: /connecttest.txt, expect: {contains: Microsoft Connect Test}"),
        row("http", clear, "crl", "path: /lab.crl, expect: crl"),
        row("http", clear, "no-crl", "path: /connecttest.txt, expect: crl"),
        row("http", clear, "redirect", "path: /moved, expect: {contains: Connect Test}"),
        row("https", encrypted, "h2", "path: /denied"),
        row("https", encrypted, "status", "path: /denied, expect: {status: [200]}"),
        row("https", encrypted, "error", "path: /broken"),
        format!("    - {{class: https, host: login.example, port: {encrypted}, id: wrong-name}}\n"),
        row("https", clear, "no-tls", "path: /"),
        row("sql", clear, "no-tds", "severity: critical"),
    ];
    let (code, document) = check(dns, Some(&ca), &rows.concat());
    let all = standings(&document);
    assert_eq!(code, Some(1), "{all:?}");
    for (id, status, cause) in [
        ("text", "healthy", ""),
        ("crl", "healthy", ""),
        ("no-crl", "failed", "http_status"),
        ("redirect", "healthy", ""),
        ("h2", "healthy", ""),
        ("status", "failed", "http_status"),
        ("error", "degraded", "http_status"),
        ("wrong-name", "failed", "tls_cert_invalid"),
    ] {
        assert_eq!(standing(&all, id), (status, cause), "{id}");
    }
    assert_eq!(standing(&all, "no-tls").0, "failed");
    assert_eq!(standing(&all, "no-tds").0, "failed");
    let text = document.to_string();
    assert!(text.contains("HTTP/2"), "nginx speaks HTTP/2 to the agent");
    let (code, document) = check(dns, None, &rows[4]);
    assert_eq!(code, Some(1));
    let certificate = &document["endpoints"][0];
    assert_eq!(certificate["cause"], "tls_cert_invalid", "an unknown authority is not trusted: {certificate}");
    assert!(certificate.to_string().contains("e2e root"), "the chain is recorded all the same: {certificate}");
}

#[test]
fn one_dead_address_behind_a_good_name_degrades_it() {
    if !(require("nginx", "nginx-light") && require("unbound", "unbound")) {
        return;
    }
    let authority = Authority::new("e2e root").expect("an authority can be made");
    let (dns, clear, encrypted) = (free_port(), free_port(), free_port());
    let (_unbound, _nginx) = (unbound(dns), nginx(clear, encrypted, &authority));
    let row = |id: &str, rest: &str| {
        format!("    - {{class: http, host: two.example, port: {clear}, id: {id}, path: /connecttest.txt, {rest}}}\n")
    };
    let rows = [row("all", "addresses: all"), row("private", "addresses: all, expect_address: private")];
    let (code, document) = check(dns, None, &rows[0]);
    let endpoint = &document["endpoints"][0];
    assert_eq!(
        (code, &endpoint["status"], &endpoint["cause"]),
        (Some(2), &"degraded".into(), &"refused".into()),
        "{endpoint}"
    );
    assert_eq!(endpoint["addresses"].as_array().map(Vec::len), Some(2), "each address has its own result");
    let (_, document) = check(dns, None, &rows[1]);
    assert_eq!(document["endpoints"][0]["status"], "degraded");
}

#[test]
fn probes_leave_from_the_configured_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("bound above").port();
    let visitor = std::thread::spawn(move || listener.accept().expect("the agent comes").1);
    let folder = folder();
    let config = format!(
        "resolvers: {{custom: [127.0.0.1]}}\nsource_address: 127.0.0.7\nprofile: custom\nendpoints: {{add: [{{class: tcp, host: 127.0.0.1, port: {port}}}]}}\n"
    );
    let config = write(&folder, "agent.yaml", &config);
    let output = run(Command::new(agent()).args(["check", "--config", &config]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(visitor.join().expect("the listener ends").ip().to_string(), "127.0.0.7");
}

/// unbound that takes so many questions a second from one client, and knows every name below `flood.example`.
fn limited_unbound(port: u16, rate: u32) -> Program {
    let folder = folder();
    let config = format!(
        "server:\n  interface: 127.0.0.1\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  \
         pidfile: \"\"\n  do-daemonize: no\n  use-syslog: no\n  module-config: \"iterator\"\n  num-threads: 1\n  \
         ip-ratelimit: {rate}\n  ip-ratelimit-factor: 0\n  local-zone: \"flood.example.\" redirect\n  \
         local-data: \"flood.example. 60 IN A 127.0.0.1\"\nremote-control:\n  control-enable: no\n",
        folder.path().display()
    );
    let path = write(&folder, "unbound.conf", &config);
    Program::start(folder, Command::new("/usr/sbin/unbound").args(["-d", "-c", &path]))
        .until("unbound", || accepts(local(port)))
}

#[test]
fn a_server_that_drops_questions_only_when_many_are_asked_is_called_throttling() {
    if !require("unbound", "unbound") {
        return;
    }
    let (port, listen) = (free_port(), local(free_port()));
    let target = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let at = target.local_addr().expect("bound above").port();
    std::thread::spawn(move || target.incoming().for_each(drop));
    let _unbound = limited_unbound(port, 40);
    let names: String = (0..120)
        .map(|number| format!("    - {{class: tcp, host: n{number}.flood.example, port: {at}, id: n{number}}}\n"))
        .collect();
    let folder = folder();
    let config = format!(
        "resolvers: {{custom: [\"127.0.0.1:{port}\"], azure: \"127.0.0.1:{port}\"}}\naddresses: {{allow: [127.0.0.0/8]}}\n\
         pace: {{flows_per_destination: 6000}}\nprofile: custom\nendpoints:\n  add:\n{names}"
    );
    let config = write(&folder, "agent.yaml", &config);
    let mut command = Command::new(agent());
    command.args(["run", "--config", &config, "--listen", &listen.to_string()]);
    let _agent = Program::start(folder, &mut command).until("the agent", || get(listen, "/-/healthy").is_some());
    let series = format!("ase_dns_resolver_throttled{{resolver=\"127.0.0.1:{port}\"}} 1");
    wait_for("the signs of throttling", || {
        get(listen, "/metrics").filter(|page| page.body.lines().any(|line| line == series))
    });
    let document = status(listen).expect("the daemon answers");
    assert_eq!(document["dns"]["intercepted"], Value::Null, "no canary where every server is local");
}
