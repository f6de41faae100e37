  // How the page looks to its reader: the theme, and times in the reader's zone.
  const root = document.documentElement;
  const page = () => document.body.dataset;
  const by_id = (id) => document.getElementById(id);
  // Nothing is written that stands there already: readers of the screen would say it again.
  const write = (it, words) => { if (it && it.textContent !== words) it.textContent = words; };

  const themes = ["automatic", "light", "dark"];
  // Private windows may forbid storage; the choice then lasts as long as the page.
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* not kept */ } };
  let theme = themes.includes(stored()) ? stored() : "automatic";
  const show_theme = () => {
    if (theme === "automatic") delete root.dataset.theme; else root.dataset.theme = theme;
    const button = by_id("theme");
    if (button) { button.hidden = false; write(button, "Theme: " + theme); }
  };
  const next_theme = () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    keep(theme);
    show_theme();
  };
  show_theme();

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const today = () => new Date().toDateString();
  const localise = (within) => {
    const day = today();
    for (const time of within.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (!isNaN(at)) write(time, (at.toDateString() === day ? clock : form).format(at));
    }
  };
  // A time without its date is one of today: tomorrow it gets its date.
  let day = today();
  const turn_day = () => {
    if (day === today()) return;
    day = today();
    localise(document);
  };
