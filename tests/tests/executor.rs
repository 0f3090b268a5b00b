//! Runs that ask for isolation are carried out by the executor that is handed over, all others by
//! the evaluation itself.

use std::sync::Mutex;

use offramp_harness::bind::{BoundPolicy, Evaluation, bind_evaluation};
use offramp_harness::evaluate::evaluate;
use offramp_harness::events::{Event, Quiet};
use offramp_harness::executor::{Executor, InProcess};
use offramp_harness::run::RunError;
use offramp_host::Registry;
use offramp_results::EpisodeResult;
use offramp_scenario::{Experiment, Limits};
use offramp_tests::built;

fn experiments(isolate: bool) -> [Experiment<Evaluation>; 1] {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let text = format!(
        "(name: \"x\", system: (devices: 3, servers: 2), isolate: {isolate},
            policies: [(plugin: \"random\"), (plugin: \"all-local\")], evaluate: (episodes: 4))"
    );
    let experiment = Experiment::parse("x", text, "".as_ref(), &[]).unwrap();
    [experiment.try_map(|point| bind_evaluation(point, &registry)).unwrap()]
}

/// Starts no process: notes what it is asked for, and fails every run but that of `all-local`.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<(String, Limits)>>,
}

impl Executor for Fake {
    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        on_episode: &dyn Fn(),
    ) -> Result<Vec<EpisodeResult>, RunError> {
        self.asked.lock().unwrap().push((policy.label.clone(), limits));
        match policy.label.as_str() {
            "all-local" => InProcess.run(evaluation, policy, limits, on_episode),
            _ => Err(RunError::Isolated("its process ended".to_owned())),
        }
    }
}

#[test]
fn the_executor_gets_the_runs_that_ask_for_isolation() {
    let (isolated, plain) = (experiments(true), experiments(false));
    let fake = Fake::default();
    let ended = Mutex::new(0);
    let count = |event: Event<'_>| {
        if let Event::EpisodesEnded(episodes) = event {
            *ended.lock().unwrap() += episodes;
        }
    };
    let runs = evaluate(&isolated, &|_| true, &fake, &count);
    let mut asked = fake.asked.into_inner().unwrap();
    asked.sort_by(|a, b| a.0.cmp(&b.0));
    let limits = Limits { call_seconds: 10.0, memory_mib: 4096 };
    assert_eq!(asked, [("all-local".to_owned(), limits), ("random".to_owned(), limits)]);
    assert_eq!(*ended.lock().unwrap(), 4);
    let [(0, random), (1, local)] = &runs[..] else { panic!("two runs in order") };
    assert_eq!(random.outcome.as_ref().unwrap_err().to_string(), "its process ended");

    // The same numbers as without an executor, which is not asked then.
    let unasked = Fake::default();
    let here = evaluate(&plain, &|_| true, &unasked, &Quiet);
    assert!(unasked.asked.into_inner().unwrap().is_empty());
    let metrics = |outcome: &Result<Vec<EpisodeResult>, RunError>| -> Vec<_> {
        outcome.as_ref().unwrap().iter().map(|episode| episode.overall).collect()
    };
    assert_eq!(metrics(&here[1].1.outcome), metrics(&local.outcome));
}
