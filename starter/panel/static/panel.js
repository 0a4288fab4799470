// What pages do better with scripts: the countdown ticks, what is new is told, a failed calculation says so.
// Everything else works without this file.
(() => {
  "use strict";

  const SAY_AT = new Set([600, 300, 120, 60, 30, 10, 0]); // seconds left at which a screen reader is told
  const language = document.documentElement.lang;

  function tell(...lines) {
    document.querySelector("[data-told]")?.replaceChildren(...lines.map((line) => {
      const told = document.createElement("p");
      told.textContent = line;
      return told;
    }));
  }

  const said = () => [...document.querySelectorAll("#live [data-say]")].map((it) => it.textContent);
  let known = said();

  // Only what wasn't there before: nobody wants to hear a whole timeline again.
  function tellNews() {
    const news = said().filter((line) => !known.includes(line));
    known = said();
    if (news.length) tell(...news);
  }

  function inWords(seconds) {
    const minutes = seconds >= 60;
    const unit = { style: "unit", unit: minutes ? "minute" : "second", unitDisplay: "long" };
    return new Intl.NumberFormat(language, unit).format(minutes ? Math.round(seconds / 60) : seconds);
  }

  function start(countdown) {
    if (countdown.dataset.started) return;
    countdown.dataset.started = "yes";
    const from = performance.now();
    const total = Number(countdown.dataset.seconds);
    let shown = -1;
    function tick() {
      if (!countdown.isConnected) return clearInterval(timer);
      const left = Math.max(0, total - Math.floor((performance.now() - from) / 1000));
      if (left === shown) return;
      shown = left;
      countdown.textContent = `(${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")})`;
      if (SAY_AT.has(left)) tell(`${countdown.dataset.left} ${inWords(left)}`);
      if (left === 0) clearInterval(timer);
    }
    const timer = setInterval(tick, 250);
    tick();
  }

  const startAll = () => document.querySelectorAll(".countdown").forEach(start);
  startAll();
  document.addEventListener("htmx:afterSwap", startAll);
  document.addEventListener("htmx:afterSwap", tellNews);

  for (const trouble of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(trouble, (event) => {
      const form = event.target.closest("[data-failed]");
      const quote = document.getElementById("quote");
      if (form && quote) quote.textContent = form.dataset.failed;
    });
  }

  // A page that comes back from the browser's memory shows a past state, with a form that was used.
  window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());
})();
