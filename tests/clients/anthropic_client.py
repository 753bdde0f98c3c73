"""Anthropic's own client against `lantern serve`."""

import anthropic

from common import Key, Service, equal, raises

ASKED = {"model": "smollm2", "system": "Answer in one short sentence.",
         "messages": [{"role": "user", "content": "What is the capital of France?"}]}

GREEDY = {"extra_body": {"temperature": 0}}  # the client no longer has it as a parameter


def check_messages(client):
    whole = client.messages.create(max_tokens=24, **GREEDY, **ASKED)
    text = whole.content[0].text
    assert "Paris" in text, text
    equal((whole.role, whole.type, whole.stop_reason), ("assistant", "message", "end_turn"), "message")
    counted = client.messages.count_tokens(**ASKED)
    equal(counted.input_tokens, whole.usage.input_tokens, "counted tokens")

    with client.messages.stream(max_tokens=24, **GREEDY, **ASKED) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    equal(final.content[0].text, text, "streamed")
    equal(final.usage.output_tokens, whole.usage.output_tokens, "streamed usage")
    equal(final.stop_reason, "end_turn", "streamed reason")
    equal([kinds[0], kinds[1], kinds[-1]], ["message_start", "content_block_start", "message_stop"],
          "sequence of events")

    short = client.messages.create(max_tokens=2, **ASKED)
    equal((short.stop_reason, short.usage.output_tokens), ("max_tokens", 2), "length")
    cut = client.messages.create(max_tokens=24, **GREEDY, stop_sequences=["Paris"], **ASKED)
    equal(cut.stop_reason, "stop_sequence", "stop")
    equal(cut.stop_sequence, "Paris", "which")
    cut = client.messages.create(max_tokens=24, **GREEDY, stop_sequences=["Rome", "Paris"], **ASKED)
    equal(cut.stop_sequence, "Paris", "which of several")
    parts = client.messages.create(
        max_tokens=24, **GREEDY, model="smollm2",
        system=[{"type": "text", "text": ASKED["system"]}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}])
    equal(parts.content[0].text, text, "content in blocks")
    go_on = client.messages.create(
        max_tokens=8, **GREEDY, model="smollm2",
        messages=[*ASKED["messages"], {"role": "assistant", "content": "The capital of France is"}])
    assert go_on.content[0].text.strip().startswith("Paris"), go_on


def check_errors(client):
    def ask(**more):
        return lambda: client.messages.create(**{"max_tokens": 1, **ASKED, **more})

    error = raises(anthropic.NotFoundError, ask(model="claude"), "not served here")
    equal(error.body["error"]["type"], "not_found_error", "type")
    raises(anthropic.BadRequestError, ask(extra_body={"temperature": 2}), "temperature")
    raises(anthropic.BadRequestError, ask(extra_body={"nonsense": 1}), "Extra inputs")
    raises(anthropic.BadRequestError, ask(messages=[{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]}]), "images")


def check_keys():
    with Service("--require-keys") as service, Key("--rate", "1/minute") as key:
        def ask(text):
            with anthropic.Anthropic(base_url=service.url, api_key=text, max_retries=0) as client:
                return client.messages.create(max_tokens=2, **ASKED)

        equal(ask(key.text).role, "assistant", "by key")
        error = raises(anthropic.AuthenticationError, lambda: ask("none"), "lantern.key")
        equal(error.body["error"]["type"], "authentication_error", "type")
        raises(anthropic.RateLimitError, lambda: ask(key.text), "lantern.key-rate")


check_keys()
with Service() as service:
    with anthropic.Anthropic(base_url=service.url, api_key="none", max_retries=0) as client:
        check_messages(client)
        check_errors(client)
print("anthropic: ok")
