// The layout: where the parts of the system are on the canvas.

/**
 * Servers on top, devices at the bottom, the uplinks between them. `size.width` is given in CSS
 * pixels; the height follows from it.
 *
 * A device's cell is a column: waiting tasks of its uplink above its body (the next one to be sent at
 * the top), those of its CPU below it (the one in service at the bottom).
 */
function layout(system, size) {
  const gutter = 16;
  const width = size.width - gutter;
  const gap = 6;
  const serverRows = Math.ceil(system.servers / Math.max(1, Math.floor((width + gap) / (58 + gap))));
  const serverColumns = Math.max(1, Math.ceil(system.servers / serverRows));
  const serverWidth = (width - gap * (serverColumns - 1)) / serverColumns;
  const serverHeight = serverRows > 1 ? 84 : 108;

  const devices = system.shown_devices;
  const narrowest = devices > 150 ? 8 : 11;
  const deviceRows = Math.max(1, Math.ceil(devices / Math.max(1, Math.floor(width / narrowest))));
  const deviceColumns = Math.max(1, Math.ceil(devices / deviceRows));
  const pitch = Math.min(34, width / deviceColumns);
  const task = Math.max(5, Math.min(13, Math.floor(pitch) - 3));
  const depth = deviceRows > 2 ? 3 : 4;
  const queue = depth * (task + 2);
  const body = 6;
  // Room for the marks of what leaves the CPU and for the device's number.
  const below = task + 24;
  const cellHeight = 2 * queue + body + below;

  const linksTop = serverRows * (serverHeight + gap);
  const linksHeight = deviceRows > 2 ? 90 : 130;
  const devicesTop = linksTop + linksHeight;
  const left = gutter + (width - pitch * deviceColumns) / 2;
  return {
    width: size.width,
    height: devicesTop + deviceRows * cellHeight,
    task,
    pitch,
    queue,
    body,
    // What is where, written along the left edge: [words, middle].
    captions: [
      ["servers", linksTop / 2],
      ["sending", linksTop + linksHeight / 2],
      ...(deviceRows > 2
        ? [["devices", devicesTop + (deviceRows * cellHeight) / 2]]
        : Array.from({ length: deviceRows }, (_, row) => devicesTop + row * cellHeight + queue / 2).flatMap((top) => [
            ["uplinks", top + 2],
            ["CPUs", top + queue + body + 4],
          ])),
    ],
    servers: Array.from({ length: system.servers }, (_, index) => {
      const x = gutter + (index % serverColumns) * (serverWidth + gap);
      const y = Math.floor(index / serverColumns) * (serverHeight + gap);
      return { x, y, width: serverWidth, height: serverHeight, port: { x: x + serverWidth / 2, y: y + serverHeight } };
    }),
    devices: Array.from({ length: devices }, (_, index) => {
      const x = left + (index % deviceColumns) * pitch + pitch / 2;
      const top = devicesTop + Math.floor(index / deviceColumns) * cellHeight;
      const middle = top + queue + 4;
      const bottom = middle + body + queue;
      return { x, top, middle, bottom, exit: bottom + 3 + task / 2, label: bottom + task + 13, port: { x, y: top - 2 } };
    }),
  };
}

/** The grid of lanes in a server's box: one lane per device with tasks there, `peak` at most at once. */
function laneGrid(box, peak) {
  const header = 34;
  const [width, height] = [box.width - 10, box.height - header - 6];
  for (let size = 15; ; size -= 1) {
    const columns = Math.max(1, Math.floor((width + 2) / (size + 2)));
    const rows = Math.max(1, Math.ceil(peak / columns));
    const rowHeight = Math.min(height / rows, 4 * (size + 2));
    if (rowHeight >= size + 3 || size <= 3) {
      return { x: box.x + 5, y: box.y + header, columns, rowHeight, size, pitch: size + 2 };
    }
  }
}
