//! How the page looks on paper, on a phone, on a wall, and to who prefers something, in the browser of the page's own test.

use ase_lab::browser::{Browser, Screen};

use crate::page::{NARROW, WIDE, holds, within};

/// A sheet of A4 in portrait between margins of 1 cm, by CSS pixels.
const SHEET: Screen = Screen { width: 718, height: 1048, ..WIDE };
/// Every width from the smallest phone to a wall, by CSS pixels.
const SCREENS: [Screen; 6] = [
    Screen { width: 320, height: 640, ..WIDE },
    Screen { width: 390, height: 844, ..WIDE },
    Screen { width: 640, height: 800, ..WIDE },
    Screen { width: 980, height: 800, ..WIDE },
    DESK,
    WALL,
];
/// A large screen, on a desk or on a wall.
const DESK: Screen = Screen { width: 1920, height: 1080, ..WIDE };
/// A screen of 4K that is looked at from afar.
const WALL: Screen = Screen { width: 3840, height: 2160, ..WIDE };

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
    for (screen, is_wall) in [(WALL, true), (DESK, true), (WIDE, false)] {
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

/// A row of the table of classes that says as much as it ever does.
const FULL_ROW: &str = "const [name, state, now] = document.querySelector('.classes tbody tr').cells;
    name.textContent = 'monitoring';
    state.innerHTML = '? unknown <span class=\"untested muted\">12 could not be judged: the budget of new flows to this destination is spent</span>';
    now.innerHTML = '12 of 12<br><span class=\"muted\">12 not configured</span>';
    const words = document.createRange();
    words.selectNodeContents(name);";

/// On every width: nothing is scrolled sideways, an endpoint's state stands beside it, and a class's name is whole.
pub(crate) fn every_width_is_enough(browser: &mut Browser, page: &str) {
    browser.go(&format!("{page}/")).expect("the page loads");
    for screen in SCREENS {
        browser.look_by(screen).expect("a screen can be set");
        holds(browser, &format!("innerWidth === {}", screen.width));
        holds(browser, "document.documentElement.scrollWidth <= innerWidth");
        holds(
            browser,
            "[...document.querySelectorAll('tr.row')].every((it) => it.cells[1].getBoundingClientRect().right <= innerWidth)",
        );
        holds(browser, "parseFloat(getComputedStyle(document.querySelector('#answer h1')).fontSize) >= 18");
        let is_whole = format!("(() => {{ {FULL_ROW} return words.getClientRects().length === 1; }})()");
        holds(browser, &is_whole);
        holds(browser, "document.documentElement.scrollWidth <= innerWidth");
    }
}

/// Letters grow with the screen, the page takes most of it, and an incident's cause, owner and evidence stand side by side.
pub(crate) fn on_a_wall_it_is_read_from_afar(browser: &mut Browser, page: &str) {
    browser.go(&format!("{page}/")).expect("the page loads");
    within(browser, "document.querySelectorAll('.card').length > 0");
    let part = "parseFloat(getComputedStyle(document.body).fontSize) / innerWidth";
    let [desk, wall] = [DESK, WALL].map(|screen| {
        browser.look_by(screen).expect("a screen can be set");
        browser.value(part).expect("letters have a size").as_f64().expect("a number")
    });
    assert!(wall > 0.99 * desk, "letters take {wall} of a wall's width and {desk} of a desk's");
    holds(browser, "document.body.getBoundingClientRect().width >= 0.7 * innerWidth");
    let edges = "const [todo, why] = ['.todo', '.why'].map((it) => document.querySelector('.card ' + it).getBoundingClientRect());";
    holds(browser, &format!("(() => {{ {edges} return why.left >= todo.right && why.top < todo.bottom; }})()"));
    holds(browser, "document.querySelector('.card .owner').getBoundingClientRect().bottom < innerHeight");
}

/// What is told by a ground or a colour alone elsewhere has an edge or another ground where a reader's own colours are forced.
pub(crate) fn forced_colours_leave_everything_told_apart(browser: &mut Browser, page: &str) {
    browser.look_by(WIDE).expect("a screen can be set");
    browser.go(&format!("{page}/")).expect("the page loads");
    browser.look_as_preferred("forced-colors", "active").expect("colours can be forced");
    holds(browser, "matchMedia('(forced-colors: active)').matches");
    let ground =
        |of: &str| format!("getComputedStyle(document.querySelector('.zoom > input{of} + label')).backgroundColor");
    holds(browser, &format!("{} !== {}", ground(":checked"), ground(":not(:checked)")));
    holds(
        browser,
        "['.answer', '.link', '.card', 'button', 'pre'].every((it) => getComputedStyle(document.querySelector(it)).borderTopStyle === 'solid')",
    );
}

/// Who wants no motion gets none, and nobody gets any that is not asked for.
pub(crate) fn nothing_moves_for_who_wants_no_motion(browser: &mut Browser, page: &str) {
    browser.look_by(WIDE).expect("a screen can be set");
    browser.go(&format!("{page}/")).expect("the page loads");
    let scrolls = "getComputedStyle(document.documentElement).scrollBehavior";
    holds(browser, &format!("{scrolls} === 'smooth'"));
    browser.look_as_preferred("prefers-reduced-motion", "reduce").expect("it can be preferred");
    holds(browser, &format!("{scrolls} === 'auto' && document.getAnimations().length === 0"));
    holds(
        browser,
        "[...document.querySelectorAll('*')].every((it) => getComputedStyle(it).transitionDuration === '0s')",
    );
}

/// The page of an incident on paper: all of it but what is there to be copied.
pub(crate) fn a_printed_incident_is_whole(browser: &mut Browser, page: &str) {
    browser.look_by(SHEET).expect("a screen can be set");
    browser.go(&format!("{page}/")).expect("the page loads");
    let path = browser.value("document.querySelector('.card h3 a').pathname").expect("an incident is open");
    browser.go(&format!("{page}{}", path.as_str().expect("a path"))).expect("the page loads");
    browser.look_as_printed().expect("it can be printed");
    holds(
        browser,
        "['h-todo', 'h-when', 'h-why', 'h-hits'].every((it) => document.getElementById(it).checkVisibility())",
    );
    holds(browser, "!document.getElementById('h-copy').checkVisibility()");
    holds(browser, "[...document.querySelectorAll('nav, button')].every((it) => !it.checkVisibility())");
    holds(browser, "document.documentElement.scrollWidth <= innerWidth");
}
