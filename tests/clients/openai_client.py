"""OpenAI's own client against `lantern serve`."""

import json
import struct
import tempfile

import openai

from common import Key, Service, equal, raises, write_adapter

QUESTION = [{"role": "system", "content": "Answer in one short sentence."},
            {"role": "user", "content": "What is the capital of France?"}]


def check_models(client):
    models = client.models.list().data
    equal([m.id for m in models], ["smollm2"], "models")
    equal(client.models.retrieve("smollm2").id, "smollm2", "one model")
    error = raises(openai.NotFoundError, lambda: client.models.retrieve("nobody"), "not served")
    equal(error.code, "model_not_found", "code")


def check_chat(client):
    def ask(**more):
        return client.chat.completions.create(model="smollm2", messages=QUESTION, seed=7,
                                              max_completion_tokens=24, **more)

    whole = ask(temperature=0)
    text = whole.choices[0].message.content
    assert "Paris" in text, text
    equal(whole.choices[0].message.role, "assistant", "role")
    equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens, "usage")
    equal(ask(temperature=0).choices[0].message.content, text, "the same again")

    chunks = list(ask(temperature=0, stream=True, stream_options={"include_usage": True}))
    equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), text, "streamed")
    equal(chunks[0].choices[0].delta.role, "assistant", "first chunk")
    equal(chunks[-1].usage.total_tokens, whole.usage.total_tokens, "streamed usage")
    equal(chunks[-2].choices[0].finish_reason, whole.choices[0].finish_reason, "finish reason")
    assert all(c.usage is None for c in chunks[:-1])

    two = ask(n=2, temperature=1.5)
    equal([c.index for c in two.choices], [0, 1], "choices")
    assert two.choices[0].message.content != two.choices[1].message.content
    streamed = {0: "", 1: ""}
    for chunk in ask(n=2, temperature=1.5, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    equal([streamed[0], streamed[1]], [c.message.content for c in two.choices], "two, streamed")

    cut = ask(temperature=0, stop=["Paris"])
    equal(cut.choices[0].finish_reason, "stop", "stop")
    assert "Paris" not in cut.choices[0].message.content
    short = client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=2)
    equal((short.choices[0].finish_reason, short.usage.completion_tokens), ("length", 2), "length")

    parts = client.chat.completions.create(
        model="smollm2", seed=7, temperature=0, max_completion_tokens=24,
        messages=[QUESTION[0], {"role": "user", "content": [
            {"type": "text", "text": "What is the capital of France?"}]}])
    equal(parts.choices[0].message.content, text, "content in parts")


def check_logprobs(client):
    answer = client.chat.completions.create(model="smollm2", messages=QUESTION, temperature=0,
                                            max_tokens=8, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) >= 1
    for token in tokens:
        equal(len(token.top_logprobs), 3, "alternatives")
        equal(token.top_logprobs[0].token, token.token, "greedy takes the best")
        equal(token.top_logprobs[0].logprob, token.logprob, "log-probability")
        assert token.logprob <= 0
    text = b"".join(bytes(t.bytes) for t in tokens).decode()
    assert text.startswith(answer.choices[0].message.content), text
    chunks = client.chat.completions.create(model="smollm2", messages=QUESTION, temperature=0,
                                            max_tokens=8, logprobs=True, top_logprobs=3, stream=True)
    streamed = [t for c in chunks if c.choices and c.choices[0].logprobs
                for t in c.choices[0].logprobs.content]
    equal([t.logprob for t in streamed], [t.logprob for t in tokens], "streamed log-probabilities")


def check_completions(client):
    whole = client.completions.create(model="smollm2", prompt="Once upon a", max_tokens=8,
                                      temperature=0)
    text = whole.choices[0].text
    assert text, whole
    equal(whole.usage.completion_tokens, 8, "tokens")
    pieces = client.completions.create(model="smollm2", prompt="Once upon a", max_tokens=8,
                                       temperature=0, stream=True)
    equal("".join(p.choices[0].text for p in pieces), text, "streamed")
    echoed = client.completions.create(model="smollm2", prompt="Once upon a", max_tokens=8,
                                       temperature=0, echo=True)
    equal(echoed.choices[0].text, "Once upon a" + text, "echo")
    check_prompts(client, text)
    check_completion_logprobs(client, text)


def check_prompts(client, text):
    def ask(prompt, **more):
        return client.completions.create(model="smollm2", prompt=prompt, max_tokens=8, seed=7, **more)

    several = ask(["Once upon a", "The sea is"], temperature=0)
    equal([c.index for c in several.choices], [0, 1], "a choice for each prompt")
    equal(several.choices[0].text, text, "as alone")
    equal(several.usage.completion_tokens, 16, "tokens of both")
    drawn = ask(["Once upon a", "The sea is"], n=2, temperature=1.5)
    equal([c.index for c in drawn.choices], [0, 1, 2, 3], "choices of a prompt after those of the one before")
    equal([c.text for c in drawn.choices[:2]], [c.text for c in ask("Once upon a", n=2, temperature=1.5).choices],
          "the first prompt's are those that it has alone")
    streamed = {}
    for chunk in ask(["Once upon a", "The sea is"], n=2, temperature=1.5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + choice.text
    equal([streamed[i] for i in range(4)], [c.text for c in drawn.choices], "streamed")
    ids = [6403, 1980, 253]  # "Once upon a"
    echoed = ask(ids, temperature=0, echo=True)
    equal((echoed.choices[0].text, echoed.usage.prompt_tokens), ("Once upon a" + text, 3), "token ids")
    equal([c.text for c in ask([ids, ids], temperature=0).choices], [text, text], "arrays of token ids")
    raises(openai.BadRequestError, lambda: ask([10 ** 9]), "outside the vocabulary")
    raises(openai.BadRequestError, lambda: ask("x", suffix="y"), "suffix")
    raises(openai.BadRequestError, lambda: ask("x", best_of=2), "best_of")
    raises(openai.BadRequestError, lambda: ask("x", echo=True, logprobs=1), "not together with echo")


def check_completion_logprobs(client, text):
    def ask(**more):
        return client.completions.create(model="smollm2", prompt="Once upon a", max_tokens=8, temperature=0,
                                         logprobs=3, **more)

    of = ask().choices[0].logprobs
    equal("".join(of.tokens), text, "tokens")
    for token, logprob, top in zip(of.tokens, of.token_logprobs, of.top_logprobs):
        equal(len(top), 3, "alternatives")
        equal((max(top.values()), top[token]), (logprob, logprob), "greedy takes the best")
    equal([("Once upon a" + text)[at:at + len(token)] for at, token in zip(of.text_offset, of.tokens)], of.tokens,
          "offsets count from the prompt's beginning")
    streamed = [(token, at) for chunk in ask(stream=True) if chunk.choices[0].logprobs
                for token, at in zip(chunk.choices[0].logprobs.tokens, chunk.choices[0].logprobs.text_offset)]
    equal(streamed, list(zip(of.tokens, of.text_offset)), "streamed")


def check_responses(client):
    def ask(**more):
        return client.responses.create(**{"model": "smollm2", "instructions": QUESTION[0]["content"], "temperature": 0,
                                          "input": QUESTION[1]["content"], "max_output_tokens": 64, **more})

    whole = ask()
    assert "Paris" in whole.output_text, whole
    equal((whole.status, whole.store), ("completed", False), "status")
    equal(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens, "usage")
    equal(ask(input=[{"role": "user", "content": [{"type": "input_text", "text": QUESTION[1]["content"]}]}]).output_text,
          whole.output_text, "input in parts")
    events = list(ask(stream=True))
    equal([e.sequence_number for e in events], list(range(len(events))), "sequence")
    equal("".join(e.delta for e in events if e.type == "response.output_text.delta"), whole.output_text, "streamed")
    equal(events[-1].type, "response.completed", "last event")
    equal(events[-1].response.output_text, whole.output_text, "last event's text")
    with client.responses.stream(model="smollm2", instructions=QUESTION[0]["content"], input=QUESTION[1]["content"],
                                 temperature=0, max_output_tokens=64) as stream:
        equal(stream.get_final_response().output_text, whole.output_text, "the client's own accumulation")
    cut = ask(max_output_tokens=2)
    equal((cut.status, cut.incomplete_details.reason), ("incomplete", "max_output_tokens"), "cut")

    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
              "additionalProperties": False}
    shaped = ask(text={"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}})
    assert isinstance(json.loads(shaped.output_text)["city"], str), shaped
    equal(shaped.text.format.name, "city", "the form that was asked for")
    raises(openai.BadRequestError, lambda: ask(tools=[{"type": "function", "name": "f", "parameters": {}}]),
           "cannot be given tools")

    missing = raises(openai.NotFoundError, lambda: client.responses.retrieve(whole.id), "not kept")
    equal((missing.code, missing.param), (None, None), "no model is what is missing")
    missing = raises(openai.BadRequestError, lambda: ask(previous_response_id=whole.id), "not kept")
    equal((missing.code, missing.param), ("previous_response_not_found", "previous_response_id"), "code")
    kept = ask(store=True, metadata={"for": "a test"})
    again = client.responses.retrieve(kept.id)
    equal((again.output_text, again.metadata), (whole.output_text, {"for": "a test"}), "kept")
    more = ask(input="And of Italy?", previous_response_id=kept.id)
    assert more.usage.input_tokens > kept.usage.input_tokens + kept.usage.output_tokens - 4, more.usage
    client.responses.delete(kept.id)
    raises(openai.NotFoundError, lambda: client.responses.retrieve(kept.id), "not kept")
    raises(openai.BadRequestError, lambda: ask(input=[{"role": "user", "content": [
        {"type": "input_image", "image_url": "data:image/png;base64,AA"}]}]), "images")
    raises(openai.NotFoundError, lambda: ask(model="nobody"), "not served")


def check_embeddings(client):
    one = client.embeddings.create(model="smollm2", input="a text")  # the client asks for base64
    numbers = client.embeddings.create(model="smollm2", input=["other", "a text"], encoding_format="float")
    equal(len(one.data[0].embedding), 576, "dimensions")
    equal([struct.pack("f", x) for x in one.data[0].embedding],
          [struct.pack("f", x) for x in numbers.data[1].embedding], "alone and among others, base64 and numbers")
    equal([d.index for d in numbers.data], [0, 1], "order")
    short = client.embeddings.create(model="smollm2", input="a text", dimensions=8)
    assert abs(sum(x * x for x in short.data[0].embedding) - 1) < 1e-5
    raw = client.embeddings.with_raw_response.create(model="smollm2", input="a text")
    assert "not made for embeddings" in raw.headers["warning"]
    raises(openai.BadRequestError, lambda: client.embeddings.create(model="smollm2", input=[]), "input")


def check_errors(client):
    def ask(**more):
        given = {"model": "smollm2", "messages": QUESTION, "max_tokens": 1, **more}
        return lambda: client.chat.completions.create(**given)

    raises(openai.NotFoundError, ask(model="gpt-4o"), "not served here")
    error = raises(openai.BadRequestError, ask(temperature=9), "from 0 to 2")
    equal(error.param, "temperature", "param")
    raises(openai.BadRequestError, ask(messages=[]), "messages")
    raises(openai.BadRequestError, ask(messages=[{"role": "wizard", "content": "x"}]), "role")
    raises(openai.BadRequestError, ask(extra_body={"no_such_thing": 1}), "no_such_thing")
    raises(openai.BadRequestError, ask(presence_penalty=1.0), "presence_penalty")
    raises(openai.BadRequestError, ask(messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]), "images")
    raises(openai.BadRequestError, ask(stream=True, messages=[{"role": "user", "content": "a " * 20000}]),
           "context")


def check_keys():
    def ask(client):
        return client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=2)

    with Service("--require-keys") as service, Key() as key, Key("--budget", "10/day") as small:
        def client(text):
            return openai.OpenAI(base_url=service.url + "/v1", api_key=text, max_retries=0)

        equal(ask(client(key.text)).choices[0].finish_reason, "length", "by key")
        error = raises(openai.AuthenticationError, lambda: ask(client("none")), "lantern.key")
        equal(error.code, "invalid_api_key", "code")
        ask(client(small.text))
        error = raises(openai.RateLimitError, lambda: ask(client(small.text)), "lantern.key-budget")
        assert int(error.response.headers["retry-after"]) >= 1
        key.revoke()
        raises(openai.AuthenticationError, lambda: ask(client(key.text)), "revoked")


def check_adapters():
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(folder, 2.0)
        with Service("--lora", f"changed={folder}", "--lora", f"off={folder}:0",
                     "--approve", "made by this test") as service:
            client = openai.OpenAI(base_url=service.url + "/v1", api_key="none", max_retries=0)
            parents = {m.id: getattr(m, "parent", None) for m in client.models.list().data}
            equal(parents["changed"], "smollm2", "an adapter's model")
            assert parents["smollm2"] is None, parents

            def ask(model):
                return client.chat.completions.create(model=model, messages=QUESTION, temperature=0,
                                                      max_tokens=12)

            plain, changed = ask("smollm2"), ask("changed")
            equal(changed.model, "changed", "the name that was asked for")
            assert changed.choices[0].message.content != plain.choices[0].message.content, changed
            equal(ask("off").choices[0].message.content, plain.choices[0].message.content, "scale 0")


check_keys()
check_adapters()
with Service() as service:
    with openai.OpenAI(base_url=service.url + "/v1", api_key="none", max_retries=0) as client:
        check_models(client)
        check_chat(client)
        check_logprobs(client)
        check_completions(client)
        check_responses(client)
        check_embeddings(client)
        check_errors(client)
print("openai: ok")
