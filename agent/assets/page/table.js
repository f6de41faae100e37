  // The table of endpoints: the filter, and the groups.
  const table = () => by_id("endpoints");
  const rows_of = (table) => [...table.querySelectorAll("tr.row")];

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
    if (!table()) return;
    const text = by_id("f-text").value.trim().toLowerCase();
    const kind = by_id("f-class").value;
    const state = by_id("f-state").value;
    let shown = 0, all = 0;
    const back = [];
    for (const body of table().tBodies) {
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
    by_id("filter").classList.toggle("narrowed", shown !== all);
    write(by_id("f-count"), shown === all ? all + " endpoints" : shown + " of " + all);
    by_id("f-none").hidden = shown > 0;
  };

  // The place of each row in the agent's order: classes in turn, in each the worst first.
  let places = new Map();
  const learn_places = (table) => { places = new Map(rows_of(table).map((row, place) => [row.id, place])); };
  const place_of = (row) => places.get(row.id) ?? places.size;
  const by_name = (one, other) => (one === "none") - (other === "none") || one.localeCompare(other);
  const body_of = (table, name) => {
    const body = document.createElement("tbody");
    body.dataset.group = name;
    const heading = table.querySelector("tr.group").cloneNode(true);
    heading.removeAttribute("id");
    body.append(heading);
    return body;
  };
  // Puts each row where it belongs by the chosen grouping, and each count into its heading.
  const arrange = (table) => {
    const how = by_id("f-group").value;
    const bodies = new Map([...table.tBodies].map((body) => [body.dataset.group, body]));
    const groups = new Map();
    for (const row of rows_of(table).sort((one, other) => place_of(one) - place_of(other))) {
      const name = row.dataset[how];
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(row);
    }
    const names = [...groups.keys()];
    if (how === "cause") names.sort(by_name);
    const filled = names.map((name) => {
      const [body, rows] = [bodies.get(name) || body_of(table, name), groups.get(name)];
      const ailing = rows.filter((row) => row.dataset.state !== "healthy").length;
      const [cell] = body.rows[0].cells;
      write(cell.firstChild, (name === "none" ? "healthy" : name) + " ");
      // All that have one cause are ailing, or none is.
      write(cell.querySelector(".muted"), rows.length + (how !== "cause" && ailing > 0 ? ", " + ailing + " not healthy" : ""));
      seat(body, [body.rows[0], ...rows]);
      return body;
    });
    seat(table, [...[...table.children].filter((it) => it.localName !== "tbody"), ...filled]);
  };
  const arrange_here = () => { if (table()) keep_focus(() => arrange(table())); };

  // What is chosen stands in the page's address, so that it is there again after a reload, on the way back and in a bookmark.
  const CHOICES = [["text", "f-text"], ["class", "f-class"], ["state", "f-state"], ["group", "f-group"]].map(([name, id]) => [name, () => by_id(id)]);
  const is_chosen = (it) => (it.localName === "select" ? it.selectedIndex > 0 : it.value !== "");
  const keep_choices = () => {
    const chosen = CHOICES.filter(([, it]) => is_chosen(it())).map(([name, it]) => [name, it().value]);
    const query = chosen.length > 0 ? "?" + new URLSearchParams(chosen) : "";
    if (query !== location.search) history.replaceState(null, "", location.pathname + query + location.hash);
  };
  const recall_choices = () => {
    const chosen = new URLSearchParams(location.search);
    for (const [name, it] of CHOICES) {
      if (chosen.has(name)) it().value = chosen.get(name);
      if (it().selectedIndex < 0) it().selectedIndex = 0;
    }
  };

  const prepare_table = () => {
    if (!table()) return;
    recall_choices();
    const filter = by_id("filter");
    filter.hidden = false;
    filter.oninput = (event) => {
      if (event.target.id === "f-group") arrange_here();
      narrow();
      // Only who types wants to hear it: a filter may be set for hours.
      write(by_id("said"), by_id("f-count").textContent);
      keep_choices();
    };
    filter.onsubmit = (event) => event.preventDefault();
    learn_places(table());
    arrange_here();
    narrow();
  };
  // What a row is arranged, counted and filtered by: not what its visits took.
  const standing = ({ dataset }) => [dataset.class, dataset.cause, dataset.state].join(" ");
  // Changes what has these ids, and arranges and filters the table anew where a row among them stands otherwise.
  const change_rows = (ids, change) => {
    const rows = ids.map(by_id).filter((it) => it?.matches("tr.row"));
    const before = rows.map(standing);
    change();
    if (rows.every((row, place) => standing(row) === before[place])) return;
    arrange_here();
    keep_focus(narrow);
  };
  // Takes over a table that was fetched, before it is merged.
  const take_table = (fresh) => {
    const its = fresh.getElementById("endpoints");
    if (!its || !table()) return;
    const kinds = by_id("f-class");
    const kind = kinds.value;
    merge(kinds, fresh.getElementById("f-class"));
    kinds.value = kind;
    if (kinds.selectedIndex < 0) kinds.value = "";
    learn_places(its);
    arrange(its);
    // Rows find their groups first: one that was in another would not be found there. What is in them comes with the page.
    for (const row of rows_of(its)) if (by_id(row.id)) Object.assign(by_id(row.id).dataset, row.dataset);
    arrange_here();
  };
