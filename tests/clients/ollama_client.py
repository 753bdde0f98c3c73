"""Ollama's own client against `lantern serve`."""

import json
import tempfile

import ollama

from common import Key, Service, equal, raises, write_adapter

QUESTION = [{"role": "system", "content": "Answer in one short sentence."},
            {"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "seed": 7, "num_predict": 24}


def check_models(client):
    listed = client.list().models
    equal([m.model for m in listed], ["smollm2"], "models")
    assert listed[0].size > 10_000_000 and len(listed[0].digest) == 64
    equal(client.ps().models[0].model, "smollm2", "loaded")
    shown = client.show("smollm2")
    assert "<|im_start|>" in shown.template and "completion" in shown.capabilities
    equal(raises(ollama.ResponseError, lambda: client.show("nobody"), "not served").status_code, 404, "404")


def check_chat(client):
    whole = client.chat("smollm2", messages=QUESTION, options=GREEDY)
    text = whole.message.content
    assert "Paris" in text, text
    equal((whole.done, whole.done_reason), (True, "stop"), "end")
    for name in ("total_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count"):
        assert whole[name] > 0, name
    assert whole.total_duration >= whole.prompt_eval_duration
    pieces = list(client.chat("smollm2:latest", messages=QUESTION, options=GREEDY, stream=True))
    equal("".join(p.message.content for p in pieces), text, "streamed")
    equal([p.done for p in pieces], [False] * (len(pieces) - 1) + [True], "done")
    equal(pieces[-1].eval_count, whole.eval_count, "tokens")
    short = client.chat("smollm2", messages=QUESTION, options={"num_predict": 2})
    equal((short.done_reason, short.eval_count), ("length", 2), "length")
    equal(client.chat("smollm2", messages=[]).done_reason, "load", "no messages: load")
    return text


def check_generate(client, text):
    whole = client.generate("smollm2", prompt=QUESTION[1]["content"], system=QUESTION[0]["content"],
                            options=GREEDY)
    equal(whole.response, text, "a prompt is a user's turn")
    pieces = client.generate("smollm2", prompt="Once upon a", raw=True, stream=True,
                             options={"temperature": 0, "num_predict": 8})
    raw = "".join(p.response for p in pieces)
    assert raw and raw != text, raw


def check_store(client):
    equal(client.generate("smollm2", keep_alive=0).done_reason, "load", "one of the command line stays")
    equal(client.generate("smollm2", keep_alive="10m").done_reason, "load", "keep_alive 10m")
    short = client.chat("smollm2", messages=QUESTION, options={"num_ctx": 64, "temperature": 0})
    assert short.prompt_eval_count + short.eval_count <= 64
    equal([p.status for p in client.pull("smollm2", stream=True)][-1], "success", "was here already")
    equal(raises(ollama.ResponseError, lambda: client.delete("nobody"), "nobody").status_code, 404, "404")
    equal(raises(ollama.ResponseError, lambda: client.pull("./file.gguf"), "hf.co").status_code, 400, "400")


def check_embed(client):
    many = client.embed("smollm2", input=["other", "a text"])
    equal([len(v) for v in many.embeddings], [576, 576], "dimensions")
    assert many.prompt_eval_count > 2
    equal(client.embed("smollm2", input="a text").embeddings[0], many.embeddings[1], "alone")
    equal(client.embeddings("smollm2", prompt="a text").embedding, many.embeddings[1], "older API")


def check_errors(client):
    def refused(part, **more):
        given = {"model": "smollm2", "messages": QUESTION, **more}
        error = raises(ollama.ResponseError, lambda: client.chat(**given), part)
        equal(error.status_code, 400, "status")

    refused("num_ctx: 1000000", options={"num_ctx": 1_000_000})
    refused("temperature", options={"temperature": -1})
    refused("format", format={"type": "object", "contains": {}})
    answer = client.chat(model="smollm2", messages=QUESTION,
                         format={"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
                                 "required": ["n"], "additionalProperties": False})
    equal(list(json.loads(answer.message.content)), ["n"], "members")
    refused("images", messages=[{"role": "user", "content": "x", "images": [b"\x89PNG"]}])


def check_keys():
    with Service("--require-keys") as service, Key() as key:
        by_key = ollama.Client(host=service.url, headers={"Authorization": f"Bearer {key.text}"})
        equal(by_key.generate("smollm2", "Hi", options={"num_predict": 2}).done, True, "by key")
        try:
            ollama.Client(host=service.url).list()
        except ollama.ResponseError as error:
            equal(error.status_code, 401, "without a key")
        else:
            raise AssertionError("answered without a key")


def check_adapters():
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(folder, 2.0)
        with Service("--lora", f"changed={folder}", "--approve", "made by this test") as service:
            client = ollama.Client(host=service.url)
            parents = {m.model: m.details.parent_model for m in client.list().models}
            equal(parents["changed"], "smollm2", "an adapter's model")
            equal(client.show("changed").details.parent_model, "smollm2", "shown")

            def ask(model):
                return client.generate(model=model, prompt="Who are you?",
                                       options={"temperature": 0, "num_predict": 12}).response

            assert ask("changed") != ask("smollm2")


check_keys()
check_adapters()
with Service() as service:
    client = ollama.Client(host=service.url)
    check_models(client)
    check_generate(client, check_chat(client))
    check_embed(client)
    check_errors(client)
    check_store(client)
print("ollama: ok")
