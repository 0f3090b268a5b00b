// The page: playing, controls, selection, the table, the fragment of the address.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const byId = (id) => document.getElementById(id);
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Everything that changes. `time` is in slots; `right` is null if only one side is shown. */
const now = { time: 0, playing: false, speed: 2, left: 0, right: null, task: null, hovered: null, device: null };
const shownSlot = () => Math.floor(now.time);
const shownRuns = () => (now.right === null ? [now.left] : [now.left, now.right]).map(runAt);
const frameTimes = [];

// Sides -------------------------------------------------------------------------------------------

const NUMBERS = [
  ["done", "done"],
  ["dropped", "dropped"],
  ["under-way", "under way"],
  ["delay", "mean delay so far"],
  ["qoe", "QoE so far"],
];

function makeSide(id, name) {
  const select = element("select", { id, "aria-label": `Policy, ${name} side` });
  if (id === "right") select.append(element("option", { value: "" }, "none"));
  runs.forEach((run, index) => select.append(element("option", { value: index }, run.policy)));
  const numbers = element("dl", { class: "numbers" });
  const values = {};
  for (const [key, words] of NUMBERS) {
    values[key] = element("dd", { "data-number": key });
    numbers.append(element("div", {}, element("dt", {}, words), values[key]));
  }
  const canvas = element("canvas", { role: "img" });
  const whole = element("p", { class: "whole", hidden: true });
  const head = element("div", { class: "side-head" }, element("label", {}, element("span", { class: "swatch" }), select), numbers);
  const stage = element("div", { class: "stage" }, canvas, whole);
  const section = element("section", { class: `side ${id}`, "aria-label": `${name} side` }, head, stage);
  byId("sides").append(section);
  return { select, values, canvas, whole, section, drawing: new Drawing(canvas) };
}

const sides = [makeSide("left", "Left"), makeSide("right", "Right")];
const maps = world ? sides.map(({ section, drawing }) => new DeviceMap(section, drawing)) : [];
const shownSides = () => sides.slice(0, now.right === null ? 1 : 2);

function writeNumbers(side, slot) {
  const { run, shown } = side.drawing;
  const ended = shown.done + shown.dropped;
  const write = (key, text) => {
    if (side.values[key].textContent !== text) side.values[key].textContent = text;
  };
  write("done", String(shown.done));
  write("dropped", String(shown.dropped));
  write("under-way", String(shown.under_way));
  write("delay", ended > 0 ? `${(run.delays[slot] / ended).toFixed(2)} slots` : "–");
  write("qoe", (run.rewards[slot] / system.shown_devices).toFixed(1).replace("-", "−"));
  const over = slot === system.slots;
  if (side.whole.hidden === over) {
    const { qoe, delay_slots, energy, dropped_tasks } = run.columns;
    side.whole.textContent =
      `Whole episode: QoE ${number(qoe, 1)}, mean delay ${number(delay_slots, 2)} slots, ` +
      `energy per device ${number(energy, 1)}, ${dropped_tasks} dropped.`;
    side.whole.hidden = !over;
  }
  const active = shown.at_servers.map((count, server) => `server ${server + 1}: ${count}`).join(", ");
  if (!now.playing) side.canvas.setAttribute("aria-label", `${run.policy} in slot ${slot}. Tasks at ${active}.`);
}

// Drawing -----------------------------------------------------------------------------------------

let colours = readColours();
let writtenSlot = -1;

function draw() {
  const time = calm.matches ? shownSlot() : now.time;
  const slot = Math.floor(time);
  const fade = now.playing ? Math.max(1, 0.7 * now.speed) : 1;
  for (const side of shownSides()) side.drawing.draw(time, now, fade);
  drawMaps(maps.slice(0, shownSides().length), time, fade);
  byId("chart-cursor").style.transform = `translateX(${(time / system.slots) * 100}%)`;
  if (slot === writtenSlot) return;
  writtenSlot = slot;
  byId("slot").value = slot;
  byId("slot-number").textContent = slot;
  for (const side of shownSides()) writeNumbers(side, slot);
}

/** Draws again everything that depends on the policies, the width or the theme. */
function refresh() {
  colours = readColours();
  document.body.classList.toggle("single", now.right === null);
  sides[1].canvas.hidden = now.right === null;
  sides[1].section.classList.toggle("empty", now.right === null);
  sides.forEach((side, index) => {
    const policy = index === 0 ? now.left : now.right;
    side.select.value = policy === null ? "" : policy;
    if (policy === null) return;
    side.drawing.fit(colours);
    side.drawing.use(runAt(policy));
    side.whole.hidden = true;
    maps[index]?.fit(colours);
  });
  const shown = shownRuns();
  drawChart(byId("chart-canvas"), byId("chart-canvas").clientWidth, shown, colours);
  drawDropMarks(byId("drop-marks"), byId("drop-marks").clientWidth, shown, colours);
  writtenSlot = -1;
  draw();
}

// Playing -----------------------------------------------------------------------------------------

let lastFrame = null;

function frame(at) {
  if (!now.playing) return;
  if (lastFrame !== null) {
    const passed = at - lastFrame;
    frameTimes.push(passed);
    if (frameTimes.length > 1200) frameTimes.shift();
    now.time = Math.min(system.slots, now.time + (Math.min(passed, 250) / 1000) * now.speed);
  }
  lastFrame = at;
  if (now.time >= system.slots) pause();
  else {
    draw();
    requestAnimationFrame(frame);
  }
}

function play() {
  if (now.playing) return;
  if (now.time >= system.slots) now.time = 0;
  now.playing = true;
  lastFrame = null;
  frameTimes.length = 0;
  showPlaying();
  requestAnimationFrame(frame);
}

function pause() {
  now.playing = false;
  showPlaying();
  settled();
}

function showPlaying() {
  document.body.classList.toggle("playing", now.playing);
  byId("play-word").textContent = now.playing ? "Pause" : "Play";
  if (now.playing) byId("table-state").textContent = "Pause to bring this table up to date.";
}

/** Goes to the beginning of a slot and stays there. */
function goTo(slot) {
  now.time = Math.max(0, Math.min(system.slots, slot));
  now.playing = false;
  showPlaying();
  settled();
}

/** What is written only when nothing moves: the table, the summary that is read aloud, the address. */
function settled() {
  writtenSlot = -1;
  draw();
  writeTable();
  const slot = shownSlot();
  const arrived = slot < system.slots ? firstOfSlot[slot + 1] - firstOfSlot[slot] : 0;
  const summaries = shownSides().map(({ drawing: { run, shown } }) => {
    const ended = run.endedIn[slot];
    const drops = ended.filter((task) => run.columns.dropped[task]).length;
    return `${run.policy}: ${shown.under_way} under way, ${ended.length - drops} done and ${drops} dropped in the slot before`;
  });
  byId("live").textContent = `Slot ${slot}: ${arrived} ${arrived === 1 ? "task" : "tasks"} arrived. ${summaries.join(". ")}.`;
  fragmentSoon();
}

function hasDrops(slot) {
  return shownRuns().some((run) => run.dropped[slot] > run.dropped[slot - 1]);
}

function goToDrop(direction) {
  for (let slot = shownSlot() + direction; slot > 0 && slot <= system.slots; slot += direction) {
    if (hasDrops(slot)) {
      goTo(slot);
      return;
    }
  }
  goTo(shownSlot());
}

function setSpeed(speed) {
  now.speed = speed;
  byId("speed").value = speed;
}

function changeSpeed(by) {
  const index = SPEEDS.indexOf(now.speed) + by;
  setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, index))]);
}

const stepBack = () => goTo(Number.isInteger(now.time) ? now.time - 1 : shownSlot());
const stepForward = () => goTo(shownSlot() + 1);

// Selection ---------------------------------------------------------------------------------------

let writtenStory;

function showStory() {
  const task = now.hovered ?? now.task;
  const key = `${task} ${now.left} ${now.right}`;
  if (key === writtenStory) return;
  writtenStory = key;
  writeStory(task, shownRuns());
}

function selectTask(task) {
  now.task = task;
  showStory();
  for (const row of byId("rows").querySelectorAll("tr[data-task]")) {
    const chosen = Number(row.dataset.task) === task;
    row.classList.toggle("chosen", chosen);
    row.querySelector("button").setAttribute("aria-pressed", chosen);
  }
  if (!now.playing) draw();
}

function selectDevice(device) {
  now.device = device;
  byId("device").value = device ?? "";
  if (!now.playing) draw();
}

function hover(task) {
  if (task === now.hovered) return;
  now.hovered = task;
  showStory();
  if (!now.playing) draw();
}

function showHint(run, event) {
  const hint = byId("hint");
  hint.hidden = now.hovered === null;
  if (hint.hidden) return;
  const left = tasks.slot[now.hovered] + system.deadline_slots - shownSlot();
  const due = shownSlot() < run.end[now.hovered] ? `, ${slotsInWords(left)} left` : "";
  hint.textContent = `device ${tasks.device[now.hovered]}, slot ${tasks.slot[now.hovered]}: ${whereabouts(run, now.hovered, shownSlot())}${due}`;
  const { innerWidth, scrollX, scrollY } = window;
  hint.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - hint.offsetWidth - 24)) + scrollX}px`;
  hint.style.top = `${event.clientY + 16 + scrollY}px`;
}

for (const side of sides) {
  const point = (event) => {
    const box = side.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  side.canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    hover(side.drawing.taskAt(...point(event), 10));
    showHint(side.drawing.run, event);
  });
  side.canvas.addEventListener("pointerleave", () => {
    hover(null);
    byId("hint").hidden = true;
  });
  side.canvas.addEventListener("click", (event) => {
    const [x, y] = point(event);
    const task = side.drawing.taskAt(x, y, event.pointerType === "touch" ? 18 : 10);
    if (task !== null) {
      if (now.playing) pause();
      selectTask(task);
      return;
    }
    const device = side.drawing.deviceAt(x, y);
    if (device === null) selectTask(null);
    selectDevice(device === now.device ? null : device);
  });
}

// Table -------------------------------------------------------------------------------------------

function tableRow(task, slot, shown) {
  const name = `device ${tasks.device[task]}, slot ${tasks.slot[task]}`;
  const button = element("button", { type: "button", tabindex: -1, "aria-pressed": task === now.task }, name);
  const row = element("tr", { "data-task": task, class: task === now.task ? "chosen" : null }, element("th", { scope: "row" }, button));
  for (const run of shown) {
    const state = whereabouts(run, task, slot);
    const cell = element("td", {});
    if (state === "done" || state === "dropped") cell.append(element("i", { class: `mark ${state}` }), " ");
    const target = run.columns.action[task];
    cell.append(slot >= run.end[task] ? `${actionName(target)}: ${outcome(run, task)}` : state);
    row.append(cell);
  }
  return row;
}

function writeTable() {
  const slot = shownSlot();
  const shown = shownRuns();
  const groups = { arrived: new Set(), "under way": new Set(), ended: new Set() };
  for (const run of shown) {
    run.underWay(slot, (task) => groups[tasks.slot[task] === slot ? "arrived" : "under way"].add(task));
    for (const task of run.endedIn[slot]) groups.ended.add(task);
  }
  // What one side has ended and the other has under way is listed once, as ended.
  for (const task of groups.ended) groups["under way"].delete(task);
  const focused = document.activeElement?.closest?.("tr[data-task]")?.dataset.task;
  const head = element("tr", {}, element("th", { scope: "col" }, "task"));
  for (const run of shown) head.append(element("th", { scope: "col" }, run.policy));
  const table = element("table", { class: "slot-tasks" }, element("caption", { class: "unseen" }, `Tasks of slot ${slot}`), element("thead", {}, head));
  for (const [words, members] of Object.entries(groups)) {
    const body = element("tbody", { "data-group": words });
    const title = `${words[0].toUpperCase()}${words.slice(1)}: ${members.size}`;
    body.append(element("tr", { class: "group" }, element("th", { colspan: shown.length + 1, scope: "rowgroup" }, title)));
    for (const task of [...members].sort((one, other) => one - other)) body.append(tableRow(task, slot, shown));
    table.append(body);
  }
  byId("rows").replaceChildren(table);
  byId("table-state").textContent = `Slot ${slot}. Choose a task to read its story; the up and down keys move between tasks.`;
  const buttons = table.querySelectorAll("button");
  const chosen = table.querySelector("tr.chosen button") ?? buttons[0];
  if (chosen) chosen.tabIndex = 0;
  if (focused !== undefined) (table.querySelector(`tr[data-task="${focused}"] button`) ?? byId("rows")).focus({ preventScroll: true });
}

byId("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-task]");
  if (row) selectTask(Number(row.dataset.task));
});
byId("rows").addEventListener("focusin", (event) => {
  const button = event.target.closest("tr[data-task] button");
  if (!button || !button.matches(":focus-visible")) return;
  for (const other of byId("rows").querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  selectTask(Number(button.closest("tr").dataset.task));
});
byId("rows").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...byId("rows").querySelectorAll("button")];
  const index = buttons.indexOf(document.activeElement);
  buttons[index < 0 ? 0 : Math.max(0, Math.min(buttons.length - 1, index + step))]?.focus({ focusVisible: true });
});

// Controls ----------------------------------------------------------------------------------------

for (const speed of SPEEDS) {
  const words = { 0.25: "1/4", 0.5: "1/2" }[speed] ?? String(speed);
  byId("speed").append(element("option", { value: speed }, `${words} ${speed > 1 ? "slots" : "slot"}/s`));
}
byId("device").append(element("option", { value: "" }, "all"));
for (let device = 0; device < system.shown_devices; device++) {
  byId("device").append(element("option", { value: device }, String(device)));
}
byId("slot").max = system.slots;
byId("slot-count").textContent = system.slots;
if (system.shown_devices < system.devices) {
  byId("note").hidden = false;
  byId("note").textContent =
    `Tasks of the first ${system.shown_devices} of ${system.devices} devices; server loads and ` +
    "whole-episode totals cover all devices.";
}

const toggle = () => (now.playing ? pause() : play());
const actions = {
  restart: () => goTo(0),
  "previous-drop": () => goToDrop(-1),
  back: stepBack,
  play: toggle,
  forward: stepForward,
  "next-drop": () => goToDrop(1),
  end: () => goTo(system.slots),
};
for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
byId("slot").addEventListener("input", () => goTo(Number(byId("slot").value)));
byId("speed").addEventListener("change", () => setSpeed(Number(byId("speed").value)));
byId("device").addEventListener("change", () => {
  const { value } = byId("device");
  selectDevice(value === "" ? null : Number(value));
});
byId("chart-canvas").addEventListener("click", (event) => {
  const box = byId("chart-canvas").getBoundingClientRect();
  goTo(Math.round(((event.clientX - box.left) / box.width) * system.slots));
});
sides.forEach((side, index) =>
  side.select.addEventListener("change", () => {
    const { value } = side.select;
    now[index === 0 ? "left" : "right"] = value === "" ? null : Number(value);
    refresh();
    showStory();
    if (!now.playing) settled();
  }),
);

const keys = {
  " ": toggle,
  ArrowLeft: stepBack,
  ArrowRight: stepForward,
  Home: actions.restart,
  End: actions.end,
  "+": () => changeSpeed(1),
  "=": () => changeSpeed(1),
  "-": () => changeSpeed(-1),
  d: actions["next-drop"],
  D: actions["previous-drop"],
  Escape: () => {
    selectTask(null);
    selectDevice(null);
  },
};

/** Keys that a visitor may type or dictate elsewhere: they act only while the focus is here, or nowhere. */
const typed = new Set(["+", "=", "-", "d", "D"]);
const isAtPlayer = (target) => target === document.body || target.closest?.(".playback, .sides");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key === "d" && event.shiftKey ? "D" : event.key;
  const act = keys[key];
  if (!act) return;
  // A control keeps the keys that it understands itself.
  const target = event.target.tagName;
  if (target === "SELECT" && key !== "Escape") return;
  if (target === "BUTTON" && key === " ") return;
  if (typed.has(key) && !isAtPlayer(event.target)) return;
  event.preventDefault();
  act();
});

// Theme -------------------------------------------------------------------------------------------

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light theme" : "Dark theme";
}
byId("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme !== "dark");
  refresh();
});
prefersDark.addEventListener("change", () => {
  setTheme(prefersDark.matches);
  refresh();
});

// Address -----------------------------------------------------------------------------------------

let fragmentTimer = null;
/** The fragment as it was last read or written. */
let knownFragment = location.hash;

/** The address follows once nothing has changed for a moment: browsers limit how often it may. */
function fragmentSoon() {
  clearTimeout(fragmentTimer);
  fragmentTimer = setTimeout(writeFragment, 150);
}

/**
 * The fragment states the slot and the policies; an empty `right` is "none". One that the visitor has changed
 * stays: its event is under way.
 */
function writeFragment() {
  if (location.hash !== knownFragment) return;
  const parts = new URLSearchParams();
  parts.set("slot", shownSlot());
  parts.set("left", runs[now.left].policy);
  parts.set("right", now.right === null ? "" : runs[now.right].policy);
  history.replaceState(null, "", `#${parts}`);
  knownFragment = location.hash;
}

/** Takes what the fragment states; returns true if it states a slot. */
function readFragment() {
  knownFragment = location.hash;
  const parts = new URLSearchParams(knownFragment.slice(1));
  const find = (name) => runs.findIndex((run) => run.policy === name);
  const left = find(parts.get("left"));
  const right = find(parts.get("right"));
  if (left >= 0) now.left = left;
  if (right >= 0) now.right = right;
  else if (parts.get("right") === "") now.right = null;
  const slot = Number.parseInt(parts.get("slot") ?? "", 10);
  if (Number.isNaN(slot)) return false;
  now.time = Math.max(0, Math.min(system.slots, slot));
  return true;
}

window.addEventListener("hashchange", () => {
  clearTimeout(fragmentTimer);
  const stated = readFragment();
  refresh();
  showStory();
  if (stated) goTo(now.time);
});

// Start -------------------------------------------------------------------------------------------

/** For tests: what is shown, as the drawing code counted it, and where tasks are in the window. */
window.offramp = {
  state: () => ({
    slot: shownSlot(),
    playing: now.playing,
    speed: now.speed,
    left: runs[now.left].policy,
    right: now.right === null ? null : runs[now.right].policy,
    task: now.task,
    hovered: now.hovered,
    device: now.device,
    sides: shownSides().map((side) => side.drawing.shown),
    frame_times: [...frameTimes],
    maps: maps.slice(0, shownSides().length).map((map) => map.state()),
  }),
  locateDevice: (index, device) => maps[index].locate(device),
  locate: (index, task) => {
    const { drawing, canvas } = sides[index];
    const box = canvas.getBoundingClientRect();
    const at = drawing.drawn.find((other) => other.task === task);
    return at ? { x: box.left + at.x, y: box.top + at.y, place: at.place } : null;
  },
};

let width = 0;
new ResizeObserver(() => {
  if (byId("sides").clientWidth === width) return;
  width = byId("sides").clientWidth;
  refresh();
}).observe(byId("sides"));

setTheme(prefersDark.matches);
// The two policies with the highest QoE: close in outcome, they differ in instructive tasks.
const ranked = runs.map((_, at) => at).sort((a, b) => runs[b].qoe - runs[a].qoe);
[now.left, now.right = null] = ranked;
const linked = readFragment();
setSpeed(now.speed);
width = byId("sides").clientWidth;
refresh();
showStory();
settled();
// Without a link to a moment the episode plays at once, unless the visitor asked for less motion.
if (!linked && !calm.matches) play();
