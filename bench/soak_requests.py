"""What bench/soak.py asks: a tiny model, requests of every API, what their answers say, and what is no
request at all."""
import array
import collections
import http.client
import json
import random
import socket
import struct

WORDS = ("the of and to in that it was his he had with for as on at by her which be not from or "
         "she but have an they so all were this their been has will would one if more when who "
         "water between never city tree farm hard start might story saw far sea draw left late "
         "run while press close night real life few stop book carry took science eat room friend").split()
PATIENCE_S = 150  # of silence; a load waits 30 s for room, and 32 clients share two cores


def text(n_words, which):
    pick = random.Random(which)
    return " ".join(pick.choice(WORDS) for _ in range(n_words))


# --- A model of 100 kB, in many guises that answer alike -----------------------------------------

def write_tiny_model(path, name):
    """A random llama of two layers whose tokens are bytes. Its weights do not depend on its name,
    so all such models give the same answers; their digests differ."""
    embd, ff, vocab = 64, 96, 261
    spelled = {}  # GPT-2's spelling of bytes: printable ones as they are, others from U+0100 on
    for byte in range(256):
        plain = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        spelled[byte] = chr(byte if plain else 256 + len([b for b in spelled if ord(spelled[b]) > 255]))
    tokens = [spelled[b] for b in range(256)] + ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "th"]
    template = ("{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
                "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    string = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
    u32 = lambda n: struct.pack("<II", 4, n)
    strings = lambda items: struct.pack("<IIQ", 9, 8, len(items)) + b"".join(map(string, items))
    metadata = {
        "general.architecture": struct.pack("<I", 8) + string("llama"),
        "general.name": struct.pack("<I", 8) + string(name),
        "llama.block_count": u32(2), "llama.context_length": u32(4096),
        "llama.embedding_length": u32(embd), "llama.feed_forward_length": u32(ff),
        "llama.attention.head_count": u32(2), "llama.attention.head_count_kv": u32(1),
        "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", 6, 1e-5),
        "tokenizer.ggml.model": struct.pack("<I", 8) + string("gpt2"),
        "tokenizer.ggml.pre": struct.pack("<I", 8) + string("gpt-2"),
        "tokenizer.ggml.tokens": strings(tokens), "tokenizer.ggml.merges": strings(["t h"]),
        "tokenizer.ggml.token_type": struct.pack("<IIQ", 9, 5, vocab) +
                                     struct.pack(f"<{vocab}i", *[3 if 256 <= i < 260 else 1 for i in range(vocab)]),
        "tokenizer.ggml.bos_token_id": u32(256), "tokenizer.ggml.eos_token_id": u32(257),
        "tokenizer.chat_template": struct.pack("<I", 8) + string(template)}
    shapes = {"token_embd": (embd, vocab), "output_norm": (embd,), "output": (embd, vocab)}
    for layer in range(2):
        for part, shape in {"attn_norm": (embd,), "attn_q": (embd, embd), "attn_k": (embd, 32),
                            "attn_v": (embd, 32), "attn_output": (embd, embd), "ffn_norm": (embd,),
                            "ffn_gate": (embd, ff), "ffn_up": (embd, ff), "ffn_down": (ff, embd)}.items():
            shapes[f"blk.{layer}.{part}"] = shape
    pick, infos, data = random.Random(7), b"", b""
    for tensor, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        infos += string(tensor + ".weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += array.array("f", [pick.uniform(-.25, .25) for _ in range(n)] if len(shape) > 1 else [1.0] * n).tobytes()
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    head += b"".join(string(key) + value for key, value in metadata.items()) + infos
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


# --- Requests, and what their answers say --------------------------------------------------------

CHAT, COMPLETION, MESSAGES, RESPONSES, OLLAMA, GENERATE, EMBED = range(7)
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses", "/api/chat",
         "/api/generate", "/v1/embeddings"]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "n"],
          "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer", "minimum": 0}}}


class Ask:
    """A request without its model: the same to every model of a family has the same answer."""

    def __init__(self, form, body, may_stream=True):
        self.form, self.body, self.may_stream = form, body, may_stream

    def bytes(self, model, stream, key=None, keep=False, host="127.0.0.1"):
        body = dict(self.body, model=model)
        if self.may_stream:
            body["stream"] = stream
        if stream and self.form in (CHAT, COMPLETION):
            body["stream_options"] = {"include_usage": True}
        text = json.dumps(body).encode()
        head = (f"POST {PATHS[self.form]} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(text)}\r\n"
                f"Content-Type: application/json\r\n")
        if key:
            head += f"Authorization: Bearer {key}\r\n"
        if not keep:
            head += "Connection: close\r\n"
        return head.encode() + b"\r\n" + text


def all_asks():
    asks = []
    long = text(260, "shared")  # a prefix that several share
    chats = [[("user", "Hi")], [("user", "Tell me about " + text(6, 1))], [("system", text(20, 2)), ("user", text(30, 3))],
             [("user", long + " one")], [("user", long + " two")],
             [("user", long + " one"), ("assistant", text(20, 4)), ("user", text(10, 5))]]
    for i, turns in enumerate(chats):
        n = 16 + 12 * i
        messages = [{"role": role, "content": content} for role, content in turns]
        rest = [m for m in messages if m["role"] != "system"]
        system = next((m["content"] for m in messages if m["role"] == "system"), None)
        asks.append(Ask(CHAT, {"messages": messages, "max_tokens": n, "temperature": 0}))
        asks.append(Ask(MESSAGES, dict({"messages": rest, "max_tokens": n, "temperature": 0}, **({"system": system} if system else {}))))
        asks.append(Ask(OLLAMA, {"messages": messages, "options": {"num_predict": n, "temperature": 0}}))
    asks.append(Ask(RESPONSES, {"input": text(12, 6), "max_output_tokens": 40, "temperature": 0}))
    asks.append(Ask(COMPLETION, {"prompt": "Once upon a time", "max_tokens": 120, "temperature": 0, "ignore_eos": True}))
    asks.append(Ask(GENERATE, {"prompt": text(40, 7), "raw": True, "options": {"num_predict": 32, "temperature": 0}}))
    asks.append(Ask(CHAT, {"messages": [{"role": "user", "content": "Say something"}], "max_tokens": 40,
                           "temperature": 1.0, "seed": 11, "n": 2, "logprobs": True, "top_logprobs": 2}))
    asks.append(Ask(CHAT, {"messages": [{"role": "user", "content": "A name and a number as JSON"}], "max_tokens": 48,
                           "temperature": 0, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}))
    asks.append(Ask(EMBED, {"input": [text(30, 8), "short"]}, may_stream=False))
    return asks


class Lost(Exception):
    """The answer did not come to its end, and no error said why."""


class Refused(Exception):
    """An error that the service declared: in a status, or in a stream."""

    def __init__(self, status, message, retry_after=None):
        super().__init__(f"{status} {message}")
        self.status, self.retry_after = status, retry_after


def read_whole(sock, pace=None):
    """Status, headers and body of one answer; Lost where it ends before its end. `pace` is called
    before each read with the bytes so far and gives how many more to take."""
    response = http.client.HTTPResponse(sock)
    body = b""
    try:
        response.begin()
        while True:
            piece = response.read1(pace(len(body)) if pace else 65536)
            if not piece:
                break
            body += piece
    except socket.timeout:
        raise Lost(f"silent for {PATIENCE_S} s after {len(body)} bytes") from None
    except (OSError, http.client.HTTPException) as fault:
        raise Lost(f"{type(fault).__name__} {fault} after {len(body)} bytes") from None
    if response.length:  # of Content-Length: not come
        raise Lost(f"{response.length} bytes short")
    return response.status, response.headers, body


def error_text(document):
    fault = document.get("error", document)
    return fault.get("message", str(fault)) if isinstance(fault, dict) else str(fault)


def status_in_stream(message):
    """Streams carry the error's text alone: what kind it is of."""
    if "revoked" in message or "denied by rule" in message:
        return 403
    return 503 if "cancel" in message or "ended" in message or "stopped" in message else 500


def events_of(form, body):
    for line in body.split(b"\n"):
        if form in (OLLAMA, GENERATE):
            if line:
                yield json.loads(line)
        elif line.startswith(b"data: ") and line != b"data: [DONE]":
            yield json.loads(line[6:])


def streamed(form, body):
    """What a stream says, as said() of the same answer in one piece. Lost, Refused."""
    parts, finish, usage, ended = collections.defaultdict(str), {}, None, False
    if form in (CHAT, COMPLETION):
        ended = body.endswith(b"data: [DONE]\n\n")
    for event in events_of(form, body):
        if "error" in event and event["error"]:
            message = error_text(event)
            raise Refused(status_in_stream(message), message)
        if form in (CHAT, COMPLETION):
            for choice in event["choices"]:
                i = choice["index"]
                parts[i] += choice["text"] if form == COMPLETION else choice["delta"].get("content") or ""
                finish[i] = choice["finish_reason"] or finish.get(i)
            if event.get("usage"):
                usage = event["usage"]["completion_tokens"]
        elif form == MESSAGES:
            if event["type"] == "content_block_delta":
                parts[0] += event["delta"]["text"]
            if event["type"] == "message_delta":
                finish[0], usage = event["delta"]["stop_reason"], event["usage"]["output_tokens"]
            ended |= event["type"] == "message_stop"
        elif form == RESPONSES:
            if event["type"] == "response.output_text.delta":
                parts[0] += event["delta"]
            if event["type"] == "response.failed":
                message = error_text(event["response"])
                raise Refused(status_in_stream(message), message)
            if event["type"] in ("response.completed", "response.incomplete"):
                ended, usage = True, event["response"]["usage"]["output_tokens"]
                finish[0] = event["response"]["status"]
        else:
            parts[0] += event["response"] if form == GENERATE else event["message"]["content"]
            if event["done"]:
                ended, finish[0], usage = True, event["done_reason"], event["eval_count"]
    if not ended:
        raise Lost("the stream has no last event")
    return [parts[i] for i in sorted(finish)], [finish[i] for i in sorted(finish)], usage


def said(form, document):
    """Texts, reasons to end, and the number of tokens of an answer in one piece."""
    if form in (CHAT, COMPLETION):
        choices = sorted(document["choices"], key=lambda c: c["index"])
        return ([c["text"] if form == COMPLETION else c["message"]["content"] for c in choices],
                [c["finish_reason"] for c in choices], document["usage"]["completion_tokens"])
    if form == MESSAGES:
        return (["".join(b["text"] for b in document["content"])], [document["stop_reason"]],
                document["usage"]["output_tokens"])
    if form == RESPONSES:
        return (["".join(p["text"] for o in document["output"] for p in o["content"])], [document["status"]],
                document["usage"]["output_tokens"])
    if form == EMBED:
        return ([json.dumps(d["embedding"]) for d in document["data"]], [], document["usage"]["prompt_tokens"])
    content = document["response"] if form == GENERATE else document["message"]["content"]
    return [content], [document["done_reason"]], document["eval_count"]


def understood(form, stream, status, headers, body):
    if status != 200:
        try:
            message = error_text(json.loads(body))
        except (ValueError, AttributeError):
            message = body[:200].decode(errors="replace")
        raise Refused(status, message, headers.get("Retry-After"))
    try:
        return streamed(form, body) if stream else said(form, json.loads(body))
    except (ValueError, KeyError, TypeError, IndexError) as fault:
        raise Lost(f"not to be understood: {type(fault).__name__} {fault}: {body[:200]!r}") from None


def connected(port, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(PATIENCE_S)
    sock.connect(("127.0.0.1", port))
    return sock


# --- What is not a request -----------------------------------------------------------------------

def bad_http():
    """Name, bytes, and whether the other end may wait for more of them."""
    get = b"GET /healthz HTTP/1.1\r\n"
    post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    return [
        ("noise", random.Random(5).randbytes(600)), ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
        ("no version", b"GET /\r\n\r\n"), ("version 9", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("no host", get + b"\r\n"), ("strange host", get + b"Host: evil.example\r\n\r\n"),
        ("two hosts", get + b"Host: localhost\r\nHost: evil.example\r\n\r\n"),
        ("strange origin", get + b"Host: localhost\r\nOrigin: http://evil.example\r\n\r\n"),
        ("long header", get + b"Host: localhost\r\nX: " + b"a" * 20000 + b"\r\n\r\n"),
        ("many headers", get + b"Host: localhost\r\n" + b"X: y\r\n" * 4000 + b"\r\n"),
        ("long target", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("NUL in a header", get + b"Host: local\0host\r\n\r\n"), ("NUL in the target", b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("bad escape", b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("folded header", get + b"Host: localhost\r\nX: a\r\n b\r\nno colon\r\n\r\n"),
        ("negative length", post + b"Content-Length: -1\r\n\r\n{}"), ("wordy length", post + b"Content-Length: many\r\n\r\n{}"),
        ("two lengths", post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
        ("length and chunks", post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        ("bad chunk size", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ("huge chunk size", post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("huge length", post + b"Content-Length: 99999999999999999999\r\n\r\n{}"),
        ("body past the limit", post + b"Content-Length: 17000000\r\n\r\n{}"),
        ("unknown path", b"GET /nothing/here HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("wrong method", b"DELETE /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("admin over TCP", b"GET /admin/ps HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("wrong key", get.replace(b"/healthz", b"/v1/models") + b"Host: localhost\r\nAuthorization: Bearer lantern_0_0\r\n\r\n")]


def bad_bodies():
    chat = {"model": "smollm2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    raw = [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"model":', b"[" * 5000, b'{"a":' * 5000,
           b'{"model":"smollm2","messages":NaN}', b'{"model":"\xff\xfe","messages":[]}',
           b'{"model":"smollm2","messages":[{"role":"user","content":"\\ud800"}]}',
           b'{"model":1e999,"messages":[]}', b"\xef\xbb\xbf" + json.dumps(dict(chat, n=0)).encode()]
    wrong = [{"messages": []}, {"messages": {}}, {"messages": [7]}, {"messages": [{"role": "god", "content": "x"}]},
             {"messages": [{"role": "user"}]}, {"messages": [{"role": "user", "content": 9}]},
             {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
             {"max_tokens": -1}, {"max_tokens": 1e30}, {"temperature": "hot"}, {"temperature": 99}, {"top_p": 0},
             {"n": 0}, {"n": 10 ** 9}, {"seed": "x"}, {"stop": [""] * 1000}, {"stream": "yes"}, {"logprobs": 3},
             {"top_logprobs": 21}, {"tools": [{}]}, {"tools": "x"}, {"model": ""}, {"model": "../../etc/passwd"},
             {"model": "x" * 5000}, {"model": None}, {"unknown_field": 1}, {"stream_options": {"include_usage": 1}},
             {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}},
             {"messages": [{"role": "user", "content": text(20000, 9)}]}]
    return raw + [dict(chat, **w) for w in wrong]
