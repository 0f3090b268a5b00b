//! Positions: where devices or stations stand, in metres or as latitude and longitude.

use std::path::Path;

use crate::columns::Columns;
use crate::fault::FileFault;
use crate::table::{ANY, ENDINGS, Expected, Kind, Table};

/// A position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositionRow {
    /// Metres to the east of the origin.
    pub x_m: f64,
    /// Metres to the north of the origin.
    pub y_m: f64,
}

/// The positions of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// One per row, in the order of the file.
    pub rows: Vec<PositionRow>,
    /// What made metres of degrees; `None` if the file has metres.
    pub projection: Option<Projection>,
}

/// Metres to the east and north of an origin, from latitude and longitude.
///
/// A transverse Mercator projection to second order in the distance, on the ellipsoid WGS 84: the meridian
/// of the origin is straight, and a point's distance from it is measured along its own parallel,
///
/// ```text
/// x = N·cos φ·Δλ        y = M·(φ − φ₀) + N·sin φ·cos φ·Δλ²/2
/// ```
///
/// with N and M, the radii of curvature across and along the meridian, at φ and half way to it. The largest
/// error of a distance between two points, against geodesics (Karney's, GeographicLib), by how far they may be
/// from the origin:
///
/// | latitude of the origin | 10 km | 50 km | 100 km | 250 km |
/// |---|---|---|---|---|
/// | 0° | 0.0001 % | 0.003 % | 0.01 % | 0.06 % |
/// | 38° (Melbourne) | 0.0001 % | 0.003 % | 0.01 % | 0.06 % |
/// | 60° | 0.0003 % | 0.007 % | 0.03 % | 0.17 % |
/// | 79° | 0.002 % | 0.07 % | 0.23 % | 1.5 % |
///
/// The plain equirectangular projection, x = R·cos φ₀·Δλ, would be wrong by up to 0.8 % within 50 km of
/// Melbourne: the Earth is not a sphere, and meridians approach each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// Degrees.
    latitude: f64,
    longitude: f64,
}

/// Upper bound on the distance from the origin, m.
const MAX_REACH_M: f64 = 250e3;

/// Upper bound on latitudes, degrees: parallels near the poles are too curved.
const MAX_LATITUDE: f64 = 80.0;

/// A degree of latitude, m: a little less than the shortest.
const METRES_PER_DEGREE: f64 = 110_000.0;

/// WGS 84: the larger half axis, m, and the square of the eccentricity.
const AXIS_M: f64 = 6_378_137.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_694_379_990_141_317;

impl Projection {
    /// Around an origin: its latitude, −80° to 80°, and longitude, −180° to 180°. `None` beyond these.
    pub fn around(latitude: f64, longitude: f64) -> Option<Self> {
        let is_valid = (LATITUDE.accepts)(latitude) && (LONGITUDE.accepts)(longitude);
        is_valid.then_some(Self { latitude, longitude })
    }

    /// Latitude and longitude of the origin, degrees.
    pub fn origin(self) -> (f64, f64) {
        (self.latitude, self.longitude)
    }

    /// The position of a point, latitude and longitude in degrees. It is meant for points within 250 km.
    pub fn position(self, latitude: f64, longitude: f64) -> PositionRow {
        let curvature = |latitude: f64| 1.0 - ECCENTRICITY_SQUARED * latitude.sin().powi(2);
        let (from, to) = (self.latitude.to_radians(), latitude.to_radians());
        // Across the line where the day changes, too.
        let east = (longitude - self.longitude + 540.0).rem_euclid(360.0) - 180.0;
        let east = east.to_radians();
        let across = AXIS_M / curvature(to).sqrt();
        let along = AXIS_M * (1.0 - ECCENTRICITY_SQUARED) / curvature((from + to) / 2.0).powf(1.5);
        PositionRow {
            x_m: across * to.cos() * east,
            y_m: along * (to - from) + across * to.sin() * to.cos() * east * east / 2.0,
        }
    }
}

const POSITIONS: Kind = Kind {
    rows: "positions",
    measured: &["x_m", "y_m", "latitude", "longitude"],
    counted: &[],
    texts: &[],
    endings: ENDINGS,
    expected: "the columns x_m and y_m, or latitude and longitude, and a row for each position",
};

const LATITUDE: Expected = Expected {
    description: "a latitude, -80 to 80 degrees",
    accepts: |latitude| latitude.abs() <= MAX_LATITUDE,
};
const LONGITUDE: Expected = Expected {
    description: "a longitude, -180 to 180 degrees",
    accepts: |longitude| longitude.abs() <= 180.0,
};

/// Reads positions: CSV or Parquet, by the ending of the file's name (`.csv`, `.tsv` or `.txt`, each also
/// with `.gz`, or `.parquet`).
///
/// | column | unit | cells |
/// |---|---|---|
/// | `x_m`, `y_m` | m | numbers |
/// | `latitude`, `longitude` | ° | instead, if there is no `x_m`: −80 to 80, −180 to 180 |
///
/// Degrees become metres by `around`, the projection of a file that was read before, or one of your own;
/// without it, around the south-western corner of this file, so that no position is negative.
///
/// # Errors
/// [`FileFault`]; also for a point more than 250 km from the origin.
pub fn positions(
    path: &Path,
    columns: &Columns,
    around: Option<Projection>,
) -> Result<Positions, FileFault> {
    let mut table = Table::open(path, columns, POSITIONS)?;
    let (name, first) = table.one_of(["x_m", "latitude"])?;
    let is_metric = name == "x_m";
    let second = table.need(if is_metric { "y_m" } else { "longitude" })?;
    let (of_first, of_second) = if is_metric { (ANY, ANY) } else { (LATITUDE, LONGITUDE) };
    let mut pairs = Vec::new();
    while table.advance()? {
        pairs.push((table.number(&first, of_first)?, table.number(&second, of_second)?));
    }
    if is_metric {
        let rows = pairs.into_iter().map(|(x_m, y_m)| PositionRow { x_m, y_m }).collect();
        return Ok(Positions { rows, projection: None });
    }
    let projected = |projection: Projection| -> Vec<PositionRow> {
        let row = |&(latitude, longitude): &_| projection.position(latitude, longitude);
        pairs.iter().map(row).collect()
    };
    let mut projection = around.unwrap_or_else(|| corner(&pairs));
    let mut rows = projected(projection);
    let south_m = rows.iter().map(|row| row.y_m).fold(0.0, f64::min);
    let is_far = |row: &PositionRow| row.x_m.hypot(row.y_m) > MAX_REACH_M;
    if around.is_none() && south_m < 0.0 && !rows.iter().any(is_far) {
        // South of the corner by the curvature of its parallel.
        projection.latitude += south_m / METRES_PER_DEGREE;
        rows = projected(projection);
    }
    match rows.iter().position(is_far) {
        None => Ok(Positions { rows, projection: Some(projection) }),
        Some(far) => {
            let ((latitude, longitude), (south, west)) = (pairs[far], projection.origin());
            Err(FileFault::Far {
                path: path.into(),
                row: far as u64 + 1,
                latitude,
                longitude,
                south,
                west,
            })
        }
    }
}

/// The south-western corner of points, latitude and longitude.
fn corner(points: &[(f64, f64)]) -> Projection {
    let south = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
    // The western one of points on both sides of the line where the day changes is the easternmost number.
    let first = points.first().map_or(0.0, |point| point.1);
    let east = |longitude: f64| (longitude - first + 540.0).rem_euclid(360.0) - 180.0;
    let west = points.iter().map(|point| point.1).min_by(|a, b| east(*a).total_cmp(&east(*b)));
    Projection { latitude: south, longitude: west.unwrap_or(0.0) }
}
