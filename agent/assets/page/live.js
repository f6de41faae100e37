  // What keeps the page up to date: it hears what changed, fetches what cannot be told in parts, and says when it hears
  // nothing any more.
  // The agent may be below a path of a proxy's: what belongs to it is found from where the script is.
  const EVENTS = new URL("../events", document.currentScript.src);
  const SILENCE = 12000, FETCHED = 10000, HIDDEN = 60000;

  let source = null, is_told = false, heard = Date.now(), patient = 0;
  const pause = () => (document.hidden ? HIDDEN : FETCHED);
  const is_silent = () => Date.now() > heard + SILENCE;
  // A page that is told nothing hears of the agent when it is fetched.
  const is_lost = () => Date.now() > Math.max(patient, heard + SILENCE + (is_told ? 0 : pause()));

  let title = document.title;
  const sentence = () => [...document.querySelectorAll("#answer h1, #head .verdict, #head h1")].map((it) => it.textContent.trim()).join(" ");
  let was_lost = false, last = "";
  // Says aloud what is another sentence than before, and what is told of the connection; all else is for the eye alone.
  const tell = () => {
    const lost = is_lost();
    const at = new Date(Number(page().at));
    const as_of = form.format(at);
    const silent = Math.round((Date.now() - heard) / 1000);
    const words = "The agent has not answered for " + silent + " s. What stands here is as of " + as_of + ".";
    if (sentence() !== last) write(by_id("said"), last = sentence());
    if (lost !== was_lost) write(by_id("said"), lost ? words : "The agent answers again. " + last);
    was_lost = lost;
    root.classList.toggle("lost", lost);
    by_id("link").hidden = !lost;
    write(by_id("link"), lost ? words : "");
    write(by_id("live"), lost ? "" : ", live");
    const shown = (lost ? "Not live: " : "") + title;
    if (document.title !== shown) document.title = shown;
    const time = document.querySelector("#as-of time");
    time.dateTime = at.toISOString();
    time.title = time.dateTime.slice(0, 19).replace("T", " ") + " UTC";
    localise(by_id("as-of"));
  };

  const files = (of) => [...of.head.querySelectorAll("[src], [href]")].map((it) => it.getAttribute("src") || it.getAttribute("href")).join();
  const fetch_page = async () => {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // What is no longer known has a page that says so. What somebody between answers is no page of the agent's.
    if (!(answer.ok || answer.status === 404) || !fresh.body.dataset.at) throw new Error(answer.status);
    // It was fetched because nothing is heard: a proxy may keep back what is told.
    if (is_silent()) is_told = false;
    heard = Date.now();
    // Another version of the agent: its markup wants its own script and style.
    if (files(fresh) !== files(document)) { location.reload(); return; }
    page().at = fresh.body.dataset.at;
    title = fresh.title;
    for (const part of [".vantage", "#version"]) merge(document.querySelector(part), fresh.querySelector(part));
    const main = fresh.getElementById("main");
    localise(main);
    take_table(fresh);
    update(by_id("main"), main);
    narrow();
    tell();
  };

  // One fetch at a time, and not more than one in a second. The page that comes may be older than what is told meanwhile: that
  // is taken again after it.
  let busy = false, again = false, meanwhile = [];
  const refresh = async () => {
    if (busy) { again = true; return; }
    [busy, meanwhile] = [true, []];
    let next = Date.now() + 1000;
    try {
      await fetch_page();
      again = false;
      meanwhile.splice(0).forEach(take);
    } catch {
      again = true;
      next += 4000;
    }
    setTimeout(() => {
      busy = false;
      if (again) { again = false; refresh(); }
    }, Math.max(0, next - Date.now()));
  };

  // Whether the page was fetched after this was told. One that seems to be much newer is not: the agent's clock went back.
  const AWRY = 2000;
  const is_past = (at) => at < Number(page().at) && at > Number(page().at) - AWRY;
  const take = (message) => {
    const { at, parts, whole } = message;
    if (busy) meanwhile.push(message);
    if (is_past(at)) return;
    const is_detail = page().page !== "landing";
    if (whole ? at !== Number(page().at) : is_detail && parts) { refresh(); return; }
    page().at = at;
    title = message.title || title;
    for (const [id, html] of Object.entries(parts || {})) {
      const [old, fresh] = [by_id(id), parse(html)];
      if (old && fresh) update(old, fresh);
    }
    if (parts) { arrange_here(); narrow(); }
    tell();
  };

  // A page that nobody sees is fetched now and then, for the title of its tab: a browser has few connections to one agent.
  let look_at = 0;
  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource(EVENTS);
    source.onmessage = (event) => {
      [is_told, heard] = [true, Date.now()];
      take(JSON.parse(event.data));
    };
    // A refusal ends the source for good: then the page is fetched now and then, and the source tried again.
    source.onerror = () => { if (source?.readyState === EventSource.CLOSED) stop(); };
  };
  const stop = () => {
    source?.close();
    [source, is_told] = [null, false];
    look_at = Date.now() + pause();
  };
  const tick = () => {
    turn_day();
    if ((!source || is_silent()) && Date.now() >= look_at) {
      look_at = Date.now() + pause();
      refresh();
      listen();
    }
    tell();
  };
  const seen = () => {
    if (document.hidden) { stop(); return; }
    // It has a moment to answer before it is said not to.
    [patient, look_at] = [Date.now() + 3000, 0];
    tick();
  };
