//! Ascending numbers as runs: a trail that passes over all data events of a file leaves one run, not a number a record.

use serde::{Deserialize, Serialize};

/// A set of numbers, filled in ascending order. Written as `[[first, count], …]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs(Vec<(u32, u32)>);

impl Runs {
    /// Adds a number, which must be greater than all that are there.
    pub fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            last => {
                debug_assert!(last.is_none_or(|(first, count)| *first + *count < number), "ascending");
                self.0.push((number, 1));
            }
        }
    }

    /// Whether the number is there.
    pub fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && number - self.0[after - 1].0 < self.0[after - 1].1
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The runs: first number, count.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }
}

impl FromIterator<u32> for Runs {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut runs = Self::default();
        numbers.into_iter().for_each(|number| runs.push(number));
        runs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_hold_exactly_what_was_put_in(numbers in proptest::collection::btree_set(0_u32..200, 0..100)) {
            let runs: Runs = numbers.iter().copied().collect();
            prop_assert_eq!(runs.len(), numbers.len() as u64);
            for number in 0..201 {
                prop_assert_eq!(runs.contains(number), numbers.contains(&number));
            }
        }
    }

    #[test]
    fn neighbours_share_a_run() {
        let runs: Runs = [0, 1, 2, 7, 8, 20].into_iter().collect();
        assert_eq!(serde_json::to_string(&runs).expect("plain"), "[[0,3],[7,2],[20,1]]");
    }
}
