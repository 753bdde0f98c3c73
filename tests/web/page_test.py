"""The chat page, driven in headless Chromium against `lantern serve` and the default model. What a
model would not say by itself (hostile text, tool calls, refusals) is put in the service's mouth."""

import json
import pathlib
import sys
import time
import urllib.request

from axe_playwright_python.sync_playwright import Axe

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients"))

from browser import Page, answered, events, run  # noqa: E402
from common import Service, equal  # noqa: E402

LONG = "Write a very long story about a ship and a lighthouse, with ten chapters."


def answers_running(url):
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("lantern_answers_running{"))


def check_streams(browser, url):
    with Page(browser, url) as tab:
        tab.page.evaluate("""() => {
          window.lengths = new Set();
          new MutationObserver(() => window.lengths.add(document.querySelector(".markdown")?.textContent.length))
            .observe(document.getElementById("messages"), {childList: true, subtree: true, characterData: true});
        }""")
        tab.set(max_tokens=40, seed=3)
        tab.send("Tell me about the sea.")
        tab.page.wait_for_selector("#send.stop")
        equal(tab.page.get_attribute("#send", "aria-label"), "Stop", "the button while it runs")
        tab.wait_answer()
        lengths = tab.page.evaluate("[...window.lengths]")
        assert len(lengths) > 5, f"the text came in {len(lengths)} steps"
        equal(tab.page.get_attribute("#send", "aria-label"), "Send", "the button after it")
        figures = tab.page.inner_text(".figures")
        for part in ("40 tokens", "tokens/s", "first after", "seed 3"):
            assert part in figures, figures
        assert "greatest length" in tab.page.inner_text(".note")
        equal(tab.page.inner_text(".user .text"), "Tell me about the sea.", "the question")
        assert tab.page.inner_text("#spoken").endswith("The answer is complete.")


def check_stops(browser, url):
    with Page(browser, url) as tab:
        tab.set(seed=5)
        tab.send(LONG)
        tab.wait("document.querySelector('.markdown')?.textContent.length > 20")
        tab.page.keyboard.press("Escape")
        tab.wait_answer()
        equal(tab.page.inner_text(".note"), "Stopped.", "the note")
        text = tab.answer()
        tab.send(LONG)
        tab.wait("document.querySelectorAll('.answer').length == 2")
        tab.page.wait_for_selector("#send.stop")
        tab.page.click("#send")
        tab.wait_answer()
        equal(tab.asked()[1]["messages"][1]["content"].split(), text.split(), "what was said stays")
    # The service stopped, too.
    end = time.monotonic() + 10
    while answers_running(url) > 0:
        assert time.monotonic() < end, "the service goes on with an answer that nobody reads"
        time.sleep(0.05)


def check_answers_again(browser, url):
    with Page(browser, url) as tab:
        tab.set(max_tokens=24)
        tab.ask("Name a colour and say why.")
        tab.page.click(".answer [data-action=again]")
        tab.wait_answer()
        equal(tab.page.locator("#messages > *").count(), 2, "messages")
        equal(tab.asked()[0], tab.asked()[1], "asked the same")
        tab.set(seed=11)
        tab.page.click(".answer [data-action=again]")
        tab.wait_answer()
        first = tab.answer()
        tab.page.keyboard.press("Alt+KeyR")
        tab.wait_answer()
        equal(tab.answer(), first, "the same seed")


def check_settings_reach_the_service(browser, url):
    with Page(browser, url) as tab:
        tab.set(system="Answer with the one word Yes.", temperature=0, top_p=0.9, top_k=5, min_p=0.1,
                repeat_penalty=1.1, max_tokens=12, seed=42, stop="END\n\n###")
        assert tab.page.is_visible("#system-hint")
        tab.ask("Is water wet?")
        asked = tab.asked()[0]
        equal(asked["messages"], [{"role": "system", "content": "Answer with the one word Yes."},
                                  {"role": "user", "content": "Is water wet?"}], "messages")
        expected = {"model": "smollm2", "temperature": 0, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "stream": True,
                    "repeat_penalty": 1.1, "max_tokens": 12, "seed": 42, "stop": ["END", "###"]}
        equal({name: asked.get(name) for name in expected}, expected, "parameters")
        tab.set(temperature="", system="")
        tab.ask("And ice?")
        assert "temperature" not in tab.asked()[1]
        equal([m["role"] for m in tab.asked()[1]["messages"]], ["user", "assistant", "user"], "roles")
        # A value that the service would refuse is not taken from its field.
        tab.page.click("#settings")
        tab.page.fill("#f-temperature", "7")
        tab.page.keyboard.press("Escape")
        tab.answers_with(answered("."))
        tab.ask("And steam?")
        assert "temperature" not in tab.asked()[2]


def check_picks_a_model(browser, url):
    with Page(browser, url) as tab:
        tab.page.route("**/v1/models", lambda route: route.fulfill(json={"data": [
            {"id": "smollm2", "context_length": 8192}, {"id": "other:7b", "context_length": 4096},
            {"id": "bge-small", "capabilities": ["embedding"]}]}))
        tab.open()
        equal(tab.page.locator("#model option").all_inner_texts(), ["smollm2", "other:7b"], "models")
        tab.page.select_option("#model", "other:7b")
        equal(tab.page.inner_text("#welcome-model"), "other:7b", "the name on the page")
        tab.answers_with(answered("Hello."))
        tab.ask("Hi")
        equal(tab.asked()[0]["model"], "other:7b", "the model that is asked")
        equal(tab.page.inner_text(".who"), "other:7b", "who says it")
        assert not tab.page.is_visible("#context-hint")
        tab.answers_with(events({"choices": [], "usage": {"prompt_tokens": 3500, "completion_tokens": 96, "total_tokens": 3596}}))
        tab.ask("Go on")
        assert "88 %" in tab.page.inner_text("#context-hint")


def check_shows_markdown(browser, url):
    with Page(browser, url) as tab:
        tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
        code = 'def add(a, b):\n    return a + b  # "sum" <b>'
        tab.answers_with(answered(
            "# Title\n\nSome **bold** and `a < b &amp; c`, 3 &lt; 4.\n\n- one\n  1. two\n- [x] done\n\n"
            f"```python\n{code}\n```\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n> said\n\n[a link](https://example.org/?a=1&amp;b=2)"))
        tab.ask("Show me")
        root = tab.page.locator(".markdown")
        for selector, text in (("h3", "Title"), ("strong", "bold"), ("p code", "a < b &amp; c"), ("ol li", "two"),
                               ("th.to-right", "b"), ("td >> nth=0", "1"), ("blockquote", "said"), ("li.task", "☑ done")):
            equal(root.locator(selector).inner_text(), text, selector)
        assert "3 < 4." in root.inner_text()
        equal(root.locator("pre code").text_content(), code, "code")
        equal(root.locator("pre .c-word").all_inner_texts(), ["def", "return"], "coloured words")
        link = root.locator("a")
        equal(link.get_attribute("href"), "https://example.org/?a=1&b=2", "the link")
        equal(link.get_attribute("target"), "_blank", "its target")
        assert {"noopener", "noreferrer"} <= set(link.get_attribute("rel").split())
        tab.page.click("text=Copy >> nth=0")
        equal(tab.page.evaluate("navigator.clipboard.readText()"), code, "copied code")


HOSTILE = """<script>window.hurt = 1</script>
<img src="https://evil.example/a.png" onerror="window.hurt = 2">
<iframe src="https://evil.example/"></iframe><svg onload="window.hurt = 3"></svg>
<style>body { background: url(https://evil.example/b.png) }</style>
<form action="https://evil.example/"><input autofocus onfocus="window.hurt = 4"></form>

![picture](https://evil.example/c.png "t") ![x](data:image/svg+xml,<svg/onload=alert(1)>)
[one](javascript:window.hurt=5) [two](JaVaScRiPt:window.hurt=5) [three](&#106;avascript:window.hurt=5)
[four](data:text/html,<script>window.hurt=6</script>) [five](vbscript:x) [six](file:///etc/passwd)
[seven](/web/main.js) [eight](//evil.example/d) [nine](java\tscript:window.hurt=5) <javascript:window.hurt=5>
[ten]: https://evil.example/e.png
[ten] [eleven](https://good.example/"onmouseover="window.hurt=7)
<a href="javascript:window.hurt=8" onclick="window.hurt=8">click</a>

```html"><img src=x onerror="window.hurt=9">
<img src="https://evil.example/f.png" onerror="window.hurt = 9">
```

| <img src=x onerror=window.hurt=10> | b |
|---|---|
| <script>window.hurt=11</script> | `<img src=x onerror=window.hurt=12>` |
"""


def check_hostile_text_does_nothing(browser, url):
    with Page(browser, url) as tab:
        tab.answers_with(answered(HOSTILE, reasoning_content=HOSTILE, tool_calls=[
            {"index": 0, "id": "1", "function": {"name": "<img src=x onerror=window.hurt=13>", "arguments": HOSTILE}}]))
        tab.ask(HOSTILE)
        tab.page.locator("summary").first.click()
        found = tab.page.evaluate("""() => {
          const root = document.getElementById("messages");
          return {
            bad: root.querySelectorAll("script, img, iframe, style, form, input, object, embed, link, base, meta").length,
            handlers: [...root.querySelectorAll("*")].flatMap((e) => e.getAttributeNames()).filter((n) => /^on|^style$|^src/.test(n)),
            links: [...root.querySelectorAll("a")].map((a) => a.href),
          };
        }""")
        equal(found["bad"], 0, "elements that no token makes")
        equal(found["handlers"], [], "attributes that no token makes")
        for link in found["links"]:
            assert link.startswith("https://"), link
        for label in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"):
            tab.page.locator(f".answer > .markdown >> text={label}").first.click()
        tab.page.wait_for_timeout(300)
        equal(tab.page.evaluate("window.hurt"), None, "what the text ran")
        equal(len(tab.context.pages), 1, "tabs")
        assert "<script>window.hurt = 1</script>" in tab.page.inner_text(".answer > .markdown")
        # Were a string ever to reach the parser, the browser itself refuses it.
        refused = tab.page.evaluate("""() => {
          try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); return ""; } catch (error) { return error.name; }
        }""")
        equal(refused, "TypeError", "a string as HTML")
        tab.faults = ("TrustedHTML",)


def check_long_and_deep_text(browser, url):
    with Page(browser, url) as tab:
        for text in ("> " * 3000 + "deep", "- " * 3000 + "deep", "[" * 5000, "*a " * 5000, "x" * 300_000, "`" * 4999):
            tab.answers_with(answered(text))
            begun = tab.page.evaluate("performance.now()")
            tab.ask("Go on")
            took = tab.page.evaluate("performance.now()") - begun
            assert took < 5000, f"{text[:10]!r}: {took:.0f} ms"
            equal(tab.page.evaluate("document.querySelector('.answer:last-child .markdown').textContent.length > 3"), True, text[:9])
            tab.page.keyboard.press("Alt+KeyN")


def check_reasoning_and_tools(browser, url):
    with Page(browser, url) as tab:
        tab.answers_with(events(
            {"choices": [{"delta": {"reasoning_content": "First, "}}]},
            {"choices": [{"delta": {"reasoning_content": "I think."}}]},
            {"choices": [{"delta": {"content": "Four."}}]},
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a"'}}]}}]},
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ": 2}"}}]}}]},
            {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}))
        equal(tab.ask("2 + 2?"), "Four.", "the answer without its reasoning")
        assert not tab.page.is_visible(".thought .text"), "reasoning is folded away"
        tab.page.click("summary >> nth=0")
        equal(tab.page.inner_text(".thought .text"), "First, I think.", "reasoning")
        tab.page.click("summary >> nth=1")
        equal(tab.page.inner_text(".calls summary"), "Calls add", "the tool")
        equal(tab.page.inner_text(".calls pre"), '{"a": 2}', "its arguments")
        tab.ask("Sure?")
        equal(tab.asked()[1]["messages"][1], {"role": "assistant", "content": "Four."}, "reasoning is not sent back")


def check_errors(browser, url):
    def said(message):
        return json.dumps({"error": {"message": message, "type": "x"}})

    with Page(browser, url, faults=("status of 4", "status of 5", "ERR_FAILED")) as tab:
        tab.answers_with(said("the queue is full"), 429, {"Retry-After": "2"})
        tab.send("Hi")
        error = tab.page.locator(".error")
        error.wait_for()
        assert "busy" in error.inner_text() and "the queue is full" in error.inner_text(), error.inner_text()
        again = error.locator("button")
        assert again.is_disabled() and " in " in again.inner_text(), again.inner_text()
        tab.answers_with(answered("Here."))
        tab.page.wait_for_selector(".error button:enabled")
        again.click()
        tab.wait_answer()
        equal(tab.answer(), "Here.", "after the wait")

        tab.answers_with(said("denied by rule org.no-keys: the prompt holds a key"), 403)
        tab.ask("secret")
        assert "Refused by rule org.no-keys" in error.last.inner_text(), error.last.inner_text()
        equal(error.last.get_attribute("role"), "alert", "it is announced")

        tab.answers_with(events({"choices": [{"delta": {"content": "Half"}}]}, {"error": {"message": "denied by rule r.x: stop"}}))
        equal(tab.ask("x"), "Half", "what came stays")
        assert "rule r.x" in error.last.inner_text()

        tab.answers_with('data: {"choices": [{"delta": {"content": "Cut"}}]}\n\n')
        tab.ask("x")
        assert "broke off" in error.last.inner_text(), error.last.inner_text()

        tab.page.unroute("**/v1/chat/completions")
        tab.page.route("**/v1/chat/completions", lambda route: route.abort())
        tab.ask("x")
        assert "cannot be reached" in error.last.inner_text(), error.last.inner_text()


def check_asks_for_a_key(browser, url):
    with Page(browser, url, faults=("status of 401",)) as tab:
        def guarded(route):
            if route.request.headers.get("authorization") == "Bearer k-123":
                route.fulfill(body=answered("Welcome."), headers={"Content-Type": "text/event-stream"})
            else:
                route.fulfill(status=401, json={"error": {"message": "a key is needed"}})

        tab.page.route("**/v1/chat/completions", guarded)
        tab.send("Hi")
        tab.page.wait_for_selector("#key-dialog[open]")
        tab.page.fill("#key", "k-123")
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector("text=Welcome.")
        kept = tab.page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")
        assert "k-123" not in kept[0] and "k-123" in kept[1], kept


def check_edits_and_resends(browser, url):
    with Page(browser, url) as tab:
        tab.answers_with(answered("One."))
        tab.ask("First")
        tab.ask("Second")
        tab.page.hover(".user >> nth=0")
        tab.page.click(".user [data-action=edit] >> nth=0")
        tab.page.keyboard.press("Escape")
        equal(tab.page.locator("#messages > *").count(), 4, "nothing changed")
        tab.page.click(".user [data-action=edit] >> nth=0")
        tab.page.keyboard.press("Control+A")
        tab.page.keyboard.type("Other")
        tab.page.keyboard.press("Enter")
        tab.wait_answer()
        equal(tab.page.locator("#messages > *").count(), 2, "what followed is gone")
        equal([m["content"] for m in tab.asked()[-1]["messages"]], ["Other"], "what is asked")


def check_colours(browser, url):
    background = "getComputedStyle(document.body).backgroundColor"
    with Page(browser, url, color_scheme="dark") as tab:
        dark = tab.page.evaluate(background)
        tab.page.emulate_media(color_scheme="light")
        light = tab.page.evaluate(background)
        assert dark != light, dark
        tab.page.click("#theme")
        tab.page.click("#theme")
        equal(tab.page.get_attribute("#theme", "aria-label"), "Colours: dark", "the choice")
        equal(tab.page.evaluate(background), dark, "chosen dark")
        tab.open()
        equal(tab.page.evaluate(background), dark, "after a reload")
        tab.page.click("#theme")
        equal(tab.page.evaluate(background), light, "as the system again")


def check_phone(browser, url):
    wide = ("A" * 400 + "\n\n```\n" + "code " * 200 + "\n```\n\n|" + "column|" * 30 + "\n|" + "--|" * 30 + "\n|" + "cell|" * 30)
    with Page(browser, url, width=360, height=640) as tab:
        tab.answers_with(answered(wide, reasoning_content="B" * 300))
        tab.page.fill("#prompt", "C" * 300)
        tab.page.tap("#send")
        tab.wait_answer()
        over = tab.page.evaluate("""() => [document.scrollingElement, document.getElementById("scroll")]
            .filter((e) => e.scrollWidth > e.clientWidth).map((e) => [e.tagName, e.scrollWidth, e.clientWidth])""")
        equal(over, [], "wider than the phone")
        small = tab.page.evaluate("""() => [...document.querySelectorAll("button, select, textarea")]
            .filter((e) => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().right > 0)
            .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height]).filter(([, h]) => h < 24)""")
        equal(small, [], "too small for a finger")
        tab.page.tap("#side-open")
        tab.page.wait_for_selector("#side.side >> visible=true")
        equal(tab.page.evaluate("document.getElementById('body').inert"), True, "what is behind the list")
        tab.page.wait_for_timeout(300)
        tab.page.tap("#new-chat")
        assert tab.page.is_visible("#welcome")


def check_keyboard_alone(browser, url):
    with Page(browser, url) as tab:
        keys = tab.page.keyboard
        equal(tab.focused(), "prompt", "focus at the start")
        tab.answers_with(answered("Done."))
        keys.type("Line one")
        keys.press("Shift+Enter")
        keys.type("line two")
        keys.press("Enter")
        tab.wait_answer()
        equal(tab.asked()[0]["messages"][0]["content"], "Line one\nline two", "two lines")
        equal(tab.focused(), "prompt", "focus after it")
        keys.press("ArrowUp")
        keys.type("!")
        keys.press("Enter")
        tab.wait_answer()
        equal(tab.asked()[1]["messages"][0]["content"], "Line one\nline two!", "edited")
        for key, dialog in (("Alt+KeyS", "settings-dialog"), ("Alt+KeyH", "help-dialog")):
            keys.press(key)
            tab.page.wait_for_selector(f"#{dialog}[open]")
            keys.press("Escape")
            tab.page.wait_for_selector(f"#{dialog}", state="hidden")
            equal(tab.focused(), "prompt", f"focus after {dialog}")
        keys.press("Alt+KeyM")
        equal(tab.focused(), "model", "to the models")
        keys.press("Alt+KeyI")
        equal(tab.focused(), "prompt", "back to the field")
        keys.press("Alt+KeyN")
        assert tab.page.is_visible("#welcome")
        # Everything that can be pressed can be reached, and shows it.
        tab.page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(60):
            keys.press("Tab")
            at, ring = tab.page.evaluate("""() => [document.activeElement.id || document.activeElement.className,
                getComputedStyle(document.activeElement).outlineStyle !== "none" || document.activeElement.id === "prompt"]""")
            assert ring or not at, f"{at} does not show that it has the focus"
            reached.add(at)
        missing = {"new-chat", "chat", "remember", "model", "theme", "help", "settings", "starter", "prompt", "clear-all"} - reached
        equal(missing, set(), "not reached by Tab")


def check_keeps_and_forgets(browser, url):
    with Page(browser, url) as tab:
        tab.answers_with(answered("Kept."))
        tab.ask("Remember <me>")
        tab.open()
        equal(tab.answer(), "Kept.", "after a reload")
        equal(tab.page.evaluate("Object.keys(localStorage)"), [], "nothing outlives the tab unasked")
        tab.page.check("#remember")
        assert any(key.startswith("lantern.chat.") for key in tab.page.evaluate("Object.keys(localStorage)"))
        other = tab.context.new_page()
        other.goto(url)
        other.wait_for_selector("text=Kept.")
        other.close()
        tab.page.uncheck("#remember")
        equal(tab.page.evaluate("Object.keys(localStorage)"), [], "taken back")
        tab.page.keyboard.press("Alt+KeyN")
        tab.ask("Second")
        equal(tab.page.locator(".chat").all_inner_texts(), ["Second", "Remember <me>"], "the list")
        with tab.page.expect_download() as download:
            tab.page.click("#export")
        text = pathlib.Path(download.value.path()).read_text()
        assert text.startswith("# Second\n") and "Kept." in text, text
        tab.page.click("#clear-all")
        tab.page.click("#confirm-yes")
        tab.page.wait_for_selector("#welcome")
        equal(tab.page.evaluate("Object.keys(sessionStorage).filter((k) => k.startsWith('lantern.chat'))"), [], "cleared")
        # What storage holds may be anything.
        tab.page.evaluate("""() => {
          sessionStorage.setItem("lantern.chat.1", "{");
          sessionStorage.setItem("lantern.chat.2", '{"messages": [{"role": "assistant", "content": 5, "calls": [null]}, 7, {"role": "x"}], "settings": 3}');
        }""")
        tab.open()


def check_accessible(browser, url):
    def faults(tab, where):
        found = Axe().run(tab.page).response["violations"]
        assert not found, f"{where}: " + "; ".join(f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in found)

    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
        # Without motion: a colour half-way to another is no fault of the page.
        with Page(browser, url, width=width, color_scheme=scheme, reduced_motion="reduce", faults=("status of 403",)) as tab:
            where = f"{width} {scheme}"
            faults(tab, f"{where} welcome")
            tab.answers_with(answered("# A\n\n```js\nconst a = 'x'; // 1\n```\n\n|a|\n|-|\n|1|\n\n- [x] b\n\n[l](https://a.example)",
                                      reasoning_content="Hm.", finish="length"))
            tab.ask("Hi")
            tab.answers_with(json.dumps({"error": {"message": "denied by rule a.b: no"}}), 403)
            tab.ask("Ho")
            tab.page.click("summary")
            faults(tab, f"{where} chat")
            tab.page.click("#settings")
            faults(tab, f"{where} settings")
            tab.page.keyboard.press("Escape")
            tab.page.click("#help")
            faults(tab, f"{where} help")
            tab.page.keyboard.press("Escape")
            if width < 500:
                tab.page.tap("#side-open")
                tab.page.wait_for_timeout(100)
                faults(tab, f"{where} list")


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]

if __name__ == "__main__":
    wanted = sys.argv[1:]
    checks = [check for check in CHECKS if not wanted or check.__name__ in wanted]
    with Service() as service:
        failed = run(checks, service)
    print(f"chat page: {len(checks) - len(failed)} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
