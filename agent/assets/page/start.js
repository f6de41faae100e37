  // The copying of an incident, and what happens when the page is there.
  const show_buttons = (within) => { for (const button of within.querySelectorAll("button.copying")) button.hidden = false; };
  const copy = async (button) => {
    const report = button.parentElement.querySelector("pre");
    let done = false;
    try {
      await navigator.clipboard.writeText(report.textContent);
      done = true;
    } catch {
      // Without TLS there is no clipboard: the old way needs a selection.
      getSelection().selectAllChildren(report);
      done = document.execCommand("copy");
    }
    write(button, done ? "Copied" : "Press Ctrl-C");
    setTimeout(write, 2000, button, "Copy as Markdown");
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
