  // What keeps the page up to date: it hears what changed, fetches what cannot be told in parts, and says when it hears
  // nothing any more.
  // The agent may be below a path of a proxy's: what belongs to it is found from where the script is.
  const EVENTS = new URL("../events", document.currentScript.src);
  const SILENCE = 12000, FETCHED = 10000, HIDDEN = 60000, PATIENCE = 3000;

  // How long ago a moment was: the reader's clock may be set back, and the other one stands still while the machine sleeps.
  const moment = () => [Date.now(), performance.now()];
  const since = ([date, steady]) => Math.max(Date.now() - date, performance.now() - steady);

  let source = null, is_told = false, heard = moment(), seen_at = null;
  const pause = () => (document.hidden ? HIDDEN : FETCHED);
  // A page that is seen again has a moment to hear of the agent before it says that it does not.
  const is_patient = () => seen_at && since(seen_at) < PATIENCE;
  // A page that is told nothing hears of the agent when it is fetched.
  const is_lost = () => !is_patient() && since(heard) > SILENCE + (is_told ? 0 : pause());

  let title = document.title;
  const sentence = () => [...document.querySelectorAll("#answer h1, #head .verdict, #head h1")].map((it) => it.textContent.trim()).join(" ");
  let was_lost = false, last = "";
  // Says aloud what is another sentence than before, and what is told of the connection; all else is for the eye alone.
  const tell = () => {
    const lost = is_lost();
    const at = new Date(Number(page().at));
    const as_of = form.format(at);
    const silent = Math.round(since(heard) / 1000);
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
    heard = moment();
    // Another version of the agent: its markup wants its own script and style.
    if (files(fresh) !== files(document)) { location.reload(); return; }
    for (const name of ["process", "number", "at"]) page()[name] = fresh.body.dataset[name];
    title = fresh.title;
    for (const part of [".vantage", "#version"]) merge(document.querySelector(part), fresh.querySelector(part));
    const main = fresh.getElementById("main");
    localise(main);
    take_table(fresh);
    update(by_id("main"), main);
    keep_focus(narrow);
    tell();
  };

  // One fetch at a time, and not more than one in a second. The page that comes may be older than what is told meanwhile: that
  // is taken again after it.
  let busy = false, again = false, meanwhile = [];
  const refresh = async () => {
    if (busy) { again = true; return; }
    [busy, meanwhile] = [true, []];
    const began = moment();
    let rest = 1000;
    try {
      await fetch_page();
      again = false;
      meanwhile.splice(0).forEach(take);
    } catch {
      again = true;
      rest += 4000;
    }
    setTimeout(() => {
      [busy, meanwhile] = [false, []];
      if (again) { again = false; refresh(); }
    }, Math.max(0, rest - since(began)));
  };

  // Snapshots are ordered by their numbers, whatever the agent's clock says; another process counts them anew.
  const take = (message) => {
    const { process, number, at, parts, whole } = message;
    if (busy) meanwhile.push(message);
    const is_other = process !== page().process;
    const ahead = number - Number(page().number);
    if (!is_other && ahead < 0) return;
    const is_detail = page().page !== "landing";
    // A detail is told nothing in parts: it is fetched for each snapshot.
    if (is_other || (ahead > 0 && (whole || is_detail))) { refresh(); return; }
    [page().number, page().at] = [number, at];
    if (!is_detail && parts) {
      title = message.title;
      change_rows(Object.keys(parts), () => {
        for (const [id, html] of Object.entries(parts)) {
          const [old, fresh] = [by_id(id), parse(html)];
          if (old && fresh) update(old, fresh);
        }
      });
    }
    tell();
  };

  // A page that nobody sees is fetched now and then, for the title of its tab: a browser has few connections to one agent.
  let looked = null, opened = null;
  // A stream may have died without anybody telling the browser, or wait in a proxy that passes on nothing before its end.
  const is_dead = () => since(opened) > SILENCE && since(heard) > (is_told ? SILENCE + FETCHED : FETCHED);
  const listen = () => {
    if (source || document.hidden) return;
    [source, opened] = [new EventSource(EVENTS), moment()];
    source.onmessage = (event) => {
      [is_told, heard] = [true, moment()];
      take(JSON.parse(event.data));
    };
    // A refusal ends the source for good: then the page is fetched now and then, and the source tried again.
    source.onerror = () => { if (source?.readyState === EventSource.CLOSED) stop(); };
  };
  const stop = () => {
    source?.close();
    [source, is_told] = [null, false];
    looked = moment();
  };
  const tick = () => {
    turn_day();
    if (source && is_dead()) {
      stop();
      looked = null;
    }
    if (!source && !(looked && since(looked) < pause())) {
      looked = moment();
      refresh();
      listen();
    }
    tell();
  };
  const seen = () => {
    if (document.hidden) { stop(); return; }
    [seen_at, looked] = [moment(), null];
    tick();
  };
