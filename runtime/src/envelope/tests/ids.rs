//! Ids that follow from their cause. Those written here are for ever.

use std::collections::HashSet;

use proptest::prelude::*;
use smol_str::SmolStr;

use crate::envelope::id::{Derivation, derived};

const ONE: Derivation<'_> = Derivation {
    cause: "0197a3c0-5b7e-7cc1-9d2f-0c4f4f2f6b11",
    queue: "inventory.reserve_stock",
    event: "stock_updated",
    key: Some("42"),
    before: 0,
};

#[test]
fn derived_ids_never_change() {
    let ids = [
        (ONE, "e96dba69-e17d-5f44-a136-fb6c20001a7e"),
        (Derivation { key: None, ..ONE }, "b4b568e7-0bc2-5c81-b39b-a91b6b33c904"),
        (Derivation { key: Some(""), ..ONE }, "341591b8-9ce8-57fe-b2be-4f06d3988898"),
        (Derivation { before: 1, ..ONE }, "c00327ee-d243-5d43-a6a2-bb0836212220"),
        (Derivation { event: "größe", ..ONE }, "8ff64fc8-5463-51a1-86a1-e615d9181d11"),
    ];
    for (derivation, id) in ids {
        assert_eq!(derived(&derivation), id, "{derivation:?}");
    }
}

#[test]
fn each_fact_makes_another_id() {
    let all = [
        ONE,
        Derivation { cause: "another", ..ONE },
        Derivation { queue: "another", ..ONE },
        Derivation { event: "another", ..ONE },
        Derivation { key: Some("another"), ..ONE },
        Derivation { key: Some(""), ..ONE },
        Derivation { key: Some("-"), ..ONE },
        Derivation { key: None, ..ONE },
        Derivation { before: 1, ..ONE },
    ];
    let ids: HashSet<SmolStr> = all.iter().map(derived).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn they_are_uuids_of_version_5() {
    let id = uuid::Uuid::parse_str(&derived(&ONE)).unwrap();
    assert_eq!(id.get_version_num(), 5);
}

/// Texts that could be taken for parts of one another.
fn parts() -> impl Strategy<Value = (String, String, String, Option<String>, usize)> {
    let part = || "[a1: -]{0,3}";
    (part(), part(), part(), proptest::option::of(part()), 0..3usize)
}

proptest! {
    #[test]
    fn equal_ids_mean_equal_facts(a in parts(), b in parts()) {
        let id = |(cause, queue, event, key, before): &(String, String, String, Option<String>, usize)| {
            derived(&Derivation { cause, queue, event, key: key.as_deref(), before: *before })
        };
        prop_assert_eq!(id(&a) == id(&b), a == b);
    }
}
