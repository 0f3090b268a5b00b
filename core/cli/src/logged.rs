//! Progress of something that learns, with event files beside it if they are asked for.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use offramp_harness::events::{Event, Observer};
use offramp_results::Error;
use offramp_tensorboard::EventLog;

use crate::arguments::LogArguments;
use crate::progress::Progress;

/// Shows the events of a training or distillation, and logs them.
pub(crate) struct Logged {
    progress: Progress,
    /// The log; the error that ended it, once there is one.
    log: Option<Mutex<Result<EventLog, Error>>>,
}

impl Logged {
    /// Shows events as `progress`, and logs them in `folder`, that of the training or distillation,
    /// if the arguments say so.
    pub(crate) fn new(progress: Progress, arguments: &LogArguments, folder: &Path) -> Self {
        let log = || Mutex::new(Ok(EventLog::new(&folder.join("tensorboard"))));
        Self { progress, log: arguments.tensorboard.then(log) }
    }

    /// Removes the bar.
    ///
    /// # Errors
    /// The one that ended the log early. What is learned does not depend on it.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let log = self.log.map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner));
        log.map_or(Ok(()), |log| log.map(drop))
    }
}

impl Observer for Logged {
    fn on_event(&self, event: Event<'_>) {
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let logged = match (&mut *log, &event) {
                (Ok(log), Event::Begun { done, .. }) => log.begin(*done),
                (Ok(log), Event::TrainingEpisode(episode)) => log.training(episode),
                (Ok(log), Event::Validation(validation)) => log.distillation(validation),
                _ => Ok(()),
            };
            if let Err(error) = logged {
                *log = Err(error);
            }
        }
        self.progress.on_event(event);
    }
}
