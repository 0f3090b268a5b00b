//! `offramp plugins`: the plugins that were found, and those that were refused.

use std::path::Path;

use offramp_explain::Problem;
use offramp_host::{Library, Offer, OfferKind, Registry};
use offramp_report::Format;
use offramp_report::records::{Cell, Field, Kind, Records, json_text};
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::{FormatArguments, PluginsArguments, PluginsCommand};

pub(crate) fn run(arguments: &PluginsArguments) -> Result<Outcome, Problem> {
    match &arguments.command {
        Some(PluginsCommand::Inspect { file, format }) => inspect(file, format)?,
        None => {
            let registry = super::load_plugins(&arguments.search)?;
            let records = || offer_records(offers(&registry));
            let text = |format| match format {
                Format::Table => table(&registry),
                Format::Json => registry_json(&registry),
                Format::Csv => records().csv(),
            };
            arguments.format.print(text, records)?;
        }
    }
    Ok(Outcome::Success)
}

fn inspect(file: &Path, format: &FormatArguments) -> Result<(), Problem> {
    let library = Library::load(file)
        .map_err(|error| Problem::new(format!("{}: {error}", file.display())))?;
    let offers = || library.offers.iter().map(|offer| (&*library, offer));
    let records = || offer_records(offers());
    let text = |format| match format {
        Format::Table => library_text(file, &library),
        Format::Json => {
            let Library { plugin, version, compiler, target, sha256, .. } = &*library;
            json_text(&json!({
                "plugin": plugin,
                "version": version,
                "compiler": compiler,
                "target": target,
                "file": library.path,
                "sha256": sha256,
                "offers": offers().map(|(_, offer)| offer_json(offer)).collect::<Vec<_>>(),
            }))
        }
        Format::Csv => records().csv(),
    };
    format.print(text, records)
}

fn library_text(file: &Path, library: &Library) -> String {
    let Library { plugin, version, compiler, target, sha256, .. } = library;
    let mut text = format!(
        "{}\nplugin   {plugin} {version}\ncompiler {compiler}\ntarget   {target}\nsha256   \
         {sha256}\n",
        file.display()
    );
    for offer in &library.offers {
        text += &format!("\n{} `{}`: {}\n", offer.kind.name(), offer.name, offer.about);
        text += &format!("  reads: {}\n", listed(&offer.needs.names()));
        if offer.kind == OfferKind::Policy {
            text += &format!("  can also: {}\n", listed(&offer.capabilities.names()));
        }
    }
    if library.offers.is_empty() {
        text += "\nit offers nothing: `register_policy!` is missing\n";
    }
    text
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Every offer with its library, policies first, by name.
fn offers(registry: &Registry) -> Vec<(&Library, &Offer)> {
    let mut offers: Vec<_> = registry
        .libraries
        .iter()
        .flat_map(|library| library.offers.iter().map(move |offer| (&**library, offer)))
        .filter(|(library, offer)| {
            // Offers shadowed by an earlier library of the same name are listed apart.
            registry
                .find(offer.kind, &offer.name)
                .is_ok_and(|found| found.library.path == library.path)
        })
        .collect();
    offers.sort_by_key(|(_, offer)| (offer.kind == OfferKind::Explorer, &offer.name));
    offers
}

fn table(registry: &Registry) -> String {
    let offers = offers(registry);
    let width = offers.iter().map(|(_, offer)| offer.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (library, offer) in &offers {
        let capabilities = match offer.capabilities.names().join(", ") {
            none if none.is_empty() => none,
            some => format!("  ({some})"),
        };
        text += &format!(
            "{:8} {:width$}  {}{capabilities}  [{} {}, {}]\n",
            offer.kind.name(),
            offer.name,
            offer.about,
            library.plugin,
            library.version,
            library.path.display(),
        );
    }
    if offers.is_empty() {
        text += "no plugins found: build them, or name their folder with --plugins or \
                 OFFRAMP_PLUGINS\n";
    }
    for (name, library) in &registry.shadowed {
        text += &format!("shadowed {name}  {} offers it too, later\n", library.path.display());
    }
    for (path, error) in &registry.refused {
        text += &format!("refused  {}: {error}\n", path.display());
    }
    text
}

fn offer_json(offer: &Offer) -> Value {
    json!({
        "kind": offer.kind.name(),
        "name": offer.name,
        "about": offer.about,
        "needs": offer.needs.names(),
        "capabilities": offer.capabilities.names(),
    })
}

fn registry_json(registry: &Registry) -> String {
    let offers: Vec<_> = offers(registry)
        .into_iter()
        .map(|(library, offer)| {
            let mut object = offer_json(offer);
            object["plugin"] = library.plugin.clone().into();
            object["version"] = library.version.clone().into();
            object["file"] = json!(library.path);
            object["sha256"] = library.sha256.clone().into();
            object
        })
        .collect();
    let refused: Vec<_> = registry
        .refused
        .iter()
        .map(|(path, error)| json!({ "file": path, "reason": error.to_string() }))
        .collect();
    let shadowed: Vec<_> = registry
        .shadowed
        .iter()
        .map(|(name, library)| json!({ "name": name, "file": library.path }))
        .collect();
    json_text(&json!({ "plugins": offers, "refused": refused, "shadowed": shadowed }))
}

fn offer_records<'o>(offers: impl IntoIterator<Item = (&'o Library, &'o Offer)>) -> Records {
    let ids = ["kind", "name", "plugin", "version", "file", "sha256", "capabilities"];
    let mut records = Records::new(ids.map(|id| Field::new(id, Kind::Text)));
    records.rows.extend(offers.into_iter().map(|(library, offer)| {
        let file = library.path.display().to_string();
        let Library { plugin, version, sha256, .. } = library;
        let capabilities = offer.capabilities.names().join(" ");
        [offer.kind.name(), &offer.name, plugin, version, &file, sha256, &capabilities]
            .map(Cell::from)
            .into()
    }));
    records
}
