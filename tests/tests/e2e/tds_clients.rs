//! Independent TDS clients accept the simulated gateway: they get through PRELOGIN, TLS and login, and read a row.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use ase_lab::{
    authority::Authority,
    sim::{Behaviour, Front, tds},
};
use tokio::runtime::Runtime;

use crate::process::{free_port, require, run};

/// A gateway on loopback under a certificate for `localhost`, and the authority's file.
struct Gateway {
    _runtime: Runtime,
    _server: ase_lab::sim::Running,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn start(mood: tds::Mood) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let authority = Arc::new(Authority::new("e2e root").expect("an authority can be made"));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (inspector, name) = (Arc::clone(&authority), "localhost".to_owned());
        let front = Front { authority: Arc::clone(&authority), inspector, name };
        let server = runtime.block_on(tds::start(address, front, Behaviour::new(mood))).expect("the gateway starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is writable");
        Self { _runtime: runtime, _server: server, address, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// The Python with the clients that `./test` installs.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{} is missing: run ./test once", python.display());
    println!("SKIPPED for want of python-tds and pymssql");
    None
}

#[test]
fn freetds_logs_in_and_selects() {
    if !require("tsql", "freetds-bin") {
        return;
    }
    let gateway = Gateway::start(tds::Mood::Good);
    let config = format!(
        "[lab]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = require\nca file = {}\ncheck certificate hostname = no\n",
        gateway.address.port(),
        gateway.ca().display()
    );
    let file = gateway.folder.path().join("freetds.conf");
    std::fs::write(&file, config).expect("the folder is writable");
    let script = "printf 'select 1\\ngo\\nquit\\n' | timeout 20 tsql -S lab -U sa -P x 2>&1";
    let output = run(Command::new("sh").args(["-c", script]).env("FREETDSCONF", &file));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("(1 row affected)"), "{text}");
}

#[test]
fn python_tds_and_pymssql_log_in_and_select() {
    let Some(python) = python() else { return };
    let gateway = Gateway::start(tds::Mood::Good);
    let port = gateway.address.port();
    let script = format!(
        "import pytds, pymssql\n\
         with pytds.connect('localhost', port={port}, user='sa', password='x', cafile='{ca}', validate_host=False, login_timeout=20) as c:\n\
         \x20   print('pytds', c.cursor().execute_scalar('select 1'))\n\
         c = pymssql.connect('127.0.0.1', 'sa', 'x', port='{port}', login_timeout=20, tds_version='7.4')\n\
         k = c.cursor(); k.execute('select 1'); print('pymssql', k.fetchone()[0])\n",
        ca = gateway.ca().display()
    );
    let output = run(Command::new(python).args(["-c", &script]));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, "pytds 1\npymssql 1\n", "{error}");
}

#[test]
fn a_denied_login_says_18456() {
    let Some(python) = python() else { return };
    let gateway = Gateway::start(tds::Mood::DeniesLogin);
    let script = format!(
        "import pytds\n\
         try:\n    pytds.connect('localhost', port={}, user='sa', password='x', cafile='{}', validate_host=False, login_timeout=20)\n\
         except pytds.Error as error:\n    print(error.msg_no)\n",
        gateway.address.port(),
        gateway.ca().display()
    );
    let output = run(Command::new(python).args(["-c", &script]));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, "18456\n", "{error}");
}
