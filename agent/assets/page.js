// What makes the pages live: parts that changed replace their old selves, times are shown in the reader's zone, endpoints
// can be filtered, an incident copied. Everything is on the page without it.
"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["automatic", "light", "dark"];
  // Private windows may forbid storage; the choice then lasts as long as the page.
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* not kept */ } };
  let theme = themes.includes(stored()) ? stored() : "automatic";
  const show_theme = () => {
    if (theme === "automatic") delete root.dataset.theme; else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) { button.hidden = false; button.textContent = "Theme: " + theme; }
  };
  show_theme();

  const page = () => document.body.dataset;
  const by_id = (id) => document.getElementById(id);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const localise = (within) => {
    for (const time of within.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      const is_today = new Date().toDateString() === at.toDateString();
      time.textContent = (is_today ? clock : form).format(at);
    }
  };

  // Rows that come back are shown some at a time, from the top: to lay out a thousand at once takes longer than a keystroke.
  const AT_ONCE = 100;
  let coming = 0;
  const show = (rows) => {
    cancelAnimationFrame(coming);
    for (const row of rows.splice(0, AT_ONCE)) row.hidden = row.parentElement.hidden = false;
    if (rows.length > 0) coming = requestAnimationFrame(() => show(rows));
  };
  // The filter hides rows; the groups' headings go with their last row.
  const narrow = () => {
    const table = by_id("endpoints");
    if (!table) return;
    const text = by_id("f-text").value.trim().toLowerCase();
    const kind = by_id("f-class").value;
    const state = by_id("f-state").value;
    let shown = 0, all = 0;
    const back = [];
    for (const body of table.tBodies) {
      let here = 0;
      for (const row of body.rows) {
        if (row.classList.contains("group")) continue;
        const { dataset } = row;
        const fits = (!kind || dataset.class === kind)
          && (!state || dataset.state === state || (state === "ailing" && dataset.state !== "healthy"))
          && (!text || (row.cells[0].textContent + " " + dataset.class + " " + dataset.cause).toLowerCase().includes(text));
        if (!fits) row.hidden = true; else if (row.hidden || body.hidden) back.push(row);
        all += 1;
        if (fits) here += 1;
      }
      if (here === 0) body.hidden = true;
      shown += here;
    }
    show(back);
    by_id("f-count").textContent = shown === all ? all + " endpoints" : shown + " of " + all;
    by_id("f-none").hidden = shown > 0;
  };

  const heading = (text) => {
    const row = document.createElement("tr");
    row.className = "group";
    const cell = document.createElement("th");
    cell.scope = "rowgroup";
    cell.colSpan = 6;
    cell.textContent = text;
    row.append(cell);
    return row;
  };
  const arrange = () => {
    const table = by_id("endpoints");
    if (!table) return;
    const how = by_id("f-group").value;
    if (how === (table.dataset.by || "class")) return;
    const groups = new Map();
    for (const row of table.querySelectorAll("tr.row")) {
      const name = row.dataset[how];
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(row);
    }
    const names = [...groups.keys()].sort((one, other) => (one === "none") - (other === "none") || one.localeCompare(other));
    for (const body of [...table.tBodies]) body.remove();
    for (const name of names) {
      const body = table.createTBody();
      body.append(heading(name === "none" ? "healthy" : name), ...groups.get(name));
    }
    table.dataset.by = how;
  };

  // Who takes the focus over: the element of the same name or, without one, the one at the same place within the closest
  // ancestor that has a name. Places in the whole part would not do: cards before it come and go.
  const heir_of = (focus, old) => {
    const named = focus.closest("[id]");
    const home = named && old.contains(named) ? named : old;
    const stops = (within) => [within, ...within.querySelectorAll("a, button, summary, pre, [tabindex]")];
    const place = stops(home).indexOf(focus);
    return (fresh) => {
      const its = home === old || fresh.id === home.id ? fresh : fresh.querySelector("#" + CSS.escape(home.id));
      return its && stops(its)[place];
    };
  };
  // A part takes the place of its old self; what the reader opened or has the focus on stays so.
  const replace = (old, fresh) => {
    const open = new Map([...old.querySelectorAll("details")].map((it) => [it.id, it.open]));
    const heir = old.contains(document.activeElement) ? heir_of(document.activeElement, old) : () => null;
    old.replaceWith(fresh);
    for (const it of fresh.querySelectorAll("details")) if (it.id && open.has(it.id)) it.open = open.get(it.id);
    finish(fresh);
    heir(fresh)?.focus({ preventScroll: true });
  };
  // The markup of each part as it came: times are written anew for the reader's zone, and would look like a change.
  const sources = new WeakMap();
  const units = (of) => page().page === "landing" ? [...of.querySelectorAll("[data-live]")] : [...of.getElementById("main").children];
  const name = (it) => it.id || it.getAttribute("aria-labelledby") || it.className;
  const finish = (within) => {
    if (within.nodeType === Node.ELEMENT_NODE) sources.set(within, within.outerHTML);
    if (within === document || within.id === "main") for (const it of units(document)) sources.set(it, it.outerHTML);
    localise(within);
    for (const button of within.querySelectorAll("button.copying")) { button.hidden = false; answer(button); }
  };
  const parse = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  };

  const fetch_page = async () => {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    page().at = fresh.body.dataset.at;
    document.title = fresh.title;
    const [old, now] = [units(document), units(fresh)];
    if (old.map(name).join() === now.map(name).join()) {
      old.forEach((it, place) => { if (sources.get(it) !== now[place].outerHTML) replace(it, document.adoptNode(now[place])); });
    } else {
      const values = ["f-text", "f-class", "f-state", "f-group"].map((id) => [id, by_id(id)?.value]);
      const span = document.querySelector("input[name=span]:checked")?.id;
      replace(by_id("main"), document.adoptNode(fresh.getElementById("main")));
      for (const [id, value] of values) if (value !== undefined && by_id(id)) by_id(id).value = value;
      if (span && by_id(span)) by_id(span).checked = true;
      prepare();
    }
    arrange();
    narrow();
  };

  // One fetch at a time, and not more often than each two seconds.
  let busy = false, again = false;
  const refresh = () => {
    if (busy) { again = true; return; }
    busy = true;
    fetch_page().catch(() => {}).finally(() => setTimeout(() => {
      busy = false;
      if (again) { again = false; refresh(); }
    }, 2000));
  };

  let heard = Date.now();
  const take = (message) => {
    heard = Date.now();
    const { at, parts, title, whole } = message;
    if (page().page === "still") return;
    if (page().page !== "landing") {
      if (whole || parts) refresh();
      return;
    }
    if (whole && Number(page().at) < at) { refresh(); return; }
    for (const [id, html] of Object.entries(parts || {})) {
      const old = by_id(id);
      const fresh = old && parse(html);
      if (fresh) replace(old, fresh);
    }
    page().at = Math.max(Number(page().at), at);
    if (title) document.title = title;
    if (parts) {
      if (by_id("endpoints")?.dataset.by === "cause") by_id("endpoints").dataset.by = "moved";
      arrange();
      narrow();
    }
    tell();
  };
  const tell = () => {
    const silent = Math.round((Date.now() - heard) / 1000);
    const lost = silent > 12;
    const as_of = form.format(new Date(Number(page().at)));
    const words = lost ? "The agent cannot be reached for " + silent + " s. What stands here is as of " + as_of + "." : "";
    const link = by_id("link");
    if (link.hidden === lost) { link.hidden = !lost; root.classList.toggle("lost", lost); }
    // Said once to those who listen, and kept up to date for those who look.
    if (lost && (link.textContent === "" || silent % 10 === 0)) link.textContent = words;
    if (!lost) link.textContent = "";
    by_id("live").textContent = lost ? "" : ", live";
  };
  const listen = () => {
    const source = new EventSource("/events");
    source.onmessage = (event) => take(JSON.parse(event.data));
    // A refusal ends the source for good: then the page is fetched now and then, and the source tried again.
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => { refresh(); listen(); }, 10000);
    };
  };

  // What each button answers for two seconds, by its name: its card may be replaced while it copies or answers.
  const answers = new Map();
  const answer = (button) => { button.textContent = answers.get(button.id) || "Copy as Markdown"; };
  const say = (id, words) => {
    if (words) answers.set(id, words); else answers.delete(id);
    if (by_id(id)) answer(by_id(id));
  };
  const copy = async ({ id }) => {
    const report = () => by_id(id)?.parentElement.querySelector("pre");
    let done = false;
    try {
      await navigator.clipboard.writeText(report().textContent);
      done = true;
    } catch {
      // Without TLS there is no clipboard: the old way needs a selection.
      if (report()) getSelection().selectAllChildren(report());
      done = document.execCommand("copy");
    }
    say(id, done ? "Copied" : "Press Ctrl-C");
    setTimeout(say, 2000, id, "");
  };

  const prepare = () => {
    const filter = by_id("filter");
    if (!filter) return;
    filter.hidden = false;
    filter.oninput = () => { arrange(); narrow(); };
    filter.onsubmit = (event) => event.preventDefault();
    narrow();
  };
  document.addEventListener("DOMContentLoaded", () => {
    show_theme();
    by_id("theme").onclick = () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      keep(theme);
      show_theme();
    };
    by_id("zone").textContent = "in your zone, " + zone + "; UTC shows when you point at them";
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button.copying");
      if (button) copy(button);
    });
    prepare();
    finish(document);
    if (page().page !== "still") {
      listen();
      setInterval(tell, 1000);
    }
  });
})();
