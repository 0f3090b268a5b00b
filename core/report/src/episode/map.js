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

/** The world of the episode, or null: devices are nowhere then, and there are no maps. */
const world = episode.world ? new World(episode.world) : null;
for (const entry of document.querySelectorAll("[data-with]")) entry.hidden = !world.has[entry.dataset.with];

/** Links bow by this share of their length: those along a street do not hide each other. */
const BOW = 0.07;

/** The middle of a bow between two points: its control point. */
const bow = ([fromX, fromY], [toX, toY]) => [(fromX + toX) / 2 + BOW * (toY - fromY) * 2, (fromY + toY) / 2 - BOW * (toX - fromX) * 2];

/** The point of a bow at a share of the way. */
function onBow(from, to, share) {
  const middle = bow(from, to);
  return [0, 1].map((axis) => mix(mix(from[axis], middle[axis], share), mix(middle[axis], to[axis], share), share));
}

function strokeBow(context, from, to) {
  context.beginPath();
  context.moveTo(...from);
  context.quadraticCurveTo(...bow(from, to), ...to);
  context.stroke();
}

/** The device that the pointer is on in a map, or null. */
let pointedDevice = null;

/** The largest of 1, 2 and 5 times a power of ten that is at most `length`. */
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((digit) => digit * power <= length) * power;
}

/** How a dot is painted whose device is absent. */
const ABSENT = 4;

/** A canvas of its own, in CSS pixels, for what is painted once. */
function smallCanvas(width, height) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(2, window.devicePixelRatio || 1);
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return { canvas, context };
}

class DeviceMap {
  constructor(section, drawing) {
    this.drawing = drawing;
    this.canvas = element("canvas", { role: "img" });
    this.words = element("figcaption");
    section.insertBefore(element("figure", { class: "map" }, this.canvas, this.words), section.querySelector(".stage"));
    this.background = document.createElement("canvas");
    /** The background with what changes from slot to slot only. */
    this.backdrop = document.createElement("canvas");
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
    /** The way of each device in pixels: x and y of each slot. */
    this.ways = world.x.map((column, device) => {
      const way = new Float64Array(2 * system.slots);
      column.forEach((x, slot) => way.set(this.at(x, world.y[device][slot]), 2 * slot));
      return way;
    });
    /** True if no device moves out of its dot within a slot: its lines need not follow it there. */
    this.steady = this.ways.every((way) => {
      for (let at = 2; at < way.length; at += 2) {
        if (Math.hypot(way[at] - way[at - 2], way[at + 1] - way[at - 1]) > this.dot) return false;
      }
      return true;
    });
    this.marks = world.stations.map((_, station) => this.paintStation(station));
    this.dots = [0, 1, 2, 3, ABSENT].map((work) => this.paintDot(work));
    this.paintBackground(fitCanvas(this.background, width, height));
    this.backdropContext = fitCanvas(this.backdrop, width, height);
    this.painted = null;
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
    context.lineCap = "round";
    context.globalAlpha = 0.25;
    for (let device = 0; device < Math.min(world.devices, MOST_TRAILS); device++) {
      if (!world.moves[device]) continue;
      context.beginPath();
      this.traceWay(context, device, 0, system.slots - 1);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineCap = "butt";
    context.lineWidth = 1;
    context.strokeRect(Math.round(left) + 0.5, Math.round(top) + 0.5, Math.round(right - left) - 1, Math.round(bottom - top) - 1);
    const length = roundLength((right - left) / scale / 4);
    // The foot is as wide as the area, if words fit there.
    this.foot = right - left < 240 ? [margin, width - margin] : [left, right];
    const [x, y] = [Math.round(this.foot[0]) + 0.5, height - 9.5];
    const end = x + Math.round(length * scale);
    context.strokeStyle = colours.muted;
    context.beginPath();
    for (const corner of [[x, y - 4], [x, y], [end, y], [end, y - 4]]) context.lineTo(...corner);
    context.stroke();
    context.fillStyle = colours.muted;
    context.font = "11px system-ui, sans-serif";
    context.fillText(`${length} m`, end + 8, y);
  }

  /** Adds the way of a device between two slots to the path; where it is absent there is none. */
  traceWay(context, device, from, to) {
    const way = this.ways[device];
    let begun = false;
    for (let slot = from; slot <= to; slot++) {
      if (world.absent[device][slot]) begun = false;
      else if (begun) context.lineTo(way[2 * slot], way[2 * slot + 1]);
      else {
        context.moveTo(way[2 * slot], way[2 * slot + 1]);
        begun = true;
      }
    }
  }

  /** The rates at which the tasks of a run were sent, Mbit per slot, and the highest; 0 is unknown. */
  measure(run) {
    if (this.run === run) return;
    this.run = run;
    this.painted = null;
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
    const { context, drawing } = this;
    this.measure(drawing.run);
    const slot = Math.floor(time);
    const followed = this.followed(focus);
    // Those other than the chosen device are faint, and below it.
    const layers = [{ devices: [], alpha: 0.2 }, { devices: [], alpha: 1 }];
    for (let device = 0; device < world.devices; device++) {
      [this.points[2 * device], this.points[2 * device + 1]] = this.at(...world.position(device, time));
      const faint = focus.device !== null && device !== focus.device && device !== followed;
      layers[faint ? 0 : 1].devices.push(device);
    }
    // What each device works on: a task at its CPU, one on its uplink.
    const computing = new Uint8Array(world.devices);
    const sending = new Map();
    for (const item of drawing.scene(slot).items) {
      const device = tasks.device[item.task];
      if (item.place === Place.CPU) computing[device] = 1;
      else if (item.place === Place.SENDING) sending.set(device, item);
    }
    const moment = { time, slot, entry: world.entry(slot), followed, chosen: focus.device, computing, sending, layers };

    this.paintBackdrop(moment);
    context.drawImage(this.backdrop, 0, 0, this.width, this.height);
    if (!this.steady) this.paintLines(context, moment, (device) => this.point(device));
    this.links = [];
    for (const layer of layers) {
      this.drawTasks(layer, moment);
      this.drawDevices(layer, moment);
      if (slot < system.slots) this.drawHandovers(layer, moment);
    }
    this.drawDrops(moment, fade);
    world.stations.forEach(([x, y], station) => {
      const [left, top] = this.at(x, y);
      const { canvas, width, height } = this.marks[station];
      context.drawImage(canvas, Math.round(left) - 10, Math.round(top) - 10, width, height);
    });
    if (followed !== null) this.drawFollowed(followed, focus, ...this.point(followed));
    this.time = time;
    this.write(moment);
  }

  /** Where a device was drawn last. */
  point(device) {
    return [this.points[2 * device], this.points[2 * device + 1]];
  }

  circle(x, y, radius) {
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
  }

  /** The background with what stays as it is during a slot, painted once in each. */
  paintBackdrop(moment) {
    const { slot, entry, followed, chosen, layers } = moment;
    const key = `${slot} ${followed} ${chosen}`;
    if (this.painted === key) return;
    this.painted = key;
    const context = this.backdropContext;
    context.drawImage(this.background, 0, 0, this.width, this.height);
    this.paintLoads(context, slot);
    if (world.devices <= MOST_TRAILS) for (const layer of layers) this.paintTrails(context, layer, slot);
    if (followed !== null) this.paintWay(context, followed);
    if (this.steady) this.paintLines(context, moment, (device) => this.ways[device].subarray(2 * entry, 2 * entry + 2));
    if (!world.has.serving) return;
    const handovers = world.handovers[entry];
    context.fillStyle = this.colours.muted;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(`${handovers} ${handovers === 1 ? "handover" : "handovers"} so far`, this.foot[1], this.height - 9.5);
  }

  /** Discs at the stations: their areas show the active devices at the servers. */
  paintLoads(context, slot) {
    const { colours } = this;
    const active = slot > 0 ? this.run.columns.active[slot - 1] : [];
    context.fillStyle = colours.offloaded;
    context.strokeStyle = colours.offloaded;
    context.lineWidth = 1;
    world.stations.forEach(([x, y], station) => {
      if (!active[station]) return;
      context.beginPath();
      context.arc(...this.at(x, y), 7 + this.dot * 1.3 * Math.sqrt(active[station]), 0, 2 * Math.PI);
      context.globalAlpha = 0.16;
      context.fill();
      context.globalAlpha = 0.45;
      context.stroke();
    });
    context.globalAlpha = 1;
  }

  paintTrails(context, { devices, alpha }, slot) {
    context.strokeStyle = this.colours.muted;
    context.lineWidth = Math.max(1.5, this.dot * 0.7);
    context.lineJoin = "round";
    context.globalAlpha = 0.35 * alpha;
    context.beginPath();
    for (const device of devices) {
      if (world.moves[device]) this.traceWay(context, device, Math.max(0, slot - TRAIL_SLOTS), world.entry(slot));
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The whole way of a device. */
  paintWay(context, device) {
    context.strokeStyle = this.colours.muted;
    context.lineWidth = 1.5;
    context.globalAlpha = 0.7;
    context.beginPath();
    this.traceWay(context, device, 0, system.slots - 1);
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The lines of all devices, each from its `place`. */
  paintLines(context, moment, place) {
    for (const layer of moment.layers) {
      if (world.has.serving) this.paintServing(context, layer, moment, place);
      this.paintLinks(context, layer, moment, place);
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** Thin lines to the stations that serve; broken ones where nothing can be sent. */
  paintServing(context, { devices, alpha }, { entry, followed }, place) {
    const { colours } = this;
    for (const device of devices) {
      const station = world.serving[device][entry];
      if (station === 0) continue;
      const silent = world.silent[device][entry];
      context.strokeStyle = silent ? colours.dropped : device === followed ? colours.ink : colours.muted;
      context.lineWidth = silent ? 1.25 : 1;
      context.globalAlpha = alpha * (silent ? 0.9 : device === followed ? 1 : 0.35);
      context.setLineDash(silent ? [4, 3] : []);
      strokeBow(context, place(device), this.at(...world.stations[station - 1]));
    }
    context.setLineDash([]);
  }

  /** The links in use: lines that are the wider, the faster they are. */
  paintLinks(context, { devices, alpha }, { slot, entry, followed, sending }, place) {
    context.strokeStyle = this.colours.offloaded;
    for (const device of devices) {
      const [server, station] = this.link(device, sending, slot);
      if (station === 0) continue;
      const to = this.at(...world.stations[station - 1]);
      if (!world.silent[device][entry]) {
        context.globalAlpha = 0.75 * alpha;
        context.lineWidth = 0.75 + 2.75 * Math.sqrt(this.rates[sending.get(device).task] / this.fastest);
        strokeBow(context, place(device), to);
      }
      // The wire on to the server's own station, of the device that is followed alone.
      if (device === followed && server !== station && server <= world.stations.length) {
        context.globalAlpha = 1;
        context.lineWidth = 1.5;
        context.setLineDash([2, 4]);
        strokeBow(context, to, this.at(...world.stations[server - 1]));
        context.setLineDash([]);
      }
    }
  }

  /** The server to which a device sends, and the station over which it does; zeros if there is none. */
  link(device, sending, slot) {
    const item = sending.get(device);
    if (!item) return [0, 0];
    const server = this.run.columns.action[item.task];
    return [server, world.stationFor(device, server, slot)];
  }

  /** The tasks that are being sent, on their way. */
  drawTasks({ devices, alpha }, { time, slot, sending }) {
    const { context, colours } = this;
    const size = Math.max(2.5, this.dot * 1.3);
    context.globalAlpha = alpha;
    for (const device of devices) {
      const [, station] = this.link(device, sending, slot);
      if (station === 0) continue;
      this.links.push([device, station]);
      const { share, rate } = sending.get(device);
      const [x, y] = onBow(this.point(device), this.at(...world.stations[station - 1]), Math.min(1, share + rate * (time - slot)));
      context.fillStyle = colours.paper;
      context.fillRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
      context.fillStyle = colours.offloaded;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
    context.globalAlpha = 1;
  }

  /** Dots: hollow without work; one half for the CPU and one for the uplink if both work. */
  drawDevices({ devices, alpha }, { entry, computing, sending }) {
    const { context, colours, dot } = this;
    context.globalAlpha = alpha;
    for (const device of devices) {
      const [x, y] = this.point(device);
      const work = world.absent[device][entry] ? ABSENT : computing[device] + (sending.has(device) ? 2 : 0);
      const { canvas, size } = this.dots[work];
      context.drawImage(canvas, x - size / 2, y - size / 2, size, size);
      if (!world.silent[device][entry]) continue;
      context.strokeStyle = colours.dropped;
      context.lineWidth = 1.5;
      context.setLineDash([3, 2.5]);
      this.circle(x, y, dot + 3);
      context.stroke();
      context.setLineDash([]);
    }
    context.globalAlpha = 1;
  }

  /** Rings around devices that were handed over, which widen and fade. */
  drawHandovers({ devices, alpha }, { time, entry }) {
    const { context, colours, dot } = this;
    context.strokeStyle = colours.ink;
    context.lineWidth = Math.max(1, 0.4 * dot);
    for (const device of devices) {
      const since = world.handover[device][entry];
      const age = (time - since) / HANDOVER_SLOTS;
      if (since < 0 || age >= 1) continue;
      context.globalAlpha = alpha * (1 - age);
      this.circle(...this.point(device), dot * (2.2 + 1.4 * age));
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** Crosses at the devices whose tasks were dropped, for as long as on the side. */
  drawDrops({ time, slot, layers }, fade) {
    const { context, colours, dot } = this;
    const faint = new Set(layers[0].devices);
    const arm = Math.max(2.5, dot);
    for (let end = Math.max(1, slot - Math.ceil(fade)); end <= slot; end++) {
      const age = (time - end) / fade;
      if (age >= 1) continue;
      for (const task of this.run.endedIn[end]) {
        if (!this.run.columns.dropped[task]) continue;
        const device = tasks.device[task];
        const [x, y] = this.point(device);
        context.globalAlpha = (1 - age * age) * (faint.has(device) ? layers[0].alpha : 1);
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

  /** A station's mark and number, painted once: the station itself is at (10, 10). */
  paintStation(station) {
    const { colours } = this;
    const [width, height] = [52, 20];
    const { canvas, context } = smallCanvas(width, height);
    context.font = "600 11px system-ui, sans-serif";
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = colours.paper;
    context.fillStyle = colours.ink;
    context.beginPath();
    context.moveTo(10, 3);
    context.lineTo(16, 14);
    context.lineTo(4, 14);
    context.closePath();
    context.stroke();
    context.fill();
    context.strokeText(String(station + 1), 19, 14);
    context.fillText(String(station + 1), 19, 14);
    return { canvas, width, height };
  }

  /** A dot, painted once: bit 0 of `work` is the CPU's, bit 1 the uplink's; or ABSENT. */
  paintDot(work) {
    const { colours, dot } = this;
    const size = 2 * Math.ceil(dot + 2);
    const { canvas, context } = smallCanvas(size, size);
    const circle = (radius) => {
      context.beginPath();
      context.arc(size / 2, size / 2, radius, 0, 2 * Math.PI);
    };
    circle(dot);
    context.lineWidth = 1.5;
    context.strokeStyle = colours.muted;
    if (work === ABSENT) {
      context.setLineDash([2, 2.5]);
      context.stroke();
      return { canvas, size };
    }
    context.fillStyle = [colours.paper, colours.local, colours.offloaded, colours.local][work];
    context.fill();
    if (work === 3) {
      context.beginPath();
      context.arc(size / 2, size / 2, dot, -Math.PI / 2, Math.PI / 2);
      context.fillStyle = colours.offloaded;
      context.fill();
    }
    if (work > 0) {
      context.lineWidth = 1;
      context.strokeStyle = colours.paper;
      circle(dot + 0.5);
    }
    context.stroke();
    return { canvas, size };
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
    const name = `device ${device}`;
    const room = context.measureText(name).width + dot + 16;
    // On the right, unless it ends there or a station has its number there.
    const taken = world.stations.some((station) => {
      const [stationX, stationY] = this.at(...station);
      return stationX > x - 16 && stationX < x + room && Math.abs(stationY - y + 8) < 14;
    });
    const side = x + room > this.width || (taken && x > room) ? -1 : 1;
    context.textAlign = side < 0 ? "right" : "left";
    context.lineWidth = 3;
    context.strokeStyle = colours.paper;
    context.strokeText(name, x + side * (dot + 9), y - 6);
    context.fillStyle = colours.ink;
    context.fillText(name, x + side * (dot + 9), y - 6);
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
  write({ slot, followed, computing, sending }) {
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
    const { silent, absent, handovers } = this.counts();
    const parts = [`${sending.size} of ${world.devices} devices send`];
    if (world.has.silent) parts.push(`${silent} cannot`);
    if (world.has.absent) parts.push(`${absent} are absent`);
    if (world.has.serving) parts.push(`${handovers} handovers so far`);
    this.canvas.setAttribute("aria-label", `Map of ${this.run.policy} in slot ${slot}: ${parts.join(", ")}.`);
  }

  /** Devices that can't send and that are absent, and the handovers so far. */
  counts() {
    const entry = world.entry(Math.floor(this.time));
    const count = (flags) => flags.reduce((sum, column) => sum + column[entry], 0);
    return { silent: count(world.silent), absent: count(world.absent), handovers: world.handovers[entry] };
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
      time: this.time,
      ...this.counts(),
      devices: Array.from({ length: world.devices }, (_, device) => [this.points[2 * device], this.points[2 * device + 1]]),
      stations: pairs(world.stations.map(([x, y]) => this.at(x, y))),
      links: pairs(this.links),
      pointed: pointedDevice,
    };
  }

  /** For tests: where a device is in the window. */
  locate(device) {
    const box = this.canvas.getBoundingClientRect();
    return { x: box.left + this.points[2 * device], y: box.top + this.points[2 * device + 1] };
  }
}

let turn = 0;

/** Draws the maps that are shown. While an episode plays, they take turns: little moves in a frame. */
function drawMaps(shown, time, fade) {
  turn += 1;
  shown.forEach((map, index) => {
    if (!now.playing || turn % shown.length === index) map.draw(time, now, fade);
  });
}
