//! Attacks 11 to 13: who comes, who came back, and who it was.

use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::{CipherSuite, Mac, Secret, Signature};
use circlet::group::{ByReference, Policy};
use circlet::identity::{
    CredentialCheck, CredentialRejected, CredentialValidator, Signer, SigningKey,
};
use circlet::message::{Commit, Content, MlsMessage, Proposal, ProposalOrRef, Sender};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{Heard, Outsider, SeededRng, TestGroup, TestMember, external_senders};
use circlet::tree::{Extensions, LeafIndex};
use circlet::{Error, Refused, Unready};

use crate::support::{SUITE, violation};

fn external_psk() -> PreSharedKeyId {
    let psk = Psk::External { psk_id: b"psk".to_vec() };
    PreSharedKeyId { psk, psk_nonce: vec![1; 32] }
}

fn give_psk<'a>(members: impl IntoIterator<Item = &'a mut TestMember>) {
    for member in members {
        member.psks.external.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
    }
}

/// An external Commit lets somebody in whom no member has asked: it may throw out others, repeat
/// an old invitation, or come with a stolen signature key (section 16.5). Only the same client may be
/// removed by it, once, by value, in the epoch of the GroupInfo; and an application can ask for
/// more.
///
/// V-12.2-21, V-12.2-23, V-12.4.3.2-08, V-12.4.3.2-09.
#[test]
fn attack_11_external_commit_abuse() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut eve = group.newcomer("eve")?;
    eve.validator = std::sync::Arc::new(Anybody);
    let mut again = group.newcomer("m2")?;
    give_psk(&mut group.members);
    give_psk([&mut again]);
    let info = group.insider(0)?.group_info().external_pub().build()?;

    // In the place of somebody else.
    let takes_over = eve.external_join(info.clone(), Some(LeafIndex(2)), vec![])?;
    let error = group.refuses(0, takes_over.message());
    assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");

    // More than one removal, or a removal by reference.
    let honest = again.external_join(info.clone(), Some(LeafIndex(2)), vec![])?;
    let remove = || ProposalOrRef::Proposal(Box::new(Proposal::Remove(LeafIndex(1))));
    let waits = group.insider(3)?.proposal(Proposal::Remove(LeafIndex(1)))?.private()?;
    group.members[0].receive(&waits)?;
    let by_reference = ProposalOrRef::Reference(waits.reference(again.suite())?);
    for (more, expected) in [
        (remove(), Violation::ExternalCommitRemoves),
        (by_reference, Violation::ExternalCommitReference),
    ] {
        let forged = with_another_proposal(&group, &again, honest.message(), more)?;
        assert_eq!(violation(group.refuses(0, forged)), expected);
    }

    // With a stolen signature key: whoever asks for a pre-shared key too is safe, and whoever
    // lets nobody come back, or in at all.
    let stolen = again.external_join(info.clone(), Some(LeafIndex(2)), vec![])?;
    let proven = again.external_join(info.clone(), Some(LeafIndex(2)), vec![external_psk()])?;
    let policy = |change: fn(&mut Policy)| -> Result<Error, Error> {
        let mut own = Policy::default();
        change(&mut own);
        let mut strict = TestGroup::builder(SUITE).size(4).policy(own).build()?;
        // The same seeds: the same group, but for its policy.
        assert_eq!(strict.members[1].state().context(), group.members[1].state().context());
        give_psk(&mut strict.members);
        let error = strict.refuses(1, stolen.message());
        let with_psk = strict.members[1].receive(proven.message()).is_ok();
        assert_eq!(with_psk, strict.members[1].settings.policy.external_psk_required);
        Ok(error)
    };
    let error = policy(|policy| policy.external_psk_required = true)?;
    assert!(matches!(error, Error::Refused(Refused::ExternalJoinWithoutPsk)), "{error:?}");
    let error = policy(|policy| policy.external_rejoins = false)?;
    assert!(matches!(error, Error::Refused(Refused::ExternalRejoin)), "{error:?}");
    let error = policy(|policy| policy.external_joins = false)?;
    assert!(matches!(error, Error::Refused(Refused::ExternalJoin)), "{error:?}");

    // By a GroupInfo of an epoch that is over.
    let honest = again.external_join(info.clone(), Some(LeafIndex(2)), vec![])?;
    group.update(1)?;
    for stale in [honest.message(), eve.external_join(info, None, vec![])?.message()] {
        let error = group.refuses(0, stale);
        assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })), "{error:?}");
    }
    let info = group.insider(0)?.group_info().external_pub().build()?;
    let honest = again.external_join(info, Some(LeafIndex(2)), vec![])?;
    for i in [0, 1, 3] {
        assert!(matches!(group.members[i].receive(honest.message())?, Heard::Commit(_)));
    }
    Ok(())
}

/// Has no judgement: what an attacker's own client would use.
struct Anybody;

impl CredentialValidator for Anybody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }
}

/// The external Commit with one more proposal, signed again by its joiner.
fn with_another_proposal(
    group: &TestGroup,
    joiner: &TestMember,
    honest: &[u8],
    more: ProposalOrRef,
) -> Result<circlet::testing::Forged, Error> {
    let MlsMessage::Public(message) = MlsMessage::read(honest, &joiner.settings.context)? else {
        panic!("no PublicMessage")
    };
    let Content::Commit(commit) = message.content.content else { panic!("no Commit") };
    let mut proposals = commit.proposals;
    proposals.push(more);
    let mut outsider = Outsider::new(joiner.suite(), "outsider", 5)?;
    outsider.signer = joiner.signer.clone();
    let context = group.members[0].state().context();
    let content = Content::Commit(Commit { proposals, ..commit });
    let tag: Option<Mac> = message.auth.confirmation_tag;
    let frame = outsider.content(context, Sender::NewMemberCommit, content)?;
    frame.edit_confirmation_tag(|place| *place = tag).public()
}

const P256: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// r and s of a signature in DER, 32 bytes each.
fn numbers(signature: &[u8]) -> [[u8; 32]; 2] {
    assert_eq!((signature[0], signature[1] as usize), (0x30, signature.len() - 2));
    let mut rest = &signature[2..];
    [(); 2].map(|()| {
        assert_eq!(rest[0], 2);
        let (number, after) = rest[2..].split_at(rest[1] as usize);
        rest = after;
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        let mut out = [0; 32];
        out[32 - digits.len()..].copy_from_slice(digits);
        out
    })
}

fn integer(number: &[u8; 32], zeros: usize) -> Vec<u8> {
    let first = number.iter().position(|byte| *byte != 0).unwrap();
    let sign = usize::from(number[first] >= 0x80);
    let digits = [&vec![0; sign + zeros], &number[first..]].concat();
    [&[2, digits.len() as u8], digits.as_slice()].concat()
}

/// A signature in DER; with zeros that don't belong there if `zeros` is not 0.
fn der(numbers: [[u8; 32]; 2], zeros: usize) -> Vec<u8> {
    let body = [integer(&numbers[0], zeros), integer(&numbers[1], 0)].concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

/// ORDER − s.
fn negated(s: [u8; 32]) -> [u8; 32] {
    let (mut out, mut borrow) = ([0; 32], 0);
    for i in (0..32).rev() {
        let digit = i16::from(ORDER[i]) - i16::from(s[i]) - borrow;
        borrow = i16::from(digit < 0);
        out[i] = digit.rem_euclid(256) as u8;
    }
    out
}

fn is_high(s: [u8; 32]) -> bool {
    s > negated(s)
}

/// Of an ECDSA signature (r, s) also (r, n − s) is one, and whoever carries a proposal can make the
/// other of one: members then know the same proposal by two references, and a Commit by reference
/// leaves some of them behind. Nobody follows what it does not know, the same proposal by value
/// reaches all, the signer here never makes the high one, and there is one encoding of each.
///
/// V-12.2-17.
#[test]
fn attack_12_signature_malleability() -> Result<(), Error> {
    let suite = TestGroup::builder(P256).settings()?.suite;
    let mut server = Outsider::new(&suite, "server", 7)?;
    let extensions = Extensions::from_iter([external_senders(&[server.entry()])?]);
    let mut group = TestGroup::builder(P256).size(4).extensions(extensions).build()?;
    let context = group.members[0].state().context().clone();
    let remove = Proposal::Remove(LeafIndex(3));

    let sent = server.external_proposal(&context, 0, remove.clone())?.public()?;
    let change = |zeros: usize, negate: bool| {
        move |signature: &mut Signature| {
            let [r, s] = numbers(&signature.0);
            assert!(!is_high(s), "a high s was made");
            signature.0 = der([r, if negate { negated(s) } else { s }], zeros);
        }
    };
    let carried = with_signature(&sent.message, change(0, true))?;
    assert!(carried != sent.message);
    // Another encoding of the same numbers is no signature.
    let sloppy = with_signature(&sent.message, change(1, false))?;
    assert_eq!(violation(group.refuses(2, sloppy)), Violation::ContentSignature);

    group.members[0].receive(&sent)?;
    group.members[1].receive(&sent)?;
    group.members[2].receive(&carried)?;
    let by_reference = group.members[0].stage(Default::default())?;
    let error = group.refuses(2, &by_reference);
    assert!(matches!(error, Error::Unready(Unready::UnknownProposal(_))), "{error:?}");
    // With the message as it was sent, the same Commit can be followed.
    group.members[2].receive(&sent)?;
    let state = group.members[2].insider()?.into_state()?;
    // By value no signature of the proposer is in the way.
    group.members[0].staged = None;
    let mut request = group.request(0)?;
    (request.by_value, request.by_reference) = (vec![remove], ByReference::Nothing);
    group.members[2].enter(state);
    group.commit(0, request)?;
    assert!(!group.members[3].is_active());

    let mut rng = SeededRng::new(3);
    let signer = SigningKey::generate(&suite, &mut rng)?;
    for message in 0..32_u8 {
        let [_, s] = numbers(&signer.sign(&[message])?.0);
        assert!(!is_high(s), "a high s was made");
    }
    Ok(())
}

/// The PublicMessage with another signature, as whoever carries it can change it.
fn with_signature(message: &[u8], change: impl FnOnce(&mut Signature)) -> Result<Vec<u8>, Error> {
    let mut read = MlsMessage::from_bytes(message, &DecodeContext::default())?;
    let MlsMessage::Public(public) = &mut read else { panic!("no PublicMessage") };
    change(&mut public.auth.signature);
    Ok(read.to_bytes()?)
}

/// A message comes late, after its sender was removed and somebody else was put at the same leaf. It
/// is attributed to who sent it, by the roster of its epoch; and whoever has the leaf now can't say
/// something in the name of who had it.
///
/// V-6.0-08, V-6.1-03.
#[test]
fn attack_13_leaf_reuse_aliasing() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let late = [group.members[2].send(b"one")?, group.members[2].send(b"two")?];
    let mut old = group.insider(2)?;
    group.remove(0, 2)?;
    let again = group.add(0, "somebody else")?;
    assert_eq!(group.leaf(again)?, LeafIndex(2));
    group.update(1)?;
    for (message, text) in late.iter().zip(["one", "two"]) {
        let Heard::Message(heard) = group.members[1].receive(message)? else { panic!() };
        assert_eq!((heard.sender.to_string(), heard.data), ("m2".to_owned(), text.into()));
        assert_eq!(heard.sender.leaf_index, LeafIndex(2));
    }
    // Signed with the key of who has the leaf now, under the keys of then; and the other way.
    let signer = group.members[again].signer.clone();
    let forged = old.application(b"three")?.signer(signer).private()?;
    assert_eq!(violation(group.refuses(1, forged)), Violation::ContentSignature);
    let old_signer = old.signer.clone();
    let forged = group.insider(again)?.application(b"now")?.signer(old_signer).private()?;
    assert_eq!(violation(group.refuses(1, forged)), Violation::ContentSignature);
    let Heard::Message(heard) = group.send_to(again, 1, b"mine")? else { panic!() };
    assert_eq!(heard.sender.to_string(), "somebody else");
    // Who joined later was not there.
    let error = group.refuses(again, &late[0]);
    assert!(matches!(error, Error::Unready(Unready::ForgottenEpoch { .. })), "{error:?}");
    Ok(())
}

trait SendTo {
    fn send_to(&mut self, from: usize, to: usize, data: &[u8]) -> Result<Heard, Error>;
}

impl SendTo for TestGroup {
    fn send_to(&mut self, from: usize, to: usize, data: &[u8]) -> Result<Heard, Error> {
        let message = self.members[from].send(data)?;
        self.members[to].receive(message)
    }
}
