  // How what came takes the place of what stands on the page: what is the same stays as it is, with its focus, its selection
  // and how far it is scrolled.

  // Makes these the children, in this order, and moves as few as it can: who is moved loses the focus.
  const seat = (parent, children) => {
    const wanted = new Set(children);
    for (const it of [...parent.childNodes]) if (!wanted.has(it)) it.remove();
    let here = parent.firstChild;
    for (const child of children) {
      if (here && here.nextSibling === child) { parent.append(here); here = child; }
      if (here === child) here = here.nextSibling; else parent.insertBefore(child, here);
    }
  };

  // What a child is known by among its siblings, whatever its place.
  const key = (it) => it.id || it.dataset?.group || it.getAttribute?.("aria-labelledby");
  // What the script or the reader sets, and nobody who renders.
  const OURS = "#filter, #f-none, button.copying";
  const is_ours = (it, name) => name === "open" || name === "tabindex" || (name === "hidden" && ["tr", "tbody"].includes(it.localName));
  const merge = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return; }
    if (old.matches(OURS)) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !is_ours(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !is_ours(old, name)) old.setAttribute(name, value);
    }
    const named = new Map(), nameless = [];
    for (const it of old.childNodes) if (key(it)) named.set(key(it), it); else nameless.push(it);
    seat(old, [...fresh.childNodes].map((child) => {
      const place = nameless.findIndex((it) => it.nodeName === child.nodeName);
      const found = key(child) ? named.get(key(child)) : nameless.splice(place, place < 0 ? 0 : 1)[0];
      if (found?.nodeName !== child.nodeName) return child;
      merge(found, child);
      return found;
    }));
  };

  // Changes the page and keeps the focus: on what has it or, where that is gone, on the heading of its section.
  const keep_focus = (change) => {
    const focus = document.activeElement;
    const section = focus?.closest("section");
    const is_kept = () => document.activeElement === focus && focus.checkVisibility();
    change();
    if (!focus || is_kept()) return;
    focus.focus({ preventScroll: true });
    if (is_kept()) return;
    const heir = (section?.isConnected && section.querySelector("h2")) || by_id("main");
    heir.tabIndex = -1;
    heir.focus({ preventScroll: true });
  };
  const update = (old, fresh) => keep_focus(() => {
    localise(fresh);
    merge(old, fresh);
    show_buttons(old);
  });
  const parse = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  };
