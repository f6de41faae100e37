//! The table of endpoints: what is searched, grouped and hidden while its rows change.

use ase_lab::browser::Browser;

use super::run;
use crate::page::{holds, within};

pub(super) fn the_search_goes_on_while_endpoints_change_their_places(browser: &mut Browser) {
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
pub(super) fn what_a_fetched_page_adds_to_a_row_stands(browser: &mut Browser) {
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

pub(super) fn the_groups_are_what_they_say_and_keep_the_focus(browser: &mut Browser) {
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
pub(super) fn the_table_is_arranged_when_a_row_stands_otherwise_and_only_then(browser: &mut Browser) {
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
pub(super) fn the_focus_of_a_row_that_the_filter_hides_goes_to_its_section(browser: &mut Browser) {
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
