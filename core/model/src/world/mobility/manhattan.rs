//! Manhattan: vehicles on the streets of a grid.

use super::{Area, Bodies, Position, check_speeds, check_step};
use crate::distribution::Range;
use crate::rng::Stream;
use crate::world::{InvalidWorld, check};

/// The urban grid of 3GPP TR 36.885, annex A.1.2. Streets lie one block apart and are centred in
/// the area, as many as fit ([`Manhattan::streets`]), so that an area of 1299 m × 750 m has 3 × 3
/// crossings. Vehicles keep to the right, each in a lane and at a speed that it draws once. At each
/// crossing a vehicle turns by [`Turns`].
///
/// Where a street ends at the border, a vehicle turns back on the other side: it stands for one
/// that leaves and one that enters. The report wraps around instead; then a vehicle would jump
/// across the area, and its serving station, shadowing and distances with it. Both keep the density
/// of vehicles uniform along the streets, so the start, drawn uniformly, is stationary.
///
/// A turn takes place in the middle of the crossing; the step across lanes that it makes takes no
/// time and adds nothing to the distance travelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Manhattan {
    /// Distance between streets, metres, from west to east and from south to north; wider than all
    /// lanes of a street.
    pub block_m: (f64, f64),
    /// Lanes per direction, at least 1.
    pub lanes: u32,
    /// Width of a lane, metres, above 0.
    pub lane_m: f64,
    /// Speed of a vehicle, m/s: uniform between the two, the lower one above 0.
    pub speed_mps: (f64, f64),
    /// Turns at crossings.
    pub turns: Turns,
}

/// Probabilities at a crossing, each 0 … 1, together 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turns {
    /// Straight on.
    pub straight: f64,
    /// To the left.
    pub left: f64,
    /// To the right.
    pub right: f64,
}

impl Default for Manhattan {
    /// The report's values: blocks of 433 m × 250 m, two lanes of 3.5 m per direction, 60 km/h,
    /// straight on with probability 0.5.
    fn default() -> Self {
        Self {
            block_m: (433.0, 250.0),
            lanes: 2,
            lane_m: 3.5,
            speed_mps: (60.0 / 3.6, 60.0 / 3.6),
            turns: Turns { straight: 0.5, left: 0.25, right: 0.25 },
        }
    }
}

impl Manhattan {
    pub(super) fn check(&self, area: Area, slot_seconds: f64) -> Result<(), InvalidWorld> {
        let fail = |parameter, fault| Err(InvalidWorld { parameter, fault });
        check_speeds(self.speed_mps)?;
        check("lane_m", self.lane_m, Range::Positive)?;
        let Turns { straight, left, right } = self.turns;
        for probability in [straight, left, right] {
            check("turns", probability, Range::Unit)?;
        }
        if (straight + left + right - 1.0).abs() > 1e-9 {
            return fail("turns", format!("{straight}, {left} and {right} do not add up to 1"));
        }
        if self.lanes == 0 {
            return fail("lanes", "at least one lane is needed".into());
        }
        let street = 2.0 * f64::from(self.lanes) * self.lane_m;
        for (block, extent) in [(self.block_m.0, area.width_m), (self.block_m.1, area.height_m)] {
            check("block_m", block, Range::Positive)?;
            if block > extent {
                return fail("block_m", format!("{block} m do not fit the area's {extent} m"));
            }
            if extent / block > 1e6 {
                return fail("block_m", format!("{block} m are too small for {extent} m"));
            }
            if street >= block {
                return fail("block_m", format!("{block} m: a street alone is {street} m wide"));
            }
            check_step(self.speed_mps.1, slot_seconds, block)?;
        }
        Ok(())
    }

    /// The middle lines of the streets: x of those from south to north, y of those from west to
    /// east, metres.
    pub fn streets(&self, area: Area) -> (Vec<f64>, Vec<f64>) {
        let lines = |block: f64, extent: f64| {
            // A whole number of blocks must not lose one to rounding.
            let count = (extent / block + 1e-9) as usize;
            let first = 0.5 * (extent - (count - 1) as f64 * block);
            (0..count).map(|street| first + street as f64 * block).collect()
        };
        (lines(self.block_m.0, area.width_m), lines(self.block_m.1, area.height_m))
    }
}

/// East, north, west and south: quarter turns to the left of east.
type Heading = u8;

/// Steps to the east and to the north by heading.
const STEPS: [(i32, i32); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// A node of the grid: the crossing of two streets, counted from 1, or the end of a street at the
/// border, where one of the numbers is 0 or one more than there are streets.
type Node = (i32, i32);

/// The vehicles, one entry each, and the grid.
#[derive(Clone, Debug)]
pub(super) struct State {
    turns: Turns,
    /// Coordinates of nodes along each axis: the border, the streets, the border.
    lines: [Vec<f64>; 2],
    pub(super) heading: Vec<Heading>,
    /// The next node ahead.
    pub(super) node: Vec<Node>,
    /// Metres to the next node.
    remaining_m: Vec<f64>,
    /// Metres from the middle line to the vehicle's lane.
    lane: Vec<f64>,
    stream: Vec<Stream>,
}

impl State {
    pub(super) fn new(
        model: &Manhattan,
        bodies: &mut Bodies,
        streams: impl ExactSizeIterator<Item = Stream>,
    ) -> Self {
        let devices = streams.len();
        let Area { width_m, height_m } = bodies.area;
        let (x, y) = model.streets(bodies.area);
        let with_border = |streets: Vec<f64>, extent| {
            std::iter::once(0.0).chain(streets).chain(std::iter::once(extent)).collect()
        };
        let mut state = Self {
            turns: model.turns,
            lines: [with_border(x, width_m), with_border(y, height_m)],
            heading: vec![0; devices],
            node: vec![(0, 0); devices],
            remaining_m: vec![0.0; devices],
            lane: vec![0.0; devices],
            stream: streams.collect(),
        };
        for device in 0..devices {
            state.start(model, bodies, device);
        }
        state
    }

    /// Places a vehicle uniformly along all streets, in either direction.
    fn start(&mut self, model: &Manhattan, bodies: &mut Bodies, device: usize) {
        let stream = &mut self.stream[device];
        let extent = [bodies.area.width_m, bodies.area.height_m];
        let [x_lines, y_lines] = &self.lines;
        let (rows, columns) = (y_lines.len() - 2, x_lines.len() - 2);
        let eastward = rows as f64 * extent[0];
        let northward = columns as f64 * extent[1];
        let drawn = stream.uniform() * (eastward + northward);
        // The axis of the street, its number counted from 1, and the place along it.
        let (axis, along, streets) =
            if drawn < eastward { (0, drawn, rows) } else { (1, drawn - eastward, columns) };
        let street = ((along / extent[axis]) as usize).min(streets - 1);
        let along = (along - street as f64 * extent[axis]).clamp(0.0, extent[axis]);
        let ahead = self.lines[axis].partition_point(|&line| line <= along);
        let backward = stream.below(2);
        let ahead = (ahead - backward).min(self.lines[axis].len() - 1);
        let lane = (stream.below(model.lanes as usize) as f64 + 0.5) * model.lane_m;
        let (low, high) = model.speed_mps;
        bodies.speed_mps[device] = low + (high - low) * stream.uniform();
        self.lane[device] = lane;
        let (street, next) = (street as i32 + 1, ahead as i32);
        let node = if axis == 0 { (next, street) } else { (street, next) };
        let remaining_m = (self.lines[axis][ahead] - along).abs();
        self.enter(bodies, device, (axis + 2 * backward) as Heading, node, remaining_m);
    }

    /// Puts a vehicle on its lane, `remaining_m` before a node.
    fn enter(
        &mut self,
        bodies: &mut Bodies,
        device: usize,
        heading: Heading,
        node: Node,
        remaining_m: f64,
    ) {
        self.heading[device] = heading;
        self.node[device] = node;
        self.remaining_m[device] = remaining_m;
        let (east, north) = step(heading);
        let lane = self.lane[device];
        let place = self.place(node);
        // The right-hand side of (east, north) is (north, −east).
        let x_m = place.x_m - remaining_m * east + lane * north;
        let y_m = place.y_m - remaining_m * north - lane * east;
        bodies.place(device, Position { x_m, y_m });
    }

    fn place(&self, (column, row): Node) -> Position {
        let [x, y] = &self.lines;
        Position { x_m: x[column as usize], y_m: y[row as usize] }
    }

    pub(super) fn advance(&mut self, bodies: &mut Bodies) {
        for device in 0..self.remaining_m.len() {
            let step_m = bodies.speed_mps[device] * bodies.slot_seconds;
            bodies.travelled_m[device] += step_m;
            if self.remaining_m[device] > step_m {
                self.remaining_m[device] -= step_m;
                let (east, north) = step(self.heading[device]);
                bodies.x_m[device] += step_m * east;
                bodies.y_m[device] += step_m * north;
            } else {
                self.pass_nodes(bodies, device, step_m);
            }
        }
    }

    /// A slot in which a vehicle reaches nodes.
    fn pass_nodes(&mut self, bodies: &mut Bodies, device: usize, mut step_m: f64) {
        while self.remaining_m[device] <= step_m {
            step_m -= self.remaining_m[device];
            let node = self.node[device];
            let heading = self.turn(device, node);
            let (east, north) = STEPS[usize::from(heading)];
            let next = (node.0 + east, node.1 + north);
            let remaining_m = self.place(node).distance_m(self.place(next));
            self.enter(bodies, device, heading, next, remaining_m);
        }
        let (heading, node) = (self.heading[device], self.node[device]);
        let remaining_m = self.remaining_m[device] - step_m;
        self.enter(bodies, device, heading, node, remaining_m);
    }

    /// The heading out of a node.
    fn turn(&mut self, device: usize, (column, row): Node) -> Heading {
        let heading = self.heading[device];
        let [x, y] = &self.lines;
        let inside = |number: i32, lines: &[f64]| number > 0 && (number as usize) < lines.len() - 1;
        if !inside(column, x) || !inside(row, y) {
            return (heading + 2) % 4;
        }
        let drawn = self.stream[device].uniform();
        let Turns { straight, left: to_left, .. } = self.turns;
        let choice = usize::from(drawn >= straight) + usize::from(drawn >= straight + to_left);
        (heading + [0, 1, 3][choice]) % 4
    }
}

/// The unit vector of a heading.
#[inline]
fn step(heading: Heading) -> (f64, f64) {
    let (east, north) = STEPS[usize::from(heading)];
    (f64::from(east), f64::from(north))
}
