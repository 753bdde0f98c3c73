// An answer under way: what the service sends goes into the chat's last message.
import { answer, ServiceError } from "/web/api.js";
import { requestOf } from "/web/chats.js";

export function newAnswer(chat) {
  return { role: "assistant", content: "", reasoning: "", calls: [], seed: "", finish: "", model: chat.model, waiting: true };
}

function addCall(calls, piece) {
  const index = Number.isInteger(piece.index) && piece.index >= 0 && piece.index < 64 ? piece.index : calls.length;
  while (calls.length <= index) calls.push({ id: "", name: "", arguments: "" });
  const call = calls[index];
  call.id += piece.id ?? "";
  call.name += piece.function?.name ?? "";
  call.arguments += piece.function?.arguments ?? "";
}

export class Run {
  /** `changed()` hears of every piece, `done()` of the end. */
  constructor(chat, message, { changed, done }) {
    this.controller = new AbortController();
    this.message = message;
    this.changed = changed;
    const before = chat.messages.slice(0, chat.messages.indexOf(message));
    this.finished = this.#run(requestOf(chat, before)).finally(() => {
      message.waiting = false;
      done();
    });
  }

  stop() {
    this.controller.abort();
  }

  async #run(body) {
    const { message } = this;
    const begun = performance.now();
    const clock = { first: 0, last: 0, pieces: 0 };
    const piece = () => {
      clock.last = performance.now();
      if (clock.pieces++ === 0) clock.first = clock.last;
      this.#figures(clock, begun, null);
      this.changed();
    };
    try {
      await answer(body, this.controller.signal, {
        seed: (seed) => (message.seed = seed),
        content: (text) => {
          message.content += text;
          piece();
        },
        reasoning: (text) => {
          message.reasoning += text;
          piece();
        },
        toolCall: (call) => {
          addCall(message.calls, call);
          piece();
        },
        finish: (reason) => (message.finish = reason),
        usage: (usage) => this.#figures(clock, begun, usage),
      });
    } catch (error) {
      if (error.name === "AbortError") message.finish = "stopped";
      else if (error instanceof ServiceError) message.error = error;
      else message.error = new ServiceError("This page failed at the answer.");
    }
  }

  /** From pieces while they come, from the service's count at the end. */
  #figures(clock, begun, usage) {
    const figures = (this.message.figures = { tokens: usage?.completion_tokens ?? clock.pieces });
    if (clock.pieces > 0) figures.first = (clock.first - begun) / 1000;
    const took = (clock.last - clock.first) / 1000;
    // The first token belongs to the prompt's time.
    if (figures.tokens > 1 && took > 0.05) figures.perSecond = (figures.tokens - 1) / took;
    if (!usage) return;
    figures.prompt = usage.prompt_tokens;
    figures.cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    figures.total = usage.total_tokens;
  }
}
