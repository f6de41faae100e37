//! The pages behind a proxy that puts them below a path of its own and keeps back what it hands on, in a real browser.

use std::{net::SocketAddr, process::Command};

use ase_lab::browser::Browser;
use serde_json::Value;

use crate::{
    page::{holds, opened, within},
    process::{Program, accepts, free_port, require},
};

/// nginx as Debian sets it up, with the agent below `/ase/`; and the URL of that.
fn proxy(agent: &str) -> (Program, String) {
    let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
    let path = folder.path().display().to_string();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("  {what}_temp_path {path}/{what};\n")).concat();
    let config = format!(
        "daemon off;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}  \
         server {{\n    listen 127.0.0.1:{port};\n    location /ase/ {{ proxy_pass {agent}/; }}\n  }}\n}}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).expect("the folder is writable");
    let mut nginx = Command::new("/usr/sbin/nginx");
    nginx.args(["-p", &path, "-e", "error.log", "-c", &format!("{path}/nginx.conf")]);
    let program = Program::start(folder, &mut nginx);
    let nginx = program.until("nginx", || accepts(SocketAddr::from(([127, 0, 0, 1], port))));
    (nginx, format!("http://127.0.0.1:{port}/ase/"))
}

/// The page has its style and its script, and leads nowhere beside the agent.
fn is_whole(browser: &mut Browser, page: &str) {
    println!("{page}");
    holds(browser, "document.styleSheets.length === 1 && document.styleSheets[0].cssRules.length > 0");
    holds(browser, "!document.getElementById('theme').hidden");
    let aside =
        "[...document.querySelectorAll('[href], [src]')].map((it) => it.getAttribute('href') ?? it.getAttribute('src'))
                 .filter((it) => !new URL(it, location).pathname.startsWith('/ase/'))";
    assert_eq!(browser.value(aside).expect("a page has links"), Value::Array(Vec::new()), "{page}");
}

#[test]
fn below_a_path_of_a_proxys_every_page_is_whole_and_live() {
    if !(require("chromium", "chromium") && require("nginx", "nginx-light")) {
        return;
    }
    let (stage, mut browser) = opened();
    let (_nginx, root) = proxy(&stage.page);
    browser.go(&root).expect("the page loads");
    within(&mut browser, "document.querySelector('.card') !== null");
    is_whole(&mut browser, "the first page");
    // What keeps back a word of the stream would hand it on with its end, minutes later.
    holds(
        &mut browser,
        "new Promise((next) => {
             new EventSource('events').onmessage = () => next(true);
             setTimeout(next, 5000, false);
         })",
    );
    // A link of a drawing has no click of its own.
    let click = |link: &str| {
        format!(
            "setTimeout(() => document.querySelector(\"{link}\").dispatchEvent(new MouseEvent('click', {{cancelable: true}})))"
        )
    };
    for link in ["#past svg a", "#past .scroll a", ".card h3 a", "tr.row a", "tr.row a[href*='script']"] {
        browser.value(&click(link)).expect("a link leads somewhere");
        browser.wait_until_loaded().expect("the page loads");
        is_whole(&mut browser, link);
        holds(&mut browser, "document.body.dataset.page === 'detail' && !document.title.startsWith('no such')");
        browser.value(&click(".brand")).expect("it leads back");
        browser.wait_until_loaded().expect("the page loads");
        holds(&mut browser, "document.body.dataset.page === 'landing'");
    }
    browser.go(&format!("{root}incident/none")).expect("the page loads");
    is_whole(&mut browser, "an incident that nobody knows");
    browser.complaints.retain(|complaint| !complaint.contains("404"));
    assert_eq!(browser.complaints, [""; 0], "the browser has nothing to complain of");
}
