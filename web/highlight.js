// Colours for code: comments, strings, numbers and the words that the common languages reserve.
// One pass, no grammar; what it does not know stays plain.

const kCharactersMax = 30_000;

const kWords = new Set(
  ("abstract alignas and as asm assert async await auto begin bool boolean break byte case catch char " +
    "class const constexpr continue def default defer del delete do double elif else elsif end enum " +
    "except explicit export extends extern false final finally float fn for foreach from func function " +
    "global go goto if impl implements import in include instanceof int interface is lambda let local " +
    "long loop match mod module move mut mutable namespace new nil none not null nullptr of operator or " +
    "package pass private protected pub public raise return select self short signed sizeof static " +
    "string struct super switch template then this throw throws trait true try type typedef typename " +
    "undefined union unless unsafe unsigned until use using var virtual void volatile when where while " +
    "with yield True False None echo fi done esac").split(" "));
const kSqlWords = new Set(
  ("add all alter and as asc between by case create default delete desc distinct drop else end exists " +
    "from full group having if in index inner insert into is join key left like limit not null offset " +
    "on or order outer primary references right select set table then union unique update values view " +
    "when where with").split(" "));

const kHash = "#[^\\n]*";
const kSlashes = "//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)";
const kStrings = "\"(?:[^\"\\\\\\n]|\\\\.)*\"?|'(?:[^'\\\\\\n]|\\\\.)*'?";
const kTicks = "`(?:[^`\\\\]|\\\\[\\s\\S])*`?";
const kTriple = "\"\"\"[\\s\\S]*?(?:\"\"\"|$)|'''[\\s\\S]*?(?:'''|$)";
const kNumber = "\\b\\d[\\w.]*";
const kWord = "[A-Za-z_$][\\w$]*";

function scanner(comments, strings) {
  return new RegExp(`(${comments})|(${strings})|(${kNumber})|(${kWord})`, "g");
}

const kSlashLanguages = scanner(kSlashes, `${kStrings}|${kTicks}`);
const kCLanguages = scanner(kSlashes, kStrings);
const kPython = scanner(kHash, `${kTriple}|${kStrings}`);
const kHashLanguages = scanner(`(?<![\\w$])${kHash}`, kStrings);
const kSql = scanner("--[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)", kStrings);

const kLanguages = new Map();
for (const [names, scan, words] of [
  ["js javascript ts typescript jsx tsx mjs go json json5 jsonc", kSlashLanguages, kWords],
  ["c h cpp c++ cc cxx hpp cs csharp java kotlin kt swift rust rs scala dart php zig css scss less glsl proto groovy", kCLanguages, kWords],
  ["py python python3", kPython, kWords],
  ["sh bash shell zsh fish console rb ruby perl pl r yaml yml toml ini make makefile cmake dockerfile docker elixir julia nim", kHashLanguages, kWords],
  ["sql sqlite postgresql postgres mysql", kSql, kSqlWords],
])
  for (const name of names.split(" ")) kLanguages.set(name, { scan, words });

const kClasses = ["c-comment", "c-string", "c-number", "c-word"];

/** The text as a fragment: parts of it in spans. Its text is `text`, always. */
export function colour(text, language) {
  const out = document.createDocumentFragment();
  const known = kLanguages.get(language.toLowerCase());
  if (known === undefined || text.length > kCharactersMax) {
    out.append(text);
    return out;
  }
  const sql = known.words === kSqlWords;
  let from = 0;
  for (const found of text.matchAll(known.scan)) {
    const kind = [1, 2, 3, 4].find((i) => found[i] !== undefined) - 1;
    if (kind === 3 && !known.words.has(sql ? found[0].toLowerCase() : found[0])) continue;
    out.append(text.slice(from, found.index));
    const span = document.createElement("span");
    span.className = kClasses[kind];
    span.textContent = found[0];
    out.append(span);
    from = found.index + found[0].length;
  }
  out.append(text.slice(from));
  return out;
}
