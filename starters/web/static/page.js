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
    if (event.target.id !== "part-incidents" || event.defaultPrevented) return;
    event.preventDefault();
    others(event.target, event.detail.data);
  });
  document.addEventListener("htmx:afterSettle", mark);
  document.addEventListener("htmx:sseMessage", mark);

  // Other incidents: what is shown stays as it is, so that a screen reader says only what is new, and who is on a button
  // stays there. What was dismissed, in whatever tab, is not shown again.
  const DISMISSED_KEPT = 200;
  const dismissed = () => {
    try {
      return JSON.parse(localStorage.getItem("dismissed")) || [];
    } catch {
      return [];
    }
  };
  const hide = () => {
    const known = dismissed();
    for (const one of document.querySelectorAll("[data-incident]")) {
      if (known.includes(one.dataset.incident)) one.hidden = true;
    }
  };
  const others = (shown, html) => {
    const sent = document.createElement("template");
    sent.innerHTML = html;
    const known = dismissed();
    const coming = [...sent.content.querySelectorAll("[data-incident]")];
    const same = (one, other) =>
      one.dataset.incident === other.dataset.incident && one.dataset.mark === other.dataset.mark;
    for (const old of [...shown.children]) if (!coming.some((one) => same(one, old))) old.remove();
    for (const one of coming) {
      if (known.includes(one.dataset.incident) || [...shown.children].some((old) => same(one, old))) continue;
      shown.append(one);
    }
  };
  document.addEventListener("click", (event) => {
    const one = event.target.closest("[data-incident] button")?.closest("[data-incident]");
    if (!one) return;
    try {
      const kept = [...dismissed(), one.dataset.incident].slice(-DISMISSED_KEPT);
      localStorage.setItem("dismissed", JSON.stringify(kept));
    } catch {
      // A browser that keeps nothing: it comes again with the next page.
    }
    one.hidden = true;
    document.getElementById("main").focus();
  });
  addEventListener("storage", hide);

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

  // A word that was sent and never answered keeps its number: pressed again, also after a reload, it is the same word,
  // and a run takes each once. It is given up after a while, so that the same words hours later are new ones.
  const KEPT_FOR = 10 * 60 * 1000;
  const read = () => {
    try {
      const kept = Object.entries(JSON.parse(sessionStorage.getItem("unanswered")) || {});
      return Object.fromEntries(kept.filter(([, one]) => Date.now() - one.at < KEPT_FOR));
    } catch {
      return {};
    }
  };
  const write = (kept) => {
    try {
      sessionStorage.setItem("unanswered", JSON.stringify(kept));
    } catch {
      // A browser that keeps nothing: then a word that is pressed again is a new one.
    }
  };
  const number = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
  };
  document.addEventListener("htmx:configRequest", (event) => {
    const asked = event.detail;
    if (asked.path !== "/say") return;
    asked.said = new URLSearchParams([...asked.formData]).toString();
    const kept = read();
    kept[asked.said] ??= { press: number(), at: Date.now() };
    write(kept);
    asked.parameters.press = kept[asked.said].press;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    // What a run has answered, and no proxy, no sign-in and no failure of ours.
    if (requestConfig?.said === undefined || ![200, 404, 409, 422].includes(xhr.status)) return;
    const kept = read();
    delete kept[requestConfig.said];
    write(kept);
  });

  // The server is away: say so, once, where everybody sees it.
  const LOST = "This page has lost its server: what is shown may be old. It tries again by itself.";
  const ENDED = "Your session has ended: what is shown may be old. Sign in again in another tab: this page then goes on.";
  const note = (text) => {
    let shown = document.getElementById("away");
    if (!shown) {
      shown = document.createElement("p");
      shown.id = "away";
      shown.className = "notice bad";
      shown.setAttribute("role", "alert");
      document.getElementById("main").prepend(shown);
    }
    if (shown.textContent === text) return;
    shown.textContent = text;
    if (text !== ENDED) return;
    const way = Object.assign(document.createElement("a"), { href: "/sign-in", target: "_blank", rel: "noopener" });
    way.textContent = "To the sign-in";
    shown.append(" ", way);
  };
  const away = (more) => {
    // What was said of a press stays, whatever else gets no answer after it.
    if (more || !document.getElementById("away")) note(LOST + (more || ""));
  };
  document.addEventListener("htmx:sseError", async (event) => {
    const { source } = event.detail;
    if (parked.delete(source)) return;
    away();
    if (source.readyState !== EventSource.CLOSED) return;
    live.delete(source);
    const answer = await fetch("/live/session").catch(() => undefined);
    if (answer?.status === 401) note(ENDED);
  });
  document.addEventListener("htmx:sendError", (event) => {
    const sent = event.detail.requestConfig?.verb === "post";
    away(sent ? " Whether what you pressed has arrived is not known. Press it again: it counts once." : "");
  });
  document.addEventListener("htmx:sseOpen", () => document.getElementById("away")?.remove());

  // A browser opens six connections to a server without HTTP/2: tabs of runs that nobody sees let theirs go.
  const PARKED_AFTER = 10 * 1000;
  const live = new Set(), parked = new Set();
  let leaving;
  htmx.createEventSource = (url) => {
    const source = new EventSource(url, { withCredentials: true });
    live.add(source);
    return source;
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.visibilityState === "visible") {
      // The extension takes a source that has closed for one to open again.
      for (const source of [...parked]) source.dispatchEvent(new Event("error"));
      return;
    }
    leaving = setTimeout(() => {
      for (const source of live) {
        if (source.readyState === EventSource.CLOSED || !source.url.includes("/live/run?")) continue;
        source.close();
        parked.add(source);
      }
      live.clear();
    }, PARKED_AFTER);
  });

  // What waits for its reader stands in the title of Now, as it does when the page comes.
  const titled = () => {
    if (!document.getElementById("open")) return;
    const mine = document.querySelector("#open .mine .count");
    document.title = `Now${mine ? ` (${mine.textContent})` : ""} · Runbooks`;
  };
  document.addEventListener("htmx:afterSettle", titled);
  mark();
  hide();
})();
