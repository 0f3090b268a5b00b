//! The traits that an author implements: small ones, each a capability.
//!
//! An error from any call, or a panic in it, ends the run that made the call: the message is
//! reported with the policy's name and the call, the other runs continue, and the instance is not
//! called again, only dropped.
//!
//! In all shapes: N devices, M servers, and one *row* per task that waits for a decision.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::data::{
    Context, Counterfactuals, EpisodeStart, ExportRequest, ExportedFile, Progress, TransitionBatch,
    path_of,
};
use crate::error::Error;
use crate::observation::{Needs, Observation};

/// Decides for every task that arrives.
///
/// An evaluation plays each episode with an instance of its own, on any thread; training uses one
/// instance throughout. Results must depend on nothing but what is handed over.
///
/// Order of calls: `create`, or [`fresh`](Self::fresh) of an instance that was created; then for
/// each episode `begin_episode`, `decide` in each slot with tasks, `end_episode`.
pub trait Policy: Sized + Send + 'static {
    /// Which parts of an observation `decide` (and `record`) reads; the others are empty.
    const NEEDS: Needs;

    /// Creates the policy: reads its parameters and checkpoint, finds its columns.
    ///
    /// # Errors
    /// A fault in the parameters (unknown ones included: [`Context::parameters`] sees to
    /// that) or the checkpoint. The run does not begin.
    fn create(context: &Context<'_>) -> Result<Self, Error>;

    /// Begins an episode: forget the last one. Its system has the N and M of
    /// [`Context::system`], unless the policy declares [`AnySystem`].
    ///
    /// # Errors
    /// Whatever keeps it from playing the episode; the run ends.
    fn begin_episode(&mut self, _start: &EpisodeStart<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Decides a slot: fills `actions`, one per row, with 0 (compute locally) or j = 1 … M (send
    /// to server j). Rows that already hold an action were decided by an explorer and stay; the
    /// others hold [`UNDECIDED`](crate::UNDECIDED). Called once in each slot that has tasks.
    ///
    /// # Errors
    /// Whatever keeps it from deciding; the run ends. A row left undecided or above M is one too.
    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error>;

    /// Ends the episode.
    ///
    /// # Errors
    /// Whatever makes the episode worthless; the run ends.
    fn end_episode(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the files that this instance has read by itself or will: scripts, tables, weights
    /// beside a checkpoint. Asked for after `create`. The host records their SHA-256 with each
    /// result, and refuses to resume a run if one has changed. Whatever is not listed here does
    /// not count as part of the run. The checkpoint is part of it anyway.
    ///
    /// [`Context::path`] makes the paths of files that parameters name.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Returns an instance as `create` would from the same context, but quickly: with the weights
    /// shared (`Arc`), and nothing read, hashed or drawn again. An evaluation then calls `create`
    /// once for a run instead of once for each episode, and asks that instance for the others. It is
    /// only asked for them: it has neither played nor learned, so a copy of it is as good as new.
    /// `None`: create one.
    ///
    /// Both must decide alike, bit for bit: a policy for which that is hard leaves this out.
    fn fresh(&self) -> Option<Self> {
        None
    }
}

/// Copes with a system of other size in each episode: N, M and speeds are those of
/// [`EpisodeStart::system`], not of [`Context::system`].
///
/// A marker for policies and explorers, declared as `any_system` at registration. One without it
/// is never handed an episode of another N or M: that run ends with an error before the call.
pub trait AnySystem {}

/// Keeps what it has learned.
pub trait Saved: Policy {
    /// Returns what deciding needs: a file that `create` takes as [`Context::checkpoint`].
    ///
    /// # Errors
    /// Whatever keeps it from saving; the run ends.
    fn checkpoint(&self) -> Result<Vec<u8>, Error>;

    /// Returns everything needed to continue learning bit-identically. Called between episodes
    /// and between steps of fitting.
    ///
    /// # Errors
    /// Whatever keeps it from saving; the run ends.
    fn save(&self) -> Result<Vec<u8>, Error>;

    /// Continues from what `save` returned, in an instance created from the same context.
    ///
    /// # Errors
    /// A fault in `bytes`; the run ends.
    fn load(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Returns what shows how well it learns, by name: means since the last call. Asked for after
    /// each training episode, and after each validation of a distillation; values that are not
    /// finite count as unknown.
    ///
    /// Names in use are `gradient_norm` (of the gradient before it is clipped), `q` (mean Q of the
    /// states of the batches, units of reward), `td_error` (mean |Q − Y|, units of reward) and
    /// `multiply_adds` (the sum of those that learning has cost); others are free. What is counted here
    /// need not be saved.
    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        Vec::new()
    }

    /// Returns how many bytes learning will need at most, replay memory and batches included; 0 if
    /// it does not know. Asked for before a training or distillation begins.
    fn memory(&self) -> u64 {
        0
    }
}

/// Learns from its own episodes, in training or in deployment.
pub trait Learner: Saved {
    /// Receives a slot that is over. Called for every slot of a training episode, also those
    /// without tasks. A task's reward comes with the slot in which it ends.
    ///
    /// # Errors
    /// Whatever keeps it from recording; the run ends.
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error>;

    /// Learns, or does not: called after every `record`. Returns how far it has come. A learner
    /// without an optimiser counts whatever changes its decisions: a training in which no update is
    /// ever reported has failed, and leaves no checkpoint.
    ///
    /// # Errors
    /// Whatever keeps it from learning, a loss that is not finite included; the run ends.
    fn learn(&mut self) -> Result<Progress, Error>;

    /// Returns of how many tasks of each training episode it wants to know the counterfactuals; 0, the
    /// default, if it learns from rewards alone. Asked for before a training begins. Each takes the
    /// host time: 5 to 13 µs for a task of the paper's system on one core, 30 to 70 times its part of the
    /// episode.
    fn judged_tasks(&self) -> u64 {
        0
    }

    /// Receives the counterfactuals of so many tasks, or of all if there are fewer, drawn at random.
    /// Called after the last slot of each training episode, before `end_episode`, if it asked for any.
    ///
    /// # Errors
    /// Whatever keeps it from taking them in; the run ends.
    fn judge(&mut self, counterfactuals: &Counterfactuals<'_>) -> Result<(), Error> {
        let _ = counterfactuals;
        Ok(())
    }
}

/// Has a value for every action: Q(s, a).
pub trait ValueFunction: Policy {
    /// Fills `values`, rows × (M + 1), row by row, with finite Q in units of reward. Rows may see
    /// windows of history of their own ([`Observation::window_of`]).
    ///
    /// # Errors
    /// Whatever keeps it from evaluating; the run ends. A value left unfilled or not finite is
    /// one too.
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error>;
}

/// Learns from a teacher's values (section 5.3 of the paper). Its decisions are compared with the
/// teacher's on rows that see windows of history of their own ([`Observation::window_of`]).
pub trait Student: Saved {
    /// Takes one step towards `targets`, rows × (M + 1), row by row: the teacher's Q. Returns the
    /// loss before the step. What is learned all at once may be collected until
    /// [`Saved::checkpoint`] asks for it.
    ///
    /// In a distillation, rows are states of a data set, from any slots: the observation has devices,
    /// features and windows of history, and its tables are empty. In a training beside a teacher
    /// (`train.teacher`), it is called after each [`Policy::decide`], with the same observation.
    ///
    /// # Errors
    /// Whatever keeps it from fitting, a loss that is not finite included; the run ends.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error>;
}

/// Writes the network of a checkpoint in forms that other programs read. It is about the
/// checkpoint: no instance is created.
///
/// ```
/// # use offramp_plugin::{
/// #     Context, Error, ExportRequest, Exportable, ExportedFile, Needs, Observation, Policy,
/// # };
/// # struct MyPolicy;
/// # impl Policy for MyPolicy {
/// #     const NEEDS: Needs = Needs::NOTHING;
/// #     fn create(_: &Context<'_>) -> Result<Self, Error> {
/// #         Ok(Self)
/// #     }
/// #     fn decide(&mut self, _: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
/// #         actions.fill(0);
/// #         Ok(())
/// #     }
/// # }
/// impl Exportable for MyPolicy {
///     fn formats() -> &'static [&'static str] {
///         &["text"]
///     }
///
///     fn export(
///         checkpoint: &[u8],
///         request: &ExportRequest<'_>,
///     ) -> Result<Vec<ExportedFile>, Error> {
///         let numbers = checkpoint.chunks_exact(4).count();
///         Ok(vec![ExportedFile {
///             name: format!("{}.txt", request.name),
///             bytes: format!("{checkpoint:?}").into_bytes(),
///             note: format!("{numbers} weights"),
///         }])
///     }
/// }
/// ```
pub trait Exportable: Policy {
    /// The formats it writes, such as `c`, `c-int8` or `onnx`; the first is the usual one.
    fn formats() -> &'static [&'static str];

    /// Writes a network of `checkpoint` as one or more files, which are called as the request says:
    /// all networks of a checkpoint may go into one folder.
    ///
    /// # Errors
    /// If `checkpoint` is not one of this policy's or has no such network. The host has checked
    /// the format.
    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error>;
}

/// Reads and writes its parameters as one vector per network, so that several instances can be
/// merged (federated learning, averages of checkpoints). Vectors of instances created from the
/// same parameters and system have the same length and order.
pub trait Mergeable: Saved {
    /// Returns how many networks it has: 1, or one per device.
    fn networks(&self) -> usize;

    /// Returns all trainable parameters of a network, 0 ≤ `network` < [`Mergeable::networks`].
    ///
    /// # Errors
    /// Whatever keeps it from reading them; the run ends.
    fn parameters(&self, network: usize) -> Result<Vec<f32>, Error>;

    /// Replaces the parameters of a network; `parameters` has the length that
    /// [`Mergeable::parameters`] returned and is finite. What follows from them (a target network,
    /// a transposed copy) is renewed; the optimiser's state stays.
    ///
    /// # Errors
    /// Whatever keeps it from taking them; the run ends.
    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), Error>;
}

/// Proposes actions while a learner trains.
///
/// Order of calls: `create`; then for each episode `begin_episode`, and `propose` in each slot
/// with tasks, before the learner decides.
pub trait Explorer: Sized + Send + 'static {
    /// Which parts of an observation `propose` reads; the others are empty.
    const NEEDS: Needs;

    /// Creates the explorer.
    ///
    /// # Errors
    /// A fault in the parameters. The run does not begin.
    fn create(context: &Context<'_>) -> Result<Self, Error>;

    /// Begins an episode. Its system has the N and M of [`Context::system`], unless the explorer
    /// declares [`AnySystem`].
    ///
    /// # Errors
    /// Whatever keeps it from playing the episode; the run ends.
    fn begin_episode(&mut self, _start: &EpisodeStart<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Fills the rows it wants to decide with 0 … M and leaves the others
    /// [`UNDECIDED`](crate::UNDECIDED) for the learner. Returns the mean probability with which it
    /// decided a row (ε), for the log.
    ///
    /// # Errors
    /// Whatever keeps it from proposing; the run ends. An action above M, or a probability that is
    /// not finite, is one too.
    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error>;

    /// Returns the files that this instance has read by itself or will, as for
    /// [`Policy::files`].
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl Context<'_> {
    /// The parameters of the scenario's entry; those left out have their defaults. Put
    /// `#[serde(deny_unknown_fields)]` on `P`.
    ///
    /// # Errors
    /// The line of the parameters that is wrong, and what was expected there. Its number would be
    /// another in the scenario's file, so it is not stated.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P, Error> {
        let text = match self.parameters.as_str() {
            "" => "()",
            text => text,
        };
        let options = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        options.from_str(text).map_err(|error: ron::error::SpannedError| {
            let place = line_at(text, error.span.start);
            Error::new(format!("parameters: {} (in `{place}`)", explain(text, &error)))
        })
    }

    /// The path of a file that the parameters name: relative to the scenario's folder. State it in
    /// [`Policy::files`] too.
    ///
    /// # Errors
    /// If a relative path leaves that folder (a scenario may come from anyone), or is not there.
    pub fn path(&self, file: &str) -> Result<PathBuf, Error> {
        resolve(&path_of(self.folder.as_slice()), file)
    }

    /// For a policy without parameters.
    ///
    /// # Errors
    /// If the scenario has any for it, or a checkpoint.
    pub fn no_parameters(&self) -> Result<(), Error> {
        if self.checkpoint.is_some() {
            return Err(Error::new("it takes no checkpoint"));
        }
        match self.parameters.as_str().trim() {
            "" | "()" => Ok(()),
            text => Err(Error::new(format!("it takes no parameters, and was given {text}"))),
        }
    }
}

/// The line of `text` at a position, from the position on if it is long.
fn line_at(text: &str, position: ron::error::Position) -> String {
    const MAX: usize = 60;
    let line = text.lines().nth(position.line.saturating_sub(1)).unwrap_or_default().trim_end();
    let from_start = line.trim_start();
    if from_start.chars().count() <= MAX {
        return from_start.to_owned();
    }
    let rest: String = line.chars().skip(position.col.saturating_sub(1)).take(MAX).collect();
    format!("… {rest} …")
}

/// The expectation at the place of an error in `text`, in words.
fn explain(text: &str, error: &ron::error::SpannedError) -> String {
    use ron::Error as Ron;
    // `ron` reads the digits of `1.0` and then misses a comma.
    let ron::error::Position { line, col } = error.span.end;
    let next = || text.lines().nth(line.checked_sub(1)?)?.chars().nth(col.checked_sub(1)?);
    let whole = match error.code {
        Ron::ExpectedComma | Ron::ExpectedArrayEnd | Ron::ExpectedStructLikeEnd => {
            next() == Some('.')
        }
        Ron::InvalidIntegerDigit { digit: 'e' | 'E', base: 10 } => true,
        _ => false,
    };
    if whole {
        "a whole number is needed, without a point or an exponent".to_owned()
    } else {
        error.code.to_string()
    }
}

/// The path that is called `file` in `folder`.
fn resolve(folder: &Path, file: &str) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    let fail = |cause: std::io::Error| Error::new(format!("{}: {cause}", path.display()));
    let whole = path.canonicalize().map_err(fail)?;
    if Path::new(file).is_relative() && !whole.starts_with(folder.canonicalize().map_err(fail)?) {
        let message = format!(
            "`{file}` leaves the scenario's folder: give an absolute path if this \
                               is intended"
        );
        return Err(Error::new(message));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_position_is_shown() {
        let at = |text: &str, line, col| line_at(text, ron::error::Position { line, col });
        assert_eq!(at("(\n  hidden: 3,\n  hiden: 4,\n)", 3, 3), "hiden: 4,");
        assert_eq!(at("()", 1, 2), "()");
        assert_eq!(at("", 7, 9), "");
        let long = format!("(hidden: 3, {}hiden: 4)", "batch: 4, ".repeat(20));
        assert_eq!(at(&long, 1, 213), "… hiden: 4) …");
    }

    #[test]
    fn a_number_that_is_not_whole_is_explained() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "read, or not")]
        struct Layers {
            widths: Vec<u32>,
            seed: u64,
        }
        let error = |text: &str| explain(text, &ron::from_str::<Layers>(text).unwrap_err());
        let whole = "a whole number is needed, without a point or an exponent";
        assert_eq!(error("(widths: [20, 10.0], seed: 1)"), whole);
        assert_eq!(error("(\n widths: [20],\n seed: 1.0)"), whole);
        assert_eq!(error("(widths: [], seed: 1e3)"), whole);
        assert!(error("(widths: [] seed: 1)").contains("Expected comma"));
    }

    #[test]
    fn paths_are_relative_to_the_scenario_and_stay_there() {
        let parent = std::env::temp_dir().join(format!("offramp-paths-{}", std::process::id()));
        let folder = parent.join("scenarios");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("rule.txt"), "").unwrap();
        std::fs::write(parent.join("secret.txt"), "").unwrap();
        assert_eq!(resolve(&folder, "rule.txt").unwrap(), folder.join("rule.txt"));
        let absolute = parent.join("secret.txt");
        assert_eq!(resolve(&folder, absolute.to_str().unwrap()).unwrap(), absolute);
        let error = |file| resolve(&folder, file).unwrap_err().message().to_owned();
        assert!(error("../secret.txt").contains("leaves the scenario's folder"));
        assert!(error("none.txt").contains("none.txt: "));
        std::fs::remove_dir_all(&parent).unwrap();
    }
}
