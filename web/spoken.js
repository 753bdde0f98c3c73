// What a screen reader hears of an answer that grows: whole sentences, not every token.

const kPauseMilliseconds = 1500;

export class Spoken {
  constructor(region) {
    this.region = region;
    this.said = 0; // characters of the answer
    this.last = 0;
  }

  say(text) {
    this.region.textContent = text;
  }

  begin() {
    this.said = 0;
    this.last = performance.now();
    this.say("Answering.");
  }

  /** The sentences that ended since the last call; all that is left where the answer is whole. */
  follow(text, whole, ending = "") {
    const now = performance.now();
    if (!whole && now - this.last < kPauseMilliseconds) return;
    const rest = text.slice(this.said);
    const end = whole ? rest.length : Math.max(rest.lastIndexOf(". "), rest.lastIndexOf("\n"), rest.lastIndexOf("? ")) + 1;
    if (end <= 0 && !whole) return;
    this.said += end;
    this.last = now;
    this.say(`${rest.slice(0, end).replace(/[`*_#>|]+/g, "")} ${ending}`.trim());
  }
}
