//! The page of an agent that watches names, one that leads apart and one with a chain of certificates, and has exported rules,
//! in a real browser.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::Arc,
};

use ase_lab::{
    authority::Authority,
    browser::Browser,
    sim::{
        Behaviour, Front, Running,
        dns::{self, Entry, Zone},
        web,
    },
};
use tokio::runtime::Runtime;

use crate::{
    http_client::get,
    page::{DIM, NARROW, WIDE, axe, holds, judged, within},
    process::{Program, agent, free_port, require},
};

/// Two DNS servers, of which the custom one denies a name, and a server with certificates.
struct Names {
    _runtime: Runtime,
    _running: Vec<Running>,
    _agent: Program,
    page: String,
}

/// All that is not loopback.
const ELSEWHERE: &str =
    "0.0.0.0/2, 64.0.0.0/3, 96.0.0.0/4, 112.0.0.0/5, 120.0.0.0/6, 124.0.0.0/7, 126.0.0.0/8, 128.0.0.0/1, '::/0'";

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Names {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let [custom, azure, web, listen] = [(); 4].map(|()| local(free_port()));
        let entry = || Entry::at([IpAddr::from([127, 0, 0, 1])]);
        let mut zone = Zone::from([("web.example".to_owned(), entry())]);
        let custom_zone = Behaviour::new(Arc::new(zone.clone()));
        zone.insert("apart.example".to_owned(), entry());
        let azure_zone = Behaviour::new(Arc::new(zone));
        let authority = Arc::new(Authority::new("page root").expect("an authority can be made"));
        let front = Front {
            authority: Arc::clone(&authority),
            inspector: Arc::clone(&authority),
            name: "web.example".to_owned(),
        };
        let running = runtime.block_on(async {
            let mut running = dns::start(custom, custom_zone, Behaviour::new(dns::Mood::default())).await?;
            running.extend(dns::start(azure, azure_zone, Behaviour::new(dns::Mood::default())).await?);
            running.push(web::start_https(web, front, Behaviour::new(web::Mood::default())).await?);
            anyhow::Ok(running)
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let group = r#"{"name": "ase-nsg", "securityRules": []}"#;
        fs::write(folder.path().join("nsg.json"), group).expect("the folder is writable");
        fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is writable");
        let text = format!(
            "resolvers: {{custom: [\"{custom}\"], azure: \"{azure}\"}}\ndns: {{interval: 10s}}\n\
             addresses: {{allow: [127.0.0.0/8], deny: [{ELSEWHERE}]}}\nca: {{file: ca.pem, system: false}}\nprofile: custom\n\
             exports: {{nsg: nsg.json, subnet: 10.1.0.0/24, vnet: [10.1.0.0/16]}}\n\
             endpoints:\n  add:\n    - {{class: https, host: web.example, port: {port}, id: proved}}\n    \
             - {{class: https, host: apart.example, port: {port}, id: apart}}\n",
            port = web.port()
        );
        fs::write(folder.path().join("agent.yaml"), text).expect("the folder is writable");
        let mut command = Command::new(agent());
        command.args(["run", "--config", "agent.yaml", "--listen", &listen.to_string()]).env_remove("STATE_DIRECTORY");
        let ready = || get(listen, "/-/ready").is_some_and(|response| response.code == 200);
        let agent = Program::start(folder, &mut command).until("the agent", ready);
        let running = running.expect("the servers start");
        Self { _runtime: runtime, _running: running, _agent: agent, page: format!("http://{listen}") }
    }
}

#[test]
fn names_that_lead_apart_and_chains_can_be_read_on_every_screen() {
    if !require("chromium", "chromium") {
        return;
    }
    let names = Names::start();
    let mut browser = Browser::start(&["chromium"]).expect("a browser starts");
    let axe = axe().map(|path| fs::read_to_string(path).expect("axe is text"));
    browser.look_by(WIDE).expect("a screen can be set");
    browser.go(&format!("{}/", names.page)).expect("the page loads");
    within(&mut browser, "document.querySelector('.names td') !== null");
    for path in ["/", "/endpoint/proved", "/endpoint/apart"] {
        for screen in [NARROW, DIM, WIDE] {
            browser.look_by(screen).expect("a screen can be set");
            browser.go(&format!("{}{path}", names.page)).expect("the page loads");
            holds(&mut browser, "document.documentElement.scrollWidth <= innerWidth");
            if let Some(axe) = &axe {
                assert_eq!(judged(&mut browser, axe), [""; 0], "{path} by {screen:?}");
            }
            match path {
                "/" => {
                    holds(&mut browser, &sides_have_names());
                    holds(&mut browser, "document.querySelector('#exports li').checkVisibility()");
                }
                "/endpoint/proved" => holds(&mut browser, "document.querySelectorAll('.chain li').length > 0"),
                _ => {}
            }
        }
    }
    assert_eq!(browser.complaints, [""; 0], "the browser has nothing to complain of");
}

/// Whether it is seen which column is which: by the head or, where there is no room for one, in each cell.
fn sides_have_names() -> String {
    let words = "[['Custom DNS', 1], ['Azure DNS', 2]]";
    format!(
        "{words}.every(([side, place]) => {{
             const [head, cell] = [...document.querySelectorAll('.names tr')].slice(0, 2).map((it) => it.cells[place]);
             const is_seen = getComputedStyle(head.closest('thead')).clipPath === 'none' && head.textContent === side;
             return is_seen || getComputedStyle(cell, '::before').content === JSON.stringify(cell.dataset.side) && cell.dataset.side === side;
         }})"
    )
}
