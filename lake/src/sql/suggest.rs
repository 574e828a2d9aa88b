//! The nearest names to one that doesn't exist.

/// How many are suggested.
const SUGGESTED_MAX: usize = 3;

/// `; did you mean 'a' or 'b'?`, or nothing where no name is near.
pub(super) fn sentence<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = nearest(wrong, known).into_iter().map(|name| format!("'{name}'")).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; did you mean {only}?"),
        Some((last, rest)) => format!("; did you mean {} or {last}?", rest.join(", ")),
    }
}

/// The nearest of the names within a third of the word's length, or that it is a part of.
fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wrong = wrong.to_lowercase();
    let far = (wrong.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = distance(&wrong, &lower);
            let is_part = wrong.len() >= 4 && (lower.contains(&wrong) || wrong.contains(&lower) && lower.len() >= 4);
            (distance <= far || is_part).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup_by_key(|(_, name)| *name);
    let nearest = near.first().map_or(0, |(distance, _)| *distance);
    near.into_iter().filter(|(distance, _)| *distance == nearest).map(|(_, name)| name).take(SUGGESTED_MAX).collect()
}

/// How many characters must be put in, left out or changed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, char) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(char != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_suggested() {
        let columns = ["eventname", "eventtime", "eventid", "awsregion", "useridentity"];
        assert_eq!(sentence("eventnme", columns), "; did you mean 'eventname'?");
        assert_eq!(sentence("eventtim", columns), "; did you mean 'eventtime'?");
        assert_eq!(sentence("region", columns), "; did you mean 'awsregion'?");
        assert_eq!(sentence("zzz", columns), "");
        assert_eq!(sentence("bat", ["cat", "rat", "bath"]), "; did you mean 'bath', 'cat' or 'rat'?");
    }
}
