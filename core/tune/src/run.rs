//! Running a search: rung after rung, the lessons of a rung side by side.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use offramp_harness::Origin;
use offramp_harness::engine;
use offramp_harness::events::{Event, Observer};
use offramp_harness::resume::FolderError;
use offramp_harness::side_by_side::side_by_side;
use offramp_results::files::{read, write_atomically};
use offramp_results::provenance;
use offramp_results::tuning::{Search, SearchRow, Standing};
use offramp_scenario::{Tuned, replace, value_of};

use crate::error::TuneError;
use crate::lesson::Lesson;
use crate::tuning::Tuning;

/// Fields that a search may resume with others of.
const FREE: [&str; 10] = [
    "train.seed",
    "train.save_every",
    "train.learner.sha256",
    "train.explorer.sha256",
    "train.from",
    "distill.seed",
    "distill.teacher.sha256",
    "distill.teacher.checkpoint",
    "distill.student.sha256",
    "distill.from",
];

/// A lesson of a rung, and the row that it will have.
struct Job {
    row: SearchRow,
    lesson: Lesson,
    folder: PathBuf,
}

impl Tuning<'_> {
    /// Runs the search in `out`, which the caller has claimed; what an earlier attempt has done there
    /// is not done again. Threads are those of the rayon pool this is called in; neither their number
    /// nor an interruption changes the result, except the seconds.
    ///
    /// # Errors
    /// [`TuneError`]; what was done by then is kept.
    pub fn run(&self, out: &Path, observer: &dyn Observer) -> Result<Search, TuneError> {
        self.begin(out)?;
        let fields = self.entry.space.iter().map(|(field, _)| field.clone()).collect();
        let mut search = Search {
            unit: self.unit,
            fields,
            configurations: self.configurations.clone(),
            rows: Vec::new(),
            chosen: None,
        };
        let mut survivors: Vec<usize> = (0..self.configurations.len()).collect();
        for (number, rung) in (0..).zip(&self.rungs) {
            survivors.truncate(rung.configurations);
            // Numbers in order, whoever is ahead.
            survivors.sort_unstable();
            let mut jobs = Vec::new();
            for &configuration in &survivors {
                for &seed in &rung.seeds {
                    let lesson = self.lesson(configuration, rung.length, seed)?;
                    let name =
                        format!("rung-{number}/configuration-{configuration:03}-seed-{seed}");
                    let row =
                        SearchRow { rung: number, configuration, seed, ..SearchRow::default() };
                    jobs.push(Job { row, lesson, folder: out.join(name) });
                }
            }
            let done = search.rows.len();
            for row in self.side_by_side(&jobs, done, observer) {
                search.rows.push(row?);
            }
            search.write(out)?;
            survivors = search.standings(number).iter().map(|best| best.configuration).collect();
        }
        let last = self.rungs.len() as u64 - 1;
        if let Some(best) = search.standings(last).first() {
            search.chosen = Some(best.configuration);
            write(&out.join("chosen.ron"), self.fragment(&search, best).as_bytes())?;
        }
        Ok(search)
    }

    /// Prepares the folder, if it is new or of this very search.
    fn begin(&self, out: &Path) -> Result<(), TuneError> {
        let origin = self.origin();
        let path = out.join("parts.json");
        if path.exists() {
            let not_resumable =
                |cause: String| FolderError::NotResumable { path: path.clone(), cause };
            let bytes = read(&path, 1 << 26).map_err(|cause| not_resumable(cause.to_string()))?;
            let earlier: Origin =
                serde_json::from_slice(&bytes).map_err(|error| not_resumable(error.to_string()))?;
            if let Some(change) = origin.difference(&earlier) {
                return Err(FolderError::Changed { path, change }.into());
            }
        }
        write(&out.join("scenario.ron"), self.scenario.text.as_bytes())?;
        provenance::add(out, &engine::provenance())
            .map_err(|cause| FolderError::Unwritable { path: out.to_owned(), cause })?;
        let bytes = serde_json::to_vec_pretty(&origin)
            .map_err(|error| FolderError::Unwritable { path: path.clone(), cause: error.into() })?;
        write(&path, &bytes)
    }

    /// What the search is made of; one that resumes must be of the same.
    fn origin(&self) -> Origin {
        let section = self.entry.section;
        let other = match section {
            Tuned::Training => "distill",
            Tuned::Distillation => "train",
        };
        // The search sets seeds itself; files and plugins are compared by what is in them.
        let mut origin = Origin::of_scenario(&self.scenario, &[&[other], &FREE[..]].concat());
        // Unlike a training, a search never continues what ended.
        origin.leave_out(section.length());
        let full = self.rungs.last().map_or(0, |rung| rung.length);
        origin.add(format!("the length of a finalist, `{}`,", section.length()), full.to_string());
        // Configurations may differ in a file.
        let mut hashes: BTreeMap<&String, String> = BTreeMap::new();
        for (name, sha256) in &self.parts {
            hashes.entry(name).or_default().push_str(sha256);
        }
        for (name, all) in hashes {
            origin.add_hash(name.clone(), &all);
        }
        origin
    }

    /// Does jobs that do not depend on each other; `done` have been done before.
    fn side_by_side(
        &self,
        jobs: &[Job],
        done: usize,
        observer: &dyn Observer,
    ) -> Vec<Result<SearchRow, TuneError>> {
        let finished = AtomicUsize::new(done);
        let learn = |job: &Job, ()| {
            let SearchRow { rung, configuration, seed, .. } = job.row;
            observer.on_event(Event::StudyJob {
                done: finished.load(Ordering::Relaxed),
                total: self.lessons(),
                what: &format!("rung {rung}: configuration {configuration}, seed {seed}"),
            });
            let row = self.learn(job, observer);
            finished.fetch_add(1, Ordering::Relaxed);
            row
        };
        side_by_side(jobs, jobs.len(), |_, _| Some(()), learn)
    }

    /// Learns, unless that has been done.
    fn learn(&self, job: &Job, observer: &dyn Observer) -> Result<SearchRow, TuneError> {
        let attempt = job.lesson.learn(&job.folder, &self.entry, observer)?;
        let row = SearchRow { length: job.lesson.length(&job.folder), ..job.row.clone() };
        Ok(match attempt {
            Ok(judged) => SearchRow {
                validation_qoe: Some(judged.validation_qoe),
                validation_dropped: Some(judged.validation_dropped),
                seconds: judged.seconds,
                ..row
            },
            Err(error) => SearchRow { error: Some(error), ..row },
        })
    }

    /// The file of settings with what was chosen, and what choosing it took.
    fn fragment(&self, search: &Search, best: &Standing) -> String {
        let mut text = String::from(
            "// Chosen by `offramp tune`. A scenario takes these values with `settings: [FILE]`, a \
             policy of a\n// study too.\n(\n    settings: {\n",
        );
        // A part of a value (`….optimiser.0`) is settled together with the rest of it, which another
        // scenario may not state.
        let mut searched = self.scenario.text.to_string();
        let mut settled = BTreeMap::new();
        for (field, value) in search.fields.iter().zip(&search.configurations[best.configuration]) {
            searched = replace(&searched, field, value).unwrap_or(searched);
            settled.insert(whole(field), value);
        }
        for (field, value) in settled {
            let value = value_of(&searched, field).unwrap_or(value);
            // Writing to a text can't fail.
            let _ = writeln!(text, "        {field:?}: {value},");
        }
        let cost = search.unit.of_cost();
        let _ = write!(
            text,
            "    }},\n    tuning: (\n        scenario: {:?},\n        configurations: {},\n        \
             learned: {},\n        {cost}: {},\n        seeds: {:?},\n        \
             validation_qoe: {:?},\n    ),\n)\n",
            self.scenario.name,
            search.configurations.len(),
            search.rows.len(),
            search.cost(None),
            self.entry.seeds,
            best.qoe.mean,
        );
        text
    }
}

/// The field that a path leads into: the path up to the first number.
fn whole(field: &str) -> &str {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut end = 0;
    for part in field.split('.').take_while(|part| !number(part)) {
        end += part.len() + 1;
    }
    &field[..end.saturating_sub(1)]
}

/// Replaces a file as a whole, or leaves it as it was.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TuneError> {
    write_atomically(path, bytes)
        .map_err(|cause| FolderError::Unwritable { path: path.to_owned(), cause }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_value_is_settled_with_the_whole_of_it() {
        assert_eq!(
            whole("train.learner.parameters.optimiser.0"),
            "train.learner.parameters.optimiser"
        );
        assert_eq!(whole("tasks.mbit.1.0"), "tasks.mbit");
        assert_eq!(whole("train.episodes"), "train.episodes");
    }
}
