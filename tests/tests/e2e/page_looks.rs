//! How the page looks on paper, on a phone and on a wall, in the browser of the page's own test.

use ase_lab::browser::{Browser, Screen};

use crate::page::{NARROW, WIDE, holds, within};

/// A sheet of A4 in portrait between margins of 1 cm, by CSS pixels.
const SHEET: Screen = Screen { width: 718, height: 1048, ..WIDE };

/// A screen on a wall.
const WALL: Screen = Screen { width: 1920, height: 1080, ..WIDE };

/// With two incidents open, everything that a screen shows at a click or a touch is on paper.
pub(crate) fn printed_it_is_a_report(browser: &mut Browser, page: &str) {
    let shown = |what: &str| {
        format!(
            "(() => {{ const all = [...document.querySelectorAll('{what}')]; return all.length > 0 && all.every((it) => it.checkVisibility() && it.getBoundingClientRect().height > 0); }})()"
        )
    };
    browser.look_by(SHEET).expect("a screen can be set");
    browser.go(&format!("{page}/")).expect("the page loads");
    within(browser, "document.getElementById('live').textContent === ', live'");
    holds(browser, "document.querySelectorAll('.card').length > 1 && !document.querySelector('.todo details[open]')");
    browser.look_as_printed().expect("it can be printed");
    holds(browser, &shown(".todo details pre"));
    holds(browser, &shown(".todo details summary"));
    holds(browser, &shown("#endpoints thead th"));
    holds(
        browser,
        "[...document.querySelectorAll('details.copy, button, #filter')].every((it) => !it.checkVisibility())",
    );
    let said = "(it) => getComputedStyle(it, '::after').content";
    holds(browser, &format!("[...document.querySelectorAll('time')].every((it) => ({said})(it).includes(' UTC'))"));
    holds(browser, &format!("({said})(document.getElementById('zone')) === '\"UTC\"'"));
    holds(browser, "['time', '#zone'].every((it) => getComputedStyle(document.querySelector(it)).fontSize === '0px')");
    holds(browser, "document.documentElement.scrollWidth <= innerWidth");
    // A part of the table is not taken for all of it, nor what is old for what is so.
    let is_seen = |what: &str| format!("document.querySelector('{what}').checkVisibility()");
    let choose = |text: &str| {
        format!(
            "(() => {{ const it = document.getElementById('f-text'); it.value = '{text}'; \
             it.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        )
    };
    browser.value(&choose("quiet")).expect("it filters");
    holds(browser, &format!("{} && !{}", is_seen("#f-count"), is_seen("#filter label")));
    browser.value(&choose("")).expect("it filters");
    holds(browser, &format!("!{}", is_seen("#f-count")));
    holds(
        browser,
        &format!("(() => {{ document.getElementById('link').hidden = false; return {}; }})()", is_seen("#link")),
    );
}

/// While something is lost, a wall shows the risk and how each class stands without anybody who scrolls.
pub(crate) fn a_wall_shows_the_classes_beside_a_loss(browser: &mut Browser, page: &str) {
    let is_seen = "(() => { const it = document.getElementById('wall'); return it.checkVisibility() && it.getBoundingClientRect().bottom <= innerHeight; })()";
    for (screen, is_wall) in [(WALL, true), (WIDE, false)] {
        browser.look_by(screen).expect("a screen can be set");
        browser.go(&format!("{page}/")).expect("the page loads");
        within(browser, "document.querySelector('.card') !== null");
        holds(browser, &format!("{is_seen} === {is_wall}"));
        holds(browser, "document.documentElement.scrollWidth <= innerWidth");
    }
}

/// A row has a line below its name with what is in columns elsewhere, and no legend stands without its chart.
pub(crate) fn a_phone_shows_what_a_desk_does(browser: &mut Browser, page: &str) {
    browser.look_by(NARROW).expect("a screen can be set");
    browser.go(&format!("{page}/")).expect("the page loads");
    within(browser, "document.querySelector('tr.row[data-state=failed] code') !== null");
    for (legend, chart) in [("#filter + .legend", "tr.row svg.visits"), ("#classes .legend", ".classes tbody svg.bars")]
    {
        let seen = |what: &str| format!("document.querySelector('{what}')?.checkVisibility() === true");
        holds(browser, &format!("({}) === ({})", seen(legend), seen(chart)));
    }
    holds(
        browser,
        "(() => {
             const row = document.querySelector('tr.row[data-state=failed]');
             const [name, code, since] = ['th a', 'code', '.w-since'].map((it) => row.querySelector(it));
             const top = (it) => it.getBoundingClientRect().top;
             return since.checkVisibility() && top(since) > top(name) && code.title !== ''
                 && getComputedStyle(code, '::after').content.includes(code.title);
         })()",
    );
}
