// One side: the canvas on which one policy's run is drawn. What it draws, it counts; the counts are
// what `window.offramp.state()` reports.

/** The share of a slot after which tasks that change their place begin to move there. */
const MOVE_FROM = 0.6;
/** Tasks with at most this many slots left have a second outline. */
const DUE_SLOTS = 2;

const smooth = (share) => share * share * (3 - 2 * share);
const mix = (from, to, share) => from + (to - from) * share;

/** The colours of the page's theme, for canvases. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "panel", "ink", "muted", "line", "local", "offloaded", "done", "dropped", "other"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Fits a canvas to its width in the page and the given height; returns its context in CSS pixels. */
function fitCanvas(canvas, width, height) {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d", { alpha: false });
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}

/** The FIFO of a device in which a place is: its CPU's, its uplink's, or one at each server. */
const FIFO = [() => 0, () => 0, () => 1, () => 1, (action) => action + 1, (action) => action + 1];

class Scene {
  /** The tasks under way as `slot` begins, each with its place and position. */
  constructor(run, lay, grids, slot) {
    this.items = [];
    this.byTask = new Map();
    const { action } = run.columns;
    /** Tasks in each FIFO. */
    this.lengths = new Map();
    const { lengths } = this;
    run.underWay(slot, (task) => {
      const place = run.place(task, slot);
      const [share, rate] = run.progress(task, slot, place);
      const fifo = tasks.device[task] * (system.servers + 2) + FIFO[place](action[task]);
      const rank = place === Place.SENDING ? 0 : (lengths.get(fifo) ?? 0);
      if (place !== Place.SENDING) lengths.set(fifo, rank + 1);
      const item = { task, place, share, rate, fifo, rank, x: 0, y: 0, line: null };
      this.items.push(item);
      this.byTask.set(task, item);
    });
    for (const item of this.items) {
      const device = lay.devices[tasks.device[item.task]];
      const length = lengths.get(item.fifo) ?? 1;
      const step = Math.min(lay.task + 2, lay.queue / length);
      item.x = device.x;
      if (item.place === Place.SENDING) {
        item.line = [device.port, lay.servers[action[item.task] - 1].port];
      } else if (item.place === Place.UPLINK_QUEUE) {
        item.y = device.top + 2 + lay.task / 2 + item.rank * step;
      } else if (item.place === Place.SERVER_QUEUE || item.place === Place.SERVED) {
        const grid = grids[action[item.task] - 1];
        const lane = run.lane[item.task];
        const room = (grid.rowHeight - grid.size - 2) / Math.max(1, length - 1);
        item.x = grid.x + (lane % grid.columns) * grid.pitch + grid.size / 2;
        item.y = grid.y + Math.floor(lane / grid.columns) * grid.rowHeight + grid.size / 2;
        item.y += item.rank * Math.min(grid.size + 1, room);
      } else {
        item.y = device.bottom - lay.task / 2 - item.rank * step;
      }
    }
  }
}

/** The position of an item when `share` of its slot has passed. */
function position(item, share) {
  if (!item.line) return [item.x, item.y];
  const [from, to] = item.line;
  const sent = Math.min(1, item.share + item.rate * share);
  return [mix(from.x, to.x, sent), mix(from.y, to.y, sent)];
}

class Drawing {
  constructor(canvas) {
    this.canvas = canvas;
    this.background = document.createElement("canvas");
    this.drawn = [];
    this.shown = null;
  }

  /** Shows `run` from now on. */
  use(run) {
    this.run = run;
    this.scenes = new Map();
    this.grids = this.lay.servers.map((box, server) => laneGrid(box, run.lanes[server]));
  }

  /** Fits the drawing to the width of its canvas, in the colours of the theme. */
  fit(colours) {
    this.colours = colours;
    this.lay = layout(system, { width: Math.max(200, this.canvas.clientWidth) });
    this.context = fitCanvas(this.canvas, this.lay.width, this.lay.height);
    this.paintBackground(fitCanvas(this.background, this.lay.width, this.lay.height));
    if (this.run) this.use(this.run);
  }

  paintBackground(context) {
    const { lay, colours } = this;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, lay.width, lay.height);
    context.font = "600 12px system-ui, sans-serif";
    context.lineWidth = 1;
    lay.servers.forEach((box, index) => {
      context.fillStyle = colours.panel;
      context.strokeStyle = colours.line;
      context.beginPath();
      context.roundRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1, 4);
      context.fill();
      context.stroke();
      context.fillStyle = colours.ink;
      const name = `server ${index + 1}`;
      const fits = context.measureText(name).width <= box.width - 10;
      context.fillText(fits ? name : String(index + 1), box.x + 6, box.y + 15);
      context.fillStyle = colours.muted;
      context.fillRect(box.port.x - 8, box.port.y - 1, 16, 2);
    });
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillStyle = colours.muted;
    for (const [words, middle] of lay.captions) {
      context.save();
      context.translate(9, middle);
      context.rotate(-Math.PI / 2);
      context.fillText(words, 0, 0);
      context.restore();
    }
    const every = lay.pitch >= 18 ? 1 : lay.pitch >= 10 ? 5 : 10;
    lay.devices.forEach((device, index) => {
      const half = lay.task / 2;
      context.fillStyle = colours.line;
      context.fillRect(device.x - half, device.middle, lay.task, lay.body);
      context.fillRect(device.x - half, device.top - 2, lay.task, 1);
      context.strokeStyle = colours.line;
      context.strokeRect(device.x - half + 0.5, device.bottom - lay.task + 0.5, lay.task - 1, lay.task - 1);
      if (index % every === 0) {
        context.fillStyle = colours.muted;
        context.fillText(String(index), device.x, device.label);
      }
    });
  }

  scene(slot) {
    if (!this.scenes.has(slot)) {
      if (this.scenes.size > 64) this.scenes.clear();
      this.scenes.set(slot, new Scene(this.run, this.lay, this.grids, slot));
    }
    return this.scenes.get(slot);
  }

  /**
   * Draws the run `time` slots after the beginning. `focus` is what is selected: {task, hovered, device};
   * marks of ended tasks fade over `fade` slots.
   */
  draw(time, focus, fade) {
    const { context, run, lay, colours } = this;
    const slot = Math.floor(time);
    const share = time - slot;
    context.drawImage(this.background, 0, 0, lay.width, lay.height);
    const counts = {
      under_way: 0,
      at_servers: new Array(system.servers).fill(0),
      cpu: new Array(system.shown_devices).fill(0),
      uplink: new Array(system.shown_devices).fill(0),
      working: { cpu: 0, uplink: 0, servers: 0 },
    };
    this.drawn = [];
    this.drawServerLoads(slot);
    if (focus.device !== null) this.drawDevice(focus.device);
    const scene = this.scene(slot);
    this.drawLinks(scene, focus);
    const moving = share > MOVE_FROM ? smooth((share - MOVE_FROM) / (1 - MOVE_FROM)) : 0;
    const next = moving > 0 ? this.scene(slot + 1) : null;
    for (const item of scene.items) {
      let [x, y] = position(item, share);
      const to = next?.byTask.get(item.task);
      if (to) {
        const [toX, toY] = position(to, 0);
        x = mix(x, toX, moving);
        y = mix(y, toY, moving);
      }
      this.drawTask(item, x, y, slot, share, focus);
      this.countTask(item, counts);
    }
    this.drawEnded(time, slot, focus, fade);
    for (const [task, dashed] of [[focus.task, false], [focus.hovered, true]]) {
      if (task !== null) this.drawRing(task, dashed);
    }
    this.shown = { policy: run.policy, ...counts, done: run.done[slot], dropped: run.dropped[slot] };
  }

  countTask(item, counts) {
    const device = tasks.device[item.task];
    counts.under_way += 1;
    switch (item.place) {
      case Place.CPU:
        counts.working.cpu += 1;
      // falls through
      case Place.CPU_QUEUE:
        counts.cpu[device] += 1;
        break;
      case Place.SENDING:
        counts.working.uplink += 1;
      // falls through
      case Place.UPLINK_QUEUE:
        counts.uplink[device] += 1;
        break;
      case Place.SERVED:
        counts.working.servers += 1;
      // falls through
      case Place.SERVER_QUEUE:
        counts.at_servers[this.run.columns.action[item.task] - 1] += 1;
    }
  }

  drawServerLoads(slot) {
    const { context, colours, lay, run } = this;
    const active = slot > 0 ? run.columns.active[slot - 1] : null;
    context.fillStyle = colours.muted;
    context.font = "11px system-ui, sans-serif";
    lay.servers.forEach((box, server) => {
      context.fillText(`${active ? active[server] : 0} active`, box.x + 6, box.y + 28);
    });
  }

  drawDevice(device) {
    const { context, colours, lay } = this;
    const { x, top, label } = lay.devices[device];
    const width = Math.max(lay.task + 4, Math.min(lay.pitch, lay.task + 8));
    context.fillStyle = colours.panel;
    context.strokeStyle = colours.ink;
    context.lineWidth = 1;
    context.beginPath();
    context.roundRect(x - width / 2, top - 5, width, label - top + 9, 3);
    context.fill();
    context.stroke();
    context.fillStyle = colours.ink;
    context.font = "600 10px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(String(device), x, label);
    context.textAlign = "start";
  }

  faint(task, focus) {
    const chosen = task === focus.task || task === focus.hovered;
    return focus.device !== null && tasks.device[task] !== focus.device && !chosen;
  }

  drawLinks(scene, focus) {
    const { context, colours } = this;
    context.strokeStyle = colours.offloaded;
    context.lineWidth = 1;
    for (const item of scene.items) {
      if (!item.line) continue;
      const [from, to] = item.line;
      const chosen = item.task === focus.task || item.task === focus.hovered;
      context.globalAlpha = this.faint(item.task, focus) ? 0.08 : chosen ? 1 : 0.28;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawTask(item, x, y, slot, share, focus) {
    const { context, colours, run, lay } = this;
    const { task, place } = item;
    const server = place === Place.SERVED || place === Place.SERVER_QUEUE;
    const size = server ? this.grids[run.columns.action[task] - 1].size : lay.task;
    const [left, top] = [x - size / 2, y - size / 2];
    const colour = run.columns.action[task] === 0 ? colours.local : colours.offloaded;
    context.globalAlpha = this.faint(task, focus) ? 0.15 : 1;
    context.fillStyle = colours.paper;
    context.fillRect(left, top, size, size);
    context.fillStyle = colour;
    if (place === Place.SENDING) {
      context.fillRect(left, top, size, size);
    } else {
      const filled = Math.min(1, item.share + item.rate * share) * size;
      if (filled > 0) context.fillRect(left, top + size - filled, size, filled);
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      context.strokeRect(left + 0.75, top + 0.75, size - 1.5, size - 1.5);
    }
    if (tasks.slot[task] + system.deadline_slots - slot <= DUE_SLOTS) {
      context.strokeStyle = colours.dropped;
      context.lineWidth = 1.5;
      context.strokeRect(left - 1.25, top - 1.25, size + 2.5, size + 2.5);
    }
    context.globalAlpha = 1;
    this.drawn.push({ task, x, y, size, place });
  }

  /** Marks of the tasks that ended, where they were last or below their CPU: a tick, or a cross for a drop. */
  drawEnded(time, slot, focus, fade) {
    const { context, run, lay, colours } = this;
    for (let end = Math.max(1, slot - Math.ceil(fade)); end <= slot; end++) {
      const age = (time - end) / fade;
      if (age >= 1) continue;
      for (const task of run.endedIn[end]) {
        const item = this.scene(end - 1).byTask.get(task);
        if (!item) continue;
        const atCpu = run.columns.action[task] === 0;
        let [x, y] = atCpu ? [item.x, lay.devices[tasks.device[task]].exit] : position(item, 1);
        const dropped = run.columns.dropped[task];
        // The device's next task has taken the place at the server.
        const taken = item.line === null && !atCpu && this.scene(slot).lengths.has(item.fifo);
        if (taken) [x, y] = [x + lay.task * 0.6, y - lay.task * 0.6];
        const arm = Math.max(3, lay.task * (dropped ? 0.6 : 0.4));
        context.globalAlpha = (1 - age * age) * (this.faint(task, focus) ? 0.15 : 1);
        for (const [colour, width] of [[colours.paper, dropped ? 6 : 5], [dropped ? colours.dropped : colours.done, dropped ? 3 : 2]]) {
          context.strokeStyle = colour;
          context.lineWidth = width;
          context.beginPath();
          if (dropped) {
            context.moveTo(x - arm, y - arm);
            context.lineTo(x + arm, y + arm);
            context.moveTo(x + arm, y - arm);
            context.lineTo(x - arm, y + arm);
          } else {
            context.moveTo(x - arm, y);
            context.lineTo(x - arm * 0.2, y + arm * 0.8);
            context.lineTo(x + arm * 1.1, y - arm * 0.8);
          }
          context.stroke();
        }
        if (end === slot) this.drawn.push({ task, x, y, size: lay.task, place: null });
      }
    }
    context.globalAlpha = 1;
  }

  drawRing(task, dashed) {
    const { context, colours } = this;
    const at = this.drawn.find((other) => other.task === task);
    if (!at) return;
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.setLineDash(dashed ? [3, 2] : []);
    context.beginPath();
    context.arc(at.x, at.y, at.size * 0.75 + 4, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }

  /** The task drawn nearest to a point of the canvas, within `reach` pixels, or null. */
  taskAt(x, y, reach) {
    let nearest = null;
    let least = reach * reach;
    for (const at of this.drawn) {
      const distance = (at.x - x) ** 2 + (at.y - y) ** 2;
      // Later ones are drawn on top.
      if (distance <= least) [nearest, least] = [at.task, distance];
    }
    return nearest;
  }

  /** The device whose cell is at a point of the canvas, or null. */
  deviceAt(x, y) {
    const { devices, pitch } = this.lay;
    const index = devices.findIndex(
      (device) => Math.abs(device.x - x) <= pitch / 2 && y >= device.top - 4 && y <= device.label + 3,
    );
    return index < 0 ? null : index;
  }
}

/** The chart under the sides: drops so far and active devices per slot, of both sides. */
function drawChart(canvas, width, shown, colours) {
  const plots = [
    ["drops so far", shown.map((run) => Array.from(run.dropped))],
    [
      "active devices at the servers",
      shown.map((run) => [0, ...run.columns.active.map((active) => active.reduce((sum, one) => sum + one, 0))]),
    ],
  ];
  const height = 62;
  const gap = 8;
  const context = fitCanvas(canvas, width, plots.length * (height + gap));
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, plots.length * (height + gap));
  plots.forEach(([title, lines], plot) => {
    const top = plot * (height + gap);
    const bottom = top + height;
    const most = lines.flat().reduce((most, value) => Math.max(most, value), 1);
    const y = (value) => bottom - (value / most) * (height - 18);
    context.fillStyle = colours.panel;
    context.fillRect(0, top, width, height);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colours.muted;
    context.fillText(`${title}, up to ${most}`, 6, top + 13);
    // The right side first: the left one stays visible where they meet.
    for (let side = lines.length - 1; side >= 0; side--) {
      context.strokeStyle = side === 0 ? colours.ink : colours.other;
      context.lineWidth = 1.5;
      context.setLineDash(side === 0 ? [] : [5, 3]);
      context.beginPath();
      lines[side].forEach((value, slot) => context.lineTo((slot / system.slots) * width, y(value)));
      context.stroke();
    }
    context.setLineDash([]);
  });
}

/** Marks above and below the slider where tasks drop: the left side's above, the right side's below. */
function drawDropMarks(canvas, width, shown, colours) {
  const height = 30;
  const context = fitCanvas(canvas, width, height);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, height);
  shown.forEach((run, side) => {
    context.fillStyle = side === 0 ? colours.ink : colours.other;
    for (let slot = 1; slot <= system.slots; slot++) {
      const drops = run.dropped[slot] - run.dropped[slot - 1];
      if (drops === 0) continue;
      const length = Math.min(8, 2 + drops);
      context.fillRect((slot / system.slots) * width - 1, side === 0 ? 8 - length : height - 8, 2, length);
    }
  });
}
