//! The data files of the workloads, and the folder that they are in.

use std::path::{Path, PathBuf};

use archipelago_workloads::task::Kind;

/// Where data files are looked for, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    path: PathBuf,
    because: &'static str,
}

impl From<PathBuf> for DataFolder {
    fn from(path: PathBuf) -> Self {
        Self { path, because: "as --data says" }
    }
}

impl DataFolder {
    /// As asked for, else as the environment says.
    pub(super) fn found(named: Option<&Path>, environment: Option<PathBuf>) -> Self {
        let because = "as ARCHIPELAGO_DATA_FOLDER in the environment says; --data names another";
        let default = Self {
            path: "../shared/data".into(),
            because: "the default: neither --data FOLDER nor ARCHIPELAGO_DATA_FOLDER names another",
        };
        let of_environment = environment.map(|path| Self { path, because });
        named.map(|path| path.to_owned().into()).or(of_environment).unwrap_or(default)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the files of these workloads are there.
    ///
    /// # Errors
    /// [`NoData`], with all that are not.
    pub(super) fn check(&self, kinds: &[Kind]) -> Result<(), NoData> {
        let of = |kind: &Kind| {
            let missing = files(*kind).into_iter().filter(|file| !self.path.join(file).exists());
            let missing: Vec<_> = missing.collect();
            (!missing.is_empty()).then(|| format!("{}: {}", kind.name(), missing.join(", ")))
        };
        let missing: Vec<_> = kinds.iter().filter_map(of).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let what = if self.path.is_dir() { "lacks data files" } else { "is no folder" };
        let (path, because) = (self.path.clone(), self.because);
        Err(NoData { path, because, what, missing })
    }
}

/// Data files are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} {what} ({because}). Missing are, by workload:\n  {}\nREADME.md, \"Data of the \
     experiment\", says where they are from",
    path.display(),
    missing.join("\n  ")
)]
pub struct NoData {
    /// Where they were looked for.
    pub path: PathBuf,
    /// Why there.
    pub because: &'static str,
    /// What is wrong with the folder.
    pub what: &'static str,
    /// Workloads with their files.
    pub missing: Vec<String>,
}

/// The files that a workload is trained on, and those that it is judged by.
fn files(kind: Kind) -> Vec<String> {
    let train = kind.train_files().iter().map(|file| (*file).to_owned());
    let judged = kind.train_files().iter().filter(|_| kind == Kind::Image);
    train.chain(judged.map(|file| file.replace("train-", "t10k-"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_that_are_missing_are_named_at_once_with_why_there() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("docword.kos.txt.gz"), "").expect("written");
        std::fs::write(folder.path().join("t10k-labels-idx1-ubyte.gz"), "").expect("written");
        let named = DataFolder::from(folder.path().to_owned());
        assert_eq!(named.check(&[Kind::Lda]), Ok(()));
        let error = named.check(&Kind::ALL).expect_err("missing").to_string();
        let lines: Vec<_> = error.lines().collect();
        assert!(lines[0].ends_with("lacks data files (as --data says). Missing are, by workload:"));
        assert_eq!(
            lines[1..3],
            [
                "  mf: jester1.ratings.csv.gz",
                "  image: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, \
                 t10k-images-idx3-ubyte.gz"
            ]
        );
        let absent = DataFolder::found(None, Some("/absent".into()));
        let error = absent.check(&[Kind::Mf]).expect_err("missing").to_string();
        assert!(error.starts_with("/absent is no folder (as ARCHIPELAGO_DATA_FOLDER"), "{error}");
        let asked = DataFolder::found(Some(Path::new("/asked")), Some("/absent".into()));
        assert_eq!(asked.path(), Path::new("/asked"));
        assert!(DataFolder::found(None, None).because.starts_with("the default"));
    }

    #[test]
    fn the_readme_names_every_file() {
        let readme = include_str!("../../../README.md");
        for file in Kind::ALL.into_iter().flat_map(files) {
            assert!(readme.contains(&format!("`{file}`")), "{file}");
        }
    }
}
