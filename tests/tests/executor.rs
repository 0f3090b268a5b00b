//! Runs that ask for isolation are carried out by the executor that is handed over, all others by
//! the evaluation itself.

use std::path::PathBuf;
use std::sync::Mutex;

use offramp_harness::bind::{BoundPolicy, Evaluation, bind_evaluation};
use offramp_harness::check::Planned;
use offramp_harness::evaluate::{Sink, evaluate, prepare};
use offramp_harness::events::{Event, Quiet};
use offramp_harness::executor::{Executor, InProcess};
use offramp_harness::run::{OnEpisode, RunError};
use offramp_harness::tasks::Detail;
use offramp_host::Registry;
use offramp_results::run_folder::StoredRun;
use offramp_results::{EpisodeMetrics, EpisodeResult, Error};
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
    fn check(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
    ) -> Result<Vec<PathBuf>, RunError> {
        InProcess.check(evaluation, policy, limits)
    }

    fn run(
        &self,
        evaluation: &Evaluation,
        policy: &BoundPolicy,
        limits: Limits,
        detail: Detail,
        on_episode: OnEpisode<'_>,
    ) -> Result<(), RunError> {
        self.asked.lock().unwrap().push((policy.label.clone(), limits));
        match policy.label.as_str() {
            "all-local" => InProcess.run(evaluation, policy, limits, detail, on_episode),
            _ => Err(RunError::Isolated("its process ended".to_owned())),
        }
    }
}

/// Keeps the metrics of the episodes of each run, in the order in which they come.
#[derive(Default)]
struct Kept(Mutex<Vec<(usize, Vec<EpisodeMetrics>)>>);

impl Sink for Kept {
    type Run = (usize, Vec<EpisodeMetrics>);

    fn begin(&self, run: &Planned<'_>) -> Result<Self::Run, Error> {
        Ok((run.number, Vec::new()))
    }

    fn add(&self, run: &mut Self::Run, episode: EpisodeResult) -> Result<(), Error> {
        run.1.push(episode.overall);
        Ok(())
    }

    fn end(&self, run: Self::Run, stored: &StoredRun) -> Result<(), Error> {
        assert_eq!(stored.summary.episodes(), run.1.len() as u64);
        self.0.lock().unwrap().push(run);
        Ok(())
    }
}

impl Kept {
    fn of(self, number: usize) -> Vec<EpisodeMetrics> {
        let runs = self.0.into_inner().unwrap();
        runs.into_iter().find(|(at, _)| *at == number).unwrap().1
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
    let planned = prepare(&isolated, &fake).unwrap();
    let kept = Kept::default();
    let runs = evaluate(&planned, &fake, &kept, &count).unwrap();
    let mut asked = fake.asked.into_inner().unwrap();
    asked.sort_by(|a, b| a.0.cmp(&b.0));
    let limits = Limits { call_seconds: 10.0, memory_mib: 4096 };
    assert_eq!(asked, [("all-local".to_owned(), limits), ("random".to_owned(), limits)]);
    assert_eq!(*ended.lock().unwrap(), 4);
    let [random, local] = &runs[..] else { panic!("two runs in order") };
    assert_eq!(random.record.error.as_deref(), Some("its process ended"));
    assert_eq!((random.record.episodes, random.summary.episodes()), (0, 0));
    assert_eq!((local.record.episodes, local.summary.episodes()), (4, 4));

    // The same numbers as without an executor, which is not asked then.
    let unasked = Fake::default();
    let planned = prepare(&plain, &unasked).unwrap();
    let here = Kept::default();
    evaluate(&planned, &unasked, &here, &Quiet).unwrap();
    assert!(unasked.asked.into_inner().unwrap().is_empty());
    assert_eq!(here.of(1), kept.of(1));
}

/// Fails from the second run on.
struct Full;

impl Sink for Full {
    type Run = ();

    fn begin(&self, run: &Planned<'_>) -> Result<(), Error> {
        match run.number {
            0 => Ok(()),
            _ => Err(Error::Unmergeable { cause: "full".to_owned() }),
        }
    }

    fn add(&self, (): &mut (), _: EpisodeResult) -> Result<(), Error> {
        Ok(())
    }

    fn end(&self, (): (), _: &StoredRun) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn what_can_not_be_kept_ends_the_evaluation() {
    for isolate in [true, false] {
        let experiments = experiments(isolate);
        let planned = prepare(&experiments, &InProcess).unwrap();
        let error = evaluate(&planned, &InProcess, &Full, &Quiet).unwrap_err();
        assert_eq!(error.to_string(), "full");
    }
}
