// What every page shares. Each part looks for its own data attribute and does nothing where there is none; every page works without this file,
// a little less comfortably. Other scripts use `countersign`.
const countersign = (() => {
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

  // The reader's clock may be wrong: countdowns count in the server's time.
  const skew = (Date.parse(meta("server-time")) || Date.now()) - Date.now();
  const now = () => Date.now() + skew;

  /** Send a form by POST, with the token that Django asks for. */
  const post = (url, body) =>
    fetch(url, { method: "POST", body, headers: { "X-CSRFToken": meta("csrf-token"), "X-Requested-With": "fetch" }, credentials: "same-origin" });

  /** A short word at the corner, read out by screen readers. Tone: ok, warn, bad or info. */
  const toast = (words, tone = "info") => {
    const box = document.getElementById("toasts");
    if (!box) return;
    const line = document.createElement("div");
    line.className = `message ${tone}`;
    const text = document.createElement("span");
    text.textContent = words;
    line.append(text);
    box.append(line);
    setTimeout(() => line.remove(), 8000);
  };

  /** Seconds in words: "1 min 42 s". */
  const duration = (seconds) => {
    const whole = Math.max(0, Math.ceil(seconds));
    return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
  };

  return { now, post, toast, duration };
})();
window.countersign = countersign;

// htmx: the token on every request, and a word when one fails.
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
});
document.addEventListener("htmx:responseError", (event) => {
  countersign.toast(`The server answered ${event.detail.xhr.status}. Load the page again to see how things stand.`, "bad");
});
document.addEventListener("htmx:sendError", () => countersign.toast("The server cannot be reached.", "bad"));

// Menu of narrow screens. Without this file the links work by :target.
(() => {
  const open = document.querySelector(".rail-open");
  const rail = document.getElementById("rail");
  if (!open || !rail) return;
  const root = document.documentElement;
  const show = (shown) => {
    root.classList.toggle("rail-shown", shown);
    open.setAttribute("aria-expanded", String(shown));
    if (shown) rail.querySelector("a:not(.brand)").focus();
    else open.focus();
  };
  open.addEventListener("click", (event) => { event.preventDefault(); show(true); });
  rail.querySelector(".rail-close").addEventListener("click", (event) => { event.preventDefault(); show(false); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && root.classList.contains("rail-shown")) show(false); });
  document.addEventListener("click", (event) => {
    if (root.classList.contains("rail-shown") && !rail.contains(event.target) && !open.contains(event.target)) show(false);
  });
})();

// Menus made of <details>: closed by Escape and by a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Theme: as the system, light, dark, round and round.
(() => {
  const root = document.documentElement;
  const words = { "": "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const order = ["", "light", "dark"];
  const tell = () => { for (const span of document.querySelectorAll("[data-theme-words]")) span.textContent = words[root.dataset.theme ?? ""]; };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % order.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      if (next) localStorage.setItem("theme", next);
      else localStorage.removeItem("theme");
    } catch { /* not kept, then */ }
    tell();
  });
  tell();
})();

// "/" goes to the search box, unless one is writing.
document.addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.querySelector("[data-search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("copied");
    countersign.toast("Copied.", "ok");
    setTimeout(() => button.classList.remove("copied"), 1500);
  } catch {
    countersign.toast("The browser did not allow copying.", "warn");
  }
});

// The reader's own time, as the tooltip of a UTC time.
(() => {
  // With its offset: at the end of summer time an hour comes twice, and only the offset tells which one it was.
  const local = new Intl.DateTimeFormat(undefined, {
    weekday: "long", year: "numeric", month: "long", day: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "longOffset",
  });
  const tell = (event) => {
    const time = event.target.closest?.("time[data-local]");
    if (time && !time.title) time.title = `${local.format(new Date(time.dateTime))}, your time`;
  };
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
})();

// Countdowns: <span data-countdown="ISO time" data-over="words when it is over">. At zero the element sends "countdown:over".
(() => {
  const tick = () => {
    for (const span of document.querySelectorAll("[data-countdown]:not([data-was-over])")) {
      const left = (Date.parse(span.dataset.countdown) - countersign.now()) / 1000;
      span.classList.add("countdown");
      span.classList.toggle("late", left < 20);
      if (left > 0) {
        span.textContent = countersign.duration(left);
      } else {
        span.dataset.wasOver = "";
        span.textContent = span.dataset.over ?? "0 s";
        span.dispatchEvent(new CustomEvent("countdown:over", { bubbles: true }));
      }
    }
  };
  tick();
  setInterval(tick, 1000);
})();

// Dialogs: a button that opens a <dialog popover> opens it as a modal one instead.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[popovertarget]");
  const dialog = button && document.getElementById(button.getAttribute("popovertarget"));
  if (dialog?.tagName !== "DIALOG") return;
  event.preventDefault();
  if (button.getAttribute("popovertargetaction") === "hide" || dialog.open) dialog.close();
  else dialog.showModal();
});

// A form that was sent is not sent twice within eight seconds (an answer that is a download leaves the page as it is); its button says so.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
  setTimeout(() => ready(form), 8000);
});
const ready = (form) => {
  delete form.dataset.sent;
  form.querySelector('[aria-disabled="true"]')?.removeAttribute("aria-disabled");
};
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(ready));

// Tables and code of a text that scroll sideways can be reached and scrolled by keyboard.
(() => {
  const reach = () => {
    for (const box of document.querySelectorAll(".prose :is(table, pre)")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("resize", reach);
  document.addEventListener("htmx:afterSwap", reach);
})();

// Filters that need no button: <select data-submit>. What went wrong is where the reader is: [data-focus].
document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });
document.querySelector("[data-focus]")?.focus();
