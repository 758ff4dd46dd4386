//! Which deliveries may be acknowledged, and in how few frames. Pure: it writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::transport::Settlement;

/// The deliveries of one channel that are finished and not yet acknowledged.
///
/// A channel's tags are 1, 2, 3, …, none left out. `multiple` is only said over a prefix of which every tag is finished:
/// beyond it may be deliveries that lie in a buffer and have not run.
#[derive(Debug, Default)]
pub(crate) struct Settler {
    /// All tags up to this one are settled.
    settled: u64,
    /// Finished tags beyond that are not acknowledged yet.
    fresh: BTreeSet<u64>,
    /// Acknowledged tags beyond, as ranges by their first: there are no more of them than runs in hand.
    acknowledged: BTreeMap<u64, u64>,
}

impl Settler {
    /// Takes a delivery whose effects are safe.
    pub(crate) fn finish(&mut self, tag: u64) {
        self.fresh.insert(tag);
    }

    /// How many are finished and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.fresh.len()
    }

    /// What to write: one `multiple` for the contiguous prefix, then single ones in their order.
    pub(crate) fn flush(&mut self) -> Vec<Settlement> {
        let mut up_to = None;
        loop {
            let next = self.settled + 1;
            if self.fresh.remove(&next) {
                self.settled = next;
                // The tag that is named must be one that the broker still waits for.
                up_to = Some(Settlement::AckUpTo(next));
            } else if let Some(last) = self.acknowledged.remove(&next) {
                self.settled = last;
            } else {
                break;
            }
        }
        let mut acks: Vec<Settlement> = up_to.into_iter().collect();
        for tag in std::mem::take(&mut self.fresh) {
            self.acknowledge(tag);
            acks.push(Settlement::Ack(tag));
        }
        acks
    }

    /// Adds a tag to the ranges of acknowledged ones.
    fn acknowledge(&mut self, tag: u64) {
        let before = self.acknowledged.range(..tag).next_back().filter(|(_, last)| **last + 1 == tag);
        let first = before.map_or(tag, |(first, _)| *first);
        let last = self.acknowledged.remove(&(tag + 1)).unwrap_or(tag);
        self.acknowledged.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_one_frame_and_the_rest_single() {
        let mut settler = Settler::default();
        for tag in [2, 1, 3, 5, 7] {
            settler.finish(tag);
        }
        assert_eq!(settler.unacknowledged(), 5);
        assert_eq!(settler.flush(), [Settlement::AckUpTo(3), Settlement::Ack(5), Settlement::Ack(7)]);
        assert_eq!(settler.unacknowledged(), 0);
        assert_eq!(settler.flush(), []);
        settler.finish(4);
        // 5 is acknowledged already: naming it would be an unknown tag to the broker.
        assert_eq!(settler.flush(), [Settlement::AckUpTo(4)]);
        settler.finish(6);
        assert_eq!(settler.flush(), [Settlement::AckUpTo(6)]);
    }

    proptest! {
        /// A broker that is told what the settler says acknowledges exactly what is finished, and never an unknown tag.
        #[test]
        fn exactly_what_is_finished_is_acknowledged(
            order in Just((1u64..200).collect::<Vec<_>>()).prop_shuffle(),
            taken in 0usize..200,
            flushes in prop::collection::vec(any::<bool>(), 200),
        ) {
            let mut settler = Settler::default();
            let mut waiting: BTreeSet<u64> = (1..200).collect();
            let mut finished = BTreeSet::new();
            for (tag, flush) in order.iter().take(taken).zip(flushes) {
                settler.finish(*tag);
                finished.insert(*tag);
                if flush {
                    apply(&mut waiting, &settler.flush());
                    prop_assert!(waiting.is_disjoint(&finished));
                    prop_assert_eq!(waiting.len() + finished.len(), 199);
                    // What is kept is bounded by what is not finished, not by all that ever was.
                    prop_assert!(settler.acknowledged.len() <= waiting.len());
                }
            }
        }
    }

    fn apply(waiting: &mut BTreeSet<u64>, acks: &[Settlement]) {
        for ack in acks {
            match ack {
                Settlement::AckUpTo(tag) => {
                    assert!(waiting.contains(tag), "unknown delivery tag {tag}");
                    waiting.retain(|other| other > tag);
                }
                Settlement::Ack(tag) => assert!(waiting.remove(tag), "unknown delivery tag {tag}"),
                other => panic!("nothing is given back: {other:?}"),
            }
        }
    }
}
