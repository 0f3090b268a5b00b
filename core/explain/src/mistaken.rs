//! Mix-ups: a file of one kind given to a command that needs another.

use std::io::Read;
use std::path::Path;

use offramp_scenario::has;

use crate::problem::Problem;

/// The kind of file or folder at a path, judged by its name and first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A scenario, for `offramp run`, `train`, `distill` and `tune`.
    Scenario,
    /// A study, for `offramp reproduce`.
    Study,
    /// A checkpoint, or any other safetensors file.
    Checkpoint,
    /// A run folder, as `offramp run` writes it.
    RunFolder,
    /// The `run.json` of a run folder.
    RunFile,
    /// The folder of a training or distillation.
    LearningFolder,
    /// The folder of a search.
    SearchFolder,
}

/// More of a file than this is not looked at: a study or scenario is smaller.
const LOOK_BYTES: u64 = 1 << 20;

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        if path.is_dir() {
            let has = |name: &str| path.join(name).is_file();
            return match () {
                () if has("run.json") => Some(Self::RunFolder),
                () if has("chosen.ron") && has("tune.csv") => Some(Self::SearchFolder),
                () if has("training.csv") || has("distillation.csv") => Some(Self::LearningFolder),
                () => None,
            };
        }
        let mut start = Vec::new();
        std::fs::File::open(path).ok()?.take(LOOK_BYTES).read_to_end(&mut start).ok()?;
        // Safetensors: the length of a JSON header, 8 bytes, then the header.
        if start.get(8) == Some(&b'{') && start.get(5..8) == Some(&[0; 3]) {
            return Some(Self::Checkpoint);
        }
        let text = std::str::from_utf8(&start).ok()?;
        let any = |fields: &[&str]| fields.iter().any(|field| has(text, field));
        match () {
            () if text.starts_with('{') => text.contains("\"runs\"").then_some(Self::RunFile),
            () if !any(&["name"]) => None,
            () if any(&["items", "training_seeds", "claims"]) => Some(Self::Study),
            () if any(&["policies", "train", "distill", "system", "evaluate"]) => {
                Some(Self::Scenario)
            }
            () => None,
        }
    }

    fn help(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Scenario => {
                format!("it is a scenario: `offramp run {path}` evaluates its policies")
            }
            Self::Study => {
                format!("it is a study: `offramp reproduce {path}` makes its tables and figures")
            }
            Self::Checkpoint => format!(
                "it is a checkpoint: `offramp inspect {path}` shows what is in it, and a scenario \
                 names it as `checkpoint`"
            ),
            Self::RunFolder => format!("it is a run folder: `offramp report {path}` prints it"),
            Self::RunFile => {
                "it belongs to a run folder: `offramp report` prints the folder".to_owned()
            }
            Self::SearchFolder => format!(
                "it is the folder of a search: {path}/chosen.ron has the values, for the \
                 `settings` of a scenario"
            ),
            Self::LearningFolder => format!(
                "it is the folder of a training or distillation: {path}/best.safetensors is the \
                 checkpoint"
            ),
        }
    }
}

impl Problem {
    /// The problem of reading `path`, which was to be a `needed`. If it is something else that
    /// another command takes, the help is that one instead.
    pub fn unless_mistaken(self, path: &Path, needed: Kind) -> Self {
        match Kind::of(path) {
            Some(kind) if kind != needed => self.with_help(kind.help(path)),
            _ => self,
        }
    }
}
