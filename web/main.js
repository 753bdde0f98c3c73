// The chat page: joins the chats, the messages on the page, the service and the keyboard.
import { listModels, setApiKey } from "/web/api.js";
import { Chats, exportOf, newChat, titleOf } from "/web/chats.js";
import { askForKey, confirm, openHelp, SettingsDialog } from "/web/dialogs.js";
import { AnswerView, icon, make, UserView } from "/web/message.js";
import { newAnswer, Run } from "/web/run.js";
import { Spoken } from "/web/spoken.js";

const at = (id) => document.getElementById(id);

const kStarters = [
  "Explain what a hash function is to a ten-year-old",
  "Write a Python function that merges two sorted lists",
  "Give me five names for a quiet reading room",
  "Compare TCP and UDP in a small table",
];
const kThemes = ["auto", "light", "dark"];
const kNearEndPixels = 80;
const kFullShare = 0.75; // of the context, from where on the page says so

const chats = new Chats();
let chat = newChat(chats.all[0]);
let models = [];
const runs = new Map(); // chat id -> Run
const views = new Map(); // message -> its view, of the chat that is shown
const spoken = new Spoken(at("spoken"));
let following = true; // the end of the chat stays in sight

// ---- Small things -------------------------------------------------------------------------

let toastTimer = 0;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (at("toast").hidden = true), 4000);
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return toast("The browser did not let this page copy.");
  }
  spoken.say("Copied.");
  if (button.classList.contains("copy")) {
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } else {
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }
}

function save() {
  if (!chats.save(chat)) toast("The browser has no room for this chat: it is lost when the page closes.");
}

// ---- The list of chats --------------------------------------------------------------------

function showChats() {
  const rows = chats.all.map((one) => {
    const title = titleOf(one);
    const open = make("button", { type: "button", className: "chat", title, dataset: { open: one.id } }, title);
    if (one === chat) open.setAttribute("aria-current", "true");
    const remove = make("button", { type: "button", className: "icon small-icon", dataset: { remove: one.id }, aria: { label: `Delete “${title}”` } }, icon("trash"));
    return make("li", { className: one === chat ? "here" : "" }, open, remove);
  });
  at("chats").replaceChildren(...rows);
  at("remember").checked = chats.remembered;
  at("kept").textContent = chats.remembered
    ? "Whoever uses this browser can read them."
    : "Off: they are forgotten when this tab closes.";
  at("clear-all").hidden = chats.all.length === 0;
}

function openSide(open) {
  at("page").classList.toggle("side-shown", open);
  at("side-open").setAttribute("aria-expanded", String(open));
  at("body").inert = open; // it is behind the list
  if (open) at("new-chat").focus();
}

function show(other) {
  chat = other;
  views.clear();
  if (models.length > 0 && !models.some((model) => model.id === chat.model)) chat.model = models[0].id;
  at("model").value = chat.model;
  at("messages").replaceChildren(...chat.messages.map(viewOf).map((view) => view.root));
  openSide(false);
  showState();
  showChats();
  following = true;
  followEnd();
  at("prompt").focus();
}

function startNew() {
  show(newChat(chat));
}

async function remove(one) {
  if (!(await confirm(`Delete “${titleOf(one)}”?`, "Delete"))) return;
  runs.get(one.id)?.stop();
  runs.delete(one.id);
  chats.delete(one);
  if (one === chat) startNew();
  else showChats();
}

async function clearAll() {
  if (!(await confirm("Delete all chats? There is no way back.", "Delete all"))) return;
  for (const run of runs.values()) run.stop();
  runs.clear();
  chats.clear();
  startNew();
  spoken.say("All chats are deleted.");
}

// ---- The chat -----------------------------------------------------------------------------

function viewOf(message) {
  let view = views.get(message);
  if (view === undefined) {
    view = message.role === "user" ? new UserView(message) : new AnswerView(message);
    views.set(message, view);
  }
  return view;
}

/** How much of the model's context the chat took at its last answer, 0 where that is not known. */
function contextShare() {
  const context = models.find((model) => model.id === chat.model)?.context ?? 0;
  const total = chat.messages.at(-1)?.figures?.total ?? 0;
  return context > 0 ? total / context : 0;
}

function showState() {
  const running = runs.has(chat.id);
  const title = titleOf(chat);
  document.title = chat.messages.length > 0 ? `${title} · Lantern` : "Lantern";
  at("title").textContent = title;
  at("welcome").hidden = chat.messages.length > 0;
  at("welcome-model").textContent = chat.model || "a model";
  at("export").disabled = chat.messages.length === 0;
  at("system-hint").hidden = chat.settings.system.trim() === "";
  const full = contextShare();
  at("context-hint").hidden = full < kFullShare;
  at("context-hint").textContent = `This chat takes ${Math.round(full * 100)} % of what the model can read. `;
  const send = at("send");
  send.classList.toggle("stop", running);
  send.setAttribute("aria-label", running ? "Stop" : "Send");
  send.title = running ? "Stop (Escape)" : "Send (Enter)";
  send.replaceChildren(icon(running ? "stop" : "send"));
  send.disabled = !running && at("prompt").value.trim() === "";
}

function followEnd() {
  const scroll = at("scroll");
  if (following) scroll.scrollTop = scroll.scrollHeight;
  at("latest").hidden = following;
}

/** Answers the chat as it stands: its last message is the person's. */
function ask() {
  const asked = chat;
  const message = newAnswer(asked);
  asked.messages.push(message);
  const view = viewOf(message);
  at("messages").append(view.root);
  following = true;
  spoken.begin();

  let frame = 0;
  const changed = () => {
    if (frame !== 0) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (!message.waiting) return;
      views.get(message)?.update(false);
      if (asked !== chat) return;
      spoken.follow(message.content, false);
      followEnd();
    });
  };
  const done = () => {
    cancelAnimationFrame(frame);
    if (runs.get(asked.id) !== run) return; // another answer took its place
    runs.delete(asked.id);
    views.get(message)?.update(true);
    if (chats.all.includes(asked) && !chats.save(asked)) toast("The browser has no room for this chat.");
    showChats();
    if (asked !== chat) return;
    showState();
    followEnd();
    if (!message.error) spoken.follow(message.content, true, message.finish === "stopped" ? "Stopped." : "The answer is complete.");
    if (message.error?.status === 401) enterKey();
  };
  const run = new Run(asked, message, { changed, done });
  runs.set(asked.id, run);
  save();
  showChats();
  showState();
  followEnd();
}

/** Takes everything from `message` on out of the chat. */
function cutFrom(message) {
  runs.get(chat.id)?.stop();
  runs.delete(chat.id);
  for (const gone of chat.messages.splice(chat.messages.indexOf(message))) {
    views.get(gone)?.root.remove();
    views.delete(gone);
  }
}

function send(text) {
  if (!chat.model) return toast("There is no model to ask. Is the service running?");
  const message = { role: "user", content: text };
  chat.messages.push(message);
  at("messages").append(viewOf(message).root);
  ask();
}

function answerAgain(message) {
  if (message === undefined || message.role !== "assistant") return;
  cutFrom(message);
  ask();
  at("prompt").focus();
}

function edit(message) {
  viewOf(message).edit((text) => {
    if (text === null) return at("prompt").focus();
    cutFrom(message);
    send(text);
    at("prompt").focus();
  });
}

function stop() {
  runs.get(chat.id)?.stop();
}

async function enterKey() {
  const key = await askForKey();
  if (key === null) return;
  setApiKey(key);
  await loadModels();
  const last = chat.messages.at(-1);
  if (last?.error?.status === 401) answerAgain(last);
}

function exportChat() {
  if (chat.messages.length === 0) return;
  const address = URL.createObjectURL(new Blob([exportOf(chat)], { type: "text/markdown" }));
  const name = titleOf(chat).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 50) || "chat";
  make("a", { href: address, download: `${name}.md` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// ---- Models and colours ---------------------------------------------------------------------

async function loadModels() {
  try {
    models = await listModels();
  } catch (error) {
    models = [];
    if (error.status === 401) enterKey();
    else toast(error.message ?? "The models could not be listed.");
  }
  at("model").replaceChildren(...models.map((model) => make("option", { value: model.id }, model.id)));
  at("model").disabled = models.length === 0;
  if (!models.some((model) => model.id === chat.model)) chat.model = models[0]?.id ?? "";
  at("model").value = chat.model;
  showState();
}

function themeNow() {
  return document.documentElement.dataset.theme ?? "auto";
}

function showTheme() {
  const theme = themeNow();
  at("theme").replaceChildren(icon(theme));
  const label = { auto: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" }[theme];
  at("theme").setAttribute("aria-label", label);
  at("theme").title = label;
}

function nextTheme() {
  const theme = kThemes[(kThemes.indexOf(themeNow()) + 1) % kThemes.length];
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem("lantern.theme");
    else localStorage.setItem("lantern.theme", theme);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
  showTheme();
  spoken.say(at("theme").title);
}

// ---- The message field ----------------------------------------------------------------------

function fitPrompt() {
  const field = at("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
  showState();
}

function submit() {
  const field = at("prompt");
  if (runs.has(chat.id) || field.value.trim() === "") return;
  const text = field.value;
  field.value = "";
  fitPrompt();
  send(text);
}

// On a phone's keyboard there is no Shift+Enter: Enter starts a line there.
const touch = matchMedia("(hover: none) and (pointer: coarse)");

function onPromptKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey && !touch.matches) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && event.target.value === "" && !runs.has(chat.id)) {
    const last = chat.messages.findLast((message) => message.role === "user");
    if (last === undefined) return;
    event.preventDefault();
    edit(last);
  }
}

// ---- The keyboard ---------------------------------------------------------------------------

const settings = new SettingsDialog(() => {
  if (chat.messages.length > 0) save();
  showState();
});

function copyLast() {
  const last = chat.messages.findLast((message) => message.role === "assistant");
  if (last !== undefined) copy(last.content, viewOf(last).root.querySelector("[data-action=copy]"));
}

const shortcuts = [
  { keys: ["Enter"], what: "Send" },
  { keys: ["Shift", "Enter"], what: "Start a new line" },
  { keys: ["Escape"], what: "Stop the answer; close a dialog" },
  { keys: ["↑"], what: "In an empty field: edit your last message" },
  { keys: ["Alt", "N"], code: "KeyN", run: startNew, what: "New chat" },
  { keys: ["Alt", "R"], code: "KeyR", run: () => answerAgain(chat.messages.at(-1)), what: "Answer again" },
  { keys: ["Alt", "C"], code: "KeyC", run: copyLast, what: "Copy the last answer" },
  { keys: ["Alt", "I"], code: "KeyI", run: () => at("prompt").focus(), what: "To the message field" },
  { keys: ["Alt", "M"], code: "KeyM", run: () => at("model").focus(), what: "To the models" },
  { keys: ["Alt", "S"], code: "KeyS", run: () => settings.open(chat.settings), what: "Settings and system prompt" },
  { keys: ["Alt", "T"], code: "KeyT", run: nextTheme, what: "Colours" },
  { keys: ["Alt", "H"], code: "KeyH", run: () => openHelp(shortcuts), what: "This list" },
];

function onKey(event) {
  if (event.isComposing || document.querySelector("dialog[open]") !== null) return;
  if (event.key === "Escape") {
    if (at("page").classList.contains("side-shown")) {
      openSide(false);
      at("side-open").focus();
    } else if (runs.has(chat.id)) {
      stop();
      at("prompt").focus();
    }
    return;
  }
  if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const found = shortcuts.find((shortcut) => shortcut.code === event.code);
  if (found === undefined) return;
  event.preventDefault();
  found.run();
}

// ---- Wiring ---------------------------------------------------------------------------------

function onMessagesClick(event) {
  const button = event.target.closest("button[data-action]");
  if (button === null) return;
  const article = button.closest("article");
  const message = chat.messages.find((one) => views.get(one)?.root === article);
  switch (button.dataset.action) {
    case "copy-code":
      return copy(button.closest(".code").querySelector("code").textContent, button);
    case "copy":
      return copy(message.content, button);
    case "again":
      return answerAgain(message);
    case "edit":
      return edit(message);
    case "key":
      return enterKey();
  }
}

function wire() {
  at("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (runs.has(chat.id)) stop();
    else submit();
    at("prompt").focus();
  });
  at("prompt").addEventListener("input", fitPrompt);
  at("prompt").addEventListener("keydown", onPromptKey);
  at("messages").addEventListener("click", onMessagesClick);
  at("scroll").addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = at("scroll");
    following = scrollHeight - scrollTop - clientHeight < kNearEndPixels;
    at("latest").hidden = following;
  }, { passive: true });
  at("latest").addEventListener("click", () => {
    following = true;
    followEnd();
    at("prompt").focus();
  });
  at("chats").addEventListener("click", (event) => {
    const { open, remove: gone } = event.target.closest("button")?.dataset ?? {};
    const one = chats.all.find(({ id }) => id === (open ?? gone));
    if (one !== undefined) open ? show(one) : remove(one);
  });
  at("new-chat").addEventListener("click", startNew);
  at("clear-all").addEventListener("click", clearAll);
  at("remember").addEventListener("change", (event) => {
    if (!chats.remember(event.target.checked)) toast("The browser has no room for all chats.");
    showChats();
  });
  at("side-open").addEventListener("click", () => openSide(true));
  at("side-close").addEventListener("click", () => openSide(false));
  at("shade").addEventListener("click", () => openSide(false));
  at("model").addEventListener("change", (event) => {
    chat.model = event.target.value;
    if (chat.messages.length > 0) save();
    showState();
  });
  at("theme").addEventListener("click", nextTheme);
  at("export").addEventListener("click", exportChat);
  at("help").addEventListener("click", () => openHelp(shortcuts));
  at("settings").addEventListener("click", () => settings.open(chat.settings));
  document.addEventListener("keydown", onKey);
  for (const text of kStarters) {
    const starter = make("button", { type: "button", className: "starter" }, text);
    starter.addEventListener("click", () => {
      send(text);
      at("prompt").focus();
    });
    at("starters").append(make("li", {}, starter));
  }
}

wire();
showTheme();
show(chats.all[0] ?? chat);
await loadModels();
