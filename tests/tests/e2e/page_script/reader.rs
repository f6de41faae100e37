//! What a reader reads, chooses, copies and hears while the page goes on.

use ase_lab::browser::Browser;

use super::{LISTENING, run};
use crate::page::{NARROW, WIDE, holds, within};

pub(super) fn what_is_read_stays(browser: &mut Browser) {
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

pub(super) fn what_is_chosen_outlasts_the_page(browser: &mut Browser) {
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

pub(super) fn who_listens_hears_what_is_new_alone(browser: &mut Browser) {
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

pub(super) fn what_is_copied_is_said_with_and_without_a_clipboard(browser: &mut Browser) {
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

pub(super) fn a_time_gets_its_date_when_the_day_is_over(browser: &mut Browser) {
    run(browser, "window.time = document.querySelector('.card header time'); window.before = time.textContent;");
    holds(browser, "!before.includes(new Date().getFullYear())");
    run(browser, "later = 26 * 3600000");
    within(browser, "time.textContent.includes(new Date(time.dateTime).getFullYear())");
}

pub(super) fn the_reader_chooses_the_theme(browser: &mut Browser) {
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
