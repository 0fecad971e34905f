// The demo's log-in page: a click on an account fills the form in.
document.addEventListener("click", (event) => {
  const { fillUsername, fillPassword, fillCode } = event.target.closest("[data-fill-username]")?.dataset ?? {};
  if (!fillUsername) return;
  const field = (name) => document.querySelector(`form [name="${name}"]`);
  field("username").value = fillUsername;
  field("password").value = fillPassword;
  field("code").value = fillCode;
  field("code").focus();
});
