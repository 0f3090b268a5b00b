//! The workspace's own manifests and sources, read as data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde_json::Value;

use crate::workspace;

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Its name, such as `offramp-model`.
    pub name: String,
    /// Its folder within the workspace, such as `core/model`.
    pub folder: String,
    /// All its dependencies, for whichever target.
    pub dependencies: Vec<Dependency>,
}

/// A dependency of a crate, of whatever section of its manifest.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The crate's name in its registry or workspace.
    pub name: String,
    /// The identifier by which the source knows it: renamed if the manifest renames it, `_`
    /// for `-`.
    pub identifier: String,
    /// True if it is for tests, benchmarks and examples only.
    pub is_dev: bool,
}

/// All crates of the workspace, as cargo reads their manifests.
///
/// # Panics
/// If cargo can't read them.
pub fn crates() -> Vec<Crate> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let read = |package: &Value| {
        let folder = PathBuf::from(text(&package["manifest_path"]));
        let folder = folder.parent().and_then(|folder| folder.strip_prefix(workspace()).ok());
        let dependencies = list(&package["dependencies"]).into_iter().map(|dependency| {
            let name = text(&dependency["name"]);
            let renamed = dependency["rename"].as_str().unwrap_or(&name);
            Dependency {
                identifier: renamed.replace('-', "_"),
                is_dev: dependency["kind"] == "dev",
                name,
            }
        });
        Crate {
            name: text(&package["name"]),
            folder: folder.unwrap_or(Path::new("")).display().to_string(),
            dependencies: dependencies.collect(),
        }
    };
    list(&metadata["packages"]).iter().map(read).collect()
}

/// The output of cargo about this workspace, without a network.
///
/// # Panics
/// If it fails.
pub fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(arguments).args(["--offline", "--locked"]);
    let output = cargo.output().unwrap_or_else(|error| panic!("{error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files in a folder, at any depth, whose names end in this extension, in order; none if
/// there is no such folder.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text of a file.
///
/// # Panics
/// If it can't be read.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Part of a Rust source.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// An identifier or keyword.
    Word(String),
    /// Any other sign, a delimiter too. A path's `::` is `:` twice.
    Sign(char),
    /// A string, character or number. Its text concerns no one here.
    Literal,
}

/// The tokens of a Rust source without comments and, unless `with_tests`, without items under
/// `#[cfg(test)]`; and for each of them the inline modules it is in.
///
/// # Panics
/// If the text is not Rust.
fn tokens(source: &str, with_tests: bool) -> Vec<(Token, Vec<String>)> {
    let stream: TokenStream = source.parse().unwrap_or_else(|error| panic!("{error}"));
    let mut found = Vec::new();
    flatten(stream, with_tests, &mut Vec::new(), &mut found);
    found
}

fn flatten(
    stream: TokenStream,
    with_tests: bool,
    inside: &mut Vec<String>,
    found: &mut Vec<(Token, Vec<String>)>,
) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let word = |at: usize| match trees.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    };
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            // Documentation is an attribute, and so no code.
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                let attribute = match trees.get(at + 1) {
                    Some(TokenTree::Group(group)) => group.stream().to_string().replace(' ', ""),
                    _ => String::new(),
                };
                if attribute.starts_with("doc") {
                    at += 2;
                    continue;
                }
                if attribute == "cfg(test)" && !with_tests {
                    // The item ends with its body, or with a semicolon.
                    let is_end = |tree: &TokenTree| match tree {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(sign) => sign.as_char() == ';',
                        _ => false,
                    };
                    at += 1 + trees[at..].iter().position(is_end).unwrap_or(trees.len());
                    continue;
                }
                found.push((Token::Sign('#'), inside.clone()));
            }
            TokenTree::Punct(sign) => found.push((Token::Sign(sign.as_char()), inside.clone())),
            TokenTree::Literal(_) => found.push((Token::Literal, inside.clone())),
            TokenTree::Ident(ident) => found.push((Token::Word(ident.to_string()), inside.clone())),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                let module = (at >= 2 && open == '{' && word(at - 2).as_deref() == Some("mod"))
                    .then(|| word(at - 1))
                    .flatten();
                found.push((Token::Sign(open), inside.clone()));
                let depth = inside.len();
                inside.extend(module);
                flatten(group.stream(), with_tests, inside, found);
                inside.truncate(depth);
                found.push((Token::Sign(close), inside.clone()));
            }
        }
        at += 1;
    }
}

fn is_path_separator(tokens: &[Token], at: usize) -> bool {
    tokens.get(at..at + 2) == Some(&[Token::Sign(':'), Token::Sign(':')])
}

/// True if a source names a crate: in a path (`serde::…`), or alone in a `use`. Mentions in
/// comments and strings, and fields and variables of that name, do not count.
pub fn names_crate(source: &str, identifier: &str, with_tests: bool) -> bool {
    let tokens: Vec<Token> =
        tokens(source, with_tests).into_iter().map(|(token, _)| token).collect();
    let mut in_use = false;
    for at in 0..tokens.len() {
        match &tokens[at] {
            Token::Word(word) if word == "use" => in_use = true,
            Token::Sign(';') => in_use = false,
            Token::Word(word) if word == identifier => {
                // `other::serde` is a module of another crate.
                let is_first = at < 2 || !is_path_separator(&tokens, at - 2);
                let leads_path = is_path_separator(&tokens, at + 1);
                if is_first && (leads_path || in_use) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// A cycle of modules: each uses the next, and the last the first.
pub type Cycle = Vec<String>;

/// The top-level modules of a crate that each uses, outside its tests, by `crate::x`,
/// `super::x`, or a name that the crate's root exports from `x`. What the root itself defines
/// belongs to no module.
///
/// # Panics
/// If a source can't be read, or the root exports all that a module has (`pub use x::*`), which
/// is not followed.
pub fn module_graph(source_folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut sources = Vec::new();
    for file in files(source_folder, "rs") {
        let path = file.strip_prefix(source_folder).unwrap_or(&file).with_extension("");
        let mut module: Vec<String> =
            path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        sources.push((module, tokens(&read(&file), false)));
    }
    let mut graph: BTreeMap<String, BTreeSet<String>> = sources
        .iter()
        .filter_map(|(module, _)| Some((module.first()?.clone(), BTreeSet::new())))
        .collect();
    let mut exported = BTreeMap::new();
    for (module, tokens) in &sources {
        if module.is_empty() {
            let tokens: Vec<Token> = tokens.iter().map(|(token, _)| token.clone()).collect();
            for at in 0..tokens.len() {
                if tokens[at] == Token::Word("use".into()) {
                    for (path, name) in use_tree(&tokens[at + 1..]) {
                        let from = path.iter().find(|part| !["crate", "self"].contains(&&***part));
                        let Some(from) = from.filter(|from| graph.contains_key(*from)) else {
                            continue;
                        };
                        assert!(name != "*", "{}: `{from}::*`", source_folder.display());
                        exported.insert(name, from.clone());
                    }
                }
            }
        }
    }
    for (module, tokens) in &sources {
        let Some(own) = module.first() else { continue };
        let plain: Vec<Token> = tokens.iter().map(|(token, _)| token.clone()).collect();
        for (at, (token, inline)) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            if !["crate", "super"].contains(&word.as_str()) || !is_path_separator(&plain, at + 1) {
                continue;
            }
            // Not a visibility (`pub(in crate::x)`), nor a macro's `$crate`, which is expanded
            // elsewhere, nor the second `super` of a path.
            let before = at.checked_sub(1).map(|at| &plain[at]);
            if before == Some(&Token::Word("in".into()))
                || matches!(before, Some(Token::Sign('$' | ':')))
            {
                continue;
            }
            let mut base = if word == "crate" { Vec::new() } else { module.clone() };
            if word == "super" {
                base.extend(inline.iter().cloned());
                base.pop();
            }
            let mut next = at + 3;
            while plain.get(next) == Some(&Token::Word("super".into())) {
                base.pop();
                next += 3;
            }
            if !base.is_empty() {
                continue; // within the same top-level module
            }
            for (path, _) in use_tree(&plain[next..]) {
                let Some(first) = path.first() else { continue };
                let used =
                    if graph.contains_key(first) { Some(first) } else { exported.get(first) };
                if let Some(used) = used.filter(|used| *used != own) {
                    let used = used.clone();
                    graph.entry(own.clone()).or_default().insert(used);
                }
            }
        }
    }
    graph
}

/// The paths of a `use` tree that begins here, each with the name it makes known. Serves for a
/// path in an expression too, which is a tree of one path.
fn use_tree(tokens: &[Token]) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    branch(tokens, 0, &[], &mut found);
    found
}

/// Reads one branch of a tree and returns where it ends.
fn branch(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => {
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                at += 1;
                if is_path_separator(tokens, at) {
                    at += 2;
                    continue;
                }
                let mut name = path.last().cloned().unwrap_or_default();
                if let [Token::Word(renames), Token::Word(new), ..] = &tokens[at..]
                    && renames == "as"
                {
                    name.clone_from(new);
                    at += 2;
                }
                found.push((path, name));
                return at;
            }
            Some(Token::Sign('*')) => {
                found.push((path, "*".into()));
                return at + 1;
            }
            Some(Token::Sign('{')) => {
                at += 1;
                while !matches!(tokens.get(at), Some(Token::Sign('}')) | None) {
                    let end = branch(tokens, at, &path, found);
                    at = end + usize::from(tokens.get(end) == Some(&Token::Sign(',')));
                    if end == at && tokens.get(end) != Some(&Token::Sign('}')) {
                        return at; // not a tree
                    }
                }
                return at + 1;
            }
            _ => {
                // A path's end, such as the `<` of `crate::x::<T>`.
                if path.len() > before.len() {
                    let name = path.last().cloned().unwrap_or_default();
                    found.push((path, name));
                }
                return at;
            }
        }
    }
}

/// The shortest cycles of a graph, each once, beginning with its first module by name.
pub fn find_cycles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Cycle> {
    let mut cycles: BTreeMap<BTreeSet<String>, Cycle> = BTreeMap::new();
    for start in graph.keys() {
        // Breadth first: the first way back is the shortest.
        let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        'search: while let Some(module) = queue.pop_front() {
            for next in graph.get(module).into_iter().flatten() {
                if next == start {
                    let mut cycle = vec![module.clone()];
                    let mut at = module;
                    while at != start {
                        at = came_from[at];
                        cycle.push(at.clone());
                    }
                    cycle.reverse();
                    cycles.entry(cycle.iter().cloned().collect()).or_insert(cycle);
                    break 'search;
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, module);
                    queue.push_back(next);
                }
            }
        }
    }
    cycles.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_paths_and_uses_alone() {
        for (source, named) in [
            ("use serde::Deserialize;", true),
            ("use std::fmt; fn f() { serde::de::x() }", true),
            ("pub use serde;", true),
            ("use {libc, serde as s};", true),
            ("#[derive(serde::Serialize)] struct S;", true),
            ("// serde::de\n/// serde::de\nfn f() {}", false),
            ("fn f() { \"serde::de\"; let serde = 1; serde + 1; }", false),
            ("use other::serde::Deserialize;", false),
            ("use other_serde::x;", false),
            ("#[cfg(test)] mod tests { use serde::x; } fn f() {}", false),
            ("#[cfg(test)] use serde::x; fn f() {}", false),
        ] {
            assert_eq!(names_crate(source, "serde", false), named, "{source}");
        }
        assert!(names_crate("#[cfg(test)] use serde::x;", "serde", true));
    }

    /// The arrows of a crate with these files.
    fn arrows(sources: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (file, source) in sources {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, source).unwrap();
        }
        let graph = module_graph(folder.path());
        let arrows = graph
            .iter()
            .flat_map(|(module, used)| used.iter().map(move |used| format!("{module} → {used}")));
        arrows.collect()
    }

    #[test]
    fn a_module_uses_what_it_names_outside_its_tests() {
        let others = [("b.rs", ""), ("c.rs", ""), ("d.rs", "")];
        for (source, expected) in [
            ("use crate::b::X;", &["a → b"][..]),
            ("use crate::{b, c::{self, Y}};", &["a → b", "a → c"]),
            ("use super::{b::X, c::Y};", &["a → b", "a → c"]),
            ("fn f() { crate::d::g::<u8>(crate::a::h()) }", &["a → d"]),
            ("use crate::{FromB, Renamed, OfTheRoot};", &["a → b", "a → c"]),
            ("mod inner { use super::super::b; use super::c; }", &["a → b"]),
            ("// crate::b\n/// [`crate::b`]\n#[cfg(test)] mod tests { use crate::b; }", &[]),
            ("pub(in crate::b) fn f() {} macro_rules! m { () => { $crate::b::f() } }", &[]),
        ] {
            let root = "mod a; mod b; mod c; mod d; pub use b::FromB; pub use c::Y as Renamed;";
            let sources = [&[("lib.rs", root), ("a.rs", source)], &others[..]].concat();
            assert_eq!(arrows(&sources), expected, "{source}");
        }
        let inner = "use super::sibling; use super::super::b; use crate::a::x;";
        let sources = [("lib.rs", ""), ("a/mod.rs", ""), ("a/inner.rs", inner), ("b.rs", "")];
        assert_eq!(arrows(&sources), ["a → b"]);
    }

    #[test]
    fn each_cycle_is_found_once() {
        let graph = |arrows: &[(&str, &str)]| {
            let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
            for (from, to) in arrows {
                graph.entry((*from).into()).or_default().insert((*to).into());
            }
            graph
        };
        let cycles = |arrows| find_cycles(&graph(arrows));
        assert!(cycles(&[("a", "b"), ("a", "c"), ("b", "c")]).is_empty());
        assert_eq!(cycles(&[("b", "a"), ("a", "c"), ("c", "b")]), [["a", "c", "b"]]);
        assert_eq!(cycles(&[("a", "b"), ("b", "a"), ("c", "b")]), [["a", "b"]]);
    }
}
