use offramp_recorded::{PositionRow, Projection, positions};

use super::{Desk, check_fault, example, plain};

#[test]
fn metres_are_taken_as_they_are() {
    let desk = Desk::new();
    let path = desk.file("a.csv", "name,y_m,x_m,latitude,longitude\na,1,2,,\nb,-3,4.5,,\n");
    let read = positions(&path, &plain(), None).unwrap();
    assert_eq!(read.projection, None);
    let expected = [PositionRow { x_m: 2.0, y_m: 1.0 }, PositionRow { x_m: 4.5, y_m: -3.0 }];
    assert_eq!(read.rows, expected);
}

/// Geodesics by GeographicLib 2.1: latitude and longitude of the origin and a point, and its distance, m.
const GEODESICS: [([f64; 4], f64); 3] = [
    ([-37.82, 144.95, -37.5, 145.3], 47_065.702_893_648_67),
    ([60.0, 24.6, 60.2, 25.4], 49_771.402_747_651_67),
    // Across the line where the day changes.
    ([0.0, 179.9, 0.2, -179.9], 31_380.663_158_747_277),
];

#[test]
fn distances_are_those_of_geodesics() {
    for ([south, west, latitude, longitude], distance) in GEODESICS {
        let PositionRow { x_m, y_m } =
            Projection::around(south, west).unwrap().position(latitude, longitude);
        assert!((x_m.hypot(y_m) / distance - 1.0).abs() < 3e-5, "{x_m} {y_m} {distance}");
        assert!(x_m > 0.0 && y_m > 0.0);
    }
    let origin = Projection::around(-37.82, 144.95).unwrap();
    assert_eq!(origin.position(-37.82, 144.95), PositionRow { x_m: 0.0, y_m: 0.0 });
    assert_eq!(origin.origin(), (-37.82, 144.95));
    for (latitude, longitude) in [(80.1, 0.0), (-90.0, 0.0), (0.0, 180.5), (f64::NAN, 0.0)] {
        assert_eq!(Projection::around(latitude, longitude), None);
    }
}

#[test]
fn the_south_western_corner_is_the_origin() {
    let desk = Desk::new();
    let path = desk.file("a.csv", "LATITUDE,LONGITUDE\n0.1,-179.9\n0,-179.8\n0.2,179.9\n");
    let read = positions(&path, &plain(), None).unwrap();
    assert_eq!(read.projection.unwrap().origin(), (0.0, 179.9));
    assert!(read.rows.iter().all(|row| row.x_m >= 0.0 && row.y_m >= 0.0), "{:?}", read.rows);
}

#[test]
fn two_files_share_an_origin() {
    let sites = example("eua-melbourne/site-optus-melbCBD.csv");
    let users = example("eua-melbourne/users-melbcbd-generated.csv");
    let sites = positions(&sites, &plain(), None).unwrap();
    let users = positions(&users, &plain(), sites.projection).unwrap();
    assert_eq!((sites.rows.len(), users.rows.len()), (125, 816));
    assert_eq!(sites.projection, users.projection);
    // Melbourne's centre is 1.8 km by 2.1 km large.
    for row in sites.rows.iter().chain(&users.rows) {
        assert!(
            (-500.0..3000.0).contains(&row.x_m) && (-500.0..3000.0).contains(&row.y_m),
            "{row:?}"
        );
    }
}

#[test]
fn each_bad_file_is_refused() {
    let check = |text: &str, expected: &str| {
        check_fault(positions(&Desk::new().file("a.csv", text), &plain(), None), expected);
    };
    check("", "has no rows; expected the columns x_m and y_m, or latitude and longitude");
    check("lat,lon\n0,0\n", "has no column `x_m` or `latitude`; it has `lat`, `lon`;");
    check("latitude,lon\n0,0\n", "has no column `longitude`; it has `latitude`, `lon`;");
    check("x_m\n0\n", "has no column `y_m`; it has `x_m`;");
    check("latitude,longitude\n91,0\n", "found `91`; expected a latitude, -80 to 80 degrees");
    check("latitude,longitude\n0,181\n", "found `181`; expected a longitude, -180 to 180 degrees");
    check("latitude,longitude\n0,NaN\n", "found `NaN`; expected a longitude");
    check("latitude,longitude\n,0\n", "found an empty cell; expected a latitude");
    check(
        "latitude,longitude\n-37.8,145\n-37.8,144.9\n0,0\n",
        "row 1: the point at latitude -37.8, longitude 145 is more than 250 km from the origin at -37.8, 0; \
         is it a wrong row, or are the columns exchanged?",
    );
}
