  // The copying of an incident or a command, and what happens when the page is there.
  const show_buttons = (within) => { for (const button of within.querySelectorAll("button.copying")) button.hidden = false; };
  const copy = async (button) => {
    const typed = button.closest(".typed");
    const text = typed ? typed.querySelector("pre") : button.closest("article, main").querySelector("pre.report");
    let done = false;
    try {
      await navigator.clipboard.writeText(text.textContent);
      done = true;
    } catch {
      // Without TLS there is no clipboard: the old way needs a selection, and nothing can be selected that is folded.
      const fold = text.closest("details");
      const was_open = fold?.open;
      if (fold) fold.open = true;
      getSelection().selectAllChildren(text);
      done = document.execCommand("copy");
      if (fold && done) fold.open = was_open;
    }
    const said = done ? "Copied" : "Marked: copy it";
    write(button, said);
    write(by_id("said"), said);
    setTimeout(() => {
      write(button, typed ? "Copy" : "Copy as Markdown");
      if (by_id("said").textContent === said) write(by_id("said"), "");
    }, 2000);
  };

  document.addEventListener("DOMContentLoaded", () => {
    show_theme();
    by_id("theme").onclick = next_theme;
    write(by_id("zone"), "in your zone, " + zone + "; UTC shows when you point at them");
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button.copying");
      if (button) copy(button);
    });
    prepare_table();
    localise(document);
    show_buttons(document);
    last = sentence();
    document.addEventListener("visibilitychange", seen);
    if (document.hidden) stop(); else listen();
    setInterval(tick, 1000);
  });
