"""Opens a page in headless Chromium, in frames of several widths, and says what came of it, one line each:

    width 360: fits              or: width 360: 540 (what is shown needs more than there is)
    loaded: nothing              or what the page has asked for
    console: nothing             or what the browser complained about: a refused script, a style it does not know
    scripts: none

usage: browser.py PAGE [SCREENSHOT-FOLDER]
"""

import html
import json
import pathlib
import re
import subprocess
import sys
import tempfile

WIDTHS = [320, 360, 768, 1280]
MEASURE = """
<script>
addEventListener('load', () => {
  const found = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const wide = [...page.querySelectorAll('body *')].filter(e => e.closest('svg') === null && e.getBoundingClientRect().right > root.clientWidth + 1);
    return {width: +frame.width, needs: Math.max(root.scrollWidth, ...wide.map(e => Math.ceil(e.getBoundingClientRect().right))),
      has: root.clientWidth, loaded: frame.contentWindow.performance.getEntriesByType('resource').map(one => one.name),
      scripts: page.scripts.length, text: page.body.innerText.length};
  });
  const said = document.createElement('pre');
  said.id = 'said';
  said.textContent = JSON.stringify(found);
  document.body.append(said);
});
</script>
"""


def browser(*args):
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        flags += ["--no-first-run", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"]
        flags += ["--enable-logging=stderr", "--virtual-time-budget=10000"]
        return subprocess.run(["chromium", *flags, *args], capture_output=True, text=True, timeout=120, check=False)


def main():
    page = pathlib.Path(sys.argv[1]).resolve()
    text = html.escape(page.read_text(), quote=True)
    frames = "".join(f'<iframe width="{width}" height="900" srcdoc="{text}"></iframe>' for width in WIDTHS)
    with tempfile.TemporaryDirectory() as folder:
        outer = pathlib.Path(folder) / "frames.html"
        outer.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}{MEASURE}")
        ran = browser("--dump-dom", outer.as_uri())
    said = re.search(r'<pre id="said">(.*?)</pre>', ran.stdout, re.S)
    if not said:
        sys.exit(f"the browser said nothing: {ran.stderr[-2000:]}")
    found = json.loads(html.unescape(said.group(1)))
    for one in found:
        print(f"width {one['width']}: {'fits' if one['needs'] <= one['has'] else one['needs']}")
    loaded = sorted({name for one in found for name in one["loaded"]})
    print("loaded:", ", ".join(loaded) or "nothing")
    console = sorted(set(re.findall(r'CONSOLE[^"]*"([^"]*)', ran.stderr)))
    print("console:", "; ".join(console) or "nothing")
    print("scripts:", sum(one["scripts"] for one in found) or "none")
    if len(sys.argv) > 2:
        for width, height in [(1280, 3000), (500, 3000)]:
            target = pathlib.Path(sys.argv[2]) / f"report-{width}.png"
            browser(f"--window-size={width},{height}", f"--screenshot={target}", page.as_uri())


main()
