//! YAML and JSON files of the specification, with what they refer to put in its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

/// References within references. The specification has four; one that refers to itself has no end.
const DEPTH: usize = 32;

/// The files of one checkout, each read once.
pub(crate) struct Documents {
    root: PathBuf,
    read: BTreeMap<PathBuf, Value>,
    missing: BTreeSet<String>,
}

impl Documents {
    /// # Errors
    /// There is no such folder.
    pub(crate) fn new(root: &Path) -> Result<Self, String> {
        let root = root
            .canonicalize()
            .map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Self {
            root,
            read: BTreeMap::new(),
            missing: BTreeSet::new(),
        })
    }

    /// The files of a folder with this ending, by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn list(&self, folder: &str, ending: &str) -> Result<Vec<PathBuf>, String> {
        let folder = self.root.join(folder);
        let entries = fs::read_dir(&folder)
            .map_err(|error| format!("{} is no checkout: {error}", folder.display()))?;
        let mut files = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        files.retain(|file| file.extension().is_some_and(|known| known == ending));
        files.sort();
        Ok(files)
    }

    /// A file, every `$ref` in it replaced by what it refers to, also in other files.
    ///
    /// # Errors
    /// A file cannot be read, or a reference leads nowhere.
    pub(crate) fn resolved(&mut self, file: &Path) -> Result<Value, String> {
        let document = self.document(file)?;
        self.resolve(file, &document, 0)
    }

    /// Files that were referred to and are not there, as in a checkout of some folders only: `{}` stands for each.
    pub(crate) fn missing(&self) -> &BTreeSet<String> {
        &self.missing
    }

    fn document(&mut self, file: &Path) -> Result<Value, String> {
        if let Some(read) = self.read.get(file) {
            return Ok(read.clone());
        }
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        if !file.starts_with(&self.root) {
            return Err(at(&"outside of the checkout"));
        }
        let text = fs::read_to_string(file).map_err(|error| at(&error))?;
        let document = if file.extension().is_some_and(|ending| ending == "json") {
            serde_json::from_str(&text).map_err(|error| at(&error))?
        } else {
            // The specification closes braces where YAML 1.2 wants them further in, which some parsers refuse.
            serde_saphyr::from_str(&text).map_err(|error| at(&error))?
        };
        self.read.insert(file.to_owned(), document);
        Ok(self.read[file].clone())
    }

    fn resolve(&mut self, file: &Path, value: &Value, depth: usize) -> Result<Value, String> {
        match value {
            Value::Array(elements) => elements
                .iter()
                .map(|element| self.resolve(file, element, depth))
                .collect(),
            Value::Object(members) => {
                let mut resolved = match members.get("$ref") {
                    Some(Value::String(reference)) => self.refer(file, reference, depth + 1)?,
                    _ => Value::Object(Map::new()),
                };
                let members: Vec<_> = members.iter().filter(|(name, _)| *name != "$ref").collect();
                if members.is_empty() {
                    return Ok(resolved);
                }
                // What stands beside a reference adds to what it refers to (as the specification's own scripts do it).
                let object = resolved.as_object_mut().ok_or_else(|| {
                    format!("{}: members beside a $ref to no object", file.display())
                })?;
                for (name, value) in members {
                    object.insert(name.clone(), self.resolve(file, value, depth)?);
                }
                Ok(resolved)
            }
            other => Ok(other.clone()),
        }
    }

    fn refer(&mut self, file: &Path, reference: &str, depth: usize) -> Result<Value, String> {
        let fail = |why: &str| format!("{}: $ref {reference}: {why}", file.display());
        if depth > DEPTH {
            return Err(fail("references have no end"));
        }
        let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let target = match path {
            "" => file.to_owned(),
            path => {
                let folder = file.parent().ok_or_else(|| fail("no folder"))?;
                match folder.join(path).canonicalize() {
                    Ok(target) => target,
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        self.missing.insert(path.to_owned());
                        return Ok(Value::Object(Map::new()));
                    }
                    Err(error) => return Err(fail(&error.to_string())),
                }
            }
        };
        let document = self.document(&target)?;
        let found = document
            .pointer(pointer)
            .ok_or_else(|| fail("there is no such member"))?;
        self.resolve(&target, found, depth)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A folder of this test's own, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let name = format!("comity-documents-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            for (path, text) in files {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(folder)
        }

        fn resolved(&self, file: &str) -> Result<Value, String> {
            let mut documents = Documents::new(&self.0).unwrap();
            let file = documents.root.join(file);
            documents.resolved(&file)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn references_are_followed_into_files_and_members_and_what_stands_beside_them_adds() {
        let folder = Folder::with(
            "follow",
            &[
                (
                    "a.yaml",
                    "one:\n  $ref: 'sub/b.yaml#/inner'\n  more: 1\ntwo:\n  $ref: '#/three'\nthree: [x, ~, true]\n",
                ),
                ("sub/b.yaml", "inner:\n  deep:\n    $ref: c.json\n"),
                ("sub/c.json", "{\"leaf\": -1}"),
            ],
        );
        assert_eq!(
            folder.resolved("a.yaml").unwrap(),
            json!({
                "one": {"deep": {"leaf": -1}, "more": 1},
                "two": ["x", null, true],
                "three": ["x", null, true],
            })
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_remembered() {
        let folder = Folder::with(
            "missing",
            &[("a.yaml", "one:\n  $ref: away.yaml\n  two: 2")],
        );
        let mut documents = Documents::new(&folder.0).unwrap();
        let file = documents.root.join("a.yaml");
        let resolved = documents.resolved(&file).unwrap();
        assert_eq!(resolved, json!({"one": {"two": 2}}));
        assert_eq!(
            documents.missing(),
            &BTreeSet::from(["away.yaml".to_owned()])
        );
    }

    #[test]
    fn a_reference_that_leads_nowhere_or_round_and_round_is_named() {
        let folder = Folder::with(
            "astray",
            &[
                ("member.yaml", "$ref: 'round.yaml#/none'"),
                ("round.yaml", "a:\n  $ref: '#/a'"),
                ("out.yaml", "$ref: ../"),
            ],
        );
        for (file, why) in [
            ("member.yaml", "no such member"),
            ("round.yaml", "no end"),
            ("out.yaml", "outside"),
        ] {
            let error = folder.resolved(file).unwrap_err();
            assert!(error.contains(why), "{file}: {error}");
        }
    }
}
