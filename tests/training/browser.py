"""A headless Chromium of Debian, driven over two pipes: no port, no driver of its own."""

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time

EVERYTHING = """
function everything(root = document, found = []) {
  for (const node of root.querySelectorAll('*')) {
    found.push(node);
    if (node.shadowRoot) everything(node.shadowRoot, found);
    if (node.tagName === 'IFRAME' && node.contentDocument) everything(node.contentDocument, found);
  }
  return found;
}
"""
"""JavaScript: all elements of a page, those in shadow trees and frames too."""
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1600,1200", "--remote-debugging-pipe"),
)


class Browser:
    """`with Browser(folder) as browser: browser.address = url; browser.open("scalars"); browser.wait("…")`."""

    def __init__(self, profile):
        to_read, self.to = os.pipe()
        self.source, to_write = os.pipe()

        def pipes():
            os.dup2(to_read, 13)
            os.dup2(to_write, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        words = [shutil.which("chromium"), *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            words, preexec_fn=pipes, close_fds=False, start_new_session=True, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.rest, self.numbers, self.session = b"", itertools.count(1), None
        self.address = ""

    def __enter__(self):
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.ask("Runtime.enable")
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.to)
        os.close(self.source)

    def open(self, tab):
        """A tab of TensorBoard, as it is when it is opened anew."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=f"{self.address}#{tab}")

    def tell(self, expression):
        """The value of a JavaScript expression, in which `everything()` is known."""
        told = self.ask("Runtime.evaluate", expression=EVERYTHING + expression, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression, seconds=20):
        """The value once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.tell(expression)):
            assert time.monotonic() < end, f"not so after {seconds} s: {expression}"
            time.sleep(0.1)
        return value

    def type(self, text):
        """Text into whatever has the focus."""
        self.ask("Input.insertText", text=text)

    def picture(self):
        """What is to be seen, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def ask(self, method, **parameters):
        """One command of the browser's protocol; its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                assert select.select([self.source], [], [], 30)[0], f"the browser does not answer to {method}"
                self.rest += os.read(self.source, 1 << 20)
            line, _, self.rest = self.rest.partition(b"\0")
            told = json.loads(line)
            if told.get("id") == number:
                assert "error" not in told, told["error"]
                return told["result"]
