//! How the page keeps in touch with its agent, and that it says so when it has lost it.

use std::fs;

use ase_lab::browser::Browser;

use super::{LISTENING, run};
use crate::page::{DIM, WIDE, axe, holds, judged, within};

pub(super) fn who_hears_nothing_says_so_everywhere(browser: &mut Browser) {
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

pub(super) fn who_is_told_nothing_fetches_and_is_no_less_in_touch(browser: &mut Browser) {
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
pub(super) fn a_stream_that_says_nothing_is_opened_anew_and_the_page_fetched_meanwhile(browser: &mut Browser) {
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
pub(super) fn a_readers_clock_that_went_back_hides_no_silence(browser: &mut Browser) {
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

pub(super) fn who_is_not_seen_takes_no_connection(browser: &mut Browser) {
    run(browser, "go_away(true)");
    holds(browser, "sources.length === 1 && sources[0].readyState === EventSource.CLOSED");
    run(browser, "answer = async () => sheet(at + 1000, (paper) => { paper.title = 'changed'; }); later = 61000;");
    within(browser, "document.title === 'changed'");
    holds(browser, "sources.length === 1");
    run(browser, "later += 30000; window.before = asked.length; go_away(false);");
    within(browser, "asked.length === before + 1 && sources.length === 2");
    holds(browser, "by('link').hidden && sources[1].readyState !== EventSource.CLOSED");
}

pub(super) fn a_fetch_that_hangs_is_given_up(browser: &mut Browser) {
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
