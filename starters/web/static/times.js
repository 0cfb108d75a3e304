// Times in the viewer's own zone with UTC beside, and what is left of a deadline. Without this script, UTC is shown.
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}`;
  const date = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  const utcClock = (d) => `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  const utcDate = (d) => d.toISOString().slice(0, 10);
  // Of that moment, not of now: London is UTC in winter alone.
  const same = (at) => at.getTimezoneOffset() === 0;

  const span = (ms) => {
    const whole = Math.max(0, Math.floor(ms / 1000));
    const d = Math.floor(whole / 86400), h = Math.floor((whole % 86400) / 3600);
    const m = Math.floor((whole % 3600) / 60), s = whole % 60;
    if (d) return `${d} d ${h} h`;
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };

  const local = (at, form) => {
    const utc = utcDate(at) === date(at) ? utcClock(at) : `${utcDate(at)} ${utcClock(at)}`;
    const here = date(at) === date(new Date()) ? clock(at) : `${date(at)} ${clock(at)}`;
    return same(at) ? `${here} UTC` : `${here} (${utc} UTC)`;
  };

  const told = new WeakSet();
  const tell = () => {
    const now = Date.now();
    for (const one of document.querySelectorAll("time[data-form]")) {
      const at = new Date(one.dateTime), form = one.dataset.form;
      if (Number.isNaN(at.getTime())) continue;
      if (form === "left") {
        const late = at.getTime() < now;
        const text = late ? `since ${local(at, "short")}` : `${span(at.getTime() - now)} left`;
        if (one.textContent !== text) one.textContent = text;
        one.title = local(at, "short");
        one.classList.toggle("late", late);
      } else if (form === "elapsed") {
        one.textContent = `${span(now - at.getTime())} ago`;
      } else if (!told.has(one)) {
        told.add(one);
        one.textContent = local(at, form);
        one.title = at.toISOString();
      }
    }
  };
  tell();
  setInterval(tell, 1000);
  document.addEventListener("htmx:afterSettle", tell);
  document.addEventListener("htmx:sseMessage", tell);
})();
