"""Checks the page that plays an episode, in a browser: `python episode.py PAGE.html`.

Reads the data from the page, works out what must be shown, and compares that with what the page
shows while each of its controls is used. Prints a report as JSON; exit code 1 on any difference.
Needs `pip install playwright` and a Chromium (at CHROMIUM, /usr/bin/chromium by default).
"""

import json
import os
import re
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 780}


class World:
    """Positions and stations as the page has them, unpacked."""

    def __init__(self, columns, slots):
        def metres(differences):
            differences = differences + [0] * (slots - len(differences))
            return [sum(differences[: slot + 1]) / 10 for slot in range(slots)]

        def held(changes):
            starts = list(zip(changes[::2], changes[1::2]))
            return [[station for start, station in starts if start <= slot][-1] for slot in range(slots)]

        def inside(spans):
            return [any(a <= slot < b for a, b in zip(spans[::2], spans[1::2])) for slot in range(slots)]

        self.slots = slots
        self.size = (columns["width_m"], columns["height_m"])
        self.stations = [(x / 10, y / 10) for x, y in columns["stations_dm"]]
        self.ways = [list(zip(metres(x), metres(y))) for x, y in zip(columns["x_dm"], columns["y_dm"])]
        self.serving = [held(changes) for changes in columns["serving"]]
        self.silent = [inside(spans) for spans in columns["silent"]]
        self.absent = [inside(spans) for spans in columns["absent"]]
        self.serves = any(station for column in self.serving for station in column)

    def entry(self, slot):
        return min(slot, self.slots - 1)

    def position(self, device, time):
        """Between two slots on the straight line, unless it comes or goes."""
        at, share = self.entry(int(time)), time - int(time)
        then = self.entry(at + 1)
        (x, y), (to_x, to_y) = self.ways[device][at], self.ways[device][then]
        if self.absent[device][at] or self.absent[device][then]:
            return x, y
        return x + share * (to_x - x), y + share * (to_y - y)

    def station_for(self, device, server, slot):
        """The station over which a device sends to a server, both counted from 1; 0 is none."""
        at = self.entry(slot)
        if self.serves:
            return self.serving[device][at]
        if server <= len(self.stations):
            return server
        x, y = self.ways[device][at]
        distances = [(a - x) ** 2 + (b - y) ** 2 for a, b in self.stations]
        return distances.index(min(distances)) + 1

    def handovers(self, slot):
        columns = [column[: self.entry(slot) + 1] for column in self.serving]
        return sum(a != b and a > 0 and b > 0 for column in columns for a, b in zip(column, column[1:]))


class Expected:
    """What must be shown, worked out from the data alone."""

    def __init__(self, data):
        self.data = data
        self.system, self.tasks = data["system"], data["tasks"]
        self.runs = {run["policy"]: run for run in data["runs"]}
        self.world = World(data["world"], self.system["slots"]) if "world" in data else None

    def under_way(self, run, slot):
        for task, arrival in enumerate(self.tasks["slot"]):
            if arrival <= slot < arrival + run["delay"][task]:
                yield task

    def place(self, run, task, slot):
        """The queue a task is in as a slot begins, and whether it is in service there."""

        def since(column):
            return run[column][task] is not None and run[column][task] <= slot

        if run["action"][task] == 0:
            return "cpu", since("started")
        if since("sent"):
            return "server", since("served")
        return "uplink", since("started")

    def side(self, policy, slot):
        run, system = self.runs[policy], self.system
        devices = system["shown_devices"]
        side = {
            "policy": policy,
            "under_way": 0,
            "at_servers": [0] * system["servers"],
            "cpu": [0] * devices,
            "uplink": [0] * devices,
            "working": {"cpu": 0, "uplink": 0, "servers": 0},
        }
        for task in self.under_way(run, slot):
            place, working = self.place(run, task, slot)
            side["under_way"] += 1
            if place == "server":
                side["at_servers"][run["action"][task] - 1] += 1
            else:
                side[place][self.tasks["device"][task]] += 1
            if working:
                side["working"]["servers" if place == "server" else place] += 1
        ended = self.ended_before(run, slot)
        side["dropped"] = sum(run["dropped"][task] for task in ended)
        side["done"] = len(ended) - side["dropped"]
        return side

    def ended_before(self, run, slot):
        ends = enumerate(zip(self.tasks["slot"], run["delay"]))
        return [task for task, (arrival, delay) in ends if arrival + delay <= slot]

    def numbers(self, policy, slot):
        """The running numbers of a side, as they are written."""
        run = self.runs[policy]
        ended, side = self.ended_before(run, slot), self.side(policy, slot)
        delay = sum(run["delay"][task] for task in ended)
        qoe = sum(run["reward"][task] for task in ended) / self.system["shown_devices"]
        return {
            "done": side["done"],
            "dropped": side["dropped"],
            "under-way": side["under_way"],
            "delay": delay / len(ended) if ended else None,
            "qoe": qoe,
        }

    def drops_in(self, policies, slot):
        """Whether a task's drop is first shown at the beginning of a slot."""
        return any(
            dropped and arrival + delay == slot
            for run in (self.runs[policy] for policy in policies)
            for dropped, arrival, delay in zip(run["dropped"], self.tasks["slot"], run["delay"])
        )

    def time_spent(self, run, task):
        """Slots of a task in each place, counted slot by slot."""
        words = {
            ("cpu", False): "waiting for the CPU",
            ("cpu", True): "being computed",
            ("uplink", False): "waiting for the uplink",
            ("uplink", True): "sending",
            ("server", False): "waiting at the server",
            ("server", True): "being served",
        }
        spent = {}
        arrival = self.tasks["slot"][task]
        for slot in range(arrival, arrival + run["delay"][task]):
            place = words[self.place(run, task, slot)]
            spent[place] = spent.get(place, 0) + 1
        return spent


def parsed(text):
    """The number that a text begins with; None for a dash."""
    if text.startswith("–"):
        return None
    return float(re.match(r"[−-]?[\d,.]+", text)[0].replace("−", "-").replace(",", ""))


class Check:
    """A browser with the page in it, and the differences found so far."""

    def __init__(self, path):
        self.url = Path(path).resolve().as_uri()
        self.differences, self.problems, self.requests = [], [], []
        self.compared = 0

    def same(self, what, shown, expected):
        self.compared += 1
        if shown != expected:
            self.differences.append(f"{what}: shown {shown!r}, expected {expected!r}")

    def near(self, what, shown, expected, tolerance):
        self.compared += 1
        if (shown is None) != (expected is None) or (
            shown is not None and abs(shown - expected) > tolerance * (1 + abs(expected))
        ):
            self.differences.append(f"{what}: shown {shown!r}, expected {expected!r}")

    def open(self, browser, fragment="", viewport=WIDE, **options):
        page = browser.new_context(viewport=viewport, **options).new_page()
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.url + fragment)
        return page


def state(page):
    return page.evaluate("window.offramp.state()")


def wait(page, condition, seconds=60):
    """Waits for a condition; the page's own policy forbids Playwright's `wait_for_function`."""
    for _ in range(seconds * 20):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(condition)


def slot_of(page):
    return state(page)["slot"]


def fragment(page):
    """What the address states, as soon as it has followed what is shown."""
    stated = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
    wait(
        page,
        f"(stated => stated.slot === String(window.offramp.state().slot) && stated.left === window.offramp.state().left"
        f" && stated.right === (window.offramp.state().right ?? ''))({stated})",
    )
    return page.evaluate(stated)


def follow_link(page, slot):
    params = {**fragment(page), "slot": str(slot)}
    page.evaluate("params => { location.hash = new URLSearchParams(params) }", params)
    wait(page, f"window.offramp.state().slot === {slot}")


def check_busy_fragment(check, page):
    """A fragment that changes at the very moment at which the page is about to write its own is followed."""
    follow_link(page, 3)
    params = {**fragment(page), "slot": "5"}
    page.evaluate(
        """params => {
            // Both are due at once when the page is free again: this one first, then the page's own.
            setTimeout(() => { location.hash = new URLSearchParams(params); }, 100);
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
            for (const until = performance.now() + 400; performance.now() < until;);
        }""",
        params,
    )
    page.wait_for_timeout(500)
    check.same("fragment of a busy page", (slot_of(page), fragment(page)["slot"]), (5, "5"))


def check_slot(check, expected, page, slot):
    """Compares everything that is shown of a slot with the data."""
    shown = state(page)
    check.same("slot", (shown["slot"], page.inner_text("#slot-number")), (slot, str(slot)))
    check.same("slider", page.input_value("#slot"), str(slot))
    policies = [shown["left"]] + ([shown["right"]] if shown["right"] is not None else [])
    check.same("sides", [side["policy"] for side in shown["sides"]], policies)
    for side, css in zip(shown["sides"], (".left", ".right")):
        where = f"slot {slot}, {side['policy']}"
        check.same(where, side, expected.side(side["policy"], slot))
        for name, value in expected.numbers(side["policy"], slot).items():
            text = page.inner_text(f"{css} [data-number={name}]")
            check.near(f"{where}, {name}", parsed(text), value, {"delay": 0.006, "qoe": 0.06}.get(name, 0))
    rows = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#rows tbody')].map(body => "
        "[body.dataset.group, [...body.querySelectorAll('tr[data-task]')].map(row => Number(row.dataset.task))]))"
    )
    runs = [expected.runs[policy] for policy in policies]
    under_way = {task for run in runs for task in expected.under_way(run, slot)}
    arrivals, delays = expected.tasks["slot"], [run["delay"] for run in runs]
    ended = {t for t, arrival in enumerate(arrivals) if any(arrival + delay[t] == slot for delay in delays)}
    arrived = {task for task in under_way if arrivals[task] == slot}
    check.same(f"slot {slot}, arrived", rows["arrived"], sorted(arrived))
    check.same(f"slot {slot}, under way", rows["under way"], sorted(under_way - arrived - ended))
    check.same(f"slot {slot}, ended", rows["ended"], sorted(ended))
    if expected.world:
        check_map(check, expected, page, slot)


def check_map(check, expected, page, slot):
    """Compares the maps with the data: every position to scale, and every link; paused within a slot, too."""
    world, shown = expected.world, state(page)
    entry = world.entry(slot)
    for side, drawn in zip(shown["sides"], shown["maps"]):
        where = f"slot {slot}, map of {side['policy']}"
        metres = [world.position(device, drawn["time"]) for device in range(len(world.ways))] + world.stations
        pixels = drawn["devices"] + drawn["stations"]
        check.same(f"{where}, devices and stations", len(pixels), len(metres))
        # Two points give the scale and the origin, from which all others follow; north is up.
        west, east = (pick(range(len(metres)), key=lambda at: metres[at][0]) for pick in (min, max))
        scale = (pixels[east][0] - pixels[west][0]) / (metres[east][0] - metres[west][0])
        left = pixels[west][0] - scale * metres[west][0]
        bottom = pixels[west][1] + scale * metres[west][1]
        for at, ((x, y), (shown_x, shown_y)) in enumerate(zip(metres, pixels)):
            off = max(abs(left + scale * x - shown_x), abs(bottom - scale * y - shown_y))
            check.same(f"{where}, position {at}: {off} pixels off", off < 0.01, True)
        run = expected.runs[side["policy"]]
        links = []
        for task in expected.under_way(run, slot):
            if expected.place(run, task, slot) == ("uplink", True):
                device = expected.tasks["device"][task]
                links.append([device, world.station_for(device, run["action"][task], slot)])
        links = sorted(link for link in links if link[1] > 0)
        check.same(f"{where}, links", sorted(drawn["links"]), links)
        check.same(f"{where}, cannot send", drawn["silent"], sum(column[entry] for column in world.silent))
        check.same(f"{where}, absent", drawn["absent"], sum(column[entry] for column in world.absent))
        check.same(f"{where}, handovers", drawn["handovers"], world.handovers(slot))


def check_devices(check, expected, page):
    """Devices on the maps, by mouse and by the list of devices."""
    world, slot = expected.world, expected.system["slots"] // 2
    follow_link(page, slot)
    page.evaluate("document.querySelector('.left .map canvas').scrollIntoView({ block: 'center' })")
    caption = page.locator(".left .map figcaption")
    pointed = set()
    for device in range(0, len(world.ways), 5):
        at = page.evaluate(f"window.offramp.locateDevice(0, {device})")
        page.mouse.move(at["x"], at["y"])
        # Another device may be drawn over it.
        if state(page)["maps"][0]["pointed"] != device:
            continue
        pointed.add(device)
        text = caption.inner_text()
        check.same("the caption's device", text.startswith(f"Device {device}: "), True)
        serving = world.serving[device][slot]
        if serving and not world.silent[device][slot]:
            check.same(f"{text}, serving", f"served by station {serving}" in text, True)
        check.same(f"{text}, cannot send", "cannot send" in text, bool(serving and world.silent[device][slot]))
    check.same("devices were pointed at", len(pointed) >= 2, True)
    device = max(pointed)
    at = page.evaluate(f"window.offramp.locateDevice(0, {device})")
    page.mouse.click(at["x"], at["y"])
    check.same("a click chooses a device", (state(page)["device"], page.input_value("#device")), (device, str(device)))
    page.mouse.move(5, 5)
    check.same("the caption stays", caption.inner_text().startswith(f"Device {device}: "), True)
    page.keyboard.press("ArrowRight")
    check_slot(check, expected, page, slot + 1)
    page.keyboard.press("Escape")
    check.same("no device", (state(page)["device"], caption.inner_text()[:8]), (None, "Point at"))
    page.select_option("#device", "1")
    check.same("by the list", caption.inner_text().startswith("Device 1: "), True)
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")


def check_story(check, expected, page, task):
    """Compares the story that is shown with the data of `task`."""
    tasks = expected.tasks
    title = f"Task of device {tasks['device'][task]}, arrived in slot {tasks['slot'][task]}"
    check.same("story", page.inner_text("#story-title"), title)
    for name, column in (("size", "size_mbit"), ("density", "density"), ("alpha", "alpha")):
        text = page.inner_text(f"#stories [data-fact={name}]")
        check.near(f"{title}, {name}", parsed(text), tasks[column][task], 0.001)
    shown = state(page)
    policies = [shown["left"]] + ([shown["right"]] if shown["right"] is not None else [])
    words = []
    for number, policy in enumerate(policies):
        run = expected.runs[policy]
        article = page.locator("#stories article").nth(number)
        where = f"{title}, {policy}"

        def fact(name):
            return article.locator(f"[data-fact={name}]").inner_text()

        action, delay = run["action"][task], run["delay"][task]
        slots = f"{delay} slot{'' if delay == 1 else 's'}"
        did = f"sent it to server {action}" if action else "computed it locally"
        became = f"dropped after {slots}" if run["dropped"][task] else f"done in {slots}"
        words.append(f"{policy} {did}: {became}")
        check.same(f"{where}, outcome", fact("outcome").strip(), f"{did[0].upper()}{did[1:]}: {became}")
        check.near(f"{where}, delay", parsed(fact("delay")), delay, 0)
        check.near(f"{where}, predicted", parsed(fact("predicted")), run["predicted"][action][task], 0)
        check.near(f"{where}, reward", parsed(fact("reward")), run["reward"][task], 0.001)
        total = 0
        for name, column in zip(("local", "transmit", "server", "idle"), run["energies"]):
            check.near(f"{where}, energy {name}", parsed(fact(f"energy-{name}")), column[task], 0.001)
            total += column[task]
        check.near(f"{where}, energy", parsed(fact("energy-total")), total, 0.001)
        spent = {name: int(slots) for name, slots in re.findall(r"(\D+?) (\d+) slots?[,.] ?", fact("time"))}
        due = expected.time_spent(run, task)
        first = next(iter(due))
        due = {(name[0].upper() + name[1:] if name == first else name): slots for name, slots in due.items()}
        check.same(f"{where}, time", spent, due)
        values = [column[task] for column in run["q"]] if run["q"] else None
        for index, column in enumerate(run["predicted"]):
            text = article.locator(f"[data-predicted='{index}']").inner_text()
            check.near(f"{where}, predicted slots of {index}", parsed(text), column[task], 0)
            marks = ["chosen"] if index == action else []
            if values:
                text = article.locator(f"[data-value='{index}']").inner_text()
                check.near(f"{where}, value of {index}", parsed(text), values[index], 0.001)
                best = max(value for value in values if value is not None)
                marks += ["best value"] if values[index] == best else []
            text = article.locator(f"[data-marks='{index}']").inner_text()
            check.same(f"{where}, marks of {index}", text, ", ".join(marks))
    check.same(f"{title}, in words", page.inner_text("#story-words"), "; ".join(words) + ".")


def check_every_slot(check, expected, page):
    slots = expected.system["slots"]
    for slot in range(slots + 1):
        check_slot(check, expected, page, slot)
        page.keyboard.press("ArrowRight")
    check.same("after the last slot", slot_of(page), slots)
    for css in (".left", ".right")[: len(state(page)["sides"])]:
        policy = page.locator(f"{css} select option:checked").inner_text()
        run = expected.runs[policy]
        whole = page.inner_text(f"{css} .whole")
        found = re.match(r"Whole episode: QoE (.*), mean delay (.*) slots, energy per device (.*), (.*) dropped", whole)
        columns = ("qoe", "delay_slots", "energy", "dropped_tasks")
        for column, text, tolerance in zip(columns, found.groups(), (0.06, 0.006, 0.06, 0)):
            check.near(f"whole episode, {column}", parsed(text), run[column], tolerance)


def check_keys(check, expected, page, policies):
    slots = expected.system["slots"]
    drops = [slot for slot in range(slots + 1) if expected.drops_in(policies, slot)]
    page.keyboard.press("Home")
    check.same("Home", slot_of(page), 0)
    for slot in drops[:3]:
        page.keyboard.press("d")
        check.same("d", slot_of(page), slot)
    page.keyboard.press("End")
    check.same("End", slot_of(page), slots)
    for slot in [slot for slot in reversed(drops) if slot < slots][:3]:
        page.keyboard.press("Shift+D")
        check.same("Shift+D", slot_of(page), slot)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    check.same("arrows", slot_of(page), max(0, [slot for slot in reversed(drops) if slot < slots][:3][-1] - 1) if drops else slots - 1)
    speed = state(page)["speed"]
    page.keyboard.press("+")
    check.same("+", state(page)["speed"], speed * 2)
    page.keyboard.press("-")
    page.keyboard.press("-")
    check.same("-", state(page)["speed"], speed / 2)
    for _ in range(10):
        page.keyboard.press("-")
    check.same("slowest", state(page)["speed"], 0.25)
    for _ in range(10):
        page.keyboard.press("+")
    check.same("fastest", state(page)["speed"], 16)
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    check.same("space plays", state(page)["playing"], True)
    wait(page, "window.offramp.state().slot >= 3")
    page.keyboard.press("Space")
    check.same("space pauses", state(page)["playing"], False)
    check_slot(check, expected, page, slot_of(page))
    page.focus("#slot")
    slot = slot_of(page)
    page.keyboard.press("ArrowRight")
    check.same("slider by key", slot_of(page), slot + 1)
    page.focus("#forward")
    page.keyboard.press("Space")
    check.same("a button by key", (slot_of(page), state(page)["playing"]), (slot + 2, False))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    wait(page, "!window.offramp.state().playing")
    check_slot(check, expected, page, slots)


def check_mouse(check, expected, page, policies):
    slots = expected.system["slots"]
    drops = [slot for slot in range(slots + 1) if expected.drops_in(policies, slot)]
    page.click("#restart")
    check.same("restart", slot_of(page), 0)
    page.click("#forward")
    page.click("#forward")
    page.click("#back")
    check.same("step", slot_of(page), 1)
    if drops:
        page.click("#next-drop")
        check.same("next drop", slot_of(page), next(slot for slot in drops if slot > 1))
        page.click("#end")
        page.click("#previous-drop")
        check.same("previous drop", slot_of(page), max(slot for slot in drops if slot < slots))
    page.click("#end")
    check.same("end", slot_of(page), slots)
    box = page.locator("#slot").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    check.near("slider", slot_of(page), slots / 2, 1 / slots)
    page.locator("#chart-canvas").scroll_into_view_if_needed()
    box = page.locator("#chart-canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 20)
    check.near("chart", slot_of(page), slots / 4, 2 / slots)
    check_slot(check, expected, page, slot_of(page))
    page.select_option("#speed", "8")
    page.click("#play")
    check.same("play", (state(page)["playing"], state(page)["speed"]), (True, 8))
    check.same("play's name", page.inner_text("#play"), "Pause")
    slot = slot_of(page)
    wait(page, f"window.offramp.state().slot > {slot + 1}")
    page.click("#play")
    check.same("pause", (state(page)["playing"], page.inner_text("#play")), (False, "Play"))
    check_slot(check, expected, page, slot_of(page))


def check_selects(check, expected, page):
    names = list(expected.runs)
    for index, name in enumerate(names):
        page.select_option("#left", str(index))
        page.select_option("#right", str((index + 1) % len(names)))
        for slot in (7, expected.system["slots"] // 2, expected.system["slots"] - 5):
            follow_link(page, slot)
            check.same("left", state(page)["left"], name)
            check_slot(check, expected, page, slot)
    page.select_option("#right", "")
    check.same("right none", (state(page)["right"], len(state(page)["sides"])), (None, 1))
    check_slot(check, expected, page, slot_of(page))
    check.same("fragment of none", fragment(page)["right"], "")
    page.select_option("#right", str(len(names) - 1))
    page.select_option("#left", "0")


def check_tasks(check, expected, page):
    """Tasks on the canvases, by mouse; the same tasks in the table, by mouse and by key."""
    slot = expected.system["slots"] // 3
    follow_link(page, slot)
    page.evaluate("document.querySelector('.left .stage canvas').scrollIntoView()")
    hovered = set()
    for side, policy in enumerate([state(page)["left"], state(page)["right"]]):
        for task in expected.under_way(expected.runs[policy], slot):
            at = page.evaluate(f"window.offramp.locate({side}, {task})")
            if at is None or at["place"] in hovered and len(hovered) < 6 or len(hovered) > 8:
                continue
            page.mouse.move(at["x"], at["y"])
            pointed = state(page)["hovered"]
            # Another task may be drawn over it.
            if pointed == task:
                hovered.add(at["place"])
                check_story(check, expected, page, task)
    check.same("tasks were pointed at", len(hovered) >= 4, True)
    task = next(
        task
        for task in expected.under_way(expected.runs[state(page)["left"]], slot)
        if page.evaluate(f"window.offramp.locate(0, {task}) && window.offramp.locate(1, {task})")
    )
    at = page.evaluate(f"window.offramp.locate(0, {task})")
    page.mouse.click(at["x"], at["y"])
    task = state(page)["task"]
    page.mouse.move(5, 5)
    check.same("a click chooses a task", task is not None, True)
    check_story(check, expected, page, task)
    page.keyboard.press("Escape")
    check.same("Escape", (state(page)["task"], page.inner_text("#story-title")), (None, "Task"))

    rows = page.locator("#rows tr[data-task]")
    row = rows.nth(2)
    row.locator("button").click()
    check_story(check, expected, page, int(row.get_attribute("data-task")))
    row.locator("button").focus()
    for step in range(1, 4):
        page.keyboard.press("ArrowDown")
        task = int(rows.nth(2 + step).get_attribute("data-task"))
        check.same("a row by key", state(page)["task"], task)
        check_story(check, expected, page, task)
    page.keyboard.press("ArrowUp")
    check.same("a row by key", state(page)["task"], int(rows.nth(4).get_attribute("data-task")))
    before = state(page)
    page.keyboard.press("d")
    page.keyboard.press("+")
    after = state(page)
    check.same("typed keys in the list", (after["slot"], after["speed"]), (before["slot"], before["speed"]))
    focused = state(page)["task"]
    page.keyboard.press("ArrowRight")
    check.same("stepping keeps the task", state(page)["task"], focused)
    page.select_option("#device", "1")
    check.same("device", state(page)["device"], 1)
    page.keyboard.press("Escape")
    check.same("no device", state(page)["device"], None)
    page.evaluate("document.activeElement.blur()")


def check_page(check, expected, browser, page):
    """Theme, names, live region, phone, reduced motion, fragment, autoplay."""
    check.same("theme", page.evaluate("document.documentElement.dataset.theme"), "light")
    page.click("#theme")
    check.same("theme", page.evaluate("document.documentElement.dataset.theme"), "dark")
    page.click("#theme")
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select')].filter(control =>
             !(control.getAttribute('aria-label') || control.textContent.trim() && control.tagName === 'BUTTON'
               || control.labels && [...control.labels].some(label => label.firstChild.textContent.trim())))
           .map(control => control.outerHTML)"""
    )
    check.same("controls without a name", nameless, [])
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    check.same("spoken", page.inner_text("#live").startswith("Slot 1: "), True)
    page.focus("#forward")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    check.same("focus is visible", outline, "solid")

    names = list(expected.runs)
    slots = expected.system["slots"]
    phone = check.open(browser, "#slot=20", PHONE, has_touch=True, is_mobile=True)
    width = "[document.documentElement.scrollWidth, innerWidth]"
    check.same("phone's width", phone.evaluate(width), [360, 360])
    task = next(t for t in expected.under_way(expected.runs[state(phone)["left"]], 20))
    phone.evaluate("document.querySelector('.left .stage canvas').scrollIntoView()")
    at = phone.evaluate(f"window.offramp.locate(0, {task})")
    phone.touchscreen.tap(at["x"], at["y"])
    check.same("a tap chooses a task", state(phone)["task"] is not None, True)
    check_story(check, expected, phone, state(phone)["task"])
    check.same("phone's width with a story", phone.evaluate(width), [360, 360])
    check_slot(check, expected, phone, 20)
    if expected.world:
        phone.evaluate("document.querySelector('.left .map canvas').scrollIntoView()")
        at = phone.evaluate("window.offramp.locateDevice(0, 0)")
        phone.touchscreen.tap(at["x"], at["y"])
        device = state(phone)["device"]
        check.same("a tap chooses a device", device is not None, True)
        caption = phone.inner_text(".left .map figcaption")
        check.same("a tapped device's caption", caption.startswith(f"Device {device}: "), True)
        check.same("phone's width with a device", phone.evaluate(width), [360, 360])

    still = check.open(browser, reduced_motion="reduce")
    check.same("reduced motion", (state(still)["playing"], state(still)["slot"]), (False, 0))
    still.keyboard.press("Space")
    check.same("reduced motion plays if asked to", state(still)["playing"], True)
    wait(still, "window.offramp.state().slot >= 1")

    moving = check.open(browser)
    check.same("plays at once", state(moving)["playing"], True)

    params = {"slot": slots // 2, "left": names[-1], "right": names[0]}
    link = moving.evaluate("params => '#' + new URLSearchParams(params)", params)
    linked = check.open(browser, link, color_scheme="dark")
    shown = state(linked)
    check.same(
        "a link",
        {"slot": shown["slot"], "left": shown["left"], "right": shown["right"], "playing": shown["playing"]},
        {**params, "playing": False},
    )
    check.same("dark by preference", linked.evaluate("document.documentElement.dataset.theme"), "dark")
    linked.keyboard.press("ArrowRight")
    params["slot"] += 1
    check.same("the address follows", fragment(linked), {key: str(value) for key, value in params.items()})
    for other in (phone, still, moving, linked):
        other.context.close()


def frames_per_second(page, milliseconds=4000):
    page.keyboard.press("Home")
    page.select_option("#speed", "16")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    page.wait_for_timeout(milliseconds)
    times = sorted(state(page)["frame_times"])
    page.keyboard.press("Space")
    if not times:
        return None
    return {
        "mean": round(1000 * len(times) / sum(times), 1),
        "median_ms": round(times[len(times) // 2], 1),
        "p95_ms": round(times[int(len(times) * 0.95)], 1),
    }


def main():
    (path,) = sys.argv[1:]
    text = Path(path).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    expected, check = Expected(data), Check(path)
    names = list(expected.runs)
    best = [run["policy"] for run in sorted(data["runs"], key=lambda run: -run["qoe"])][:2]
    with sync_playwright() as playwright:
        executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = check.open(browser, "#slot=0", color_scheme="light")
        page.set_default_timeout(30_000)
        check_every_slot(check, expected, page)
        first = [side["policy"] for side in state(page)["sides"]]
        check.same("the two with the highest QoE are shown at first", first, best)
        check_keys(check, expected, page, best)
        check_mouse(check, expected, page, best)
        check_selects(check, expected, page)
        check_busy_fragment(check, page)
        check_tasks(check, expected, page)
        if expected.world:
            check_devices(check, expected, page)
        check_page(check, expected, browser, page)
        check.same("width", page.evaluate("document.documentElement.scrollWidth <= innerWidth"), True)
        speed = frames_per_second(page)
        browser.close()
    check.same("messages on the console", check.problems, [])
    elsewhere = [url for url in check.requests if not url.startswith((check.url, "data:"))]
    check.same("network requests", elsewhere, [])
    report = {
        "page_bytes": len(text.encode()),
        "policies": len(names),
        "comparisons": check.compared,
        "frames_per_second": speed,
        "differences": check.differences,
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))
    sys.exit(1 if check.differences else 0)


if __name__ == "__main__":
    main()
