// One message on the page.
import { MarkdownView } from "/web/markdown.js";

export function icon(name) {
  const kSvg = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(kSvg, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(kSvg, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function make(tag, properties = {}, ...children) {
  const { dataset = {}, aria = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(`aria-${name}`, value);
  node.append(...children);
  return node;
}

function action(name, shape, label) {
  return make("button", { type: "button", className: "icon small-icon", title: label, dataset: { action: name }, aria: { label } }, icon(shape));
}

function number(value) {
  return value.toLocaleString("en");
}

function seconds(value) {
  return value < 10 ? `${value.toFixed(2)} s` : `${value.toFixed(0)} s`;
}

/** "35 tokens · 81.2 tokens/s · first after 0.08 s" and what else is known. */
function figuresText(message) {
  const { tokens, prompt, cached, perSecond, first } = message.figures ?? {};
  const parts = [];
  if (tokens !== undefined) parts.push(`${number(tokens)} ${tokens === 1 ? "token" : "tokens"}`);
  if (perSecond !== undefined) parts.push(`${perSecond.toFixed(perSecond < 100 ? 1 : 0)} tokens/s`);
  if (first !== undefined) parts.push(`first after ${seconds(first)}`);
  if (prompt !== undefined) parts.push(`prompt ${number(prompt)}${cached ? `, ${number(cached)} from cache` : ""}`);
  if (message.seed) parts.push(`seed ${message.seed}`);
  return parts.join(" · ");
}

const kEndings = {
  length: "It ends here because it reached its greatest length.",
  stopped: "Stopped.",
  content_filter: "It ends here because of this service's policy.",
};

function errorTitle(error) {
  switch (error.status) {
    case 0:
      return "No answer";
    case 401:
      return "A key is needed";
    case 403:
      return error.rule ? `Refused by rule ${error.rule}` : "Refused by policy";
    case 404:
      return "Not found";
    case 413:
      return "Too long";
    case 429:
      return "The service is busy";
    default:
      return error.status >= 500 ? "The service could not answer" : "The service does not take this request";
  }
}

export class UserView {
  constructor(message) {
    this.message = message;
    this.text = make("div", { className: "text" });
    this.bubble = make("div", { className: "bubble" }, this.text);
    const tools = make("div", { className: "tools" }, action("copy", "copy", "Copy message"), action("edit", "edit", "Edit and send again"));
    this.root = make("article", { className: "message user" }, make("h2", { className: "unseen" }, "You"), this.bubble, tools);
    this.update();
  }

  update() {
    this.text.textContent = this.message.content;
  }

  /** Puts a field in the text's place; `done` hears the new text, or null where nothing changes. */
  edit(done) {
    const field = make("textarea", { value: this.message.content, rows: 3, aria: { label: "Edit message" } });
    const cancel = make("button", { type: "button", className: "quiet" }, "Cancel");
    const send = make("button", { type: "button", className: "main" }, "Send");
    const form = make("div", { className: "edit" }, field, make("div", { className: "row" }, cancel, send));
    const finish = (text) => {
      form.replaceWith(this.text);
      this.root.classList.remove("editing");
      done(text);
    };
    cancel.addEventListener("click", () => finish(null));
    send.addEventListener("click", () => finish(field.value.trim() ? field.value : null));
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        finish(null);
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        finish(field.value.trim() ? field.value : null);
      }
    });
    this.root.classList.add("editing");
    this.text.replaceWith(form);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}

export class AnswerView {
  constructor(message) {
    this.message = message;
    this.thoughtText = make("div", { className: "text" });
    this.thought = make("details", { className: "thought", hidden: true }, make("summary", {}, "Reasoning"), this.thoughtText);
    this.text = make("div", { className: "text markdown" });
    this.calls = make("div", { className: "calls" });
    this.note = make("p", { className: "small note", hidden: true });
    this.figures = make("span", { className: "small figures" });
    this.error = make("div", { className: "error", hidden: true });
    this.error.setAttribute("role", "alert");
    const tools = make("div", { className: "tools" }, action("copy", "copy", "Copy answer"), action("again", "again", "Answer again"), this.figures);
    this.who = make("p", { className: "who", aria: { hidden: "true" } });
    this.root = make("article", { className: "message answer" },
      make("h2", { className: "unseen" }, "Answer"), this.who, this.thought, this.text, this.calls, this.note, this.error, tools);
    this.markdown = new MarkdownView(this.text);
    this.reasoning = new MarkdownView(this.thoughtText);
    this.update(true);
  }

  /** `whole`: nothing follows. */
  update(whole) {
    const { message } = this;
    this.root.classList.toggle("waiting", Boolean(message.waiting));
    this.root.setAttribute("aria-busy", String(Boolean(message.waiting)));
    this.who.textContent = message.model;
    this.markdown.show(message.content, whole);
    this.thought.hidden = message.reasoning === "";
    if (!this.thought.hidden) this.reasoning.show(message.reasoning, whole);
    this.#showCalls();
    this.figures.textContent = figuresText(message);
    this.note.textContent = kEndings[message.finish] ?? "";
    this.note.hidden = this.note.textContent === "";
    if (whole) this.#showError();
  }

  #showCalls() {
    const { calls } = this.message;
    while (this.calls.children.length > calls.length) this.calls.lastChild.remove();
    calls.forEach((call, i) => {
      let box = this.calls.children[i];
      if (box === undefined) {
        box = make("details", { className: "thought" }, make("summary"), make("pre", { tabIndex: 0 }));
        this.calls.append(box);
      }
      box.firstChild.textContent = `Calls ${call.name || "a tool"}`;
      box.lastChild.textContent = call.arguments;
    });
  }

  #showError() {
    const { error } = this.message;
    this.error.hidden = error === undefined;
    this.root.classList.toggle("failed", error !== undefined && this.message.content === "");
    if (error === undefined) return this.error.replaceChildren();
    const again = make("button", { type: "button", className: "quiet", dataset: { action: error.status === 401 ? "key" : "again" } },
      error.status === 401 ? "Enter a key" : "Try again");
    this.error.replaceChildren(make("strong", {}, errorTitle(error)), make("p", {}, error.message), again);
    if (error.retryAfter > 0) countDown(again, error.retryAfter);
  }
}

/** The button waits as long as the service asked for. */
function countDown(button, wait) {
  const label = button.textContent;
  let left = wait;
  button.disabled = true;
  const tick = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${label} in ${left} s` : label;
    if (left-- > 0) setTimeout(tick, 1000);
  };
  tick();
}
