// The episode: the columns of tasks and runs, and where a task is in a slot.

const episode = JSON.parse(document.getElementById("data").textContent);
const { system, tasks, runs } = episode;
const TASKS = tasks.slot.length;

/** Where a task is at the beginning of a slot. */
const Place = { CPU_QUEUE: 0, CPU: 1, UPLINK_QUEUE: 2, SENDING: 3, SERVER_QUEUE: 4, SERVED: 5 };

/** The first task of each slot: tasks are in the order of their slots. slots + 1 entries. */
const firstOfSlot = new Uint32Array(system.slots + 2);
for (let slot = 0, task = 0; slot <= system.slots + 1; slot++) {
  while (task < TASKS && tasks.slot[task] < slot) task++;
  firstOfSlot[slot] = task;
}

/** What the page derives from a run once: ends, running totals, lanes at the servers. */
class Run {
  constructor(columns) {
    this.columns = columns;
    this.policy = columns.policy;
    const slots = system.slots;
    this.end = new Uint32Array(TASKS);
    this.longest = 1;
    const zeros = () => new Float64Array(slots + 1);
    // Totals of the tasks that ended before a slot.
    this.done = zeros();
    this.dropped = zeros();
    this.delays = zeros();
    this.rewards = zeros();
    this.endedIn = Array.from({ length: slots + 1 }, () => []);
    for (let task = 0; task < TASKS; task++) {
      const end = Math.min(tasks.slot[task] + columns.delay[task], slots);
      this.end[task] = end;
      this.longest = Math.max(this.longest, columns.delay[task]);
      this.endedIn[end].push(task);
      (columns.dropped[task] ? this.dropped : this.done)[end] += 1;
      this.delays[end] += columns.delay[task];
      this.rewards[end] += columns.reward[task];
    }
    for (const totals of [this.done, this.dropped, this.delays, this.rewards]) {
      for (let slot = 1; slot <= slots; slot++) totals[slot] += totals[slot - 1];
    }
    this.assignLanes();
    this.estimateUplink();
  }

  /** Calls `visit` with every task under way at the beginning of `slot`, oldest first. */
  underWay(slot, visit) {
    const last = Math.min(slot, system.slots);
    const first = firstOfSlot[Math.max(0, slot - this.longest)];
    for (let task = first; task < firstOfSlot[last + 1]; task++) {
      if (slot < this.end[task]) visit(task);
    }
  }

  /** The place of a task that is under way at the beginning of `slot`. */
  place(task, slot) {
    const { action, started, sent, served } = this.columns;
    const reached = (at) => at !== null && at <= slot;
    if (action[task] === 0) return reached(started[task]) ? Place.CPU : Place.CPU_QUEUE;
    if (reached(sent[task])) return reached(served[task]) ? Place.SERVED : Place.SERVER_QUEUE;
    return reached(started[task]) ? Place.SENDING : Place.UPLINK_QUEUE;
  }

  /** Share of its work that a task in service has behind it as `slot` begins, and what the slot adds. */
  progress(task, slot, place) {
    const { action, started, sent, served, active } = this.columns;
    const work = tasks.size_mbit[task] * tasks.density[task];
    if (place === Place.CPU) {
      const share = (system.device_ghz[tasks.device[task]] * system.slot_seconds) / work;
      return [Math.min(1, share * (slot - started[task])), share];
    }
    if (place === Place.SENDING) {
      // Without coverage nothing of it is ever sent.
      if (this.columns.predicted[action[task]][task] === null) return [0, 0];
      const slots = sent[task] === null ? tasks.size_mbit[task] / this.mbitPerSlot : sent[task] - started[task];
      return [Math.min(1, (slot - started[task]) / slots), 1 / slots];
    }
    if (place === Place.SERVED) {
      const server = action[task] - 1;
      const alone = (system.server_ghz[server] * system.slot_seconds) / work;
      const share = (at) => alone / Math.max(1, at > 0 ? active[at - 1][server] : 1);
      let behind = 0;
      for (let at = served[task]; at < slot; at++) behind += share(at);
      return [Math.min(1, behind), share(slot)];
    }
    return [0, 0];
  }

  /** A device keeps its lane at a server as long as it has a task there: what stays, stays in place. */
  assignLanes() {
    const { action, sent } = this.columns;
    const { servers, slots } = system;
    this.lane = new Uint16Array(TASKS);
    this.lanes = new Uint16Array(servers);
    const joining = Array.from({ length: slots + 1 }, () => []);
    for (let task = 0; task < TASKS; task++) {
      const at = sent[task];
      if (action[task] > 0 && at !== null && at < this.end[task]) joining[at].push(task);
    }
    const taken = Array.from({ length: servers }, () => []);
    const held = new Map();
    for (let slot = 0; slot <= slots; slot++) {
      for (const [key, holder] of held) {
        // One slot longer, for the mark of what ended there.
        if (holder.until < slot) {
          taken[holder.server][holder.lane] = false;
          held.delete(key);
        }
      }
      for (const task of joining[slot]) {
        const server = action[task] - 1;
        const key = tasks.device[task] * servers + server;
        let holder = held.get(key);
        if (!holder) {
          let lane = taken[server].indexOf(false);
          if (lane < 0) lane = taken[server].length;
          taken[server][lane] = true;
          holder = { server, lane, until: 0 };
          held.set(key, holder);
        }
        holder.until = Math.max(holder.until, this.end[task]);
        this.lane[task] = holder.lane;
        this.lanes[server] = Math.max(this.lanes[server], holder.lane + 1);
      }
    }
  }

  /** Mbit per slot of an uplink, for tasks that were dropped while they were sent: a mean over the others. */
  estimateUplink() {
    const { started, sent } = this.columns;
    let mbit = 0;
    let slots = 0;
    for (let task = 0; task < TASKS; task++) {
      if (sent[task] === null || started[task] === null) continue;
      mbit += tasks.size_mbit[task];
      slots += sent[task] - started[task];
    }
    this.mbitPerSlot = slots > 0 ? mbit / slots : 1;
  }

  /** Where the slots of a task went, in the order of its way: [[words, slots, kind]]. */
  timeSpent(task) {
    const { action, started, sent, served } = this.columns;
    const end = tasks.slot[task] + this.columns.delay[task];
    const at = (slot) => (slot === null ? end : Math.min(slot, end));
    const [begun, arrived, serving] = [at(started[task]), at(sent[task]), at(served[task])];
    if (action[task] === 0) {
      return [
        ["waiting for the CPU", begun - tasks.slot[task], "waiting"],
        ["being computed", end - begun, "working"],
      ];
    }
    return [
      ["waiting for the uplink", begun - tasks.slot[task], "waiting"],
      ["sending", arrived - begun, "sending"],
      ["waiting at the server", serving - arrived, "waiting"],
      ["being served", end - serving, "working"],
    ];
  }
}

const prepared = new Map();

/** The run of the policy at `index`, prepared when it is first shown. */
function runAt(index) {
  if (!prepared.has(index)) prepared.set(index, new Run(runs[index]));
  return prepared.get(index);
}
