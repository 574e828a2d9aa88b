//! Order by turns: shares, bounds on delay, lanes, and sources that are held back.

use proptest::prelude::*;

use super::*;

const COST: u64 = 32 << 10;

fn key(account: &str) -> FlowKey {
    FlowKey::new("s3://bucket", account, "eu-west-1")
}

fn take(_: &&'static str) -> Admission {
    Admission::Take
}

fn order(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.pop(take)).collect()
}

#[test]
fn a_quiet_account_is_through_within_as_many_objects_of_the_noisy_one() {
    let mut queue = Queue::default();
    for _ in 0..50_000 {
        queue.push(Lane::Live, &key("noisy"), 1, COST, "noisy");
    }
    for _ in 0..1000 {
        queue.pop(take);
    }
    for _ in 0..10 {
        queue.push(Lane::Live, &key("quiet"), 1, COST, "quiet");
    }
    let order = order(&mut queue);
    let last = order.iter().rposition(|name| *name == "quiet").unwrap();
    let between = order[..=last].iter().filter(|name| **name == "noisy").count();
    assert!((9..=11).contains(&between), "{between} of the noisy one");
    assert_eq!(order.len(), 49_010, "nothing is lost");
}

#[test]
fn one_huge_object_costs_its_own_account_and_nobody_else() {
    let mut queue = Queue::default();
    queue.push(Lane::Live, &key("huge"), 1, 50 << 20, "huge");
    queue.push(Lane::Live, &key("huge"), 1, COST, "behind it");
    for _ in 0..1000 {
        queue.push(Lane::Live, &key("small"), 1, COST, "small");
    }
    let order = order(&mut queue);
    assert_eq!(order[..3], ["huge", "small", "small"], "the others wait for one object");
    assert_eq!(order[1001], "behind it", "until they have had as many bytes");
}

#[test]
fn a_weight_of_three_gets_three_times_the_bytes_whatever_the_sizes() {
    let mut queue = Queue::default();
    for _ in 0..4000 {
        queue.push(Lane::Live, &FlowKey::new("s3://a", "1", "r"), 1, 3 * COST, "one");
        for _ in 0..3 {
            queue.push(Lane::Live, &FlowKey::new("s3://b", "2", "r"), 3, COST, "three");
        }
    }
    let first: Vec<_> = (0..4000).filter_map(|_| queue.pop(take)).collect();
    let bytes = |name| first.iter().filter(|found| **found == name).count() as u64 * if name == "one" { 3 } else { 1 };
    assert!((2.95..=3.05).contains(&(bytes("three") as f64 / bytes("one") as f64)), "{first:?}");
}

#[test]
fn live_goes_before_backfill_which_still_gets_its_part() {
    let mut queue = Queue::default();
    for _ in 0..3200 {
        queue.push(Lane::Live, &key("a"), 1, COST, "live");
        queue.push(Lane::Backfill { log_groups: false }, &key("a"), 1, COST, "old");
    }
    let busy: Vec<_> = (0..3200).filter_map(|_| queue.pop(take)).collect();
    assert_eq!(busy.iter().filter(|name| **name == "old").count(), 100, "one byte of 32");
    let rest = order(&mut queue);
    let last = rest.iter().rposition(|name| *name == "live").unwrap();
    assert!((100..=104).contains(&last), "then the last hundred live ones, until {last}");
    assert_eq!(rest.len(), 3200, "and all of the backfill when nothing else waits");
}

#[test]
fn what_the_backfill_takes_while_nothing_is_live_is_not_held_against_it() {
    let mut queue = Queue::default();
    for _ in 0..100 {
        queue.push(Lane::Backfill { log_groups: false }, &key("a"), 1, 1 << 20, "old");
    }
    for _ in 0..50 {
        assert_eq!(queue.pop(take), Some("old"));
    }
    for _ in 0..100 {
        queue.push(Lane::Live, &key("a"), 1, 1 << 20, "live");
    }
    let next: Vec<_> = (0..64).filter_map(|_| queue.pop(take)).collect();
    assert_eq!(next.iter().filter(|name| **name == "old").count(), 2);
}

#[test]
fn a_source_that_is_held_back_delays_no_other_and_gets_no_more_than_its_share_later() {
    let mut queue = Queue::default();
    for _ in 0..100 {
        queue.push(Lane::Live, &FlowKey::new("s3://slow", "1", "r"), 1, COST, "slow");
        queue.push(Lane::Live, &FlowKey::new("s3://good", "2", "r"), 1, COST, "good");
    }
    let hold = |name: &&str| if *name == "slow" { Admission::HoldSource } else { Admission::Take };
    for _ in 0..50 {
        assert_eq!(queue.pop(hold), Some("good"));
    }
    // Held back until reopened, without being asked again.
    assert_eq!(queue.pop(take), Some("good"));
    queue.reopen("s3://slow");
    let next: Vec<_> = (0..40).filter_map(|_| queue.pop(take)).collect();
    assert_eq!(next.iter().filter(|name| **name == "slow").count(), 20, "{next:?}");
    assert_eq!(order(&mut queue).len(), 109);
}

#[test]
fn a_lane_that_is_held_leaves_the_other_alone() {
    let mut queue = Queue::default();
    queue.push(Lane::Backfill { log_groups: false }, &key("a"), 1, COST, "old");
    assert_eq!(queue.pop(|_| Admission::HoldLane), None);
    queue.push(Lane::Live, &key("a"), 1, COST, "live");
    let hold = |name: &&str| if *name == "old" { Admission::HoldLane } else { Admission::Take };
    assert_eq!(queue.pop(hold), Some("live"));
    assert_eq!(queue.pop(hold), None);
    assert_eq!(queue.pop(take), Some("old"));
}

#[test]
fn a_key_that_is_briefly_empty_gets_no_fresh_turn() {
    let mut queue = Queue::default();
    for _ in 0..100 {
        queue.push(Lane::Live, &key("steady"), 1, COST, "steady");
    }
    let mut got = 0;
    for _ in 0..100 {
        // One at a time, each large: it would be first every time if it were new every time.
        queue.push(Lane::Live, &key("sly"), 1, 10 * COST, "sly");
        got += u32::from(queue.pop(take) == Some("sly"));
        got += u32::from(queue.pop(take) == Some("sly"));
        if queue.waiting(Lane::Live, &key("steady")) == 0 {
            break;
        }
    }
    assert!(got <= 12, "{got} objects of ten times the size beside a hundred");
}

#[test]
fn what_is_forgotten_is_all_that_does_not_wait() {
    let mut queue = Queue::default();
    for n in 0..1000 {
        queue.push(Lane::Live, &key(&n.to_string()), 1, COST, "x");
    }
    assert_eq!(order(&mut queue).len(), 1000);
    assert!(queue.is_empty() && queue.live.sources.is_empty() && queue.live.ready.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The theorem of the module's head, on any queues: what two keys with objects got differs by at most one object each.
    #[test]
    fn any_two_busy_keys_got_the_same_but_for_an_object_each(
        sizes in prop::collection::vec((0usize..4, 1u64..1000), 1..150),
        weights in prop::array::uniform4(1u32..8),
    ) {
        let mut queue = Queue::default();
        let keys = ["a", "b", "c", "d"].map(key);
        let mut left = [0usize; 4];
        for (who, size) in &sizes {
            queue.push(Lane::Live, &keys[*who], weights[*who], *size, (*who, *size));
            left[*who] += 1;
        }
        let largest = |who: usize| sizes.iter().filter(|(one, _)| *one == who).map(|(_, size)| *size).max().unwrap_or(0);
        let share = |who: usize, bytes: u64| bytes as f64 / f64::from(weights[who]);
        let mut got = [0u64; 4];
        while let Some((who, size)) = queue.pop(|_| Admission::Take) {
            left[who] -= 1;
            got[who] += size;
            let busy: Vec<_> = (0..4).filter(|who| left[*who] > 0).collect();
            for &one in &busy {
                for &other in &busy {
                    let apart = share(one, got[one]) - share(other, got[other]);
                    let bound = share(one, largest(one)) + share(other, largest(other));
                    prop_assert!(apart <= bound + 0.01, "{apart} > {bound}");
                }
            }
        }
        prop_assert_eq!(left, [0; 4]);
    }
}
