//! The page in a real browser, over a real agent: what is hostile stays text, what changes shows without a reload, the filter
//! filters, the keyboard suffices, a narrow screen is enough, and nothing stands in the way of a screen reader.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use ase_agent::store::{Store, rows::IncidentRow};
use ase_lab::browser::{Browser, Screen};
use ase_probes::clock;
use serde_json::Value;

use crate::{
    http_client::get,
    page_looks,
    process::{Program, agent, free_port, require},
};

/// What a name or a page of somebody else says: markup, an end of everything open, the other direction of writing.
const HOSTILE: &str =
    "'\"></title></script><img src=x onerror=window.hacked=1><script>window.hacked=1</script>\u{202e}";

/// The same as an endpoint's id may have it: visible ASCII, at most 255 characters.
const HOSTILE_ID: &str = "'\"></title></script><img/src=x/onerror=window.hacked=1><script>window.hacked=1</script>";

pub(crate) const WIDE: Screen = Screen { width: 1280, height: 900, scale: 1.0, is_dark: false };
pub(crate) const NARROW: Screen = Screen { width: 320, height: 640, ..WIDE };
const DARK: Screen = Screen { is_dark: true, ..WIDE };
pub(crate) const DIM: Screen = Screen { is_dark: true, ..NARROW };

/// An agent with hostile neighbours: a block page, hostile names of its own, and a port where nobody listens yet.
pub(crate) struct Stage {
    _agent: Program,
    pub(crate) page: String,
    quiet: u16,
}

/// Answers every request with a page that is no answer of the right server, and is full of markup.
fn block_page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("bound above").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let body = format!("<html><title>Blocked by policy</title>{HOSTILE}{}</html>", "A".repeat(10_000));
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\nServer: {HOSTILE}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(format!("{head}{body}").as_bytes()));
        }
    });
    port
}

/// Incidents that a month left in the store, and the time between two of them.
const MONTH: (u32, Duration) = (59, Duration::from_secs(12 * 3600));

/// Leaves a month of ended incidents in a store, the newest half a day old.
fn a_month_went_by(state: &Path) {
    let mut store = Store::open(state, clock::wall()).expect("a store can be made");
    for number in 1..=MONTH.0 {
        let since = clock::wall() - number * MONTH.1;
        store.report(IncidentRow {
            id: format!("{number:016x}"),
            cause: ["dropped", "dns_failure", "slow"][number as usize % 3].to_owned(),
            phase: "connect".to_owned(),
            confidence: "likely".to_owned(),
            component: format!("{HOSTILE} {number}"),
            evidence: vec![HOSTILE.to_owned()],
            since,
            published: since,
            closed: Some(since + Duration::from_secs(60 * u64::from(number))),
            ..IncidentRow::default()
        });
    }
    assert!(store.flush(), "the store takes a month");
}

impl Stage {
    pub(crate) fn start() -> Self {
        let (listen, quiet, blocked) = (SocketAddr::from(([127, 0, 0, 1], free_port())), free_port(), block_page());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let endpoint = |id: &str, class: &str, port: u16, more: &str| {
            let id = serde_json::to_string(id).expect("text is JSON");
            format!(
                "    - {{id: {id}, class: {class}, host: 127.0.0.1, port: {port}, interval: 1s, timeout: 500ms{more}}}\n"
            )
        };
        let text = format!(
            "vantage: {}\nresolvers: {{custom: [127.0.0.1]}}\nprofile: custom\nstate_dir: {}\n\
             pace: {{failing_interval: 200ms, confirm_after: 200ms, flows_per_destination: 1000}}\nendpoints:\n  add:\n{}{}{}",
            serde_json::to_string(&format!("{HOSTILE}{}", "x".repeat(10_000))).expect("text is JSON"),
            folder.path().join("state").display(),
            endpoint("quiet", "tcp", quiet, ""),
            endpoint(&format!("{HOSTILE_ID}{}", "x".repeat(150)), "tcp", listen.port(), ""),
            endpoint("blocked", "http", blocked, ", path: /, expect: {contains: never}"),
        );
        a_month_went_by(&folder.path().join("state"));
        fs::write(folder.path().join("agent.yaml"), text).expect("the folder is writable");
        let mut command = Command::new(agent());
        command.args(["run", "--config", "agent.yaml", "--listen", &listen.to_string()]).env_remove("STATE_DIRECTORY");
        let ready = || get(listen, "/-/ready").is_some_and(|response| response.code == 200);
        let agent = Program::start(folder, &mut command).until("the agent", ready);
        Self { _agent: agent, page: format!("http://{listen}"), quiet }
    }
}

/// The stage, and its first page in a browser on a wide screen.
pub(crate) fn opened() -> (Stage, Browser) {
    let stage = Stage::start();
    let mut browser = Browser::start(&["chromium"]).expect("a browser starts");
    browser.look_by(WIDE).expect("a screen can be set");
    browser.go(&format!("{}/", stage.page)).expect("the page loads");
    (stage, browser)
}

pub(crate) fn holds(browser: &mut Browser, what: &str) {
    let value = browser.value(what).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    assert_eq!(value, Value::Bool(true), "{what}");
}

pub(crate) fn within(browser: &mut Browser, what: &str) {
    browser.wait_until(what).unwrap_or_else(|error| panic!("{error:#}; {:?}", browser.complaints));
}

/// The cells of a row of the first page.
const ROW: &str = "const row = (name) => [...document.querySelectorAll('tr.row')].find((it) => it.cells[0].textContent.startsWith(name));";

#[test]
fn the_page_holds_in_a_real_browser() {
    if !require("chromium", "chromium") {
        return;
    }
    let (stage, mut browser) = opened();
    within(&mut browser, "document.getElementById('live').textContent === ', live'");
    hostile_words_are_text(&mut browser);
    the_filter_filters(&mut browser);
    what_changes_shows(&mut browser, &stage);
    a_month_is_drawn(&mut browser);
    an_outage_of_a_class_is_drawn(&mut browser);
    the_keyboard_suffices(&mut browser, &stage);
    page_looks::printed_it_is_a_report(&mut browser, &stage.page);
    page_looks::a_printed_incident_is_whole(&mut browser, &stage.page);
    page_looks::every_width_is_enough(&mut browser, &stage.page);
    page_looks::on_a_wall_it_is_read_from_afar(&mut browser, &stage.page);
    page_looks::forced_colours_leave_everything_told_apart(&mut browser, &stage.page);
    page_looks::nothing_moves_for_who_wants_no_motion(&mut browser, &stage.page);
    page_looks::a_wall_shows_the_classes_beside_a_loss(&mut browser, &stage.page);
    page_looks::a_phone_shows_what_a_desk_does(&mut browser, &stage.page);
    nothing_is_in_the_way(&mut browser, &stage);
    assert_eq!(browser.complaints, [""; 0], "the browser has nothing to complain of");
}

fn hostile_words_are_text(browser: &mut Browser) {
    holds(browser, "window.hacked === undefined && document.images.length === 0 && document.scripts.length === 1");
    holds(browser, "document.querySelector('.vantage').textContent.includes('<img src=x onerror=window.hacked=1>')");
    holds(browser, "[...document.querySelectorAll('tr.row a')].some((it) => it.textContent.includes('</script>'))");
    holds(browser, "!document.body.textContent.includes('\\u202e')");
}

fn the_filter_filters(browser: &mut Browser) {
    let shown = "[...document.querySelectorAll('tr.row')].filter((it) => it.offsetParent !== null).length";
    let filter = |id: &str, value: &str| {
        format!(
            "(() => {{ const it = document.getElementById('{id}'); it.value = '{value}'; \
             it.dispatchEvent(new Event('input', {{bubbles: true}})); return {shown}; }})()"
        )
    };
    for (id, value, rows) in [
        ("f-text", "QUIET", 1),
        ("f-text", "nobody has this name", 0),
        ("f-text", "", 3),
        ("f-class", "http", 1),
        ("f-class", "", 3),
        ("f-group", "cause", 3),
        ("f-group", "class", 3),
    ] {
        assert_eq!(browser.value(&filter(id, value)).expect("it filters"), rows, "{id} {value}");
    }
}

fn what_changes_shows(browser: &mut Browser, stage: &Stage) {
    browser.value("window.mark = 1").expect("the page takes a mark");
    within(browser, &format!("(() => {{ {ROW} return row('quiet').dataset.state === 'failed'; }})()"));
    within(browser, "[...document.querySelectorAll('.card .kind code')].some((it) => it.textContent === 'refused')");
    let _peer = TcpListener::bind(("127.0.0.1", stage.quiet)).expect("the port is free");
    within(browser, &format!("(() => {{ {ROW} return row('quiet').dataset.state === 'healthy'; }})()"));
    holds(browser, "window.mark === 1");
}

/// The longest span shows what the store remembers beside what ended while the page was open.
fn a_month_is_drawn(browser: &mut Browser) {
    let marks = "Math.max(...[...document.querySelectorAll('#past svg')].map((it) => it.querySelectorAll('a').length))";
    let most = browser.value(marks).expect("the course is drawn");
    assert!(most.as_u64() > Some(u64::from(MONTH.0)), "{most} marks");
}

/// The class whose endpoint did not answer for a while stands below the incidents, on the same scale, drawn and in words.
fn an_outage_of_a_class_is_drawn(browser: &mut Browser) {
    let lane = |span: &str| {
        format!(
            "[...document.querySelectorAll('#past .{span} tr')].find((it) => it.cells[0].textContent === 'tcp')?.querySelector('svg.lane')"
        )
    };
    within(browser, &format!("{}?.checkVisibility()", lane("d1")));
    holds(
        browser,
        &format!("/^tcp in the last 24 h: .* answered; .* did not (between|since) /.test({}.ariaLabel)", lane("d1")),
    );
    let left = |what: &str| format!("{what}.getBoundingClientRect().left");
    let incidents = "document.querySelector('#past .d1 svg.timeline')";
    holds(browser, &format!("{} === {}", left(&lane("d1")), left(incidents)));
    holds(browser, &format!("!{}.checkVisibility()", lane("h1")));
    browser.value("document.getElementById('span-h1').click()").expect("a span can be chosen");
    holds(browser, &format!("{}.checkVisibility() && !{}.checkVisibility()", lane("h1"), lane("d1")));
    browser.value("document.getElementById('span-d1').click()").expect("a span can be chosen");
}

/// The card of the incident that lasts as long as the test.
const LASTING: &str =
    "const card = [...document.querySelectorAll('.card')].find((it) => it.textContent.includes('blocked'));";

/// A clipboard that takes its time: until another card came.
const SLOW_CLIPBOARD: &str = "(() => {
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = async (text) => {
        window.copying = text;
        while (document.querySelectorAll('.card').length < 2) await new Promise((next) => setTimeout(next, 50));
        return write(text);
    };
})()";

/// From the top of the page to an incident in the clipboard, with two keys and nothing unfolded, while other
/// incidents come and go.
fn the_keyboard_suffices(browser: &mut Browser, stage: &Stage) {
    let on = |what: &str| {
        format!("(() => {{ {LASTING} return document.activeElement === card.querySelector('{what}'); }})()")
    };
    let walk = |browser: &mut Browser, to: &str| {
        for _ in 0..60 {
            browser.press("Tab").expect("a key can be pressed");
            if browser.value(&on(to)).expect("something has the focus") == true {
                return;
            }
        }
        panic!("the keyboard does not lead to {to}");
    };
    let peer = TcpListener::bind(("127.0.0.1", stage.quiet)).expect("the port is free");
    within(browser, "document.querySelectorAll('.card').length === 1");
    browser.value("document.activeElement.blur()").expect("the walk starts at the top");
    walk(browser, "header .copying");
    browser.value(SLOW_CLIPBOARD).expect("the clipboard can be slowed down");
    browser.press("Enter").expect("a key can be pressed");
    within(browser, "window.copying?.includes('blocked')");
    drop(peer);
    within(browser, "document.querySelectorAll('.card').length === 2");
    within(
        browser,
        &format!("(() => {{ {LASTING} return card.querySelector('header .copying').textContent === 'Copied'; }})()"),
    );
    holds(browser, &on("header .copying"));
}

/// Every page, in both schemes, wide and narrow: nothing to scroll sideways, nothing serious for axe.
fn nothing_is_in_the_way(browser: &mut Browser, stage: &Stage) {
    let incident = browser.value("document.querySelector('.card h3 a').pathname").expect("an incident is open");
    let endpoint = browser.value("document.querySelector('tr.row a').pathname").expect("an endpoint is there");
    let ended = browser
        .value("[...document.querySelectorAll('#past .scroll tr')].filter((it) => it.cells[1] && !it.querySelector('.bad') && it.querySelector('a')).map((it) => it.querySelector('a').pathname)")
        .expect("the newest incidents are listed");
    let (of_now, of_the_store) = (ended[0].as_str().expect("one ended here"), ended[1].as_str().expect("one is older"));
    let axe = axe().map(|path| fs::read_to_string(path).expect("axe is text"));
    for path in [
        "/",
        incident.as_str().expect("a path"),
        endpoint.as_str().expect("a path"),
        of_now,
        of_the_store,
        "/incident/none",
    ] {
        for screen in [NARROW, DIM, DARK, WIDE] {
            browser.look_by(screen).expect("a screen can be set");
            browser.go(&format!("{}{path}", stage.page)).unwrap_or_else(|error| panic!("{path}: {error:#}"));
            let wide = browser.value("document.documentElement.scrollWidth - innerWidth").expect("a page has a width");
            assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{path} is {wide} pixels too wide for {screen:?}");
            holds(browser, "window.hacked === undefined && document.images.length === 0");
            assert!(unfolded(browser) || incident != path, "{path} has commands with options");
            if let Some(axe) = &axe {
                assert_eq!(judged(browser, axe), [""; 0], "{path} by {screen:?}");
            }
            // An option is never cut behind its hyphens, however narrow the screen is.
            holds(browser, "[...document.querySelectorAll('.piece')].every((it) => it.getClientRects().length < 2)");
            holds(browser, "document.documentElement.scrollWidth <= innerWidth");
        }
    }
    browser.complaints.retain(|complaint| !complaint.contains("404"));
}

/// Opens all that is folded and looks whether there are commands with options at all.
fn unfolded(browser: &mut Browser) -> bool {
    let opened = "(() => { document.querySelectorAll('details').forEach((it) => { it.open = true; }); \
                  return document.querySelectorAll('.piece').length > 0; })()";
    browser.value(opened).expect("the page unfolds") == true
}

/// What axe finds serious or critical.
pub(crate) fn judged(browser: &mut Browser, axe: &str) -> Vec<String> {
    browser.value(&format!("{axe}; true")).expect("axe is loaded");
    let found = browser.value(
        "axe.run().then((all) => all.violations.filter((it) => ['serious', 'critical'].includes(it.impact))\
         .map((it) => it.id + ': ' + it.nodes.map((node) => node.html + node.failureSummary).slice(0, 3).join(' | ')))",
    );
    let found = found.expect("axe judges");
    found.as_array().map(|all| all.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// Where the accessibility checks are, as `./test` installs them.
pub(crate) fn axe() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/lib");
    let versions = fs::read_dir(packages).into_iter().flatten().map_while(Result::ok);
    let file = |version: fs::DirEntry| version.path().join("site-packages/axe_playwright_python/axe.min.js");
    let found = versions.map(file).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "axe is missing: install axe-playwright-python into target/venv");
        println!("SKIPPED the accessibility checks for want of axe");
    }
    found
}
