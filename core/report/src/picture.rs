//! Pictures: the one figure that shows most of a folder. Of runs the QoE, by policy or over a sweep; of
//! trainings the QoE while they learn, of distillations in validation; of a search what its
//! configurations reach, rung by rung.

use std::path::Path;

use offramp_results::run_folder;
use offramp_results::tuning::Search;

use crate::page::PageError;
use crate::plot::Figure;
use crate::{learning_page, run_page, tuning};

/// The picture of the folder of a run, a training, a distillation or a search, titled `name`; `None` if
/// there is nothing to show.
///
/// # Errors
/// [`PageError`] names the file of the folder that can't be read.
pub fn picture(name: &str, folder: &Path) -> Result<Option<Figure>, PageError> {
    let figure = if run_folder::is_complete(folder) {
        run_page::picture(folder)?
    } else if tuning::has_rows(folder) {
        Some(tuning::figure(&Search::read(folder)?))
    } else {
        learning_page::picture(folder)?
    };
    Ok(figure.map(|figure| figure.titled(name)))
}
