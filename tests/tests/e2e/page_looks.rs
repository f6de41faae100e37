//! How the page looks on paper and on a wall, in the browser of the page's own test.

use ase_lab::browser::{Browser, Screen};

use crate::page::{WIDE, holds, within};

/// A sheet of A4 in portrait between margins of 1 cm, by CSS pixels.
const SHEET: Screen = Screen { width: 718, height: 1048, ..WIDE };

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
    holds(
        browser,
        "document.querySelectorAll('.card').length > 1 && !!document.querySelector('.todo details:not([open])')",
    );
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
}
