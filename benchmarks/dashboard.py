"""The dashboard's page of a study with many trials: seconds until it is there, bytes, and the server's memory.

    python benchmarks/growth.py fill --storage sqlite:///big.db --trials 50000
    python benchmarks/dashboard.py --storage sqlite:///big.db
    python benchmarks/dashboard.py --storage sqlite:///big.db --baseline ../before      # another checkout beside it

The server is a process of its own; the browser is a headless Chromium. Cold: the first page of a new server, which may
have some of the trials; whole: the next one; poll: what an open page asks for every ten seconds; CPU is the server's.
Times of a busy machine say little: compare.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent.parent
LONGEST_SECONDS = 600
PLOT = "#plot-history .scatterlayer .trace"


def memory(pid: int, what: str) -> float:
    """MB of a process: VmRSS now, VmHWM at most."""
    found = re.search(rf"{what}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def processor(pid: int) -> float:
    """Seconds that a process has had a processor."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(address: str, tag: str = "") -> tuple[float, int, str, int]:
    """Seconds, bytes, ETag and status."""
    headers = {"Accept-Encoding": "gzip"} | ({"If-None-Match": tag} if tag else {})
    started = time.perf_counter()
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=LONGEST_SECONDS) as answer:  # noqa: S310
            body, tag, status = answer.read(), answer.headers.get("ETag", ""), answer.status
    except urllib.error.HTTPError as error:
        body, status = b"", error.code
    return time.perf_counter() - started, len(body), tag, status


def in_browser(address: str, picture: str | None) -> tuple[float, float]:
    """Seconds until the best trial and the plot are there, and MB of the page's objects."""
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-quic", "--enable-precise-memory-info"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(address.partition("/dashboard")[0] + "/dashboard/")  # the script is there: 1.9 MB, once
        page.wait_for_timeout(1_000)
        started = time.perf_counter()
        page.goto(address, timeout=LONGEST_SECONDS * 1000)
        page.wait_for_selector("text=Best Trial (number", timeout=LONGEST_SECONDS * 1000)
        page.wait_for_selector(PLOT, timeout=LONGEST_SECONDS * 1000, state="attached")
        page.evaluate("() => new Promise(r => requestAnimationFrame(() => setTimeout(r, 0)))")
        seconds = time.perf_counter() - started
        heap = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
        if picture:
            page.screenshot(path=picture, full_page=True)
        browser.close()
    return seconds, heap


def measure(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, float]:
    """One checkout's figures."""
    command = [sys.executable, "-m", "search", "dashboard", "--port", "0"]
    environ = {**os.environ, "SEARCH_STORAGE": options.storage, "PYTHONPATH": str(folder)}
    started: list[subprocess.Popen[str]] = []

    def serve() -> tuple[Any, str]:
        server = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
        started.append(server)
        line = server.stdout.readline() if server.stdout else ""
        return server, line.partition(" at ")[2].split(" ")[0].strip()

    try:
        server, at = serve()
        found = {"start MB": memory(server.pid, "VmRSS")}
        detail, before = f"{at}/api/studies/{options.study}?after=0", processor(server.pid)
        found["cold s"], found["cold bytes"], _, _ = ask(detail)
        time.sleep(options.pause)
        found["whole s"], found["whole bytes"], tag, _ = ask(detail)
        found["whole CPU s"], before = processor(server.pid) - before, processor(server.pid)
        polls = [ask(f"{at}/api/studies/{options.study}?after=999999999") for _ in range(3)]
        found["poll s"], found["poll bytes"] = min(poll[0] for poll in polls), polls[0][1]
        found["poll CPU s"] = (processor(server.pid) - before) / 3
        found["again s"], found["again bytes"], _, _ = ask(detail, tag)
        found["importances s"] = ask(f"{at}/api/studies/{options.study}/param_importances")[0]
        found["peak MB"] = memory(server.pid, "VmHWM")
        if options.browser:
            picture = None if folder != HERE else options.picture
            found["warm page s"], found["warm page MB"] = in_browser(f"{at}/dashboard/studies/{options.study}", picture)
            found["peak with page MB"] = memory(server.pid, "VmHWM")
            server, at = serve()
            found["cold page s"], found["cold page MB"] = in_browser(f"{at}/dashboard/studies/{options.study}", None)
    finally:
        for each in started:
            each.terminate()
            each.wait(60)
    return found


def main() -> None:
    """Prints a table, with a column for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True, metavar="URL")
    parser.add_argument("--study", type=int, default=1, metavar="ID", help="as the page's address has it (default 1)")
    parser.add_argument("--baseline", type=pathlib.Path, metavar="FOLDER", help="another checkout, measured beside")
    parser.add_argument("--browser", action="store_true", help="in Chromium too ($CHROMIUM, /usr/bin/chromium)")
    parser.add_argument("--picture", metavar="FILE", help="where the browser's picture goes")
    parser.add_argument("--pause", type=float, default=10.0, metavar="SECONDS", help="between two polls (default 10)")
    options = parser.parse_args()
    folders = [HERE, *([options.baseline.resolve()] if options.baseline else [])]
    columns = [measure(folder, options) for folder in folders]
    print(f"{'':20}" + "".join(f"{folder.name:>16}" for folder in folders))
    for name in columns[0]:
        print(f"{name:20}" + "".join(f"{column.get(name, float('nan')):16,.2f}" for column in columns))


if __name__ == "__main__":
    main()
