//! Extensions, capabilities and values that mean nothing (RFC 9420 section 13).

use std::sync::Arc;

use circlet::Error;
use circlet::codec::{CustomProposal, DecodeContext, DecodeError};
use circlet::crypto::CipherSuite;
use circlet::group::best_cipher_suite;
use circlet::identity::{
    Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialValidator,
};
use circlet::message::{MlsMessage, Proposal, ReInit};
use circlet::rules::Violation;
use circlet::testing::{
    Heard, TestGroup, TestMember, clients, default_capabilities, extensions_unchecked,
};
use circlet::tree::{
    Capabilities, Extension, ExtensionType, Extensions, ProposalType, RequiredCapabilities,
};

use crate::support::{SUITE, assert_violation};

fn extension(kind: u16) -> Extension {
    // An empty `opaque<V>`, or nothing that means anything.
    Extension { extension_type: ExtensionType(kind), data: vec![0] }
}

fn list(kinds: impl IntoIterator<Item = u16>) -> Extensions {
    extensions_unchecked(kinds.into_iter().map(extension).collect())
}

/// Everybody lists these extension types.
fn capabilities(extensions: &[u16]) -> Capabilities {
    let mut capabilities = default_capabilities(SUITE).unwrap();
    capabilities.extensions.extend(extensions.iter().copied().map(ExtensionType));
    capabilities
}

fn group_with(kinds: &[u16]) -> TestGroup {
    let mut builder = TestGroup::builder(SUITE).size(3);
    for i in 0..3 {
        builder = builder.capabilities(i, capabilities(kinds));
    }
    builder.build().unwrap()
}

/// A Commit of member 1 with this proposal, right in all else.
fn commit(group: &mut TestGroup, proposal: Proposal) -> Vec<u8> {
    let mut insider = group.insider(1).unwrap();
    insider.commit().proposals([proposal]).private().unwrap().message
}

/// Member 1 adds somebody; the two others accept it.
#[track_caller]
fn accepts(group: &mut TestGroup, proposal: Proposal) {
    let commit = commit(group, proposal);
    for i in [0, 2] {
        assert!(matches!(group.members[i].receive(&commit).unwrap(), Heard::Commit(_)));
    }
}

#[track_caller]
fn refuses(group: &mut TestGroup, expected: Violation, proposal: Proposal) {
    let commit = commit(group, proposal);
    for i in [0, 2] {
        assert_violation(&group.refuses(i, &commit), expected);
    }
    // They go on.
    group.send(0, b"still here").unwrap();
}

/// V-13.0-01: a proposal that is not of the RFC is committed where all support it.
#[test]
fn v_13_0_01_a_proposal_that_not_all_support() {
    for supported in [true, false] {
        let mut context = DecodeContext::default();
        context.proposal_types.insert(0xf001, CustomProposal::default());
        let mut builder = TestGroup::builder(SUITE).size(3).context(context);
        if !supported {
            builder = builder.capabilities(2, capabilities(&[]));
        }
        let mut group = builder.build().unwrap();
        let custom = Proposal::Custom { proposal_type: ProposalType(0xf001), body: b"?".to_vec() };
        match supported {
            true => accepts(&mut group, custom),
            false => refuses(&mut group, Violation::ProposalTypeNotSupported, custom),
        }
    }
}

/// Accepts every credential, so that only the rules are left.
#[derive(Clone, Copy, Debug)]
struct Anybody;

impl CredentialValidator for Anybody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }
}

/// V-13.0-02: a credential is of a type that all members support, and its owner supports theirs.
#[test]
fn v_13_0_02_credential_types_that_not_all_support() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    for member in &mut group.members {
        member.validator = Arc::new(Anybody);
    }
    let mut newcomer = group.newcomer("new").unwrap();
    let of_another_type = newcomer.forge_key_package().leaf(|leaf| {
        leaf.credential = Credential::x509([b"certificate"]);
        leaf.capabilities.credentials.push(CredentialType::X509);
    });
    let of_another_type = Proposal::Add(of_another_type.build().unwrap());
    // Without a path the committer's own leaf, which does not support the type, is not judged.
    let mut insider = group.insider(1).unwrap();
    let commit = insider.commit().proposals([of_another_type]).without_path().private().unwrap();
    for i in [0, 2] {
        assert_violation(&group.refuses(i, &commit), Violation::CredentialNotSupported);
    }

    // All support the newcomer's type, and it does not support theirs.
    let mut context = DecodeContext::default();
    context.credential_types.insert(0xf001);
    let mut group = TestGroup::builder(SUITE).size(3).context(context).build().unwrap();
    let mut newcomer = group.newcomer("new").unwrap();
    let body = [CredentialType(0xf001)];
    let supports_less = newcomer.forge_key_package().leaf(|leaf| {
        leaf.credential =
            Credential::Custom { credential_type: CredentialType(0xf001), body: b"new".to_vec() };
        leaf.capabilities.credentials = body.to_vec();
    });
    let supports_less = supports_less.build().unwrap();
    refuses(&mut group, Violation::CredentialNotSupported, Proposal::Add(supports_less));
}

/// V-13.0-03: a client says of itself what its provider and its application can do, no more.
#[test]
fn v_13_0_03_what_a_client_advertises() {
    let test = clients(SUITE, 1).unwrap();
    let key_package = test.clients[0].key_package().unwrap();
    let read = MlsMessage::read(&key_package, &DecodeContext::default()).unwrap();
    let MlsMessage::KeyPackage(key_package) = read else { panic!("no KeyPackage") };
    let known = |value: u16| !circlet::tree::is_grease(value);
    let Capabilities { versions, cipher_suites, extensions, proposals, credentials } =
        &key_package.leaf_node.capabilities;
    let provider = circlet::crypto::providers::DefaultProvider::new();
    let provided: Vec<CipherSuite> =
        circlet::crypto::CryptoProvider::suites(&provider).iter().map(|spec| spec.suite).collect();
    assert_eq!(*versions, [circlet::tree::MLS10]);
    let advertised: Vec<_> = cipher_suites.iter().filter(|suite| known(suite.0)).copied().collect();
    assert_eq!(advertised, provided);
    assert!(!extensions.iter().any(|kind| known(kind.0)), "{extensions:?}");
    assert!(!proposals.iter().any(|kind| known(kind.0)), "{proposals:?}");
    let advertised: Vec<_> = credentials.iter().filter(|kind| known(kind.0)).copied().collect();
    assert_eq!(advertised, [CredentialType::BASIC]);
}

/// V-13.0-04: capabilities and extensions that are not known are ignored.
#[test]
fn v_13_0_04_unknown_values_in_a_key_package() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut newcomer = group.newcomer("new").unwrap();
    let key_package = newcomer.forge_key_package().leaf(|leaf| {
        let capabilities = &mut leaf.capabilities;
        capabilities.versions.extend([0, 2, 0xffff]);
        capabilities.cipher_suites.extend([0, 8, 0x0a0a, 0xffff].map(CipherSuite));
        capabilities.extensions.extend([6, 0x0a0a, 0xf001].map(ExtensionType));
        capabilities.proposals.extend([8, 0x0a0a, 0xf001].map(ProposalType));
        capabilities.credentials.extend([3, 0x0a0a, 0xf001].map(CredentialType));
        leaf.extensions = list([0x0a0a, 0xf001]);
    });
    let key_package = key_package.edit(|it| it.extensions = list([0x0a0a, 0xf001])).build();
    accepts(&mut group, Proposal::Add(key_package.unwrap()));
}

/// V-13.0-06: no type stands twice in any list of extensions.
#[test]
fn v_13_0_06_no_extension_twice() {
    let twice = || list([0xf001, 0xf001]);
    let mut group = group_with(&[0xf001]);
    let mut newcomer = group.newcomer("new").unwrap();
    let of_leaf = newcomer.forge_key_package().leaf(|leaf| {
        leaf.capabilities.extensions.push(ExtensionType(0xf001));
        leaf.extensions = twice();
    });
    let of_leaf = of_leaf.build().unwrap();
    let of_key_package = newcomer.forge_key_package().edit(|it| it.extensions = twice());
    let of_key_package = of_key_package.build().unwrap();
    let mut reinit = ReInit {
        group_id: circlet::message::GroupId::new(b"next"),
        version: 1,
        cipher_suite: SUITE,
        extensions: Extensions::new(),
    };
    reinit.extensions = twice();
    for proposal in [
        Proposal::Add(of_leaf),
        Proposal::Add(of_key_package),
        Proposal::GroupContextExtensions(twice()),
        Proposal::ReInit(reinit),
    ] {
        let commit = commit(&mut group, proposal);
        assert_duplicate(&group.refuses(0, &commit));
    }
    // In what a joiner gets.
    let mut newcomer = group.newcomer("new").unwrap();
    newcomer.template.capabilities = capabilities(&[0xf001]);
    let add = Proposal::Add(newcomer.key_package().unwrap());
    let mut insider = group.insider(1).unwrap();
    let mut commit = insider.commit().proposals([add]).private().unwrap();
    let context = commit.welcome().edit_context(|it| it.extensions = twice()).build().unwrap();
    let info = commit.welcome().edit_group_info(|it| {
        let whole = it.extensions.iter().cloned().chain([0xf001, 0xf001].map(extension));
        it.extensions = extensions_unchecked(whole.collect());
    });
    for welcome in [context, info.build().unwrap()] {
        assert_duplicate(&newcomer.refuses(&welcome));
    }
    newcomer.join(commit.welcome().build().unwrap()).unwrap();
}

#[track_caller]
fn assert_duplicate(error: &Error) {
    let expected = DecodeError::DuplicateExtension(0xf001);
    assert!(matches!(error, Error::Malformed(found) if *found == expected), "{error:?}");
}

/// V-13.0-07: who is added supports every extension of the group.
#[test]
fn v_13_0_07_an_added_member_supports_the_groups_extensions() {
    let mut builder = TestGroup::builder(SUITE).size(3).extensions(list([0xf001]));
    for i in 0..3 {
        builder = builder.capabilities(i, capabilities(&[0xf001]));
    }
    let mut group = builder.build().unwrap();
    let mut newcomer = group.newcomer("new").unwrap();
    newcomer.template.capabilities = capabilities(&[0xf002]);
    let lacks = Proposal::Add(newcomer.key_package().unwrap());
    refuses(&mut group, Violation::GroupContextExtensionSupport, lacks);
    newcomer.template.capabilities = capabilities(&[0xf002, 0xf001]);
    let supports = Proposal::Add(newcomer.key_package().unwrap());
    accepts(&mut group, supports);
}

/// V-13.0-09: each of the RFC's extensions has its places, and no others (section 17.3).
#[test]
fn v_13_0_09_extensions_where_they_do_not_belong() {
    let misplaced = Violation::ExtensionMisplaced;
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    for kind in 1..=5 {
        let mut newcomer = group.newcomer("new").unwrap();
        if kind != ExtensionType::APPLICATION_ID.0 {
            let forged = newcomer.forge_key_package().leaf(|leaf| leaf.extensions = list([kind]));
            let add = Proposal::Add(forged.build().unwrap());
            refuses(&mut group, misplaced, add);
            let mut insider = group.insider(1).unwrap();
            let own = insider.commit().leaf(|leaf| leaf.extensions = list([kind])).private();
            let error = group.refuses(0, own.unwrap());
            assert_violation(&error, misplaced);
        }
        let forged = newcomer.forge_key_package().edit(|it| it.extensions = list([kind]));
        let add = Proposal::Add(forged.build().unwrap());
        refuses(&mut group, misplaced, add);
    }
    let error = join_with_extension(&mut group, ExtensionType::APPLICATION_ID.0).unwrap_err();
    assert_violation(&error, misplaced);
    // Those of a GroupContext are repeated here by some; they say nothing.
    for kind in [3, 5, 0xf001] {
        join_with_extension(&mut group, kind).unwrap();
    }
    for kind in [ExtensionType::APPLICATION_ID.0, 2, 4] {
        let extensions = Proposal::GroupContextExtensions(list([kind]));
        refuses(&mut group, Violation::GroupContextExtensionType, extensions);
    }
    let mut newcomer = group.newcomer("new").unwrap();
    let fits = newcomer.forge_key_package().leaf(|leaf| leaf.extensions = list([1])).build();
    accepts(&mut group, Proposal::Add(fits.unwrap()));
}

/// Somebody joins by a GroupInfo with one more extension.
fn join_with_extension(group: &mut TestGroup, kind: u16) -> Result<(), Error> {
    let mut newcomer: TestMember = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut commit = group.insider(1)?.commit().proposals([add]).private()?;
    let welcome = commit.welcome().edit_group_info(|it| it.extensions.set(extension(kind)));
    newcomer.join(welcome.build()?)
}

/// V-13.5-03, V-12.1.7-05: a value that means nothing has no place in what is agreed on, though all list it.
#[test]
fn v_13_5_03_grease_in_what_is_agreed_on() {
    let mut group = group_with(&[0x0a0a, 0xf001]);
    let grease = Proposal::GroupContextExtensions(list([0x0a0a]));
    refuses(&mut group, Violation::GroupContextExtensionSupport, grease);
    let custom = Proposal::Custom { proposal_type: ProposalType(0x0a0a), body: Vec::new() };
    let commit = commit(&mut group, custom);
    let error = group.refuses(0, &commit);
    let expected = DecodeError::UnsupportedProposal(0x0a0a);
    assert!(matches!(&error, Error::Malformed(found) if *found == expected), "{error:?}");
    let another = Proposal::GroupContextExtensions(list([0xf001]));
    accepts(&mut group, another);
}

/// V-13.5-04: on receipt such a value is like any other that is not known.
#[test]
fn v_13_5_04_grease_is_nothing_special() {
    for value in [0x0a0a, 0xeaea, 0x0b0b, 0x0a1a] {
        let mut group = TestGroup::new(SUITE, 3).unwrap();
        let mut newcomer = group.newcomer("new").unwrap();
        let unsupported = Proposal::GroupContextExtensions(list([value]));
        refuses(&mut group, Violation::GroupContextExtensionSupport, unsupported);
        let listed = newcomer.forge_key_package().leaf(|leaf| {
            leaf.capabilities.cipher_suites.insert(0, CipherSuite(value));
            leaf.capabilities.extensions.insert(0, ExtensionType(value));
            leaf.extensions = list([value]);
        });
        accepts(&mut group, Proposal::Add(listed.build().unwrap()));
    }
}

/// V-13.5-05: members that all list the same such value have not agreed on it.
#[test]
fn v_13_5_05_grease_is_no_agreement() {
    let mut group = group_with(&[0x0a0a, 0xf001]);
    for (kind, agreed) in [(0x0a0a, false), (0xf001, true)] {
        let required = RequiredCapabilities {
            extension_types: vec![ExtensionType(kind)],
            ..RequiredCapabilities::default()
        };
        let extensions = extensions_unchecked(vec![required.to_extension().unwrap()]);
        let proposal = Proposal::GroupContextExtensions(extensions);
        match agreed {
            true => accepts(&mut group, proposal),
            false => refuses(&mut group, Violation::RequiredCapabilities, proposal),
        }
    }
    let grease = CipherSuite(0x0a0a);
    let mut key_package = |name| {
        let mut newcomer = group.newcomer(name).unwrap();
        let forged = newcomer.forge_key_package();
        forged.leaf(|leaf| leaf.capabilities.cipher_suites.insert(0, grease)).build().unwrap()
    };
    let key_packages = [key_package("one"), key_package("two")];
    assert_eq!(best_cipher_suite(&key_packages, &[grease, SUITE]), Some(SUITE));
}
