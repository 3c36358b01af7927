//! What waits for a Commit: how references are resolved, which proposals a Commit takes, and what
//! that costs. Each attack is by a member.

use super::*;
use crate::message::{Commit, Content, ProposalOrRef};
use crate::rules::Violation;
use crate::tree::{Extension, ExtensionType};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

fn extensions(value: u16, data: Vec<u8>) -> Extensions {
    [Extension { extension_type: ExtensionType(value), data }].into_iter().collect()
}

/// V-12.2-18: a Commit that refers to one long proposal many times is refused before any of it is
/// copied.
#[test]
fn references_that_repeat_cost_nothing() {
    let mut members = group(SUITE, 3);
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
