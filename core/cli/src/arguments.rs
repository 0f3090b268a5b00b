//! The command line. Options that several commands have are defined once, in structures that the
//! commands flatten, so their names, ranges and help texts agree.

use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use offramp_explain::Problem;
use offramp_harness::engine::VERSION;
use offramp_harness::resume::Start;
use offramp_report::records::Records;
use offramp_report::{Format, results_by, run_records_by};
use offramp_results::run_folder::StoredRun;
use offramp_results::shard::Shard;
use offramp_results::tasks::TaskFormat;
use offramp_results::{Grouping, files};
use offramp_scenario::{Setting, SettingValue};

use crate::output::{is_terminal, print, print_bytes};

/// Simulator and policy workbench for task offloading in mobile edge computing.
#[derive(Debug, Parser)]
#[command(version, long_version = VERSION, about, propagate_version = true)]
pub(crate) struct Arguments {
    /// Print only the result and errors: no progress, no notes
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Evaluate every policy of scenarios and print a table
    Run(RunArguments),
    /// Combine the parts of a batch that was run with --shard
    Merge(MergeArguments),
    /// Train the learner of a scenario
    Train(TrainArguments),
    /// Run policies on one long stream, in which they may learn and the system drifts
    Live(LiveArguments),
    /// Distil a teacher into a student
    Distill(DistillArguments),
    /// Choose hyper-parameters of a training or distillation on validation, within a budget
    Tune(TuneArguments),
    /// Write a trained network or tree for a device, as C or ONNX
    Export(ExportArguments),
    /// Show the contents of a checkpoint or a scenario
    Inspect(InspectArguments),
    /// Make the tables and figures of a study, by default the paper's
    Reproduce(ReproduceArguments),
    /// Print the results in run folders again
    Report(ReportArguments),
    /// Show what was attainable in the episodes of a scenario
    Hindsight(HindsightArguments),
    /// Replay recorded traces through the engine
    Replay(ReplayArguments),
    /// List the plugins that were found, and those that were refused and why
    Plugins(PluginsArguments),
    /// Create a policy of your own: a crate that builds, with a test and a scenario
    New(NewArguments),
    /// Print the completion script of a shell
    Completions(CompletionsArguments),
    /// Write a man page of each command
    Man(ManArguments),
}

/// Search path for plugins, besides the folder of the executable and that of `cargo install`.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// A folder of plugins, or the file of one; searched first
    #[arg(long = "plugins", value_name = "DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folders of plugins, separated as in PATH; searched second
    #[arg(long, env = "OFFRAMP_PLUGINS", hide = true, value_name = "DIRS")]
    pub(crate) plugin_path: Option<std::ffi::OsString>,
}

/// How the result is printed.
#[derive(Debug, Args)]
pub(crate) struct FormatArguments {
    /// Format of the result
    #[arg(long, value_parser = format_parser(), default_value = "table")]
    format: FormatName,
}

/// Refuses at once what a terminal can't show, not after hours of work.
fn format_parser() -> impl TypedValueParser<Value = FormatName> {
    EnumValueParser::<FormatName>::new().try_map(|format| match format {
        FormatName::Parquet if is_terminal() => {
            Err("a terminal can't show it; send it to a file: add > NAME.parquet")
        }
        _ => Ok(format),
    })
}

/// The spelling of a format.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
    /// For data frames (Polars, pandas, DuckDB): the columns of CSV, typed
    Parquet,
}

impl FormatArguments {
    /// Prints a result: a text, or as Parquet the records that it has as CSV.
    pub(crate) fn print(
        &self,
        text: impl FnOnce(Format) -> String,
        records: impl FnOnce() -> Records,
    ) -> Result<(), Problem> {
        match self.format {
            FormatName::Table => print(&text(Format::Table)),
            FormatName::Json => print(&text(Format::Json)),
            FormatName::Csv => print(&text(Format::Csv)),
            FormatName::Parquet => print_bytes(&records().parquet().map_err(Problem::new)?),
        }
    }

    /// Prints records, which JSON has under `key`.
    pub(crate) fn print_records(&self, key: &str, records: Records) -> Result<(), Problem> {
        self.print(|format| records.print(key, format), || records.clone())
    }
}

/// How results of runs are printed.
#[derive(Debug, Args)]
pub(crate) struct ResultsArguments {
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    /// Add the metrics of each power mode; JSON always has them
    #[arg(long)]
    pub(crate) power_modes: bool,
    /// Add the metrics of each class of tasks, of scenarios with classes; JSON always has them
    #[arg(long)]
    pub(crate) classes: bool,
}

impl ResultsArguments {
    /// Prints the results.
    pub(crate) fn print(&self, runs: &[StoredRun]) -> Result<(), Problem> {
        let groupings = [(self.power_modes, Grouping::PowerMode), (self.classes, Grouping::Class)];
        let groupings = groupings.into_iter().filter(|(is_wanted, _)| *is_wanted);
        let groupings: Vec<Grouping> = groupings.map(|(_, grouping)| grouping).collect();
        let text = |format| results_by(&groupings, runs, format);
        self.format.print(text, || run_records_by(&groupings, runs))
    }
}

/// Where a command writes, and whether it continues there.
#[derive(Debug, Args)]
pub(crate) struct FolderArguments {
    /// Folder to write; by default the first free one of runs/NAME-001, runs/NAME-002, …
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    out: Option<PathBuf>,
    /// Resume the unfinished work in --out; results are bit-identical to an uninterrupted run
    #[arg(long)]
    resume: bool,
}

impl FolderArguments {
    /// The folder to write; `name` is that of the scenario.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| files::first_free(Path::new("runs"), name))
    }

    pub(crate) fn start(&self) -> Start {
        if self.resume { Start::Resume } else { Start::New }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ThreadArguments {
    /// Threads; by default one per core. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct SeedArguments {
    /// Seed of all randomness except what `system.seed` draws; overrides the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct QuickArguments {
    /// A first look: at most 3 episodes to evaluate, 50 to train, 1,000 steps on 10,000 states to
    /// distil; a search of 4 configurations at most, each for 20 episodes, or 200 steps on 10,000
    /// states; a study's quick version
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EpisodesArguments {
    /// Episodes; overrides the scenario's
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "quick",
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    episodes: Option<u64>,
}

/// The fields of a scenario that the command line overrides.
#[derive(Default)]
struct Settings {
    list: Vec<Setting>,
}

impl Settings {
    /// Sets `field`, if there is a value for it.
    fn set(mut self, field: &'static str, value: Option<impl ToString>) -> Self {
        let value = value.map(|value| SettingValue::Is(value.to_string()));
        self.list.extend(value.map(|value| Setting { field, value }));
        self
    }

    /// Limits `field` to what is enough for a first look, if that is asked for.
    fn quick(mut self, quick: &QuickArguments, field: &'static str, most: u64) -> Self {
        let value = SettingValue::AtMost(most);
        self.list.extend(quick.quick.then_some(Setting { field, value }));
        self
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Run each policy in a process of its own: if it crashes, hangs or exhausts its memory, its run
    /// fails and the others continue
    #[arg(long)]
    pub(crate) isolate: bool,
    /// Run part I of N; `offramp merge` combines the parts
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Write a page that plays EPISODE, by default the first, 0, at the first point of each scenario:
    /// episode.html in the run folder, or episode-NAME.html of several scenarios
    #[arg(
        long,
        value_name = "EPISODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        conflicts_with = "isolate",
    )]
    pub(crate) html: Option<u64>,
    /// Show what was attainable: rows of chance, of a central plan and of a plan that knows the future, and
    /// each policy's share of hindsight
    #[arg(long)]
    hindsight: bool,
    /// Write each task, one row after another, to tasks.csv in the run folder; with --format parquet to
    /// tasks.parquet
    #[arg(long)]
    tasks: bool,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    #[command(flatten)]
    quick: QuickArguments,
    #[command(flatten)]
    episodes: EpisodesArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) results: ResultsArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

impl RunArguments {
    /// The format in which tasks are written, if they are.
    pub(crate) fn tasks(&self) -> Option<TaskFormat> {
        let format = match self.results.format.format {
            FormatName::Parquet => TaskFormat::Parquet,
            FormatName::Table | FormatName::Json | FormatName::Csv => TaskFormat::Csv,
        };
        self.tasks.then_some(format)
    }

    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default()
            .set("evaluate.seed", self.seed.seed)
            .set("evaluate.episodes", self.episodes.episodes)
            .quick(&self.quick, "evaluate.episodes", 3)
            .set("isolate", self.isolate.then_some(true))
            .set("hindsight", self.hindsight.then_some(true))
            .list
    }
}

#[derive(Debug, Args)]
pub(crate) struct HindsightArguments {
    /// A scenario file
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// Write the plans there as traces, which `offramp replay` plays: central-0.json, hindsight-0.json and
    /// so on; the points of a sweep in folders 0, 1 and so on
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    quick: QuickArguments,
    #[command(flatten)]
    episodes: EpisodesArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

impl HindsightArguments {
    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default()
            .set("evaluate.seed", self.seed.seed)
            .set("evaluate.episodes", self.episodes.episodes)
            .quick(&self.quick, "evaluate.episodes", 3)
            .list
    }
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The run folders of all parts
    #[arg(required = true, value_name = "RUN")]
    pub(crate) parts: Vec<PathBuf>,
    /// Run folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) results: ResultsArguments,
}

/// Logs that other programs read while a training or distillation runs.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Write event files for TensorBoard too, to the folder `tensorboard` of each training or
    /// distillation
    #[arg(long)]
    pub(crate) tensorboard: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// A scenario file with a `train` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    #[command(flatten)]
    quick: QuickArguments,
    #[command(flatten)]
    episodes: EpisodesArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) log: LogArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

impl TrainArguments {
    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default()
            .set("train.seed", self.seed.seed)
            .set("train.episodes", self.episodes.episodes)
            .quick(&self.quick, "train.episodes", 50)
            .list
    }
}

#[derive(Debug, Args)]
pub(crate) struct LiveArguments {
    /// A scenario file with a `live` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

impl LiveArguments {
    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default().set("live.seed", self.seed.seed).list
    }
}

#[derive(Debug, Args)]
pub(crate) struct DistillArguments {
    /// A scenario file with a `distill` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// Dataset to use, collected there if the file does not exist; by default in the folder that is
    /// written
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    #[command(flatten)]
    quick: QuickArguments,
    /// Mini-batch steps; overrides the scenario's
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "quick",
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    steps: Option<u64>,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) log: LogArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

impl DistillArguments {
    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default()
            .set("distill.seed", self.seed.seed)
            .set("distill.steps", self.steps)
            .quick(&self.quick, "distill.steps", 1_000)
            .quick(&self.quick, "distill.states", 10_000)
            .list
    }
}

#[derive(Debug, Args)]
pub(crate) struct TuneArguments {
    /// A scenario file with a `tune` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    #[command(flatten)]
    quick: QuickArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

impl TuneArguments {
    /// The fields of a scenario that the command line overrides.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        Settings::default()
            .set("tune.seed", self.seed.seed)
            .quick(&self.quick, "tune.configurations", 4)
            .quick(&self.quick, "tune.first", 10)
            .quick(&self.quick, "tune.finalists", 2)
            .quick(&self.quick, "tune.validate_episodes", 5)
            .quick(&self.quick, "train.episodes", 20)
            .quick(&self.quick, "distill.steps", 200)
            .quick(&self.quick, "distill.states", 10_000)
            .list
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// A checkpoint that `offramp train` or `offramp distill` has written
    #[arg(value_name = "CHECKPOINT")]
    pub(crate) checkpoint: PathBuf,
    /// The format, such as c, c-int8 or onnx; the policy's usual one if left out
    #[arg(long = "as", value_name = "FORMAT")]
    pub(crate) form: Option<String>,
    /// The folder to write the files into
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which network of the checkpoint: the device's number, 0 if all devices share one; by default
    /// all of them, each with its number in its name
    #[arg(long, value_name = "N")]
    pub(crate) network: Option<usize>,
    /// Name of the files, and the beginning of every public name in them, so that several exports
    /// fit into one program; by default that of the policy, and the network's number if it has
    /// several
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Overwrite files that exist
    #[arg(long)]
    pub(crate) force: bool,
    /// The policy whose checkpoint it is; by default the one that the checkpoint names
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A checkpoint (.safetensors) or a scenario (.ron)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Draw a map of the scenario's world, as SVG: stations, the ways of devices, rates by place
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReproduceArguments {
    /// A study file, or the name of one in scenarios/reproduce; by default `paper`
    #[arg(value_name = "STUDY")]
    pub(crate) study: Option<PathBuf>,
    /// Folder to write, by default runs/NAME; what it already contains is not computed again
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Make only these tables and figures
    #[arg(long, value_name = "ITEM", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Train everything that learns under so many seeds, 1 to N, instead of those of the study
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: Option<u64>,
    #[command(flatten)]
    pub(crate) quick: QuickArguments,
    /// Do nothing yet: write what is left to do as jobs for HyperQueue, for Slurm and in JSON, in
    /// DIR/plan. Each has --jobs threads, by default one
    #[arg(long)]
    pub(crate) plan: bool,
    /// Do one job of the plan, called by the file or folder that it makes
    #[arg(long, value_name = "JOB", conflicts_with = "plan")]
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Run folders, or the folder of a training, distillation, search, live run or study
    #[arg(required = true, value_name = "RUN")]
    pub(crate) folders: Vec<PathBuf>,
    /// Write an HTML page of these runs
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Draw the main figure of one folder, as SVG
    #[arg(long, value_name = "FILE.svg", conflicts_with = "html")]
    pub(crate) figure: Option<PathBuf>,
    /// Write the tables of these runs as Parquet, for data frames: runs.parquet, episodes.parquet, …;
    /// DIR may be a run folder
    #[arg(long, value_name = "DIR")]
    pub(crate) parquet: Option<PathBuf>,
    /// Open the page in the browser: FILE, or the one in the folder
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) results: ResultsArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Trace files, .json or .json.gz
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Compare with every recorded value; exit with 1 if any differs
    #[arg(long)]
    pub(crate) check: bool,
    /// Write a page that plays the recorded run
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PluginsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<PluginsCommand>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Show what one file offers, or why it can't be loaded
    Inspect {
        /// The library
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        format: FormatArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// Folder to create; its name becomes that of the crate and of the policy
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// Create a policy that learns
    #[arg(long)]
    pub(crate) learner: bool,
    /// Create an explorer, which makes some of a learner's decisions in training
    #[arg(long, conflicts_with = "learner")]
    pub(crate) explorer: bool,
    /// Depend on the offramp-plugin crate of this checkout of offramp; by default, of the one that
    /// this command was built from
    #[arg(long, value_name = "DIR")]
    pub(crate) checkout: Option<PathBuf>,
    /// Depend on the offramp-plugin crate of this git repository
    #[arg(long, value_name = "URL", conflicts_with = "checkout")]
    pub(crate) git: Option<String>,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Folder for offramp.1, offramp-run.1, …, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
