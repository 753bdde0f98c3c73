// The service's OpenAI endpoints: models, and an answer as it comes.

const kKeyName = "lantern.key";

export function apiKey() {
  try {
    return sessionStorage.getItem(kKeyName) ?? "";
  } catch {
    return "";
  }
}

export function setApiKey(key) {
  try {
    if (key) sessionStorage.setItem(kKeyName, key);
    else sessionStorage.removeItem(kKeyName);
  } catch {
    // Storage is switched off: the next request is asked for a key again.
  }
}

/** What went wrong, for a person. `status` is 0 where the service could not be reached. */
export class ServiceError extends Error {
  constructor(message, { status = 0, rule = "", retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.rule = rule; // of the policy, where it refused
    this.retryAfter = retryAfter; // seconds, where the service is busy
  }
}

function headers() {
  const key = apiKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function errorFrom(document, status, retryAfter) {
  const said = document?.error?.message ?? document?.error ?? "";
  const message = typeof said === "string" && said ? said : `the service answered ${status}`;
  const rule = /\bby rule ([\w.-]*\w)/.exec(message)?.[1] ?? "";
  return new ServiceError(message, { status, rule, retryAfter });
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { ...options.headers, ...headers() },
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service cannot be reached. Is `lantern serve` still running?");
  }
  if (response.ok) return response;
  let document = null;
  try {
    document = await response.json();
  } catch {
    // No JSON: the status has to do.
  }
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw errorFrom(document, response.status, Number.isFinite(wait) ? Math.min(wait, 3600) : 0);
}

/** [{id, context}] of those that write. */
export async function listModels() {
  const document = await (await request("/v1/models")).json();
  return document.data
    .filter((model) => model.capabilities?.includes("completion") ?? true)
    .map((model) => ({ id: model.id, context: model.context_length ?? 0 }));
}

/** The data of each server-sent event of a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    let end;
    while ((end = waiting.indexOf("\n\n")) >= 0) {
      const lines = waiting.slice(0, end).split("\n");
      waiting = waiting.slice(end + 2);
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
      if (data.length > 0) yield data.join("\n");
    }
  }
}

/**
 * Asks for an answer. `on` hears: seed(text), content(piece), reasoning(piece), toolCall(piece),
 * finish(reason), usage(usage). Throws ServiceError, or AbortError once `signal` says so: the
 * service then stops, too, for its connection closes.
 */
export async function answer(body, signal, on) {
  let response;
  let complete = false;
  try {
    response = await request("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    on.seed(response.headers.get("Lantern-Seed") ?? "");
    for await (const data of events(response)) {
      if (data === "[DONE]") {
        complete = true;
        break;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw errorFrom(chunk, response.status, 0);
      if (chunk.usage) on.usage(chunk.usage);
      const choice = chunk.choices?.[0];
      if (!choice) continue;
      const delta = choice.delta ?? {};
      if (delta.reasoning_content) on.reasoning(delta.reasoning_content);
      if (delta.content) on.content(delta.content);
      for (const call of delta.tool_calls ?? []) on.toolCall(call);
      if (choice.finish_reason) on.finish(choice.finish_reason);
    }
  } catch (error) {
    if (error instanceof ServiceError || error.name === "AbortError") throw error;
    throw new ServiceError("The answer broke off: the connection to the service was lost.");
  }
  if (!complete) throw new ServiceError("The answer broke off: the connection to the service was lost.");
}
