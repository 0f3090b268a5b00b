//! The observation that a scenario chooses: one of the named ones, or a list of columns.

use offramp_model::{ColumnList, InvalidColumns, ObservationKind, ObservationSpec, System};

use crate::Fault;
use crate::fault::{explain, nearest};
use crate::file::{NamedObservation, ScenarioFile};
use crate::source::Source;

/// The observation of a scenario.
pub(crate) fn observation(
    source: Source<'_>,
    file: &ScenarioFile,
) -> Result<ObservationSpec, Fault> {
    let text = file.observation.0.as_str();
    let kind = if text.starts_with('[') { list(source, text) } else { named(source, text) };
    Ok(ObservationSpec { kind: kind?, history_slots: file.history_slots })
}

/// Checks that the observation exists in that system.
pub(crate) fn check(
    source: Source<'_>,
    observation: &ObservationSpec,
    system: &System,
) -> Result<(), Fault> {
    if observation.kind != ObservationKind::Published || !system.changes() {
        return Ok(());
    }
    let message = "the public code knows no system in which anything but tasks changes";
    let help = "use Paper, Extended or a list of columns, or leave out `world`, outages, the \
                backhaul and recorded rates";
    Err(source.fault("observation", message.to_owned(), Some(help.to_owned())))
}

fn named(source: Source<'_>, text: &str) -> Result<ObservationKind, Fault> {
    match ron::from_str(text) {
        Ok(NamedObservation::Paper) => Ok(ObservationKind::Paper),
        Ok(NamedObservation::Extended) => Ok(ObservationKind::Extended),
        Ok(NamedObservation::Published) => Ok(ObservationKind::Published),
        Err(error) => {
            let (message, help) = explain(&error.code);
            let forms = "it may be Paper, Extended, Published or a list of columns";
            Err(source.fault("observation", message, Some(help.unwrap_or_else(|| forms.into()))))
        }
    }
}

fn list(source: Source<'_>, text: &str) -> Result<ObservationKind, Fault> {
    let names: Vec<String> = ron::from_str(text).map_err(|error| {
        let help = "a list of columns looks like [\"size_mbit\", \"alpha\"]".to_owned();
        source.fault("observation", explain(&error.code).0, Some(help))
    })?;
    ColumnList::new(&names).map(ObservationKind::Columns).map_err(|invalid| {
        // Of a name that is listed twice, the second is at fault.
        let place = |wrong: &str| {
            let at = names.iter().rposition(|name| name == wrong).unwrap_or_default();
            format!("observation.{at}")
        };
        match &invalid {
            InvalidColumns::Unknown { name, known } => {
                let help = nearest(name, known.iter().copied()).map_or_else(
                    || format!("there are: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("there is no observation column `{name}`");
                source.fault(&place(name), message, Some(help))
            }
            InvalidColumns::Duplicate { name } => {
                source.fault(&place(name), invalid.to_string(), None)
            }
            InvalidColumns::Empty => source.fault("observation", invalid.to_string(), None),
        }
    })
}

/// The columns that a list may name, as a Markdown table.
#[cfg(test)]
pub(crate) fn documentation() -> String {
    use offramp_model::observation::{Table, columns};

    let mut text = String::from("| column | unit | features | meaning |\n|---|---|---|---|\n");
    for column in columns() {
        let features = match column.table() {
            Table::Task => "1",
            Table::Link | Table::Server => "M, one per server",
        };
        let unit = if column.unit == "1" { "" } else { column.unit };
        text += &format!("| `{}` | {unit} | {features} | {} |\n", column.name, column.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use offramp_model::observation::columns;

    use super::*;
    use crate::Experiment;

    fn read(observation: &str) -> Result<ObservationKind, Fault> {
        let text = format!("(name: \"x\", observation: {observation})");
        let experiment = Experiment::parse("x.ron", text, "".as_ref(), &[])?;
        Ok(experiment.points[0].observation.kind)
    }

    #[test]
    fn an_observation_is_a_name_or_a_list_of_columns() {
        assert_eq!(read("Extended").unwrap(), ObservationKind::Extended);
        let list = ColumnList::new(["load", "alpha"]).unwrap();
        assert_eq!(read("[\"load\", \"alpha\"]").unwrap(), ObservationKind::Columns(list));
        let names: Vec<_> = columns().map(|column| column.name).collect();
        assert!(read(&format!("{names:?}")).is_ok());
    }

    #[test]
    fn a_list_that_is_not_an_observation_is_refused_at_its_place() {
        let check = |observation: &str, shown: &str, help: &str| {
            let fault = read(observation).unwrap_err();
            assert_eq!(fault.to_string(), shown);
            assert_eq!(fault.help.as_deref().unwrap_or(""), help);
        };
        check(
            "[\"alpha\", \"backlog\"]",
            "x.ron:1:36: there is no observation column `backlog`",
            "did you mean `backlog_mbit`?",
        );
        check(
            "[\"alpha\", \"load\", \"alpha\"]",
            "x.ron:1:44: the observation column `alpha` is listed twice",
            "",
        );
        check("[]", "x.ron:1:26: an observation needs at least one column", "");
        check(
            "[alpha]",
            "x.ron:1:26: Expected string",
            "a list of columns looks like [\"size_mbit\", \"alpha\"]",
        );
        check("Papr", "x.ron:1:26: there is no `Papr` here", "did you mean `Paper`?");
    }
}
