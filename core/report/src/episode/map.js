// The map: where stations and devices are, which station serves a device, and who sends where. Each
// side has one; what does not depend on decisions is the same in both.

/** Slots for which a device leaves a trail, and for which a handover is shown. */
const TRAIL_SLOTS = 12;
const HANDOVER_SLOTS = 5;
/** Beyond so many devices there are no trails. */
const MOST_TRAILS = 300;

/** The world, one array per device with an entry per slot; stations are counted from 1, 0 is none. */
class World {
  constructor({ width_m, height_m, stations_dm, x_dm, y_dm, serving, silent, absent }) {
    const { slots } = system;
    this.width = width_m;
    this.height = height_m;
    this.stations = stations_dm.map(([x, y]) => [x / 10, y / 10]);
    this.devices = x_dm.length;
    const metres = (differences) => {
      const column = new Float64Array(slots);
      let sum = 0;
      for (let slot = 0; slot < slots; slot++) {
        sum += differences[slot] ?? 0;
        column[slot] = sum / 10;
      }
      return column;
    };
    this.x = x_dm.map(metres);
    this.y = y_dm.map(metres);
    this.moves = x_dm.map((differences, device) => differences.length > 1 || y_dm[device].length > 1);
    this.serving = serving.map((changes) => {
      const column = new Uint16Array(slots);
      for (let at = 0; at < changes.length; at += 2) column.fill(changes[at + 1], changes[at]);
      return column;
    });
    const flags = (spans) => {
      const column = new Uint8Array(slots);
      for (let at = 0; at < spans.length; at += 2) column.fill(1, spans[at], spans[at + 1]);
      return column;
    };
    this.silent = silent.map(flags);
    this.absent = absent.map(flags);
    // The slot of a device's last handover, -1 before its first; and all handovers so far.
    this.handover = serving.map(() => new Int32Array(slots).fill(-1));
    this.handovers = new Uint32Array(slots);
    this.serving.forEach((column, device) => {
      for (let slot = 1; slot < slots; slot++) {
        if (column[slot - 1] > 0 && column[slot] > 0 && column[slot] !== column[slot - 1]) {
          this.handovers[slot] += 1;
          this.handover[device].fill(slot, slot);
        }
      }
    });
    for (let slot = 1; slot < slots; slot++) this.handovers[slot] += this.handovers[slot - 1];
    /** What the legend explains only if the episode has it. */
    this.has = {
      serving: this.serving.some((column) => column.some((station) => station > 0)),
      silent: silent.some((spans) => spans.length > 0),
      absent: absent.some((spans) => spans.length > 0),
    };
  }

  /** The slot whose entries hold at the beginning of `slot`: the end of the episode has none of its own. */
  entry(slot) {
    return Math.min(slot, system.slots - 1);
  }

  /** The position of a device `time` slots after the beginning: between two slots on the straight line. */
  position(device, time) {
    const from = this.entry(Math.floor(time));
    const to = this.entry(from + 1);
    const share = this.absent[device][from] || this.absent[device][to] ? 0 : Math.max(0, Math.min(1, time - from));
    return [mix(this.x[device][from], this.x[device][to], share), mix(this.y[device][from], this.y[device][to], share)];
  }

  /** The station over which a device sends to a server, both counted from 1, in a slot; 0 is none. */
  stationFor(device, server, slot) {
    const at = this.entry(slot);
    if (this.has.serving) return this.serving[device][at];
    if (server <= this.stations.length) return server;
    const [x, y] = [this.x[device][at], this.y[device][at]];
    const distances = this.stations.map(([stationX, stationY]) => Math.hypot(stationX - x, stationY - y));
    return distances.indexOf(Math.min(...distances)) + 1;
  }
}

const world = new World(episode.world);
for (const entry of document.querySelectorAll("[data-with]")) entry.hidden = !world.has[entry.dataset.with];

/** The device that the pointer is on in a map, or null. */
let pointedDevice = null;

/** The largest of 1, 2 and 5 times a power of ten that is at most `length`. */
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((digit) => digit * power <= length) * power;
}

class DeviceMap {
  constructor(section, drawing) {
    this.drawing = drawing;
    this.canvas = element("canvas", { role: "img" });
    this.words = element("figcaption");
    section.insertBefore(element("figure", { class: "map" }, this.canvas, this.words), section.querySelector(".stage"));
    this.background = document.createElement("canvas");
    this.points = new Float64Array(2 * world.devices);
    this.links = [];
    this.listen();
  }

  /** Fits the map to the width of its canvas: everything to scale, north up. */
  fit(colours) {
    this.colours = colours;
    const width = Math.max(200, this.canvas.clientWidth);
    const [margin, foot] = [14, 24];
    const xs = [0, world.width, ...world.stations.map(([x]) => x)];
    const ys = [0, world.height, ...world.stations.map(([, y]) => y)];
    const least = (values) => values.reduce((one, other) => Math.min(one, other));
    const most = (values) => values.reduce((one, other) => Math.max(one, other));
    const [left, right, bottom, top] = [least(xs), most(xs), least(ys), most(ys)];
    const highest = Math.max(300, Math.min(640, 0.5 * window.innerHeight));
    const scale = Math.min((width - 2 * margin) / (right - left), highest / (top - bottom));
    const height = Math.round((top - bottom) * scale + 2 * margin + foot);
    const offset = (width - (right - left) * scale) / 2;
    Object.assign(this, { width, height, scale, margin });
    this.at = (x, y) => [offset + (x - left) * scale, margin + (top - y) * scale];
    this.dot = Math.max(2.2, Math.min(5, Math.sqrt((world.width * world.height) / world.devices) * (scale / 11)));
    this.context = fitCanvas(this.canvas, width, height);
    this.paintBackground(fitCanvas(this.background, width, height));
  }

  /** The area, the ways that devices take in it, and a bar for its scale. */
  paintBackground(context) {
    const { colours, width, height, scale, at, margin } = this;
    context.fillStyle = colours.panel;
    context.fillRect(0, 0, width, height);
    const [left, top] = at(0, world.height);
    const [right, bottom] = at(world.width, 0);
    context.fillStyle = colours.paper;
    context.fillRect(left, top, right - left, bottom - top);
    context.strokeStyle = colours.line;
    context.lineWidth = 2 * this.dot;
    context.lineJoin = "round";
    context.globalAlpha = 0.25;
    for (let device = 0; device < Math.min(world.devices, MOST_TRAILS); device++) {
      if (world.moves[device]) this.strokeWay(context, device, 0, system.slots - 1);
    }
    context.globalAlpha = 1;
    context.lineWidth = 1;
    context.strokeRect(Math.round(left) + 0.5, Math.round(top) + 0.5, Math.round(right - left) - 1, Math.round(bottom - top) - 1);
    const length = roundLength((right - left) / scale / 4);
    const y = height - 9.5;
    context.strokeStyle = colours.muted;
    context.beginPath();
    context.moveTo(margin + 0.5, y - 4);
    context.lineTo(margin + 0.5, y);
    context.lineTo(margin + 0.5 + Math.round(length * scale), y);
    context.lineTo(margin + 0.5 + Math.round(length * scale), y - 4);
    context.stroke();
    context.fillStyle = colours.muted;
    context.font = "11px system-ui, sans-serif";
    context.fillText(`${length} m`, margin + length * scale + 8, y);
  }

  /** Draws the way of a device between two times; where it is absent there is none. */
  strokeWay(context, device, from, to) {
    context.beginPath();
    let begun = false;
    const visit = (time) => {
      if (world.absent[device][world.entry(Math.floor(time))]) begun = false;
      else {
        const [x, y] = this.at(...world.position(device, time));
        if (begun) context.lineTo(x, y);
        else context.moveTo(x, y);
        begun = true;
      }
    };
    for (let slot = Math.ceil(from); slot <= Math.floor(to); slot++) visit(slot);
    if (!Number.isInteger(to)) visit(to);
    context.stroke();
  }

  /** The rates at which the tasks of a run were sent, Mbit per slot, and the highest; 0 is unknown. */
  measure(run) {
    if (this.run === run) return;
    this.run = run;
    const { started, sent } = run.columns;
    this.rates = Float64Array.from(sent, (at, task) => (at === null || started[task] === null ? 0 : tasks.size_mbit[task] / Math.max(1, at - started[task])));
    this.fastest = this.rates.reduce((most, rate) => Math.max(most, rate), 1e-9);
  }

  /** The device that is followed: that under the pointer, the chosen one, or that of the task. */
  followed(focus) {
    if (pointedDevice !== null) return pointedDevice;
    if (focus.device !== null) return focus.device;
    const task = focus.hovered ?? focus.task;
    return task === null ? null : tasks.device[task];
  }

  /** Draws the world `time` slots after the beginning, and what the side's run does in it. */
  draw(time, focus, fade) {
    const { context, colours, drawing, dot } = this;
    const { run } = drawing;
    this.measure(run);
    const slot = Math.floor(time);
    const entry = world.entry(slot);
    const followed = this.followed(focus);
    const alpha = (device) => (focus.device !== null && device !== focus.device && device !== followed ? 0.2 : 1);
    context.drawImage(this.background, 0, 0, this.width, this.height);
    for (let device = 0; device < world.devices; device++) {
      [this.points[2 * device], this.points[2 * device + 1]] = this.at(...world.position(device, time));
    }
    const point = (device) => [this.points[2 * device], this.points[2 * device + 1]];

    // What each device works on: a task at its CPU, one on its uplink.
    const computing = new Uint8Array(world.devices);
    const sending = new Map();
    for (const item of drawing.scene(slot).items) {
      const device = tasks.device[item.task];
      if (item.place === Place.CPU) computing[device] = 1;
      else if (item.place === Place.SENDING) sending.set(device, item);
    }

    this.drawLoads(slot);
    context.lineJoin = "round";
    if (world.devices <= MOST_TRAILS) this.drawTrails(time, alpha);
    if (followed !== null && world.moves[followed]) {
      context.strokeStyle = colours.muted;
      context.lineWidth = 1.5;
      context.globalAlpha = 0.7;
      this.strokeWay(context, followed, 0, system.slots - 1);
      context.globalAlpha = 1;
    }
    if (world.has.serving) this.drawServing(entry, followed, alpha, point);
    this.drawLinks(sending, slot, time - slot, followed, alpha, point);
    for (let device = 0; device < world.devices; device++) {
      context.globalAlpha = alpha(device);
      this.drawDevice(device, entry, computing[device], sending.has(device), ...point(device));
      const age = (time - world.handover[device][entry]) / HANDOVER_SLOTS;
      if (world.handover[device][entry] >= 0 && age < 1 && slot < system.slots) {
        context.globalAlpha = alpha(device) * (1 - age);
        context.strokeStyle = colours.ink;
        context.lineWidth = 2;
        this.circle(...point(device), dot + 4 + 7 * age);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    this.drawDrops(time, slot, fade, alpha, point);
    this.drawStations();
    if (followed !== null) this.drawFollowed(followed, focus, ...point(followed));
    this.shown = { slot, silent: world.silent.filter((column) => column[entry]).length, absent: world.absent.filter((column) => column[entry]).length };
    if (world.has.serving) {
      const count = world.handovers[entry];
      context.fillStyle = colours.muted;
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillText(`${count} ${count === 1 ? "handover" : "handovers"} so far`, this.width - this.margin, this.height - 9.5);
      context.textAlign = "start";
    }
    this.write(slot, entry, followed, computing, sending);
  }

  circle(x, y, radius) {
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
  }

  /** Discs at the stations: their areas show the active devices at the servers. */
  drawLoads(slot) {
    const { context, colours } = this;
    const active = slot > 0 ? this.run.columns.active[slot - 1] : [];
    context.fillStyle = colours.offloaded;
    context.strokeStyle = colours.offloaded;
    context.lineWidth = 1;
    world.stations.forEach(([x, y], station) => {
      if (!active[station]) return;
      this.circle(...this.at(x, y), 7 + this.dot * 1.3 * Math.sqrt(active[station]));
      context.globalAlpha = 0.16;
      context.fill();
      context.globalAlpha = 0.45;
      context.stroke();
    });
    context.globalAlpha = 1;
  }

  drawTrails(time, alpha) {
    const { context, colours, dot } = this;
    context.strokeStyle = colours.muted;
    context.lineWidth = Math.max(1.5, dot * 0.7);
    for (let device = 0; device < world.devices; device++) {
      if (!world.moves[device]) continue;
      context.globalAlpha = 0.3 * alpha(device);
      this.strokeWay(context, device, Math.max(0, time - TRAIL_SLOTS), Math.min(time, system.slots - 1));
    }
    context.globalAlpha = 1;
  }

  /** Thin lines to the stations that serve; broken ones where nothing can be sent. */
  drawServing(entry, followed, alpha, point) {
    const { context, colours } = this;
    for (let device = 0; device < world.devices; device++) {
      const station = world.serving[device][entry];
      if (station === 0) continue;
      const silent = world.silent[device][entry];
      context.strokeStyle = silent ? colours.dropped : colours.muted;
      context.lineWidth = device === followed ? 1.5 : 1;
      context.globalAlpha = (device === followed ? 1 : silent ? 0.8 : 0.35) * alpha(device);
      context.setLineDash(silent ? [4, 3] : []);
      context.beginPath();
      context.moveTo(...point(device));
      context.lineTo(...this.at(...world.stations[station - 1]));
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** The links in use: lines as wide as they are fast, with the task on its way. */
  drawLinks(sending, slot, share, followed, alpha, point) {
    const { context, colours } = this;
    this.links = [];
    for (const [device, item] of sending) {
      const server = this.run.columns.action[item.task];
      const station = world.stationFor(device, server, slot);
      if (station === 0) continue;
      this.links.push([device, station]);
      const silent = world.silent[device][world.entry(slot)];
      const from = point(device);
      const to = this.at(...world.stations[station - 1]);
      context.strokeStyle = colours.offloaded;
      context.fillStyle = colours.offloaded;
      context.globalAlpha = 0.85 * alpha(device);
      if (!silent) {
        context.lineWidth = 1 + 3 * Math.sqrt(this.rates[item.task] / this.fastest);
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
      }
      // The wire on to the server's own station, of the device that is followed alone.
      if (device === followed && server !== station && server <= world.stations.length) {
        context.lineWidth = 1.5;
        context.setLineDash([2, 4]);
        context.beginPath();
        context.moveTo(...to);
        context.lineTo(...this.at(...world.stations[server - 1]));
        context.stroke();
        context.setLineDash([]);
      }
      const sent = Math.min(1, item.share + item.rate * share);
      const [x, y] = [mix(from[0], to[0], sent), mix(from[1], to[1], sent)];
      const size = Math.max(4, this.dot * 1.3);
      context.fillStyle = colours.paper;
      context.fillRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
      context.fillStyle = colours.offloaded;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
    context.globalAlpha = 1;
  }

  /** A dot: hollow without work; one half for its CPU, one for its uplink if both work. */
  drawDevice(device, entry, computes, sends, x, y) {
    const { context, colours, dot } = this;
    this.circle(x, y, dot);
    context.lineWidth = 1.5;
    if (world.absent[device][entry]) {
      context.strokeStyle = colours.muted;
      context.setLineDash([2, 2.5]);
      context.stroke();
      context.setLineDash([]);
      return;
    }
    context.fillStyle = computes ? colours.local : sends ? colours.offloaded : colours.paper;
    context.fill();
    if (computes && sends) {
      context.beginPath();
      context.arc(x, y, dot, -Math.PI / 2, Math.PI / 2);
      context.fillStyle = colours.offloaded;
      context.fill();
      this.circle(x, y, dot);
    }
    context.strokeStyle = computes || sends ? colours.paper : colours.muted;
    context.lineWidth = computes || sends ? 1 : 1.5;
    context.stroke();
    if (world.silent[device][entry]) {
      context.strokeStyle = colours.dropped;
      context.lineWidth = 1.5;
      context.setLineDash([3, 2.5]);
      this.circle(x, y, dot + 3);
      context.stroke();
      context.setLineDash([]);
    }
  }

  /** Crosses at the devices whose tasks were dropped, for as long as on the side. */
  drawDrops(time, slot, fade, alpha, point) {
    const { context, colours, dot } = this;
    const arm = Math.max(3, dot);
    for (let end = Math.max(1, slot - Math.ceil(fade)); end <= slot; end++) {
      const age = (time - end) / fade;
      if (age >= 1) continue;
      for (const task of this.run.endedIn[end]) {
        if (!this.run.columns.dropped[task]) continue;
        const [x, y] = point(tasks.device[task]);
        context.globalAlpha = (1 - age * age) * alpha(tasks.device[task]);
        for (const [colour, width] of [[colours.paper, 5], [colours.dropped, 2.5]]) {
          context.strokeStyle = colour;
          context.lineWidth = width;
          context.beginPath();
          context.moveTo(x - arm, y - arm);
          context.lineTo(x + arm, y + arm);
          context.moveTo(x + arm, y - arm);
          context.lineTo(x - arm, y + arm);
          context.stroke();
        }
      }
    }
    context.globalAlpha = 1;
  }

  drawStations() {
    const { context, colours } = this;
    context.font = "600 11px system-ui, sans-serif";
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = colours.paper;
    context.fillStyle = colours.ink;
    world.stations.forEach((station, index) => {
      const [x, y] = this.at(...station);
      context.beginPath();
      context.moveTo(x, y - 7);
      context.lineTo(x + 6, y + 4);
      context.lineTo(x - 6, y + 4);
      context.closePath();
      context.stroke();
      context.fill();
      context.strokeText(String(index + 1), x + 9, y + 4);
      context.fillText(String(index + 1), x + 9, y + 4);
    });
  }

  /** A ring and the number of the device that is followed; the ring is broken until it is chosen. */
  drawFollowed(device, focus, x, y) {
    const { context, colours, dot } = this;
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.setLineDash(device === focus.device ? [] : [3, 2]);
    this.circle(x, y, dot + 6);
    context.stroke();
    context.setLineDash([]);
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = x > this.width - 60 ? "right" : "left";
    const left = x + (x > this.width - 60 ? -1 : 1) * (dot + 9);
    context.lineWidth = 3;
    context.strokeStyle = colours.paper;
    context.strokeText(`device ${device}`, left, y - 6);
    context.fillStyle = colours.ink;
    context.fillText(`device ${device}`, left, y - 6);
    context.textAlign = "start";
  }

  /** What a device does as a slot begins, in words. */
  describe(device, slot, computes, item) {
    const entry = world.entry(slot);
    if (world.absent[device][entry]) return "absent";
    const parts = [];
    const [serving, silent] = [world.serving[device][entry], world.silent[device][entry]];
    if (serving > 0) {
      const since = world.handover[device][entry];
      parts.push(silent && since >= 0 ? `handed over to station ${serving} in slot ${since}` : `served by station ${serving}`);
    }
    if (silent) parts.push(serving > 0 ? "cannot send now" : "outside all coverage");
    if (item) {
      const server = this.run.columns.action[item.task];
      const station = world.stationFor(device, server, slot);
      const over = station > 0 && station !== server ? ` over station ${station}` : "";
      parts.push(`${silent ? "waits to send" : "sends"} to server ${server}${over}`);
    }
    if (computes) parts.push("computes");
    if (!item && !computes) parts.push("neither sends nor computes");
    return parts.join(", ");
  }

  /** The words below the map, and its name. */
  write(slot, entry, followed, computing, sending) {
    const key = `${slot} ${followed} ${this.run.policy}`;
    if (key !== this.written) {
      this.written = key;
      this.words.classList.toggle("follows", followed !== null);
      this.words.textContent =
        followed === null
          ? "Point at a device on the map, or choose one above, to follow it."
          : `Device ${followed}: ${this.describe(followed, slot, computing[followed], sending.get(followed))}.`;
      this.labelled = false;
    }
    if (now.playing || this.labelled) return;
    this.labelled = true;
    const { silent, absent } = this.shown;
    const parts = [`${sending.size} of ${world.devices} devices send`];
    if (world.has.silent) parts.push(`${silent} cannot`);
    if (world.has.absent) parts.push(`${absent} are absent`);
    if (world.has.serving) parts.push(`handovers so far: ${world.handovers[entry]}`);
    this.canvas.setAttribute("aria-label", `Map of ${this.run.policy} in slot ${slot}: ${parts.join(", ")}.`);
  }

  /** The device drawn nearest to a point of the canvas, within `reach` pixels, or null. */
  deviceAt(x, y, reach) {
    let nearest = null;
    let least = reach * reach;
    for (let device = 0; device < world.devices; device++) {
      const distance = (this.points[2 * device] - x) ** 2 + (this.points[2 * device + 1] - y) ** 2;
      if (distance <= least) [nearest, least] = [device, distance];
    }
    return nearest;
  }

  listen() {
    const { canvas } = this;
    const device = (event, reach) => {
      const box = canvas.getBoundingClientRect();
      return this.deviceAt(event.clientX - box.left, event.clientY - box.top, reach);
    };
    const point = (pointed) => {
      canvas.style.cursor = pointed === null ? "" : "pointer";
      if (pointed === pointedDevice) return;
      pointedDevice = pointed;
      if (!now.playing) draw();
    };
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") point(device(event, 12));
    });
    canvas.addEventListener("pointerleave", () => point(null));
    canvas.addEventListener("click", (event) => {
      const chosen = device(event, event.pointerType === "touch" ? 20 : 12);
      if (chosen === null) selectTask(null);
      selectDevice(chosen === now.device ? null : chosen);
    });
  }

  /** For tests: what is shown. */
  state() {
    const pairs = (points) => points.map((at) => [...at]);
    return {
      ...this.shown,
      devices: Array.from({ length: world.devices }, (_, device) => [this.points[2 * device], this.points[2 * device + 1]]),
      stations: pairs(world.stations.map(([x, y]) => this.at(x, y))),
      links: pairs(this.links),
      handovers: world.handovers[world.entry(this.shown.slot)],
      pointed: pointedDevice,
    };
  }

  /** For tests: where a device is in the window. */
  locate(device) {
    const box = this.canvas.getBoundingClientRect();
    return { x: box.left + this.points[2 * device], y: box.top + this.points[2 * device + 1] };
  }
}
