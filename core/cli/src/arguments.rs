//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use offramp_results::shard::Shard;
use offramp_scenario::Setting;

/// Simulator and policy workbench for task offloading in mobile edge computing.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Arguments {
    /// Print results and errors alone: no progress, no notes
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
    /// Distil a teacher into a student
    Distill(DistillArguments),
    /// Write a trained network or tree for a device, as C or ONNX
    Export(ExportArguments),
    /// Show the contents of a checkpoint or a scenario
    Inspect(InspectArguments),
    /// Make the tables and figures of a study; the paper's by default
    Reproduce(ReproduceArguments),
    /// Print the table of run folders again
    Report(ReportArguments),
    /// Run recorded traces through the engine
    Replay(ReplayArguments),
    /// List the plugins found, and those refused with the reason
    Plugins(PluginsArguments),
    /// Begin a policy of your own: a crate that builds, with a test and a scenario
    New(NewArguments),
}

/// Search path of plugins, besides the folder of the executable.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// A folder with plugins, or one plugin's file; searched first
    #[arg(long = "plugins", value_name = "DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folders with plugins, separated as in PATH; searched second
    #[arg(long, env = "OFFRAMP_PLUGINS", hide = true, value_name = "DIRS")]
    pub(crate) plugin_path: Option<std::ffi::OsString>,
}

/// Settings that override the scenario.
#[derive(Debug, Args)]
pub(crate) struct RunningArguments {
    /// Threads; all cores by default. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// The seed of all randomness, instead of the scenario's
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Episodes, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) episodes: Option<u64>,
    /// A first look: 3 episodes to evaluate, 50 to train
    #[arg(long, conflicts_with = "episodes")]
    pub(crate) quick: bool,
}

impl RunningArguments {
    /// What it sets of a scenario: `seed` and `episodes` are the paths of these fields.
    pub(crate) fn settings(
        &self,
        seed: &'static str,
        episodes: &'static str,
        quick_episodes: u64,
    ) -> Vec<Setting> {
        let count = self.episodes.or(self.quick.then_some(quick_episodes));
        settings(&[(seed, self.seed), (episodes, count)])
    }
}

/// The fields that are set to something.
pub(crate) fn settings(fields: &[(&'static str, Option<u64>)]) -> Vec<Setting> {
    let set = fields.iter().filter_map(|&(field, value)| Some((field, value?.to_string())));
    set.map(|(field, value)| Setting { field, value }).collect()
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// The run folder to write; runs/NAME-001 and so on by default
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub(crate) out: Option<PathBuf>,
    /// Resume the unfinished batch in --out; results are bit-identical to an uninterrupted run
    #[arg(long)]
    pub(crate) resume: bool,
    /// Give each run a process of its own: a policy that crashes, hangs or takes all memory is
    /// a failed row, and the others continue
    #[arg(long)]
    pub(crate) isolate: bool,
    /// Run part I of N; `offramp merge` combines the parts
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// How to print the results
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// Print a table by power mode too
    #[arg(long)]
    pub(crate) power_modes: bool,
    #[command(flatten)]
    pub(crate) running: RunningArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The run folders of all parts
    #[arg(required = true, value_name = "RUN")]
    pub(crate) parts: Vec<PathBuf>,
    /// The run folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How to print the results
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// A scenario file with a `train` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// The folder to write; runs/NAME-001 and so on by default
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub(crate) out: Option<PathBuf>,
    /// Resume from the last save in --out; results are bit-identical to an uninterrupted run
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) running: RunningArguments,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DistillArguments {
    /// A scenario file with a `distill` section
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// The folder to write; runs/NAME-001 and so on by default
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub(crate) out: Option<PathBuf>,
    /// Resume from the last validation in --out; results are bit-identical to an uninterrupted run
    #[arg(long)]
    pub(crate) resume: bool,
    /// The dataset to use, or to collect if it is not there; in the run folder if left out
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    /// Threads; all cores by default. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// The seed of the distillation, instead of the scenario's
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Mini-batch steps, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
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
    /// Which network of the checkpoint: the device's number, 0 if all devices share one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) network: usize,
    /// The policy whose checkpoint it is; by default the one that the checkpoint names
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A checkpoint (.safetensors), or a scenario (.ron)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReproduceArguments {
    /// A study file
    #[arg(value_name = "STUDY", default_value = "scenarios/reproduce/paper.ron")]
    pub(crate) study: PathBuf,
    /// The folder to write, and to go on in: what is done is not done again; runs/NAME if left
    /// out
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Make these tables and figures alone
    #[arg(long, value_name = "ITEM", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// A small version: fewer seeds, episodes and points
    #[arg(long)]
    pub(crate) quick: bool,
    /// Threads; all cores by default. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// How to print the results
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// Print a table by power mode too
    #[arg(long)]
    pub(crate) power_modes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Trace files, .json or .json.gz
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Compare with all that the files record; exit with 1 if anything differs
    #[arg(long)]
    pub(crate) check: bool,
    /// How to print what happened
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PluginsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<PluginsCommand>,
    /// How to print the list
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) search: SearchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The folder to make; its name is the crate's and the policy's
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,
    /// A policy that learns
    #[arg(long)]
    pub(crate) learner: bool,
    /// An explorer, which decides in training what the learner does not
    #[arg(long, conflicts_with = "learner")]
    pub(crate) explorer: bool,
    /// Depend on the offramp-plugin of this checkout of offramp; that of this command if left out
    #[arg(long, value_name = "DIR")]
    pub(crate) checkout: Option<PathBuf>,
    /// Depend on the offramp-plugin of this git repository
    #[arg(long, value_name = "URL", conflicts_with = "checkout")]
    pub(crate) git: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Explain one file: what it offers, or why it can't be loaded
    Inspect {
        /// The library
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl From<Format> for offramp_report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}
