//! The plugins of a search path, by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::library::Library;
use crate::offer::{LoadError, Offer, OfferKind};

/// The plugins of a search path.
#[derive(Debug, Default)]
pub struct Registry {
    /// The libraries that were loaded, in search order.
    pub libraries: Vec<Arc<Library>>,
    /// The files that were refused, and why.
    pub refused: Vec<(PathBuf, LoadError)>,
    /// Names that an earlier library has taken, each with the later library.
    pub shadowed: Vec<(String, Arc<Library>)>,
}

/// A place of the search path that the user named is not there.
#[derive(Debug, thiserror::Error)]
#[error("plugin path {path}: {cause}")]
pub struct SearchError {
    /// The place.
    pub path: PathBuf,
    /// The cause, as the system reports it.
    pub cause: std::io::Error,
}

/// A scenario names a policy or explorer that no plugin offers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} `{name}`", kind = kind.name())]
pub struct UnknownName {
    /// A policy or an explorer.
    pub kind: OfferKind,
    /// The name.
    pub name: String,
    /// All names of that kind, sorted.
    pub known: Vec<String>,
    /// Libraries that were refused: the name may be in one of them.
    pub refused: usize,
}

/// A policy or explorer of a library, by which instances are created.
#[derive(Clone, Debug)]
pub struct PluginRef {
    /// The library it is in.
    pub library: Arc<Library>,
    /// The library's description of it.
    pub offer: Offer,
}

impl Registry {
    /// Loads every library of `named` (folders, or single files, that the user named), then of
    /// `beside` (the folder of the executable). Within a folder by file name. The first to
    /// offer a name has it.
    ///
    /// # Errors
    /// If a place that the user named cannot be listed. A library that cannot be loaded is not an
    /// error here: it is in [`Registry::refused`].
    pub fn discover(named: &[PathBuf], beside: Option<&Path>) -> Result<Self, SearchError> {
        let mut registry = Self::default();
        for path in named {
            let fail = |cause| SearchError { path: path.clone(), cause };
            if std::fs::metadata(path).map_err(fail)?.is_dir() {
                registry.add_all(&libraries_in(path).map_err(fail)?);
            } else {
                registry.add(path);
            }
        }
        if let Some(folder) = beside
            && let Ok(files) = libraries_in(folder)
        {
            registry.add_all(&files);
        }
        Ok(registry)
    }

    fn add_all(&mut self, files: &[PathBuf]) {
        for file in files {
            self.add(file);
        }
    }

    fn add(&mut self, path: &Path) {
        if self.libraries.iter().any(|library| library.path == path) {
            return;
        }
        match Library::load(path) {
            Err(error) => self.refused.push((path.to_owned(), error)),
            Ok(library) => {
                for offer in &library.offers {
                    if self.find(offer.kind, &offer.name).is_ok() {
                        self.shadowed.push((offer.name.clone(), Arc::clone(&library)));
                    }
                }
                self.libraries.push(library);
            }
        }
    }

    /// The policy or explorer of that name.
    ///
    /// # Errors
    /// [`UnknownName`], with the names there are.
    pub fn find(&self, kind: OfferKind, name: &str) -> Result<PluginRef, UnknownName> {
        let offers = || {
            self.libraries.iter().flat_map(|library| {
                library
                    .offers
                    .iter()
                    .filter(move |offer| offer.kind == kind)
                    .map(move |offer| (library, offer))
            })
        };
        if let Some((library, offer)) = offers().find(|(_, offer)| offer.name == name) {
            return Ok(PluginRef { library: Arc::clone(library), offer: offer.clone() });
        }
        let mut known: Vec<_> = offers().map(|(_, offer)| offer.name.clone()).collect();
        known.sort();
        known.dedup();
        Err(UnknownName { kind, name: name.into(), known, refused: self.refused.len() })
    }
}

/// The entries of a folder that are named like a library, sorted; one that is not a library is
/// refused with the reason when it is loaded.
fn libraries_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension == Some(std::env::consts::DLL_EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
