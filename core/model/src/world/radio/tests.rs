//! The channel against the standard's formulas and against theory.

use super::*;
use crate::world::special::exponential_integral_scaled;
use crate::world::statistics::{assert_mean, mean};

fn parameters(path_loss: PathLoss) -> RadioParameters {
    RadioParameters { fading: Fading::None, ..RadioParameters::new(path_loss) }
}

fn radio(path_loss: PathLoss) -> Radio {
    Radio::new(parameters(path_loss)).unwrap()
}

fn still(distance_m: f64) -> Whereabouts {
    Whereabouts { distance_m, travelled_m: 0.0, fade: Fade::at_start(0.0) }
}

/// A row: 2-D distance, loss in and out of line of sight, probability of a line of sight.
type Row = (f64, f64, f64, f64);

/// Computed apart from this code from the formulas of tables 7.4.1-1 and 7.4.2-1.
const UMI_3_5_GHZ: [Row; 9] = [
    (10.0, 66.761033, 73.45686, 1.0),
    (18.0, 70.560038, 79.842807, 1.0),
    (30.0, 74.653029, 86.72293, 0.77383928),
    (100.0, 85.314189, 104.643832, 0.23098475),
    (200.0, 91.61122, 115.228841, 0.09351799),
    // Beyond the break point at 210 m.
    (250.0, 95.080076, 118.644788, 0.07289457),
    (500.0, 107.11375, 129.264505, 0.0360009),
    (1000.0, 119.153068, 139.889203, 0.018),
    (3000.0, 138.23736, 156.731091, 0.006),
];
const UMA_3_5_GHZ: [Row; 9] = [
    (10.0, 69.839916, 79.415012, 1.0),
    (18.0, 71.250269, 81.920313, 1.0),
    (30.0, 73.663816, 86.20765, 0.84845806),
    (100.0, 83.138157, 103.037524, 0.34767084),
    (200.0, 89.569525, 114.461973, 0.12804773),
    (250.0, 91.678067, 118.20751, 0.08954515),
    (500.0, 98.269242, 129.915834, 0.03634458),
    // Beyond the break point at 560 m.
    (1000.0, 109.411895, 141.666046, 0.01800013),
    (3000.0, 128.492482, 160.30778, 0.006),
];
/// Devices at 3 m.
const UMI_28_GHZ: [Row; 3] = [
    (10.0, 84.161616, 91.131204, 1.0),
    (100.0, 103.365451, 123.411934, 0.23098475),
    (3000.0, 134.362732, 175.516888, 0.006),
];
/// Devices at 10 m.
const UMA_2_GHZ: [Row; 3] = [
    (10.0, 61.651317, 63.542801, 1.0),
    (100.0, 78.126896, 92.809421, 0.34767084),
    (3000.0, 110.517387, 150.346711, 0.006),
];

#[test]
fn losses_are_those_of_the_standard() {
    for (path_loss, frequency_ghz, device_height_m, rows) in [
        (PathLoss::Umi, 3.5, 1.5, &UMI_3_5_GHZ[..]),
        (PathLoss::Uma, 3.5, 1.5, &UMA_3_5_GHZ),
        (PathLoss::Umi, 28.0, 3.0, &UMI_28_GHZ),
        (PathLoss::Uma, 2.0, 10.0, &UMA_2_GHZ),
    ] {
        let parameters =
            RadioParameters { frequency_ghz, device_height_m, ..parameters(path_loss) };
        let radio = Radio::new(parameters).unwrap();
        for &(distance, los, nlos, probability) in rows {
            let near = |value: f64, wanted: f64| {
                assert!((value - wanted).abs() < 1e-6, "{path_loss:?} {distance}: {value}");
            };
            near(radio.los_loss_db(distance), los);
            near(radio.nlos_loss_db(distance), nlos);
            near(radio.los_probability(distance), probability);
        }
    }
}

#[test]
fn nlos_loss_is_at_least_the_los_loss() {
    // At equal heights and 2 m the formula out of sight alone is 43.57 dB, below 49.60 dB in sight.
    let heights = RadioParameters {
        station_height_m: 5.0,
        device_height_m: 5.0,
        ..parameters(PathLoss::Umi)
    };
    let radio = Radio::new(heights).unwrap();
    assert!((radio.los_loss_db(2.0) - 49.603).abs() < 1e-3);
    assert_eq!(radio.nlos_loss_db(2.0), radio.los_loss_db(2.0));
}

#[test]
fn free_space_and_log_distance_are_lines_over_the_logarithm() {
    let free = radio(PathLoss::FreeSpace);
    // 20·log₁₀(4π·1000·3.5·10⁹/(3·10⁸)) = 103.324 dB at 1 km from 8.5 m above: +0.0003 dB.
    assert!((free.los_loss_db(1_000.0) - 103.324).abs() < 1e-3);
    assert_eq!(free.los_probability(1e6), 1.0);
    let path_loss = PathLoss::LogDistance { exponent: 3.0, reference_db: 40.0 };
    let radio = Radio::new(RadioParameters { station_height_m: 1.5, ..parameters(path_loss) });
    let radio = radio.unwrap();
    for (distance, wanted) in [(0.0, 40.0), (1.0, 40.0), (10.0, 70.0), (1_000.0, 130.0)] {
        assert!((radio.los_loss_db(distance) - wanted).abs() < 1e-12);
        assert!((radio.nlos_loss_db(distance) - wanted).abs() < 1e-12);
    }
}

#[test]
fn rate_is_that_of_the_link_budget() {
    let path_loss = PathLoss::LogDistance { exponent: 3.0, reference_db: 40.0 };
    let parameters = RadioParameters {
        station_height_m: 1.5,
        bandwidth_mhz: 20.0,
        interference_margin_db: 3.0,
        ..parameters(path_loss)
    };
    let rate = |parameters: &RadioParameters, distance, turns| {
        let channel = Channel::new(&Arc::new(Radio::new(parameters.clone()).unwrap()), 1, 0);
        let at = Whereabouts { fade: Fade::at_start(turns), ..still(distance) };
        let link = channel.link(&mut LinkMemory::default(), 0, 0, at);
        assert!(link.signal.line_of_sight);
        (link.signal.sinr_db, link.rate_mbps)
    };
    // Noise −174 + 73.0103 + 5 = −95.9897 dBm; at 500 m a loss of 120.9691 dB; 23 dBm sent.
    let (sinr_db, rate_mbps) = rate(&parameters, 500.0, 0.0);
    assert!((sinr_db - (23.0 - 120.9691 + 95.9897 - 3.0)).abs() < 1e-4, "{sinr_db}");
    assert!((rate_mbps - 20.0 * (1.0 + 10.0_f64.powf(0.1 * sinr_db)).log2()).abs() < 1e-9);
    // At 2 m, log₂(1 + SNR) is beyond the highest scheme.
    assert_eq!(rate(&parameters, 2.0, 0.0).1, 20.0 * 7.4063);
    // So fast that a slot has many fades: the mean over Rayleigh fading.
    let faded = RadioParameters { fading: Fading::Rayleigh, ..parameters };
    let inverse = 10.0_f64.powf(-0.1 * sinr_db);
    let mean = exponential_integral_scaled(inverse) / std::f64::consts::LN_2;
    assert!((rate(&faded, 500.0, 2.0).1 - 20.0 * mean).abs() < 1e-9);
    assert!(rate(&faded, 500.0, 0.5).1 != rate(&faded, 500.0, 2.0).1);
}

/// Links of device 0 to 40,000 stations.
fn links(channel: &Channel, distance_m: f64, travelled_m: f64) -> Vec<Link> {
    let at = Whereabouts { travelled_m, ..still(distance_m) };
    (0..40_000).map(|station| channel.link(&mut LinkMemory::default(), 0, station, at)).collect()
}

#[test]
fn line_of_sight_has_its_probability_and_is_consistent_over_distance() {
    for (path_loss, rows) in [(PathLoss::Umi, UMI_3_5_GHZ), (PathLoss::Uma, UMA_3_5_GHZ)] {
        let channel = Channel::new(&Arc::new(radio(path_loss)), 1, 0);
        for (distance, _, _, probability) in rows.into_iter().take(6) {
            let seen = |links: &[Link]| -> Vec<f64> {
                links.iter().map(|link| f64::from(u8::from(link.signal.line_of_sight))).collect()
            };
            let here = seen(&links(&channel, distance, 30.0));
            if probability == 1.0 {
                assert!(here.iter().all(|&seen| seen == 1.0));
                continue;
            }
            assert_mean("line of sight", mean(here.iter().copied()), probability);
            // A metre on nearly all keep their state; 2 km on it is forgotten.
            let changed = |travelled| {
                let there = seen(&links(&channel, distance, travelled));
                mean(here.iter().zip(there).map(|(a, b)| (a - b).abs()))
            };
            assert!(changed(31.0).0 < 0.08, "{distance}");
            let forgotten = 2.0 * probability * (1.0 - probability);
            assert_mean("changes after 2 km", changed(2_030.0), forgotten);
        }
    }
}

#[test]
fn shadowing_has_the_deviation_and_correlation_of_its_model() {
    let uniform = Shadowing::Gudmundson { sigma_db: 6.0, correlation_m: 20.0 };
    let standard = Shadowing::Standard;
    for (path_loss, shadowing, in_sight, (sigma, correlation_m)) in [
        (PathLoss::Umi, standard, true, (4.0, 10.0)),
        (PathLoss::Umi, standard, false, (7.82, 13.0)),
        (PathLoss::Uma, standard, true, (4.0, 37.0)),
        (PathLoss::Uma, standard, false, (6.0, 50.0)),
        (PathLoss::FreeSpace, uniform, true, (6.0, 20.0)),
    ] {
        let parameters = RadioParameters { shadowing, ..parameters(path_loss) };
        let radio = Radio::new(parameters).unwrap();
        // In sight at 10 m; at 3 km nearly always out of it, whose losses are apart.
        let distance = if in_sight { 10.0 } else { 3_000.0 };
        let (los, nlos) = (radio.los_loss_db(distance), radio.nlos_loss_db(distance));
        let channel = Channel::new(&Arc::new(radio), 1, 0);
        let (here, there) = (links(&channel, distance, 7.0), links(&channel, distance, 17.0));
        let shadow = |link: &Link| link.signal.loss_db - if in_sight { los } else { nlos };
        let pairs: Vec<_> = here
            .iter()
            .zip(&there)
            .filter(|(a, b)| {
                a.signal.line_of_sight == in_sight && b.signal.line_of_sight == in_sight
            })
            .map(|(a, b)| (shadow(a), shadow(b)))
            .collect();
        assert!(pairs.len() > 35_000);
        let squares = pairs.iter().map(|(a, _)| a * a);
        assert_mean(&format!("variance, {path_loss:?}"), mean(squares), sigma * sigma);
        let wanted = sigma * sigma * f64::exp(-10.0 / correlation_m);
        assert_mean("covariance at 10 m", mean(pairs.iter().map(|(a, b)| a * b)), wanted);
    }
}

#[test]
fn memory_changes_nothing() {
    for fading in [Fading::None, Fading::Rayleigh, Fading::Rician { k_db: 6.0 }] {
        let parameters = RadioParameters { fading, ..parameters(PathLoss::Umi) };
        let channel = Channel::new(&Arc::new(Radio::new(parameters).unwrap()), 1, 0);
        let mut memory = LinkMemory::default();
        let mut fade = Fade::at_start(0.0);
        let mut travelled_m = 0.0;
        for slot in 0..2_000 {
            let distance_m = 60.0 + 55.0 * (0.01 * f64::from(slot)).sin();
            let at = Whereabouts { distance_m, travelled_m, fade };
            let link = channel.link(&mut memory, 3, 5, at);
            assert_eq!(link, channel.link(&mut LinkMemory::default(), 3, 5, at), "slot {slot}");
            travelled_m += 0.6 + 0.5 * (0.3 * f64::from(slot)).sin();
            fade = fade.after(0.002 * f64::from(slot % 700));
        }
    }
}

/// Links are part of every result. The last bits of logarithms depend on the machine.
#[test]
fn links_are_pinned() {
    // However weak, so that it has a rate.
    let parameters = RadioParameters { min_sinr_db: -200.0, ..RadioParameters::new(PathLoss::Umi) };
    let channel = Channel::new(&Arc::new(Radio::new(parameters).unwrap()), 1, 0);
    let rates =
        [(100.0, 0.0), (200.0, 123.4), (300.0, 4_000.0)].map(|(distance_m, travelled_m)| {
            let fade = Fade { clock: 0.1 * travelled_m, sign: -1.0, turns: 0.3 };
            let at = Whereabouts { distance_m, travelled_m, fade };
            channel.link(&mut LinkMemory::default(), 3, 2, at).rate_mbps
        });
    let pinned = [72.61401474875211, 3.507593363927347, 0.781103231030208];
    let same = rates.iter().zip(pinned).all(|(rate, pinned)| (rate - pinned).abs() < 1e-9);
    assert!(same, "{rates:?}");
}

#[test]
fn coverage_ends_where_the_signal_is_too_weak() {
    let link = |distance_m, min_sinr_db| {
        let parameters = RadioParameters {
            min_sinr_db,
            frequency_ghz: 1.0,
            fading: Fading::None,
            ..RadioParameters::new(PathLoss::FreeSpace)
        };
        let channel = Channel::new(&Arc::new(Radio::new(parameters).unwrap()), 1, 0);
        let at = Whereabouts { distance_m, travelled_m: 0.0, fade: Fade::at_start(0.0) };
        channel.link(&mut LinkMemory::default(), 0, 0, at)
    };
    let far = link(40_000.0, -200.0);
    assert!(far.rate_mbps > 0.0 && far.signal.covered);
    let sinr_db = far.signal.sinr_db;
    let (within, beyond) = (link(40_000.0, sinr_db - 0.01), link(40_000.0, sinr_db + 0.01));
    assert_eq!((within.rate_mbps, within.signal), (far.rate_mbps, far.signal));
    assert!(beyond.rate_mbps == 0.0 && !beyond.signal.covered);
    assert_eq!(beyond.signal.sinr_db, sinr_db);
}

#[test]
fn faults_name_the_parameter() {
    let fault = |path_loss, change: fn(&mut RadioParameters)| {
        let mut parameters = parameters(path_loss);
        change(&mut parameters);
        Radio::new(parameters).unwrap_err().to_string()
    };
    let umi = PathLoss::Umi;
    assert_eq!(
        fault(umi, |radio| radio.frequency_ghz = 3_500.0),
        "frequency_ghz: 3500 is out of range: a number from 0.5 to 100 is needed"
    );
    assert_eq!(
        fault(umi, |radio| radio.device_height_m = 20.0),
        "device_height_m: 20 is out of range: a number from 1.5 to 13 is needed"
    );
    assert_eq!(
        fault(PathLoss::FreeSpace, |radio| radio.shadowing = Shadowing::Standard),
        "shadowing: only Umi and Uma have a standard shadowing"
    );
    type Change = fn(&mut RadioParameters);
    let names: [(&str, Change); 8] = [
        ("bandwidth_mhz", |radio| radio.bandwidth_mhz = 0.0),
        ("transmit_dbm", |radio| radio.transmit_dbm = f64::NAN),
        ("noise_figure_db", |radio| radio.noise_figure_db = -1.0),
        ("interference_margin_db", |radio| radio.interference_margin_db = -1.0),
        ("max_efficiency", |radio| radio.max_efficiency = 0.0),
        ("station_height_m", |radio| radio.station_height_m = 1.0),
        ("k_db", |radio| radio.fading = Fading::Rician { k_db: 31.0 }),
        ("correlation_m", |radio| {
            radio.shadowing = Shadowing::Gudmundson { sigma_db: 4.0, correlation_m: 0.0 };
        }),
    ];
    for (name, change) in names {
        assert!(fault(umi, change).starts_with(&format!("{name}: ")), "{name}");
    }
    let log = |exponent, reference_db| {
        let path_loss = PathLoss::LogDistance { exponent, reference_db };
        Radio::new(parameters(path_loss)).unwrap_err().parameter
    };
    assert_eq!(log(0.0, 40.0), "exponent");
    assert_eq!(log(2.0, f64::INFINITY), "reference_db");
}
