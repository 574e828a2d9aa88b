//! A crash at any moment of a reseal leaves one whole state, and the next reseal finishes it.

use orgtrail_service::clock;
use tempfile::TempDir;

use super::*;

/// A folder with the journal `content` in it, as far as renames are concerned.
fn folder(dir: &Path, name: &str, content: &str) {
    fs::create_dir(dir.join(name)).unwrap();
    fs::write(dir.join(name).join("data"), content).unwrap();
}

fn content(dir: &Path) -> String {
    fs::read_to_string(dir.join("journal/data")).unwrap()
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_interrupted_swap_is_finished_from_every_moment() {
    // What stands in the folder after each durable step, and the marker with all of them.
    let moments: [&[(&str, &str)]; 4] = [
        &[("journal", "old"), ("journal.new", "new")],
        &[("journal.old", "old"), ("journal.new", "new")],
        &[("journal.old", "old"), ("journal", "new")],
        &[("journal", "new")],
    ];
    for seal in [Some(Stored::new("key")), None] {
        for moment in moments {
            let dir = tempfile::tempdir().unwrap();
            Stored::new("old key").save(dir.path()).unwrap();
            for (name, content) in moment {
                folder(dir.path(), name, content);
            }
            write_marker(dir.path(), &Marker { seal: seal.clone() }).unwrap();
            let refused = clear_unfinished(dir.path()).unwrap_err().to_string();
            assert!(refused.contains("orgtrail state reseal"), "{refused}");
            finish(dir.path()).unwrap();
            assert_eq!(content(dir.path()), "new", "{moment:?}");
            assert_eq!(Stored::load(dir.path()).unwrap(), seal);
            let expected: &[&str] = if seal.is_some() { &["journal", "seal.json"] } else { &["journal"] };
            assert_eq!(names(&dir), expected, "{moment:?}");
            finish(dir.path()).unwrap();
            clear_unfinished(dir.path()).unwrap();
        }
    }
}

#[test]
fn a_copy_that_was_not_finished_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "journal", "old");
    folder(dir.path(), "journal.new", "half");
    finish(dir.path()).unwrap();
    clear_unfinished(dir.path()).unwrap();
    assert_eq!((content(dir.path()).as_str(), names(&dir)), ("old", vec!["journal".to_owned()]));
}

#[tokio::test]
async fn what_the_operator_says_it_is_sealed_under_must_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::Config { state_dir: dir.path().to_owned(), ..crate::Config::default() };
    let reseal = |from| reseal(&config, Some(from), clock::system(), |_| ());
    let error = reseal("file:///old.key").await.unwrap_err().to_string();
    assert!(error.contains("is not sealed"), "{error}");
    Stored::new("file:///old.key").save(dir.path()).unwrap();
    let error = reseal("none").await.unwrap_err().to_string();
    assert!(error.contains("sealed under file:///old.key"), "{error}");
}
