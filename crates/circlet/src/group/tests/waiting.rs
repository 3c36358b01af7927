//! What waits for a Commit: how references are resolved, which proposals a Commit takes, and what
//! that costs. Each attack is by a member.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::codec::Limits;
use crate::crypto::HpkePublicKey;
use crate::error::Misuse;
use crate::identity::{CredentialCheck, CredentialRejected, CredentialValidator};
use crate::message::{Commit, Content, KeyPackage, KeyPackageContent, ProposalOrRef, ReInit};
use crate::rules::Violation;
use crate::schedule::{PreSharedKeyId, Psk, RatchetKind};
use crate::tree::{
    Extension, ExtensionType, ExternalSender, LeafNode, LeafNodeContent, LeafPosition,
};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

fn extensions(value: u16, data: Vec<u8>) -> Extensions {
    [Extension { extension_type: ExtensionType(value), data }].into_iter().collect()
}

fn limit(member: &mut Actor, limits: Limits) {
    let context = DecodeContext { limits, ..DecodeContext::default() };
    member.state.as_mut().unwrap().settings.context = Arc::new(context);
}

/// V-12.2-18: a Commit that refers to one long proposal many times is refused before any of it is
/// copied.
#[test]
fn references_that_repeat_cost_nothing() {
    let mut members = group(SUITE, 3);
    let limits = Limits { extensions_bytes: 8 << 20, ..Limits::default() };
    members.iter_mut().for_each(|member| limit(member, limits.clone()));
    let long = extensions(0xf001, vec![7; 4 << 20]);
    let framing = Framing::default();
    let message = members[1].propose(Proposal::GroupContextExtensions(long), &framing);
    members[0].receive(&message).unwrap();
    let reference = members[1].state().proposals.iter().next().unwrap().reference.clone();
    for count in [2, 200] {
        let proposals = vec![ProposalOrRef::Reference(reference.clone()); count];
        let commit = Content::Commit(Commit { proposals, path: None });
        let Actor { state, signer, rng, .. } = &mut members[1];
        let state = state.as_ref().unwrap();
        let mut signed = state.sign_content(commit, &framing, signer).unwrap();
        signed.auth.confirmation_tag = Some(crate::crypto::Mac(vec![0; 32]));
        let (bytes, _) = state.protect(signed, Padding::None, rng).unwrap();
        let bytes = bytes.to_bytes().unwrap();
        let info = allocation_counter::measure(|| {
            let refused = members[0].receive(&bytes);
            assert!(matches!(refused, Err(Error::Violation(Violation::ReferenceTwice))));
        });
        let bound = 64 * bytes.len() as u64 + (64 << 10);
        assert!(info.bytes_max <= bound, "{} bytes for {}", info.bytes_max, bytes.len());
    }
}

fn psk(number: u64) -> Proposal {
    let psk = Psk::External { psk_id: number.to_be_bytes().to_vec() };
    Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![7; 32] })
}

/// A key package of this client with another encryption key, which it does not have.
fn with_encryption_key(client: &mut Actor, encryption_key: HpkePublicKey) -> Proposal {
    let honest = client.key_package();
    let content = LeafNodeContent { encryption_key, ..LeafNodeContent::clone(&honest.leaf_node) };
    let nowhere = LeafPosition { group_id: &[], leaf_index: leaf(0) };
    let leaf_node = LeafNode::sign(content, nowhere, &client.signer).unwrap();
    let content = KeyPackageContent { leaf_node, ..KeyPackageContent::clone(&honest) };
    Proposal::Add(KeyPackage::sign(content, &client.signer).unwrap())
}

/// This member proposes, and the committer receives it.
fn wait(members: &mut [Actor], proposer: usize, proposal: Proposal) {
    let message = members[proposer].propose(proposal, &Framing::default());
    members[0].receive(&message).unwrap();
}

fn commit(members: &mut [Actor]) -> CommitOutcome {
    members[0].commit(CommitRequest::default()).unwrap();
    members[0].staged.as_ref().unwrap().outcome().clone()
}

/// Whoever copies the key of an Update that waits comes later, and does not take its place.
#[test]
fn a_copied_key_drops_no_update() {
    let mut members = group(SUITE, 4);
    let update = members[2].propose_update(&Framing::default());
    members[0].receive(&update).unwrap();
    members[1].receive(&update).unwrap();
    let copied = members[1].state().proposals.iter().find_map(|held| match &*held.proposal {
        Proposal::Update(leaf) => Some(leaf.encryption_key.clone()),
        _ => None,
    });
    let copied = copied.unwrap();
    let add = with_encryption_key(&mut Actor::new(SUITE, "eve", 77), copied.clone());
    wait(&mut members, 1, add);
    // A copy in an Update of the member's own.
    let Actor { state, signer, rng, .. } = &mut members[3];
    let state = state.as_ref().unwrap();
    let old = state.tree().leaf(leaf(3)).unwrap();
    let source = crate::tree::LeafNodeSource::Update;
    let content = LeafNodeContent { encryption_key: copied, source, ..LeafNodeContent::clone(old) };
    let copy = LeafNode::sign(content, state.position(leaf(3)), signer).unwrap();
    let content = Content::Proposal(Proposal::Update(copy));
    let signed = state.sign_content(content, &Framing::default(), signer).unwrap();
    let (copy, _) = state.protect(signed, Padding::None, rng).unwrap();
    members[0].receive(&copy.to_bytes().unwrap()).unwrap();
    let outcome = commit(&mut members);
    let updated: Vec<_> = outcome.updated.iter().map(|member| member.leaf_index).collect();
    assert_eq!(updated, [leaf(0), leaf(2)]);
    assert!(outcome.added.is_empty());
}

/// V-12.4-02: of several lists of extensions the latest is committed that the members support.
#[test]
fn a_later_misfit_hides_no_earlier_list_of_extensions() {
    let mut members = group(SUITE, 4);
    let good = Extensions::from_iter([ExternalSender::to_extension(&[]).unwrap()]);
    wait(&mut members, 2, Proposal::GroupContextExtensions(Extensions::new()));
    wait(&mut members, 2, Proposal::GroupContextExtensions(good.clone()));
    let bad = extensions(0xf001, Vec::new());
    wait(&mut members, 1, Proposal::GroupContextExtensions(bad));
    commit(&mut members);
    members[0].confirm();
    assert_eq!(members[0].state().context().extensions, good);
}

/// V-12.2-07, V-12.4-02: of several key packages of one client the latest is committed that fits.
#[test]
fn a_later_misfit_hides_no_earlier_key_package() {
    let mut members = group(SUITE, 3);
    let mut dora = Actor::new(SUITE, "dora", 77);
    let good = [dora.key_package(), dora.key_package()];
    for key_package in good.clone() {
        wait(&mut members, 1, Proposal::Add(key_package));
    }
    let taken = members[0].state().tree().leaf(leaf(2)).unwrap().encryption_key.clone();
    let bad = with_encryption_key(&mut dora, taken);
    wait(&mut members, 2, bad);
    assert_eq!(commit(&mut members).added.len(), 1);
    members[0].confirm();
    let added = members[0].state().tree().leaf(leaf(3)).unwrap();
    assert_eq!(*added, good[1].leaf_node);
}

/// V-12.4-02: what one member proposes that fits nowhere, however much it is, keeps nothing of
/// anybody else from being committed.
#[test]
fn misfits_of_one_member_keep_nothing_else_out() {
    let mut members = group(SUITE, 6);
    members[0].psks.0.insert(400_u64.to_be_bytes().to_vec(), Secret::new(&[7; 32]));
    for number in 0..320 {
        wait(&mut members, 1, psk(number));
        if number % 80 == 79 {
            let updater = 2 + number as usize / 80;
            let update = members[updater].propose_update(&Framing::default());
            members[0].receive(&update).unwrap();
        }
    }
    wait(&mut members, 2, psk(400));
    let outcome = commit(&mut members);
    assert_eq!(outcome.updated.len(), 5);
    assert_eq!(members[0].staged.as_ref().unwrap().outcome().added.len(), 0);
}

/// V-12.2-13: what can't be committed does not keep a ReInit out either.
#[test]
fn a_misfit_is_no_reason_to_leave_a_reinit_out() {
    let mut members = group(SUITE, 3);
    wait(&mut members, 1, psk(1));
    let reinit = ReInit {
        group_id: GroupId::new(b"the next"),
        version: 1,
        cipher_suite: SUITE,
        extensions: Extensions::new(),
    };
    wait(&mut members, 1, Proposal::ReInit(reinit.clone()));
    assert_eq!(commit(&mut members).reinit, Some(reinit));
}

/// A leaf that fits only when another one has changed: the Updates are taken together.
#[test]
fn updates_that_need_each_other_are_committed_together() {
    let new = ExtensionType(0xf001);
    let mut members = group(SUITE, 3);
    for i in [0, 1, 2] {
        // Everybody lists the type, one after the other, and one demands it in between.
        if i == 1 {
            let wanted = extensions(new.0, Vec::new());
            let proposal = Proposal::GroupContextExtensions(wanted);
            wait(&mut members, 1, proposal);
        }
        let mut capabilities = LeafTemplate::capabilities(&members[i].settings);
        capabilities.extensions.push(new);
        let change = LeafChange { capabilities: Some(capabilities), ..LeafChange::default() };
        if i == 0 {
            let request = CommitRequest { leaf: change, ..CommitRequest::default() };
            let commit = members[0].commit(request).unwrap();
            deliver(&mut members, 0, &commit);
            continue;
        }
        let Actor { state, signer, rng, .. } = &mut members[i];
        let state = state.as_mut().unwrap();
        let (message, _, step) = state
            .propose_leaf(&change, &BasicValidator, &Framing::default(), Signers::of(signer), rng)
            .unwrap();
        state.apply(step).unwrap();
        members[0].receive(&message).unwrap();
    }
    assert_eq!(commit(&mut members).updated.len(), 3);
    members[0].confirm();
    assert_eq!(members[0].state().context().extensions.len(), 1);
}

/// Where more proposals wait than a Commit may have, it takes as many as it may.
#[test]
fn more_proposals_wait_than_a_commit_may_have() {
    let mut members = group(SUITE, 5);
    limit(&mut members[0], Limits { proposals: 3, ..Limits::default() });
    for updater in 1..4 {
        let update = members[updater].propose_update(&Framing::default());
        members[0].receive(&update).unwrap();
    }
    wait(&mut members, 3, Proposal::Remove(leaf(4)));
    let outcome = commit(&mut members);
    assert_eq!((outcome.removed.len(), outcome.updated.len()), (1, 3));
    members[0].staged = None;
    let by_value = vec![Proposal::Remove(leaf(1)), Proposal::Remove(leaf(2))];
    members[0].commit(CommitRequest { by_value, ..CommitRequest::default() }).unwrap();
    let outcome = members[0].staged.as_ref().unwrap().outcome();
    assert_eq!(outcome.removed.len(), 3);
}

/// A Commit that was opened in one group is no Commit of another, however far both have gone.
#[test]
fn a_commit_of_another_group_is_stale() {
    let mut members = group(SUITE, 3);
    let mut others: Vec<Actor> =
        (0..3).map(|i| Actor::new(SUITE, &format!("b{i}"), 9000 + i)).collect();
    others[0].create(b"another");
    let adds = others[1..].iter_mut().map(|member| Proposal::Add(member.key_package())).collect();
    others[0].commit_by_value(adds);
    let welcome = others[0].confirm().unwrap();
    others[1..].iter_mut().for_each(|member| member.join(&welcome));
    let removes = others[0].commit_by_value(vec![Proposal::Remove(leaf(1))]);
    let Opened::Commit(opened) = others[2].state().open(read(&removes), None).unwrap() else {
        panic!("no Commit")
    };
    assert_eq!(others[2].state().version, members[1].state().version);
    let processed = members[1].state().process(opened.accept(), &NoPsks);
    assert!(matches!(processed, Err(Error::Misuse(Misuse::Stale))));
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 0, &commit);
}

/// A late message leaves nothing of its sender's handshake ratchet in the epoch that is over.
#[test]
fn a_late_message_opens_no_handshake_ratchet() {
    let mut members = group(SUITE, 3);
    let late = members[1].send(b"late");
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 0, &commit);
    assert!(matches!(members[2].receive(&late), Ok(Heard::Message(_))));
    let past = members[2].state().past.back().unwrap();
    let kinds: Vec<_> = past.secret_tree.ratchets().map(|((_, kind), _)| kind).collect();
    assert!(!kinds.is_empty());
    assert!(kinds.iter().all(|kind| *kind == RatchetKind::Application), "{kinds:?}");
}

/// Counts what it is asked, and takes nobody.
#[derive(Default)]
struct Nobody(AtomicUsize);

impl CredentialValidator for Nobody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Err(CredentialRejected)
    }

    fn identity(&self, credential: &Credential) -> Option<Vec<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        credential.identity().map(<[u8]>::to_vec)
    }
}

/// V-11.2-05, V-11.3-02: whom credentials stand for is asked once of each.
#[test]
fn members_are_compared_by_their_identities() {
    use crate::rules::subgroup::{are_among, are_the_same};
    let of = |from: u64, to: u64| -> Vec<Credential> {
        (from..to).map(|number| Credential::basic(number.to_be_bytes())).collect()
    };
    let (old, new) = (of(0, 2_000), of(0, 2_000));
    let reversed: Vec<&Credential> = new.iter().rev().collect();
    let validator = Nobody::default();
    assert!(are_the_same(&old, &reversed, &validator));
    assert!(are_among(&old, &reversed, &validator));
    assert!(validator.0.load(Ordering::Relaxed) <= 8_000);
    assert!(!are_the_same(&old, &of(1, 2_001).iter().collect::<Vec<_>>(), &validator));
    assert!(!are_among(&old, &of(1, 2_001).iter().collect::<Vec<_>>(), &validator));
    assert!(!are_the_same(&old, &reversed[1..], &validator));
    assert!(are_among(&old, &reversed[1..], &validator));
}
