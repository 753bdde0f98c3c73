// The page's dialogs: settings, help, a key, and a question before something is deleted.
import { apiKey, setApiKey } from "/web/api.js";
import { kNumbers } from "/web/chats.js";
import { make } from "/web/message.js";

const at = (id) => document.getElementById(id);

/** A click beside a sheet, or on its cross, closes it, as Escape does. */
function closesByClick(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]") !== null) dialog.close();
  });
}

/** `changed(settings)` hears every edit. */
export class SettingsDialog {
  constructor(changed) {
    this.dialog = at("settings-dialog");
    this.changed = changed;
    this.fields = new Map();
    for (const [name, label, least, most, step, hint] of kNumbers) {
      const id = `f-${name}`;
      const field = make("input", { id, type: "number", min: least, max: most, step: step < 1 ? "any" : step, inputMode: "decimal", placeholder: "default" });
      field.setAttribute("aria-describedby", `${id}-hint`);
      this.fields.set(name, field);
      at("parameters").append(make("div", { className: "field" }, make("label", { htmlFor: id }, label), field,
        make("p", { className: "small", id: `${id}-hint` }, hint)));
    }
    this.dialog.addEventListener("input", () => this.#read());
    this.dialog.addEventListener("close", () => this.#read());
    at("settings-form").addEventListener("keydown", (event) => {
      // Enter in a field closes the sheet, unless the field has a fault to show.
      if (event.key === "Enter" && event.target.tagName === "INPUT" && !event.target.reportValidity()) event.preventDefault();
    });
    at("settings-reset").addEventListener("click", () => {
      this.#show({ system: "", stop: "", numbers: {} });
      this.#read();
    });
    closesByClick(this.dialog);
  }

  open(settings) {
    this.settings = settings;
    this.#show(settings);
    at("f-key").value = apiKey();
    this.dialog.showModal();
    at("f-system").focus();
  }

  #show({ system, stop, numbers }) {
    at("f-system").value = system;
    at("f-stop").value = stop;
    for (const [name, field] of this.fields) field.value = numbers[name] ?? "";
  }

  #read() {
    this.settings.system = at("f-system").value;
    this.settings.stop = at("f-stop").value;
    this.settings.numbers = {};
    for (const [name, field] of this.fields)
      if (field.value !== "" && field.validity.valid) this.settings.numbers[name] = field.valueAsNumber;
    setApiKey(at("f-key").value.trim());
    this.changed(this.settings);
  }
}

export function openHelp(shortcuts) {
  const list = at("keys");
  list.replaceChildren();
  for (const { keys, what } of shortcuts)
    list.append(make("dt", {}, ...keys.map((key) => make("kbd", {}, key))), make("dd", {}, what));
  at("help-dialog").showModal();
}

/** The key that the person enters, or null. */
export function askForKey() {
  const dialog = at("key-dialog");
  at("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use" ? at("key").value.trim() : null), { once: true });
  });
}

export function confirm(question, yes) {
  const dialog = at("confirm-dialog");
  at("confirm-title").textContent = question;
  at("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

for (const id of ["help-dialog", "key-dialog", "confirm-dialog"]) closesByClick(at(id));
