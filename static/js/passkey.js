// Passkeys: the browser's part. The server decides what is asked, and whether the answer counts; without this file a one-time code does the same.
//   [data-passkey-use]       a button in a form: asks the passkey, puts its answer into the field "passkey", and sends the form without a code
//   [data-passkey-ask]       where the question comes from (POST); or
//   [data-passkey-options]   on the form: the questions themselves, by the meaning that is chosen
//   [data-passkey-make]      a button: makes a passkey as these options say, and puts it into the field "made"
//   [data-passkey-origin]    the one address at which passkeys work
//   [data-passkey-note]      what happened, in words
(() => {
  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const keys = (list) => (list ?? []).map((key) => ({ ...key, id: toBytes(key.id) }));

  const say = (form, words, tone = "info") => {
    const note = form.querySelector("[data-passkey-note]");
    note.querySelector("span").textContent = words;
    note.classList.remove("info", "warn");
    note.classList.add(tone);
    note.hidden = !words;
  };
  const reason = (error) => (error.name === "NotAllowedError" ? "The passkey was not used. Try again, or give a one-time code." : `The passkey cannot be used here: ${error.message}`);

  /** What the server reads: the browser's own toJSON() is not everywhere yet. */
  const written = (credential, parts) => {
    const response = {};
    for (const part of parts) if (credential.response[part]) response[part] = toText(credential.response[part]);
    return JSON.stringify({
      id: credential.id, rawId: toText(credential.rawId), type: credential.type, response, clientExtensionResults: {},
      authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    });
  };

  const question = async (form, button) => {
    if (form.dataset.passkeyOptions) {
      const asked = JSON.parse(form.dataset.passkeyOptions);
      return asked[form.querySelector("input[name='meaning']:checked")?.value] ?? Object.values(asked)[0];
    }
    const answer = await window.countersign.post(button.dataset.passkeyAsk, new FormData());
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    return answer.json();
  };

  const use = async (button) => {
    const form = button.form;
    const code = form.querySelector("input[autocomplete='one-time-code'][name='code']");
    code.required = false;
    if (!form.reportValidity()) { code.required = true; return; }
    say(form, "Your device asks for the passkey.");
    try {
      const asked = await question(form, button);
      const publicKey = { ...asked, challenge: toBytes(asked.challenge), allowCredentials: keys(asked.allowCredentials) };
      const credential = await navigator.credentials.get({ publicKey });
      form.querySelector("input[name='passkey']").value = written(credential, ["clientDataJSON", "authenticatorData", "signature", "userHandle"]);
      code.value = "";
      form.requestSubmit();
      say(form, "");
    } catch (error) {
      code.required = true;
      say(form, reason(error), "warn");
    }
  };

  const make = async (button) => {
    const form = button.form;
    const asked = JSON.parse(button.dataset.passkeyMake);
    say(form, "Your device makes the passkey.");
    try {
      const publicKey = {
        ...asked, challenge: toBytes(asked.challenge), user: { ...asked.user, id: toBytes(asked.user.id) }, excludeCredentials: keys(asked.excludeCredentials),
      };
      const credential = await navigator.credentials.create({ publicKey });
      form.querySelector("input[name='made']").value = written(credential, ["clientDataJSON", "attestationObject"]);
      button.disabled = true;
      say(form, "The passkey is made. Confirm now who you are.");
      form.querySelector("input[type='password']").focus();
    } catch (error) {
      say(form, error.name === "InvalidStateError" ? "This device holds a passkey of yours already." : reason(error), "warn");
    }
  };

  const start = () => {
    for (const button of document.querySelectorAll("[data-passkey-use], [data-passkey-make]")) {
      if ("started" in button.dataset) continue;
      button.dataset.started = "";
      button.hidden = !window.PublicKeyCredential;
      if (location.origin !== button.dataset.passkeyOrigin) {
        button.hidden = true;
        if ("passkeyMake" in button.dataset) say(button.form, `Passkeys work at ${button.dataset.passkeyOrigin} alone.`);
        continue;
      }
      button.addEventListener("click", () => ("passkeyMake" in button.dataset ? make(button) : use(button)));
    }
  };
  start();
  document.addEventListener("htmx:load", start);
})();
