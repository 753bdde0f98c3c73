"""A browser on the chat page, as its tests use one: every request that it makes is kept, and what
it says on its console is a fault."""

import json
import os
import time

from playwright.sync_api import sync_playwright

PATIENCE_SECONDS = 120


def events(*documents):
    """Server-sent events as the service sends them, the end included."""
    return "".join(f"data: {json.dumps(one)}\n\n" for one in documents) + "data: [DONE]\n\n"


def answered(text="", finish="stop", **delta):
    """An answer of one piece."""
    piece = {"role": "assistant", **({"content": text} if text else {}), **delta}
    return events({"choices": [{"index": 0, "delta": piece}]},
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                  {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}})


class Page:
    """One tab of a browser that has nothing yet. `faults`: what its console may say."""

    def __init__(self, browser, url, width=1280, height=800, faults=(), **context):
        phone = width < 500
        self.context = browser.new_context(viewport={"width": width, "height": height},
                                           is_mobile=phone, has_touch=phone, **context)
        self.phone = phone
        self.url = url
        self.requests = []
        self.said = []
        self.faults = faults
        self.context.on("request", lambda request: self.requests.append(request))
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.open()

    def open(self):
        self.page.goto(self.url)
        self.wait("document.querySelector('#model').options.length > 0")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            said = [line for line in self.said if not any(part in line for part in self.faults)]
            assert not said, f"the console says {said}"
            elsewhere = [r.url for r in self.requests if not r.url.startswith((self.url, "blob:"))]
            assert not elsewhere, f"requests to elsewhere: {elsewhere}"

    def answers_with(self, body, status=200, headers=None):
        """What the service says to the next questions."""
        kind = "text/event-stream" if status == 200 else "application/json"
        self.page.unroute("**/v1/chat/completions")
        self.page.route("**/v1/chat/completions", lambda route: route.fulfill(
            status=status, body=body, headers={"Content-Type": kind, **(headers or {})}))

    def wait(self, expression):
        """Until it is true. (Playwright's own way evaluates strings, which the page's policy forbids.)"""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.01)

    def send(self, text):
        self.page.fill("#prompt", text)
        if self.phone:
            self.page.tap("#send")
        else:
            self.page.press("#prompt", "Enter")

    def wait_answer(self):
        self.page.wait_for_selector("#messages > .answer:last-child:not(.waiting)")

    def ask(self, text):
        """The answer's text."""
        self.send(text)
        self.wait_answer()
        return self.answer()

    def answer(self):
        return self.page.inner_text("#messages > .answer:last-child .markdown")

    def asked(self):
        """The bodies of the requests for answers so far."""
        return [r.post_data_json for r in self.requests if r.url.endswith("/v1/chat/completions")]

    def set(self, **fields):
        """Fills the settings' fields."""
        self.page.click("#settings")
        for name, value in fields.items():
            self.page.fill(f"#f-{name}", str(value))
        self.page.click("#settings-form button.main")

    def focused(self):
        return self.page.evaluate("document.activeElement.id")


def run(checks, service):
    """Each with a tab of its own; says which failed."""
    failed = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            # Its own sandbox does not work for root, nor in most containers.
            args=["--no-sandbox"])
        for check in checks:
            try:
                check(browser, service.url)
            except Exception as error:  # the other checks are worth running
                failed.append(check.__name__)
                print(f"FAILED: {check.__name__}: {error}")
        browser.close()
    return failed
