use super::super::in_use::InUse;
use super::*;
use crate::identity::CredentialType;

#[test]
fn a_shared_base_is_left_alone_and_merged_when_alone() {
    let mut first = InUse::default();
    first.insert_leaf(LeafIndex(0), &leaf(1));
    let mut second = first.clone();
    second.remove_leaf(LeafIndex(0), &leaf(1));
    second.insert_leaf(LeafIndex(1), &leaf(2));
    second.compact();
    assert_eq!(first.signature_keys.owner(&signature_key(1)), Some(0));
    assert_eq!(first.signature_keys.owner(&signature_key(2)), None);
    let check = |in_use: &InUse| {
        assert_eq!(in_use.encryption_keys.owner(&hpke_key(1)), None);
        assert_eq!(in_use.encryption_keys.owner(&hpke_key(2)), Some(2));
        assert_eq!(in_use.signature_keys.owner(&signature_key(1)), None);
        assert_eq!(in_use.signature_keys.owner(&signature_key(2)), Some(1));
        assert!(in_use.features.credential_types_used().eq([CredentialType::BASIC]));
    };
    check(&second);
    drop(first);
    second.compact();
    check(&second);
    second.remove_leaf(LeafIndex(1), &leaf(2));
    assert_eq!(second.features.credential_types_used().count(), 0);
}

#[test]
fn a_key_of_several_is_repeated_until_one_is_left() {
    let (a, b) = (NodeIndex(1), NodeIndex(3));
    for shared in [false, true] {
        let mut in_use = InUse::default();
        in_use.insert_parent(a, &hpke_key(1));
        let other = shared.then(|| in_use.clone());
        in_use.insert_parent(b, &hpke_key(1));
        in_use.insert_leaf(LeafIndex(0), &leaf(1));
        assert!(in_use.encryption_keys.has_repeated());
        assert!(!in_use.signature_keys.has_repeated());
        in_use.remove_parent(a, &hpke_key(1));
        assert!(in_use.encryption_keys.has_repeated());
        in_use.remove_leaf(LeafIndex(0), &leaf(1));
        assert!(!in_use.encryption_keys.has_repeated());
        assert_eq!(in_use.encryption_keys.owner(&hpke_key(1)), Some(b.0));
        assert_eq!(other.is_some(), shared);
    }
}
