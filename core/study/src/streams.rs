//! Streams: the live runs of an item, one for each training seed, with what was trained under it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offramp_harness::bind::{BoundLivePolicy, Live, bind_live};
use offramp_harness::engine::ENGINE;
use offramp_harness::events::Part;
use offramp_harness::files_of;
use offramp_harness::resume::Start;
use offramp_live::LiveError;
use offramp_results::Error;
use offramp_results::exhibit::{Cell, Exhibit, LiveNumbers, Measured};
use offramp_results::files::sha256;
use offramp_results::live::{LiveRun, LiveStream};
use offramp_results::lock::FolderLock;
use offramp_scenario::{Fault, LiveEntry, PolicyEntry, has};

use crate::file::{ExhibitSection, PointSection, Settings, Size, StudyFile};
use crate::live_entry::only;
use crate::plan::{LiveJob, Stage, described, recordings};
use crate::study::{StudyError, StudyRunner};
use crate::text::with;
use crate::work::{Attempt, CHECKPOINT, Failure, Failures, ProgressLog};

/// The file of a live run that is written last.
const DONE: &str = "live.json";

/// What the study hands over to a policy: its checkpoint, those that replace it, and its teacher's.
#[derive(Default)]
struct HandedOver {
    first: Option<PathBuf>,
    renewed: Vec<(u32, PathBuf)>,
    teacher: Option<PathBuf>,
}

impl HandedOver {
    /// Takes out of each policy the checkpoints that the study trains: they are in its own folder, and may not
    /// exist yet.
    fn take(entry: &mut LiveEntry, file: &impl Fn(&str) -> Option<PathBuf>) -> Vec<Self> {
        let taken = |policy: &mut PolicyEntry| {
            let found = file(policy.checkpoint.as_deref()?)?;
            (policy.checkpoint, policy.untrained) = (None, true);
            Some(found)
        };
        let of_policy = |policy: &mut offramp_scenario::LivePolicy| {
            let (ours, other) =
                policy.renewed.drain(..).partition::<Vec<_>, _>(|(_, name)| file(name).is_some());
            policy.renewed = other;
            let renewed = ours.iter().filter_map(|(slot, name)| Some((*slot, file(name)?)));
            Self {
                first: taken(&mut policy.policy),
                renewed: renewed.collect(),
                teacher: policy.online.as_mut().and_then(|online| taken(&mut online.teacher)),
            }
        };
        entry.policies.iter_mut().map(of_policy).collect()
    }

    /// True if there is nothing.
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.renewed.is_empty() && self.teacher.is_none()
    }

    /// Gives them to the policy again.
    fn give(self, policy: &mut BoundLivePolicy) {
        if self.first.is_some() {
            policy.checkpoint = self.first;
        }
        policy.renewed.extend(self.renewed);
        policy.renewed.sort();
        if let (Some(file), Some((_, teacher))) = (self.teacher, &mut policy.online) {
            teacher.checkpoint = Some(file);
        }
    }
}

impl StudyRunner<'_> {
    /// The live runs of an item, one for each training seed; none if it shows none.
    pub(crate) fn live_jobs(&self, item: &ExhibitSection) -> Result<Vec<LiveJob>, StudyError> {
        let Some(section) = &item.live else { return Ok(Vec::new()) };
        let StudyFile { evaluate, policies, quick, .. } = &self.study.file;
        let none = Settings::new();
        let is_quick = self.study.size == Size::Quick;
        let [quick_set, quick] =
            [&quick.set, &section.quick].map(|set| if is_quick { set } else { &none });
        let job = |&seed: &u64| -> Result<LiveJob, StudyError> {
            let anywhere = PointSection::unlabelled();
            let lesson = |(file, policy): (&String, &String)| {
                let lesson = self.job(policy, &policies[policy], quick_set, &anywhere, seed)?;
                Ok((file.clone(), lesson))
            };
            let lessons = section.checkpoints.iter().map(lesson);
            let lessons: BTreeMap<_, _> = lessons.collect::<Result<_, StudyError>>()?;
            let name = &section.scenario;
            let settings = [quick_set, &section.set, quick];
            let mut text = self.text(name, &settings, Stage::Evaluation)?;
            for part in ["train", "distill"] {
                if has(&text, part) {
                    text = with(name, &text, part, "None")?;
                }
            }
            let of_stream = evaluate.seed.wrapping_add(seed);
            text = with(name, &text, "live.seed", &of_stream.to_string())?;
            let mut job = LiveJob {
                seed,
                name: item.id.clone(),
                key: String::new(),
                scenario: text,
                home: self.home(name),
                lessons,
            };
            job.key = self.live_key(&job)?;
            Ok(job)
        };
        self.study.training_seeds().iter().map(job).collect()
    }

    /// A live run, bound, with whatever the study hands over to each of its policies.
    fn live(&self, job: &LiveJob) -> Result<Live, Box<Fault>> {
        let LiveJob { name, scenario, home, lessons, .. } = job;
        let mut read = only(self.parse(name, scenario, home)?, scenario)?;
        let file = |file: &str| {
            let lesson = lessons.get(file)?;
            Some(self.out.join("learned").join(&lesson.folder).join(CHECKPOINT))
        };
        let handed = read.live.as_mut().map(|entry| HandedOver::take(entry, &file));
        let mut live = bind_live(read, self.registry)?;
        let handed = handed.unwrap_or_default();
        live.policies.iter_mut().zip(handed).for_each(|(policy, handed)| handed.give(policy));
        Ok(live)
    }

    /// The hash of everything that a live run depends on.
    fn live_key(&self, job: &LiveJob) -> Result<String, StudyError> {
        let live = self.live(job)?;
        let mut plugins = Vec::new();
        let mut files = described(&recordings(&live.scenario)?);
        for policy in &live.policies {
            plugins.push(policy.plugin.library.sha256.clone());
            plugins.extend(policy.explorer.iter().map(|one| one.plugin.library.sha256.clone()));
            plugins.extend(policy.online.iter().map(|(_, one)| one.plugin.library.sha256.clone()));
            let named = policy.entry.checkpoints().map(|file| live.scenario.folder.join(file));
            for file in named {
                // That it can be read was checked when it was bound.
                files += &sha256(&std::fs::read(file).unwrap_or_default());
            }
            files += &described(&files_of(&live.scenario, &policy.plugin, &policy.parameters));
        }
        let lessons: Vec<&str> = job.lessons.values().map(|lesson| lesson.key.as_str()).collect();
        let text = &job.scenario;
        Ok(sha256(format!("{ENGINE} {lessons:?} {plugins:?} {text}{files}").as_bytes()))
    }

    fn folder_of_live(&self, job: &LiveJob) -> PathBuf {
        self.out.join(job.folder())
    }

    /// True if a live run has been done, with whatever outcome.
    pub(crate) fn has_run_live(&self, job: &LiveJob) -> bool {
        self.folder_of_live(job).join(DONE).exists()
    }

    /// Checks that a live run can begin, if all that it needs has been trained.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) fn check_live(&self, job: &LiveJob) -> Result<(), StudyError> {
        if self.has_run_live(job) || !job.lessons.values().all(|lesson| self.is_learned(lesson)) {
            return Ok(());
        }
        let live = self.live(job)?;
        match offramp_live::check(&live, &self.folder_of_live(job), Start::Resume) {
            Ok(()) => Ok(()),
            Err(LiveError::Folder(error)) => Err(error.into()),
            Err(LiveError::Refused(refusal)) => {
                Err(Box::new(live.scenario.fault(&refusal.field, refusal.cause, None)).into())
            }
        }
    }

    /// Plays a live run, or reads it if that has been done; `failures` are those of all lessons.
    pub(crate) fn run_live(
        &self,
        job: &LiveJob,
        failures: &Failures,
        log: &ProgressLog<'_>,
    ) -> Result<Attempt<LiveRun>, StudyError> {
        for (file, lesson) in &job.lessons {
            if let Some(Failure(reason)) = failures.get(&lesson.key) {
                return Ok(Err(Failure(format!("{file}: {reason}"))));
            }
        }
        let folder = self.folder_of_live(job);
        if !self.has_run_live(job) {
            log.begin(format!("{}: live run of training seed {}", job.name, job.seed));
        }
        let unwritable = |cause| Error::Unwritable { path: folder.clone(), cause };
        std::fs::create_dir_all(&folder).map_err(unwritable)?;
        let _lock = FolderLock::take(&folder)?;
        let live = self.live(job)?;
        let run = match offramp_live::live(&live, &folder, Start::Resume, &Part(log.observer)) {
            Ok(run) => run,
            Err(LiveError::Folder(error)) => return Err(error.into()),
            Err(LiveError::Refused(refusal)) => return Ok(Err(Failure(refusal.to_string()))),
        };
        log.done(&job.key);
        Ok(Ok(run))
    }

    /// Plays the live runs of an item and takes their numbers.
    pub(crate) fn exhibit_of_streams(
        &self,
        item: &ExhibitSection,
        jobs: &[LiveJob],
        failures: &Failures,
        log: &ProgressLog<'_>,
    ) -> Result<Exhibit, StudyError> {
        let mut streams = Vec::new();
        let mut failed = None;
        for job in jobs {
            match self.run_live(job, failures, log)? {
                Ok(run) => streams.push((job.seed, run)),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        let learns = match jobs.first() {
            Some(job) => self.learn_live(job)?,
            None => BTreeMap::new(),
        };
        let phases = streams.first().map_or_else(Vec::new, |(_, run)| run.phases());
        // If no live run could begin, there is a cell that says why.
        let phases = if phases.is_empty() { vec![0] } else { phases };
        let mut cells = Vec::new();
        for (number, slot) in phases.iter().enumerate() {
            for policy in &item.policies {
                let outcome = match &failed {
                    Some(Failure(reason)) => Err(reason.clone()),
                    None => numbers(&streams, policy, number).map(|phases| Measured {
                        live: LiveNumbers {
                            learns: learns.get(policy).copied().unwrap_or(false),
                            phases,
                        },
                        ..Measured::default()
                    }),
                };
                cells.push(Cell {
                    policy: policy.clone(),
                    point: slot.to_string(),
                    outcome,
                    paper: BTreeMap::new(),
                });
            }
        }
        Ok(Exhibit {
            id: item.id.clone(),
            title: item.title.clone(),
            kind: item.form,
            axis: if item.axis.is_empty() { "from slot".to_owned() } else { item.axis.clone() },
            quantities: item.metrics.clone(),
            reference: None,
            cells,
            streams,
        })
    }

    /// Whether each policy of a live run learns in it, or was trained for it.
    fn learn_live(&self, job: &LiveJob) -> Result<BTreeMap<String, bool>, StudyError> {
        let mut read = only(self.parse(&job.name, &job.scenario, &job.home)?, &job.scenario)?;
        let Some(entry) = &mut read.live else { return Ok(BTreeMap::new()) };
        let file = |file: &str| job.lessons.contains_key(file).then(PathBuf::new);
        let handed = HandedOver::take(entry, &file);
        let learns = entry.policies.iter().zip(&handed).map(|(one, handed)| {
            let learns = one.learns.is_some() || one.online.is_some() || !handed.is_empty();
            (one.policy.label.clone(), learns)
        });
        Ok(learns.collect())
    }
}

/// The numbers of a policy in a phase, of each live run.
///
/// # Errors
/// The first fault of one of its streams.
fn numbers(
    streams: &[(u64, LiveRun)],
    policy: &str,
    phase: usize,
) -> Result<Vec<(u64, offramp_results::live::PhaseNumbers)>, String> {
    let of_run = |(seed, run): &(u64, LiveRun)| {
        let is_its = |stream: &&LiveStream| stream.policy == policy;
        let stream = run.streams.iter().find(is_its);
        let stream = stream.ok_or_else(|| format!("training seed {seed}: it has no stream"))?;
        let fault = stream.error.as_ref().or(stream.stopped_learning.as_ref());
        if let Some(fault) = fault {
            return Err(format!("training seed {seed}, slot {}: {}", fault.slot, fault.cause));
        }
        let numbers = run.numbers(stream).into_iter().nth(phase).unwrap_or_default();
        Ok((*seed, numbers))
    };
    streams.iter().map(of_run).collect()
}
