// Markdown to nodes. A model's text is hostile: marked only splits it into tokens, and every token
// becomes one of the elements named here, its text a text node. No string is ever parsed as HTML
// (the page's policy forbids that, too), HTML in the text is shown as it stands, pictures become
// links, and a link is http:, https: or mailto: or it is text.
import "/web/marked.umd.min.js";
import { colour } from "/web/highlight.js";

const { Lexer, getDefaults } = globalThis.marked;

// Past these, text is shown as it came: the parser's time grows faster than its input. An emphasis
// that nothing closes is looked for to the paragraph's end: 400 take some ten milliseconds.
const kCharactersMax = 200_000;
const kDelimitersMax = 400; // of a paragraph
const kParseMillisecondsMax = 250;
const kDeep = /^(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))){25}/m;

const kEntities = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®",
  trade: "™", hellip: "…", mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”",
  laquo: "«", raquo: "»", bull: "•", middot: "·", deg: "°", plusmn: "±", times: "×", divide: "÷",
  euro: "€", pound: "£", yen: "¥", cent: "¢", sect: "§", para: "¶", larr: "←", uarr: "↑",
  rarr: "→", darr: "↓", le: "≤", ge: "≥", ne: "≠", infin: "∞", micro: "µ", pi: "π",
};

/** Text of a token, which marked leaves as HTML would have it. */
function decode(text) {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,6}));/g, (whole, decimal, hex, name) => {
    if (name) return Object.hasOwn(kEntities, name) ? kEntities[name] : whole;
    const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16);
    if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return "\ufffd";
    return String.fromCodePoint(code);
  });
}

/** The blocks, the text in them parsed as far as time and the limits allow. */
function tokensOf(source) {
  const end = performance.now() + kParseMillisecondsMax;
  const lexer = new Lexer({ ...getDefaults(), breaks: true });
  lexer.blockTokens(source.replace(/\r\n?/g, "\n"), lexer.tokens);
  for (let next = lexer.inlineQueue.shift(); next !== undefined; next = lexer.inlineQueue.shift()) {
    const n = next.src.match(/[*_~[]/g)?.length ?? 0;
    if (n > kDelimitersMax || performance.now() > end) next.tokens.push({ type: "raw", raw: next.src });
    else lexer.inlineTokens(next.src, next.tokens);
  }
  return lexer.tokens;
}

function element(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** The address where it is one that may be followed, else null. */
export function safeAddress(href) {
  const text = decode(href).trim();
  if (!/^(?:https?:\/\/|mailto:)/i.test(text)) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

function link(href, children) {
  const address = safeAddress(href);
  if (address === null) return element("span", "", ...children);
  const node = element("a", "", ...children);
  node.href = address;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  node.title = address; // what is written may say another address
  return node;
}

function inline(tokens) {
  const out = [];
  for (const token of tokens ?? []) out.push(...inlineOf(token));
  return out;
}

function inlineOf(token) {
  switch (token.type) {
    case "text":
      return token.tokens ? inline(token.tokens) : [decode(token.text)];
    case "escape":
      return [decode(token.text)];
    case "strong":
    case "em":
    case "del":
      return [element(token.type, "", ...inline(token.tokens))];
    case "codespan":
      return [element("code", "", decode(token.text))];
    case "br":
      return [element("br")];
    case "link":
      return [link(token.href, inline(token.tokens))];
    case "image":
      return [link(token.href, [element("span", "picture", `Picture: ${decode(token.text) || token.href}`)])];
    default: // "raw" and "html"
      return [token.raw];
  }
}

function code(token) {
  const language = (token.lang ?? "").trim().split(/\s+/)[0].slice(0, 40);
  const copy = element("button", "copy quiet", "Copy");
  copy.type = "button";
  copy.dataset.action = "copy-code";
  const head = element("div", "code-head", element("span", "", language || "text"), copy);
  const pre = element("pre", "", element("code", "", colour(token.text, language)));
  pre.tabIndex = 0; // scrolls by keyboard
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", language ? `Code, ${language}` : "Code");
  return element("div", "code", head, pre);
}

function cells(tag, row, align) {
  return row.map((cell, i) => {
    const node = element(tag, align[i] ? `to-${align[i]}` : "", ...inline(cell.tokens));
    if (tag === "th") node.scope = "col";
    return node;
  });
}

function table(token) {
  const head = element("thead", "", element("tr", "", ...cells("th", token.header, token.align)));
  const rows = token.rows.map((row) => element("tr", "", ...cells("td", row, token.align)));
  const box = element("div", "table", element("table", "", head, element("tbody", "", ...rows)));
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Table");
  return box;
}

function item(token) {
  const node = element("li", token.task ? "task" : "");
  if (token.task) node.append(token.checked ? "☑ " : "☐ ");
  node.append(...blocks(token.tokens));
  return node;
}

function list(token) {
  const node = element(token.ordered ? "ol" : "ul", "", ...token.items.map(item));
  if (token.ordered && Number.isInteger(token.start) && token.start !== 1) node.start = token.start;
  return node;
}

/** The nodes of a block; a list's tight items hold bare text. */
function block(token) {
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "heading": // under the page's own h1 and h2
      return [element(`h${Math.min(6, token.depth + 2)}`, `h${token.depth}`, ...inline(token.tokens))];
    case "paragraph":
      return [element("p", "", ...inline(token.tokens))];
    case "text":
      return token.tokens ? inline(token.tokens) : [decode(token.text)];
    case "code":
      return [code(token)];
    case "blockquote":
      return [element("blockquote", "", ...blocks(token.tokens))];
    case "list":
      return [list(token)];
    case "table":
      return [table(token)];
    case "hr":
      return [element("hr")];
    default:
      return [element("p", "", token.raw.trimEnd())];
  }
}

function blocks(tokens) {
  return tokens.flatMap(block);
}

function asItStands(source) {
  return element("p", "plain", source);
}

/**
 * Shows a text that grows. A block whose source did not change keeps its nodes, so a selection
 * and the reader's place survive, and a long answer costs what is new in it.
 */
export class MarkdownView {
  constructor(root) {
    this.root = root;
    this.shown = []; // {raw, nodes} of each block
    this.plain = false;
  }

  /** `whole`: nothing follows, so the text is shown afresh. */
  show(source, whole = false) {
    const begun = performance.now();
    if (whole) {
      this.shown = [];
      this.plain = false; // one last time, however long it takes
    }
    let parts = null;
    if (!this.plain && source.length <= kCharactersMax && !kDeep.test(source)) {
      try {
        parts = this.#parts(tokensOf(source));
      } catch {
        // The parser gave up on it.
      }
    }
    this.plain = parts === null || (!whole && performance.now() - begun > kParseMillisecondsMax);
    if (parts === null) parts = [{ raw: source, nodes: [asItStands(source)] }];
    this.shown = parts;
    this.#replace(parts.flatMap((part) => part.nodes));
  }

  #parts(tokens) {
    return tokens.map((token, i) => {
      const old = this.shown[i];
      if (old !== undefined && old.raw === token.raw && old.type === token.type) return old;
      const nodes = block(token).map((n) => (n instanceof Node ? n : document.createTextNode(n)));
      return { type: token.type, raw: token.raw, nodes };
    });
  }

  #replace(nodes) {
    const staying = new Set(nodes);
    for (const node of [...this.root.childNodes]) if (!staying.has(node)) node.remove();
    let at = this.root.firstChild;
    for (const node of nodes) {
      if (node === at) at = at.nextSibling;
      else this.root.insertBefore(node, at);
    }
  }
}
