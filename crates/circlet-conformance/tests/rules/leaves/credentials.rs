//! Credentials (sections 5.3 and 7.3), and who is asked about them.

use std::sync::{Arc, Mutex, PoisonError};

use circlet::codec::{DecodeContext, DecodeError};
use circlet::crypto::SignaturePublicKey;
use circlet::group::{ByReference, CommitRequest, ExternalJoin, Judge, OpenedGroupInfo};
use circlet::identity::{
    Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialUse,
    CredentialValidator, Signer,
};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::{
    Heard, Outsider, TestGroup, TestGroupBuilder, TestMember, default_capabilities,
    external_senders,
};
use circlet::tree::{Extension, ExtensionType, Extensions, ExternalSender, LeafIndex};
use circlet::{Error, Refused};

use super::{Edit, open_to_anybody, plain, refused_everywhere};
use crate::support::{SUITE, assert_violation, open_policy};

/// A question that an Authentication Service was asked.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    reason: CredentialUse,
    credential: Credential,
    key: SignaturePublicKey,
    replaced: Option<(Credential, SignaturePublicKey)>,
}

/// Writes down what it is asked, and says no where a test wants it to.
#[derive(Clone, Debug, Default)]
struct Service {
    asked: Arc<Mutex<Vec<Asked>>>,
    rejects: Arc<Mutex<bool>>,
}

impl Service {
    /// What it was asked since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reject(&self, all: bool) {
        *self.rejects.lock().unwrap() = all;
    }
}

impl CredentialValidator for Service {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        self.asked.lock().unwrap().push(Asked {
            reason: check.reason,
            credential: check.credential.clone(),
            key: check.signature_key.clone(),
            replaced: check.replaced.map(|(credential, key)| (credential.clone(), key.clone())),
        });
        if *self.rejects.lock().unwrap() { Err(CredentialRejected) } else { Ok(()) }
    }
}

/// A group of three in which member 0 has a Service.
fn served() -> Result<(TestGroup, Service), Error> {
    let mut group = open_to_anybody(plain().policy(open_policy()))?;
    let service = Service::default();
    group.members[0].validator = Arc::new(service.clone());
    Ok((group, service))
}

/// Rejected, nothing changes; accepted, exactly this was asked.
#[track_caller]
fn asks_once(
    member: &mut TestMember,
    service: &Service,
    message: &[u8],
    expected: Asked,
) -> Result<Heard, Error> {
    service.reject(true);
    let error = member.refuses(message);
    assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    service.reject(false);
    service.asked();
    let heard = member.receive(message)?;
    assert_eq!(service.asked(), [expected]);
    Ok(heard)
}

fn name(index: usize) -> Credential {
    Credential::basic(format!("m{index}"))
}

/// V-5.3-03, V-7.3-01: about the credential of an Add, alone or in a Commit, of a member or of the
/// one who wants to be added.
#[test]
fn an_added_credential() -> Result<(), Error> {
    let (mut group, service) = served()?;
    let mut newcomer = group.newcomer("new")?;
    let key = newcomer.signer.public_key().clone();
    let add = Proposal::Add(newcomer.key_package()?);
    let credential = Credential::basic("new");
    let mut asked =
        Asked { reason: CredentialUse::Add, credential, key: key.clone(), replaced: None };
    let mut insider = group.insider(1)?;

    let proposal = insider.proposal(add.clone())?.private()?;
    asks_once(&mut group.members[0], &service, proposal.as_ref(), asked.clone())?;
    let commit = insider.commit().proposals([add]).private()?;
    asks_once(&mut group.members[0], &service, commit.as_ref(), asked.clone())?;

    let mut own = Outsider::new(&insider.settings.suite, "own", 7)?;
    let mut newcomer = group.newcomer("own")?;
    newcomer.signer = own.signer.clone();
    let add = Proposal::Add(newcomer.key_package()?);
    let context = group.members[0].state().context().clone();
    let proposal = own.new_member_proposal(&context, add)?.public()?;
    asked.reason = CredentialUse::SelfAdd;
    asked.credential = Credential::basic("own");
    asked.key = own.signer.public_key().clone();
    asks_once(&mut group.members[0], &service, proposal.as_ref(), asked)?;
    Ok(())
}

/// V-5.3-03, V-5.3-04, V-7.3-01: about the credential of an Update, as the successor of the one
/// that it replaces.
#[test]
fn an_updated_credential() -> Result<(), Error> {
    let (mut group, service) = served()?;
    let key = group.members[1].signer.public_key().clone();
    let mut insider = group.insider(1)?;
    let credential = Credential::basic("m1 after the wedding");
    let new = credential.clone();
    let update = insider.update().edit(|leaf| leaf.credential = new).proposal()?;
    let update = insider.proposal(update)?.private()?;
    let replaced = Some((name(1), key.clone()));
    let asked = Asked { reason: CredentialUse::Update, credential, key, replaced };
    asks_once(&mut group.members[0], &service, update.as_ref(), asked)?;
    Ok(())
}

/// V-5.3-03, V-5.3-04, V-7.3-01: about the credential of a path where it changes, or its key does;
/// not about one that stays.
#[test]
fn a_committed_credential() -> Result<(), Error> {
    for change_key in [false, true] {
        let (mut group, service) = served()?;
        let key = group.members[1].signer.public_key().clone();
        let replaced = Some((name(1), key.clone()));
        let mut insider = group.insider(1)?;
        let (commit, credential, key) = match change_key {
            false => {
                let new = Credential::basic("m1 after the wedding");
                let leaf = new.clone();
                (insider.commit().leaf(|it| it.credential = leaf).private()?, new, key)
            }
            true => {
                let signer = group.newcomer("any")?.signer;
                let key = signer.public_key().clone();
                let leaf = key.clone();
                let commit = insider.commit().leaf(|it| it.signature_key = leaf);
                (commit.leaf_signer(signer).private()?, name(1), key)
            }
        };
        let asked = Asked { reason: CredentialUse::Commit, credential, key, replaced };
        asks_once(&mut group.members[0], &service, commit.as_ref(), asked)?;
    }
    let (mut group, service) = served()?;
    let commit = group.insider(1)?.commit().private()?;
    group.members[0].receive(commit)?;
    assert_eq!(service.asked(), []);
    Ok(())
}

/// V-5.3-03, V-7.3-01: about every member of a group that one joins by a Welcome, but oneself.
#[test]
fn the_credentials_of_a_tree() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let welcome = group.commit_with(1, [add])?.welcome.unwrap();
    let service = Service::default();
    newcomer.validator = Arc::new(service.clone());
    service.reject(true);
    let error = newcomer.refuses(&welcome);
    assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    assert_eq!(newcomer.keys.len(), 1);
    service.reject(false);
    service.asked();
    newcomer.join(&welcome)?;
    assert_eq!(service.asked(), members(&group));
    Ok(())
}

/// The questions of a joiner about the members of a group.
fn members(group: &TestGroup) -> Vec<Asked> {
    let asked = group.members.iter().enumerate().map(|(i, member)| Asked {
        reason: CredentialUse::Join,
        credential: name(i),
        key: member.signer.public_key().clone(),
        replaced: None,
    });
    asked.collect()
}

/// V-5.3-03, V-5.3-04, V-7.3-01: the joiner by an external Commit asks about all members and about
/// itself; the members about the joiner, as the successor of the leaf that it removes.
#[test]
fn an_external_joiners_credential() -> Result<(), Error> {
    for replaces in [None, Some(LeafIndex(2))] {
        let (mut group, service) = served()?;
        let group_info = group.insider(1)?.group_info().external_pub().build()?;
        let mut joiner = group.newcomer("m2")?;
        let own = Service::default();
        let opened = OpenedGroupInfo::open(joiner.settings.clone(), group_info, None)?;
        let reviewed = opened.review(&own)?;
        assert_eq!(own.asked(), members(&group));
        let old = group.members[2].signer.public_key().clone();
        let request = ExternalJoin {
            leaf: joiner.template.clone(),
            replaces,
            psks: Vec::new(),
            authenticated_data: Vec::new(),
        };
        let judge = Judge { validator: &own, psks: &joiner.psks, now: None };
        let staged = reviewed.join(request, &judge, &joiner.signer, &mut joiner.rng)?;
        let asked = Asked {
            reason: CredentialUse::ExternalJoin,
            credential: name(2),
            key: joiner.signer.public_key().clone(),
            replaced: replaces.map(|_| (name(2), old)),
        };
        assert_eq!(own.asked(), std::slice::from_ref(&asked));
        asks_once(&mut group.members[0], &service, staged.message(), asked)?;
    }
    Ok(())
}

/// V-5.3-03: about external senders when they come into the group's extensions.
#[test]
fn an_external_senders_credential() -> Result<(), Error> {
    let (mut group, service) = served()?;
    let mut insider = group.insider(1)?;
    let outsider = Outsider::new(&insider.settings.suite, "server", 7)?;
    let extensions = Extensions::from_iter([external_senders(&[outsider.entry()])?]);
    let change = Proposal::GroupContextExtensions(extensions);
    let commit = insider.commit().proposals([change]).private()?;
    let asked = Asked {
        reason: CredentialUse::ExternalSender,
        credential: Credential::basic("server"),
        key: outsider.signer.public_key().clone(),
        replaced: None,
    };
    asks_once(&mut group.members[0], &service, commit.as_ref(), asked)?;
    Ok(())
}

/// V-5.3-03: whoever adds somebody asks as well, before anything is sent.
#[test]
fn a_credential_that_one_adds_oneself() -> Result<(), Error> {
    let (mut group, service) = served()?;
    let mut newcomer = group.newcomer("new")?;
    let key = newcomer.signer.public_key().clone();
    let add = Proposal::Add(newcomer.key_package()?);
    let before = group.members[0].fingerprint()?;
    service.reject(true);
    for error in [
        group.members[0].propose(add.clone()).expect_err("a rejected credential"),
        group.commit_with(0, [add.clone()]).expect_err("a rejected credential"),
    ] {
        assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    }
    assert_eq!(before, group.members[0].fingerprint()?);
    service.reject(false);
    service.asked();
    group.commit_with(0, [add])?;
    let credential = Credential::basic("new");
    assert_eq!(
        service.asked(),
        [Asked { reason: CredentialUse::Add, credential, key, replaced: None }]
    );
    Ok(())
}

/// V-5.3-07: what a member says of itself is shown to nobody for proof, and two may say the same.
#[test]
fn an_application_id_twice() -> Result<(), Error> {
    let (mut group, service) = served()?;
    let id = Extension::application_id("device 7")?;
    let mut joined = Vec::new();
    for name in ["new", "newer"] {
        let mut newcomer = group.newcomer(name)?;
        newcomer.template.extensions.set(id.clone());
        joined.push(group.add_member(1, newcomer)?);
    }
    assert_eq!(service.asked().len(), 2);
    let tree = group.members[0].state().tree();
    let says_so = |data: Option<&[u8]>| data == Some(id.data.as_slice());
    let of_id = ExtensionType::APPLICATION_ID;
    let who = tree.members().filter(|(_, leaf)| says_so(leaf.extensions.find(of_id)));
    let who: Vec<LeafIndex> = who.map(|(leaf, _)| leaf).collect();
    assert_eq!(who, [group.leaf(joined[0])?, group.leaf(joined[1])?]);
    group.send(joined[0], b"hello")?;
    group.update(joined[1])?;
    Ok(())
}

/// A leaf with a credential of a type that the others don't support.
const CERTIFIED: Edit = |leaf| {
    leaf.credential = Credential::x509([vec![1, 2, 3]]);
    leaf.capabilities.credentials = vec![CredentialType::BASIC, CredentialType::X509];
};

/// V-7.3-05: a credential of a type that not every member supports, in each place.
#[test]
fn a_credential_that_not_all_support() -> Result<(), Error> {
    refused_everywhere(&plain(), CERTIFIED, Violation::CredentialNotSupported)
}

/// All three members read certificates too, though none has one.
fn readers() -> Result<TestGroupBuilder, Error> {
    let mut both = default_capabilities(SUITE)?;
    both.credentials = vec![CredentialType::BASIC, CredentialType::X509];
    Ok((0..3).fold(plain(), |builder, i| builder.capabilities(i, both.clone())))
}

/// V-7.3-05: a leaf that does not support the credentials that are in use, in each place.
#[test]
fn a_leaf_that_does_not_support_all_credentials() -> Result<(), Error> {
    let only: Edit = |leaf| {
        leaf.credential = Credential::x509([vec![1, 2, 3]]);
        leaf.capabilities.credentials = vec![CredentialType::X509];
    };
    refused_everywhere(&readers()?, only, Violation::CredentialNotSupported)
}

/// V-7.3-05: where all support them, both kinds of credentials are welcome.
#[test]
fn credentials_that_all_support() -> Result<(), Error> {
    let mut group = open_to_anybody(readers()?)?;
    let key_package = group.newcomer("new")?.forge_key_package().leaf(CERTIFIED).build()?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([Proposal::Add(key_package)]).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-7.3-06: the one that does not support a credential leaves by the Commit that brings it.
#[test]
fn who_leaves_need_not_support_what_comes() -> Result<(), Error> {
    let only = default_capabilities(SUITE)?;
    let mut both = only.clone();
    both.credentials.push(CredentialType::X509);
    let builder = plain().capabilities(0, both.clone()).capabilities(1, both).capabilities(2, only);
    let mut group = open_to_anybody(builder)?;
    let key_package = group.newcomer("new")?.forge_key_package().leaf(CERTIFIED).build()?;
    let (add, removed) = (Proposal::Add(key_package), group.leaf(2)?);
    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([add.clone()]).private()?;
    let error = group.refuses(0, commit);
    assert_violation(&error, Violation::CredentialNotSupported);
    let commit = insider.commit().proposals([Proposal::Remove(removed), add]).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-5.3-08: a credential of a type that nobody registered can't be read; one of a type that means
/// nothing is refused though everybody registered and lists it.
#[test]
fn a_credential_that_means_nothing() -> Result<(), Error> {
    let of_type = |credential_type: u16| Credential::Custom {
        credential_type: CredentialType(credential_type),
        body: vec![1, 2, 3],
    };
    for unknown in [0x0a0a, 0x1234] {
        let mut group = TestGroup::new(SUITE, 2)?;
        let mut newcomer = group.newcomer("new")?;
        let key_package = newcomer.forge_key_package().leaf(|leaf| {
            leaf.credential = of_type(unknown);
            leaf.capabilities.credentials.push(CredentialType(unknown));
        });
        let add = Proposal::Add(key_package.build()?);
        let proposal = group.insider(1)?.proposal(add)?.public()?;
        let error = group.refuses(0, proposal);
        let unsupported = DecodeError::UnsupportedCredential(unknown);
        assert!(matches!(&error, Error::Malformed(found) if *found == unsupported), "{error:?}");
    }
    let mut context = DecodeContext::default();
    context.credential_types.extend([0x0a0a, 0x1234]);
    let builder = plain().context(context);
    let known: Edit = |leaf| {
        let credential_type = CredentialType(0x1234);
        leaf.credential = Credential::Custom { credential_type, body: vec![1, 2, 3] };
    };
    let mut group = open_to_anybody(builder.clone())?;
    let commit = group.insider(1)?.commit().leaf(known).public()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    let meaningless: Edit = |leaf| {
        let credential_type = CredentialType(0x0a0a);
        leaf.credential = Credential::Custom { credential_type, body: vec![1, 2, 3] };
    };
    refused_everywhere(&builder, meaningless, Violation::CredentialNotInCapabilities)?;
    Ok(())
}

/// V-13.0-02: nobody lets an external sender in whose credential some members don't support: they
/// could not read the group's extensions. A committer leaves such a list out that waits, and what is
/// in the same Commit does not change that; who can read it takes a Commit that has it.
#[test]
fn a_sender_whose_credential_not_all_support() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.credential_types.insert(0x1234);
    let builder = plain().context(context).capabilities(2, default_capabilities(SUITE)?);
    let mut group = open_to_anybody(builder)?;
    let sender = ExternalSender {
        signature_key: group.members[0].signer.public_key().clone(),
        credential: Credential::Custom { credential_type: CredentialType(0x1234), body: vec![1] },
    };
    let extensions = Extensions::from_iter([ExternalSender::to_extension(&[sender])?]);
    let list = Proposal::GroupContextExtensions(extensions.clone());
    let error = group.members[1].propose(list.clone()).expect_err("a list that some can't read");
    assert_violation(&error, Violation::CredentialNotSupported);
    let waits = group.insider(1)?.proposal(list.clone())?.public()?;
    group.members[0].receive(&waits)?;
    let before = group.members[0].fingerprint()?;
    let request = CommitRequest { by_value: vec![list.clone()], ..CommitRequest::default() };
    let request = CommitRequest { by_reference: ByReference::Nothing, ..request };
    let error = group.members[0].stage(request).expect_err("a list that some can't read");
    assert_violation(&error, Violation::CredentialNotSupported);
    assert_eq!(group.members[0].fingerprint()?, before);
    let commit = group.insider(1)?.commit().proposals([list.clone()]).public()?;
    group.members[0].stage(CommitRequest::default())?;
    assert_eq!(group.members[0].staged.as_ref().unwrap().outcome().left_out.len(), 1);
    assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));

    // Without the member that does not support it, it may be there; and so may later one who does
    // not, with whom the group goes on.
    let mut fresh =
        open_to_anybody(plain().context(group.members[1].settings.context.as_ref().clone()))?;
    let mut other = fresh.newcomer("other")?;
    other.template.capabilities = default_capabilities(SUITE)?;
    let add = Proposal::Add(other.key_package()?);
    let waits = fresh.members[2].propose(add)?;
    fresh.broadcast(2, &waits)?;
    fresh.commit_with(1, [list])?;
    assert_eq!(fresh.members[0].state().context().extensions, extensions);
    fresh.update(2)?;
    Ok(())
}
