//! What the author of a plugin implements: small traits, each a capability.

use serde::de::DeserializeOwned;

use crate::data::{Context, EpisodeStart, Needs, Observation, Progress, TransitionBatch};

/// Why a plugin could not do what it was asked; the run ends, others go on.
///
/// Any error or text becomes one by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
}

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::fmt::Display> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::new(cause.to_string())
    }
}

/// Decides for every task that arrives.
///
/// The harness makes one instance for each episode it evaluates, on any thread; training uses
/// one instance throughout. Results must depend on nothing but what is handed over.
pub trait Policy: Sized + Send + 'static {
    /// Which parts of an observation `decide` (and `record`) reads.
    const NEEDS: Needs;

    /// Creates the policy. Parameters that it does not know are an error:
    /// [`Context::parameters`] sees to that.
    ///
    /// # Errors
    /// What is wrong with the parameters or the checkpoint.
    fn create(context: &Context<'_>) -> Result<Self, Error>;

    /// An episode begins: forget the last one.
    ///
    /// # Errors
    /// Whatever keeps it from going on.
    fn begin_episode(&mut self, _start: &EpisodeStart) -> Result<(), Error> {
        Ok(())
    }

    /// Decides: one action a row, 0 local or j = 1 … M server j. Rows that already hold an
    /// action were decided by an explorer and stay; the others hold
    /// [`UNDECIDED`](crate::UNDECIDED). Called once in each slot that has tasks.
    ///
    /// # Errors
    /// Whatever keeps it from deciding.
    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error>;

    /// The episode is over.
    ///
    /// # Errors
    /// Whatever keeps it from going on.
    fn end_episode(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// What it has learned can be kept.
pub trait Saved: Policy {
    /// What deciding needs: a file that `create` takes as [`Context::checkpoint`].
    ///
    /// # Errors
    /// Whatever keeps it from saving.
    fn checkpoint(&self) -> Result<Vec<u8>, Error>;

    /// Everything needed to go on learning as if never interrupted.
    ///
    /// # Errors
    /// Whatever keeps it from saving.
    fn save(&self) -> Result<Vec<u8>, Error>;

    /// Goes on from what `save` gave.
    ///
    /// # Errors
    /// What is wrong with `bytes`; nothing has changed then.
    fn load(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

/// Learns from its own episodes.
pub trait Learner: Saved {
    /// A slot is over. Called for every slot of a training episode, also those without tasks.
    ///
    /// # Errors
    /// Whatever keeps it from recording.
    fn record(&mut self, slot: &TransitionBatch<'_>) -> Result<(), Error>;

    /// Called after every slot of a training episode: learn now, or don't.
    ///
    /// # Errors
    /// Whatever keeps it from learning, a loss that is no number among it.
    fn learn(&mut self) -> Result<Progress, Error>;
}

/// Has a value for every action: Q(s, a).
pub trait ValueFunction: Policy {
    /// Fills `values`, rows × (M + 1), with Q. Rows may see windows of history of their own.
    ///
    /// # Errors
    /// Whatever keeps it from evaluating.
    fn values(&mut self, observation: &Observation<'_>, values: &mut [f32]) -> Result<(), Error>;
}

/// Learns from a teacher's values (section 5.3 of the paper). What it decides is compared with
/// the teacher on rows that see windows of history of their own.
pub trait Student: Saved {
    /// One step towards `targets`, rows × (M + 1), the teacher's Q; gives the loss before it.
    /// What is learned all at once may be kept until [`Saved::checkpoint`] asks for it.
    ///
    /// # Errors
    /// Whatever keeps it from fitting.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error>;
}

/// Proposes actions while a learner trains.
pub trait Explorer: Sized + Send + 'static {
    /// Which parts of an observation `propose` reads.
    const NEEDS: Needs;

    /// Creates the explorer.
    ///
    /// # Errors
    /// What is wrong with the parameters.
    fn create(context: &Context<'_>) -> Result<Self, Error>;

    /// An episode begins.
    ///
    /// # Errors
    /// Whatever keeps it from going on.
    fn begin_episode(&mut self, _start: &EpisodeStart) -> Result<(), Error> {
        Ok(())
    }

    /// Fills the rows it wants to decide; what it leaves [`UNDECIDED`](crate::UNDECIDED) the
    /// learner decides. Gives the mean probability with which it decided a row (ε), for the log.
    ///
    /// # Errors
    /// Whatever keeps it from proposing.
    fn propose(
        &mut self,
        observation: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error>;
}

impl Context<'_> {
    /// The parameters of the scenario's entry; those left out have their defaults. Put
    /// `#[serde(deny_unknown_fields)]` on `P`.
    ///
    /// # Errors
    /// Line and column within the parameters, and what was expected there.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P, Error> {
        let text = match self.parameters.as_str() {
            "" => "()",
            text => text,
        };
        let options = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        options.from_str(text).map_err(|error| Error::new(format!("parameters: {error}")))
    }

    /// For a policy without parameters.
    ///
    /// # Errors
    /// If the scenario gives it any, or a checkpoint.
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
