// The story of a task: what it was, what each side decided, and what became of it.

const number = (value, digits = 3) =>
  value === null || value === undefined
    ? "–"
    : Number(value.toFixed(digits)).toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−");
const inSlots = (count) => (count === null ? "–" : slotsInWords(count));
const slotsInWords = (count) => `${count} ${count === 1 ? "slot" : "slots"}`;

/** An element with attributes and children; text is never parsed as HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const decision = (action) => (action === 0 ? "computed it locally" : `sent it to server ${action}`);
const actionName = (action) => (action === 0 ? "local" : `server ${action}`);

function outcome(run, task) {
  const delay = run.columns.delay[task];
  return run.columns.dropped[task] ? `dropped after ${slotsInWords(delay)}` : `done in ${slotsInWords(delay)}`;
}

/** One line: what each side decided and what became of it. */
function comparison(task, shown) {
  return `${shown.map((run) => `${run.policy} ${decision(run.columns.action[task])}: ${outcome(run, task)}`).join("; ")}.`;
}

const taskTitle = (task) => `Task of device ${tasks.device[task]}, arrived in slot ${tasks.slot[task]}`;

/** Where a task is as `slot` begins, in words. */
function whereabouts(run, task, slot) {
  const { action, dropped } = run.columns;
  if (slot < tasks.slot[task]) return "not yet arrived";
  if (slot >= run.end[task]) return dropped[task] ? "dropped" : "done";
  switch (run.place(task, slot)) {
    case Place.CPU_QUEUE:
      return "waiting for the CPU";
    case Place.CPU:
      return "being computed";
    case Place.UPLINK_QUEUE:
      return `waiting for the uplink to server ${action[task]}`;
    case Place.SENDING:
      return `sending to server ${action[task]}`;
    case Place.SERVER_QUEUE:
      return `waiting at server ${action[task]}`;
    default:
      return `being served at server ${action[task]}`;
  }
}

/** A list of names and numbers; `facts` are [name, value, id of the fact]. */
function factList(facts) {
  return element(
    "dl",
    { class: "facts" },
    ...facts.map(([name, value, id]) => element("div", {}, element("dt", {}, name), element("dd", { "data-fact": id }, value))),
  );
}

function timeBar(run, task) {
  const parts = run.timeSpent(task).filter(([, slots]) => slots > 0);
  const bar = element("div", { class: "time-bar", "aria-hidden": "true" });
  const scale = 100 / Math.max(system.deadline_slots, run.columns.delay[task]);
  const kind = run.columns.action[task] === 0 ? "local" : "offloaded";
  for (const [, slots, part] of parts) {
    const made = element("span", { class: `${part} ${kind}` });
    made.style.width = `${slots * scale}%`;
    bar.append(made);
  }
  if (run.columns.dropped[task]) bar.append(element("i", { class: "mark dropped" }));
  const words = parts.map(([words, slots]) => `${words} ${slotsInWords(slots)}`).join(", ");
  return [bar, element("p", { class: "time-words", "data-fact": "time" }, `${words[0].toUpperCase()}${words.slice(1)}.`)];
}

function actionTable(run, task) {
  const { action, predicted, q } = run.columns;
  const values = q ? q.map((column) => column[task]) : [];
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  const best = known.length ? Math.max(...known) : null;
  const body = element("tbody");
  predicted.forEach((column, index) => {
    const chosen = action[task] === index;
    const row = element("tr", { class: chosen ? "chosen" : null }, element("th", { scope: "row" }, actionName(index)));
    row.append(element("td", { class: "number", "data-predicted": index }, number(column[task])));
    if (known.length) {
      const value = values[index];
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      const span = high - low || 1;
      const filled = element("i");
      filled.style.left = `${((Math.min(0, value) - low) / span) * 100}%`;
      filled.style.width = `${(Math.abs(value) / span) * 100}%`;
      bar.append(filled);
      row.append(element("td", { class: "number", "data-value": index }, number(value)), element("td", { class: "bars" }, bar));
    }
    const marks = [];
    if (chosen) marks.push("chosen");
    if (known.length && values[index] === best) marks.push("best value");
    row.append(element("td", { class: "marks", "data-marks": index }, marks.join(", ")));
    body.append(row);
  });
  const heads = ["predicted slots", ...(known.length ? ["value"] : [])];
  const head = element("tr", {}, element("th", { scope: "col" }, "action"));
  head.append(...heads.map((text) => element("th", { scope: "col", class: "number" }, text)));
  const parts = [element("table", { class: "actions" }, element("thead", {}, head), body)];
  if (!known.length) parts.push(element("p", { class: "muted" }, "This policy has no value function: predictions only."));
  return parts;
}

function sideStory(run, task) {
  const { action, delay, reward, energies, predicted } = run.columns;
  const [local, transmit, server, idle] = energies.map((column) => column[task]);
  const did = decision(action[task]);
  return element(
    "article",
    { "data-policy": run.policy },
    element("h3", {}, run.policy),
    element(
      "p",
      { class: "outcome", "data-fact": "outcome" },
      element("i", { class: `mark ${run.columns.dropped[task] ? "dropped" : "done"}` }),
      ` ${did[0].toUpperCase()}${did.slice(1)}: ${outcome(run, task)}`,
    ),
    ...timeBar(run, task),
    factList([
      ["predicted delay", inSlots(predicted[action[task]][task]), "predicted"],
      ["delay", slotsInWords(delay[task]), "delay"],
      ["reward", number(reward[task]), "reward"],
    ]),
    factList([
      ["energy: local", number(local), "energy-local"],
      ["transmit", number(transmit), "energy-transmit"],
      ["server", number(server), "energy-server"],
      ["idle", number(idle), "energy-idle"],
      ["total", number(local + transmit + server + idle), "energy-total"],
    ]),
    ...actionTable(run, task),
  );
}

/** Writes the story of `task`, or how to choose one if it is null. */
function writeStory(task, shown) {
  const title = document.getElementById("story-title");
  const words = document.getElementById("story-words");
  const stories = document.getElementById("stories");
  if (task === null) {
    title.textContent = "Task";
    words.textContent = "Point at a task, or choose one in the table below, to read its story here.";
    stories.replaceChildren();
    return;
  }
  title.textContent = taskTitle(task);
  words.textContent = comparison(task, shown);
  const facts = factList([
    ["size", `${number(tasks.size_mbit[task])} Mbit`, "size"],
    ["density", `${number(tasks.density[task])} Gcycles/Mbit`, "density"],
    ["α (weight of delay)", number(tasks.alpha[task]), "alpha"],
    ["deadline", slotsInWords(system.deadline_slots), "deadline"],
  ]);
  facts.classList.add("wide");
  stories.replaceChildren(facts, ...shown.map((run) => sideStory(run, task)));
}
