// The Markdown editor. One form, [data-editor], with one or more <textarea data-markdown>:
//   data-autosave-url   the whole form goes there by POST, two seconds after the last change; answers JSON {"saved_at": "14:22:07 UTC"} or {"error": "..."}
//   data-preview-url    the text alone (field "text") goes there by POST; answers a safe HTML fragment, shown in the [data-preview] of the same [data-section]
//   data-image-url      a picture (field "image") goes there by POST; answers JSON {"markdown": "![...](...)"} or {"error": "..."}
// Inside: [data-editor-status], buttons [data-insert="bold|italic|heading|list|numbers|table|quote|code|link"], [data-insert-image], an <input type="file" data-image-file>.
// Autosave keeps a buffer, which is no record; the form's own Save is an ordinary submit and works without this file.
(() => {
  const { post, toast } = window.countersign;
  const AUTOSAVE_MS = 2000;
  const PREVIEW_MS = 400;
  const WRAPS = { bold: ["**", "**", "bold"], italic: ["*", "*", "italic"], code: ["`", "`", "code"], link: ["[", "](https://)", "text"] };
  const PREFIXES = { heading: "## ", list: "- ", numbers: "1. ", quote: "> " };
  const TABLE = "| Column | Column |\n|---|---|\n| | |\n";

  for (const form of document.querySelectorAll("[data-editor]")) {
    const status = form.querySelector("[data-editor-status]");
    const file = form.querySelector("[data-image-file]");
    const areas = [...form.querySelectorAll("textarea[data-markdown]")];
    let current = areas[0];
    let dirty = false;
    let change = 0;
    let sending = false;
    let autosaveTimer;
    const previewTimers = new Map();

    const say = (state, words) => { if (status) { status.dataset.state = state; status.textContent = words; } };

    const save = async () => {
      if (!dirty || sending || !form.dataset.autosaveUrl) return;
      const sent = change;
      sending = true;
      say("saving", "Saving the buffer ...");
      try {
        const answer = await post(form.dataset.autosaveUrl, new FormData(form));
        const told = await answer.json().catch(() => ({}));
        if (!answer.ok) throw new Error(told.error ?? `the server answered ${answer.status}`);
        dirty = change !== sent;
        say(dirty ? "unsaved" : "saved", dirty ? "Changed since" : `Buffer kept ${told.saved_at ?? ""}`.trim());
      } catch (error) {
        say("failed", `Not kept: ${error.message}`);
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
        if (answer.ok && asked === area.value) pane.innerHTML = await answer.text(); // cleaned by the server
      } catch { /* the next key stroke asks again */ }
    };

    const changed = (area) => {
      dirty = true;
      change += 1;
      say("unsaved", "Not saved yet");
      later();
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
        const answer = await post(form.dataset.imageUrl, body);
        const told = await answer.json().catch(() => ({}));
        if (!answer.ok || !told.markdown) throw new Error(told.error ?? `the server answered ${answer.status}`);
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
      preview(area);
    }
    if (areas.every((area) => area.readOnly)) continue;
    form.addEventListener("input", (event) => {
      if (event.target.matches("textarea[data-markdown]") || event.target === file) return;
      dirty = true;
      change += 1;
      say("unsaved", "Not saved yet");
      later();
    });
    form.addEventListener("click", (event) => {
      const button = event.target.closest("[data-insert], [data-insert-image]");
      if (!button) return;
      current = button.closest("[data-section]")?.querySelector("textarea[data-markdown]") ?? current;
      if (button.dataset.insert) insert(button.dataset.insert);
      else file?.click();
    });
    file?.addEventListener("change", () => { upload(file.files[0]); file.value = ""; });
    form.addEventListener("submit", () => { dirty = false; clearTimeout(autosaveTimer); });
    addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") save(); });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
        event.preventDefault();
        form.requestSubmit(form.querySelector("[data-save]") ?? undefined);
      }
    });
  }
})();
