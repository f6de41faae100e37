//! The script of the page in a real browser: the page is a real agent's, what it is told and what it fetches is staged in the
//! browser itself, so that every order of events can be had, and none needs to be waited for.

use std::fs;

use ase_lab::browser::Browser;

use crate::{
    page::{DIM, NARROW, Stage, WIDE, axe, holds, judged, opened, within},
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
        the_search_goes_on_while_endpoints_change_their_places,
        what_a_fetched_page_adds_to_a_row_stands,
        the_groups_are_what_they_say_and_keep_the_focus,
        the_table_is_arranged_when_a_row_stands_otherwise_and_only_then,
        the_focus_of_a_row_that_the_filter_hides_goes_to_its_section,
        what_is_read_stays,
        what_is_chosen_outlasts_the_page,
        who_listens_hears_what_is_new_alone,
        what_is_copied_is_said_with_and_without_a_clipboard,
        who_hears_nothing_says_so_everywhere,
        who_is_told_nothing_fetches_and_is_no_less_in_touch,
        a_stream_that_says_nothing_is_opened_anew_and_the_page_fetched_meanwhile,
        a_readers_clock_that_went_back_hides_no_silence,
        who_is_not_seen_takes_no_connection,
        a_fetch_that_hangs_is_given_up,
        a_page_that_is_open_for_hours_does_not_grow,
        a_clock_that_went_back_stops_nothing,
        another_process_is_fetched_whole,
        a_time_gets_its_date_when_the_day_is_over,
        the_reader_chooses_the_theme,
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

fn the_search_goes_on_while_endpoints_change_their_places(browser: &mut Browser) {
    browser.value("by('f-text').focus(); window.before = order()").expect("the search takes the focus");
    browser.enter("qui").expect("it takes letters");
    run(
        browser,
        "answer = async () => sheet(at + 1000, (paper) => {
             for (const body of paper.querySelectorAll('#endpoints tbody')) body.append(...[...body.rows].slice(1).reverse());
         });
         say({ at: at + 1000, whole: true });",
    );
    within(browser, "order() !== before");
    browser.enter("et").expect("it takes letters");
    holds(browser, "document.activeElement === by('f-text') && by('f-text').value === 'quiet'");
    holds(browser, "by('f-count').textContent === '1 of 3'");
}

/// Markup that a row did not have stays when the page that brought it was taken over.
fn what_a_fetched_page_adds_to_a_row_stands(browser: &mut Browser) {
    for second in [1, 2] {
        run(
            browser,
            &format!(
                "answer = async () => sheet(at + {second}000, (paper) => {{
                     row_of('quiet', paper).cells[1].insertAdjacentHTML('beforeend', ' <em>{second}</em>');
                     paper.title = 'changed {second}';
                 }});
                 say({{ at: at + {second}000, whole: true }});"
            ),
        );
        within(browser, &format!("document.title === 'changed {second}'"));
        holds(browser, &format!("row_of('quiet').cells[1].querySelector('em')?.textContent === '{second}'"));
    }
}

fn the_groups_are_what_they_say_and_keep_the_focus(browser: &mut Browser) {
    run(
        browser,
        "window.before = [headings(), order()].join();
         window.shown = () => [...document.querySelectorAll('tr.row')].filter((it) => it.offsetParent !== null);
         choose('f-state', 'ailing');",
    );
    holds(browser, "shown().length === 2 && shown().every((it) => it.dataset.state !== 'healthy')");
    run(browser, "choose('f-state', 'healthy')");
    holds(browser, "shown().length === 1 && shown()[0].dataset.state === 'healthy'");
    run(browser, "choose('f-state', ''); choose('f-group', 'cause'); row_of('quiet').querySelector('a').focus();");
    let is_grouped = "(() => {
        const bodies = [...document.querySelectorAll('#endpoints tbody')];
        const causes = bodies.map((it) => new Set([...it.querySelectorAll('tr.row')].map((row) => row.dataset.cause)));
        const titled = bodies.map((it) => it.rows[0].textContent.split(' ')[0].replace('healthy', 'none'));
        return causes.length > 2 && causes.every((it, at) => it.size === 1 && it.has(titled[at]));
    })()";
    let on = "document.activeElement === row_of('quiet').querySelector('a')";
    holds(browser, is_grouped);
    holds(browser, "!headings().includes('not healthy')");
    run(browser, "say_part(at + 1000, row_of('blocked').id, (it) => { it.cells[2].textContent = 'since now'; })");
    holds(browser, "row_of('blocked').cells[2].textContent === 'since now'");
    holds(browser, on);
    // Its own row moves, first told in parts, then by a page.
    run(browser, "say_part(at + 2000, row_of('quiet').id, (it) => { it.dataset.cause = 'reset'; })");
    holds(browser, on);
    holds(browser, is_grouped);
    run(browser, "answer = async () => sheet(at + 3000, () => {}); say({ at: at + 3000, whole: true });");
    within(browser, "row_of('quiet').dataset.cause === 'refused'");
    holds(browser, on);
    holds(browser, is_grouped);
    run(browser, "choose('f-group', 'class')");
    holds(browser, "[headings(), order()].join() === before");
    run(browser, "say_part(at + 4000, row_of('quiet').id, (it) => { it.dataset.state = 'healthy'; })");
    holds(
        browser,
        "headings() !== before.split(',')[0] && !row_of('quiet').parentElement.rows[0].textContent.includes('not healthy')",
    );
}

/// A table of a thousand rows is not sorted for each visit.
fn the_table_is_arranged_when_a_row_stands_otherwise_and_only_then(browser: &mut Browser) {
    run(
        browser,
        "window.sorted = 0;
         const sort = Array.prototype.sort;
         Array.prototype.sort = function (...how) { sorted += 1; return sort.apply(this, how); };
         say_part(at + 1000, 'risk', (it) => { it.textContent = 'told'; });
         say_part(at + 2000, row_of('quiet').id, (it) => { it.cells[4].textContent = '7 ms'; });",
    );
    holds(browser, "by('risk').textContent === 'told' && row_of('quiet').cells[4].textContent === '7 ms'");
    holds(browser, "sorted === 0");
    run(browser, "choose('f-state', 'ailing'); window.before = sorted;");
    holds(browser, "by('f-count').textContent === '2 of 3'");
    run(browser, "say_part(at + 3000, row_of('quiet').id, (it) => { it.dataset.state = 'healthy'; })");
    holds(browser, "sorted > before && by('f-count').textContent === '1 of 3' && row_of('quiet').hidden");
    run(browser, "choose('f-state', '')");
}

/// Who walks by keyboard is not thrown back to the top of the page.
fn the_focus_of_a_row_that_the_filter_hides_goes_to_its_section(browser: &mut Browser) {
    run(
        browser,
        "choose('f-state', 'ailing');
         row_of('quiet').querySelector('a').focus();
         say_part(at + 1000, row_of('quiet').id, (it) => { it.dataset.state = 'healthy'; });",
    );
    holds(browser, "row_of('quiet').hidden");
    holds(browser, "document.activeElement.id === 'h-endpoints'");
    run(browser, "choose('f-state', '')");
}

fn what_is_read_stays(browser: &mut Browser) {
    run(
        browser,
        "getSelection().selectAllChildren(document.querySelector('.why li'));
         window.before = getSelection().toString();
         say_part(at + 1000, 'incidents', (it) => { for (const words of it.querySelectorAll('header .muted')) words.append(', and more'); });",
    );
    holds(browser, "document.querySelector('.card header').textContent.includes('and more')");
    holds(browser, "before !== '' && getSelection().toString() === before");
    browser.look_by(NARROW).expect("a screen can be set");
    run(
        browser,
        "window.wide = (words) => (it) => { it.querySelector('td').textContent = words + 'x'.repeat(200); };
         say_part(at + 2000, 'classes', wide('one'));
         by('classes').scrollLeft = 20;
         say_part(at + 3000, 'classes', wide('other'));",
    );
    holds(browser, "by('classes').textContent.includes('other') && by('classes').scrollLeft === 20");
    browser.look_by(WIDE).expect("a screen can be set");
    // The card that has the focus ends.
    run(
        browser,
        "document.querySelector('.card a').focus();
         say_part(at + 4000, 'incidents', (it) => it.querySelector('.card').remove());",
    );
    holds(browser, "document.querySelectorAll('.card').length === 1 && document.activeElement.id === 'h-incidents'");
}

fn what_is_chosen_outlasts_the_page(browser: &mut Browser) {
    run(
        browser,
        "choose('f-state', 'ailing'); choose('f-group', 'cause'); choose('f-text', 'quiet&b');
         choose('f-text', ''); window.is_old = true; setTimeout(() => location.reload());",
    );
    browser.wait_until_loaded().expect("it is loaded anew");
    holds(browser, "window.is_old === undefined && location.search === '?state=ailing&group=cause'");
    holds(browser, "by('f-state').value === 'ailing' && by('f-group').value === 'cause' && by('f-text').value === ''");
    holds(browser, "by('f-count').textContent === '2 of 3' && !headings().includes('tcp')");
    run(browser, "choose('f-state', ''); choose('f-group', 'class')");
    holds(browser, "location.search === ''");
    run(browser, "history.replaceState(null, '', '?class=nobody&text=QUI'); setTimeout(() => location.reload());");
    browser.wait_until_loaded().expect("it is loaded anew");
    holds(browser, "by('f-class').value === '' && by('f-count').textContent === '1 of 3'");
}

/// Counts what those hear who do not see the page.
const LISTENING: &str = "window.heard = 0;
    for (const it of document.querySelectorAll(':is([role=status], [role=alert], [aria-live], output):not([aria-live=off])')) {
        new MutationObserver((all) => { heard += all.length; })
            .observe(it, { childList: true, characterData: true, subtree: true });
    }
    window.ticks = new Promise((next) => setTimeout(next, 2200));";

fn who_listens_hears_what_is_new_alone(browser: &mut Browser) {
    run(browser, "choose('f-state', 'ailing')");
    holds(browser, "by('said').textContent === '2 of 3'");
    run(
        browser,
        &format!(
            "{LISTENING}
             for (const second of [1, 2, 3]) say_part(at + second * 1000, 'answer', (it) => {{
                 const time = it.querySelector('.counts time');
                 time.dateTime = new Date(at + second * 1000).toISOString();
             }});
             say_part(at + 4000, row_of('quiet').id, (it) => {{ it.dataset.state = 'healthy'; }});"
        ),
    );
    browser.value("ticks").expect("time passes");
    holds(browser, "document.querySelector('#answer .counts time').dateTime === new Date(at + 3000).toISOString()");
    holds(browser, "by('f-count').textContent === '1 of 3'");
    holds(browser, "heard === 0");
    run(browser, "say_part(at + 5000, 'answer', (it) => { it.querySelector('h1').textContent = 'Now it is so'; })");
    within(browser, "heard > 0");
    holds(
        browser,
        "[...document.querySelectorAll('[role=status]')].some((it) => it.textContent.startsWith('Now it is so'))",
    );
}

fn what_is_copied_is_said_with_and_without_a_clipboard(browser: &mut Browser) {
    run(
        browser,
        "window.card = document.querySelector('.card');
         window.fold = card.querySelector('details.copy');
         const clipboard = { writeText: async (words) => { window.copied = words; } };
         Object.defineProperty(navigator, 'clipboard', { get: () => window.is_clear ? undefined : clipboard });
         card.querySelector('header .copying').click();",
    );
    within(
        browser,
        "by('said').textContent === 'Copied' && card.querySelector('header .copying').textContent === 'Copied'",
    );
    holds(
        browser,
        "copied === card.querySelector('pre.report').textContent && copied.startsWith('### ') && !fold.open",
    );
    within(browser, "by('said').textContent === ''");
    holds(browser, "card.querySelector('header .copying').textContent === 'Copy as Markdown'");
    run(
        browser,
        "window.is_clear = true;
         document.execCommand = () => { window.copied = getSelection().toString(); return window.is_taken; };
         card.querySelector('header .copying').click();",
    );
    // What the browser does not take is marked and in sight.
    within(browser, "by('said').textContent === 'Marked: copy it'");
    holds(browser, "copied.startsWith('### ') && fold.open");
    run(
        browser,
        "fold.open = false;
         window.is_taken = true;
         document.querySelector('.todo .typed .copying').closest('details').open = true;
         document.querySelector('.todo .typed .copying').click();",
    );
    within(browser, "document.querySelector('.todo .typed .copying').textContent === 'Copied'");
    holds(browser, "copied !== '' && copied === document.querySelector('.todo .typed pre').textContent");
    within(browser, "document.querySelector('.todo .typed .copying').textContent === 'Copy'");
}

fn who_hears_nothing_says_so_everywhere(browser: &mut Browser) {
    run(browser, "window.before = document.title; later = 20000; window.scrollTo(0, document.body.scrollHeight);");
    within(browser, "!by('link').hidden");
    holds(browser, "/has not answered for [0-9]+ s.*as of /.test(by('link').textContent)");
    holds(browser, "document.title === 'Not live: ' + before");
    holds(browser, "scrollY > 0 && by('link').getBoundingClientRect().top >= 0");
    holds(browser, "getComputedStyle(by('main')).filter === 'grayscale(1)'");
    run(browser, LISTENING);
    browser.value("ticks").expect("time passes");
    holds(browser, "heard === 0");
    run(browser, "choose('f-group', 'cause')");
    if let Some(axe) = axe().map(|path| fs::read_to_string(path).expect("axe is text")) {
        for screen in [DIM, WIDE] {
            browser.look_by(screen).expect("a screen can be set");
            holds(browser, "!by('link').hidden");
            assert_eq!(judged(browser, &axe), [""; 0], "the agent is lost, by {screen:?}");
        }
    }
    run(browser, "say({ at: at + 3600000 })");
    holds(browser, "by('link').hidden && document.title === before");
    holds(browser, "document.querySelector('#as-of time').dateTime === new Date(at + 3600000).toISOString()");
    holds(browser, "by('as-of').textContent === document.querySelector('#as-of time').textContent");
}

fn who_is_told_nothing_fetches_and_is_no_less_in_touch(browser: &mut Browser) {
    run(
        browser,
        "answer = async () => sheet(at, () => {});
         refuses = true;
         sources[0].readyState = 2;
         sources[0].onerror();",
    );
    for times in 1..=3 {
        run(browser, "later += 10500");
        within(browser, &format!("asked.length >= {times}"));
        holds(browser, "by('link').hidden");
    }
    run(browser, "answer = async () => { throw new TypeError('nobody is there'); }; later += 23000;");
    within(browser, "!by('link').hidden");
}

/// A connection that died without a word, and a proxy that passes on nothing of a stream.
fn a_stream_that_says_nothing_is_opened_anew_and_the_page_fetched_meanwhile(browser: &mut Browser) {
    run(
        browser,
        "answer = async () => sheet(at + asked.length * 1000, (paper) => { paper.title = 'fetched ' + asked.length; });
         later = 12500;",
    );
    within(browser, "document.title === 'fetched 1' && sources.length === 2");
    holds(browser, "by('link').hidden && sources[0].readyState === EventSource.CLOSED");
    run(
        browser,
        "say({ at: at + 1000 }); answer = async () => { throw new TypeError('nobody is there'); }; later += 13000;",
    );
    within(browser, "!by('link').hidden");
    holds(browser, "sources.length === 2");
    run(browser, "answer = async () => sheet(at + 9000, (paper) => { paper.title = 'back'; }); later += 10000;");
    within(browser, "document.title === 'back' && by('link').hidden && sources.length === 3");
}

/// What counts is how long it hears nothing, and not what its reader's clock says.
fn a_readers_clock_that_went_back_hides_no_silence(browser: &mut Browser) {
    run(browser, "answer = async () => { throw new TypeError('nobody is there'); }; later = -3600000; slept = 23000;");
    within(browser, "!by('link').hidden");
    run(
        browser,
        "answer = async () => sheet(at, (paper) => { paper.title = 'changed'; });
         refuses = true;
         sources.at(-1).readyState = 2;
         sources.at(-1).onerror();
         later -= 3600000;
         slept += 11000;",
    );
    within(browser, "document.title === 'changed' && by('link').hidden");
}

fn who_is_not_seen_takes_no_connection(browser: &mut Browser) {
    run(browser, "go_away(true)");
    holds(browser, "sources.length === 1 && sources[0].readyState === EventSource.CLOSED");
    run(browser, "answer = async () => sheet(at + 1000, (paper) => { paper.title = 'changed'; }); later = 61000;");
    within(browser, "document.title === 'changed'");
    holds(browser, "sources.length === 1");
    run(browser, "later += 30000; window.before = asked.length; go_away(false);");
    within(browser, "asked.length === before + 1 && sources.length === 2");
    holds(browser, "by('link').hidden && sources[1].readyState !== EventSource.CLOSED");
}

fn a_fetch_that_hangs_is_given_up(browser: &mut Browser) {
    run(
        browser,
        "AbortSignal.timeout = (time) => {
             const control = new AbortController();
             setTimeout(() => control.abort(), time / 1000);
             return control.signal;
         };
         const hang = (path, how) => new Promise((_, no) => how.signal?.addEventListener('abort', () => no(new Error('time is up'))));
         const good = async () => sheet(at + 1000, (paper) => { paper.title = 'changed'; });
         answer = (path, how) => (asked.length === 1 ? hang(path, how) : good());
         say({ at: at + 1000, whole: true });",
    );
    within(browser, "document.title === 'changed'");
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

fn a_time_gets_its_date_when_the_day_is_over(browser: &mut Browser) {
    run(browser, "window.time = document.querySelector('.card header time'); window.before = time.textContent;");
    holds(browser, "!before.includes(new Date().getFullYear())");
    run(browser, "later = 26 * 3600000");
    within(browser, "time.textContent.includes(new Date(time.dateTime).getFullYear())");
}

fn the_reader_chooses_the_theme(browser: &mut Browser) {
    let colour = "getComputedStyle(document.body).backgroundColor";
    run(browser, &format!("window.light = {colour}"));
    for (theme, is_light) in [("light", true), ("dark", false), ("automatic", true), ("light", true), ("dark", false)] {
        run(browser, "by('theme').click()");
        holds(browser, &format!("by('theme').textContent === 'Theme: {theme}'"));
        holds(browser, &format!("({colour} === light) === {is_light}"));
    }
    holds(browser, "localStorage.getItem('theme') === 'dark'");
    run(browser, "by('theme').click()");
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
