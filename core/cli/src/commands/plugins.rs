//! `offramp plugins`: what was found and what was refused.

use std::path::Path;

use offramp_host::{Library, Offer, OfferKind, Registry};
use serde_json::json;

use crate::arguments::{Format, PluginsArguments, PluginsCommand};
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn plugins(arguments: &PluginsArguments) -> Result<Done, Problem> {
    if let Some(PluginsCommand::Inspect { file }) = &arguments.command {
        return inspect(file);
    }
    let registry = super::discover(&arguments.search)?;
    print(&match arguments.format {
        Format::Table => table(&registry),
        Format::Json => as_json(&registry),
        Format::Csv => as_csv(&registry).map_err(Problem::new)?,
    });
    Ok(Done::Well)
}

fn inspect(file: &Path) -> Result<Done, Problem> {
    match Library::load(file) {
        Err(error) => Err(Problem::new(format!("{}: {error}", file.display()))),
        Ok(library) => {
            let Library { plugin, version, compiler, target, sha256, .. } = &*library;
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
            print(&text);
            Ok(Done::Well)
        }
    }
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
            // Those of a name that an earlier library has taken are listed apart.
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
        text += &format!(
            "{:8} {:width$}  {}  [{} {}, {}]\n",
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

fn as_json(registry: &Registry) -> String {
    let offers: Vec<_> = offers(registry)
        .into_iter()
        .map(|(library, offer)| {
            json!({
                "kind": offer.kind.name(),
                "name": offer.name,
                "about": offer.about,
                "needs": offer.needs.names(),
                "capabilities": offer.capabilities.names(),
                "plugin": library.plugin,
                "version": library.version,
                "file": library.path,
                "sha256": library.sha256,
            })
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
    let all = json!({ "plugins": offers, "refused": refused, "shadowed": shadowed });
    format!("{all:#}\n")
}

fn as_csv(registry: &Registry) -> Result<String, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["kind", "name", "plugin", "version", "file", "sha256"])?;
    for (library, offer) in offers(registry) {
        let file = library.path.display().to_string();
        let Library { plugin, version, sha256, .. } = library;
        table.write_record([offer.kind.name(), &offer.name, plugin, version, &file, sha256])?;
    }
    let bytes = table.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
