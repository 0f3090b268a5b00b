//! Movement against theory, through the public interface.

use super::*;
use crate::distribution::Distribution;
use crate::world::statistics::{assert_mean, mean};

const AREA: Area = Area { width_m: 1299.0, height_m: 750.0 };
const SLOT: f64 = 0.5;

fn motion(mobility: &Mobility, devices: u32) -> Motion {
    Motion::new(mobility, AREA, devices, SLOT, 1, 0).unwrap()
}

fn waypoint(pause_slots: Distribution) -> Mobility {
    Mobility::RandomWaypoint(RandomWaypoint { speed_mps: (1.0, 20.0), pause_slots })
}

fn gauss_markov() -> GaussMarkov {
    GaussMarkov { mean_speed_mps: 3.0, memory: 0.9, sigma_mps: 1.5 }
}

fn all_models() -> Vec<Mobility> {
    let tracks = (0..3).flat_map(|device| {
        [0.0, 3.0, 10.0].map(|time_s| {
            let place = Position { x_m: 100.0 + 7.0 * time_s, y_m: 50.0 * f64::from(device) };
            Sample { time_s: time_s + f64::from(device), device, place }
        })
    });
    vec![
        Mobility::Static(Placement::Uniform),
        waypoint(Distribution::Uniform(0.0, 30.0)),
        Mobility::RandomWaypoint(RandomWaypoint {
            speed_mps: (25.0, 25.0),
            pause_slots: Distribution::Constant(0.0),
        }),
        Mobility::GaussMarkov(gauss_markov()),
        Mobility::Manhattan(Manhattan { speed_mps: (5.0, 30.0), ..Manhattan::default() }),
        Mobility::Recorded(Arc::new(Tracks::new(&tracks.collect::<Vec<_>>()).unwrap())),
    ]
}

/// A device's trajectory, as bits.
fn path(mobility: &Mobility, devices: u32, device: u32, slots: u32) -> Vec<[u64; 4]> {
    let mut motion = motion(mobility, devices);
    let state = |motion: &Motion| {
        let Position { x_m, y_m } = motion.position(device);
        [x_m, y_m, motion.speed_mps(device), motion.travelled_m(device)].map(f64::to_bits)
    };
    (0..slots)
        .map(|_| {
            let state = state(&motion);
            motion.advance();
            state
        })
        .collect()
}

#[test]
fn trajectories_do_not_depend_on_the_number_of_devices() {
    for mobility in all_models() {
        let alone = path(&mobility, 4, 3, 300);
        assert_eq!(alone, path(&mobility, 400, 3, 300), "{mobility:?}");
    }
}

/// Trajectories are part of every result. The last bits of logarithms depend on the machine.
#[test]
fn trajectories_are_pinned() {
    let places: Vec<_> = all_models()
        .iter()
        .map(|mobility| {
            let mut motion = motion(mobility, 3);
            (0..100).for_each(|_| motion.advance());
            let place = motion.position(2);
            (place.x_m, place.y_m)
        })
        .collect();
    let pinned = [
        (564.5913722320179, 393.0308285179005),
        (591.1138499665406, 243.15882923413074),
        (471.2471323641099, 155.72857083632482),
        (598.0077585651969, 238.3553533090092),
        (989.348217867147, 369.75),
        (170.0, 100.0),
    ];
    let near = |((x, y), (to_x, to_y)): (&(f64, f64), (f64, f64))| {
        (x - to_x).abs() < 1e-6 && (y - to_y).abs() < 1e-6
    };
    assert!(places.iter().zip(pinned).all(near), "{places:?}");
}

#[test]
fn devices_stay_in_the_area_and_never_jump() {
    for mobility in all_models() {
        let mut motion = motion(&mobility, 60);
        for _ in 0..2_000 {
            let before: Vec<_> =
                (0..60).map(|i| (motion.position(i), motion.travelled_m(i))).collect();
            motion.advance();
            for (device, (place, travelled)) in (0..).zip(before) {
                let (now, moved) =
                    (motion.position(device), motion.travelled_m(device) - travelled);
                assert!(AREA.contains(now), "{mobility:?}: {now:?}");
                assert!(moved >= 0.0);
                // The straight line is the shortest, except across the lanes of two turns.
                let lanes = if matches!(mobility, Mobility::Manhattan(_)) { 15.0 } else { 1e-6 };
                assert!(place.distance_m(now) <= moved + lanes, "{mobility:?} {place:?} {now:?}");
                assert!(moved <= 30.0 * SLOT + 1e-9, "{mobility:?}: {moved} m in a slot");
            }
        }
    }
}

#[test]
fn random_waypoint_is_stationary_from_the_start() {
    let devices = 20_000;
    for pause in [Distribution::Constant(0.0), Distribution::Uniform(0.0, 200.0)] {
        let mut motion = motion(&waypoint(pause.clone()), devices);
        // Share of time spent pausing: mean pause over mean pause and mean leg.
        let inverse_speed = 20.0_f64.ln() / 19.0;
        let (a, b, d) = (AREA.width_m, AREA.height_m, AREA.diagonal_m());
        let mean_leg = ((a.powi(3) / b.powi(2) + b.powi(3) / a.powi(2))
            + d * (3.0 - (a / b).powi(2) - (b / a).powi(2)))
            / 15.0
            + (b * b / a * (d / b).acosh() + a * a / b * (d / a).acosh()) / 6.0;
        let mean_pause = if pause == Distribution::Constant(0.0) { 0.0 } else { 100.0 * SLOT };
        let pausing = mean_pause / (mean_pause + mean_leg * inverse_speed);
        let all = |motion: &Motion, of: fn(Position, f64) -> f64| {
            let of = |device| of(motion.position(device), motion.speed_mps(device));
            mean((0..devices).map(of).filter(|value| value.is_finite()))
        };
        let squared = |motion: &Motion| {
            all(motion, |place, _| {
                let (x, y) = (place.x_m / AREA.width_m - 0.5, place.y_m / AREA.height_m - 0.5);
                x * x + y * y
            })
        };
        let at_start = squared(&motion);
        // At once, before anybody has forgotten the start, and long after.
        for slots in [0, 50, 5_000] {
            (0..slots).for_each(|_| motion.advance());
            let moving = all(&motion, |_, v| if v > 0.0 { v } else { f64::NAN });
            assert_mean("speed while moving", moving, 19.0 / 20.0_f64.ln());
            let share = all(&motion, |_, v| f64::from(u8::from(v == 0.0)));
            assert_mean("share of time pausing", share, pausing);
            assert_mean("x", all(&motion, |place, _| place.x_m), 0.5 * AREA.width_m);
            assert_mean("y", all(&motion, |place, _| place.y_m), 0.5 * AREA.height_m);
            let (spread, error) = squared(&motion);
            assert_mean("spread about the middle", (spread, 2.0_f64.sqrt() * error), at_start.0);
        }
        // Nobody is spread uniformly, which would be 1/6: places in the middle are passed more often.
        assert!(at_start.0 < 1.0 / 6.0 - 10.0 * at_start.1);
    }
}

#[test]
fn gauss_markov_velocities_are_correlated_as_memory_to_the_lag() {
    let (model, devices) = (gauss_markov(), 20_000);
    // So large that nobody meets the border, which would turn velocities around.
    let area = Area { width_m: 1e7, height_m: 1e7 };
    let mobility = Mobility::GaussMarkov(model.clone());
    let mut motion = Motion::new(&mobility, area, devices, SLOT, 1, 0).unwrap();
    let deviations = |motion: &Motion| -> Vec<f64> {
        let Model::GaussMarkov(state) = &motion.model else { unreachable!() };
        state.velocity.iter().zip(&state.mean).map(|(v, mean)| v[0] - mean[0]).collect()
    };
    let start = deviations(&motion);
    for lag in 0..=20 {
        let products = start.iter().zip(deviations(&motion)).map(|(a, b)| a * b);
        let wanted = model.sigma_mps.powi(2) * model.memory.powi(lag);
        assert_mean(&format!("covariance at lag {lag}"), mean(products), wanted);
        motion.advance();
    }
    let squares = deviations(&motion).into_iter().map(|v| v * v);
    assert_mean("variance later", mean(squares), model.sigma_mps.powi(2));
}

#[test]
fn gauss_markov_fills_the_area_evenly() {
    let mut motion = motion(&Mobility::GaussMarkov(gauss_markov()), 20_000);
    for slot in 0..=1_000 {
        if slot % 500 == 0 {
            let squares = (0..20_000).map(|device| {
                let x = motion.position(device).x_m / AREA.width_m - 0.5;
                x * x
            });
            assert_mean("variance of x", mean(squares), 1.0 / 12.0);
        }
        motion.advance();
    }
}

#[test]
fn manhattan_vehicles_stay_on_their_lanes_and_turn_with_the_given_probabilities() {
    let model = Manhattan {
        speed_mps: (8.0, 17.0),
        turns: Turns { straight: 0.6, left: 0.3, right: 0.1 },
        ..Manhattan::default()
    };
    let (columns, rows) = model.streets(AREA);
    // Blocks of 433 m × 250 m.
    assert_eq!(columns, [216.5, 649.5, 1082.5]);
    assert_eq!(rows, [125.0, 375.0, 625.0]);
    let devices = 4_000;
    let mut motion = motion(&Mobility::Manhattan(model.clone()), devices);
    let total = 3.0 * (AREA.width_m + AREA.height_m);
    // Straight on, left, back at the border, right: by quarter turns to the left.
    let mut turned = [0_u32; 4];
    for slot in 0..=600 {
        let Model::Manhattan(state) = &motion.model else { unreachable!() };
        if slot % 300 == 0 {
            let horizontal = |device: u32| state.heading[device as usize].is_multiple_of(2);
            // The share of vehicles on a street is its share of all streets.
            let share = mean((0..devices).map(|i| f64::from(u8::from(horizontal(i)))));
            assert_mean("share on rows", share, 3.0 * AREA.width_m / total);
            let stub = mean((0..devices).map(|device| {
                f64::from(u8::from(horizontal(device) && motion.position(device).x_m < 216.5))
            }));
            assert_mean("share on western stubs", stub, 3.0 * 216.5 / total);
        }
        for device in 0..devices {
            let Position { x_m, y_m } = motion.position(device);
            let heading = state.heading[device as usize];
            let (lines, across) = if heading % 2 == 0 { (&rows, y_m) } else { (&columns, x_m) };
            // Lanes lie 1.75 m and 5.25 m from the middle line, to the right of the heading.
            let right = if heading == 0 || heading == 3 { -1.0 } else { 1.0 };
            let on_lane = lines.iter().any(|line| {
                let offset = (across - line) * right;
                (offset - 1.75).abs() < 1e-9 || (offset - 5.25).abs() < 1e-9
            });
            assert!(on_lane, "heading {heading} at ({x_m}, {y_m})");
        }
        let before = motion.clone();
        motion.advance();
        let (Model::Manhattan(from), Model::Manhattan(to)) = (&before.model, &motion.model) else {
            unreachable!()
        };
        for device in 0..devices as usize {
            let turn = (to.heading[device] + 4 - from.heading[device]) % 4;
            if to.node[device] != from.node[device] {
                turned[usize::from(turn)] += 1;
                continue;
            }
            let (here, there) = (before.position(device as u32), motion.position(device as u32));
            let (east, north) = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
                [usize::from(from.heading[device])];
            let ahead = (there.x_m - here.x_m) * east + (there.y_m - here.y_m) * north;
            let moved = motion.speed_mps(device as u32) * SLOT;
            assert!((ahead - moved).abs() < 1e-9 && (here.distance_m(there) - moved).abs() < 1e-9);
        }
    }
    let [straight, left, back, right] = turned;
    assert!(back > 0);
    let n = f64::from(straight + left + right);
    for (turned, wanted) in [(straight, 0.6), (left, 0.3), (right, 0.1)] {
        let share = f64::from(turned) / n;
        assert_mean("share of turns", (share, (share * (1.0 - share) / n).sqrt()), wanted);
    }
}

#[test]
fn recorded_devices_are_on_their_track() {
    let sample = |time_s, device, x_m, y_m| Sample { time_s, device, place: Position { x_m, y_m } };
    let tracks = Tracks::new(&[
        sample(0.0, 0, 10.0, 10.0),
        sample(2.0, 0, 40.0, 50.0),
        sample(3.0, 0, 40.0, 60.0),
        sample(1.0, 1, 5.0, 5.0),
        sample(1.75, 1, 5.0, 8.0),
    ])
    .unwrap();
    let mut motion = motion(&Mobility::Recorded(Arc::new(tracks)), 3);
    let mut seen = Vec::new();
    for _ in 0..8 {
        let row = |device| {
            let Position { x_m, y_m } = motion.position(device);
            (x_m, y_m, motion.speed_mps(device), motion.travelled_m(device))
        };
        seen.push((row(0), motion.is_present(0), row(1), motion.is_present(1)));
        assert!(!motion.is_present(2));
        motion.advance();
    }
    // Slots of half a second. Device 0: 50 m in 2 s, then 10 m in 1 s; device 1: 3 m in 0.75 s.
    assert_eq!(
        seen,
        [
            ((10.0, 10.0, 25.0, 0.0), true, (5.0, 5.0, 0.0, 0.0), false),
            ((17.5, 20.0, 25.0, 12.5), true, (5.0, 5.0, 0.0, 0.0), false),
            ((25.0, 30.0, 25.0, 25.0), true, (5.0, 5.0, 4.0, 0.0), true),
            ((32.5, 40.0, 25.0, 37.5), true, (5.0, 7.0, 4.0, 2.0), true),
            ((40.0, 50.0, 10.0, 50.0), true, (5.0, 8.0, 0.0, 3.0), false),
            ((40.0, 55.0, 10.0, 55.0), true, (5.0, 8.0, 0.0, 3.0), false),
            ((40.0, 60.0, 0.0, 60.0), true, (5.0, 8.0, 0.0, 3.0), false),
            ((40.0, 60.0, 0.0, 60.0), false, (5.0, 8.0, 0.0, 3.0), false),
        ]
    );
}

#[test]
fn recorded_tracks_end_in_the_right_slot_despite_rounding() {
    let sample = |time_s: f64| Sample {
        time_s,
        device: 0,
        place: Position { x_m: 100.0 * time_s + 100.0, y_m: 1.0 },
    };
    // A track that starts before slot 0 and ends in slot 3 or 7: 0.1 · 3 and 0.1 · 7 are rounded up.
    for last in [3, 7] {
        let samples = [sample(-1.0), sample(0.1 * 0.5), sample(f64::from(last) / 10.0)];
        let mobility = Mobility::Recorded(Arc::new(Tracks::new(&samples).unwrap()));
        let mut motion = Motion::new(&mobility, AREA, 1, 0.1, 1, 0).unwrap();
        for slot in 0..10 {
            assert_eq!(motion.is_present(0), slot <= last, "slot {slot}");
            let wanted = 10.0 * f64::from(slot.min(last));
            assert!((motion.travelled_m(0) - wanted).abs() < 1e-9, "slot {slot}");
            assert!((motion.position(0).x_m - 100.0 - wanted).abs() < 1e-9, "slot {slot}");
            motion.advance();
        }
    }
}

#[test]
fn faults_name_the_parameter() {
    let fault =
        |mobility: &Mobility| mobility.check(AREA, 2, SLOT).expect_err("a fault").to_string();
    let places = |places: &[(f64, f64)]| {
        let places = places.iter().map(|&(x_m, y_m)| Position { x_m, y_m }).collect();
        fault(&Mobility::Static(Placement::Listed(places)))
    };
    assert_eq!(places(&[(1.0, 1.0)]), "positions: 1 for 2 devices: one each is needed");
    assert_eq!(
        places(&[(1.0, 1.0), (2.0, 751.0)]),
        "positions: (2, 751) is outside the area of 1299 m × 750 m"
    );
    let speeds = |speed_mps| {
        let pause_slots = Distribution::Constant(0.0);
        fault(&Mobility::RandomWaypoint(RandomWaypoint { speed_mps, pause_slots }))
    };
    assert_eq!(speeds((0.0, 1.0)), "speed_mps: 0 is out of range: a number above 0 is needed");
    assert_eq!(speeds((2.0, 1.0)), "speed_mps: (2, 1) has its bounds the wrong way round");
    assert!(speeds((2.0, 1e6)).contains("more than 100 times 1299 m"));
    assert!(fault(&waypoint(Distribution::Constant(-1.0))).starts_with("pause_slots: -1 is"));
    let markov = GaussMarkov { memory: 1.1, ..gauss_markov() };
    assert!(fault(&Mobility::GaussMarkov(markov)).starts_with("memory: 1.1 is out of range"));
    let grid = |change: fn(&mut Manhattan)| {
        let mut model = Manhattan::default();
        change(&mut model);
        fault(&Mobility::Manhattan(model))
    };
    assert_eq!(grid(|model| model.lanes = 0), "lanes: at least one lane is needed");
    assert_eq!(grid(|model| model.turns.left = 0.5), "turns: 0.5, 0.5 and 0.25 do not add up to 1");
    assert_eq!(grid(|model| model.block_m.1 = 800.0), "block_m: 800 m do not fit the area's 750 m");
    assert_eq!(grid(|model| model.lane_m = 70.0), "block_m: 250 m: a street alone is 280 m wide");
    let place = Position { x_m: 1.0, y_m: 1.0 };
    let tracks = |device, place| {
        let tracks = Tracks::new(&[Sample { time_s: 0.0, device, place }]).unwrap();
        fault(&Mobility::Recorded(Arc::new(tracks)))
    };
    assert_eq!(tracks(2, place), "tracks: tracks of 3 devices: the system has 2");
    assert!(tracks(0, Position { x_m: -1.0, y_m: 1.0 }).starts_with("tracks: (-1, 1) is outside"));
}
