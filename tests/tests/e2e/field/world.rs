//! A network of one machine: a namespace with loopback only, scripted servers on its addresses, and the agent run in it.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use ase_lab::namespace;
use serde_json::Value;
use tempfile::TempDir;

use super::message::{Question, Reply};
use crate::process::{Program, agent, require, require_root, run, wait_for};

/// The addresses of this network: two custom DNS servers, a private host, Azure DNS, and public hosts.
const ADDRESSES: [&str; 9] =
    ["10.0.0.4", "10.0.0.5", "10.0.0.20", "168.63.129.16", "20.1.1.1", "20.1.1.2", "20.1.1.3", "20.1.1.9", "fd00::20"];
/// The custom DNS server that the network's resolver file names.
pub(crate) const CUSTOM_DNS: &str = "10.0.0.4";
/// The longest that a scripted server waits for a client, so that no thread stays behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// A private network and mount namespace; it ends with this value.
pub(crate) struct World {
    holder: Child,
    /// Files of the test, readable in the namespace.
    pub(crate) folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed, then what it printed on standard error.
    pub(crate) text: String,
}

impl World {
    /// A network with a resolver file that names [`CUSTOM_DNS`]; `None` with a loud skip where the rights are missing.
    pub(crate) fn new() -> Option<Self> {
        if !(require("ip", "iproute2") && require("unshare", "util-linux") && require_root("make network namespaces")) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address =
            |ip: &&str| format!("ip addr add {ip}/{} dev lo; ", if ip.contains(':') { "128 nodad" } else { "32" });
        let addresses: String = ADDRESSES.iter().map(address).collect();
        let log = folder.path().join("holder.log");
        let script = format!("exec >{} 2>&1; ip link set lo up; {addresses} echo ready; exec sleep 600", log.display());
        let holder = Command::new("unshare")
            .args(["-n", "-m", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let world = Self { holder, folder };
        wait_for("the namespace", || fs::read_to_string(&log).ok()?.contains("ready").then_some(()));
        world.resolver_file(format!("nameserver {CUSTOM_DNS}\n").as_bytes());
        Some(world)
    }

    /// Writes a file into the folder of the test.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("the folder is writable");
        path
    }

    /// Puts a resolver file in the place of `/etc/resolv.conf`, in this network only.
    pub(crate) fn resolver_file(&self, bytes: &[u8]) {
        let file = self.file("resolv.conf", bytes);
        let target = fs::canonicalize("/etc/resolv.conf").expect("this machine has a resolver file");
        let done = self.runs("mount", &["--bind", &file.to_string_lossy(), &target.to_string_lossy()]);
        assert_eq!(done.code, Some(0), "{}", done.text);
    }

    /// A command in this network.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-n", "-m", program]).args(arguments);
        command.env_remove("ASE_AGENT_CONFIG").env("NO_COLOR", "1");
        command
    }

    /// Runs a command in this network to its end.
    pub(crate) fn runs(&self, program: &str, arguments: &[&str]) -> Said {
        let output = run(&mut self.command(program, arguments));
        let text = [output.stdout, output.stderr].concat();
        Said { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs the agent in this network.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Said {
        self.runs(&agent().to_string_lossy(), arguments)
    }

    /// A configuration that asks only these endpoints, one flow mapping on each line, and has these further lines.
    pub(crate) fn configuration(&self, endpoints: &str, more: &str) -> String {
        let rows: String = endpoints.lines().map(|row| format!("    - {}\n", row.trim())).collect();
        let resolvers = format!("resolvers: {{custom: [{CUSTOM_DNS}], azure: 168.63.129.16}}\n");
        let resolvers = if more.contains("resolvers:") { "" } else { &resolvers };
        let text = format!("profile: custom\n{resolvers}endpoints:\n  add:\n{rows}{more}\n");
        self.file("ase-agent.yaml", text).to_string_lossy().into_owned()
    }

    /// Checks these endpoints and reads the document.
    pub(crate) fn check(&self, endpoints: &str) -> Checked {
        self.check_with(endpoints, "")
    }

    /// Checks these endpoints with further lines of configuration, such as `ca: {file: …}`.
    pub(crate) fn check_with(&self, endpoints: &str, more: &str) -> Checked {
        let configuration = self.configuration(endpoints, more);
        let output =
            run(&mut self
                .command(&agent().to_string_lossy(), &["check", "--config", &configuration, "--output", "json"]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let document = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        Checked { code: output.status.code(), document }
    }

    /// Checks these endpoints and gives the report that a person reads, with all evidence.
    pub(crate) fn report(&self, endpoints: &str) -> Said {
        self.agent(&["check", "--config", &self.configuration(endpoints, ""), "-v"])
    }

    /// Does something inside the network namespace.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> T {
        namespace::inside(self.holder.id(), || Ok(work()?)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Opens connections to an address of this network, from any thread.
    pub(crate) fn dialer(&self, ip: &str, port: u16) -> impl Fn() -> TcpStream + Send + Sync + use<> {
        let (holder, address) = (self.holder.id(), SocketAddr::new(ip.parse().expect("an address"), port));
        move || {
            let dial = move || {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(stream)
            };
            namespace::inside(holder, dial).unwrap_or_else(|error| panic!("{address}: {error:#}"))
        }
    }

    /// A server that does this with each connection.
    pub(crate) fn tcp(&self, ip: &str, port: u16, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
        let address = SocketAddr::new(ip.parse().expect("an address"), port);
        let listener = self.inside(move || TcpListener::bind(address));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serve = Arc::clone(&serve);
                thread::spawn(move || {
                    drop(stream.set_read_timeout(Some(PATIENCE)));
                    serve(stream);
                });
            }
        });
    }

    /// A server that answers each datagram by any number of datagrams.
    pub(crate) fn udp(&self, ip: &str, port: u16, answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        let address = SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port);
        let socket = self.inside(move || UdpSocket::bind(address));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                for message in answer(&buffer[..length]) {
                    drop(socket.send_to(&message, peer));
                }
            }
        });
    }

    /// A DNS server over UDP and TCP.
    pub(crate) fn dns(&self, ip: &str, answer: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static) {
        let answer = Arc::new(answer);
        let over_udp = Arc::clone(&answer);
        self.udp(ip, 53, move |message| Question::read(message, false).map_or(Vec::new(), |asked| over_udp(&asked)));
        self.tcp(ip, 53, move |mut stream| {
            while let Some(message) = framed(&mut stream) {
                for reply in Question::read(&message, true).map_or(Vec::new(), |asked| answer(&asked)) {
                    let length = u16::try_from(reply.len()).expect("a message fits its length");
                    drop(stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat()));
                }
            }
        });
    }

    /// The custom DNS server and Azure DNS.
    pub(crate) fn two_dns(
        &self,
        custom: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
        azure: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.dns(CUSTOM_DNS, custom);
        self.dns("168.63.129.16", azure);
    }

    /// Both DNS servers know these names, all at 20.1.1.1, and no other.
    pub(crate) fn plain_names(&self, names: &[&'static str]) {
        let names = names.to_vec();
        let zone = move |asked: &Question| {
            let reply = Reply::to(asked);
            vec![if names.contains(&&*asked.name) { reply.address("20.1.1.1") } else { reply.code(3) }.bytes()]
        };
        self.two_dns(zone.clone(), zone);
    }

    /// A web server that answers each head by these bytes and then closes.
    pub(crate) fn http(&self, ip: &str, port: u16, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
        self.tcp(ip, port, move |mut stream| {
            let head = head(&mut stream);
            drop(stream.write_all(&answer(&head)));
            close_gently(&mut stream);
        });
    }

    /// A real program in this network, ended with the returned value, ready once somebody listens on this port.
    pub(crate) fn program(&self, name: &str, arguments: &[&str], port: u16) -> Program {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inside = self.holder.id();
        let listens = move || listens(inside, port);
        Program::start(folder, &mut self.command(name, arguments)).until(name, listens)
    }
}

/// Whether somebody listens on a TCP port in the network namespace of a process (`/proc/net/tcp`, state 0A).
fn listens(process: u32, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    ["tcp", "tcp6"].into_iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        text.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(&wanted)) && fields.nth(1) == Some("0A")
        })
    })
}

/// The next message of a DNS connection; `None` at its end.
fn framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// The head of an HTTP request, as far as it came.
pub(crate) fn head(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut one = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut one).is_ok_and(|length| length == 1) {
        bytes.extend(one);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ends the sending side and waits for the client, so that unread bytes do not turn the end into a reset.
pub(crate) fn close_gently(stream: &mut TcpStream) {
    drop(stream.shutdown(Shutdown::Write));
    drop(std::io::copy(stream, &mut std::io::sink()));
}

/// What `check --output json` said.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// The document.
    pub(crate) document: Value,
}

impl Checked {
    /// It ends with this code.
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{:#}", self.document);
        self
    }

    /// The first endpoint has these values.
    pub(crate) fn shows(&self, expected: &Value) -> &Self {
        let endpoint = &self.document["endpoints"][0];
        for (key, value) in expected.as_object().expect("a mapping") {
            assert_eq!(&endpoint[key], value, "{key} of {endpoint:#}");
        }
        self
    }

    /// These words stand somewhere in the document, in a value and not only in a key.
    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(texts(&self.document).contains(words), "no ({words}) in {:#}", self.document);
        self
    }

    /// These words stand in no value of the document.
    pub(crate) fn never_says(&self, words: &str) -> &Self {
        assert!(!texts(&self.document).contains(words), "({words}) in {:#}", self.document);
        self
    }
}

/// All texts of a document, one on each line.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(fields) => fields.values().map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}
