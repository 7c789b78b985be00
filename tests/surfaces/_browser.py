"""A headless Chromium, driven over its DevTools pipe (https://chromedevtools.github.io/devtools-protocol/)."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,1600",
    "--remote-debugging-pipe",
)


class Browser:
    """One page. `requested` are the addresses it asked for, `complaints` what it logged as an error."""

    def __init__(self, profile: Path):
        browser_in, self._out = os.pipe()
        self._in, browser_out = os.pipe()
        self._process = subprocess.Popen(
            # Chromium reads commands from descriptor 3 and answers on 4.
            [*("sh", "-c", 'exec "$@" 3<&0 4>&1 1>/dev/null', "sh"), CHROMIUM, *FLAGS, f"--user-data-dir={profile}"],
            stdin=browser_in,
            stdout=browser_out,
            stderr=subprocess.DEVNULL,
        )
        os.close(browser_in)
        os.close(browser_out)
        self._ids = itertools.count(1)
        self._read = b""
        self._session = None
        self.requested: list[str] = []
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The result of one command."""
        ident = next(self._ids)
        message = {"id": ident, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self._next(deadline)
            if answer.get("id") == ident:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _next(self, deadline):
        while b"\0" not in self._read:
            assert select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0], "Chromium is silent"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "Chromium ended"
            self._read += chunk
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        said = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(said["request"]["url"])
        elif event.get("method") == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))

    def open(self, url):
        """Load a page anew, also where only the fragment would differ."""
        self.ask("Page.navigate", url="about:blank")
        self.requested.clear()
        self.complaints.clear()
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression; promises are awaited."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script, seconds=30):
        """Wait for the expression to be true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.run(f"Boolean({script})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}\n{self.complaints}\n{self.run('document.body.innerText')[:2000]}")

    def text(self):
        """What a reader of the page sees."""
        return self.run("document.body.innerText")

    def picture(self, path: Path, **options):
        """Save what the page looks like."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", **options)["data"]))

    def close(self):
        """End the browser."""
        self._session = None
        try:
            self.ask("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)


def there() -> bool:
    """Whether Chromium is installed."""
    return shutil.which(CHROMIUM) is not None
