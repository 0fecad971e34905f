// The signing page, and the sign dialog that htmx puts into it. The server knows which pages were served and refuses what was not opened; this only shows it, and spares a refusal.
//   [data-signing]            the form
//   figure[data-page] > img   a page of the rendition (loading="lazy"), anywhere on the page
//   [data-others-unopened]    on the form of a list: how many other items have pages that were not served
//   [data-pages-opened]       says what is still to be opened ("Open page 3 first."), or "11 of 11 pages opened"
//   [data-code-left]          says how long the present one-time code lasts (30 s steps of the server's clock)
//   [data-countdown]          how long the intent lives (app.js); when it is over the button is off and [data-over-note] shows
//   [data-sign-button]        enabled by the server; off until every page was opened
(() => {
  const { now, duration } = window.countersign;
  /** What has to be opened before the button is on; "" when nothing is left. */
  const toOpen = (unseen, elsewhere) => {
    if (unseen.length) return `Open page ${unseen[0].dataset.page}${unseen.length > 1 ? ` and ${unseen.length - 1} more` : ""} first.`;
    return elsewhere ? `Open ${elsewhere} more of this list first.` : "";
  };
  const start = (root) => {
    if ("started" in root.dataset) return;
    root.dataset.started = "";
    const figures = [...document.querySelectorAll("figure[data-page]")];
    const button = root.querySelector("[data-sign-button]");
    const others = root.querySelectorAll("[data-passkey-use]");
    const opened = document.querySelector("[data-pages-opened]");
    let over = false;

    const show = () => {
      const unseen = figures.filter((figure) => !figure.classList.contains("seen"));
      const elsewhere = Number(root.dataset.othersUnopened || 0);
      if (opened && figures.length) opened.textContent = toOpen(unseen, elsewhere) || `${figures.length} of ${figures.length} page${figures.length === 1 ? "" : "s"} opened`;
      const shut = over || unseen.length > 0 || elsewhere > 0;
      for (const each of [button, ...others]) if (each) each.disabled = shut;
    };
    for (const figure of figures) {
      const image = figure.querySelector("img");
      const seen = () => { figure.classList.add("seen"); show(); };
      if (image.complete && image.naturalWidth) seen();
      else image.addEventListener("load", seen, { once: true });
      image.addEventListener("error", () => figure.classList.add("failed"));
    }
    root.addEventListener("countdown:over", () => {
      over = true;
      const note = root.querySelector("[data-over-note]");
      if (note) note.hidden = false;
      show();
    });
    show();

    const left = root.querySelector("[data-code-left]");
    if (left) {
      const tick = () => {
        if (!root.isConnected) return clearInterval(ticking);
        left.textContent = duration(30 - (Math.floor(now() / 1000) % 30));
      };
      const ticking = setInterval(tick, 1000);
      tick();
    }

    // Digits only, spaces as people paste them are taken out; the reason is asked for where the meaning asks for one.
    for (const code of root.querySelectorAll("input[autocomplete='one-time-code']")) {
      code.addEventListener("input", () => { code.value = code.value.replace(/\D/g, "").slice(0, 6); });
    }
    const reason = root.querySelector("[data-reason]");
    let kept = "";
    const meaning = () => {
      const chosen = root.querySelector("input[type='radio']:checked");
      if (!chosen) return;
      if (reason) {
        reason.hidden = !("needsReason" in chosen.dataset);
        const text = reason.querySelector("textarea, input");
        if (text) {
          // What is hidden is not sent; who comes back to the choice finds their words again.
          if (reason.hidden && text.value) { kept = text.value; text.value = ""; }
          if (!reason.hidden && !text.value) text.value = kept;
          text.required = !reason.hidden;
        }
      }
      const review = root.querySelector("[data-review]");
      if (review) {
        review.hidden = "needsReason" in chosen.dataset;
        review.querySelector("input").required = !review.hidden;
      }
      if (button && chosen.dataset.button) button.textContent = chosen.dataset.button;
    };
    root.addEventListener("change", meaning);
    meaning();
    // Opened far down a long comparison, the dialog would begin above the window.
    const card = root.closest("#sign-card") ?? root;
    if (card.getBoundingClientRect().top < 0) card.scrollIntoView();
  };
  const startAll = () => { for (const root of document.querySelectorAll("[data-signing]")) start(root); };
  startAll();
  document.addEventListener("htmx:load", startAll);
  // The button that opened the dialog is gone with the swap: go on in the dialog, at what was refused or at what is asked first.
  document.addEventListener("htmx:load", ({ target }) => {
    if (target.id !== "sign-card") return;
    (target.querySelector("[data-focus]") ?? target.querySelector("[data-signing] :is(input:not([type='hidden']), textarea)") ?? target.querySelector("h2")).focus();
  });
  // A refusal comes back as the dialog with its sentence, under its own status; it is shown, not announced as a failure.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (target.id !== "sign-card" || xhr.status < 400 || !xhr.responseText.includes('id="sign-card"')) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });
})();
