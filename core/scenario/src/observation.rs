//! The observation that a scenario chooses: one of the named ones, or a list of columns.

use offramp_model::observation::broadcast_columns;
use offramp_model::{
    Broadcast, Column, ColumnList, InvalidColumns, ObservationKind, ObservationSpec, System,
};

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
    let (kind, broadcast) = (kind?, broadcast(source, &file.broadcast)?);
    let silent = |column: &Column| {
        broadcast_columns().contains(column) && !broadcast.columns().any(|one| one == column)
    };
    if let Some(at) = kind.columns().iter().position(|column| silent(column)) {
        let name = kind.columns()[at].name;
        let message = format!("servers do not broadcast `{name}`");
        let help = format!("add it to `broadcast`: [\"{name}\"]");
        return Err(source.fault(&format!("observation.{at}"), message, Some(help)));
    }
    Ok(ObservationSpec { kind, history_slots: file.history_slots, broadcast })
}

/// What servers broadcast besides their loads.
fn broadcast(source: Source<'_>, names: &[String]) -> Result<Broadcast, Fault> {
    Broadcast::new(names).map_err(|invalid| explain_names(source, "broadcast", names, &invalid))
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
    ColumnList::new(&names)
        .map(ObservationKind::Columns)
        .map_err(|invalid| explain_names(source, "observation", &names, &invalid))
}

/// The fault of a list of names in `field`.
fn explain_names(
    source: Source<'_>,
    field: &str,
    names: &[String],
    invalid: &InvalidColumns,
) -> Fault {
    // Of a name that is listed twice, the second is at fault.
    let place = |wrong: &str| {
        let at = names.iter().rposition(|name| name == wrong).unwrap_or_default();
        format!("{field}.{at}")
    };
    match invalid {
        InvalidColumns::Unknown { name, known } => {
            let message = format!("there is no observation column `{name}`");
            source.fault(&place(name), message, Some(nearest_of(name, known)))
        }
        InvalidColumns::NotBroadcast { name, known } => {
            let message = format!("servers cannot broadcast `{name}`");
            source.fault(&place(name), message, Some(nearest_of(name, known)))
        }
        InvalidColumns::Duplicate { name } => source.fault(&place(name), invalid.to_string(), None),
        InvalidColumns::Empty => source.fault(field, invalid.to_string(), None),
    }
}

/// The help for a name that is not one of those that there are.
fn nearest_of(name: &str, known: &[&'static str]) -> String {
    nearest(name, known.iter().copied()).map_or_else(
        || format!("there are: {}", known.join(", ")),
        |near| format!("did you mean `{near}`?"),
    )
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
        let broadcast: Vec<_> = broadcast_columns().iter().map(|column| column.name).collect();
        assert!(read(&format!("{names:?}, broadcast: {broadcast:?}")).is_ok());
    }

    #[test]
    fn servers_broadcast_what_the_scenario_says() {
        let listed = "[\"alpha\", \"uploads\"], broadcast: [\"queued_gcycles\", \"uploads\"]";
        let list = ColumnList::new(["alpha", "uploads"]).unwrap();
        assert_eq!(read(listed).unwrap(), ObservationKind::Columns(list));
        let fault = read("Paper, broadcast: [\"uploads\", \"load\"]").unwrap_err();
        let shown = "x.ron:1:56: servers cannot broadcast `load`";
        assert_eq!(fault.to_string(), shown);
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
        check(
            "[\"alpha\", \"uploads\"]",
            "x.ron:1:36: servers do not broadcast `uploads`",
            "add it to `broadcast`: [\"uploads\"]",
        );
        check("Papr", "x.ron:1:26: there is no `Papr` here", "did you mean `Paper`?");
    }
}
