// What the page does beside htmx: keep a part that has not changed, and say what one's roles may not.
(() => {
  const roles = new Set((document.body.dataset.roles || "").split(" ").filter(Boolean));

  const mark = () => {
    for (const form of document.querySelectorAll("form[data-may]")) {
      const may = form.dataset.may.split(" ").some((role) => roles.has(role));
      const note = form.querySelector(".maynot");
      if (note) note.hidden = may;
      for (const button of form.querySelectorAll("button")) button.disabled = !may;
    }
    for (const form of document.querySelectorAll(".words form")) {
      if (!roles.size) for (const button of form.querySelectorAll("button")) button.disabled = true;
    }
  };

  // An event begins with the mark of its part: what is shown already stays, and with it what somebody is typing.
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const found = /^<!--([0-9a-f]{16})-->/.exec(event.detail.data || "");
    if (!found) return;
    if (event.target.dataset.mark === found[1]) event.preventDefault();
    else event.target.dataset.mark = found[1];
  });
  document.addEventListener("htmx:afterSettle", mark);
  document.addEventListener("htmx:sseMessage", mark);

  // Which details were open stays so when the part around them is replaced.
  const opened = new Set();
  document.addEventListener("toggle", (event) => {
    const summary = event.target.querySelector && event.target.querySelector("input[name=word]");
    if (!summary) return;
    if (event.target.open) opened.add(summary.value);
    else opened.delete(summary.value);
  }, true);
  document.addEventListener("htmx:sseMessage", () => {
    for (const one of document.querySelectorAll(".words details")) {
      const word = one.querySelector("input[name=word]");
      if (word && opened.has(word.value)) one.open = true;
    }
  });

  // The server is away: say so, once, where everybody sees it.
  const away = () => {
    if (document.getElementById("away")) return;
    const note = document.createElement("p");
    note.id = "away";
    note.className = "notice bad";
    note.setAttribute("role", "alert");
    note.textContent = "This page has lost its server: what is shown may be old. It tries again by itself.";
    document.getElementById("main").prepend(note);
  };
  document.addEventListener("htmx:sseError", away);
  document.addEventListener("htmx:sendError", away);
  document.addEventListener("htmx:sseOpen", () => document.getElementById("away")?.remove());
  mark();
})();
