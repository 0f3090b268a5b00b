//! Results: plain data about what came out of runs, and the files it is kept in.
//!
//! Everything that acts (evaluation, training, studies) depends on this crate and hands it
//! numbers; everything that shows (tables, figures, pages) reads them from here. In the order of
//! use:
//!
//! 1. [`metric`]: the table of metrics. An episode yields an [`EpisodeResult`]; each number that
//!    a table, a CSV file or a study shows of it is one row, a [`Metric`]. [`group`]: the parts of its
//!    tasks that have metrics of their own.
//! 2. [`run_folder`]: the folder to which a batch is written and from which it is read again,
//!    whole or as a [`shard`]; [`merge`] combines the shards. [`tasks`]:
//!    a row per task in it.
//! 3. [`reference`](mod@reference): what was attainable, and the share of it that each run reaches;
//!    [`statistics`]: means, intervals and paired differences over episodes and training seeds.
//! 4. [`learning`]: the rows that a training and a distillation write while they run; [`tuning`]:
//!    those of a search for hyper-parameters, and what they choose;
//!    [`live`]: the windows of a live run, and the time to recover after a change;
//!    [`checkpoint`]: what a checkpoint states about itself.
//! 5. [`exhibit`] and [`claim`]: the numbers behind a study's tables and figures, and its verdicts;
//!    [`replay`]: a recorded run, run again; [`timeline`]: what happened in one episode.
//! 6. [`files`]: bounded reads, atomic writes, SHA-256, the first free folder; [`lock`]: one process
//!    at a time writes to a folder; [`provenance`]: which build computed it, and on what.
//!
//! It knows nothing of how a result came about: no plugins, no scenario texts, no threads.
//!
//! ```
//! use offramp_results::run_folder::{self, NewRunFolder, RowFile, RunRecord};
//! use offramp_results::{EpisodeMetrics, EpisodeResult, metric};
//!
//! // What an evaluation hands over, one after another: the episodes of a policy, here two.
//! let episode = |qoe| EpisodeResult {
//!     overall: EpisodeMetrics {
//!         tasks: 100,
//!         devices: 50.0,
//!         qoe: Some(qoe),
//!         ..EpisodeMetrics::default()
//!     },
//!     done_by_delay: vec![40, 60],
//!     decisions: 100,
//!     decide_ns: 5_000,
//!     ..EpisodeResult::default()
//! };
//! let record = RunRecord {
//!     scenario: "small".to_owned(),
//!     policy: "random".to_owned(),
//!     episodes: 2,
//!     ..RunRecord::default()
//! };
//! let home = tempfile::tempdir()?;
//! let rows = home.path().join("rows");
//! let mut file = RowFile::create(&rows, &record)?;
//! file.add(episode(610.0))?;
//! file.add(episode(620.0))?;
//! file.finish()?;
//!
//! // They are stored: the folder appears complete or not at all.
//! let scenarios = vec![("small".to_owned(), "(name: \"small\")".to_owned())];
//! let path = home.path().join("small-001");
//! let mut folder = NewRunFolder::begin(&path, home.path())?;
//! folder.add(record, Some(&rows))?;
//! folder.finish(&scenarios, None)?;
//!
//! // And read again, metric by metric.
//! let runs = run_folder::read(&path)?;
//! let qoe = metric::by_id("qoe").expect("a row of the table");
//! assert_eq!(qoe.title, "AvgQoE");
//! assert_eq!(runs[0].mean_sd(qoe).expect("it has episodes").mean, 615.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checkpoint;
pub mod claim;
mod error;
pub mod exhibit;
pub mod files;
pub mod group;
mod holder;
pub mod learning;
pub mod live;
pub mod lock;
pub mod merge;
pub mod metric;
pub mod provenance;
mod record;
pub mod reference;
pub mod replay;
mod rows;
pub mod run_folder;
pub mod shard;
pub mod statistics;
pub mod summary;
mod table;
pub mod tasks;
pub mod timeline;
pub mod tuning;
pub mod words;

pub use error::Error;
pub use group::{Grouped, Grouping};
pub use metric::{EpisodeMetrics, EpisodeMobility, EpisodeResult, Metric};
