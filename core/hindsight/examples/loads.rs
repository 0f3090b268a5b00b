//! Hindsight in the paper's system by load: `loads SEED EPISODES TRIALS_PER_TASK LOAD…` prints the mean
//! QoE of the central plan and of hindsight, and the time that hindsight takes an episode; and the time
//! that the counterfactuals of a plan of chance take a task.
#![allow(clippy::print_stdout, missing_docs)]
use std::sync::Arc;
use std::time::Instant;

use offramp_hindsight::Known;
use offramp_model::rng::{Purpose, StreamFamily};
use offramp_model::{System, SystemParameters, Workload};

fn main() {
    let arguments: Vec<f64> =
        std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [seed, episodes, trials, loads @ ..] = arguments.as_slice() else { return };
    for &load in loads {
        let mut parameters = SystemParameters::paper(50, 5);
        parameters.devices.iter_mut().for_each(|device| device.arrival_probability = load);
        let Ok(system) = System::new(parameters) else { return };
        let system = Arc::new(system);
        let (mut central, mut hindsight, mut seconds) = (0.0, 0.0, 0.0);
        let mut judging = 0.0;
        for episode in 0..*episodes as u64 {
            let known = Known::new(&system, Workload::Drawn { seed: *seed as u64, episode });
            let mut stream = StreamFamily::new(*seed as u64, episode, Purpose::new(16)).of(0);
            central += known.central().reward / 50.0 / episodes;
            let begun = Instant::now();
            hindsight += known.hindsight(*trials as u64, &mut stream).reward / 50.0 / episodes;
            seconds += begun.elapsed().as_secs_f64() / episodes;
            let actions = known.chance(&mut stream).actions;
            let tasks: Vec<u32> = (0..known.tasks() as u32).collect();
            let begun = Instant::now();
            let judged = known.counterfactuals(&actions, &tasks).map_or(0, |_| tasks.len().max(1));
            judging += begun.elapsed().as_secs_f64() / judged as f64 / episodes;
        }
        println!(
            "{load}: central {central:.1}, hindsight {hindsight:.1}, {seconds:.2} s an episode; \
             counterfactuals {:.1} µs a task",
            judging * 1e6
        );
    }
}
