"""OpenAI's own client against `lantern serve`."""

import openai

from common import Service, equal, raises

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


with Service() as service:
    with openai.OpenAI(base_url=service.url + "/v1", api_key="none", max_retries=0) as client:
        check_models(client)
        check_chat(client)
        check_logprobs(client)
        check_completions(client)
        check_errors(client)
print("openai: ok")
