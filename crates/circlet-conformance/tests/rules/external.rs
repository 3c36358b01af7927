//! External Commits (RFC 9420 section 12.4.3.2), and the GroupInfos that they come from.

use circlet::codec::{DecodeError, Encode};
use circlet::crypto::{HpkePublicKey, Signature, SignaturePublicKey};
use circlet::group::{ExternalJoin, OpenedGroupInfo, Policy, StagedJoin};
use circlet::identity::{Signer, SignerError, SigningKey};
use circlet::message::{
    Commit, Content, GroupInfo, MlsMessage, Proposal, ProposalOrRef, PublicMessage, Sender,
};
use circlet::rules::Violation;
use circlet::testing::{Forged, Frame, Heard, Outsider, TestGroup, TestMember};
use circlet::tree::{Extension, ExtensionType, LeafIndex};
use circlet::{Error, Refused, Unready};

use crate::support::{SUITE, assert_violation};

/// A group of three, and somebody who joins it by an external Commit.
struct Joining {
    group: TestGroup,
    joiner: TestMember,
    staged: StagedJoin,
}

impl Joining {
    fn new() -> Self {
        Self::of(TestGroup::new(SUITE, 3).unwrap())
    }

    fn of(mut group: TestGroup) -> Self {
        let mut joiner = group.newcomer("new").unwrap();
        let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
        let staged = joiner.external_join(info, None, Vec::new()).unwrap();
        Self { group, joiner, staged }
    }

    fn public(&self) -> PublicMessage {
        match MlsMessage::read(self.staged.message(), &self.joiner.settings.context).unwrap() {
            MlsMessage::Public(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The joiner's Commit with a change to it and to its frame, signed again. The confirmation tag
    /// is that of the honest one.
    fn forge<'a>(
        &self,
        edit: impl FnOnce(&mut Commit),
        frame: impl FnOnce(Frame<'a>) -> Frame<'a>,
    ) -> Forged {
        let PublicMessage { content, auth, .. } = self.public();
        let Content::Commit(mut commit) = content.content else { panic!("no Commit") };
        edit(&mut commit);
        let mut outsider = Outsider::new(self.joiner.suite(), "new", 7).unwrap();
        outsider.signer = self.joiner.signer.clone();
        let context = self.group.members[0].state().context();
        let forged = outsider.content(context, Sender::NewMemberCommit, Content::Commit(commit));
        let tag = auth.confirmation_tag;
        frame(forged.unwrap().edit_confirmation_tag(move |own| *own = tag)).public().unwrap()
    }

    #[track_caller]
    fn refuses(&mut self, expected: Violation, forged: impl AsRef<[u8]>) {
        for i in 0..self.group.members.len() {
            assert_violation(&self.group.refuses(i, forged.as_ref()), expected);
        }
    }

    /// The honest Commit is accepted, and all agree.
    fn joins(self) {
        let Self { mut group, mut joiner, staged } = self;
        for member in &mut group.members {
            member.receive(staged.message()).unwrap();
        }
        joiner.enter(staged.confirm());
        group.members.push(joiner);
        group.agree();
        group.update(3).unwrap();
        group.update(0).unwrap();
    }
}

fn join_with(
    joiner: &mut TestMember,
    info: GroupInfo,
    replaces: Option<LeafIndex>,
    signer: &dyn Signer,
) -> Result<StagedJoin, Error> {
    let leaf = joiner.template.clone();
    let request = ExternalJoin { leaf, replaces, psks: Vec::new(), authenticated_data: Vec::new() };
    let opened = OpenedGroupInfo::open(joiner.settings.clone(), info, None)?;
    let mut rng = joiner.rng.clone();
    let reviewed = opened.review(&*joiner.validator)?;
    reviewed.join(request, &joiner.judge(), signer, &mut rng)
}

/// What the frame was stays.
fn unchanged(frame: Frame<'_>) -> Frame<'_> {
    frame
}

/// V-12.4.3.2-01: a GroupInfo for joining has a valid key, and is as sound as that of a Welcome.
#[test]
fn v_12_4_3_2_01_a_group_info_to_join_by() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    group.update(0).unwrap();
    let mut joiner = group.newcomer("new").unwrap();
    let mut insider = group.insider(1).unwrap();
    let other = joiner.signer.clone();
    let key = |data: Vec<u8>| Extension { extension_type: ExtensionType::EXTERNAL_PUB, data };
    let zero = HpkePublicKey::new(&[0; 32]).to_bytes().unwrap();
    let short = HpkePublicKey::new(&[9; 31]).to_bytes().unwrap();
    for extension in [None, Some(key(zero)), Some(key(short))] {
        let forged = insider.group_info();
        let forged = match extension {
            None => forged,
            Some(extension) => forged.edit_group_info(move |it| it.extensions.set(extension)),
        };
        let error = joiner.external_join(forged.build().unwrap(), None, Vec::new()).unwrap_err();
        assert_violation(&error, Violation::ExternalPub);
    }
    let infos = [
        (Violation::GroupInfoSignature, insider.group_info().external_pub().signer(other).build()),
        (
            Violation::GroupInfoSigner,
            insider.group_info().external_pub().edit_group_info(|it| it.signer.0 = 9).build(),
        ),
        (
            Violation::TreeHash,
            insider.group_info().external_pub().edit_context(|it| it.tree_hash[0] ^= 1).build(),
        ),
        (
            Violation::ParentHash,
            insider
                .group_info()
                .external_pub()
                .edit_tree(|nodes| {
                    let root = nodes[3].as_mut().unwrap().parent_mut().unwrap();
                    root.encryption_key = HpkePublicKey::new(&[9; 32]);
                })
                .build(),
        ),
        (
            Violation::GroupContextVersion,
            insider.group_info().external_pub().edit_context(|it| it.cipher_suite.0 = 3).build(),
        ),
    ];
    for (expected, info) in infos {
        assert_violation(
            &joiner.external_join(info.unwrap(), None, Vec::new()).unwrap_err(),
            expected,
        );
    }
    Joining::of(group).joins();
}

/// V-12.4.3.2-01: whoever has another confirmation tag is in another epoch: its Commit is not for
/// this one.
#[test]
fn a_group_info_with_another_tag() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut joiner = group.newcomer("new").unwrap();
    let mut insider = group.insider(1).unwrap();
    let info =
        insider.group_info().external_pub().edit_group_info(|it| it.confirmation_tag.0.clear());
    let staged = joiner.external_join(info.build().unwrap(), None, Vec::new()).unwrap();
    let mut joining = Joining { group, joiner, staged };
    let message = joining.staged.message().to_vec();
    joining.refuses(Violation::ConfirmationTag, message);
}

/// V-12.4.3.2-02: an external Commit has a path.
#[test]
fn v_12_4_3_2_02_an_external_commit_without_a_path() {
    let mut joining = Joining::new();
    let forged = joining.forge(|commit| commit.path = None, unchanged);
    joining.refuses(Violation::PathMissing, forged);
    joining.joins();
}

/// V-12.4.3.2-03: an external Commit has its proposals by value.
#[test]
fn v_12_4_3_2_03_an_external_commit_by_reference() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut insider = group.insider(2).unwrap();
    let proposal = insider.proposal(Proposal::Remove(LeafIndex(1))).unwrap().public().unwrap();
    let reference = insider.remember(&proposal).unwrap();
    for i in [0, 1] {
        group.members[i].receive(&proposal).unwrap();
    }
    let mut joining = Joining::of(group);
    let by_reference = ProposalOrRef::Reference(reference);
    let forged = joining.forge(|commit| commit.proposals.push(by_reference), unchanged);
    // Also by who does not know the proposal.
    joining.refuses(Violation::ExternalCommitReference, forged);
    joining.joins();
}

/// V-12.4.3.2-04, V-6.1-05: an external Commit is signed with the key of its path's leaf.
#[test]
fn v_12_4_3_2_04_an_external_commit_signed_by_another() {
    let mut joining = Joining::new();
    let member = joining.group.members[1].signer.clone();
    let forged = joining.forge(|_| {}, |frame| frame.signer(member));
    joining.refuses(Violation::ContentSignature, forged);
    let forged = joining.forge(|_| {}, |frame| frame.signed_context(None));
    joining.refuses(Violation::ContentSignature, forged);
    joining.joins();
}

/// V-12.4.3.2-04, V-6.1-05: the same where the tag and all else is right for a member's signature.
#[test]
fn an_external_commit_that_a_member_signed() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut joiner = group.newcomer("new").unwrap();
    let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
    let member = group.members[1].signer.clone();
    let signer = TwoFaced { own: joiner.signer.clone(), member };
    let staged = join_with(&mut joiner, info, None, &signer).unwrap();
    let error = group.refuses(0, staged.message());
    assert_violation(&error, Violation::ContentSignature);
}

/// Signs its leaf with its own key, and its messages with a member's.
struct TwoFaced {
    own: SigningKey,
    member: SigningKey,
}

impl Signer for TwoFaced {
    fn public_key(&self) -> &SignaturePublicKey {
        self.own.public_key()
    }

    fn sign(&self, content: &[u8]) -> Result<Signature, SignerError> {
        let label = b"FramedContentTBS";
        let framed = content.windows(label.len()).take(64).any(|window| window == label);
        if framed { self.member.sign(content) } else { self.own.sign(content) }
    }
}

/// V-12.4.3.2-05: joiner and members take the init secret from the ExternalInit.
#[test]
fn v_12_4_3_2_05_the_external_init_secret() {
    Joining::new().joins();
    // Another KEM output gives another secret.
    let mut joining = Joining::new();
    let forged = joining.forge(
        |commit| {
            let other = HpkePublicKey::new(&[9; 32]).as_bytes().to_vec();
            let init = ProposalOrRef::Proposal(Box::new(Proposal::ExternalInit(other)));
            commit.proposals[0] = init;
        },
        unchanged,
    );
    joining.refuses(Violation::ConfirmationTag, forged);
    joining.joins();
}

/// V-12.4.3.2-06: an external Commit says that it is one, and has no membership tag.
#[test]
fn v_12_4_3_2_06_the_sender_of_an_external_commit() {
    let mut joining = Joining::new();
    let public = joining.public();
    assert_eq!(public.content.sender, Sender::NewMemberCommit);
    assert_eq!(public.membership_tag, None);
    let tagged = joining.forge(
        |_| {},
        |frame| frame.edit_membership_tag(|tag| *tag = Some(circlet::crypto::Mac(vec![7; 32]))),
    );
    for i in 0..joining.group.members.len() {
        let error = joining.group.refuses(i, &tagged);
        assert!(matches!(error, Error::Malformed(DecodeError::TrailingBytes { .. })), "{error:?}");
    }
    joining.joins();
}

/// V-12.4.3.2-07: in a PrivateMessage there is no sender but a member, and an ExternalInit has no
/// place in what a member commits.
#[test]
fn v_12_4_3_2_07_an_external_commit_is_public() {
    let mut joining = Joining::new();
    let Content::Commit(commit) = joining.public().content.content else { panic!("no Commit") };
    let mut insider = joining.group.insider(1).unwrap();
    let as_joiner = {
        let commit = commit.clone();
        let forged = insider.commit().edit_commit(|own| *own = commit);
        forged.framed(|frame| frame.sender(Sender::NewMemberCommit)).private().unwrap()
    };
    let as_member = insider.commit().edit_commit(|own| *own = commit).private().unwrap();
    for (forged, expected) in [
        (as_joiner, Violation::ContentSignature),
        (as_member, Violation::ExternalInitInMemberCommit),
    ] {
        for i in [0, 2] {
            assert_violation(&joining.group.refuses(i, &forged), expected);
        }
    }
    joining.joins();
}

/// V-12.4.3.2-10: a joiner sees before it sends anything that the members could not accept it.
#[test]
fn v_12_4_3_2_10_a_joiner_that_does_not_fit() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut joiner = group.newcomer("new").unwrap();
    let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
    let own = joiner.signer.clone();
    joiner.signer = group.members[2].signer.clone();
    let error = joiner.external_join(info.clone(), None, Vec::new()).unwrap_err();
    assert_violation(&error, Violation::DuplicateSignatureKey);
    // In the place of that member the key is free.
    joiner.name = "m2".to_owned();
    joiner.template.credential = circlet::identity::Credential::basic("m2");
    assert!(joiner.external_join(info.clone(), Some(LeafIndex(2)), Vec::new()).is_ok());
    joiner.signer = own;
    joiner.template.capabilities.credentials = vec![circlet::identity::CredentialType::X509];
    let error = joiner.external_join(info, None, Vec::new()).unwrap_err();
    assert_violation(&error, Violation::CredentialNotInCapabilities);
}

/// V-12.4.3.2-08: the application of each member says who may come in that way.
#[test]
fn v_12_4_3_2_08_policy() {
    let refused = |replaces: Option<LeafIndex>, set: fn(&mut Policy), expected: Refused| {
        let mut policy = Policy::default();
        set(&mut policy);
        let mut group = TestGroup::builder(SUITE).size(3).policy(policy).build().unwrap();
        let mut joiner = group.newcomer("m2").unwrap();
        joiner.settings.policy = Policy::default();
        let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
        let staged = joiner.external_join(info, replaces, Vec::new()).unwrap();
        for i in [0, 1] {
            let error = group.refuses(i, staged.message());
            assert!(matches!(&error, Error::Refused(found) if *found == expected), "{error:?}");
        }
    };
    refused(None, |policy| policy.external_joins = false, Refused::ExternalJoin);
    let rejoins = Some(LeafIndex(2));
    refused(rejoins, |policy| policy.external_rejoins = false, Refused::ExternalRejoin);
    let required: fn(&mut Policy) = |policy| policy.external_psk_required = true;
    refused(None, required, Refused::ExternalJoinWithoutPsk);
}

/// V-12.4.3.2-09: two external Commits from one GroupInfo: the first one ends its epoch.
#[test]
fn v_12_4_3_2_09_a_group_info_is_for_one_join() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
    let mut joiners = ["one", "two"].map(|name| group.newcomer(name).unwrap());
    let [first, second] = joiners
        .each_mut()
        .map(|joiner| joiner.external_join(info.clone(), None, Vec::new()).unwrap());
    group.broadcast(usize::MAX, first.message()).unwrap();
    for i in 0..group.members.len() {
        let error = group.refuses(i, second.message());
        assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })), "{error:?}");
    }
    let [mut one, mut two] = joiners;
    one.enter(first.confirm());
    group.members.push(one);
    group.agree();
    let info = group.insider(1).unwrap().group_info().external_pub().build().unwrap();
    assert!(two.external_join(info, None, Vec::new()).is_ok());
}

/// V-12.4.3.2-05, V-12.4.3.2-10: whoever comes back takes the place of its old leaf, with its old
/// signature key.
#[test]
fn a_member_comes_back() {
    for old in 0..3_u32 {
        let mut group = TestGroup::new(SUITE, 3).unwrap();
        let other = (old + 1) % 3;
        let insider = group.insider(other as usize);
        let info = insider.unwrap().group_info().external_pub().build().unwrap();
        let member = &mut group.members[old as usize];
        let staged = member.external_join(info, Some(LeafIndex(old)), Vec::new()).unwrap();
        let heard = group.members[old as usize].receive(staged.message()).unwrap();
        assert!(matches!(heard, Heard::Commit(outcome) if outcome.removes_own));
        for i in (0..3).filter(|i| *i != old) {
            group.members[i as usize].receive(staged.message()).unwrap();
        }
        group.members[old as usize].enter(staged.confirm());
        group.agree();
        group.update(old as usize).unwrap();
        group.update(other as usize).unwrap();
    }
}
