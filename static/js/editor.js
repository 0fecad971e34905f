// The Markdown editor. One form, [data-editor], with one or more <textarea data-markdown>:
//   data-autosave-url   the whole form goes there by POST, two seconds after the last change; answers JSON {"saved_at": "14:22:07", "stale": false, "left": [0, 2]}
//                       (`left`: open places of each section in order, `stale`: somebody saved meanwhile) or {"error": "..."}
//   data-preview-url    the text alone (field "text") goes there by POST; answers a safe HTML fragment, shown in the [data-preview] of the same [data-section]
//   data-image-url      a picture (field "image") goes there by POST; answers JSON {"markdown": "![...](...)"} or {"error": "..."}
//   data-keep           name under which this tab keeps the text until the server has it: it outlives the end of a session and a new log-in
// Inside: buttons [data-insert="bold|italic|heading|list|numbers|table|quote|code|link"], [data-insert-image]; inside or beside (in [data-editor-bar]): [data-editor-status],
// an <input type="file" data-image-file>, [data-left] (counts of open places, one a section in order), [data-kept] with [data-kept-back] and [data-kept-away].
// Autosave keeps a buffer, which is no record; the form's own Save is an ordinary submit and works without this file.
(() => {
  const { post, toast } = window.countersign;
  const AUTOSAVE_MS = 2000;
  const PREVIEW_MS = 400;
  const WRAPS = { bold: ["**", "**", "bold"], italic: ["*", "*", "italic"], code: ["`", "`", "code"], link: ["[", "](https://)", "text"] };
  const PREFIXES = { heading: "## ", list: "- ", numbers: "1. ", quote: "> " };
  const TABLE = "| Column | Column |\n|---|---|\n| | |\n";
  const KEPT = "This tab keeps your text: load the page again, log in, and put it back";

  // A session that ended answers with the log-in page, by a redirect; one that began anew has another token, and is refused.
  const json = async (answer) => {
    if (answer.redirected) throw new Error(`you are logged out. ${KEPT}`);
    if (answer.status === 403) throw new Error(`the server does not take it from this page any more. ${KEPT}`);
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(told.error ?? `the server answered ${answer.status}`), { final: answer.status === 409 });
    return told;
  };

  for (const form of document.querySelectorAll("[data-editor]")) {
    const status = document.querySelector("[data-editor-status]");
    const file = document.querySelector("[data-image-file]");
    const areas = [...form.querySelectorAll("textarea[data-markdown]")];
    const keepAs = form.dataset.keep && `editor:${form.dataset.keep}`;
    let current = areas[0];
    let dirty = false;
    let change = 0;
    let sending = false;
    let givenUp = false;
    let autosaveTimer;
    const previewTimers = new Map();

    const say = (state, words) => { if (status) { status.dataset.state = state; status.textContent = words; } };

    // The tab's own copy: pairs of names and values, without the token.
    const fields = () => [...new FormData(form)].filter(([name, value]) => name !== "csrfmiddlewaretoken" && typeof value === "string")
      .map(([name, value]) => [name, value.replaceAll("\r\n", "\n")]);
    const texts = (pairs) => JSON.stringify(pairs.filter(([name]) => ["id", "title", "text"].includes(name)));
    const keep = () => { try { if (keepAs) sessionStorage.setItem(keepAs, JSON.stringify(fields())); } catch { /* full or forbidden */ } };
    const forget = () => { try { if (keepAs) sessionStorage.removeItem(keepAs); } catch { /* nothing there */ } };
    const kept = () => { try { return JSON.parse(sessionStorage.getItem(keepAs)); } catch { return null; } };

    const count = (left) => {
      const marks = document.querySelectorAll("[data-left]");
      left?.forEach((number, at) => {
        if (!marks[at]) return;
        marks[at].textContent = number || "";
        marks[at].hidden = !number;
      });
      const total = document.querySelector("[data-left-total]");
      if (total && left) {
        const sum = left.reduce((a, b) => a + b, 0);
        total.textContent = sum ? `${sum} place${sum === 1 ? "" : "s"} to fill` : "";
        total.hidden = !sum;
      }
    };

    const save = async () => {
      if (!dirty || sending || givenUp || !form.dataset.autosaveUrl) return;
      const sent = change;
      sending = true;
      say("saving", "Autosaving ...");
      try {
        const told = await json(await post(form.dataset.autosaveUrl, new FormData(form)));
        dirty = change !== sent;
        if (!dirty) forget();
        count(told.left);
        if (told.stale) say("failed", `Autosaved ${told.saved_at}, but the draft was saved elsewhere meanwhile: Save shows the difference`);
        else say(dirty ? "unsaved" : "saved", dirty ? "Changed since" : `Autosaved ${told.saved_at ?? ""}, not yet saved to the record's history`);
      } catch (error) {
        givenUp = error.final;
        say("failed", `Not kept on the server: ${error.message}`);
      } finally {
        sending = false;
        if (dirty) later();
      }
    };
    const later = () => { clearTimeout(autosaveTimer); autosaveTimer = setTimeout(save, AUTOSAVE_MS); };

    const preview = async (area) => {
      const pane = area.closest("[data-section]")?.querySelector("[data-preview]");
      if (!pane || !form.dataset.previewUrl) return;
      const body = new FormData();
      body.set("text", area.value);
      const asked = area.value;
      try {
        const answer = await post(form.dataset.previewUrl, body);
        if (answer.ok && !answer.redirected && asked === area.value) pane.innerHTML = await answer.text(); // cleaned by the server
      } catch { /* the next key stroke asks again */ }
    };

    const touched = () => {
      dirty = true;
      change += 1;
      say("unsaved", "Not saved yet");
      keep();
      later();
    };
    const changed = (area) => {
      touched();
      clearTimeout(previewTimers.get(area));
      previewTimers.set(area, setTimeout(() => preview(area), PREVIEW_MS));
    };

    // setRangeText keeps no undo; execCommand does, and is there in every browser for this one use.
    const put = (area, from, to, text) => {
      area.focus();
      area.setSelectionRange(from, to);
      if (!document.execCommand?.("insertText", false, text)) { area.setRangeText(text, from, to, "end"); changed(area); }
    };

    const insert = (what) => {
      const area = current;
      const { selectionStart: from, selectionEnd: to, value } = area;
      if (WRAPS[what]) {
        const [before, after, sample] = WRAPS[what];
        const inner = value.slice(from, to) || sample;
        put(area, from, to, before + inner + after);
        area.setSelectionRange(from + before.length, from + before.length + inner.length);
      } else if (PREFIXES[what]) {
        const start = value.lastIndexOf("\n", from - 1) + 1;
        put(area, start, to, value.slice(start, to).split("\n").map((line) => PREFIXES[what] + line).join("\n"));
      } else if (what === "table") {
        put(area, from, to, (from && value[from - 1] !== "\n" ? "\n\n" : "") + TABLE);
      }
    };

    const upload = async (image) => {
      if (!image || !form.dataset.imageUrl) return;
      const body = new FormData();
      body.set("image", image);
      say("saving", "Uploading the picture ...");
      try {
        const told = await json(await post(form.dataset.imageUrl, body));
        if (!told.markdown) throw new Error("the server did not name it");
        put(current, current.selectionStart, current.selectionEnd, told.markdown);
      } catch (error) {
        toast(`The picture was not taken: ${error.message}`, "bad");
        say(dirty ? "unsaved" : "saved", dirty ? "Not saved yet" : "Nothing changed");
      }
    };

    for (const area of areas) {
      area.addEventListener("focus", () => { current = area; });
      area.addEventListener("input", () => changed(area));
      area.addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("drop"); });
      area.addEventListener("dragleave", () => area.classList.remove("drop"));
      area.addEventListener("drop", (event) => {
        area.classList.remove("drop");
        const image = event.dataTransfer.files[0];
        if (!image) return;
        event.preventDefault();
        current = area;
        upload(image);
      });
      area.addEventListener("paste", (event) => {
        const image = [...event.clipboardData.files].find((pasted) => pasted.type.startsWith("image/"));
        if (image) { event.preventDefault(); current = area; upload(image); }
      });
      area.addEventListener("keydown", (event) => {
        if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
        const what = { b: "bold", i: "italic", k: "link" }[event.key.toLowerCase()];
        if (what) { event.preventDefault(); insert(what); }
      });
      // The server draws the preview with the page; where it did not, ask for it.
      if (!area.closest("[data-section]")?.querySelector("[data-preview]")?.innerHTML.trim()) preview(area);
    }
    if (areas.every((area) => area.readOnly)) continue;

    // What this tab still holds and the server does not: offered, never put in unasked.
    const offer = document.querySelector("[data-kept]");
    const old = keepAs && kept();
    if (old && texts(old) !== texts(fields())) {
      if (offer) offer.hidden = false;
      document.querySelector("[data-kept-back]")?.addEventListener("click", () => {
        const values = (name) => old.filter(([key]) => key === name).map(([, value]) => value);
        const [ids, titles, bodies] = ["id", "title", "text"].map(values);
        for (const area of areas) {
          const box = area.closest("[data-part]");
          const at = ids.indexOf(box?.querySelector("[name=id]")?.value);
          if (at < 0) continue;
          area.value = bodies[at];
          box.querySelector("[name=title]").value = titles[at];
          ids[at] = null;
          changed(area);
        }
        // Sections that the page does not have go to the end of the last one: no text is lost.
        const rest = ids.flatMap((id, at) => (id === null || !bodies[at].trim() ? [] : [`\n\n# ${titles[at]}\n\n${bodies[at]}`]));
        if (rest.length) { areas.at(-1).value += rest.join(""); changed(areas.at(-1)); }
        offer.hidden = true;
      });
      document.querySelector("[data-kept-away]")?.addEventListener("click", () => { forget(); offer.hidden = true; });
    } else forget();

    form.addEventListener("input", (event) => {
      if (event.target.matches("textarea[data-markdown]") || event.target === file || event.target.matches("[data-no-autosave]")) return;
      touched();
    });
    form.addEventListener("click", (event) => {
      const button = event.target.closest("[data-insert], [data-insert-image]");
      if (!button) return;
      current = button.closest("[data-section]")?.querySelector("textarea[data-markdown]") ?? current;
      if (button.dataset.insert) insert(button.dataset.insert);
      else file?.click();
    });
    file?.addEventListener("change", () => { upload(file.files[0]); file.value = ""; });
    form.addEventListener("submit", () => { keep(); dirty = false; clearTimeout(autosaveTimer); });
    addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") save(); });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
        event.preventDefault();
        form.requestSubmit(form.querySelector("[data-save]") ?? undefined);
      }
    });
  }

  // The outline follows the eye.
  const links = new Map([...document.querySelectorAll(".sections a[href^='#']")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-80px 0px -70% 0px" });
  for (const id of links.keys()) { const part = document.getElementById(id); if (part) seen.observe(part); }
})();
