// The chats: in this tab (sessionStorage: they survive a reload and go with the tab) or, where the
// person asks for it, in this browser (localStorage). One entry a chat, so that two tabs do not
// overwrite each other's.

const kPrefix = "lantern.chat.";
const kChoice = "lantern.remember";
const kTitleCharacters = 60;

export const kNumbers = [
  // name, label, least, most, step, hint
  ["temperature", "Temperature", 0, 2, 0.1, "0 is always the likeliest token"],
  ["top_p", "Top-p", 0.01, 1, 0.01, "from the likeliest tokens of this sum"],
  ["top_k", "Top-k", 0, 1000000, 1, "from so many of the likeliest tokens"],
  ["min_p", "Min-p", 0, 1, 0.01, "at least this share of the likeliest"],
  ["repeat_penalty", "Repeat penalty", 0.01, 100, 0.01, "above 1 says less of what was said"],
  ["max_tokens", "Most tokens", 1, 1000000, 1, "an answer's length"],
  ["seed", "Seed", 0, Number.MAX_SAFE_INTEGER, 1, "the same seed, the same answer"],
];

function storage(kind) {
  try {
    const found = globalThis[kind];
    found.getItem(kChoice);
    return found;
  } catch {
    return null;
  }
}

function text(value) {
  return typeof value === "string" ? value : "";
}

/** What storage holds is read as what it is: anyone may have written it. */
function messageFrom(json) {
  if (json?.role !== "user" && json?.role !== "assistant") return null;
  const message = { role: json.role, content: text(json.content) };
  if (json.role === "user") return message;
  message.reasoning = text(json.reasoning);
  message.seed = text(json.seed);
  message.finish = text(json.finish);
  message.model = text(json.model);
  message.calls = Array.isArray(json.calls)
    ? json.calls.map((call) => ({ id: text(call?.id), name: text(call?.name), arguments: text(call?.arguments) }))
    : [];
  if (Number.isFinite(json.figures?.tokens)) {
    message.figures = {};
    for (const name of ["tokens", "prompt", "cached", "perSecond", "first", "total"])
      if (Number.isFinite(json.figures[name])) message.figures[name] = json.figures[name];
  }
  return message;
}

function settingsFrom(json) {
  const settings = { system: text(json?.system), stop: text(json?.stop), numbers: {} };
  for (const [name] of kNumbers)
    if (Number.isFinite(json?.numbers?.[name])) settings.numbers[name] = json.numbers[name];
  return settings;
}

function chatFrom(id, raw) {
  try {
    const json = JSON.parse(raw);
    const messages = Array.isArray(json.messages) ? json.messages.map(messageFrom).filter(Boolean) : [];
    const changed = Number.isFinite(json.changed) ? json.changed : 0;
    return { id, changed, model: text(json.model), settings: settingsFrom(json.settings), messages };
  } catch {
    return null;
  }
}

export function newChat(like) {
  return {
    id: Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    changed: Date.now(),
    model: like?.model ?? "",
    settings: settingsFrom(like?.settings),
    messages: [],
  };
}

export function titleOf(chat) {
  const first = chat.messages.find((message) => message.role === "user");
  if (first === undefined) return "New chat";
  const line = first.content.trim().split("\n")[0];
  return line.length > kTitleCharacters ? `${line.slice(0, kTitleCharacters - 1)}…` : line;
}

export class Chats {
  constructor() {
    this.tab = storage("sessionStorage");
    this.browser = storage("localStorage");
    this.remembered = this.browser?.getItem(kChoice) === "yes";
    this.all = this.#read();
  }

  get #place() {
    return this.remembered ? this.browser : this.tab;
  }

  #read() {
    const found = [];
    for (let i = 0; i < (this.#place?.length ?? 0); ++i) {
      const key = this.#place.key(i);
      if (!key.startsWith(kPrefix)) continue;
      const chat = chatFrom(key.slice(kPrefix.length), this.#place.getItem(key));
      if (chat !== null && chat.messages.length > 0) found.push(chat);
    }
    return found.sort((a, b) => b.changed - a.changed);
  }

  /** False where the browser has no room for it. */
  save(chat) {
    if (!this.all.includes(chat)) this.all.unshift(chat);
    chat.changed = Date.now();
    this.all.sort((a, b) => b.changed - a.changed);
    const { changed, model, settings } = chat;
    const messages = chat.messages.map(({ error, waiting, ...rest }) => rest);
    try {
      this.#place?.setItem(kPrefix + chat.id, JSON.stringify({ changed, model, settings, messages }));
      return true;
    } catch {
      return false;
    }
  }

  delete(chat) {
    this.all = this.all.filter((one) => one !== chat);
    this.tab?.removeItem(kPrefix + chat.id);
    this.browser?.removeItem(kPrefix + chat.id);
  }

  /** Everything that this page ever wrote of chats, here and in the browser. */
  clear() {
    this.all = [];
    for (const place of [this.tab, this.browser])
      for (const key of Object.keys(place ?? {})) if (key.startsWith(kPrefix)) place.removeItem(key);
  }

  /** Moves the chats to where they are kept from now on. */
  remember(yes) {
    const chats = this.all;
    for (const chat of chats) (yes ? this.tab : this.browser)?.removeItem(kPrefix + chat.id);
    this.remembered = yes;
    if (yes) this.browser?.setItem(kChoice, "yes");
    else this.browser?.removeItem(kChoice);
    return [...chats].reverse().every((chat) => this.save(chat));
  }
}

/** The request's body for what a chat holds, its last message included. */
export function requestOf(chat, messages) {
  const { system, stop, numbers } = chat.settings;
  const body = { model: chat.model, messages: [], ...numbers };
  if (system.trim()) body.messages.push({ role: "system", content: system });
  for (const { role, content } of messages) body.messages.push({ role, content });
  const stops = stop.split("\n").filter((line) => line !== "");
  if (stops.length > 0) body.stop = stops;
  return body;
}

/** A chat as a Markdown file. */
export function exportOf(chat) {
  const parts = [`# ${titleOf(chat)}`, ""];
  if (chat.settings.system.trim()) parts.push("## System prompt", "", chat.settings.system, "");
  for (const message of chat.messages) {
    const who = message.role === "user" ? "You" : message.model || "Answer";
    const seed = message.seed ? ` (seed ${message.seed})` : "";
    parts.push(`## ${who}${seed}`, "", message.content, "");
  }
  return parts.join("\n");
}
