//! The script of the page in a real browser: the page is a real agent's, what it is told and what it fetches is staged in the
//! browser itself, so that every order of events can be had, and none needs to be waited for.

mod reader;
mod table;
mod touch;

use ase_lab::browser::Browser;

use crate::{
    page::{Stage, holds, opened, within},
    process::require,
};

/// Stands between the page's script and everything from outside: its stream, what it fetches, whether it is seen, the time.
const STAGING: &str = "
    window.sources = [];
    window.refuses = false;
    window.EventSource = class {
        static CLOSED = 2;
        constructor() {
            this.readyState = refuses ? 2 : 1;
            if (refuses) setTimeout(() => this.onerror());
            sources.push(this);
        }
        close() { this.readyState = 2; }
    };
    window.fetch_really = window.fetch.bind(window);
    window.asked = [];
    window.fetch = (path, how) => { asked.push(performance.now()); return answer(path, how); };
    window.later = 0;
    window.slept = 0;
    const steady = performance.now.bind(performance);
    performance.now = () => steady() + slept;
    const True = Date;
    window.Date = class extends True {
        constructor(...given) { if (given.length) super(...given); else super(True.now() + later); }
        static now() { return True.now() + later; }
    };
    window.is_away = false;
    Object.defineProperty(Document.prototype, 'hidden', { get: () => is_away });
    window.go_away = (away) => { is_away = away; document.dispatchEvent(new Event('visibilitychange')); };
    window.by = (id) => document.getElementById(id);
    // The page as it was fetched first, after a change; and what a message says of it.
    window.paper = (change) => {
        const paper = new DOMParser().parseFromString(html, 'text/html');
        change(paper);
        return paper;
    };
    // By a clock that goes right a snapshot has the number of its millisecond.
    window.number_of = (time) => number + time - at;
    window.sheet = (at, change, status = 200) => {
        const of = paper((paper) => { [paper.body.dataset.at, paper.body.dataset.number] = [at, number_of(at)]; change(paper); });
        return new Response('<!doctype html>' + of.documentElement.outerHTML, { status });
    };
    window.say = (message) => {
        const whole = { process: document.body.dataset.process, number: number_of(message.at), ...message };
        sources.at(-1).onmessage({ data: JSON.stringify(whole) });
    };
    window.say_part = (at, id, change, more = {}) => {
        const part = paper((paper) => change(paper.getElementById(id), paper)).getElementById(id);
        say({ at, title: document.title, parts: { [id]: part.outerHTML }, ...more });
    };
    window.row_of = (words, of = document) => [...of.querySelectorAll('tr.row')].find((it) => it.cells[0].textContent.startsWith(words));
    window.choose = (id, value) => { by(id).value = value; by(id).dispatchEvent(new Event('input', { bubbles: true })); };
    window.headings = () => [...document.querySelectorAll('tr.group')].map((it) => it.textContent.trim()).join();
    window.order = () => [...document.querySelectorAll('tr.row')].map((it) => it.id).join();
";

/// Counts what those hear who do not see the page.
const LISTENING: &str = "window.heard = 0;
    for (const it of document.querySelectorAll(':is([role=status], [role=alert], [aria-live], output):not([aria-live=off])')) {
        new MutationObserver((all) => { heard += all.length; })
            .observe(it, { childList: true, characterData: true, subtree: true });
    }
    window.ticks = new Promise((next) => setTimeout(next, 2200));";

/// Opens a page anew, with nothing told yet and nothing to be fetched.
fn open(browser: &mut Browser, stage: &Stage, path: &str) {
    browser.go(&format!("{}{path}", stage.page)).expect("the page loads");
    browser
        .value(
            "(async () => { window.html = await (await fetch_really(location.pathname)).text();
              window.answer = () => new Promise(() => {}); [window.at, window.number] = [document.body.dataset.at, document.body.dataset.number].map(Number); })()",
        )
        .expect("the page can be fetched");
}

fn run(browser: &mut Browser, script: &str) {
    browser.value(&format!("(() => {{ {script} }})()")).expect("the script runs");
}

#[test]
fn the_script_holds_whatever_happens_when() {
    if !require("chromium", "chromium") {
        return;
    }
    let (stage, mut browser) = opened();
    within(
        &mut browser,
        "document.querySelectorAll('.card').length === 2 && !document.querySelector('tr.row[data-state=unknown]')",
    );
    let endpoint = browser.value("document.querySelector('tr.row a').pathname").expect("an endpoint is there");
    browser.run_before(STAGING).expect("the browser takes it");
    for part in [
        an_older_page_takes_nothing_back,
        table::the_search_goes_on_while_endpoints_change_their_places,
        table::what_a_fetched_page_adds_to_a_row_stands,
        table::the_groups_are_what_they_say_and_keep_the_focus,
        table::the_table_is_arranged_when_a_row_stands_otherwise_and_only_then,
        table::the_focus_of_a_row_that_the_filter_hides_goes_to_its_section,
        reader::what_is_read_stays,
        reader::what_is_chosen_outlasts_the_page,
        reader::who_listens_hears_what_is_new_alone,
        reader::what_is_copied_is_said_with_and_without_a_clipboard,
        touch::who_hears_nothing_says_so_everywhere,
        touch::who_is_told_nothing_fetches_and_is_no_less_in_touch,
        touch::a_stream_that_says_nothing_is_opened_anew_and_the_page_fetched_meanwhile,
        touch::a_readers_clock_that_went_back_hides_no_silence,
        touch::who_is_not_seen_takes_no_connection,
        touch::a_fetch_that_hangs_is_given_up,
        a_page_that_is_open_for_hours_does_not_grow,
        a_clock_that_went_back_stops_nothing,
        another_process_is_fetched_whole,
        reader::a_time_gets_its_date_when_the_day_is_over,
        reader::the_reader_chooses_the_theme,
        another_version_brings_its_own_script,
    ] {
        open(&mut browser, &stage, "/");
        part(&mut browser);
    }
    open(&mut browser, &stage, endpoint.as_str().expect("a path"));
    a_detail_follows_within_two_seconds(&mut browser);
    open(&mut browser, &stage, endpoint.as_str().expect("a path"));
    what_is_no_longer_known_says_so(&mut browser);
    browser.complaints.retain(|complaint| !complaint.contains("404"));
    assert_eq!(browser.complaints, [""; 0], "the browser has nothing to complain of");
}

fn an_older_page_takes_nothing_back(browser: &mut Browser) {
    run(
        browser,
        "const told = (words) => (it) => { it.querySelector('h1').textContent = words; };
         answer = () => new Promise((give) => { window.give = give; });
         say({ at: at + 1000, whole: true });
         say_part(at + 3000, 'answer', told('newer'));
         say_part(at + 1500, 'risk', (it) => { it.textContent = 'older'; });
         window.page = () => sheet(at + 2000, (paper) => {
             told('older')(paper.getElementById('answer'));
             paper.getElementById('risk').textContent = 'newer';
         });",
    );
    holds(browser, "document.querySelector('#answer h1').textContent === 'newer'");
    run(browser, "give(page())");
    within(browser, "by('risk').textContent === 'newer'");
    holds(browser, "document.querySelector('#answer h1').textContent === 'newer'");
    // What was on its way when the page was fetched comes after it.
    run(browser, "say_part(at + 2900, 'risk', (it) => { it.textContent = 'older'; })");
    holds(browser, "by('risk').textContent === 'newer'");
}

/// Hundreds of messages, in which cards and rows come and go and pages are fetched, leaves the page as large as it was.
fn a_page_that_is_open_for_hours_does_not_grow(browser: &mut Browser) {
    let told = |turn: u32| {
        format!(
            "for (let message = 1; message <= 200; message += 1) {{
                 const now = at + {turn} * 10000 + message, is_odd = message % 2 === 1;
                 say_part(now, 'incidents', (it) => {{ if (is_odd) it.querySelector('.card').remove(); }});
                 say_part(now, row_of('quiet').id, (it) => {{
                     [it.dataset.state, it.dataset.cause] = is_odd ? ['healthy', 'none'] : ['failed', 'refused'];
                     it.cells[1].insertAdjacentHTML('beforeend', is_odd ? '<em>well</em>' : '');
                 }});
             }}
             answer = async () => sheet(at + {turn} * 10000 + 5000, (paper) => {{ paper.title = 'turn {turn}'; }});
             say({{ at: at + {turn} * 10000 + 5000, whole: true }});"
        )
    };
    run(browser, "choose('f-group', 'cause')");
    let mut held = Vec::new();
    for turn in [1, 2, 3] {
        run(browser, &told(turn));
        within(browser, &format!("document.title === 'turn {turn}'"));
        held.push(browser.held().expect("the browser counts"));
    }
    run(browser, "choose('f-group', 'class')");
    let ((nodes, listeners), (later, more)) = (held[0], held[2]);
    assert!(later <= nodes + nodes / 20 && more <= listeners, "nodes and listeners grew: {held:?}");
}

/// However far it went back: what is newer is told by its number.
fn a_clock_that_went_back_stops_nothing(browser: &mut Browser) {
    for (turn, back) in [(0, 1500), (1, 3_600_000)] {
        run(
            browser,
            &format!(
                "[window.first, window.back] = [number + {turn} * 1000, at - {back}];
                 answer = async () => sheet(back, (paper) => {{ [paper.title, paper.body.dataset.number] = ['{back}', first + 1]; }});
                 say({{ at: back, number: first + 1, whole: true }});"
            ),
        );
        within(browser, &format!("document.title === '{back}'"));
        run(
            browser,
            "const told = (words) => (it) => { it.textContent = words; };
             say_part(back - 1000, 'risk', told('told'), { number: first + 3 });
             say_part(back + 5000, 'risk', told('older'), { number: first + 2 });",
        );
        holds(browser, "by('risk').textContent === 'told'");
        holds(browser, "document.querySelector('#as-of time').dateTime === new Date(back - 1000).toISOString()");
    }
}

/// Which counts its snapshots anew.
fn another_process_is_fetched_whole(browser: &mut Browser) {
    run(
        browser,
        "answer = async () => sheet(at, (paper) => {
             Object.assign(paper.body.dataset, { process: 'another', number: 1 });
             paper.title = 'another';
         });
         say_part(at + 1000, 'risk', (it) => { it.textContent = 'of another'; }, { process: 'another', number: 1 });",
    );
    holds(browser, "by('risk').textContent !== 'of another'");
    within(browser, "document.title === 'another' && document.body.dataset.process === 'another'");
    run(browser, "say_part(at + 2000, 'risk', (it) => { it.textContent = 'told'; }, { number: 2 })");
    holds(browser, "by('risk').textContent === 'told'");
}

fn another_version_brings_its_own_script(browser: &mut Browser) {
    run(
        browser,
        "answer = async () => sheet(at + 1000, (paper) => { paper.scripts[0].setAttribute('src', '/assets/page-0.js'); });
         window.is_old = true;
         setTimeout(say, 0, { at: at + 1000, whole: true });",
    );
    browser.wait_until_loaded().expect("it is loaded anew");
    holds(browser, "window.is_old === undefined");
}

fn a_detail_follows_within_two_seconds(browser: &mut Browser) {
    run(
        browser,
        "answer = async () => sheet(at + asked.length * 1000, (paper) => { paper.title = 'fetched ' + asked.length; });
         say({ at: at + 1000, whole: true });",
    );
    within(browser, "document.title === 'fetched 1'");
    run(browser, "window.since = performance.now(); say({ at: at + 2000, parts: {} });");
    within(browser, "document.title === 'fetched 2'");
    // It is told once in a second, and fetched no later than a second after that; the rest is for a machine that is busy.
    holds(browser, "asked[1] - since < 1700");
    // The first page may have nothing to tell of what changed, and a beat tells nothing new.
    run(browser, "say({ at: at + 3000 })");
    within(browser, "document.title === 'fetched 3'");
    run(browser, "window.ticks = new Promise((next) => setTimeout(next, 1500)); say({ at: at + 3000 });");
    browser.value("ticks").expect("time passes");
    holds(browser, "asked.length === 3 && document.title === 'fetched 3'");
    // What is told of the first page is nothing of this one.
    run(browser, "say({ at: at + 3000, title: 'the first page', parts: {} })");
    holds(browser, "document.title === 'fetched 3'");
}

fn what_is_no_longer_known_says_so(browser: &mut Browser) {
    run(
        browser,
        "window.before = document.querySelector('main h1').textContent;
         answer = async () => new Response(await (await fetch_really('/endpoint/none')).text(), { status: 404 });
         say({ at: at + 60000, whole: true });",
    );
    within(browser, "document.querySelector('main h1').textContent === 'No such endpoint'");
    // It may come back.
    run(
        browser,
        "answer = async () => sheet(at + 62000, () => {});
         say({ at: Number(document.body.dataset.at) + 3600000, parts: {} });",
    );
    within(browser, "document.querySelector('main h1').textContent === before");
}
